//! How fast events are recorded, beside what the database and the server do by themselves, in one run.

use std::{path::Path, time::Duration};

use staticreg_test_support::postgres::{Durability, Postgres};

use crate::{
    events::Client,
    pgbench,
    program::Program,
    sender::{Load, Measured, send},
};

const CONNECTIONS: [usize; 3] = [1, 64, 512];

/// Who pulls, and whether each connection is kept. A pull by docker is two events and makes a count that falls to 0.
const KINDS: [(Client, bool); 3] = [(Client::Podman, true), (Client::Podman, false), (Client::Docker, false)];

/// What is compared takes turns, so that a machine that gets slower or faster does so to all.
const ROUNDS: u32 = 5;

const PGBENCH_CLIENTS: usize = 64;

/// Measures every load for so long, prints the table, and panics when an event was lost or counted twice. Another build
/// records into a database of its own.
pub(crate) async fn measure(duration: Duration, timestamp: &str, beside: Option<&Path>) {
    let postgres = Postgres::start(Durability::Durable);
    let database = postgres.new_database();
    let server = Program::start("staticreg", &[("STATICREG_DB_URL", &database)]).await;
    let other = match beside {
        Some(program) => {
            let database = postgres.new_database();
            Some(Program::start_file(program, &[("STATICREG_DB_URL", &database)]).await)
        }
        None => None,
    };
    let nothing = Program::start("staticreg-storing-nothing", &[]).await;
    let floor = Program::start("staticreg-floor", &[]).await;

    println!("## Recording, {} s each, one event per POST\n", duration.as_secs());
    println!("| load | events/s | p50 | p99 | to pgbench | to the floor | peak memory |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let (mut stored, mut stored_of_podman) = (0, 0);
    let mut seed = 0;
    for connections in CONNECTIONS {
        for (client, keep_alive) in KINDS {
            let load = Load { client, connections, keep_alive, duration: duration / ROUNDS };
            let clients = connections.min(PGBENCH_CLIENTS);
            let mut rows = 0.0;
            let [mut bare, mut empty, mut full, mut others] = [(); 4].map(|()| Measured::default());
            for _ in 0..ROUNDS {
                seed += 4;
                rows += pgbench::run(&postgres, &database, clients, load.duration).await / f64::from(ROUNDS);
                bare.add(send(floor.address, load, timestamp, seed + 3).await);
                empty.add(send(nothing.address, load, timestamp, seed).await);
                full.add(send(server.address, load, timestamp, seed + 1).await);
                if let Some(other) = &other {
                    others.add(send(other.address, load, timestamp, seed + 2).await);
                }
            }
            stored += full.stored;
            stored_of_podman += if client == Client::Podman { full.stored } else { 0 };
            println!("| pgbench, {clients} clients | {rows:.0} | | | 1.00 | | |");
            print_row("the floor", load, &bare, None, None, &floor);
            let ratio = |measured: &Measured, rate: f64| Some(measured.per_second() / rate);
            let to_floor = |measured: &Measured| ratio(measured, bare.per_second());
            print_row("storing nothing", load, &empty, None, to_floor(&empty), &nothing);
            print_row("PostgreSQL", load, &full, ratio(&full, rows), to_floor(&full), &server);
            if let Some(other) = &other {
                print_row("the other build", load, &others, ratio(&others, rows), to_floor(&others), other);
            }
            assert_eq!(full.failed, 0, "every event is stored at once");
        }
    }
    let count = |question| -> u64 { postgres.psql(&database, question).parse().expect("a number") };
    let pulls = count("SELECT sum(pull_count) FROM container_pull_metrics");
    // Of pulls that the end of a load cut in two.
    let checks = count("SELECT coalesce(sum(event_count), 0) FROM container_access_metrics");
    let empty = count(
        "SELECT (SELECT count(*) FROM container_pull_metrics WHERE pull_count <= 0) \
         + (SELECT count(*) FROM container_access_metrics WHERE event_count <= 0)",
    );
    println!("\n{stored} events answered with 200; {pulls} pulls and {checks} version checks counted.\n");
    let of_docker = pulls.saturating_sub(stored_of_podman);
    assert_eq!(stored_of_podman + 2 * of_docker + checks, stored, "an event was lost or counted twice");
    assert_eq!(empty, 0, "a count fell to 0 and is there still");
}

fn print_row(
    store: &str,
    load: Load,
    measured: &Measured,
    to_pgbench: Option<f64>,
    to_floor: Option<f64>,
    server: &Program,
) {
    let connection = match (load.client, load.keep_alive) {
        (Client::Podman, true) => "keep-alive",
        (Client::Podman, false) => "a connection per event",
        (Client::Docker, true) => "keep-alive, docker",
        (Client::Docker, false) => "a connection per event, docker",
    };
    let ratio = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    println!(
        "| {store}, {} connections, {connection} | {:.0} | {:.1} ms | {:.1} ms | {} | {} | {:.0} MiB |",
        load.connections,
        measured.per_second(),
        measured.percentile(50).as_secs_f64() * 1e3,
        measured.percentile(99).as_secs_f64() * 1e3,
        ratio(to_pgbench),
        ratio(to_floor),
        server.peak_memory(),
    );
}
