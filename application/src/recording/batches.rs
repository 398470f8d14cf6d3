//! Gives the store batches of the size it takes.

use std::ops::Range;

use staticreg_domain::{PullEvent, journal::JournalEntry, metrics::MetricsError, rules::SkipReason};

use tokio::time::Instant;

use super::{counter::Counter, ledger::Outcome, totals::Counters, trouble::Trouble};
use crate::telemetry::Signals;

/// What became of an access, or of what was learnt of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Its changes are stored.
    Counted(PullEvent),
    /// It does not count, and is stored for those that may belong to it.
    Skipped(SkipReason),
    /// It was recorded before and changed nothing.
    Duplicate,
    /// It waits in the spool, durably.
    Spooled,
    /// What was learnt is stored, and what follows from it.
    Learned,
    /// It is not taken, now and for ever.
    Refused,
}

impl Recorded {
    /// How an event ended; nothing when it waits.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Counted(_) | Self::Learned => Some(Outcome::Counted),
            Self::Skipped(reason) => Some(Outcome::Skipped(*reason)),
            Self::Duplicate => Some(Outcome::Duplicate),
            Self::Refused => Some(Outcome::Refused),
            Self::Spooled => None,
        }
    }
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
    pub(super) counter: Counter,
    pub(super) trouble: Trouble,
    pub(super) counters: Counters,
    pub(super) signals: Signals,
}

impl Batches {
    /// Records a batch; when the store refuses it for its data, its halves, until the culprits are found. Of an event
    /// that takes back what is not there (counts were removed by hand, or the store is an older state) the rest counts.
    /// Adds what became of each, also when it does not come to the end.
    pub(super) async fn record(
        &mut self,
        entries: &mut [JournalEntry],
        recorded: &mut Vec<Recorded>,
    ) -> Result<(), Unstored> {
        let mut parts: Vec<(Range<usize>, bool)> = vec![(0..entries.len(), false)];
        while let Some((part, without_taking)) = parts.pop() {
            let start = Instant::now();
            match self.counter.store(&mut entries[part.clone()], without_taking).await {
                Ok(stored) => {
                    self.trouble.succeeded();
                    self.counters.stored_batch();
                    self.signals.batch_stored(part.len(), start.elapsed());
                    self.counter.others_wrote().into_iter().for_each(|at| self.signals.others_stored(at));
                    recorded.extend(stored);
                }
                Err(MetricsError::Refused(reason)) => {
                    let event = entries[part.start].access().map(|access| access.id.to_string());
                    if part.len() > 1 {
                        let middle = part.start + part.len() / 2;
                        parts.extend([(middle..part.end, false), (part.start..middle, false)]);
                    } else if !without_taking && self.counter.takes() {
                        tracing::warn!(event, reason, "What an event takes back may be gone; the rest counts");
                        parts.push((part, true));
                    } else {
                        tracing::error!(event, reason, "The store refuses an event; it is skipped");
                        recorded.push(Recorded::Refused);
                    }
                }
                Err(error @ (MetricsError::Unavailable(_) | MetricsError::Corrupt(_))) => {
                    self.trouble.failed();
                    let is_news = |reason: &str| self.trouble.is_news(reason);
                    self.signals.batch_failed(part.len(), &error, is_news, start.elapsed());
                    return Err(Unstored);
                }
            }
        }
        Ok(())
    }
}
