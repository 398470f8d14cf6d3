//! Events wait in the spool while the store is away, and are replayed when it is back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use staticreg_domain::{
    Clock,
    error::describe,
    metrics::{CountedEvent, MetricsRepository},
    spool::{EventSpool, SpoolError},
};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    time::sleep,
};

use crate::recorder::{BatchSize, Batches, Trouble};

/// The pause before the store is tried again.
const REPLAY_PAUSE: Duration = Duration::from_millis(500);

/// How many events are replayed in one call of the store.
const REPLAY_BATCH: usize = 1_000;

/// The spool and whether it is in use. While events wait in it new ones go behind them, so that a store that is away
/// or frozen delays nobody and events are replayed in their order.
pub struct Spooling {
    spool: Arc<dyn EventSpool>,
    active: AtomicBool,
    waiting: AtomicU64,
    spooled: Notify,
    /// Held while what waits is changed and counted, so that nobody takes an old count for the newest.
    changing: AsyncMutex<()>,
}

impl Spooling {
    /// Starts with what waits in the spool since the last run.
    pub async fn new(spool: Arc<dyn EventSpool>) -> Result<Self, SpoolError> {
        let waiting = spool.waiting().await?;
        Ok(Self {
            spool,
            active: AtomicBool::new(waiting > 0),
            waiting: AtomicU64::new(waiting),
            spooled: Notify::new(),
            changing: AsyncMutex::new(()),
        })
    }

