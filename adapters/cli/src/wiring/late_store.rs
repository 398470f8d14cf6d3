//! A store that may not be there yet.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use staticreg_domain::{
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPart, JournalPosition, TakeTurn},
    metrics::{
        Breakdown, BreakdownRow, Filter, MetricsError, MetricsReader, MetricsRepository, MetricsRow, Page, PullEvent,
        Recording, Slice, Summary,
    },
};

/// Passes every call on to the store once it is there; unavailable until then.
#[derive(Default)]
pub(crate) struct LateStore(OnceLock<Arc<dyn MetricsRepository>>);

impl LateStore {
    /// The store is there. It takes no other's place.
    pub(crate) fn arrive(&self, store: Arc<dyn MetricsRepository>) {
        // A second store would be a second connection to the same database; the first serves as well.
        let _ = self.0.set(store);
    }

    fn store(&self) -> Result<&dyn MetricsRepository, MetricsError> {
        self.0.get().map(AsRef::as_ref).ok_or_else(|| MetricsError::Unavailable("the database is not connected".into()))
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
}
