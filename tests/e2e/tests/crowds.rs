//! What must hold when clients are many or slow: the registry's notifications get through.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
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
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let given_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given_up);
    let address = server.address();
    let slow = thread::spawn(move || {
        let request = post(&one_pull());
        let open = || Connection::open(address).expect("a connection");
        let mut connections: Vec<_> = (0..SLOW).map(|_| (open(), request.iter())).collect();
        while !told.load(Ordering::Relaxed) {
            for (connection, bytes) in &mut connections {
                let byte = *bytes.next().expect("a request is longer than this test");
                if connection.write(&[byte]).is_err() {
                    count.fetch_add(1, Ordering::Relaxed);
                    (*connection, *bytes) = (open(), request.iter());
                }
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    eventually("slow clients keep no place", LIMIT, || {
        assert_posts_get_through(&server, "slow heads");
        (given_up.load(Ordering::Relaxed) >= SLOW).then_some(())
    });
    stop.store(true, Ordering::Relaxed);
    slow.join().expect("it ends");
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
