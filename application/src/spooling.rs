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
    metrics::{CountedEvent, MetricsRepository},
    spool::{EventSpool, SpoolError},
};
use tokio::{sync::Notify, time::sleep};

use crate::recorder::{Batches, Trouble, describe};

/// The pause before the store is tried again.
const REPLAY_PAUSE: Duration = Duration::from_millis(500);

/// How many events are replayed in one call of the store.
const REPLAY_BATCH: u32 = 1_000;

/// The spool and whether it is in use. While events wait in it new ones go behind them, so that a store that is away
/// or frozen delays nobody and events are replayed in their order.
pub struct Spooling {
    spool: Arc<dyn EventSpool>,
    active: AtomicBool,
    waiting: AtomicU64,
    spooled: Notify,
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
        let appended = self.spool.append(events).await;
        if let Err(error) = &appended {
            tracing::error!(events = events.len(), error = describe(error), "The spool does not take events");
        }
        self.refresh_waiting().await;
        self.active.store(self.waiting() > 0, Ordering::Release);
        self.spooled.notify_one();
        appended
    }

    /// Replays what waits, for ever.
    pub async fn replay(&self, store: Arc<dyn MetricsRepository>, clock: Arc<dyn Clock>) {
        let batches = Batches { store, clock, trouble: Trouble::default() };
        loop {
            if !self.is_active() {
                self.spooled.notified().await;
                continue;
            }
            if !self.replay_oldest(&batches).await {
                sleep(REPLAY_PAUSE).await;
            }
        }
    }

    /// Moves the oldest events to the store; false when that did not succeed.
    async fn replay_oldest(&self, batches: &Batches) -> bool {
        let oldest = match self.spool.oldest(REPLAY_BATCH).await {
            Ok(oldest) => oldest,
            Err(error) => {
                tracing::error!(error = describe(&error), "The spool cannot be read");
                return false;
            }
        };
        let Some(last) = oldest.last().map(|(position, _)| *position) else {
            self.refresh_waiting().await;
            self.active.store(self.waiting() > 0, Ordering::Release);
            return true;
        };
        let events: Vec<_> = oldest.into_iter().map(|(_, event)| event).collect();
        if batches.record(&events).await.is_err() {
            return false;
        }
        // Killed before this line, the events are replayed again, and their ids keep them from counting twice.
        if let Err(error) = self.spool.remove_through(last).await {
            tracing::error!(error = describe(&error), "Replayed events cannot be removed from the spool");
            return false;
        }
        self.refresh_waiting().await;
        tracing::info!(events = events.len(), waiting = self.waiting(), "Spooled events stored");
        true
    }

    async fn refresh_waiting(&self) {
        if let Ok(waiting) = self.spool.waiting().await {
            self.waiting.store(waiting, Ordering::Relaxed);
        }
    }
}
