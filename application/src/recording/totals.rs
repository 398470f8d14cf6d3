//! How much was received and stored since the start.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts what is received and stored. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    received: AtomicU64,
    turned_away: AtomicU64,
    stored: AtomicU64,
    batches: AtomicU64,
}

/// How many events were received and stored since the start. One that comes again counts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingTotals {
    /// Those that were received.
    pub received: u64,
    /// Those that could not be stored; the registry sends them again.
    pub turned_away: u64,
    /// Those that were stored, in the store or in the spool.
    pub stored: u64,
    /// How many batches of them the store took.
    pub batches: u64,
    /// Those that wait to be stored, or are being stored.
    pub waiting: u64,
}

impl Counters {
    pub(super) fn received(&self, events: u64) {
        self.0.received.fetch_add(events, Ordering::Relaxed);
    }

    /// Events were answered: stored, or turned away.
    pub(super) fn answered(&self, events: u64, are_stored: bool) {
        let answered = if are_stored { &self.0.stored } else { &self.0.turned_away };
        answered.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn stored_batch(&self) {
        self.0.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn totals(&self, waiting: u64) -> RecordingTotals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Inner { received, turned_away, stored, batches } = &*self.0;
        RecordingTotals {
            received: read(received),
            turned_away: read(turned_away),
            stored: read(stored),
            batches: read(batches),
            waiting,
        }
    }
}
