//! How many events may wait.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most events of a small submission. A registry's has one.
const SMALL: usize = 16;

/// The part of the buffer that is kept for small submissions, whatever comes in large ones.
const KEPT_SHARE: usize = 4;

/// The room in the buffer, in events.
#[derive(Clone, Debug)]
pub(super) struct Room {
    all: Share,
    /// What large submissions may take of it.
    large: Share,
}

#[derive(Clone, Debug)]
struct Share {
    free: Arc<Semaphore>,
    size: usize,
}

/// Room that a submission has taken; a large one counts in both parts.
#[derive(Debug)]
pub(super) struct Taken {
    _all: OwnedSemaphorePermit,
    _large: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new(size: usize) -> Self {
        Self { all: Share::new(size), large: Share::new(size - size / KEPT_SHARE) }
    }

    /// How many events wait.
    pub(super) fn waiting(&self) -> u64 {
        self.all.size.saturating_sub(self.all.free.available_permits()) as u64
    }

    /// Takes room for events; none when it is full.
    pub(super) fn take(&self, events: usize) -> Option<Taken> {
        if events <= SMALL {
            return Some(Taken { _all: self.all.take(events)?, _large: None });
        }
        // More events than find room are let in when no other large submission waits, else they could never be recorded.
        let events = events.min(self.large.size);
        let large = self.large.take(events)?;
        Some(Taken { _all: self.all.take(events)?, _large: Some(large) })
    }
}

impl Share {
    fn new(size: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(size)), size }
    }

    fn take(&self, events: usize) -> Option<OwnedSemaphorePermit> {
        let events = u32::try_from(events.min(self.size)).ok()?;
        Arc::clone(&self.free).try_acquire_many_owned(events).ok()
    }
}
