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
mod running;
mod snapshot;

pub use running::MemoryRunning;

use std::{num::NonZeroUsize, sync::Arc, thread::available_parallelism, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use parking_lot::Mutex;
use staticreg_domain::{
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPart, JournalPosition, TakeTurn, Turn},
    metrics::{
        AccessKind, Breakdown, BreakdownRow, Filter, Folded, MetricsError, MetricsReader, MetricsRepository,
        MetricsRow, Page, PullEvent, Recording, Slice, Summary,
    },
};

use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use uuid::Uuid;

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
    folded: Folded,
    /// Where the journal ends. Its rows are not kept: nobody else writes any, and nothing outlives the program.
    journal: JournalPosition,
}

impl MemoryMetrics {
    /// An empty store of at most so many rows; past that the oldest dates go first.
    #[must_use]
    pub fn new(max_rows: usize) -> Self {
        Self {
            store: Mutex::new(Store {
                counts: Counts::new(max_rows),
                ids: Ids::new(MAX_IDS),
                folded: Folded::NOTHING,
                journal: JournalPosition { number: 0, batch: Uuid::nil() },
            }),
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

impl Store {
    fn add<'a>(
        &mut self,
        events: impl Iterator<Item = &'a PullEvent> + Clone,
        now: DateTime<Utc>,
    ) -> Result<(), MetricsError> {
        let new: Vec<PullEvent>;
        let moved = if events.clone().any(|event| Folded::may_matter_to(std::slice::from_ref(event), now)) {
            new = events.clone().cloned().collect();
            Some(self.folded.events(&new))
        } else {
            None
        };
        match moved {
            Some(moved) => {
                self.counts.fold_lowered(self.folded, moved.iter());
                self.counts.add(moved.iter())?;
            }
            None => self.counts.add(events.clone())?,
        }
        self.ids.remember(events.map(|event| event.id), now);
        Ok(())
    }

    fn append(&mut self, batch: &JournalBatch, now: DateTime<Utc>) -> Result<Appended, MetricsError> {
        let recordings = self.ids.sort_out(&batch.events);
        if batch.behind != self.journal || recordings.contains(&Recording::Duplicate) {
            return Ok(Appended::Conflict);
        }
        self.add(batch.events.iter(), now)?;
        self.journal = batch.position();
        Ok(Appended::Stored)
    }

    fn news(&self, behind: Option<JournalPosition>) -> JournalPart {
        JournalPart { continues: behind == Some(self.journal), rows: Vec::new() }
    }
}

/// The line is for those who look for it: counted it is, but saved nowhere.
fn tell_that_nothing_is_saved<'a>(events: impl Iterator<Item = &'a PullEvent>) {
    for _ in events.flat_map(|event| event.added(AccessKind::PullByTag)) {
        tracing::debug!("Skipping pull event save: Database pool is not active.");
    }
}

#[async_trait]
impl MetricsRepository for MemoryMetrics {
    async fn record(&self, batch: &[PullEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        let mut store = self.store.lock();
        let recordings = store.ids.sort_out(batch);
        let new = batch.iter().zip(&recordings).filter(|(_, recording)| **recording == Recording::Counted);
        let new = new.map(|(event, _)| event);
        store.add(new.clone(), now)?;
        drop(store);
        tell_that_nothing_is_saved(new);
        Ok(recordings)
    }

    async fn append(&self, batch: &JournalBatch, now: DateTime<Utc>) -> Result<Appended, MetricsError> {
        let appended = self.store.lock().append(batch, now)?;
        if appended == Appended::Stored {
            tell_that_nothing_is_saved(batch.events.iter());
        }
        Ok(appended)
    }

    async fn append_in_turn(
        &self,
        behind: Option<JournalPosition>,
        events: &[EventStamp],
        batch: &mut dyn TakeTurn,
        now: DateTime<Utc>,
    ) -> Result<Appended, MetricsError> {
        let mut store = self.store.lock();
        let news = store.news(behind);
        let recorded = events.iter().map(|event| event.id).filter(|id| store.ids.knows(*id)).collect();
        let Some(batch) = batch.take_turn(Turn { news, end: store.journal, recorded }) else {
            return Ok(Appended::Stored);
        };
        let appended = store.append(&batch, now)?;
        drop(store);
        tell_that_nothing_is_saved(batch.events.iter());
        Ok(appended)
    }

    async fn journal(
        &self,
        behind: Option<JournalPosition>,
        _at_most: u32,
        _now: DateTime<Utc>,
    ) -> Result<JournalPart, MetricsError> {
        Ok(self.store.lock().news(behind))
    }

    async fn forget_journal(
        &self,
        _older_than: TimeDelta,
        _at_most: u32,
        _now: DateTime<Utc>,
    ) -> Result<u64, MetricsError> {
        Ok(0)
    }

    async fn archive_ids(&self, _recorded_before: DateTime<Utc>, _at_most: u32) -> Result<u64, MetricsError> {
        Ok(0)
    }

    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        Ok(self.store.lock().ids.forget(recorded_before, at_most))
    }

    async fn fold_changes(&self, _at_most: u32) -> Result<u64, MetricsError> {
        Ok(0)
    }

    async fn keep_by_month(&self, folded: Folded) -> Result<(), MetricsError> {
        let mut store = self.store.lock();
        store.folded = store.folded.or(folded);
        Ok(())
    }

    async fn day_to_fold(&self, after: Option<NaiveDate>) -> Result<Option<NaiveDate>, MetricsError> {
        let store = self.store.lock();
        Ok(store.counts.day_to_fold(store.folded, after))
    }

    async fn fold_day(&self, day: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        let mut store = self.store.lock();
        let folded = store.folded;
        Ok(store.counts.fold_day(folded, day, at_most as usize))
    }

    async fn forget_counts(&self, before: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        Ok(self.store.lock().counts.forget(before, at_most as usize))
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
        let question = breakdown.clone();
        let filter = Filter { dates: breakdown.dates(), ..breakdown.filter.clone() };
        self.ask(
            |counts| counts.matching(&filter, breakdown.kinds()),
            move |counts| question::breakdown(counts, &question),
        )
        .await
    }

    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        let page = page.clone();
        self.ask(|counts| counts.matching(filter, filter.kinds()), move |counts| question::rows(counts, &page)).await
    }

    async fn folded(&self) -> Result<Folded, MetricsError> {
        Ok(self.store.lock().folded)
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