    /// How many events wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    pub(crate) async fn spool(&self, events: &[CountedEvent]) -> Result<(), SpoolError> {
        let changing = self.changing.lock().await;
        let appended = self.spool.append(events).await;
        if let Err(error) = &appended {
            tracing::error!(events = events.len(), error = describe(error), "The spool does not take events");
        }
        self.count_waiting().await;
        drop(changing);
        self.spooled.notify_one();
        appended
    }

    /// Replays what waits, for ever.
    pub async fn replay(&self, store: Arc<dyn MetricsRepository>, clock: Arc<dyn Clock>) {
        let batches = Batches { store, clock, trouble: Trouble::default() };
        let mut size = BatchSize::at_most(REPLAY_BATCH);
        loop {
            if !self.is_active() {
                self.spooled.notified().await;
                continue;
            }
            if self.replay_oldest(&batches, size.now()).await {
                size.grow();
            } else {
                size.shrink();
                sleep(REPLAY_PAUSE).await;
            }
        }
    }

    /// Moves the oldest events to the store; false when that did not succeed.
    async fn replay_oldest(&self, batches: &Batches, at_most: usize) -> bool {
        let oldest = match self.spool.oldest(u32::try_from(at_most).unwrap_or(u32::MAX)).await {
            Ok(oldest) => oldest,
            Err(error) => {
                tracing::error!(error = describe(&error), "The spool cannot be read");
                return false;
            }
        };
        let Some(last) = oldest.last().map(|(position, _)| *position) else {
            let _changing = self.changing.lock().await;
            self.count_waiting().await;
            return true;
        };
        let events: Vec<_> = oldest.into_iter().map(|(_, event)| event).collect();
        if batches.record(&events).await.is_err() {
            return false;
        }
        // Killed before this line, the events are replayed again, and their ids keep them from counting twice.
        let changing = self.changing.lock().await;
        if let Err(error) = self.spool.remove_through(last).await {
            tracing::error!(error = describe(&error), "Replayed events cannot be removed from the spool");
            return false;
        }
        self.count_waiting().await;
        drop(changing);
        tracing::info!(events = events.len(), waiting = self.waiting(), "Spooled events stored");
        true
    }

    /// Counts what waits. When it cannot be counted, something may.
    async fn count_waiting(&self) {
        match self.spool.waiting().await {
            Ok(waiting) => {
                self.waiting.store(waiting, Ordering::Relaxed);
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
    use std::sync::Mutex;

    use chrono::DateTime;
    use staticreg_domain::{
        clock::MockClock,
        metrics::{MetricsError, MockMetricsRepository, Recording},
        spool::{MockEventSpool, SpoolPosition},
    };
    use uuid::Uuid;

    use super::*;
    use crate::recorder::{RecordError, Recorded, Recorder, RecorderOptions};

    /// A spool that holds events in memory.
    fn spool(waiting: &Arc<Mutex<Vec<CountedEvent>>>) -> Arc<dyn EventSpool> {
        let mut spool = MockEventSpool::new();
        let events = Arc::clone(waiting);
        spool.expect_append().returning(move |batch| {
            events.lock().unwrap().extend_from_slice(batch);
            Ok(())
        });
        let events = Arc::clone(waiting);
        spool.expect_oldest().returning(move |at_most| {
            let events = events.lock().unwrap();
            Ok((0..).map(SpoolPosition).zip(events.iter().take(at_most as usize).cloned()).collect())
        });
        let events = Arc::clone(waiting);
        spool.expect_remove_through().returning(move |position| {
            let count = usize::try_from(position.0).unwrap() + 1;
            events.lock().unwrap().drain(..count);
            Ok(())
        });
        let events = Arc::clone(waiting);
        spool.expect_waiting().returning(move || Ok(events.lock().unwrap().len() as u64));
        Arc::new(spool)
    }

    /// A store that is away until told otherwise, and what it stored.
    fn store(is_there: &Arc<AtomicBool>, stored: &Arc<Mutex<Vec<CountedEvent>>>) -> Arc<dyn MetricsRepository> {
        let (is_there, stored) = (Arc::clone(is_there), Arc::clone(stored));
        let mut store = MockMetricsRepository::new();
        store.expect_record().returning(move |batch, _now| {
            if !is_there.load(Ordering::Relaxed) {
                return Err(MetricsError::Unavailable("away".into()));
            }
            stored.lock().unwrap().extend_from_slice(batch);
            Ok(vec![Recording::Counted; batch.len()])
        });
        Arc::new(store)
    }

    fn clock() -> Arc<dyn Clock> {
        let mut clock = MockClock::new();
        clock.expect_now().return_const(DateTime::UNIX_EPOCH);
        Arc::new(clock)
    }

    fn event(number: u128) -> CountedEvent {
        CountedEvent { id: Uuid::from_u128(number).into(), at: DateTime::UNIX_EPOCH, changes: Vec::new() }
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
        let (recorder, writer) = Recorder::new(Arc::clone(&store), Some(Arc::clone(&spooling)), clock(), options);
        tokio::spawn(writer.run());
        let replaying = Arc::clone(&spooling);
        tokio::spawn(async move { replaying.replay(store, clock()).await });

        for number in 0..3 {
            assert_eq!(recorder.record(vec![event(number)]).await, Ok(vec![Recorded::Spooled]));
        }
        assert_eq!(spooling.waiting(), 3);
        is_there.store(true, Ordering::Relaxed);
        sleep(REPLAY_PAUSE * 3).await;
        assert_eq!(spooling.waiting(), 0);
        assert_eq!(*stored.lock().unwrap(), [event(0), event(1), event(2)]);

        assert_eq!(recorder.record(vec![event(3)]).await, Ok(vec![Recorded::Counted]), "nothing waits any more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_before_a_restart_is_replayed() {
        let waiting = Arc::new(Mutex::new(vec![event(1), event(2)]));
        let (is_there, stored) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let spooling = Spooling::new(spool(&waiting)).await.unwrap();
        assert_eq!(spooling.waiting(), 2);
        let replayed = spooling.replay(store(&is_there, &stored), clock());
        tokio::time::timeout(Duration::from_secs(1), replayed).await.expect_err("replays for ever");
        assert_eq!(*stored.lock().unwrap(), [event(1), event(2)]);
        assert_eq!(spooling.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_spool_leaves_the_events_to_the_registry() {
        let mut full = MockEventSpool::new();
        full.expect_append().returning(|_| Err(SpoolError::Full));
        full.expect_waiting().returning(|| Ok(5));
        let spooling = Spooling::new(Arc::new(full)).await.unwrap();
        assert!(matches!(spooling.spool(&[event(1)]).await, Err(SpoolError::Full)));
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
        let (recorder, writer) = Recorder::new(store(&is_there, &stored), Some(spooling), clock(), options);
        tokio::spawn(writer.run());
        assert_eq!(recorder.record(vec![event(1)]).await, Ok(vec![Recorded::Counted]));
        is_there.store(false, Ordering::Relaxed);
        assert_eq!(recorder.record(vec![event(2)]).await, Err(RecordError::Unavailable));
    }
}
