//! What must hold when things break: every event counts exactly once, nobody waits for what is away, and staticreg recovers
//! by itself.

use std::{net::SocketAddr, sync::Barrier, thread, time::Duration};

use serde_json::Value;
use staticreg_e2e::{
    Staticreg,
    client::{Connection, post},
    disk::SmallDisk,
    events::{access, next_number, notification, pull},
    eventually, on_each_release,
    random::Random,
    sender::{Load, Sender, Sent},
    stores::Stores,
};
use staticreg_test_support::postgres::{Durability, Postgres, Release, Stop};
use tempfile::TempDir;

/// A notification that waits to be stored is soon given up: with it a test need not wait long for an answer 503.
const SHORT_PATIENCE: (&str, &str) = ("STATICREG_METRICS_PATIENCE", "3s");

/// How long what is waited for may take, however busy the machine is.
const LIMIT: Duration = Duration::from_mins(3);

/// Of the tests whose fault is the program's own or its spool's, where one release of PostgreSQL is as good as another:
/// the one that most set-ups start with.
const ANY: Release = Release::Eighteen;

fn load(server: &Staticreg, connections: usize) -> Load {
    Sender { address: server.address(), connections, keep_alive: false }.start()
}

fn assert_counted_once(server: &Staticreg, sent: &Sent) {
    assert_eq!(server.pulls(), sent.events, "{sent:?}");
}

fn spooled(server: &Staticreg) -> Option<u64> {
    let answer = server.get("/healthz/db");
    (answer.status == 200).then(|| answer.json()["events_spooled"].as_u64().expect("a number"))
}

fn wait_until_replayed(server: &Staticreg) {
    eventually("the spool is empty", LIMIT, || spooled(server).filter(|waiting| *waiting == 0));
}

/// Sends an event again until it is stored.
fn until_stored(server: &Staticreg, event: &Value, events: &mut u64) {
    eventually("an event is stored", LIMIT, || (server.post(event).status == 200).then_some(()));
    *events += 1;
}

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

// kill -9

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
        }
        thread::sleep(Duration::from_millis(500));
        load.wait_until("an event is spooled", |sent| sent.spooled > 0);
        postgres.start_again();
        for _ in 0..3 {
            thread::sleep(random.time(20, 300));
            server.kill9();
            server.restart();
        }
    }
    let sent = load.finish();
    wait_until_replayed(&server);
    assert_counted_once(&server, &sent);
}

// The database stops.

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

// The database freezes.

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

// Connections are cut.

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
        let sent = Sender { address, connections: 16, keep_alive: true }.send(events.into_iter());
        assert!(sent.duplicates > 0 && sent.duplicates < EVENTS, "some were stored before: {sent:?}");
        assert_counted_once(&server, &sent);
    }
}

// Many send the same.

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
        assert_eq!(summary["pulls_total"], CLIENTS * ROUNDS, "{summary}");
        assert_eq!(summary["version_checks"]["total"], 0, "{summary}");
        assert_eq!(summary["pulls_by_digest"]["total"], 0, "{summary}");
        assert!(!server.log().contains("deadlock"), "{}", server.log());
    }
    assert_eq!(postgres.psql(&url, "SELECT count(*) FROM recorded_event"), (2 * CLIENTS * ROUNDS).to_string());
}

// The disk is full.

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

on_each_release![
    kills_under_load_lose_and_double_nothing_in_postgresql,
    a_database_that_stops_ten_times_loses_and_doubles_nothing_and_is_used_again_at_once,
    questions_are_answered_again_once_the_database_is_back,
    a_database_that_stops_is_covered_by_the_spool,
    a_frozen_database_makes_no_request_wait_past_its_patience,
    a_frozen_database_is_covered_by_the_spool,
    two_servers_that_are_both_sent_everything_count_it_once,
];
