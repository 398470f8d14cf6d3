//! Start and stop.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use staticreg_e2e::{Staticreg, client::post, eventually, on_each_release};
use staticreg_test_support::postgres::{Durability, Postgres, Release, Stop};

use crate::{SHORT_PATIENCE, SOON, has_line, one_pull};

fn a_database_that_is_away_at_start_is_waited_for_while_the_registry_keeps_its_events(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database();
    postgres.stop(Stop::Fast);
    let server = Staticreg::start(&[("STATICREG_DB_URL", &url), ("STATICREG_LOG_LEVEL", "debug"), SHORT_PATIENCE]);
    let unable = server.line("WARN Unable to create connection pool: ", SOON);
    assert!(unable.ends_with(". Database functions will be disabled."), "{unable}");

    let event = one_pull();
    let answer = server.post(&event);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{answer:?}");
    assert!(!answer.problem().is_empty());
    has_line(&server, "DEBUG Skipping pull event save: Database pool is not active.");
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/healthz/db").status, 503);

    postgres.start_again();
    eventually("the event is stored", SOON, || (server.post(&event).status == 200).then_some(()));
    has_line(&server, "INFO PostgreSQL connection pool successfully initialized.");
    has_line(&server, "INFO Database schema initialized successfully.");
    server.wait_for_store();
    assert_eq!(server.pulls(), 1);
}

fn a_database_that_is_frozen_at_start_keeps_nobody_waiting(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database();
    postgres.freeze();
    // It listens and answers while the database does neither.
    let server = Staticreg::start(&[("STATICREG_DB_URL", &url), SHORT_PATIENCE]);
    let event = one_pull();
    assert_eq!(server.post(&event).status, 503);
    postgres.thaw();
    eventually("the event is stored", SOON, || (server.post(&event).status == 200).then_some(()));
    assert_eq!(server.pulls(), 1);
}

/// A signal comes while one request waits for the database and one is half sent.
fn finishes_what_was_accepted(signal: Signal, release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database();
    // Longer than it takes a busy machine to come to the thaw.
    let mut server = Staticreg::start(&[
        ("STATICREG_DB_URL", &url),
        ("STATICREG_METRICS_PATIENCE", "2m"),
        ("STATICREG_HTTP_STOP_TIMEOUT", "2m"),
    ]);
    assert_eq!(server.post(&one_pull()).status, 200);

    postgres.freeze();
    let mut waiting = server.connect();
    waiting.write(&post(&one_pull())).expect("sent");
    let mut half_sent = server.connect();
    let rest = post(&one_pull());
    let (head, rest) = rest.split_at(rest.len() - 100);
    half_sent.write(head).expect("sent");
    waiting.wait_until_read();
    half_sent.wait_until_read();

    server.signal(signal);
    server.wait_for_line("INFO Stopping", SOON);
    postgres.thaw();
    half_sent.write(rest).expect("sent");
    assert_eq!(waiting.answer().expect("an answer").status, 200);
    assert_eq!(half_sent.answer().expect("an answer").status, 200);
    assert!(server.wait().success());
    has_line(&server, "INFO Stopped; everything accepted was finished");
    assert_eq!(postgres.psql(&url, "SELECT sum(pull_count) FROM container_pull_metrics"), "3");
}

fn sigterm_finishes_what_was_accepted(release: Release) {
    finishes_what_was_accepted(Signal::TERM, release);
}

/// What differs from the test above is the signal, whichever PostgreSQL there is.
#[test]
fn sigint_finishes_what_was_accepted() {
    finishes_what_was_accepted(Signal::INT, Release::Eighteen);
}

#[test]
fn a_stop_waits_for_nobody_longer_than_it_may() {
    const LIMIT: Duration = Duration::from_secs(4);
    let mut server = Staticreg::start(&[("STATICREG_HTTP_STOP_TIMEOUT", "4s")]);
    let mut idle = server.connect();
    let mut stalled = server.connect();
    stalled.write(&post(&one_pull())[..200]).expect("sent");
    stalled.wait_until_read();
    let began = Instant::now();
    assert!(server.terminate().success());
    assert!(began.elapsed() >= LIMIT.mul_f32(0.9), "it waits for what may still be sent: {:?}", began.elapsed());
    server.wait_for_line("WARN Stopped before everything accepted was finished", SOON);
    assert!(idle.is_closed_within(SOON) && stalled.is_closed_within(SOON));
}

#[test]
fn a_stop_without_work_is_at_once() {
    // Longer than this test waits: a connection that is kept holds no stop up.
    let mut server =
        Staticreg::start(&[("STATICREG_HTTP_STOP_TIMEOUT", "30m"), ("STATICREG_HTTP_HEADER_TIMEOUT", "30m")]);
    let mut connection = server.connect();
    assert_eq!(connection.post(&one_pull()).expect("an answer").status, 200);
    assert!(server.terminate().success());
}

#[test]
fn sighup_ends_no_server_that_has_no_files_to_look_at() {
    let mut server = Staticreg::start(&[]);
    server.signal(Signal::HUP);
    assert_eq!(server.post(&one_pull()).status, 200);
    assert!(server.terminate().success());
}

on_each_release![
    a_database_that_is_away_at_start_is_waited_for_while_the_registry_keeps_its_events,
    a_database_that_is_frozen_at_start_keeps_nobody_waiting,
    sigterm_finishes_what_was_accepted,
];
