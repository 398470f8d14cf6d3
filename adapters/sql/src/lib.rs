//! `MetricsRepository` on PostgreSQL and SQLite, one schema on both.
//!
//! What is the same on both databases is shared: how a batch is made ready (`batch.rs`), what an error means
//! (`error.rs`) and the questions (`question/`, one file each). What differs has a folder per database: connecting and
//! recording. A new question is a file in `question/` and a method here; the schema is the crate `migration`. Questions
//! about all repositories are answered from sums in memory (`sums/`), which are as the database's counts are.

mod batch;
mod connections;
mod error;
mod options;
mod postgres;
mod query;
mod question;
mod sqlite;
mod sums;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::metrics::{
    ArchitecturePulls, CountedEvent, DateRange, DayPulls, DigestPulls, Filter, ImagePulls, Listed, MetricsError,
    MetricsRepository, MetricsRow, Page, PullGroup, Recording, RepositoryPulls, Slice, Summary, TagPulls,
};
use tokio::task::JoinSet;

use crate::{
    error::within,
    options::Place,
    postgres::PostgresMetrics,
    query::{Dialect, Query, Row},
    question::{architectures, digests, images, pulls, repositories, rows, summary, tags},
    sqlite::SqliteMetrics,
    sums::{Kept, Sums},
};

pub use error::Reason;
pub use options::{DatabaseUrl, InvalidDatabaseUrl, InvalidSchemaName, Options, SchemaName, UrlFault};

/// The pull metrics in a database.
#[derive(Debug)]
pub struct SqlMetrics {
    database: Arc<Database>,
    sums: Arc<Sums>,
    question_timeout: Duration,
    /// Reads sums for as long as this is there.
    _reader: JoinSet<()>,
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
    /// The schema could not be brought up to date.
    #[error("cannot bring the schema up to date: {0}")]
    Migrate(Reason),
}

impl SqlMetrics {
    /// Connects and brings the schema up to date; servers that do so at once wait for each other.
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        let database = Arc::new(match &options.url.0 {
            Place::Postgres(place) => Database::Postgres(Box::new(PostgresMetrics::open(place, options).await?)),
            Place::Sqlite(place) => Database::Sqlite(Box::new(SqliteMetrics::open(place, options).await?)),
        });
        let (sums, mut reader) = (Arc::new(Sums::new(options.sums_capacity)), JoinSet::new());
        if options.sums_capacity > 0 {
            reader.spawn(Arc::clone(&sums).keep(Arc::clone(&database)));
        }
        Ok(Self { database, sums, question_timeout: options.question_timeout, _reader: reader })
    }

    /// One limit for all that is asked of the sums and the database to answer a question.
    async fn in_time<T>(&self, question: impl Future<Output = Result<T, MetricsError>>) -> Result<T, MetricsError> {
        within(self.question_timeout, question).await
    }

    fn dialect(&self) -> Dialect {
        self.database.dialect()
    }

    async fn list<T: Listed>(
        &self,
        query: Query,
        page: &Page<T>,
        item: impl Fn(&Row) -> Result<T, MetricsError>,
    ) -> Result<Slice<T>, MetricsError> {
        let rows = self.database.ask(query).await?;
        let items: Result<_, _> = rows.iter().map(item).collect();
        Ok(Slice::of(items?, page.limit))
    }

    /// Asks the sums what is about many repositories; what is about one the database's indexes find soon enough, and
    /// digests the sums do not know. None when the database is to be asked.
    async fn ask_sums<T, P>(
        &self,
        filter: &Filter,
        page: &Page<P>,
        question: impl FnOnce(&Kept, &Filter, &Page<P>) -> Result<T, MetricsError> + Send + 'static,
    ) -> Result<Option<T>, MetricsError>
    where
        T: Send + 'static,
        P: Listed + Clone + Send + Sync + 'static,
    {
        if filter.repository.is_some() || filter.digest.is_some() {
            return Ok(None);
        }
        let (own, page) = (filter.clone(), page.clone());
        let question = move |kept: &Kept| question(kept, &own, &page);
        self.sums.answer(&self.database, filter.dates, Some(filter.kind), question).await?.transpose()
    }
}

