//! What must hold when clients are many or slow: the registry's notifications get through.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;
use staticreg_e2e::{
    Staticreg,
    client::{Connection, NOTIFICATION, WEBHOOK, post, request},
    events::{next_number, notification, pull},
    eventually,
};
use staticreg_test_support::postgres::{Durability, Postgres};

/// How long what is waited for may take, however busy the machine is.
const LIMIT: Duration = Duration::from_mins(3);

/// What no client of these tests takes, so that nobody is given up for being slow.
const NEVER: &str = "30m";

/// These tests open many connections: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = rlimit::increase_nofile_limit(16_384).expect("the limit of open files");
    assert!(limit >= 8_192, "these tests open 5,000 connections, but only {limit} files may be open");
    turn
}

fn one_pull() -> Value {
    notification(&[pull(next_number())])
}

fn assert_posts_get_through(server: &Staticreg, what: &str) {
    for _ in 0..50 {
        let answer = server.post(&one_pull());
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
    }
}

/// Makes some connections, and begins what is never ended on each.
fn hold(address: SocketAddr, count: usize, beginning: &[u8]) -> Vec<Connection> {
    let begin = |_| {
        let mut connection = Connection::open(address).expect("a connection");
        connection.write(beginning).expect("sent");
        connection
    };
    (0..count).map(begin).collect()
}

/// How many connections the server has not closed.
fn open(connections: &[Connection]) -> usize {
    connections.iter().filter(|held| !held.is_closed()).count()
}

/// Clients who send a byte now and then, and begin anew when they are given up.
struct Trickle {
    given_up: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Trickle {
    /// Each begins with what is never ended.
    fn start(address: SocketAddr, clients: usize, beginning: &[u8], pause: Duration) -> Self {
        let (given_up, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, told) = (Arc::clone(&given_up), Arc::clone(&stop));
        let beginning = beginning.to_owned();
        let mut connections = hold(address, clients, &beginning);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for connection in &mut connections {
                    if connection.write(b"x").is_err() {
                        count.fetch_add(1, Ordering::Relaxed);
                        // What fails is tried again with the next byte.
                        *connection = Connection::open(address).expect("a connection");
                        connection.write(&beginning).ok();
                    }
                }
                thread::sleep(pause);
            }
        });
        Self { given_up, stop, thread }
    }

    fn given_up(&self) -> usize {
        self.given_up.load(Ordering::Relaxed)
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ends");
    }
}

/// The beginning of a head, which any letter continues.
const HEAD: &[u8] = b"POST /api/webhook/registry HTTP/1.1\r\nx: ";

/// The head of a body that is long in coming.
const BODY: &[u8] = b"POST /api/webhook/registry HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n";

#[test]
fn notifications_get_through_while_others_hold_every_place() {
    /// As many as the server takes by default.
    const PLACES: usize = 4_096;
    let _alone = alone();
    let whole = post(&one_pull());
    let head_end = whole.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
    for (what, count, beginning) in [
        ("idle connections", 5_000, &b""[..]),
        ("slow heads", 4_200, &whole[..head_end / 2]),
        ("slow bodies", 4_200, &whole[..head_end + 100]),
    ] {
        let server =
            Staticreg::start(&[("STATICREG_HTTP_HEADER_TIMEOUT", NEVER), ("STATICREG_HTTP_BODY_TIMEOUT", NEVER)]);
        let held = hold(server.address(), count, beginning);
        assert_posts_get_through(&server, what);
        let left = open(&held);
        assert!((PLACES * 9 / 10..=PLACES).contains(&left), "{what}: {left} still hold a place");
        drop(held);
        assert_eq!(server.pulls(), 50, "{what}");
    }
}

#[test]
fn notifications_get_through_while_others_send_a_byte_at_a_time() {
    const PLACES: usize = 64;
    /// Sooner than a connection that waits for its client makes room.
    const PAUSE: Duration = Duration::from_millis(50);
    let _alone = alone();
    for (what, beginning) in [("heads", HEAD), ("bodies", BODY)] {
        let server = Staticreg::start(&[
            ("STATICREG_HTTP_MAX_CONNECTIONS", &PLACES.to_string()),
            ("STATICREG_HTTP_HEADER_TIMEOUT", NEVER),
            ("STATICREG_HTTP_BODY_TIMEOUT", NEVER),
        ]);
        let slow = Trickle::start(server.address(), PLACES + PLACES / 2, beginning, PAUSE);
        assert_posts_get_through(&server, what);
        eventually("slow clients keep no place", LIMIT, || (slow.given_up() >= PLACES).then_some(()));
        slow.end();
    }
}

#[test]
fn connections_that_are_kept_make_room_for_new_ones() {
    let server = Staticreg::start(&[("STATICREG_HTTP_MAX_CONNECTIONS", "4")]);
    let mut kept: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for connection in &mut kept {
        assert_eq!(connection.post(&one_pull()).expect("an answer").status, 200);
    }
    assert_posts_get_through(&server, "connections that are kept");
}

#[test]
fn slow_and_idle_connections_are_given_up_and_hold_nobody_up_until_then() {
    const IDLE: usize = 2_000;
    const SLOW: usize = 200;
    let _alone = alone();
    let server = Staticreg::start(&[]);
    let mut idle = hold(server.address(), IDLE, b"");
    let slow = Trickle::start(server.address(), SLOW, HEAD, Duration::from_secs(1));
    eventually("slow clients keep no place", LIMIT, || {
        assert_posts_get_through(&server, "slow heads");
        (slow.given_up() >= SLOW).then_some(())
    });
    slow.end();
    assert!(idle.iter_mut().take(10).all(|held| held.is_closed_within(LIMIT)), "idle connections keep no place");
}

#[test]
fn large_notifications_leave_room_for_small_ones_while_the_database_takes_none() {
    const SENDERS: usize = 6;
    const LARGE: usize = 500;
    const SMALL: usize = 100;
    let _alone = alone();
    let postgres = Postgres::start(Durability::Volatile);
    let server = Staticreg::start(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_METRICS_BUFFER_SIZE", "1000"),
        ("STATICREG_METRICS_PATIENCE", NEVER),
    ]);
    server.wait_for_store();
    postgres.freeze();
    let turned_away = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                let events: Vec<_> = (0..LARGE).map(|_| pull(next_number())).collect();
                let status = server.post(&notification(&events)).status;
                turned_away.fetch_add(usize::from(status == 503), Ordering::Relaxed);
            });
        }
        eventually("most of the large ones find no room", LIMIT, || {
            (turned_away.load(Ordering::Relaxed) >= SENDERS - 2).then_some(())
        });
        let mut small = hold(server.address(), SMALL, &post(&one_pull()));
        small.iter().for_each(Connection::wait_until_read);
        postgres.thaw();
        for connection in &mut small {
            let answer = connection.answer().expect("an answer");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    });
}

#[test]
fn a_large_body_is_no_reason_to_wait() {
    let server = Staticreg::start(&[]);
    // Nothing but events that are no events, as many as may be.
    let body = format!("{{\"events\":[0{}]}}", ",0".repeat(32_767));
    let large = request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], body.as_bytes());
    let mut senders = hold(server.address(), 8, &large);
    assert_posts_get_through(&server, "large bodies");
    for sender in &mut senders {
        assert_eq!(sender.answer().expect("an answer").json()["total_events"], 32_768);
    }
}
