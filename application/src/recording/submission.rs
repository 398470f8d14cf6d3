//! What a request hands over.

use staticreg_domain::journal::JournalEntry;
use tokio::{sync::oneshot, time::Instant};

use super::{batches::Recorded, ledger::Attempt, room::Taken};

/// What one request tells.
#[derive(Debug)]
pub(super) struct Submission {
    /// What is still to be recorded.
    pub(super) entries: Vec<JournalEntry>,
    /// What became of those before.
    recorded: Vec<Recorded>,
    /// What is still to be settled of events; nothing when it is no event that was told.
    attempt: Option<Attempt>,
    /// When it was handed over.
    pub(super) since: Instant,
    answer: oneshot::Sender<Vec<Recorded>>,
    /// Frees its room in the buffer when the submission is answered or given up.
    _room: Taken,
}

impl Submission {
    /// Entries that have taken room in the buffer, and what tells what became of them.
    pub(super) fn new(
        entries: Vec<JournalEntry>,
        attempt: Option<Attempt>,
        room: Taken,
    ) -> (Self, oneshot::Receiver<Vec<Recorded>>) {
        let (answer, answered) = oneshot::channel();
        (Self { entries, recorded: Vec::new(), attempt, since: Instant::now(), answer, _room: room }, answered)
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }

    /// Takes what became of the next entries.
    pub(super) fn add(&mut self, recorded: Vec<Recorded>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.settle(&recorded);
        }
        self.recorded.extend(recorded);
    }

    pub(super) fn answer(self) {
        // The request may have gone in the meantime; its events are stored all the same.
        let _ = self.answer.send(self.recorded);
    }
}
