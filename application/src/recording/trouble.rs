//! Whether the store takes what it is given.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// A reason that stays is told again so often.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// Whether the store takes what it is given, and when it last did not.
#[derive(Clone, Debug)]
pub struct Trouble(Arc<Mutex<Last>>);

#[derive(Debug)]
struct Last {
    failure: Instant,
    /// Whether nothing was taken since.
    failing: bool,
    /// The reason told last, and when.
    told: Option<(String, Instant)>,
}

impl Default for Trouble {
    /// A start counts as trouble that is over: what was before is not known.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Last { failure: Instant::now(), failing: false, told: None })))
    }
}

impl Trouble {
    /// Whether the store did not take the last batch, whatever it says of itself: until it takes one.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.last().failing
    }

    /// Whether a reason why the store takes nothing is to be told: it is another one than before, or was told a while
    /// ago. Most stay until somebody does something.
    #[must_use]
    pub fn is_news(&self, reason: &str) -> bool {
        let mut last = self.last();
        let is_known = |(told, at): &(String, Instant)| told == reason && at.elapsed() < TELL_AGAIN;
        let is_news = !last.told.as_ref().is_some_and(is_known);
        if is_news {
            last.told = Some((reason.to_owned(), Instant::now()));
        }
        is_news
    }

    pub(super) fn failed(&self) {
        let mut last = self.last();
        last.failure = Instant::now();
        last.failing = true;
    }

    pub(super) fn succeeded(&self) {
        let mut last = self.last();
        last.failing = false;
        last.told = None;
    }

    pub(super) fn is_over_for(&self, span: Duration) -> bool {
        self.last().failure.elapsed() >= span
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reason_is_told_once_a_minute_and_another_at_once() {
        let trouble = Trouble::default();
        assert!(trouble.is_news("no such table"));
        assert!(!trouble.is_news("no such table"));
        assert!(trouble.is_news("permission denied"));
        tokio::time::advance(TELL_AGAIN).await;
        assert!(trouble.is_news("permission denied"));
        assert!(!trouble.is_news("permission denied"));
        trouble.succeeded();
        assert!(trouble.is_news("permission denied"), "it is a new one");
    }
}
