//! Brings the schema up to date.

use std::{sync::Arc, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, SqlxPostgresConnector, Statement, TransactionTrait, TryGetable, Value,
    sqlx::{Connection, postgres::PgPoolOptions, query_as, query_scalar},
};
use sea_orm_migration::MigratorTrait;
use staticreg_migration::Migrator;
use tokio::time::timeout;

use super::{server::Server, settings};
use crate::{
    OpenError, SchemaName,
    error::Reason,
    upgrade::{Teller, UpgradeProgress},
};

/// How long the changes may take: an index over many rows takes minutes.
const MIGRATE_TIMEOUT: Duration = Duration::from_hours(1);

/// Held by the server that changes the schema, so that others wait; drawn once for staticreg.
const LOCK: &str = "SELECT pg_advisory_xact_lock(5278241790334716213)";

/// Whether the list of changes is there and may not be read. It would seem not to be there, and the user would be said
/// to lack the right to make it.
const IS_HIDDEN: &str = "SELECT NOT coalesce(has_table_privilege(to_regclass('seaql_migrations'), 'SELECT'), true)";

/// The schemas but the user's own that hold counts, the Go staticreg's first: whether it made each, which keeps the state of
/// its migrations beside them, and the user may use it; the user's own, and whether that holds counts. None when staticreg
/// has counted in the user's own already.
const COUNTS_ELSEWHERE: &str = "\
    SELECT nspname::text, \
        EXISTS (SELECT FROM pg_class AS goose WHERE goose.relnamespace = pg_namespace.oid \
            AND goose.relname = 'goose_db_version') \
            AND has_schema_privilege(pg_namespace.oid, 'USAGE') AND has_table_privilege(pg_class.oid, 'SELECT'), \
        coalesce(current_schema()::text, ''), \
        EXISTS (SELECT FROM pg_class AS own WHERE own.relname = 'container_pull_metrics' \
            AND own.relnamespace = current_schema()::regnamespace) \
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
    WHERE relname = 'container_pull_metrics' AND relkind IN ('r', 'p') AND nspname <> coalesce(current_schema()::text, '') \
        AND NOT EXISTS (SELECT FROM pg_class AS own WHERE own.relname = 'seaql_migrations' \
            AND own.relnamespace = current_schema()::regnamespace) \
    ORDER BY 2 DESC, nspname = 'staticreg' DESC, 1";

/// How many pulls are counted already, if any are: to count the rows may take long, and how many they were when the
/// database looked last is near enough.
const COUNTS: &str = "\
    SELECT CASE WHEN rows > 0 THEN format('about %s rows of pulls, %s', rows, pg_size_pretty(bytes)) \
        WHEN bytes > 0 THEN pg_size_pretty(bytes) || ' of pulls' END \
    FROM (SELECT sum(greatest(reltuples, 0))::bigint AS rows, sum(pg_relation_size(oid)) AS bytes FROM pg_class \
        WHERE relkind = 'r' AND (oid = to_regclass('container_pull_metrics') \
            OR oid IN (SELECT relid FROM pg_partition_tree(to_regclass('container_pull_metrics'))))) AS held";

/// What a process waits for, or what index it is at and how much of that in percent. Of other changes PostgreSQL tells
/// nothing. The index itself cannot be seen before all is done.
const HOW_FAR: &str = "\
    SELECT CASE WHEN cardinality(waits_for) > 0 \
            THEN format('it waits for a lock that process %s of the database holds', array_to_string(waits_for, ', ')) \
            ELSE format('an index of %s, %s', relid::regclass, phase) END, \
        CASE WHEN cardinality(waits_for) = 0 THEN least(100 * done / nullif(total, 0), 100)::smallint END \
    FROM (SELECT pg_blocking_pids($1) AS waits_for) AS process \
    LEFT JOIN (SELECT relid, phase, CASE WHEN phase LIKE '%loading%' THEN tuples_done ELSE blocks_done END AS done, \
            CASE WHEN phase LIKE '%loading%' THEN tuples_total ELSE blocks_total END AS total \
        FROM pg_stat_progress_create_index WHERE pid = $1) AS building ON true \
    WHERE cardinality(waits_for) > 0 OR relid IS NOT NULL";

