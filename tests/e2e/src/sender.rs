//! A sender that, as the registry, repeats what was not accepted until it is.

use std::{
    io, iter,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    client::{Answer, Connection, is_timeout},
    events::{next_number, notification, pull},
};

/// The pause before an event is sent again.
const PAUSE: Duration = Duration::from_millis(20);

/// A load sends at least so many events, however slow the machine.
const ENOUGH: u64 = 200;

/// How long one event may be repeated before the test fails.
const LIMIT: Duration = Duration::from_mins(1);

/// Who sends.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The server.
    pub address: SocketAddr,
    /// How many connections send at once.
    pub connections: usize,
    /// Whether a connection is used again; the registry opens one for each event.
    pub keep_alive: bool,
}

/// What became of the events; each was accepted in the end.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Events sent, each counted once.
    pub events: u64,
    /// Those of them whose receipt said that they had been recorded before.
    pub duplicates: u64,
    /// Those of them whose receipt said that they wait in the spool.
    pub spooled: u64,
    /// Answers 503.
    pub refused: u64,
    /// Requests without an answer, because the connection was refused or cut.
    pub cut: u64,
    /// The longest time until an answer.
    pub slowest: Duration,
}

impl Sender {
    /// Sends these events and waits until all are accepted.
    #[must_use]
    pub fn send(&self, events: impl Iterator<Item = Value> + Send + 'static) -> Sent {
        join(self.spawn(events))
    }

    /// Sends new pulls until told to stop.
    #[must_use]
    pub fn start(&self) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let mut begun = 0;
        let pulls = iter::from_fn(move || {
            begun += 1;
            (begun <= ENOUGH || !told.load(Ordering::Relaxed)).then(|| pull(next_number()))
        });
        Load { stop, threads: self.spawn(pulls) }
    }

    fn spawn(&self, events: impl Iterator<Item = Value> + Send + 'static) -> Vec<JoinHandle<Sent>> {
        let events = Arc::new(Mutex::new(events));
        let worker = |_| {
            let (events, sender) = (Arc::clone(&events), self.clone());
            thread::spawn(move || {
                let mut worker = Worker { sender, connection: None, sent: Sent::default() };
                loop {
                    let next = events.lock().expect("no sender panics here").next();
                    let Some(event) = next else { return worker.sent };
                    worker.deliver(&notification(&[event]));
                }
            })
        };
        (0..self.connections).map(worker).collect()
    }
}

/// Pulls being sent.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Sent>>,
}

impl Load {
    /// Sends no new events once there were enough to show anything, and waits until all are accepted.
    #[must_use]
    pub fn finish(mut self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        join(std::mem::take(&mut self.threads))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn join(threads: Vec<JoinHandle<Sent>>) -> Sent {
    let sent = threads.into_iter().map(|thread| thread.join().expect("every event is accepted in the end"));
    sent.fold(Sent::default(), |all, one| Sent {
        events: all.events + one.events,
        duplicates: all.duplicates + one.duplicates,
        spooled: all.spooled + one.spooled,
        refused: all.refused + one.refused,
        cut: all.cut + one.cut,
        slowest: all.slowest.max(one.slowest),
    })
}

struct Worker {
    sender: Sender,
    connection: Option<Connection>,
    sent: Sent,
}

impl Worker {
    /// Sends one event until it is accepted.
    fn deliver(&mut self, event: &Value) {
        let began = Instant::now();
        loop {
            let sent_at = Instant::now();
            let answer = self.send(event);
            if answer.is_ok() {
                self.sent.slowest = self.sent.slowest.max(sent_at.elapsed());
            }
            match answer {
                Ok(answer) if answer.status == 200 => return self.accepted(&answer),
                Ok(answer) if answer.status == 503 => {
                    assert!(answer.header("retry-after").is_some(), "503 without Retry-After: {answer:?}");
                    self.sent.refused += 1;
                }
                Ok(answer) => panic!("a registry would repeat this for ever: {answer:?}"),
                Err(error) => {
                    assert!(!is_timeout(&error), "a request hangs: {error}");
                    self.sent.cut += 1;
                    self.connection = None;
                }
            }
            assert!(began.elapsed() < LIMIT, "not accepted within {LIMIT:?}: {event}");
            thread::sleep(PAUSE);
        }
    }

    fn send(&mut self, event: &Value) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.sender.address)?,
        };
        let answer = connection.post(event)?;
        if self.sender.keep_alive && answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    fn accepted(&mut self, answer: &Answer) {
        let receipt = answer.json();
        let number = |member: &str| receipt[member].as_u64().unwrap_or_else(|| panic!("no {member}: {receipt}"));
        assert_eq!(number("events_processed") + number("events_duplicate"), 1, "{receipt}");
        self.sent.events += 1;
        self.sent.duplicates += number("events_duplicate");
        self.sent.spooled += number("events_spooled");
    }
}
