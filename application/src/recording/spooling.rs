//! Events wait in the spool while the store is away, and are replayed when it is back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use staticreg_domain::{
    ManifestAccess,
    error::describe,
    journal::JournalEntry,
    spool::{EventSpool, SpoolError, SpoolPosition},
};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    time::{sleep, timeout},
};

use super::{
    batches::{BatchSize, Batches, Recorded},
    ledger::Ledger,
};

/// The pause before the store is tried again.
const REPLAY_PAUSE: Duration = Duration::from_millis(500);

/// The pause before it is tried again to remove replayed events.
const REMOVAL_PAUSE: Duration = Duration::from_secs(10);

/// How many events are replayed in one call of the store.
const REPLAY_BATCH: usize = 1_000;

/// The spool and whether it is in use. While events wait in it new ones go behind them, so that a store that is away
/// or frozen delays nobody and events are replayed in their order.
///
/// A spool that cannot be written (its disk is full) can still be read: what is stored stays in it until it can be
/// removed, and waits no longer.
pub struct Spooling {
    spool: Arc<dyn EventSpool>,
    active: AtomicBool,
    waiting: AtomicU64,
    /// Whether replayed events are still in the spool.
    leftover: AtomicBool,
    spooled: Notify,
    /// Held while what waits is changed and counted, so that nobody takes an old count for the newest.
    changing: AsyncMutex<Replayed>,
    ledger: Ledger,
}

/// The events that are stored and could not be removed yet.
#[derive(Clone, Copy, Default)]
struct Replayed {
    through: SpoolPosition,
    events: u64,
}

impl Spooling {
    /// Starts with what waits in the spool since the last run.
    pub async fn new(spool: Arc<dyn EventSpool>) -> Result<Self, SpoolError> {
        let waiting = spool.waiting().await?;
        let ledger = Ledger::default();
        ledger.spool_holds(waiting);
        Ok(Self {
            spool,
            active: AtomicBool::new(waiting > 0),
            waiting: AtomicU64::new(waiting),
            leftover: AtomicBool::new(false),
            spooled: Notify::new(),
            changing: AsyncMutex::new(Replayed::default()),
            ledger,
        })
    }

    /// How many events wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The balance, which begins with what waits.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether it holds nothing, not even events that were stored and could not be removed. Only then can no restart
    /// replay an event again.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting() == 0 && !self.is_active() && !self.leftover.load(Ordering::Relaxed)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Writes what was told into the spool. What was learnt of indexes is not worth it: it can be asked again.
    pub(super) async fn spool(&self, entries: &[JournalEntry]) -> Result<Vec<Recorded>, SpoolError> {
        let accesses: Vec<_> = entries.iter().filter_map(JournalEntry::access).cloned().collect();
        let changing = self.changing.lock().await;
        let appended = self.spool.append(&accesses).await;
        match &appended {
            Ok(()) => self.ledger.spooled(accesses.len()),
            Err(error) => {
                tracing::error!(events = accesses.len(), error = describe(error), "The spool does not take events");
            }
        }
        self.count_waiting(&changing).await;
        drop(changing);
        self.spooled.notify_one();
        let recorded =
            |entry: &JournalEntry| if entry.access().is_some() { Recorded::Spooled } else { Recorded::Refused };
        appended.map(|()| entries.iter().map(recorded).collect())
    }

    /// Replays what waits, for ever.
    pub(super) async fn replay(&self, batches: &AsyncMutex<Batches>) {
        let mut size = BatchSize::at_most(REPLAY_BATCH);
        loop {
            if !self.is_active() {
                if self.leftover.load(Ordering::Relaxed) {
                    // An error is the end of the pause.
                    let _ = timeout(REMOVAL_PAUSE, self.spooled.notified()).await;
                    self.remove_replayed(&mut *self.changing.lock().await).await;
                } else {
                    self.spooled.notified().await;
                }
                continue;
            }
            if self.replay_oldest(batches, size.now()).await {
                size.grow();
            } else {
                size.shrink();
                sleep(REPLAY_PAUSE).await;
            }
        }
    }

