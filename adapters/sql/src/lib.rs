//! `MetricsRepository`, `ApiTokens` and `RunningImages` on PostgreSQL and SQLite, one schema on both.
//!
//! What is the same on both databases is shared: how a batch is made ready (`batch.rs`), what an error means
//! (`error.rs`) and the questions (`question/`), which sea-query makes: what a question is made of depends on what is
//! asked. What differs has a folder per database: connecting and recording. The statements that record a batch are
//! written by hand: `docs/adr/0005-sql-by-hand-for-batches.md` says why. The schema is the crate `migration`. Which
//! days changed, triggers tell (`versions.rs`); so the crate `staticreg-rollup` can keep sums of the counts, and put those
//! of days that are over aside (`day_sums.rs`).

mod api_tokens;
mod batch;
mod connections;
mod day_sums;
mod error;
mod examine;
mod fold;
mod ids;
mod journal;
mod options;
mod postgres;
mod query;
mod question;
mod running;
mod sqlite;
mod transfer;
mod upgrade;
mod versions;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use staticreg_domain::{
    connection_pool::{ConnectionPool, PoolStats},
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPart, JournalPosition, TakeTurn},
    metrics::{
        AccessKind, Breakdown, BreakdownRow, DateRange, DayCount, DayKey, DayVersions, Filter, Folded, KeptSums,
        MetricsError, MetricsReader, MetricsRepository, MetricsRow, Page, PullEvent, Recording, Slice, Summary,
        VersionedMetrics,
    },
};

use tokio::task::spawn_blocking;

use crate::{
    error::within,
    options::Location,
    postgres::PostgresMetrics,
    query::{Dialect, Query, Row},
    question::{architectures::OddNames, breakdown, rows, summary},
    sqlite::SqliteMetrics,
};

pub use error::Reason;
pub use examine::{Examination, Secrecy};
pub use options::{DatabaseUrl, InvalidDatabaseUrl, InvalidSchemaName, Options, SchemaName, UrlFault};
pub use transfer::{CarriedRow, ExportError, Exported, ImportError};
pub use upgrade::{OnUpgrade, UpgradeProgress};

/// The pull metrics in a database.
#[derive(Debug)]
pub struct SqlMetrics {
    database: Database,
    question_timeout: Duration,
    /// Whether the triggers were there when last looked for.
    is_watched: AtomicBool,
}

#[derive(Debug)]
enum Database {
    Postgres(Box<PostgresMetrics>),
    Sqlite(Box<SqliteMetrics>),
}

impl Database {
    fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    async fn ask(&self, query: Query) -> Result<Vec<Row>, MetricsError> {
        match self {
            Self::Postgres(postgres) => postgres.ask(query).await,
            Self::Sqlite(sqlite) => sqlite.ask(query).await,
        }
    }

    /// Changes rows beside what is recorded; answers how many.
    async fn change(&self, query: Query) -> Result<u64, MetricsError> {
        match self {
            Self::Postgres(postgres) => postgres.change(query).await,
            Self::Sqlite(sqlite) => sqlite.change(query).await,
        }
    }
}

/// Why a database could not be opened. It may be possible later.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It could not be reached, or refused the user.
    #[error("cannot connect: {0}")]
    Connect(Reason),
    /// It did not answer in time.
    #[error("cannot connect: no answer in time")]
    TimedOut,
    /// What stands between gives each transaction another connection.
    #[error(
        "cannot connect: the pooler before the database pools transactions or statements, which would mix up what its \
         clients ask; set pool_mode = session for this database in pgbouncer.ini, or connect to PostgreSQL itself"
    )]
    TransactionPooling,
    /// What stands between has one connection to the database for all its clients.
    #[error(
        "cannot connect: the pooler before the database has only one connection to it, but several are needed; set \
         default_pool_size in pgbouncer.ini to as many as there may be, or connect to PostgreSQL itself"
    )]
    OneConnection,
    /// Another schema holds counts, and the user's own none: to begin anew there may be a mistake.
    #[error(
        "the schema `{other}` holds counts (container_pull_metrics) and `{own}`, the user's own, none; set \
         STATICREG_DB_SCHEMA to `{other}` to count on there, or to `{own}` to begin anew"
    )]
    CountsElsewhere {
        /// The schema that holds counts, or several.
        other: String,
        /// The schema that would be used.
        own: String,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the schema up to date: {0}")]
    Migrate(Reason),
}

