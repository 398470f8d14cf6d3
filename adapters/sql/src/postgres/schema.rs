//! Brings the schema up to date.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, SqlxPostgresConnector, TransactionTrait,
    sqlx::{
        Connection, PgConnection,
        postgres::{PgConnectOptions, PgPoolOptions},
    },
};
use sea_orm_migration::MigratorTrait;
use staticreg_migration::Migrator;
use tokio::time::timeout;

use crate::{OpenError, Options};

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the changes may take: an index over many rows takes minutes.
const MIGRATE_TIMEOUT: Duration = Duration::from_hours(1);

/// Held by the server that changes the schema, so that others wait; drawn once for staticreg.
const LOCK: &str = "SELECT pg_advisory_xact_lock(5278241790334716213)";

pub(super) async fn migrate(place: &PgConnectOptions, options: &Options) -> Result<(), OpenError> {
    // A pool would tell only that it timed out.
    let connected = timeout(CONNECT_TIMEOUT, PgConnection::connect_with(place)).await;
    let first = connected.map_err(|_| OpenError::TimedOut)?.map_err(OpenError::Connect)?;
    drop(first.close().await);

    let pool =
        PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_TIMEOUT).connect_lazy_with(place.clone());
    let database = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
    let migrated = timeout(MIGRATE_TIMEOUT, apply(&database, options)).await;
    drop(timeout(CONNECT_TIMEOUT, pool.close()).await);
    migrated.map_err(|_| OpenError::TimedOut)?.map_err(OpenError::Migrate)
}

/// All in one transaction: it succeeds as a whole, and the lock ends with it.
async fn apply(database: &DatabaseConnection, options: &Options) -> Result<(), DbErr> {
    // The usual start; it needs no right to create anything.
    if Migrator::get_pending_migrations_read_only(database).await?.is_empty() {
        return Ok(());
    }
    let transaction = database.begin().await?;
    transaction.execute_unprepared(LOCK).await?;
    if let Some(schema) = &options.schema
        && !exists(&transaction, schema.as_str()).await?
    {
        transaction.execute_unprepared(&format!("CREATE SCHEMA \"{}\"", schema.as_str())).await?;
    }
    Migrator::up(&transaction, None).await?;
    transaction.commit().await
}

async fn exists(database: &impl ConnectionTrait, schema: &str) -> Result<bool, DbErr> {
    let statement = sea_orm::Statement::from_sql_and_values(
        database.get_database_backend(),
        "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)",
        [schema.into()],
    );
    let row = database.query_one_raw(statement).await?;
    row.map_or(Ok(false), |row| row.try_get_by_index(0))
}
