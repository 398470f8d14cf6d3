//! Several servers on one PostgreSQL, and a registry that posts each event to any of them: every count is exact, by kind,
//! tag and architecture.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Barrier,
    thread,
    time::Duration,
};

use staticreg_e2e::{
    Staticreg,
    events::{next_number, notification},
    eventually, on_each_release,
    operations::{COUNTS, Counts, Operation, counts},
    random::Random,
    sender::{Load, Sender},
};
use staticreg_test_support::{
    postgres::{Durability, Postgres, Release, Stop},
    proxy::Proxy,
};

use crate::{ANY, LIMIT, SHORT_PATIENCE};

const ROUNDS: usize = 20;

fn start(number: usize, url: &str) -> Vec<Staticreg> {
    // One after the other, as their ports are free until they listen.
    (0..number).map(|_| Staticreg::start_restartable(&[("STATICREG_DB_URL", url), SHORT_PATIENCE])).collect()
}

fn sender(servers: &[Staticreg]) -> Sender {
    Sender { addresses: servers.iter().map(Staticreg::address).collect(), connections: 24, keep_alive: false }
}

fn stored(postgres: &Postgres, url: &str) -> Counts {
    counts(&postgres.psql(url, COUNTS))
}

/// Lets a load go on until some events more are stored.
fn go_on(load: &Load) {
    let before = load.so_far().events;
    load.wait_until("events are stored", |sent| sent.events > before + 20);
}

fn servers_that_are_killed_lose_and_double_nothing(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database();
    for number in [2, 3] {
        let mut servers = start(number, &url);
        let mut random = Random::new();
        let before = stored(&postgres, &url);
        let (load, right) = sender(&servers).start_operations();
        for _ in 0..ROUNDS {
            thread::sleep(random.time(20, 300));
            let which = usize::try_from(random.number()).unwrap_or_default() % number;
            servers[which].kill9();
            servers[which].restart();
        }
        let sent = load.finish();
        assert!(sent.cut > 0, "no kill was felt: {sent:?}");
        let mut right = right.lock().expect("nobody panicked").clone();
        for (what, count) in before {
            *right.entry(what).or_default() += count;
        }
        assert_eq!(stored(&postgres, &url), right, "{number} servers, {sent:?}");
    }
}

fn a_rolling_restart_under_load_loses_and_doubles_nothing(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database();
    let mut servers = start(3, &url);
    let (load, right) = sender(&servers).start_operations();
    for round in 0..ROUNDS {
        let server = &mut servers[round % 3];
        assert!(server.terminate().success(), "{}", server.log());
        server.restart();
        go_on(&load);
    }
    let sent = load.finish();
    assert_eq!(stored(&postgres, &url), *right.lock().expect("nobody panicked"), "{sent:?}");
}

fn a_fail_over_to_a_synchronous_replica_loses_and_doubles_nothing(release: Release) {
    const FAIL_OVERS: usize = 3;
    let address = |postgres: &Postgres| SocketAddr::from((Ipv4Addr::LOCALHOST, postgres.port()));
    let mut primary = Postgres::start_of(release, Durability::Volatile);
    let database = primary.new_database();
    let database = database.rsplit('/').next().expect("a name");
    let proxy = Proxy::start("127.0.0.1:0", address(&primary));
    let [direct, led] = [primary.port(), proxy.address().port()].map(|port| format!(":{port}/"));
    let servers = start(2, &primary.url(database).replace(&direct, &led));
    let (load, right) = sender(&servers).start_operations();
    for _ in 0..FAIL_OVERS {
        let replica = primary.start_synchronous_replica();
        go_on(&load);
        primary.stop(Stop::Immediate);
        proxy.lead_to(address(&replica));
        replica.promote();
        primary = replica;
        go_on(&load);
    }
    let sent = load.finish();
    let felt = servers.iter().any(|server| server.log().contains("The store does not take events"));
    assert!(felt, "no fail-over was felt: {sent:?}");
    assert_eq!(stored(&primary, &primary.url(database)), *right.lock().expect("nobody panicked"), "{sent:?}");
}

/// What it lost is lost; nothing that servers remember of it spoils what follows.
#[test]
fn after_a_fail_over_that_lost_events_what_follows_is_right() {
    let postgres = Postgres::start_of(ANY, Durability::Volatile);
    let url = postgres.new_database();
    let servers = start(2, &url);
    for _ in 0..3 {
        let (load, _) = sender(&servers).start_operations();
        go_on(&load);
        postgres.save();
        go_on(&load);
        postgres.put_back();
        let sent = load.finish();
        let before = stored(&postgres, &url);
        let (load, right) = sender(&servers).start_operations();
        let more = load.finish();
        let mut right = right.lock().expect("nobody panicked").clone();
        for (what, count) in before {
            *right.entry(what).or_default() += count;
        }
        assert_eq!(stored(&postgres, &url), right, "{sent:?} {more:?}");
    }
}

fn the_same_events_to_two_servers_at_once_count_once(release: Release) {
    let postgres = Postgres::shared_of(release);
    let url = postgres.new_database();
    let servers = start(2, &url);
    let mut right = Counts::new();
    for _ in 0..ROUNDS {
        let operations: Vec<_> = (0..7).map(|_| Operation::new(next_number())).collect();
        for operation in &operations {
            operation.count(&mut right);
        }
        let events: Vec<_> = operations.into_iter().flat_map(Operation::events).collect();
        let start = Barrier::new(servers.len());
        thread::scope(|scope| {
            for server in &servers {
                scope.spawn(|| {
                    start.wait();
                    for event in &events {
                        let event = notification(std::slice::from_ref(event));
                        eventually("it is stored", LIMIT, || (server.post(&event).status == 200).then_some(()));
                    }
                });
            }
        });
    }
    assert_eq!(stored(postgres, &url), right);
}

/// Nobody has to be served before another: while one is busy, the other stores too.
#[test]
fn a_server_with_few_events_is_not_starved_by_one_with_many() {
    let postgres = Postgres::shared_of(ANY);
    let url = postgres.new_database();
    let servers = start(2, &url);
    let (load, _) = sender(&servers[..1]).start_operations();
    go_on(&load);
    for _ in 0..ROUNDS {
        for event in Operation::new(next_number()).events() {
            assert_eq!(servers[1].post(&notification(&[event])).status, 200);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let sent = load.finish();
    assert_eq!((sent.refused, sent.cut), (0, 0), "{sent:?}");
}

on_each_release![
    servers_that_are_killed_lose_and_double_nothing,
    a_rolling_restart_under_load_loses_and_doubles_nothing,
    a_fail_over_to_a_synchronous_replica_loses_and_doubles_nothing,
    the_same_events_to_two_servers_at_once_count_once,
];
