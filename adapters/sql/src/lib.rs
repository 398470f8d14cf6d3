//! `MetricsRepository` on PostgreSQL and SQLite, one schema on both.
//!
//! What is the same on both databases is shared: how a batch is made ready (`batch.rs`), what an error means
//! (`error.rs`) and the questions (`question/`, one file each). What differs has a folder per database: connecting and
//! recording. A new question is a file in `question/` and a method here; the schema is the crate `migration`.

mod batch;
mod error;
mod options;
mod postgres;
mod query;
mod question;
pub mod spool;
mod sqlite;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{DbErr, sqlx};
use staticreg_domain::metrics::{
    ArchitecturePulls, CountedEvent, DayPulls, DigestPulls, Filter, ImagePulls, Listed, MetricsError,
    MetricsRepository, MetricsRow, Page, PullGroup, Recording, RepositoryPulls, Slice, Summary, TagPulls,
};

use crate::{
    options::Place,
    postgres::PostgresMetrics,
    query::{Dialect, Query, Row},
    question::{architectures, digests, images, pulls, repositories, rows, summary, tags},
    sqlite::SqliteMetrics,
};

pub use options::{DatabaseUrl, InvalidDatabaseUrl, InvalidSchemaName, Options, SchemaName};

/// The pull metrics in a database.
#[derive(Debug)]
pub struct SqlMetrics(Backend);

#[derive(Debug)]
enum Backend {
    Postgres(Box<PostgresMetrics>),
    Sqlite(SqliteMetrics),
}

/// Why a database could not be opened. It may be possible later.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It could not be reached, or refused the user.
    #[error("cannot connect: {0}")]
    Connect(#[source] sqlx::Error),
    /// It did not answer in time.
    #[error("cannot connect: no answer in time")]
    TimedOut,
    /// The schema could not be brought up to date.
    #[error("cannot bring the schema up to date: {0}")]
    Migrate(#[source] DbErr),
}

impl SqlMetrics {
    /// Connects and brings the schema up to date; servers that do so at once wait for each other.
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        Ok(Self(match &options.url.0 {
            Place::Postgres(place) => Backend::Postgres(Box::new(PostgresMetrics::open(place, options).await?)),
            Place::Sqlite(place) => Backend::Sqlite(SqliteMetrics::open(place, options).await?),
        }))
    }

    fn dialect(&self) -> Dialect {
        match self.0 {
            Backend::Postgres(_) => Dialect::Postgres,
            Backend::Sqlite(_) => Dialect::Sqlite,
        }
    }

    async fn ask(&self, query: Query) -> Result<Vec<Row>, MetricsError> {
        match &self.0 {
            Backend::Postgres(postgres) => postgres.ask(query).await,
            Backend::Sqlite(sqlite) => sqlite.ask(query).await,
        }
    }

    async fn list<T: Listed>(
        &self,
        query: Query,
        page: &Page<T>,
        item: impl Fn(&Row) -> Result<T, MetricsError>,
    ) -> Result<Slice<T>, MetricsError> {
        let rows = self.ask(query).await?;
        let items: Result<_, _> = rows.iter().map(item).collect();
        Ok(Slice::of(items?, page.limit))
    }
}

#[async_trait]
impl MetricsRepository for SqlMetrics {
    async fn record(&self, batch: &[CountedEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        match &self.0 {
            Backend::Postgres(postgres) => postgres.record(batch, now).await,
            Backend::Sqlite(sqlite) => sqlite.record(batch, now).await,
        }
    }

    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        match &self.0 {
            Backend::Postgres(postgres) => postgres.forget_ids(recorded_before, at_most).await,
            Backend::Sqlite(sqlite) => sqlite.forget_ids(recorded_before, at_most).await,
        }
    }

    async fn check(&self) -> Result<(), MetricsError> {
        match &self.0 {
            Backend::Postgres(postgres) => postgres.check().await,
            Backend::Sqlite(sqlite) => sqlite.check().await,
        }
    }

    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError> {
        let pulls = self.ask(summary::pulls_query(self.dialect(), today)).await?;
        let accesses = self.ask(summary::accesses_query(self.dialect(), today)).await?;
        summary::answer(&pulls, &accesses)
    }

    async fn pulls(
        &self,
        filter: &Filter,
        group: Option<PullGroup>,
        page: &Page<DayPulls>,
    ) -> Result<Slice<DayPulls>, MetricsError> {
        let query = pulls::query(self.dialect(), filter, group, page);
        self.list(query, page, |row| pulls::item(row, group)).await
    }

    async fn repositories(
        &self,
        filter: &Filter,
        page: &Page<RepositoryPulls>,
    ) -> Result<Slice<RepositoryPulls>, MetricsError> {
        self.list(repositories::query(self.dialect(), filter, page), page, repositories::item).await
    }

    async fn images(&self, filter: &Filter, page: &Page<ImagePulls>) -> Result<Slice<ImagePulls>, MetricsError> {
        self.list(images::query(self.dialect(), filter, page), page, images::item).await
    }

    async fn architectures(
        &self,
        filter: &Filter,
        page: &Page<ArchitecturePulls>,
    ) -> Result<Slice<ArchitecturePulls>, MetricsError> {
        self.list(architectures::query(self.dialect(), filter, page), page, architectures::item).await
    }

    async fn tags(&self, filter: &Filter, page: &Page<TagPulls>) -> Result<Slice<TagPulls>, MetricsError> {
        self.list(tags::query(self.dialect(), filter, page), page, tags::item).await
    }

    async fn digests(&self, filter: &Filter, page: &Page<DigestPulls>) -> Result<Slice<DigestPulls>, MetricsError> {
        self.list(digests::query(self.dialect(), filter, page), page, digests::item).await
    }

    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        self.list(rows::query(self.dialect(), filter, page), page, |row| rows::item(row, filter.kind)).await
    }
}
