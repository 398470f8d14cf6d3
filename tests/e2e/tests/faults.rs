//! What must hold when things break: every event counts exactly once, nobody waits past the patience, and staticreg
//! recovers by itself.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    net::SocketAddr,
    sync::{
        Arc, Barrier, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use staticreg_e2e::{
    Staticreg,
    client::{Connection, post},
    disk::SmallDisk,
    events::{access, next_number, notification, pull},
    eventually, on_each_release,
    sender::{Load, Sender, Sent},
    stores::Stores,
};
use staticreg_test_support::postgres::{Durability, Postgres, Release, Stop};
use tempfile::TempDir;

/// How long a notification may wait to be stored.
const PATIENCE: Duration = Duration::from_secs(3);

/// How soon staticreg stores again when the database is back.
const RECOVERY: Duration = Duration::from_secs(2);

/// What a busy machine adds to any of these.
const SLACK: Duration = Duration::from_millis(1_500);

/// How long what should come soon may take at all.
const LIMIT: Duration = Duration::from_secs(30);

/// These tests measure time and load the machine: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A random time between two numbers of milliseconds.
fn random_time(from: u64, to: u64) -> Duration {
    Duration::from_millis(from + RandomState::new().build_hasher().finish() % (to - from))
}

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

/// Waits until one more event is stored, and says how long that took.
fn time_until_stored(server: &Staticreg, events: &mut u64) -> Duration {
    let began = Instant::now();
    let event = notification(&[pull(next_number())]);
    eventually("an event is stored", LIMIT, || (server.post(&event).status == 200).then_some(()));
    *events += 1;
    began.elapsed()
}

/// Waits until an event is turned away; on a disk that is full for many, a few may still find room by themselves.
fn until_turned_away(server: &Staticreg, events: &mut u64) {
    eventually("an event is turned away", LIMIT, || {
        let status = server.post(&notification(&[pull(next_number())])).status;
        *events += u64::from(status == 200);
        (status == 503).then_some(())
    });
    // An attempt to store it that is under way must not find room after all.
    thread::sleep(Duration::from_millis(500));
}

// kill -9

fn survives_kills(url: &str) {
    let mut server = Staticreg::start_restartable(&[("STATICREG_DB_URL", url)]);
    let load = load(&server, 32);
    for _ in 0..20 {
        thread::sleep(random_time(20, 400));
        server.kill9();
        server.restart();
    }
    let sent = load.finish();
    assert!(sent.cut > 0, "no kill was felt: {sent:?}");
    assert_counted_once(&server, &sent);
}

fn kills_under_load_lose_and_double_nothing_in_postgresql(release: Release) {
    let _alone = alone();
    let postgres = Postgres::start_of(release, Durability::Volatile);
    survives_kills(&postgres.new_database());
}

#[test]
fn kills_under_load_lose_and_double_nothing_in_sqlite() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    survives_kills(&format!("sqlite://{}", folder.path().join("counts.db").display()));
}

fn kills_while_events_are_spooled_and_replayed_lose_and_double_nothing(release: Release) {
    let _alone = alone();
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let folder = tempfile::tempdir().expect("a folder");
    let spool = folder.path().join("spool.db");
    let mut server = Staticreg::start_restartable(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
    ]);
    let load = load(&server, 16);
    for _ in 0..3 {
        thread::sleep(random_time(100, 400));
        postgres.stop(Stop::Immediate);
        for _ in 0..3 {
            thread::sleep(random_time(100, 700));
            server.kill9();
            server.restart();
        }
        thread::sleep(Duration::from_millis(500));
        load.wait_until("an event is spooled", |sent| sent.spooled > 0);
        postgres.start_again();
        for _ in 0..3 {
            thread::sleep(random_time(20, 300));
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
    let _alone = alone();
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let server = Staticreg::start(&[("STATICREG_DB_URL", &postgres.new_database())]);
    let load = load(&server, 16);
    let mut more = 0;
    let mut recoveries = Vec::new();
    for round in 0..10 {
        thread::sleep(random_time(100, 500));
        postgres.stop(if round % 2 == 0 { Stop::Fast } else { Stop::Immediate });
        thread::sleep(Duration::from_secs(5));
        assert_eq!(server.get("/healthz/db").status, 503);
        postgres.start_again();
        recoveries.push(time_until_stored(&server, &mut more));
    }
    recoveries.sort_unstable();
    assert!(recoveries[7] < RECOVERY, "until it stored again: {recoveries:?}");
    assert!(recoveries[9] < RECOVERY + SLACK, "until it stored again: {recoveries:?}");
    let mut sent = load.finish();
    assert!(sent.refused > 0, "the registry must keep its events meanwhile: {sent:?}");
    assert!(sent.slowest < PATIENCE + SLACK, "{sent:?}");
    sent.events += more;
    assert_counted_once(&server, &sent);
}

fn questions_are_answered_again_once_the_database_is_back(release: Release) {
    let _alone = alone();
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
        let began = Instant::now();
        eventually("an answer", LIMIT, || (server.get("/api/v1/images").status == 200).then_some(()));
        assert!(began.elapsed() < RECOVERY + SLACK, "{:?}", began.elapsed());
    }
}