#[async_trait]
impl MetricsRepository for SqlMetrics {
    async fn record(&self, batch: &[CountedEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        match &*self.database {
            Database::Postgres(postgres) => postgres.record(batch, now).await,
            Database::Sqlite(sqlite) => sqlite.record(batch, now).await,
        }
    }

    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        match &*self.database {
            Database::Postgres(postgres) => postgres.forget_ids(recorded_before, at_most).await,
            Database::Sqlite(sqlite) => sqlite.forget_ids(recorded_before, at_most).await,
        }
    }

    async fn check(&self) -> Result<(), MetricsError> {
        match &*self.database {
            Database::Postgres(postgres) => postgres.check().await,
            Database::Sqlite(sqlite) => sqlite.check().await,
        }
    }

    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError> {
        self.in_time(Box::pin(async {
            let question = move |kept: &Kept| summary::of_sums(kept, today);
            if let Some(summary) = self.sums.answer(&self.database, DateRange::EVER, None, question).await? {
                return Ok(summary);
            }
            let pulls = self.database.ask(summary::pulls_query(self.dialect(), today)).await?;
            let accesses = self.database.ask(summary::accesses_query(self.dialect(), today)).await?;
            summary::answer(&pulls, &accesses)
        }))
        .await
    }

    async fn pulls(
        &self,
        filter: &Filter,
        group: Option<PullGroup>,
        page: &Page<DayPulls>,
    ) -> Result<Slice<DayPulls>, MetricsError> {
        self.in_time(Box::pin(async {
            let of_sums = move |kept: &Kept, filter: &Filter, page: &Page<DayPulls>| {
                Ok(pulls::of_sums(kept, filter, group, page))
            };
            if let Some(slice) = self.ask_sums(filter, page, of_sums).await? {
                return Ok(slice);
            }
            let query = pulls::query(self.dialect(), filter, group, page);
            self.list(query, page, |row| pulls::item(row, group)).await
        }))
        .await
    }

    async fn repositories(
        &self,
        filter: &Filter,
        page: &Page<RepositoryPulls>,
    ) -> Result<Slice<RepositoryPulls>, MetricsError> {
        self.in_time(Box::pin(async {
            if let Some(slice) = self.ask_sums(filter, page, repositories::of_sums).await? {
                return Ok(slice);
            }
            self.list(repositories::query(self.dialect(), filter, page), page, repositories::item).await
        }))
        .await
    }

    async fn images(&self, filter: &Filter, page: &Page<ImagePulls>) -> Result<Slice<ImagePulls>, MetricsError> {
        self.in_time(Box::pin(async {
            if let Some(slice) = self.ask_sums(filter, page, images::of_sums).await? {
                return Ok(slice);
            }
            self.list(images::query(self.dialect(), filter, page), page, images::item).await
        }))
        .await
    }

    async fn architectures(
        &self,
        filter: &Filter,
        page: &Page<ArchitecturePulls>,
    ) -> Result<Slice<ArchitecturePulls>, MetricsError> {
        self.in_time(Box::pin(async {
            if let Some(slice) = self.ask_sums(filter, page, architectures::of_sums).await? {
                return Ok(slice);
            }
            self.list(architectures::query(self.dialect(), filter, page), page, architectures::item).await
        }))
        .await
    }

    async fn tags(&self, filter: &Filter, page: &Page<TagPulls>) -> Result<Slice<TagPulls>, MetricsError> {
        self.in_time(Box::pin(async {
            if let Some(slice) = self.ask_sums(filter, page, tags::of_sums).await? {
                return Ok(slice);
            }
            self.list(tags::query(self.dialect(), filter, page), page, tags::item).await
        }))
        .await
    }

    async fn digests(&self, filter: &Filter, page: &Page<DigestPulls>) -> Result<Slice<DigestPulls>, MetricsError> {
        self.list(digests::query(self.dialect(), filter, page), page, digests::item).await
    }

    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        self.list(rows::query(self.dialect(), filter, page), page, |row| rows::item(row, filter.kind)).await
    }
}
