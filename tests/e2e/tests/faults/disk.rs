//! The disk is full, or the spool.

use std::{thread, time::Duration};

use serde_json::Value;
use staticreg_e2e::{
    Staticreg,
    disk::SmallDisk,
    events::{next_number, notification, pull},
    eventually,
};
use staticreg_test_support::postgres::{Durability, Postgres, Stop};
use tempfile::TempDir;

use crate::{ANY, LIMIT, SHORT_PATIENCE, assert_counted_once, load, until_stored, wait_until_replayed};

/// Sends events until one is turned away, and gives that one: an attempt to store it may be under way still. On a disk
/// that is full for many, a few may find room by themselves.
fn until_turned_away(server: &Staticreg, events: &mut u64) -> Value {
    eventually("an event is turned away", LIMIT, || {
        let event = notification(&[pull(next_number())]);
        let status = server.post(&event).status;
        *events += u64::from(status == 200);
        (status == 503).then_some(event)
    })
}

/// So many KiB.
const DISK: usize = 16 * 1024;

const FREE: usize = 768;

#[test]
fn sqlite_on_a_full_disk_turns_events_away_and_recovers() {
    let disk = SmallDisk::new(DISK, FREE);
    let url = format!("sqlite://{}", disk.path().join("counts.db").display());
    let mut server = Staticreg::start(&[("STATICREG_DB_URL", &url), SHORT_PATIENCE]);
    let load = load(&server, 16);
    let line = server.line("WARN The store does not take events", LIMIT);
    assert!(line.contains("full"), "the log says why: {line}");
    let mut more = 0;
    let turned_away = until_turned_away(&server, &mut more);
    load.wait_until("the registry must keep its events", |sent| sent.refused > 0);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/healthz/db").status, 503, "nothing can be stored, though the file can be opened");
    assert_eq!(server.get("/api/v1/summary").status, 200, "what was stored can be asked");
    assert!(server.is_running());

    disk.make_room();
    until_stored(&server, &turned_away, &mut more);
    let mut sent = load.finish();
    sent.events += more;
    assert_counted_once(&server, &sent);
}

#[test]
fn a_spool_on_a_full_disk_turns_events_away_and_recovers() {
    let postgres = Postgres::start_of(ANY, Durability::Volatile);
    let disk = SmallDisk::new(DISK, FREE);
    let spool = disk.path().join("spool.db");
    let mut server = Staticreg::start(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
        SHORT_PATIENCE,
    ]);
    postgres.stop(Stop::Fast);
    let load = load(&server, 16);
    let line = server.line("ERROR The spool does not take events", LIMIT);
    assert!(line.contains("full"), "the log says why: {line}");
    let mut more = 0;
    let turned_away = until_turned_away(&server, &mut more);
    load.wait_until("the registry must keep its events", |sent| sent.refused > 0);
    assert_eq!(server.get("/healthz").status, 200);
    assert!(server.is_running());

    disk.make_room();
    until_stored(&server, &turned_away, &mut more);
    thread::sleep(Duration::from_millis(500));
    let mut sent = load.finish();
    assert!(sent.refused > 0 && sent.spooled > 0, "{sent:?}");
    sent.events += more;
    postgres.start_again();
    wait_until_replayed(&server);
    assert_counted_once(&server, &sent);
}

#[test]
fn a_spool_on_a_full_disk_is_no_hindrance_once_the_database_is_back() {
    let postgres = Postgres::start_of(ANY, Durability::Volatile);
    let disk = SmallDisk::new(DISK, FREE);
    let spool = disk.path().join("spool.db");
    let server = Staticreg::start(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
        SHORT_PATIENCE,
    ]);
    postgres.stop(Stop::Fast);
    let load = load(&server, 16);
    server.wait_for_line("ERROR The spool does not take events", LIMIT);
    postgres.start_again();
    let mut more = 0;
    until_stored(&server, &notification(&[pull(next_number())]), &mut more);
    thread::sleep(Duration::from_secs(2));
    let mut sent = load.finish();
    sent.events += more;
    let all_count = || (server.pulls() == sent.events).then_some(());
    eventually("what the spool cannot be rid of counts too", LIMIT, all_count);
    disk.make_room();
    wait_until_replayed(&server);
    assert_counted_once(&server, &sent);
}

#[test]
fn a_spool_whose_disk_is_full_is_emptied_all_the_same() {
    const EVENTS: u64 = 3_000;
    let postgres = Postgres::start_of(ANY, Durability::Volatile);
    let disk = SmallDisk::new(DISK, DISK / 2);
    let spool = disk.path().join("spool.db");
    let mut server = Staticreg::start_restartable(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
    ]);
    server.wait_for_store();
    postgres.stop(Stop::Fast);
    for _ in 0..EVENTS / 100 {
        let events: Vec<_> = (0..100).map(|_| pull(next_number())).collect();
        let answer = server.post(&notification(&events));
        assert_eq!(answer.json()["events_spooled"], 100, "{answer:?}");
    }
    disk.fill();
    postgres.start_again();
    wait_until_replayed(&server);
    assert_eq!(server.pulls(), EVENTS);
    server.wait_for_line("ERROR Stored events cannot be removed from the spool", LIMIT);
    let answer = server.post(&notification(&[pull(next_number())])).json();
    assert_eq!((&answer["events_processed"], &answer["events_spooled"]), (&1.into(), &0.into()), "{answer}");

    // It does not forget what it knows of the events that are still in the file.
    assert!(server.terminate().success());
    server.restart();
    wait_until_replayed(&server);
    assert_eq!(server.pulls(), EVENTS + 1, "none twice");

    disk.make_room();
    eventually("the file holds nothing any more", LIMIT, || {
        // A server that is stopped before it has replayed what waits removes nothing.
        wait_until_replayed(&server);
        assert!(server.terminate().success());
        let before = server.log().len();
        server.restart();
        (!server.log()[before..].contains("Events wait in the spool")).then_some(())
    });
    assert_eq!(server.pulls(), EVENTS + 1);
}

#[test]
fn a_spool_that_holds_all_it_may_turns_events_away() {
    let folder = TempDir::new().expect("a folder");
    let spool = folder.path().join("spool.db");
    let postgres = Postgres::start_of(ANY, Durability::Volatile);
    let server = Staticreg::start(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
        ("STATICREG_SPOOL_MAX_EVENTS", "20"),
        SHORT_PATIENCE,
    ]);
    postgres.stop(Stop::Fast);
    let mut events = 0;
    for _ in 0..20 {
        until_stored(&server, &notification(&[pull(next_number())]), &mut events);
    }
    assert_eq!(server.post(&notification(&[pull(next_number())])).status, 503);
    postgres.start_again();
    wait_until_replayed(&server);
    assert_eq!(server.pulls(), events);
}