/// The schema to use when none is asked for: the one that the Go staticreg made, unless staticreg has counted in the user's
/// own.
pub(super) async fn of_go_staticreg(server: &Server) -> Result<Option<SchemaName>, OpenError> {
    let look = async {
        let (mut connection, _) = server.connect_bare().await?;
        settings::apply(&mut connection, server.settings()).await?;
        let rows: Vec<(String, bool, String, bool)> =
            query_as(COUNTS_ELSEWHERE).persistent(false).fetch_all(&mut connection).await?;
        drop(connection.close().await);
        Ok(rows)
    };
    let rows = server.in_time(look).await?;
    let of_go: Vec<_> = rows.iter().filter(|(_, is_go, ..)| *is_go).map(|(name, ..)| &**name).collect();
    match (rows.first(), &of_go[..]) {
        (None, _) | (Some((_, _, _, true)), []) => Ok(None),
        (Some((_, _, own, _)), [name, others @ ..]) => match name.parse() {
            Ok(schema) if others.is_empty() || *name == "staticreg" => Ok(Some(schema)),
            _ => Err(OpenError::CountsElsewhere { other: of_go.join("` or `"), own: own.clone() }),
        },
        (Some((other, _, own, _)), []) => Err(OpenError::CountsElsewhere { other: other.clone(), own: own.clone() }),
    }
}

pub(super) async fn migrate(server: &Server, teller: Teller) -> Result<(), OpenError> {
    // A pool would tell only that it timed out, and log each time why.
    let first = async {
        let (mut first, way) = server.connect_bare().await?;
        settings::apply(&mut first, server.settings()).await?;
        let is_hidden: bool = query_scalar(IS_HIDDEN).persistent(false).fetch_one(&mut first).await?;
        Ok((first, way, is_hidden))
    };
    let (first, way, is_hidden) = server.in_time(first).await?;
    drop(first.close().await);
    if is_hidden {
        let reason = "permission denied for table seaql_migrations; grant SELECT on it to the user of the URL";
        return Err(OpenError::Migrate(Reason::new(reason)));
    }

    // Without the limits that the database or the user may have.
    let settings = Arc::new(server.settings().clone());
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(server.patience()).after_connect({
        move |connection, _| {
            let settings = Arc::clone(&settings);
            Box::pin(async move { settings::apply(connection, &settings).await })
        }
    });
    let pool = pool.connect_lazy_with(way.clone());
    let database = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
    let migrated = timeout(MIGRATE_TIMEOUT, apply(&database, server, teller)).await;
    drop(timeout(server.patience(), pool.close()).await);
    migrated.map_err(|_| OpenError::TimedOut)?.map_err(|error| OpenError::Migrate(error.into()))
}

/// All in one transaction: it succeeds as a whole, and the lock ends with it.
async fn apply(database: &DatabaseConnection, server: &Server, teller: Teller) -> Result<(), DbErr> {
    // The usual start; it needs no right to create anything.
    if Migrator::get_pending_migrations_read_only(database).await?.is_empty() {
        return Ok(());
    }
    let transaction = database.begin().await?;
    let process: i32 = value(&transaction, "SELECT pg_backend_pid()", []).await?.unwrap_or_default();
    let waits = "Waiting for another server, which brings the schema up to date";
    teller.during(transaction.execute_unprepared(LOCK), waits, || how_far(server, process)).await?;
    if let Some(schema) = server.schema()
        && !exists(&transaction, schema.as_str()).await?
    {
        transaction.execute_unprepared(&format!("CREATE SCHEMA \"{}\"", schema.as_str())).await?;
    }
    let counts = value(&transaction, COUNTS, []).await?;
    teller.apply(&transaction, counts, || how_far(server, process)).await?;
    transaction.commit().await
}

/// What the database tells of what one of its processes is at, over a connection of its own.
async fn how_far(server: &Server, process: i32) -> UpgradeProgress {
    let look = async {
        let mut connection = server.connect().await?;
        let told: Option<(String, Option<i16>)> =
            query_as(HOW_FAR).bind(process).persistent(false).fetch_optional(&mut connection).await?;
        drop(connection.close().await);
        Ok(told)
    };
    match server.in_time(look).await {
        Ok(Some((words, percent))) => {
            UpgradeProgress { words, percent: percent.and_then(|percent| percent.try_into().ok()) }
        }
        Ok(None) => UpgradeProgress::unknown("PostgreSQL does not tell how far it is".to_owned()),
        Err(error) => UpgradeProgress::unknown(format!("how far it is cannot be asked, {error}")),
    }
}

async fn exists(database: &impl ConnectionTrait, schema: &str) -> Result<bool, DbErr> {
    const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    Ok(value(database, EXISTS, [schema.into()]).await?.unwrap_or_default())
}

/// The one value that a statement answers, unless it is null.
async fn value<T: TryGetable, const N: usize>(
    database: &impl ConnectionTrait,
    statement: &str,
    values: [Value; N],
) -> Result<Option<T>, DbErr> {
    let statement = Statement::from_sql_and_values(database.get_database_backend(), statement, values);
    let row = database.query_one_raw(statement).await?;
    row.map_or(Ok(None), |row| row.try_get_by_index(0))
}
