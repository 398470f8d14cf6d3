//! Whether the store takes what it is given.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// How long after a failure the store is taken to be failing still when nobody gave it anything since: a registry tries
/// again far sooner.
const FAILING: Duration = Duration::from_mins(1);

/// Whether the store takes what it is given, and when it last did not.
#[derive(Clone, Debug)]
pub struct Trouble(Arc<Mutex<Last>>);

#[derive(Debug)]
struct Last {
    failure: Instant,
    /// Whether nothing was taken since.
    failing: bool,
}

impl Default for Trouble {
    /// A start counts as trouble that is over: what was before is not known.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Last { failure: Instant::now(), failing: false })))
    }
}

impl Trouble {
    /// Whether the store did not take the last batch, whatever it says of itself.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let last = self.last();
        last.failing && last.failure.elapsed() < FAILING
    }

    pub(super) fn failed(&self) {
        *self.last() = Last { failure: Instant::now(), failing: true };
    }

    pub(super) fn succeeded(&self) {
        self.last().failing = false;
    }

    pub(super) fn is_over_for(&self, span: Duration) -> bool {
        self.last().failure.elapsed() >= span
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock()
    }
}
