//! SQLite: one file, one writer, readers beside it.

mod file;
pub(crate) mod fold;
mod ids;
mod journal;
mod record;

use std::{
    future::ready,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    SqlxSqliteConnector, Statement, TransactionOptions, TransactionTrait,
    sqlx::{
        self, AssertSqlSafe, ConnectOptions, Connection, SqliteConnection,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
    },
};
use staticreg_domain::{
    connection_pool::PoolStats,
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPart, JournalPosition, TakeTurn},
    metrics::{Folded, MetricsError, PullEvent, Recording},
};

use self::file::OpenedFile;
use crate::{
    OpenError, Options,
    connections::Connections,
    error::{Reason, classify, within},
    query::{Query, Row},
    upgrade::{Teller, UpgradeProgress},
};

/// Takes the lock to write at once: a transaction that reads first may be refused it later.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

/// The pull metrics in an SQLite file.
#[derive(Debug)]
pub(crate) struct SqliteMetrics {
    file: SqliteConnectOptions,
    opened: OpenedFile,
    /// One connection: whoever waits behind a slow write waits no longer than for its own.
    writer: Connections<Interruptible>,
    readers: Connections<Interruptible>,
    answer_timeout: Duration,
    question_timeout: Duration,
}

/// A connection whose statement ends when the connection is dropped. The driver would let it run to its end.
#[derive(Debug)]
pub(crate) struct Interruptible {
    connection: SqliteConnection,
    is_dropped: Arc<AtomicBool>,
}

impl Interruptible {
    async fn connect(file: &SqliteConnectOptions) -> sqlx::Result<Self> {
        /// Steps of SQLite's machine between two looks; well below a millisecond.
        const STEPS: i32 = 10_000;
        let mut connection = SqliteConnection::connect_with(file).await?;
        let is_dropped = Arc::new(AtomicBool::new(false));
        let goes_on = Arc::clone(&is_dropped);
        connection.lock_handle().await?.set_progress_handler(STEPS, move || !goes_on.load(Ordering::Relaxed));
        Ok(Self { connection, is_dropped })
    }
}

impl AsMut<SqliteConnection> for Interruptible {
    fn as_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }
}

impl SqliteMetrics {
    pub(crate) async fn open(place: &SqliteConnectOptions, options: &Options) -> Result<Self, OpenError> {
        let file = durable(place, options.answer_timeout).create_if_missing(options.migrate);
        let first = SqliteConnection::connect_with(&file).await;
        let name = place.get_filename();
        let first = first.map_err(|error| {
            OpenError::Connect(Reason::new(format!("{}: {}", name.display(), cannot_open(name, error))))
        })?;
        drop(first.close().await);

        if options.migrate {
            let migrated = Box::pin(migrate(&file, options)).await;
            migrated.map_err(|error| OpenError::Migrate(error.into()))?;
        }
        let opened = OpenedFile::at(name)
            .map_err(|error| OpenError::Connect(Reason::new(format!("{}: {error}", name.display()))))?;
        let Options { answer_timeout, question_timeout, .. } = *options;
        Ok(Self {
            // From here on another file would not be the one that was opened.
            file: file.create_if_missing(false),
            opened,
            writer: Connections::new(1, answer_timeout),
            readers: Connections::new(options.readers(), answer_timeout),
            answer_timeout,
            question_timeout,
        })
    }

    /// The connections that answer questions; the one that records is beside them.
    pub(crate) fn pool(&self) -> PoolStats {
        self.readers.stats()
    }