    /// Moves the oldest events to the store; false when that did not succeed.
    async fn replay_oldest(&self, batches: &AsyncMutex<Batches>, at_most: usize) -> bool {
        let through = self.changing.lock().await.through;
        let Some(oldest) = self.oldest(through, at_most).await else { return false };
        if oldest.is_empty() {
            return self.end_replay().await;
        }
        let (positions, mut entries): (Vec<_>, Vec<_>) =
            oldest.into_iter().map(|(position, access)| (position, JournalEntry::Access(access))).unzip();
        let mut recorded = Vec::with_capacity(entries.len());
        let all = batches.lock().await.record(&mut entries, &mut recorded).await.is_ok();
        let Some(last) = recorded.len().checked_sub(1).map(|last| positions[last]) else { return false };
        // Killed before this line, the events are replayed again, and their ids keep them from counting twice.
        let mut replayed = self.changing.lock().await;
        self.ledger.replayed(&recorded);
        *replayed = Replayed { through: last, events: replayed.events + recorded.len() as u64 };
        self.remove_replayed(&mut replayed).await;
        self.count_waiting(&replayed).await;
        drop(replayed);
        tracing::info!(events = recorded.len(), waiting = self.waiting(), "Spooled events stored");
        all
    }

    /// Nothing waits any more, unless something came just now; false when that cannot be told.
    async fn end_replay(&self) -> bool {
        let mut replayed = self.changing.lock().await;
        match self.oldest(replayed.through, 1).await {
            Some(oldest) if oldest.is_empty() => {
                if let Ok(left) = self.spool.waiting().await {
                    replayed.events = left;
                }
                self.waiting.store(0, Ordering::Relaxed);
                self.ledger.spool_holds(0);
                self.active.store(false, Ordering::Release);
                true
            }
            oldest => oldest.is_some(),
        }
    }

    async fn oldest(&self, after: SpoolPosition, at_most: usize) -> Option<Vec<(SpoolPosition, ManifestAccess)>> {
        match self.spool.oldest(after, u32::try_from(at_most).unwrap_or(u32::MAX)).await {
            Ok(oldest) => Some(oldest),
            Err(error) => {
                tracing::error!(error = describe(&error), "The spool cannot be read");
                None
            }
        }
    }

    /// Removes what is stored. When that fails it stays, and the replay goes on behind it.
    async fn remove_replayed(&self, replayed: &mut Replayed) {
        let left = match self.spool.remove_through(replayed.through).await {
            Ok(()) => {
                replayed.events = 0;
                false
            }
            Err(error) => {
                // Once: it may be long until somebody makes room.
                if !self.leftover.load(Ordering::Relaxed) {
                    tracing::error!(
                        error = describe(&error),
                        "Stored events cannot be removed from the spool; it is tried again"
                    );
                }
                true
            }
        };
        self.leftover.store(left, Ordering::Relaxed);
    }

