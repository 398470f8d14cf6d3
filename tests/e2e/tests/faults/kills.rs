//! `kill -9`.

use std::{thread, time::Duration};

use staticreg_e2e::{
    Staticreg,
    events::{next_number, notification, pull},
    on_each_release,
    random::Random,
};
use staticreg_test_support::postgres::{Durability, Postgres, Release, Stop};

use crate::{ANY, assert_balanced, assert_counted_once, load, wait_until_replayed};

fn survives_kills(url: &str) {
    let mut server = Staticreg::start_restartable(&[("STATICREG_DB_URL", url)]);
    let mut random = Random::new();
    let load = load(&server, 32);
    for _ in 0..20 {
        thread::sleep(random.time(20, 400));
        server.kill9();
        server.restart();
    }
    let sent = load.finish();
    assert!(sent.cut > 0, "no kill was felt: {sent:?}");
    assert_counted_once(&server, &sent);
}

fn kills_under_load_lose_and_double_nothing_in_postgresql(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    survives_kills(&postgres.new_database());
}

#[test]
fn kills_under_load_lose_and_double_nothing_in_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    survives_kills(&format!("sqlite://{}", folder.path().join("counts.db").display()));
}

#[test]
fn kills_while_events_are_spooled_and_replayed_lose_and_double_nothing() {
    let postgres = Postgres::start_of(ANY, Durability::Volatile);
    let folder = tempfile::tempdir().expect("a folder");
    let spool = folder.path().join("spool.db");
    let mut server = Staticreg::start_restartable(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
    ]);
    let mut random = Random::new();
    let load = load(&server, 16);
    for _ in 0..3 {
        thread::sleep(random.time(100, 400));
        postgres.stop(Stop::Immediate);
        for _ in 0..3 {
            thread::sleep(random.time(100, 700));
            server.kill9();
            server.restart();
            assert_balanced(&server);
        }
        thread::sleep(Duration::from_millis(500));
        load.wait_until("an event is spooled", |sent| sent.spooled > 0);
        postgres.start_again();
        for _ in 0..3 {
            thread::sleep(random.time(20, 300));
            server.kill9();
            server.restart();
            assert_balanced(&server);
        }
    }
    let sent = load.finish();
    wait_until_replayed(&server);
    assert_balanced(&server);
    assert_counted_once(&server, &sent);
}

#[test]
fn the_balance_begins_with_what_a_killed_server_left_in_the_spool() {
    let postgres = Postgres::start_of(ANY, Durability::Volatile);
    let folder = tempfile::tempdir().expect("a folder");
    let spool = folder.path().join("spool.db");
    let mut server = Staticreg::start_restartable(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
    ]);
    server.wait_for_store();
    postgres.stop(Stop::Immediate);
    for _ in 0..2 {
        let answer = server.post(&notification(&[pull(next_number()), pull(next_number())]));
        assert_eq!(answer.json()["events_spooled"], 2, "{answer:?}");
    }
    server.kill9();
    postgres.start_again();
    server.restart();
    wait_until_replayed(&server);
    let balance = assert_balanced(&server);
    assert_eq!((balance["counted"], balance.values().sum()), (4, 4), "{balance:?}");
}

on_each_release![kills_under_load_lose_and_double_nothing_in_postgresql,];
