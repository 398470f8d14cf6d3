//! A sender that, as the registry, repeats what was not accepted until it is.

use std::{
    io, iter,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    client::{Answer, Connection, is_timeout},
    events::{next_number, notification, pull},
    eventually,
    operations::{Counts, Operation},
    random::Random,
};

/// The pause before an event is sent again.
const PAUSE: Duration = Duration::from_millis(20);

/// Of so many operations the events are mixed.
const AT_ONCE: usize = 6;

/// A load sends at least so many events, however slow the machine.
const ENOUGH: u64 = 200;

/// How long one event may be repeated, and what becomes of events waited for, before the test fails.
const LIMIT: Duration = Duration::from_mins(3);

/// Who sends.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The servers; each try goes to any of them.
    pub addresses: Vec<SocketAddr>,
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
}

impl Sender {
    /// Sends these events and waits until all are accepted.
    #[must_use]
    pub fn send(&self, events: impl Iterator<Item = Value> + Send + 'static) -> Sent {
        self.spawn(events).join()
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
        Load { stop, workers: self.spawn(pulls) }
    }

    /// Sends what clients do until told to stop, in about the order in which they do it; the counts that are right are
    /// there once all is sent.
    #[must_use]
    pub fn start_operations(&self) -> (Load, Arc<Mutex<Counts>>) {
        let (stop, right) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (told, counts) = (Arc::clone(&stop), Arc::clone(&right));
        let (mut random, mut begun, mut waiting) = (Random::new(), 0, Vec::new());
        let events = iter::from_fn(move || {
            if waiting.is_empty() && (begun < ENOUGH || !told.load(Ordering::Relaxed)) {
                for _ in 0..AT_ONCE {
                    let operation = Operation::new(next_number());
                    operation.count(&mut lock(&counts));
                    waiting.extend(operation.events());
                    begun += 1;
                }
            }
            (!waiting.is_empty()).then(|| {
                let place = random.number() % waiting.len() as u64;
                waiting.swap_remove(usize::try_from(place).unwrap_or_default())
            })
        });
        (Load { stop, workers: self.spawn(events) }, right)
    }

    fn spawn(&self, events: impl Iterator<Item = Value> + Send + 'static) -> Workers {
        let events = Arc::new(Mutex::new(events));
        let sent = Arc::new(Mutex::new(Sent::default()));
        let worker = |_| {
            let events = Arc::clone(&events);
            let mut worker = Worker::new(self.clone(), Arc::clone(&sent));
            thread::spawn(move || {
                loop {
                    let next = events.lock().expect("no sender panics here").next();
                    let Some(event) = next else { return };
                    worker.deliver(&notification(&[event]));
                }
            })
        };
        Workers { threads: (0..self.connections).map(worker).collect(), sent }
    }
}

impl Sent {
    fn accepted(&mut self, answer: &Answer) {
        let receipt = answer.json();
        let number = |member: &str| receipt[member].as_u64().unwrap_or_else(|| panic!("no {member}: {receipt}"));
        let told = ["events_processed", "events_skipped", "events_duplicate"].map(number);
        assert_eq!(told.iter().sum::<u64>(), 1, "{receipt}");
        self.events += 1;
        self.duplicates += number("events_duplicate");
        self.spooled += number("events_spooled");
    }
}

/// Pulls being sent.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    workers: Workers,
}

impl Load {
    /// What became of the events so far.
    #[must_use]
    pub fn so_far(&self) -> Sent {
        lock(&self.workers.sent).clone()
    }

    /// Waits until what a test is about became of an event.
    pub fn wait_until(&self, what: &str, happened: impl Fn(&Sent) -> bool) {
        eventually(what, LIMIT, || happened(&lock(&self.workers.sent)).then_some(()));
    }

    /// Sends no new events once there were enough to show anything, and waits until all are accepted.
    #[must_use]
    pub fn finish(mut self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        std::mem::take(&mut self.workers).join()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The threads that send, and what they sent.
#[derive(Debug, Default)]
struct Workers {
    threads: Vec<JoinHandle<()>>,
    sent: Arc<Mutex<Sent>>,
}

impl Workers {
    fn join(self) -> Sent {
        for thread in self.threads {
            thread.join().expect("every event is accepted in the end");
        }
        lock(&self.sent).clone()
    }
}

/// A sender that panicked left nothing half done here.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker {
    sender: Sender,
    random: Random,
    /// The connection that is kept, and to which of the servers.
    connection: Option<(usize, Connection)>,
    sent: Arc<Mutex<Sent>>,
}

impl Worker {
    fn new(sender: Sender, sent: Arc<Mutex<Sent>>) -> Self {
        Self { sender, random: Random::new(), connection: None, sent }
    }

    /// Sends one event until it is accepted.
    fn deliver(&mut self, event: &Value) {
        let began = Instant::now();
        loop {
            let answer = self.send(event);
            let mut sent = lock(&self.sent);
            match answer {
                Ok(answer) if answer.status == 200 => return sent.accepted(&answer),
                Ok(answer) if answer.status == 503 => {
                    assert!(answer.header("retry-after").is_some(), "503 without Retry-After: {answer:?}");
                    sent.refused += 1;
                }
                Ok(answer) => panic!("a registry would repeat this for ever: {answer:?}"),
                Err(error) => {
                    assert!(!is_timeout(&error), "a request hangs: {error}");
                    sent.cut += 1;
                }
            }
            drop(sent);
            assert!(began.elapsed() < LIMIT, "not accepted within {LIMIT:?}: {event}");
            thread::sleep(PAUSE);
        }
    }

    fn send(&mut self, event: &Value) -> io::Result<Answer> {
        let servers = &self.sender.addresses;
        let server = usize::try_from(self.random.number() % servers.len() as u64).unwrap_or_default();
        let mut connection = match self.connection.take() {
            Some((kept, connection)) if kept == server => connection,
            _ => Connection::open(servers[server])?,
        };
        let answer = connection.post(event)?;
        if self.sender.keep_alive && answer.header("connection") != Some("close") {
            self.connection = Some((server, connection));
        }
        Ok(answer)
    }
}