impl SqlMetrics {
    /// Connects and, unless told otherwise, brings the schema up to date; servers that do so at once wait for each other.
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        let database = match &options.url.0 {
            Location::Postgres(place) => Database::Postgres(Box::new(PostgresMetrics::open(place, options).await?)),
            Location::Sqlite(place) => Database::Sqlite(Box::new(SqliteMetrics::open(place, options).await?)),
        };
        Ok(Self { database, question_timeout: options.question_timeout, is_watched: AtomicBool::new(true) })
    }

    /// One limit for all that is asked of the database to answer a question.
    async fn in_time<T>(&self, question: impl Future<Output = Result<T, MetricsError>>) -> Result<T, MetricsError> {
        within(self.question_timeout, question).await
    }

    /// A page of the rows whose names are names. A list goes on behind its page's last item, so where all of a page have
    /// none a longer one is read.
    async fn page_of_names<T>(
        &self,
        limit: u32,
        query: impl Fn(u32) -> Query,
        item: impl Fn(&Row) -> Result<Option<T>, MetricsError>,
    ) -> Result<Slice<T>, MetricsError> {
        let mut read = limit;
        loop {
            let rows = Slice::new(self.database.ask(query(read)).await?, read);
            let named = rows.try_filter_map(|row| item(&row))?;
            if named.more && named.items.is_empty() {
                read = read.saturating_mul(8).max(1_000);
                continue;
            }
            let page = Slice::new(named.items, limit);
            return Ok(Slice { more: page.more || named.more, ..page });
        }
    }

    async fn odd_names(&self) -> Result<OddNames, MetricsError> {
        OddNames::answer(&self.database.ask(OddNames::query()).await?)
    }

    fn dialect(&self) -> Dialect {
        self.database.dialect()
    }
}

#[async_trait]
impl MetricsRepository for SqlMetrics {
    async fn record(&self, batch: &[PullEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.record(batch, now).await,
            Database::Sqlite(sqlite) => sqlite.record(batch, now).await,
        }
    }

    async fn append(&self, batch: &JournalBatch, now: DateTime<Utc>) -> Result<Appended, MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.append(batch, now).await,
            Database::Sqlite(sqlite) => sqlite.append(batch, now).await,
        }
    }

    async fn append_in_turn(
        &self,
        behind: Option<JournalPosition>,
        events: &[EventStamp],
        batch: &mut dyn TakeTurn,
        now: DateTime<Utc>,
    ) -> Result<Appended, MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.append_in_turn(behind, events, batch, now).await,
            Database::Sqlite(sqlite) => sqlite.append_in_turn(behind, events, batch, now).await,
        }
    }

    async fn journal(
        &self,
        behind: Option<JournalPosition>,
        at_most: u32,
        now: DateTime<Utc>,
    ) -> Result<JournalPart, MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.journal(behind, at_most).await,
            Database::Sqlite(sqlite) => sqlite.journal(behind, at_most, now).await,
        }
    }

    async fn forget_journal(
        &self,
        older_than: TimeDelta,
        at_most: u32,
        now: DateTime<Utc>,
    ) -> Result<u64, MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.forget_journal(older_than, at_most).await,
            Database::Sqlite(sqlite) => sqlite.forget_journal(older_than, at_most, now).await,
        }
    }

    async fn archive_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.archive_ids(recorded_before, at_most).await,
            Database::Sqlite(sqlite) => sqlite.archive_ids(recorded_before, at_most).await,
        }
    }

    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.forget_ids(recorded_before, at_most).await,
            Database::Sqlite(sqlite) => sqlite.forget_ids(recorded_before, at_most).await,
        }
    }

    async fn fold_changes(&self, at_most: u32) -> Result<u64, MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.fold_changes(at_most).await,
            Database::Sqlite(_) => Ok(0),
        }
    }

    async fn keep_by_month(&self, folded: Folded) -> Result<(), MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.keep_by_month(folded).await,
            Database::Sqlite(sqlite) => sqlite.keep_by_month(folded).await,
        }
    }

    async fn day_to_fold(&self, after: Option<NaiveDate>) -> Result<Option<NaiveDate>, MetricsError> {
        let folded = self.folded().await?;
        let mut after = after.unwrap_or(Folded::NOTHING.days_before);
        loop {
            let next = self.database.ask(fold::next_day(self.dialect(), after, folded.days_before)).await?;
            let Some(day) = next.first().map(|row| row.date_if_any(0)).transpose()?.flatten() else { return Ok(None) };
            if day != folded.date(day) {
                return Ok(Some(day));
            }
            let has_digests = self.database.ask(fold::has_digests(self.dialect(), day));
            if day < folded.digests_before && !has_digests.await?.is_empty() {
                return Ok(Some(day));
            }
            after = day;
        }
    }

    async fn fold_day(&self, day: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.fold_day(day, at_most).await,
            Database::Sqlite(sqlite) => sqlite.fold_day(day, at_most).await,
        }
    }

    async fn forget_counts(&self, before: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        let mut forgotten = 0;
        let at_most = match &self.database {
            Database::Postgres(_) => at_most,
            Database::Sqlite(_) => at_most.min(sqlite::fold::AT_ONCE),
        };
        for table in fold::TABLES {
            forgotten += self.database.change(fold::forget(self.dialect(), table, before, at_most)).await?;
        }
        Ok(forgotten)
    }

    async fn check(&self) -> Result<(), MetricsError> {
        match &self.database {
            Database::Postgres(postgres) => postgres.check().await,
            Database::Sqlite(sqlite) => sqlite.check().await,
        }
    }
}

