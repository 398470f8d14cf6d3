//! What the streams of an HTTP/2 connection wait for. On HTTP/1.1 the socket tells what a connection waits for; here it
//! tells nothing: it is read all the time, and a client may ping for ever.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::ConnectionPermit;
use crate::connection::{Connection, Patience};

/// The streams of a connection.
pub(super) struct Streams(Mutex<Open>);

struct Open {
    waits: Vec<(u64, Wait)>,
    /// The number of the next stream.
    next: u64,
    /// Since when there is none, if there is none.
    idle_since: Instant,
    patience: Patience,
}

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// staticreg.
    Server,
    /// Its client, to send more of the body.
    Body,
    /// Its client, to take more of the answer. Since when it took nothing.
    Answer(Instant),
}

/// What ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// There was no stream for too long.
    Idle,
    /// A client has taken nothing of an answer for too long.
    Answer,
}

/// A stream, as long as it is open: until the last of its answer has gone out, or nobody wants it any more.
#[derive(Clone)]
pub(super) struct Stream(Arc<Handle>);

struct Handle {
    streams: Arc<Streams>,
    number: u64,
    /// The place it takes, if there was one: that of its connection, or another.
    _place: Option<ConnectionPermit>,
}

impl Streams {
    pub(super) fn new(connection: &Connection) -> Arc<Self> {
        let patience = connection.by_streams();
        Arc::new(Self(Mutex::new(Open { waits: Vec::new(), next: 0, idle_since: Instant::now(), patience })))
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.0.lock().waits.len()
    }

    /// Another one, which waits for staticreg.
    pub(super) fn open(self: &Arc<Self>, place: Option<ConnectionPermit>) -> Stream {
        let mut open = self.0.lock();
        let number = open.next;
        open.next += 1;
        open.waits.push((number, Wait::Server));
        // A whole request: its client is not behind any more.
        open.note(usize::MAX);
        Stream(Arc::new(Handle { streams: Arc::clone(self), number, _place: place }))
    }

    /// Ends when the connection is to end, as there was no stream for a time, or as an answer was not taken for another.
    pub(super) async fn overdue(&self, idle: Duration, untaken: Duration) -> Overdue {
        loop {
            let (now, due) = (Instant::now(), self.due(idle, untaken));
            match due {
                Some((at, overdue)) if at <= now => return overdue,
                // What begins to wait meanwhile is seen before its time is over.
                due => {
                    let look_again = now + idle.min(untaken);
                    sleep_until(due.map_or(look_again, |(at, _)| at.min(look_again))).await;
                }
            }
        }
    }

    /// When the connection is to end, if nothing moves until then.
    fn due(&self, idle: Duration, untaken: Duration) -> Option<(Instant, Overdue)> {
        let open = self.0.lock();
        if open.waits.is_empty() {
            return Some((open.idle_since + idle, Overdue::Idle));
        }
        let answers = open.waits.iter().filter_map(|(_, wait)| match wait {
            Wait::Answer(since) => Some(*since + untaken),
            Wait::Server | Wait::Body => None,
        });
        answers.min().map(|at| (at, Overdue::Answer))
    }

    /// A stream waits for something else, perhaps, after so many bytes moved.
    fn change(&self, number: u64, moved: usize, change: impl FnOnce(&mut Wait)) {
        let mut open = self.0.lock();
        if let Some((_, wait)) = open.waits.iter_mut().find(|(known, _)| *known == number) {
            change(wait);
            open.note(moved);
        }
    }
}

impl Open {
    /// The connection waits for its client when no stream waits for staticreg.
    fn note(&mut self, moved: usize) {
        let waits_for_client = self.waits.iter().all(|(_, wait)| *wait != Wait::Server);
        self.patience.note(waits_for_client, moved);
    }
}

impl Stream {
    /// It waits for staticreg, after so many bytes came.
    pub(super) fn waits_for_server(&self, came: usize) {
        self.set(Wait::Server, came);
    }

    /// It waits for its client to send more.
    pub(super) fn waits_for_body(&self) {
        self.set(Wait::Body, 0);
    }

    /// It waits for its client to take more.
    pub(super) fn waits_for_taker(&self) {
        self.set(Wait::Answer(Instant::now()), 0);
    }

    /// Its client took so many bytes.
    pub(super) fn took(&self, bytes: usize) {
        self.0.streams.change(self.0.number, bytes, |wait| {
            if let Wait::Answer(since) = wait {
                *since = Instant::now();
            }
        });
    }

    fn set(&self, wait: Wait, moved: usize) {
        self.0.streams.change(self.0.number, moved, |known| *known = wait);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock();
        open.waits.retain(|(number, _)| *number != self.number);
        open.idle_since = Instant::now();
        open.note(0);
    }
}
