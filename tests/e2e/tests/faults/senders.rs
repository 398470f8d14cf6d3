//! Connections are cut, and many send the same.

use std::{net::SocketAddr, sync::Barrier, thread};

use staticreg_e2e::{
    Staticreg,
    client::{Connection, post},
    events::{access, next_number, notification, pull},
    on_each_release,
    random::Random,
    sender::Sender,
    stores::Stores,
};
use staticreg_test_support::postgres::{Durability, Postgres, Release};

use crate::assert_counted_once;

/// Sends an event, and goes away at some moment.
fn cut(address: SocketAddr, event: &[u8], moment: u64) {
    let Ok(mut connection) = Connection::open(address) else { return };
    let length = u64::try_from(event.len()).expect("short");
    let part = usize::try_from(moment % length).expect("shorter");
    // The server may have gone first.
    let _ = match moment % 4 {
        0 => connection.write(&event[..part]),
        1 => connection.write(event),
        _ => connection.write(event).and_then(|()| connection.peek()),
    };
}

#[test]
fn connections_cut_in_mid_request_and_mid_answer_lose_and_double_nothing() {
    const EVENTS: u64 = 600;
    for store in Stores::start().each() {
        let server = Staticreg::start(&store.environment());
        let address = server.address();
        let mut random = Random::new();
        let events: Vec<_> = (0..EVENTS).map(|_| pull(next_number())).collect();
        thread::scope(|scope| {
            for part in events.chunks(40) {
                let moments: Vec<_> = part.iter().map(|_| random.number()).collect();
                scope.spawn(move || {
                    for (event, moment) in part.iter().zip(moments) {
                        cut(address, &post(&notification(std::slice::from_ref(event))), moment);
                    }
                });
            }
        });
        let sent = Sender { addresses: vec![address], connections: 16, keep_alive: true }.send(events.into_iter());
        assert!(sent.duplicates > 0 && sent.duplicates < EVENTS, "some were stored before: {sent:?}");
        assert_counted_once(&server, &sent);
    }
}

#[test]
fn the_same_event_from_many_connections_at_once_counts_once() {
    const CONNECTIONS: usize = 32;
    for store in Stores::start().each() {
        let server = Staticreg::start(&store.environment());
        for round in 1..=10 {
            let event = notification(&[pull(next_number())]);
            let start = Barrier::new(CONNECTIONS);
            let processed: u64 = thread::scope(|scope| {
                let sends = || {
                    let mut connection = server.connect();
                    start.wait();
                    connection.post(&event).expect("an answer").json()["events_processed"].as_u64().expect("a number")
                };
                let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(sends)).collect();
                threads.into_iter().map(|thread| thread.join().expect("an answer")).sum()
            });
            assert_eq!((processed, server.pulls()), (1, round), "{}", store.name);
        }
    }
}

fn two_servers_that_are_both_sent_everything_count_it_once(release: Release) {
    const CLIENTS: u64 = 24;
    const ROUNDS: u64 = 25;
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database();
    // They make the schema at the same time, too.
    let servers: Vec<Staticreg> = thread::scope(|scope| {
        let starts = || Staticreg::start(&[("STATICREG_DB_URL", &url)]);
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(starts)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it starts")).collect()
    });
    servers.iter().for_each(Staticreg::wait_for_store);
    let (first, second) = (&servers[0], &servers[1]);

    // Each server hears of a client's look-up before its pull, but of the two in no order.
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let repository = format!("two/app-{}", client % 5);
                    let mut look_up = access(next_number(), "HEAD", &repository, Some("v1"));
                    let mut fetch = access(next_number(), "GET", &repository, None);
                    for event in [&mut look_up, &mut fetch] {
                        event["timestamp"] = "2026-01-15T12:00:00Z".into();
                        event["request"]["addr"] = format!("10.0.0.{client}:4711").into();
                    }
                    let events = [notification(&[look_up]), notification(&[fetch])];
                    thread::scope(|scope| {
                        for server in [first, second] {
                            let events = &events;
                            scope.spawn(move || {
                                for event in events {
                                    assert_eq!(server.post(event).status, 200);
                                }
                            });
                        }
                    });
                }
            });
        }
    });
    for server in &servers {
        let summary = server.get_json("/api/v1/summary");
        assert_eq!(summary["by_kind"]["pull_by_tag"]["total"], CLIENTS * ROUNDS, "{summary}");
        assert_eq!(summary["by_kind"]["version_check"]["total"], 0, "{summary}");
        assert_eq!(summary["by_kind"]["pull_by_digest"]["total"], 0, "{summary}");
        assert!(!server.log().contains("deadlock"), "{}", server.log());
    }
    assert_eq!(postgres.psql(&url, "SELECT count(*) FROM recorded_event"), (2 * CLIENTS * ROUNDS).to_string());
}

on_each_release![two_servers_that_are_both_sent_everything_count_it_once,];