    /// Counts what waits. When it cannot be counted, something may.
    async fn count_waiting(&self, replayed: &Replayed) {
        match self.spool.waiting().await {
            Ok(held) => {
                let waiting = held.saturating_sub(replayed.events);
                self.waiting.store(waiting, Ordering::Relaxed);
                self.ledger.spool_holds(waiting);
                self.active.store(waiting > 0, Ordering::Release);
            }
            Err(error) => {
                tracing::error!(error = describe(&error), "The spool cannot be read");
                self.active.store(true, Ordering::Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use chrono::DateTime;
    use staticreg_domain::{
        Clock, EventId, PullEvent,
        clock::MockClock,
        counting::Tagged,
        metrics::{MetricsError, MetricsRepository, MockMetricsRepository, Recording},
        spool::{MockEventSpool, SpoolPosition},
    };
    use uuid::Uuid;

    use super::*;
    use crate::recording::{Balance, RecordError, Recorded, Recorder, RecorderOptions, testing};

    /// Where an event stands: it has its number.
    fn position(event: &ManifestAccess) -> SpoolPosition {
        SpoolPosition(i64::try_from(event.id.as_uuid().as_u128()).unwrap())
    }

    /// A spool that holds events in memory.
    fn spool(waiting: &Arc<Mutex<Vec<ManifestAccess>>>) -> Arc<dyn EventSpool> {
        spool_on_disk(waiting, &Arc::default())
    }

    /// A spool that holds events in memory and cannot remove them while its disk is full.
    fn spool_on_disk(waiting: &Arc<Mutex<Vec<ManifestAccess>>>, is_full: &Arc<AtomicBool>) -> Arc<dyn EventSpool> {
        let is_full = Arc::clone(is_full);
        let mut spool = MockEventSpool::new();
        let events = Arc::clone(waiting);
        spool.expect_append().returning(move |batch| {
            events.lock().extend_from_slice(batch);
            Ok(())
        });
        let events = Arc::clone(waiting);
        spool.expect_oldest().returning(move |after, at_most| {
            let events = events.lock();
            let behind = events.iter().map(|event| (position(event), event.clone())).filter(|(at, _)| *at > after);
            Ok(behind.take(at_most as usize).collect())
        });
        let events = Arc::clone(waiting);
        spool.expect_remove_through().returning(move |last| {
            if is_full.load(Ordering::Relaxed) {
                return Err(SpoolError::Unavailable("the disk is full".into()));
            }
            events.lock().retain(|event| position(event) > last);
            Ok(())
        });
        let events = Arc::clone(waiting);
        spool.expect_waiting().returning(move || Ok(events.lock().len() as u64));
        Arc::new(spool)
    }

    /// A store that is away until told otherwise, and what it stored.
    fn store(is_there: &Arc<AtomicBool>, stored: &Arc<Mutex<Vec<EventId>>>) -> Arc<dyn MetricsRepository> {
        let (is_there, stored) = (Arc::clone(is_there), Arc::clone(stored));
        let mut store = MockMetricsRepository::new();
        store.expect_record().returning(move |batch, _now| {
            if !is_there.load(Ordering::Relaxed) {
                return Err(MetricsError::Unavailable("away".into()));
            }
            stored.lock().extend(batch.iter().map(|event| event.id));
            Ok(vec![Recording::Counted; batch.len()])
        });
        Arc::new(store)
    }

    fn clock() -> Arc<dyn Clock> {
        let mut clock = MockClock::new();
        clock.expect_now().return_const(DateTime::UNIX_EPOCH);
        Arc::new(clock)
    }

    fn access(number: u128) -> ManifestAccess {
        testing::access(Uuid::from_u128(number).into())
    }

    fn counted(number: u128) -> Vec<Recorded> {
        vec![Recorded::Counted(PullEvent::by_tag(&access(number)).unwrap())]
    }

    fn ids(numbers: impl IntoIterator<Item = u128>) -> Vec<EventId> {
        numbers.into_iter().map(|number| access(number).id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn events_wait_while_the_store_is_away_and_are_replayed_in_their_order() {
        let (is_there, stored, waiting) = (Arc::default(), Arc::default(), Arc::default());
        let store = store(&is_there, &stored);
        let spooling = Arc::new(Spooling::new(spool(&waiting)).await.unwrap());
        let options = RecorderOptions {
            batch_size: 10,
            buffer_size: 10,
            flush_interval: Duration::ZERO,
            patience: Duration::from_secs(3),
        };
        let (recorder, writer) =
            Recorder::new(store, Box::new(Tagged), None, Some(Arc::clone(&spooling)), clock(), options);
        tokio::spawn(writer.replay().unwrap().run());
        tokio::spawn(writer.run());

        for number in 1..4 {
            assert_eq!(recorder.record(vec![access(number)]).await, Ok(vec![Recorded::Spooled]));
        }
        assert_eq!(spooling.waiting(), 3);
        assert_eq!(recorder.balance(), Balance { received: 3, waiting: 3, ..Balance::default() });
        is_there.store(true, Ordering::Relaxed);
        sleep(REPLAY_PAUSE * 3).await;
        assert_eq!(spooling.waiting(), 0);
        assert_eq!(*stored.lock(), ids(1..4));

        assert_eq!(recorder.record(vec![access(4)]).await, Ok(counted(4)), "nothing waits any more");
        assert_eq!(recorder.balance(), Balance { received: 4, counted: 4, ..Balance::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_before_a_restart_is_replayed() {
        let waiting = Arc::new(Mutex::new(vec![access(1), access(2)]));
        let (is_there, stored) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let spooling = Arc::new(Spooling::new(spool(&waiting)).await.unwrap());
        assert_eq!(spooling.waiting(), 2);
        let options =
            RecorderOptions { batch_size: 1, buffer_size: 1, flush_interval: Duration::ZERO, patience: REPLAY_PAUSE };
        let store = store(&is_there, &stored);
        let (recorder, writer) =
            Recorder::new(store, Box::new(Tagged), None, Some(Arc::clone(&spooling)), clock(), options);
        let replayed = writer.replay().unwrap().run();
        tokio::time::timeout(Duration::from_secs(1), replayed).await.expect_err("replays for ever");
        assert_eq!(*stored.lock(), ids(1..3));
        assert_eq!(spooling.waiting(), 0);
        assert_eq!(recorder.balance(), Balance { received: 2, counted: 2, ..Balance::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn a_spool_that_cannot_remove_what_is_stored_goes_on_behind_it_and_removes_it_later() {
        const EVENTS: u128 = 2 * REPLAY_BATCH as u128 + 500;
        let held = Arc::new(Mutex::new((1..=EVENTS).map(access).collect::<Vec<_>>()));
        let is_full = Arc::new(AtomicBool::new(true));
        let (is_there, stored) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Vec<EventId>>>::default());
        let store = store(&is_there, &stored);
        let spooling = Arc::new(Spooling::new(spool_on_disk(&held, &is_full)).await.unwrap());
        let options = RecorderOptions {
            batch_size: 10,
            buffer_size: 10,
            flush_interval: Duration::ZERO,
            patience: Duration::from_secs(3),
        };
        let (recorder, writer) =
            Recorder::new(store, Box::new(Tagged), None, Some(Arc::clone(&spooling)), clock(), options);
        tokio::spawn(writer.replay().unwrap().run());
        tokio::spawn(writer.run());

        let mut expected = ids(1..=EVENTS);
        sleep(REPLAY_PAUSE).await;
        assert_eq!(*stored.lock(), expected, "each once, in their order");
        assert_eq!(spooling.waiting(), 0);
        assert!(!spooling.is_empty(), "a restart would replay them, so their ids must not be forgotten");

        assert_eq!(recorder.record(vec![access(EVENTS + 1)]).await, Ok(counted(EVENTS + 1)), "nothing waits");
        is_there.store(false, Ordering::Relaxed);
        assert_eq!(recorder.record(vec![access(EVENTS + 2)]).await, Ok(vec![Recorded::Spooled]));
        assert_eq!(spooling.waiting(), 1);
        is_there.store(true, Ordering::Relaxed);
        sleep(REPLAY_PAUSE * 3).await;
        expected.extend(ids([EVENTS + 1, EVENTS + 2]));
        assert_eq!(*stored.lock(), expected, "none again");
        assert_eq!(spooling.waiting(), 0);

        is_full.store(false, Ordering::Relaxed);
        sleep(REMOVAL_PAUSE * 2).await;
        assert!(held.lock().is_empty());
        assert!(spooling.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_ends_the_trouble_with_the_store() {
        let (is_there, stored, held) = (Arc::default(), Arc::default(), Arc::default());
        let store = store(&is_there, &stored);
        let spooling = Arc::new(Spooling::new(spool(&held)).await.unwrap());
        let options =
            RecorderOptions { batch_size: 1, buffer_size: 1, flush_interval: Duration::ZERO, patience: REPLAY_PAUSE };
        let (recorder, writer) =
            Recorder::new(store, Box::new(Tagged), None, Some(Arc::clone(&spooling)), clock(), options);
        let replay = writer.replay().unwrap();
        tokio::spawn(writer.run());
        assert_eq!(recorder.record(vec![access(1)]).await, Ok(vec![Recorded::Spooled]));
        assert!(recorder.trouble().is_failing());
        tokio::spawn(replay.run());
        is_there.store(true, Ordering::Relaxed);
        sleep(REPLAY_PAUSE * 3).await;
        assert!(!recorder.trouble().is_failing());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_spool_leaves_the_events_to_the_registry() {
        let mut full = MockEventSpool::new();
        full.expect_append().returning(|_| Err(SpoolError::Full));
        full.expect_waiting().returning(|| Ok(5));
        let spooling = Spooling::new(Arc::new(full)).await.unwrap();
        assert!(matches!(spooling.spool(&[JournalEntry::Access(access(1))]).await, Err(SpoolError::Full)));
        assert!(spooling.is_active());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_spool_keeps_no_events_from_a_store_that_is_back() {
        let mut full = MockEventSpool::new();
        full.expect_append().returning(|_| Err(SpoolError::Full));
        full.expect_waiting().returning(|| Ok(5));
        let spooling = Arc::new(Spooling::new(Arc::new(full)).await.unwrap());
        let (is_there, stored) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let options = RecorderOptions {
            batch_size: 10,
            buffer_size: 10,
            flush_interval: Duration::ZERO,
            patience: Duration::from_secs(3),
        };
        let (recorder, writer) =
            Recorder::new(store(&is_there, &stored), Box::new(Tagged), None, Some(spooling), clock(), options);
        tokio::spawn(writer.run());
        assert_eq!(recorder.record(vec![access(1)]).await, Ok(counted(1)));
        is_there.store(false, Ordering::Relaxed);
        assert_eq!(recorder.record(vec![access(2)]).await, Err(RecordError::Unavailable));
    }
}
