//! The port's mock.
#![expect(missing_docs, reason = "its methods are the port's")]

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::{
    Breakdown, BreakdownRow, Filter, Folded, MetricsError, MetricsReader, MetricsRepository, MetricsRow, Page,
    PullEvent, Recording, Slice, Summary,
};
use crate::{
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPart, JournalPosition, TakeTurn, Turn},
};

mockall::mock! {
    /// A store that does as it is told, for failures and for "was called so". `turn` answers what is known when it is a
    /// server's turn; the batch that follows goes to `append`.
    pub MetricsRepository {
        pub fn record(&self, batch: &[PullEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError>;
        pub fn append(&self, batch: &JournalBatch, now: DateTime<Utc>) -> Result<Appended, MetricsError>;
        pub fn turn(&self, behind: Option<JournalPosition>, events: &[EventStamp]) -> Result<Turn, MetricsError>;
        pub fn journal(&self, behind: Option<JournalPosition>, at_most: u32) -> Result<JournalPart, MetricsError>;
        pub fn forget_journal(&self, older_than: TimeDelta, at_most: u32) -> Result<u64, MetricsError>;
        pub fn archive_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError>;
        pub fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError>;
        pub fn fold_changes(&self, at_most: u32) -> Result<u64, MetricsError>;
        pub fn keep_by_month(&self, folded: Folded) -> Result<(), MetricsError>;
        pub fn day_to_fold(&self, after: Option<NaiveDate>) -> Result<Option<NaiveDate>, MetricsError>;
        pub fn fold_day(&self, day: NaiveDate, at_most: u32) -> Result<u64, MetricsError>;
        pub fn forget_counts(&self, before: NaiveDate, at_most: u32) -> Result<u64, MetricsError>;
        pub fn check(&self) -> Result<(), MetricsError>;
    }

    #[async_trait]
    impl MetricsReader for MetricsRepository {
        async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError>;
        async fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError>;
        async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError>;
        async fn folded(&self) -> Result<Folded, MetricsError>;
    }
}

#[async_trait]
impl MetricsRepository for MockMetricsRepository {
    async fn record(&self, batch: &[PullEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        self.record(batch, now)
    }

    async fn append(&self, batch: &JournalBatch, now: DateTime<Utc>) -> Result<Appended, MetricsError> {
        self.append(batch, now)
    }

    async fn append_in_turn(
        &self,
        behind: Option<JournalPosition>,
        events: &[EventStamp],
        batch: &mut dyn TakeTurn,
        now: DateTime<Utc>,
    ) -> Result<Appended, MetricsError> {
        match batch.take_turn(self.turn(behind, events)?) {
            Some(batch) => self.append(&batch, now),
            None => Ok(Appended::Stored),
        }
    }

    async fn journal(
        &self,
        behind: Option<JournalPosition>,
        at_most: u32,
        _now: DateTime<Utc>,
    ) -> Result<JournalPart, MetricsError> {
        self.journal(behind, at_most)
    }

    async fn forget_journal(
        &self,
        older_than: TimeDelta,
        at_most: u32,
        _now: DateTime<Utc>,
    ) -> Result<u64, MetricsError> {
        self.forget_journal(older_than, at_most)
    }

    async fn archive_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        self.archive_ids(recorded_before, at_most)
    }

    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        self.forget_ids(recorded_before, at_most)
    }

    async fn fold_changes(&self, at_most: u32) -> Result<u64, MetricsError> {
        self.fold_changes(at_most)
    }

    async fn keep_by_month(&self, folded: Folded) -> Result<(), MetricsError> {
        self.keep_by_month(folded)
    }

    async fn day_to_fold(&self, after: Option<NaiveDate>) -> Result<Option<NaiveDate>, MetricsError> {
        self.day_to_fold(after)
    }

    async fn fold_day(&self, day: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        self.fold_day(day, at_most)
    }

    async fn forget_counts(&self, before: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        self.forget_counts(before, at_most)
    }

    async fn check(&self) -> Result<(), MetricsError> {
        self.check()
    }
}