fn a_database_that_stops_is_covered_by_the_spool(release: Release) {
    let _alone = alone();
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
    thread::sleep(Duration::from_secs(2));
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
    const OBSTACLES: [(&str, &str); 2] = [
        (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
             CREATE TRIGGER refuse BEFORE INSERT ON container_pull_metrics EXECUTE FUNCTION refuse()",
            "DROP TRIGGER refuse ON container_pull_metrics",
        ),
        (
            "ALTER TABLE container_pull_metrics RENAME TO elsewhere",
            "ALTER TABLE elsewhere RENAME TO container_pull_metrics",
        ),
    ];
    let _alone = alone();
    let postgres = Postgres::start(Durability::Volatile);
    let url = postgres.new_database();
    let server = Staticreg::start(&[("STATICREG_DB_URL", &url)]);
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
        assert_eq!(server.get("/healthz/db").status, 200);
    }
}

// The database freezes.

/// Freezes the database for 10 s under load; gives what was sent.
fn freeze(server: &Staticreg, postgres: &Postgres) -> Sent {
    let load = load(server, 32);
    load.wait_until("an event is stored", |sent| sent.events > 0);
    postgres.freeze();
    let frozen = Instant::now();
    while frozen.elapsed() < Duration::from_secs(10) {
        for path in ["/healthz", "/healthz/db"] {
            let began = Instant::now();
            let status = server.get(path).status;
            assert_eq!(status == 200, path == "/healthz", "{path}: {status}");
            assert!(began.elapsed() < PATIENCE + SLACK, "{path} took {:?}", began.elapsed());
        }
    }
    postgres.thaw();
    thread::sleep(Duration::from_millis(500));
    load.finish()
}

fn a_frozen_database_makes_no_request_wait_past_its_patience(release: Release) {
    let _alone = alone();
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let server = Staticreg::start(&[("STATICREG_DB_URL", &postgres.new_database())]);
    let sent = freeze(&server, &postgres);
    assert!(sent.refused > 0, "{sent:?}");
    assert!(sent.slowest < PATIENCE + SLACK, "{sent:?}");
    assert_counted_once(&server, &sent);
}

