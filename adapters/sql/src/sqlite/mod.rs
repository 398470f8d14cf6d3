//! SQLite: one file, one writer, readers beside it.

mod record;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{
    DbErr, SqliteTransactionMode, SqlxSqliteConnector, TransactionOptions, TransactionTrait,
    sqlx::{
        self, AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, SqlitePool,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
    },
};
use sea_orm_migration::MigratorTrait;
use staticreg_domain::metrics::{CountedEvent, MetricsError, Recording};
use staticreg_migration::Migrator;

use crate::{
    OpenError, Options,
    error::{classify, within},
    query::{Dialect, Query, Row, Value, date_text, time_text},
};

/// Takes the lock to write at once: a transaction that reads first may be refused it later.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// The pull metrics in an SQLite file.
#[derive(Debug)]
pub(crate) struct SqliteMetrics {
    writer: SqlitePool,
    readers: SqlitePool,
    answer_timeout: Duration,
}

impl SqliteMetrics {
    pub(crate) async fn open(place: &SqliteConnectOptions, options: &Options) -> Result<Self, OpenError> {
        let durable = durable(place, options.answer_timeout);
        let first = SqliteConnection::connect_with(&durable).await.map_err(OpenError::Connect)?;
        drop(first.close().await);

        // Whoever waits behind a slow write waits no longer than for its own.
        let pool = SqlitePoolOptions::new().acquire_timeout(options.answer_timeout);
        let writer = pool.clone().max_connections(1).connect_lazy_with(durable.clone());
        migrate(&writer).await.map_err(OpenError::Migrate)?;
        let readers = pool.max_connections(options.readers()).connect_lazy_with(durable);
        Ok(Self { writer, readers, answer_timeout: options.answer_timeout })
    }

    pub(crate) async fn record(
        &self,
        events: &[CountedEvent],
        now: DateTime<Utc>,
    ) -> Result<Vec<Recording>, MetricsError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        self.writing(async |connection| record::record(connection, events, now).await).await
    }

    pub(crate) async fn check(&self) -> Result<(), MetricsError> {
        self.writing(async |connection| {
            // Takes the lock that recording takes.
            let mut transaction = connection.begin_with(BEGIN).await.map_err(classify)?;
            sqlx::query("SELECT 1 FROM container_pull_metrics, container_access_metrics, recorded_event LIMIT 0")
                .execute(&mut *transaction)
                .await
                .map_err(classify)?;
            transaction.rollback().await.map_err(classify)
        })
        .await
    }

    pub(crate) async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        const FORGET: &str = "DELETE FROM recorded_event WHERE id IN (\
             SELECT id FROM recorded_event WHERE recorded_at < $1 ORDER BY recorded_at LIMIT $2)";
        self.writing(async |connection| {
            let forget = sqlx::query(FORGET).bind(time_text(recorded_before)).bind(i64::from(at_most));
            forget.execute(connection).await.map(|forgotten| forgotten.rows_affected()).map_err(classify)
        })
        .await
    }

    /// Runs a call on the connection that records, within the time to answer. When the disk is full, SQLite itself ends
    /// the transaction and the driver does not notice, so a connection that failed is closed.
    async fn writing<T>(
        &self,
        call: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, MetricsError>,
    ) -> Result<T, MetricsError> {
        let mut connection = self.writer.acquire().await.map_err(classify)?;
        let answer = within(self.answer_timeout, call(&mut connection)).await;
        if matches!(answer, Err(MetricsError::Unavailable(_) | MetricsError::Corrupt(_))) {
            connection.close_on_drop();
        }
        answer
    }

    pub(crate) async fn ask(&self, query: Query) -> Result<Vec<Row>, MetricsError> {
        let rows = fetch(&self.readers, query).await.map_err(classify)?;
        Ok(rows.into_iter().map(|row| Row::new(Dialect::Sqlite, row)).collect())
    }
}

/// A file whose commits survive a power cut.
fn durable(place: &SqliteConnectOptions, busy_timeout: Duration) -> SqliteConnectOptions {
    place
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(busy_timeout)
        .disable_statement_logging()
}

/// In one transaction that takes the lock to write at once, so that a second server waits.
async fn migrate(pool: &SqlitePool) -> Result<(), DbErr> {
    let database = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone());
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = database.begin_with_options(options).await?;
    Migrator::up(&transaction, None).await?;
    transaction.commit().await
}

async fn fetch(pool: &SqlitePool, query: Query) -> sqlx::Result<Vec<SqliteRow>> {
    let Query { dialect: _, text, values } = query;
    // Made of constant pieces alone, see `Query`.
    let mut statement = sqlx::query(AssertSqlSafe(text));
    for value in values {
        statement = match value {
            Value::Date(date) => statement.bind(date_text(date)),
            Value::Time(time) => statement.bind(time_text(time)),
            Value::Text(text) => statement.bind(text),
            Value::Number(number) => statement.bind(number),
        };
    }
    statement.fetch_all(pool).await
}
