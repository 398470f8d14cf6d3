//! Gives the store batches of the size it takes.

use std::{borrow::Cow, sync::Arc};

use staticreg_domain::{
    Clock,
    error::describe,
    metrics::{MetricsError, MetricsRepository, PullEvent, Recording},
};

use super::trouble::Trouble;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Its changes are stored.
    Counted,
    /// It was recorded before and changed nothing.
    Duplicate,
    /// It waits in the spool, durably.
    Spooled,
    /// The store refuses this very event, now and for ever.
    Refused,
}

/// How many events are recorded at once: fewer after a failure, as a store that is slow may take a few in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchSize {
    now: usize,
    most: usize,
}

impl BatchSize {
    pub(super) fn at_most(most: usize) -> Self {
        Self { now: most, most }
    }

    pub(super) fn now(self) -> usize {
        self.now
    }

    pub(super) fn grow(&mut self) {
        self.now = (self.now * 2).min(self.most);
    }

    pub(super) fn shrink(&mut self) {
        self.now = (self.now / 2).max(1);
    }
}

/// The store did not take the events; it may take them later.
#[derive(Debug)]
pub(super) struct Unstored;

/// Records batches, leaving out the events the store refuses.
pub(super) struct Batches {
    pub(super) store: Arc<dyn MetricsRepository>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) trouble: Trouble,
}

impl Batches {
    /// Records a batch; when the store refuses it for its data, its halves, until the culprits are found. Of an event
    /// that takes back what is not there (counts were removed by hand, or the store is an older state) the rest counts.
    /// Adds what became of each event, also when it does not come to the end.
    pub(super) async fn record(&self, events: &[PullEvent], recorded: &mut Vec<Recorded>) -> Result<(), Unstored> {
        let mut parts = vec![Cow::Borrowed(events)];
        while let Some(part) = parts.pop() {
            match self.store.record(&part, self.clock.now()).await {
                Ok(recordings) => {
                    self.trouble.succeeded();
                    recorded.extend(recordings.into_iter().map(Recorded::from));
                }
                Err(MetricsError::Refused(reason)) => {
                    if let Cow::Borrowed(several @ [_, _, ..]) = part {
                        let (first, second) = several.split_at(several.len() / 2);
                        parts.extend([Cow::Borrowed(second), Cow::Borrowed(first)]);
                    } else if let Some(rest) = part.first().and_then(PullEvent::without_taking) {
                        tracing::warn!(event = %rest.id, reason, "What an event takes back may be gone; the rest counts");
                        parts.push(Cow::Owned(vec![rest]));
                    } else if let Some(event) = part.first() {
                        tracing::error!(event = %event.id, reason, "The store refuses an event; it is skipped");
                        recorded.push(Recorded::Refused);
                    }
                }
                Err(error @ (MetricsError::Unavailable(_) | MetricsError::Corrupt(_))) => {
                    self.trouble.failed();
                    let reason = describe(&error);
                    if self.trouble.is_news(&reason) {
                        tracing::warn!(events = part.len(), error = reason, "The store does not take events");
                    } else {
                        tracing::debug!(events = part.len(), error = reason, "The store still does not take events");
                    }
                    return Err(Unstored);
                }
            }
        }
        Ok(())
    }
}

impl From<Recording> for Recorded {
    fn from(recording: Recording) -> Self {
        match recording {
            Recording::Counted => Self::Counted,
            Recording::Duplicate => Self::Duplicate,
        }
    }
}
