//! What takes events.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use staticreg_domain::{
    Clock, Digest, ManifestAccess, RepositoryName, counting::Counting, journal::JournalEntry,
    manifest_access::IndexChild, metrics::MetricsRepository,
};
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};

use super::{
    batches::{BatchSize, Batches, Recorded},
    counter::{AskForIndex, Counter},
    ledger::{Attempt, Balance, Ledger, Tallies},
    room::Room,
    spooling::Spooling,
    submission::Submission,
    totals::{Counters, RecordingTotals},
    trouble::Trouble,
    writer::Writer,
};
use crate::telemetry::Signals;

/// How the recorder gathers and waits.
#[derive(Clone, Copy, Debug)]
pub struct RecorderOptions {
    /// The most events recorded in one call of the store.
    pub batch_size: usize,
    /// The most events that may wait.
    pub buffer_size: usize,
    /// How long to wait for more events before a batch is recorded; zero records at once.
    pub flush_interval: Duration,
    /// How long a request waits for its events to be stored.
    pub patience: Duration,
}

/// Why events could not be recorded. Some of them may be stored all the same; to give them again is always right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// As many events as may wait are waiting.
    #[error("too many events are waiting to be stored")]
    Busy,
    /// The store did not take them in time.
    #[error("the store is unavailable")]
    Unavailable,
}

/// Takes events to be recorded. Clones share one writer, which ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Recorder {
    submissions: mpsc::UnboundedSender<Submission>,
    room: Room,
    patience: Duration,
    trouble: Trouble,
    counters: Counters,
    ledger: Ledger,
    signals: Signals,
}

impl Recorder {
    /// A recorder and its writer, to be run until it ends. It asks for the children of indexes that nobody told.
    #[must_use]
    pub fn new(
        store: Arc<dyn MetricsRepository>,
        counting: Box<dyn Counting>,
        ask_for_index: Option<AskForIndex>,
        spooling: Option<Arc<Spooling>>,
        clock: Arc<dyn Clock>,
        options: RecorderOptions,
    ) -> (Self, Writer) {
        let (submissions, inbox) = mpsc::unbounded_channel();
        let (trouble, counters) = (Trouble::default(), Counters::default());
        let signals = Signals::default();
        let ledger = spooling.as_ref().map(|spooling| spooling.ledger().clone()).unwrap_or_default();
        let recorder = Self {
            submissions,
            room: Room::new(options.buffer_size),
            patience: options.patience,
            trouble: trouble.clone(),
            counters: counters.clone(),
            ledger,
            signals: signals.clone(),
        };
        let counter = Counter::new(store, clock, counting, ask_for_index);
        let batches = Arc::new(Mutex::new(Batches { counter, trouble, counters, signals: signals.clone() }));
        let size = BatchSize::at_most(options.batch_size);
        let flush_interval = options.flush_interval;
        (recorder, Writer { inbox, waiting: VecDeque::new(), batches, size, spooling, signals, flush_interval })
    }

    /// Counts and records accesses; answers when they are stored, with what became of each.
    pub async fn record(&self, accesses: Vec<ManifestAccess>) -> Result<Vec<Recorded>, RecordError> {
        let events = accesses.len() as u64;
        self.counters.received(events);
        let attempt = Some(self.ledger.receive(accesses.len()));
        let recorded = self.submit(accesses.into_iter().map(JournalEntry::Access).collect(), attempt).await;
        self.counters.answered(events, recorded.is_ok());
        recorded
    }

    /// Records the children of an index, asked from the registry, and what follows from them for what is counted.
    pub async fn learn(&self, index: Digest, children: Vec<IndexChild>) -> Result<Recorded, RecordError> {
        let recorded = self.submit(vec![JournalEntry::Index { digest: index, children }], None).await?;
        recorded.into_iter().next().ok_or(RecordError::Unavailable)
    }

    async fn submit(&self, entries: Vec<JournalEntry>, attempt: Option<Attempt>) -> Result<Vec<Recorded>, RecordError> {
        let taken = self.room.take(entries.len()).ok_or(RecordError::Busy)?;
        let (submission, answered) = Submission::new(entries, attempt, taken);
        self.submissions.send(submission).map_err(|_| RecordError::Unavailable)?;
        match timeout(self.patience, answered).await {
            Ok(Ok(recorded)) => Ok(recorded),
            Ok(Err(_)) | Err(_) => Err(RecordError::Unavailable),
        }
    }

    /// What became of all events.
    #[must_use]
    pub fn balance(&self) -> Balance {
        self.ledger.read()
    }

    /// Tells so many of the repositories that are pulled most to those who watch; 0 tells none.
    #[must_use]
    pub fn telling_repositories(self, most: usize) -> Self {
        if most > 0 {
            self.ledger.tell_busiest(most);
        }
        self
    }

    pub(crate) fn busiest(&self) -> Option<Vec<(RepositoryName, u64)>> {
        self.ledger.busiest()
    }

    pub(crate) fn tallies(&self) -> Tallies {
        self.ledger.tallies()
    }

    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Takes events into the balance that are not recorded.
    pub(crate) fn receive(&self, events: usize) -> Attempt {
        self.ledger.receive(events)
    }

    /// Whether the store took everything it was given for so long.
    #[must_use]
    pub fn is_untroubled_for(&self, span: Duration) -> bool {
        self.trouble.is_over_for(span)
    }

    /// How many events were received and stored since the start.
    #[must_use]
    pub fn totals(&self) -> RecordingTotals {
        self.counters.totals(self.room.waiting())
    }

    /// What trouble there is with the store.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }
}
