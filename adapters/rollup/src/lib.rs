//! Sums of the counts in memory, around any store that tells which days changed ([`VersionedMetrics`]): they answer
//! questions about all repositories. Why, and what they cost: `docs/adr/0003-rollups-in-memory.md`.
//!
//! [`Rollup`] is a decorator: it records nothing and keeps nothing for good, and whatever its sums do not hold or are not
//! made for (`answer::can_answer`) the store behind it answers. `sums` keeps the days and reads those that changed,
//! `day` packs one, `named` packs it with its names for the `shelf`, where days that are over are found by the
//! next start, `keys` gives numbers to names, `answer` is the one fold that answers every breakdown.

mod answer;
mod day;
mod day_sums;
mod keys;
mod named;
mod numbers;
mod shelf;
mod summary;
mod sums;

use std::{pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use staticreg_domain::{
    clock::Clock,
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPart, JournalPosition, TakeTurn},
    metrics::{
        Breakdown, BreakdownRow, Filter, Folded, MetricsError, MetricsReader, MetricsRepository, MetricsRow, Page,
        PullEvent, Recording, Slice, Summary, VersionedMetrics,
    },
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    day_sums::{DaySums, Needs},
    shelf::Shelf,
    sums::Sums,
};

/// How sums are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// About the most bytes the sums take; the earliest days that do not fit are left to the store.
    pub memory: usize,
    /// How long a question may take, whatever the store is asked to answer it.
    pub question_timeout: Duration,
}

/// A store whose questions about all repositories are answered from sums in memory.
pub struct Rollup {
    store: Arc<dyn VersionedMetrics>,
    sums: Arc<Sums>,
    question_timeout: Duration,
    /// Reads sums for as long as this is there.
    _reader: JoinSet<()>,
}

impl Rollup {
    /// Keeps sums of a store's counts, which are read in the background from now on.
    #[must_use]
    pub fn new(store: Arc<dyn VersionedMetrics>, clock: Arc<dyn Clock>, options: Options) -> Self {
        let (sums, mut reader) = (Arc::new(Sums::new(options.memory, Shelf::new(clock))), JoinSet::new());
        reader.spawn(Arc::clone(&sums).keep(Arc::clone(&store)));
        Self { store, sums, question_timeout: options.question_timeout, _reader: reader }
    }

    /// An answer of the sums, or of the store where they are not all there; of whichever has it first, as the store may take
    /// longer than the sums to be read. Sums that are put aside are waited for, as the store would take the processor that
    /// they are read with. One limit for all that is asked for it.
    async fn answer<T: Send + 'static>(
        &self,
        needs: Needs,
        question: impl Fn(&DaySums) -> T + Clone + Send + 'static,
        of_store: impl Future<Output = Result<T, MetricsError>>,
    ) -> Result<T, MetricsError> {
        let answer = async {
            let of_sums = async || self.sums.answer(&*self.store, needs, question.clone()).await;
            if let Some(answer) = of_sums().await? {
                return Ok(answer);
            }
            let taken = timeout(self.question_timeout / 2, self.sums.taken()).await;
            if taken.is_ok()
                && let Some(answer) = of_sums().await?
            {
                return Ok(answer);
            }
            let mut of_store = pin!(of_store);
            loop {
                tokio::select! {
                    answer = &mut of_store => return answer,
                    () = self.sums.caught_up() => {
                        if let Ok(Some(answer)) = of_sums().await {
                            return Ok(answer);
                        }
                    }
                }
            }
        };
        let late = |_| Err(MetricsError::Unavailable("no answer in time".into()));
        timeout(self.question_timeout, Box::pin(answer)).await.unwrap_or_else(late)
    }
}

#[async_trait]
impl MetricsReader for Rollup {
    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError> {
        let question = move |kept: &DaySums| summary::of_sums(kept, today);
        self.answer(Needs::ALL_TOTALS, question, self.store.summary(today)).await
    }

    async fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError> {
        let of_store = self.store.breakdown(breakdown);
        if !answer::can_answer(breakdown) {
            return of_store.await;
        }
        let needs = Needs { dates: breakdown.dates(), kind: breakdown.kind(), detail: answer::detail(breakdown) };
        let asked = breakdown.clone();
        let question = move |kept: &DaySums| kept.breakdown(&asked);
        self.answer(needs, question, async { of_store.await.map(Ok) }).await?
    }

    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        self.store.rows(filter, page).await
    }

    async fn folded(&self) -> Result<Folded, MetricsError> {
        self.store.folded().await
    }
}

#[async_trait]
impl MetricsRepository for Rollup {
    async fn record(&self, batch: &[PullEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        self.store.record(batch, now).await
    }

    async fn append(&self, batch: &JournalBatch, now: DateTime<Utc>) -> Result<Appended, MetricsError> {
        self.store.append(batch, now).await
    }

    async fn append_in_turn(
        &self,
        behind: Option<JournalPosition>,
        events: &[EventStamp],
        batch: &mut dyn TakeTurn,
        now: DateTime<Utc>,
    ) -> Result<Appended, MetricsError> {
        self.store.append_in_turn(behind, events, batch, now).await
    }

    async fn journal(
        &self,
        behind: Option<JournalPosition>,
        at_most: u32,
        now: DateTime<Utc>,
    ) -> Result<JournalPart, MetricsError> {
        self.store.journal(behind, at_most, now).await
    }

    async fn forget_journal(
        &self,
        older_than: TimeDelta,
        at_most: u32,
        now: DateTime<Utc>,
    ) -> Result<u64, MetricsError> {
        self.store.forget_journal(older_than, at_most, now).await
    }

    async fn archive_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        self.store.archive_ids(recorded_before, at_most).await
    }

    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        self.store.forget_ids(recorded_before, at_most).await
    }

    async fn fold_changes(&self, at_most: u32) -> Result<u64, MetricsError> {
        self.store.fold_changes(at_most).await
    }

    async fn keep_by_month(&self, folded: Folded) -> Result<(), MetricsError> {
        self.store.keep_by_month(folded).await
    }

    async fn day_to_fold(&self, after: Option<NaiveDate>) -> Result<Option<NaiveDate>, MetricsError> {
        self.store.day_to_fold(after).await
    }

    async fn fold_day(&self, day: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        self.store.fold_day(day, at_most).await
    }

    async fn forget_counts(&self, before: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        self.store.forget_counts(before, at_most).await
    }

    async fn check(&self) -> Result<(), MetricsError> {
        self.store.check().await
    }
}

/// Runs what takes long enough to keep others waiting beside them.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
