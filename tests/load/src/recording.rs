//! How fast events are recorded, beside what the database and the server do by themselves, in one run.

use std::time::Duration;

use staticreg_test_support::postgres::{Durability, Postgres};

use crate::{
    pgbench,
    program::Program,
    sender::{Load, Measured, send},
};

const CONNECTIONS: [usize; 3] = [1, 64, 512];

/// What is compared takes turns, so that a machine that gets slower or faster does so to all.
const ROUNDS: u32 = 5;

const PGBENCH_CLIENTS: usize = 64;

/// Measures every load for so long, prints the table, and panics when an event was lost or counted twice.
pub(crate) async fn measure(duration: Duration, timestamp: &str) {
    let postgres = Postgres::start(Durability::Durable);
    let database = postgres.new_database();
    let server = Program::start("staticreg", &[("STATICREG_DB_URL", &database)]).await;
    let nothing = Program::start("staticreg-storing-nothing", &[]).await;

    println!("## Recording, {} s each, one event per POST\n", duration.as_secs());
    println!("| load | events/s | p50 | p99 | to pgbench | to storing nothing | peak memory |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut stored = 0;
    let mut seed = 0;
    for connections in CONNECTIONS {
        for keep_alive in [true, false] {
            let load = Load { connections, keep_alive, duration: duration / ROUNDS };
            let clients = connections.min(PGBENCH_CLIENTS);
            let (mut rows, mut empty, mut full) = (0.0, Measured::default(), Measured::default());
            for _ in 0..ROUNDS {
                seed += 2;
                rows += pgbench::run(&postgres, &database, clients, load.duration).await / f64::from(ROUNDS);
                empty.add(send(nothing.address, load, timestamp, seed).await);
                full.add(send(server.address, load, timestamp, seed + 1).await);
            }
            stored += full.stored;
            println!("| pgbench, {clients} clients | {rows:.0} | | | 1.00 | | |");
            print_row("storing nothing", load, &empty, None, None, &nothing);
            let to_pgbench = full.per_second() / rows;
            let to_nothing = full.per_second() / empty.per_second();
            print_row("PostgreSQL", load, &full, Some(to_pgbench), Some(to_nothing), &server);
            assert_eq!(full.failed, 0, "every event is stored at once");
        }
    }
    let counted = postgres.psql(&database, "SELECT sum(pull_count) FROM container_pull_metrics");
    println!("\n{stored} events answered with 200, {counted} counted.\n");
    assert_eq!(counted, stored.to_string(), "an event was lost or counted twice");
}

fn print_row(
    store: &str,
    load: Load,
    measured: &Measured,
    to_pgbench: Option<f64>,
    to_nothing: Option<f64>,
    server: &Program,
) {
    let connection = if load.keep_alive { "keep-alive" } else { "a connection per event" };
    let ratio = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    println!(
        "| {store}, {} connections, {connection} | {:.0} | {:.1} ms | {:.1} ms | {} | {} | {:.0} MiB |",
        load.connections,
        measured.per_second(),
        measured.percentile(50).as_secs_f64() * 1e3,
        measured.percentile(99).as_secs_f64() * 1e3,
        ratio(to_pgbench),
        ratio(to_nothing),
        server.peak_memory(),
    );
}
