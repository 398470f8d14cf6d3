//! What a request hands over.

use staticreg_domain::journal::JournalEntry;
use tokio::sync::oneshot;

use super::{batches::Recorded, room::Taken};

/// What one request tells.
#[derive(Debug)]
pub(super) struct Submission {
    /// What is still to be recorded.
    pub(super) entries: Vec<JournalEntry>,
    /// What became of those before.
    pub(super) recorded: Vec<Recorded>,
    answer: oneshot::Sender<Vec<Recorded>>,
    /// Frees its room in the buffer when the submission is answered or given up.
    _room: Taken,
}

impl Submission {
    /// Entries that have taken room in the buffer, and what tells what became of them.
    pub(super) fn new(entries: Vec<JournalEntry>, room: Taken) -> (Self, oneshot::Receiver<Vec<Recorded>>) {
        let (answer, answered) = oneshot::channel();
        (Self { entries, recorded: Vec::new(), answer, _room: room }, answered)
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }

    pub(super) fn answer(self) {
        // The request may have gone in the meantime; its events are stored all the same.
        let _ = self.answer.send(self.recorded);
    }
}
