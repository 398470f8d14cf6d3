//! The database stops, takes nothing, or freezes.

use std::thread;

use staticreg_e2e::{
    Staticreg,
    events::{next_number, notification, pull},
    eventually, on_each_release,
    random::Random,
    sender::Sent,
};
use staticreg_test_support::postgres::{Durability, Postgres, Release, Stop};

use crate::{LIMIT, SHORT_PATIENCE, assert_counted_once, load, until_stored, wait_until_replayed};

fn a_database_that_stops_ten_times_loses_and_doubles_nothing_and_is_used_again_at_once(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let server = Staticreg::start(&[("STATICREG_DB_URL", &postgres.new_database()), SHORT_PATIENCE]);
    let mut random = Random::new();
    let load = load(&server, 16);
    let mut more = 0;
    for round in 0..10 {
        thread::sleep(random.time(100, 500));
        postgres.stop(if round % 2 == 0 { Stop::Fast } else { Stop::Immediate });
        let before = load.so_far().refused;
        load.wait_until("the registry must keep its events", |sent| sent.refused > before);
        assert_eq!(server.get("/healthz/db").status, 503);
        postgres.start_again();
        until_stored(&server, &notification(&[pull(next_number())]), &mut more);
    }
    let mut sent = load.finish();
    sent.events += more;
    assert_counted_once(&server, &sent);
}

fn questions_are_answered_again_once_the_database_is_back(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let server = Staticreg::start(&[("STATICREG_DB_URL", &postgres.new_database())]);
    server.wait_for_store();
    assert_eq!(server.pulls(), 0);
    for how in [Stop::Fast, Stop::Immediate] {
        postgres.stop(how);
        let refused = server.get("/api/v1/images");
        assert_eq!(refused.status, 503);
        assert!(!refused.problem().contains("127.0.0.1"), "an error tells no inside: {refused:?}");
        postgres.start_again();
        eventually("an answer", LIMIT, || (server.get("/api/v1/images").status == 200).then_some(()));
    }
}

fn a_database_that_stops_is_covered_by_the_spool(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let folder = tempfile::tempdir().expect("a folder");
    let spool = folder.path().join("spool.db");
    let mut server = Staticreg::start_restartable(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
    ]);
    let load = load(&server, 16);
    load.wait_until("an event is stored", |sent| sent.events > 0);
    postgres.stop(Stop::Fast);
    load.wait_until("an event is spooled", |sent| sent.spooled > 0);
    let sent = load.finish();
    assert_eq!((sent.refused, sent.cut), (0, 0), "the registry notices nothing: {sent:?}");
    let told = server.get("/healthz/db");
    assert_eq!(told.status, 503);
    assert!(told.problem().contains(&format!("{} events are spooled", sent.spooled)), "{told:?} {sent:?}");

    // What waits survives an orderly stop, too.
    assert!(server.terminate().success());
    server.restart();
    server.wait_for_line("INFO Events wait in the spool", LIMIT);
    postgres.start_again();
    wait_until_replayed(&server);
    assert_eq!(server.get_json("/api/v1/summary")["events_spooled"], 0);
    assert_counted_once(&server, &sent);
}

#[test]
fn a_database_that_takes_no_batch_is_told_as_unable_until_it_takes_one() {
    const OBSTACLES: [(&str, &str); 4] = [
        (
            "CREATE FUNCTION divide() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.tag := 1 / 0; RETURN NEW; END'; \
             CREATE TRIGGER divide BEFORE INSERT ON container_pull_metrics FOR EACH ROW EXECUTE FUNCTION divide()",
            "DROP TRIGGER divide ON container_pull_metrics",
        ),
        (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
             CREATE TRIGGER refuse BEFORE INSERT ON container_pull_metrics EXECUTE FUNCTION refuse()",
            "DROP TRIGGER refuse ON container_pull_metrics",
        ),
        (
            "ALTER TABLE container_pull_metrics ADD CONSTRAINT none CHECK (length(tag) > 128) NOT VALID",
            "ALTER TABLE container_pull_metrics DROP CONSTRAINT none",
        ),
        (
            "ALTER TABLE container_pull_metrics RENAME TO elsewhere",
            "ALTER TABLE elsewhere RENAME TO container_pull_metrics",
        ),
    ];
    let postgres = Postgres::start(Durability::Volatile);
    let url = postgres.new_database();
    let server = Staticreg::start(&[("STATICREG_DB_URL", &url), SHORT_PATIENCE]);
    server.wait_for_store();
    for (obstacle, remedy) in OBSTACLES {
        postgres.psql(&url, obstacle);
        let event = notification(&[pull(next_number())]);
        assert_eq!(server.post(&event).status, 503, "{obstacle}");
        let told = server.get("/healthz/db");
        assert_eq!(told.status, 503, "{obstacle}");
        assert!(!told.problem().is_empty());
        postgres.psql(&url, remedy);
        eventually("the event is stored", LIMIT, || (server.post(&event).status == 200).then_some(()));
        server.wait_for_store();
    }
}

/// Freezes the database under load until every sender was answered; gives what was sent.
fn freeze(server: &Staticreg, postgres: &Postgres) -> Sent {
    const SENDERS: u64 = 32;
    let load = load(server, usize::try_from(SENDERS).expect("few"));
    load.wait_until("an event is stored", |sent| sent.events > 0);
    postgres.freeze();
    let before = load.so_far();
    load.wait_until("the senders are answered while it is frozen", |sent| {
        sent.refused >= before.refused + SENDERS || sent.spooled >= SENDERS
    });
    for (path, status) in [("/healthz", 200), ("/healthz/db", 503)] {
        assert_eq!(server.get(path).status, status, "{path}");
    }
    postgres.thaw();
    load.finish()
}

fn a_frozen_database_makes_no_request_wait_past_its_patience(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let server = Staticreg::start(&[("STATICREG_DB_URL", &postgres.new_database()), SHORT_PATIENCE]);
    let sent = freeze(&server, &postgres);
    assert!(sent.refused > 0, "{sent:?}");
    assert_counted_once(&server, &sent);
}

fn a_frozen_database_is_covered_by_the_spool(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let folder = tempfile::tempdir().expect("a folder");
    let spool = folder.path().join("spool.db");
    let server = Staticreg::start(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
    ]);
    let sent = freeze(&server, &postgres);
    assert_eq!(sent.refused, 0, "{sent:?}");
    assert!(sent.spooled > 0, "{sent:?}");
    wait_until_replayed(&server);
    assert_counted_once(&server, &sent);
}

on_each_release![
    a_database_that_stops_ten_times_loses_and_doubles_nothing_and_is_used_again_at_once,
    questions_are_answered_again_once_the_database_is_back,
    a_database_that_stops_is_covered_by_the_spool,
    a_frozen_database_makes_no_request_wait_past_its_patience,
    a_frozen_database_is_covered_by_the_spool,
];
