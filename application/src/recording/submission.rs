//! What a request hands over.

use staticreg_domain::metrics::PullEvent;
use tokio::sync::oneshot;

use super::{batches::Recorded, room::Taken};

/// Events of one request.
#[derive(Debug)]
pub(super) struct Submission {
    /// What is still to be recorded.
    pub(super) events: Vec<PullEvent>,
    /// What became of the events before those.
    pub(super) recorded: Vec<Recorded>,
    answer: oneshot::Sender<Vec<Recorded>>,
    /// Frees its room in the buffer when the submission is answered or given up.
    _room: Taken,
}

impl Submission {
    /// Events that have taken room in the buffer, and what tells what became of them.
    pub(super) fn new(events: Vec<PullEvent>, room: Taken) -> (Self, oneshot::Receiver<Vec<Recorded>>) {
        let (answer, answered) = oneshot::channel();
        (Self { events, recorded: Vec::new(), answer, _room: room }, answered)
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