impl ConnectionPool for SqlMetrics {
    fn stats(&self) -> Option<PoolStats> {
        Some(match &self.database {
            Database::Postgres(postgres) => postgres.pool(),
            Database::Sqlite(sqlite) => sqlite.pool(),
        })
    }
}

#[async_trait]
impl MetricsReader for SqlMetrics {
    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError> {
        self.in_time(Box::pin(async {
            let pulls = self.database.ask(summary::pulls_query(self.dialect(), today)).await?;
            let accesses = self.database.ask(summary::accesses_query(self.dialect(), today)).await?;
            summary::answer(&pulls, &accesses)
        }))
        .await
    }

    async fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError> {
        self.in_time(Box::pin(async {
            let odd_names = if OddNames::matter_to(breakdown) { self.odd_names().await? } else { OddNames::default() };
            let query = |limit| {
                let page = Page { limit, ..breakdown.page.clone() };
                breakdown::query(self.dialect(), &Breakdown { page, ..breakdown.clone() }, &odd_names)
            };
            self.page_of_names(breakdown.page.limit, query, |row| breakdown::row(row, breakdown)).await
        }))
        .await
    }

    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        self.in_time(Box::pin(async {
            let odd_names = self.odd_names().await?;
            let query = |limit| rows::query(self.dialect(), filter, &Page { limit, ..page.clone() }, &odd_names);
            self.page_of_names(page.limit, query, |row| rows::item(row, filter)).await
        }))
        .await
    }

    async fn folded(&self) -> Result<Folded, MetricsError> {
        self.in_time(Box::pin(async { fold::folded(&self.database.ask(fold::folded_query()).await?) })).await
    }
}

#[async_trait]
impl VersionedMetrics for SqlMetrics {
    async fn versions(&self, dates: DateRange, kind: Option<AccessKind>) -> Result<Option<DayVersions>, MetricsError> {
        let answer = versions::answer(&self.database.ask(versions::query(self.dialect(), dates, kind)).await?)?;
        let was_watched = self.is_watched.swap(answer.is_some(), Ordering::Relaxed);
        versions::tell(self.dialect(), answer.is_some(), was_watched);
        Ok(answer)
    }

    async fn counts_of_day(&self, day: DayKey, at_most: u32) -> Result<Option<Vec<DayCount>>, MetricsError> {
        let rows = self.database.ask(versions::counts_query(self.dialect(), day, at_most)).await?;
        if rows.len() > at_most as usize {
            return Ok(None);
        }
        // A day's rows are many: to read them must not keep others waiting.
        let reading = spawn_blocking(move || {
            rows.iter().map(versions::count).filter_map(Result::transpose).collect::<Result<_, _>>()
        });
        reading.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())).map(Some)
    }

    async fn kept_versions(&self, watch: i64, format: &str) -> Result<BTreeMap<DayKey, i64>, MetricsError> {
        day_sums::versions(&self.database.ask(day_sums::versions_query(self.dialect(), watch, format)).await?)
    }

    async fn kept_sums(&self, watch: i64, format: &str, dates: DateRange) -> Result<Vec<KeptSums>, MetricsError> {
        day_sums::sums(&self.database.ask(day_sums::sums_query(self.dialect(), watch, format, dates)).await?)
    }

    async fn keep_sums(&self, watch: i64, format: &str, sums: &KeptSums) -> Result<(), MetricsError> {
        self.database.change(day_sums::keep(self.dialect(), watch, format, sums)).await.map(drop)
    }
}
