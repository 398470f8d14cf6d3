//! The one writer.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use staticreg_domain::journal::JournalEntry;
use tokio::{
    sync::{Mutex, mpsc},
    time::sleep,
};

use super::{
    batches::{BatchSize, Batches, Recorded, Unstored},
    replay::Replay,
    spooling::Spooling,
    submission::Submission,
};
use crate::telemetry::Signals;

/// The pause before the store is tried again: at first, and at most.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// Gathers and records batches.
pub struct Writer {
    pub(super) inbox: mpsc::UnboundedReceiver<Submission>,
    pub(super) waiting: VecDeque<Submission>,
    /// Shared with the replay of the spool: of the two only one stores at a time.
    pub(super) batches: Arc<Mutex<Batches>>,
    pub(super) size: BatchSize,
    pub(super) spooling: Option<Arc<Spooling>>,
    pub(super) signals: Signals,
    /// How long to wait for more events before a batch is recorded.
    pub(super) flush_interval: Duration,
}

impl Writer {
    /// Stores what waits in the spool; none without one. To be run beside the writer.
    #[must_use]
    pub fn replay(&self) -> Option<Replay> {
        let spooling = Arc::clone(self.spooling.as_ref()?);
        Some(Replay { spooling, batches: Arc::clone(&self.batches) })
    }

    /// Records until every recorder is gone and all that was waiting is answered or given up.
    pub async fn run(mut self) {
        let mut pause = RETRY_PAUSE.0;
        while self.gather().await {
            self.signals.oldest_waits_since(self.waiting.front().map(|oldest| oldest.since));
            let mut batch = self.next_batch();
            if batch.is_empty() {
                continue;
            }
            let mut recorded = Vec::with_capacity(batch.entries.len());
            if self.store(&mut batch, &mut recorded).await.is_ok() {
                pause = RETRY_PAUSE.0;
                self.size.grow();
                answer(batch, recorded);
            } else {
                self.size.shrink();
                self.put_back(batch, recorded);
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_PAUSE.1);
            }
        }
    }

    /// Waits until something is waiting; false when nothing will come any more.
    async fn gather(&mut self) -> bool {
        if self.waiting.is_empty() {
            self.signals.oldest_waits_since(None);
            match self.inbox.recv().await {
                Some(first) => self.waiting.push_back(first),
                None => return false,
            }
            if !self.flush_interval.is_zero() {
                sleep(self.flush_interval).await;
            }
        }
        while let Ok(next) = self.inbox.try_recv() {
            self.waiting.push_back(next);
        }
        true
    }

    /// Takes as many submissions as a batch may hold, at least one, leaving out those whose requests have gone.
    fn next_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        while let Some(mut submission) = self.waiting.pop_front() {
            if submission.is_given_up() {
                continue;
            }
            if !batch.entries.is_empty() && batch.entries.len() + submission.entries.len() > self.size.now() {
                self.waiting.push_front(submission);
                break;
            }
            let entries = std::mem::take(&mut submission.entries);
            batch.submissions.push((submission, entries.len()));
            batch.entries.extend(entries);
        }
        batch
    }

    /// Stores a batch and adds what became of each entry, also when it does not come to the end.
    async fn store(&self, batch: &mut Batch, recorded: &mut Vec<Recorded>) -> Result<(), Unstored> {
        for chunk in batch.entries.chunks_mut(self.size.now()) {
            self.store_or_spool(chunk, recorded).await?;
        }
        Ok(())
    }

    async fn store_or_spool(&self, entries: &mut [JournalEntry], recorded: &mut Vec<Recorded>) -> Result<(), Unstored> {
        let Some(spooling) = &self.spooling else {
            return self.batches.lock().await.record(entries, recorded).await;
        };
        let store_first = !spooling.is_active();
        let before = recorded.len();
        if store_first && self.batches.lock().await.record(entries, recorded).await.is_ok() {
            return Ok(());
        }
        let rest = &mut entries[recorded.len() - before..];
        match spooling.spool(rest).await {
            Ok(spooled) => {
                recorded.extend(spooled);
                Ok(())
            }
            Err(_) if store_first => Err(Unstored),
            // A spool that takes nothing must not keep events from a store that may be back.
            Err(_) => self.batches.lock().await.record(rest, recorded).await,
        }
    }

    /// What was recorded is not given to the store again: it would call it a duplicate.
    fn put_back(&mut self, batch: Batch, recorded: Vec<Recorded>) {
        let Batch { submissions, entries } = batch;
        let mut rest = entries.into_iter().skip(recorded.len());
        let mut recorded = recorded.into_iter();
        let mut restored = VecDeque::with_capacity(submissions.len() + self.waiting.len());
        for (mut submission, count) in submissions {
            let recorded: Vec<_> = recorded.by_ref().take(count).collect();
            let done = recorded.len();
            submission.add(recorded);
            submission.entries = rest.by_ref().take(count - done).collect();
            if done == count {
                submission.answer();
            } else {
                restored.push_back(submission);
            }
        }
        restored.append(&mut self.waiting);
        self.waiting = restored;
    }
}

/// Submissions that are recorded together: how many of the entries are whose.
#[derive(Default)]
struct Batch {
    submissions: Vec<(Submission, usize)>,
    entries: Vec<JournalEntry>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.submissions.is_empty()
    }
}

fn answer(batch: Batch, recorded: Vec<Recorded>) {
    let mut recorded = recorded.into_iter();
    for (mut submission, count) in batch.submissions {
        submission.add(recorded.by_ref().take(count).collect());
        submission.answer();
    }
}