fn a_frozen_database_is_covered_by_the_spool(release: Release) {
    let _alone = alone();
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let folder = tempfile::tempdir().expect("a folder");
    let spool = folder.path().join("spool.db");
    let server = Staticreg::start(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
    ]);
    let sent = freeze(&server, &postgres);
    assert_eq!(sent.refused, 0, "{sent:?}");
    assert!(sent.spooled > 0 && sent.slowest < PATIENCE + SLACK, "{sent:?}");
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
    let _alone = alone();
    for store in Stores::start().each() {
        let server = Staticreg::start(&store.environment());
        let address = server.address();
        let events: Vec<_> = (0..EVENTS).map(|_| pull(next_number())).collect();
        thread::scope(|scope| {
            for part in events.chunks(40) {
                scope.spawn(move || {
                    for event in part {
                        let random = RandomState::new().build_hasher().finish();
                        cut(address, &post(&notification(std::slice::from_ref(event))), random);
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
    let _alone = alone();
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
    let _alone = alone();
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
    let _alone = alone();
    let disk = SmallDisk::new(DISK, FREE);
    let url = format!("sqlite://{}", disk.path().join("counts.db").display());
    let mut server = Staticreg::start(&[("STATICREG_DB_URL", &url)]);
    let load = load(&server, 16);
    let line = server.line("WARN The store does not take events", LIMIT);
    assert!(line.contains("full"), "the log says why: {line}");
    thread::sleep(PATIENCE);
    let mut more = 0;
    until_turned_away(&server, &mut more);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/healthz/db").status, 503, "nothing can be stored, though the file can be opened");
    assert_eq!(server.get("/api/v1/summary").status, 200, "what was stored can be asked");
    assert!(server.is_running());

    disk.make_room();
    assert!(time_until_stored(&server, &mut more) < RECOVERY + PATIENCE);
    let mut sent = load.finish();
    assert!(sent.refused > 0, "{sent:?}");
    sent.events += more;
    // An event that was answered 503 above was never stored.
    assert_counted_once(&server, &sent);
}

fn a_spool_on_a_full_disk_turns_events_away_and_recovers(release: Release) {
    let _alone = alone();
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let disk = SmallDisk::new(DISK, FREE);
    let spool = disk.path().join("spool.db");
    let mut server = Staticreg::start(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
    ]);
    postgres.stop(Stop::Fast);
    let load = load(&server, 16);
    let line = server.line("ERROR The spool does not take events", LIMIT);
    assert!(line.contains("full"), "the log says why: {line}");
    thread::sleep(PATIENCE);
    let mut more = 0;
    until_turned_away(&server, &mut more);
    assert_eq!(server.get("/healthz").status, 200);
    assert!(server.is_running());

    disk.make_room();
    assert!(time_until_stored(&server, &mut more) < RECOVERY + PATIENCE);
    thread::sleep(Duration::from_millis(500));
    let mut sent = load.finish();
    assert!(sent.refused > 0 && sent.spooled > 0, "{sent:?}");
    sent.events += more;
    postgres.start_again();
    wait_until_replayed(&server);
    assert_counted_once(&server, &sent);
}

fn a_spool_on_a_full_disk_is_no_hindrance_once_the_database_is_back(release: Release) {
    let _alone = alone();
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let disk = SmallDisk::new(DISK, FREE);
    let spool = disk.path().join("spool.db");
    let server = Staticreg::start(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
    ]);
    postgres.stop(Stop::Fast);
    let load = load(&server, 16);
    server.wait_for_line("ERROR The spool does not take events", LIMIT);
    postgres.start_again();
    let mut more = 0;
    assert!(time_until_stored(&server, &mut more) < RECOVERY + PATIENCE);
    thread::sleep(Duration::from_secs(2));
    let mut sent = load.finish();
    sent.events += more;
    let all_count = || (server.pulls() == sent.events).then_some(());
    eventually("what the spool cannot be rid of counts too", LIMIT, all_count);
    disk.make_room();
    wait_until_replayed(&server);
    assert_counted_once(&server, &sent);
}

fn a_spool_whose_disk_is_full_is_emptied_all_the_same(release: Release) {
    const EVENTS: u64 = 3_000;
    let _alone = alone();
    let postgres = Postgres::start_of(release, Durability::Volatile);
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

fn a_spool_that_holds_all_it_may_turns_events_away(release: Release) {
    let _alone = alone();
    let folder = TempDir::new().expect("a folder");
    let spool = folder.path().join("spool.db");
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let server = Staticreg::start(&[
        ("STATICREG_DB_URL", &postgres.new_database()),
        ("STATICREG_SPOOL_FILE", spool.to_str().expect("text")),
        ("STATICREG_SPOOL_MAX_EVENTS", "20"),
    ]);
    postgres.stop(Stop::Fast);
    let statuses: Vec<_> = (0..21).map(|_| server.post(&notification(&[pull(next_number())])).status).collect();
    assert_eq!(statuses, [vec![200; 20], vec![503]].concat());
    postgres.start_again();
    wait_until_replayed(&server);
    assert_eq!(server.pulls(), 20);
}

// Clients that are slow, and many.

/// How long each of some posts on connections of their own takes.
fn answer_times(server: &Staticreg, posts: usize) -> Vec<Duration> {
    let post = |_| {
        let began = Instant::now();
        assert_eq!(server.post(&notification(&[pull(next_number())])).status, 200);
        let took = began.elapsed();
        thread::sleep(Duration::from_millis(10));
        took
    };
    (0..posts).map(post).collect()
}

/// The middle and the longest of some times.
fn middle_and_longest(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() - 1])
}

#[test]
fn idle_and_slow_connections_hold_nobody_up() {
    const IDLE: usize = 2_000;
    const SLOW: usize = 200;
    let _alone = alone();
    let limit = rlimit::increase_nofile_limit(16_384).expect("the limit of open files");
    assert!(limit >= 4_096, "this test opens {} connections, but only {limit} files may be open", IDLE + SLOW);
    let server = Staticreg::start(&[]);
    let before = middle_and_longest(answer_times(&server, 200));

    let idle: Vec<_> = (0..IDLE).map(|_| server.connect()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let given_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given_up);
    let address = server.address();
    let slow = thread::spawn(move || {
        let request = post(&notification(&[pull(next_number())]));
        let open = || Connection::open(address).expect("a connection");
        let mut connections: Vec<_> = (0..SLOW).map(|_| (open(), request.iter())).collect();
        while !told.load(Ordering::Relaxed) {
            let began = Instant::now();
            for (connection, bytes) in &mut connections {
                let byte = *bytes.next().expect("a request is longer than this test");
                if connection.write(&[byte]).is_err() {
                    count.fetch_add(1, Ordering::Relaxed);
                    (*connection, *bytes) = (open(), request.iter());
                }
            }
            thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
        }
    });
    // As long as a slow head is waited for, and a little longer: a client sees only later that it was given up.
    let mut during = Vec::new();
    let began = Instant::now();
    while given_up.load(Ordering::Relaxed) < SLOW {
        assert!(began.elapsed() < LIMIT, "slow clients keep no place: {given_up:?} were given up");
        during.extend(answer_times(&server, 100));
    }
    stop.store(true, Ordering::Relaxed);
    slow.join().expect("it ends");
    let during = middle_and_longest(during);
    assert!(during.0 < before.0 * 3 + Duration::from_millis(10), "before {before:?}, with them {during:?}");
    assert!(during.1 < before.1 + SLACK, "before {before:?}, with them {during:?}");
    let mut held = idle.into_iter().take(10);
    assert!(held.all(|mut connection| connection.is_closed_within(LIMIT)), "idle connections keep no place");
}

#[test]
fn more_connections_than_may_be_wait_for_their_turn() {
    let _alone = alone();
    let server = Staticreg::start(&[("STATICREG_HTTP_MAX_CONNECTIONS", "4")]);
    let mut held: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for connection in &mut held {
        assert_eq!(connection.post(&notification(&[pull(next_number())])).expect("an answer").status, 200);
    }
    let mut fifth = server.connect();
    fifth.write(&post(&notification(&[pull(next_number())]))).expect("sent");
    thread::sleep(Duration::from_millis(300));
    drop(held);
    assert_eq!(fifth.answer().expect("an answer, now that there is room").status, 200);
}

on_each_release![
    kills_under_load_lose_and_double_nothing_in_postgresql,
    kills_while_events_are_spooled_and_replayed_lose_and_double_nothing,
    a_database_that_stops_ten_times_loses_and_doubles_nothing_and_is_used_again_at_once,
    questions_are_answered_again_once_the_database_is_back,
    a_database_that_stops_is_covered_by_the_spool,
    a_frozen_database_makes_no_request_wait_past_its_patience,
    a_frozen_database_is_covered_by_the_spool,
    two_servers_that_are_both_sent_everything_count_it_once,
    a_spool_on_a_full_disk_turns_events_away_and_recovers,
    a_spool_on_a_full_disk_is_no_hindrance_once_the_database_is_back,
    a_spool_whose_disk_is_full_is_emptied_all_the_same,
    a_spool_that_holds_all_it_may_turns_events_away,
];