    pub(crate) async fn record(
        &self,
        events: &[PullEvent],
        now: DateTime<Utc>,
    ) -> Result<Vec<Recording>, MetricsError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        self.writing(async |connection| record::record(connection, events, now).await).await
    }

    pub(crate) async fn append(&self, batch: &JournalBatch, now: DateTime<Utc>) -> Result<Appended, MetricsError> {
        self.writing(async |connection| record::append(connection, batch, now).await).await
    }

    pub(crate) async fn append_in_turn(
        &self,
        behind: Option<JournalPosition>,
        events: &[EventStamp],
        batch: &mut dyn TakeTurn,
        now: DateTime<Utc>,
    ) -> Result<Appended, MetricsError> {
        self.writing(async |connection| record::append_in_turn(connection, behind, events, batch, now).await).await
    }

    pub(crate) async fn journal(
        &self,
        behind: Option<JournalPosition>,
        at_most: u32,
        now: DateTime<Utc>,
    ) -> Result<JournalPart, MetricsError> {
        let read = async |connection: &mut SqliteConnection| {
            Ok(journal::read(connection, behind, at_most.into(), now).await.map_err(classify)?.part())
        };
        self.writing(read).await
    }

    pub(crate) async fn forget_journal(
        &self,
        older_than: TimeDelta,
        at_most: u32,
        now: DateTime<Utc>,
    ) -> Result<u64, MetricsError> {
        self.writing(async |connection| {
            let before = (now - older_than).timestamp_micros();
            let forget = sqlx::query(journal::FORGET).bind(before).bind(at_most).execute(connection);
            forget.await.map(|forgotten| forgotten.rows_affected()).map_err(classify)
        })
        .await
    }

    pub(crate) async fn keep_by_month(&self, folded: Folded) -> Result<(), MetricsError> {
        self.writing(async |connection| fold::keep_by_month(connection, folded).await.map_err(classify)).await
    }

    pub(crate) async fn fold_day(&self, day: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        self.writing(async |connection| fold::fold_day(connection, day, at_most).await).await
    }

    pub(crate) async fn check(&self) -> Result<(), MetricsError> {
        const TABLES: &str = "SELECT 1 FROM container_pull_metrics, container_access_metrics, recorded_event, \
             recorded_event_archive, access_journal, kept_by_month LIMIT 0";
        self.writing(async |connection| {
            // Takes the lock that recording takes.
            let mut transaction = connection.begin_with(BEGIN).await.map_err(classify)?;
            sqlx::query(TABLES).execute(&mut *transaction).await.map_err(classify)?;
            transaction.rollback().await.map_err(classify)
        })
        .await
    }

    pub(crate) async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        self.writing(async |connection| ids::forget(connection, recorded_before, at_most).await.map_err(classify)).await
    }

    pub(crate) async fn archive_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        self.writing(async |connection| ids::archive(connection, recorded_before, at_most).await.map_err(classify))
            .await
    }

    /// Runs a call on the connection that records, within the time to answer. When the disk is full, SQLite itself ends
    /// the transaction and the driver does not notice, which is one more reason to close a connection that failed.
    async fn writing<T>(
        &self,
        call: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, MetricsError>,
    ) -> Result<T, MetricsError> {
        self.opened.is_in_place()?;
        let call = async |used: &mut Interruptible| within(self.answer_timeout, call(&mut used.connection)).await;
        self.writer.run(async |_| true, async || self.connect().await, call).await
    }

    pub(crate) async fn ask(&self, query: Query) -> Result<Vec<Row>, MetricsError> {
        let call = async |used: &mut Interruptible| fetch(&mut used.connection, query).await.map_err(classify);
        let rows = within(self.question_timeout, self.readers.run(async |_| true, async || self.connect().await, call));
        Ok(rows.await?.into_iter().map(Row::new).collect())
    }

    pub(crate) async fn change(&self, query: Query) -> Result<u64, MetricsError> {
        self.writing(async move |connection| {
            let Query { text, values } = query;
            // As in `fetch`.
            let changed = sqlx::query_with(AssertSqlSafe(text), values).execute(connection).await.map_err(classify)?;
            Ok(changed.rows_affected())
        })
        .await
    }

    pub(crate) async fn connect(&self) -> Result<Interruptible, MetricsError> {
        Interruptible::connect(&self.file).await.map_err(classify)
    }
}

/// Why a file cannot be opened. SQLite says no more than that it was unable.
fn cannot_open(file: &Path, error: sqlx::Error) -> Reason {
    let reason = Reason::from(error);
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => {
            Reason::new(format!("{reason}; there is no folder {}, make it first", folder.display()))
        }
        _ => reason,
    }
}

/// A file whose commits survive a power cut.
fn durable(place: &SqliteConnectOptions, busy_timeout: Duration) -> SqliteConnectOptions {
    place
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(busy_timeout)
        .disable_statement_logging()
}

/// In one transaction that takes the lock to write at once, so that a second server waits.
async fn migrate(file: &SqliteConnectOptions, options: &Options) -> Result<(), DbErr> {
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(options.answer_timeout);
    let pool = pool.connect_lazy_with(file.clone());
    let migrated = apply(&SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone()), options.teller()).await;
    pool.close().await;
    migrated
}

async fn apply(database: &DatabaseConnection, teller: Teller) -> Result<(), DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = database.begin_with_options(options).await?;
    let counts = counts(&transaction).await?;
    let how_far = || ready(UpgradeProgress::unknown("SQLite does not tell how far it is".to_owned()));
    teller.apply(&transaction, counts, how_far).await?;
    transaction.commit().await
}

/// How many counts there are already, if any.
async fn counts(transaction: &DatabaseTransaction) -> Result<Option<String>, DbErr> {
    const IS_THERE: &str =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'container_pull_metrics'";
    const ROWS: &str = "SELECT count(*) FROM container_pull_metrics";
    let number = async |statement: &str| {
        let statement = Statement::from_string(DbBackend::Sqlite, statement);
        let row = transaction.query_one_raw(statement).await?;
        row.map_or(Ok(0_i64), |row| row.try_get_by_index(0))
    };
    if number(IS_THERE).await? == 0 {
        return Ok(None);
    }
    let rows = number(ROWS).await?;
    Ok((rows > 0).then(|| format!("{rows} rows of pulls")))
}

async fn fetch(connection: &mut SqliteConnection, query: Query) -> sqlx::Result<Vec<SqliteRow>> {
    let Query { text, values } = query;
    // Made of constant pieces alone, see `Query`; whatever is not constant is bound.
    sqlx::query_with(AssertSqlSafe(text), values).fetch_all(connection).await
}
