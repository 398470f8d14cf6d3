//! A database that may not be there yet.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use staticreg_domain::{
    api_token::{ApiToken, ApiTokens, TokenHash},
    connection_pool::{ConnectionPool, PoolStats},
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPart, JournalPosition, TakeTurn},
    metrics::{
        Breakdown, BreakdownRow, Filter, Folded, MetricsError, MetricsReader, MetricsRepository, MetricsRow, Page,
        PullEvent, Recording, Slice, Summary,
    },
    running::{Running, RunningImages, SourceName},
};
use tokio::sync::SetOnce;

use super::store::Database;

/// Passes every call on to the database once it is there; unavailable until then.
#[derive(Default)]
pub(crate) struct LateStore(SetOnce<Database>);

impl LateStore {
    /// The database is there. It takes no other's place.
    pub(crate) fn arrive(&self, database: Database) {
        // A second one would be a second connection to the same database; the first serves as well.
        let _ = self.0.set(database);
    }

    fn database(&self) -> Result<&Database, MetricsError> {
        self.0.get().ok_or_else(|| MetricsError::Unavailable("the database is not connected".into()))
    }

    fn store(&self) -> Result<&dyn MetricsRepository, MetricsError> {
        self.database().map(|database| &*database.metrics)
    }

    fn store_to_save(&self) -> Result<&dyn MetricsRepository, MetricsError> {
        self.store().inspect_err(|_| tracing::debug!("Skipping pull event save: Database pool is not active."))
    }
}

#[async_trait]
impl MetricsRepository for LateStore {
    async fn record(&self, batch: &[PullEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        self.store_to_save()?.record(batch, now).await
    }

    async fn append(&self, batch: &JournalBatch, now: DateTime<Utc>) -> Result<Appended, MetricsError> {
        self.store_to_save()?.append(batch, now).await
    }

    async fn append_in_turn(
        &self,
        behind: Option<JournalPosition>,
        events: &[EventStamp],
        batch: &mut dyn TakeTurn,
        now: DateTime<Utc>,
    ) -> Result<Appended, MetricsError> {
        self.store_to_save()?.append_in_turn(behind, events, batch, now).await
    }

    async fn journal(
        &self,
        behind: Option<JournalPosition>,
        at_most: u32,
        now: DateTime<Utc>,
    ) -> Result<JournalPart, MetricsError> {
        // Who reads it is about to save.
        self.store_to_save()?.journal(behind, at_most, now).await
    }

    async fn forget_journal(
        &self,
        older_than: TimeDelta,
        at_most: u32,
        now: DateTime<Utc>,
    ) -> Result<u64, MetricsError> {
        self.store()?.forget_journal(older_than, at_most, now).await
    }

    async fn archive_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        self.store()?.archive_ids(recorded_before, at_most).await
    }

    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        self.store()?.forget_ids(recorded_before, at_most).await
    }

    async fn fold_changes(&self, at_most: u32) -> Result<u64, MetricsError> {
        self.store()?.fold_changes(at_most).await
    }

    async fn keep_by_month(&self, folded: Folded) -> Result<(), MetricsError> {
        self.store()?.keep_by_month(folded).await
    }

    async fn day_to_fold(&self, after: Option<NaiveDate>) -> Result<Option<NaiveDate>, MetricsError> {
        self.store()?.day_to_fold(after).await
    }

    async fn fold_day(&self, day: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        self.store()?.fold_day(day, at_most).await
    }

    async fn forget_counts(&self, before: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        self.store()?.forget_counts(before, at_most).await
    }

    async fn check(&self) -> Result<(), MetricsError> {
        self.store()?.check().await
    }
}

#[async_trait]
impl MetricsReader for LateStore {
    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError> {
        self.store()?.summary(today).await
    }

    async fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError> {
        self.store()?.breakdown(breakdown).await
    }

    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        self.store()?.rows(filter, page).await
    }

    async fn folded(&self) -> Result<Folded, MetricsError> {
        self.store()?.folded().await
    }
}

impl ConnectionPool for LateStore {
    fn stats(&self) -> Option<PoolStats> {
        self.0.get()?.pool.stats()
    }
}

#[async_trait]
impl ApiTokens for LateStore {
    /// Waits for the database: that it is not there is told already.
    async fn not_ended_by(&self, moment: DateTime<Utc>) -> Result<Vec<ApiToken>, MetricsError> {
        self.0.wait().await.tokens.not_ended_by(moment).await
    }

    async fn note_use(&self, hash: &TokenHash, at: DateTime<Utc>) -> Result<(), MetricsError> {
        self.database()?.tokens.note_use(hash, at).await
    }
}

#[async_trait]
impl RunningImages for LateStore {
    async fn replace(&self, told: &Running) -> Result<(), MetricsError> {
        self.database()?.running.replace(told).await
    }

    async fn sources(&self) -> Result<Vec<SourceName>, MetricsError> {
        self.database()?.running.sources().await
    }

    async fn all(&self) -> Result<Vec<Running>, MetricsError> {
        self.database()?.running.all().await
    }
}
