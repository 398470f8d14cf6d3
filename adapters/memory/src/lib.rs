//! `MetricsRepository` in memory: the store when no database is configured.
//!
//! Counts live until the program ends. The memory is bounded: past a number of rows the oldest dates go first, past a
//! number of event ids the oldest ids; a name is kept once however many rows hold it. A question walks over the rows of
//! its dates, on a thread that nobody else waits for, in a snapshot that keeps nobody from recording; all breakdowns are
//! one fold, in `question.rs`.

mod chunked;
mod counts;
mod ids;
mod names;
mod question;
mod snapshot;

use std::{num::NonZeroUsize, sync::Arc, thread::available_parallelism, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use parking_lot::Mutex;
use staticreg_domain::metrics::{
    AccessKind, Breakdown, BreakdownRow, Filter, MetricsError, MetricsReader, MetricsRepository, MetricsRow, Page,
    PullEvent, Recording, Slice, Summary,
};

use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::{counts::Counts, ids::Ids, snapshot::Snapshot};

/// How many event ids are remembered at most: at the fastest load, far longer than a registry takes to repeat an event.
const MAX_IDS: usize = 500_000;

/// How many questions are answered at once at most: each may hold a group for every row.
const MAX_ASKERS: usize = 4;

/// How long a question may take, and wait for its turn; as long as with a database.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Counts in memory.
#[derive(Debug)]
pub struct MemoryMetrics {
    store: Mutex<Store>,
    /// No more questions are answered at once than there are processors; more would only keep others from these.
    askers: Arc<Semaphore>,
}

#[derive(Debug)]
struct Store {
    counts: Counts,
    ids: Ids,
}

impl MemoryMetrics {
    /// An empty store of at most so many rows; past that the oldest dates go first.
    #[must_use]
    pub fn new(max_rows: usize) -> Self {
        Self {
            store: Mutex::new(Store { counts: Counts::new(max_rows), ids: Ids::new(MAX_IDS) }),
            askers: Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_ASKERS))),
        }
    }

    /// Answers a question in its time. One that waits holds nothing.
    async fn ask<A: Send + 'static>(
        &self,
        snapshot: impl FnOnce(&Counts) -> Snapshot,
        answer: impl FnOnce(&Snapshot) -> A + Send + 'static,
    ) -> Result<A, MetricsError> {
        let answered = timeout(QUESTION_TIMEOUT, async {
            let turn = Arc::clone(&self.askers).acquire_owned().await;
            let turn = turn.map_err(|closed| MetricsError::Unavailable(closed.into()))?;
            let snapshot = snapshot(&self.store.lock().counts);
            let answering = spawn_blocking(move || {
                // Kept to the end, also when nobody waits for the answer any more.
                let _turn = turn;
                answer(&snapshot)
            });
            answering.await.map_err(|failed| match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(cancelled) => MetricsError::Unavailable(cancelled.into()),
            })
        });
        answered.await.unwrap_or_else(|_| Err(MetricsError::Unavailable("no answer in time".into())))
    }
}

#[async_trait]
impl MetricsRepository for MemoryMetrics {
    async fn record(&self, batch: &[PullEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        let mut store = self.store.lock();
        let Store { counts, ids } = &mut *store;
        let recordings = ids.sort_out(batch);
        let new = batch.iter().zip(&recordings).filter(|(_, recording)| **recording == Recording::Counted);
        let new = new.map(|(event, _)| event);
        counts.add(new.clone())?;
        ids.remember(new.clone().map(|event| event.id), now);
        drop(store);
        // The line is for those who look for it: counted it is, but saved nowhere.
        for _ in new.flat_map(|event| event.added(AccessKind::PullByTag)) {
            tracing::debug!("Skipping pull event save: Database pool is not active.");
        }
        Ok(recordings)
    }

    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        Ok(self.store.lock().ids.forget(recorded_before, at_most))
    }

    async fn check(&self) -> Result<(), MetricsError> {
        Ok(())
    }
}

#[async_trait]
impl MetricsReader for MemoryMetrics {
    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError> {
        self.ask(Counts::all, move |counts| question::summary(counts, today)).await
    }

    async fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError> {
        let (kind, breakdown) = (breakdown.kind(), breakdown.clone());
        let filter = breakdown.filter.clone();
        self.ask(move |counts| counts.matching(&filter, kind), move |counts| question::breakdown(counts, &breakdown))
            .await
    }

    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        let page = page.clone();
        self.ask(|counts| counts.matching(filter, Some(filter.kind)), move |counts| question::rows(counts, &page)).await
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::metrics::DateRange;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_its_turn_only_so_long() {
        let store = MemoryMetrics::new(1);
        let page = Page::first(1);
        let filter = Filter::of_dates(DateRange::EVER);
        let turns = u32::try_from(store.askers.available_permits()).expect("few");
        let others = store.askers.acquire_many(turns).await.expect("it stays open");
        let late = store.rows(&filter, &page).await;
        assert!(matches!(late, Err(MetricsError::Unavailable(_))), "{late:?}");
        drop(others);
        assert_eq!(store.rows(&filter, &page).await.expect("a turn").items, []);
    }
}
