//! How much one, two and three servers record together in one PostgreSQL.

use std::time::Duration;

use staticreg_test_support::postgres::{Durability, Postgres};

use crate::{
    events::Client,
    program::Program,
    sender::{Load, Measured, send, send_to_any},
};

const SERVERS: usize = 3;

/// Few connections, as a registry's, and many.
const CONNECTIONS: [usize; 3] = [6, 66, 510];

/// The numbers of servers take turns.
const ROUNDS: u32 = 5;

/// What one to three servers recorded of one load.
#[derive(Default)]
struct Together {
    all: Measured,
    by_server: Vec<u64>,
}

/// Measures every load for so long, and panics when an event was lost or counted twice.
pub(crate) async fn measure(duration: Duration, timestamp: &str) {
    let postgres = Postgres::start(Durability::Durable);
    let databases: Vec<_> = (0..SERVERS).map(|_| postgres.new_database()).collect();
    let mut servers = Vec::new();
    for (number, database) in (1..).zip(&databases) {
        let mut together = Vec::new();
        for _ in 0..number {
            together.push(Program::start("staticreg", &[("STATICREG_DB_URL", database)]).await);
        }
        servers.push(together);
    }

    println!("## Several servers on one PostgreSQL, {} s each, a connection per event\n", duration.as_secs());
    println!("| load | servers | events/s | to one | p50 | p99 | the slowest server's part of its share |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut stored = vec![0; SERVERS];
    let mut seed = 0;
    for connections in CONNECTIONS {
        for (client, each_to_any) in [(Client::Podman, false), (Client::Docker, true)] {
            let mut measured: Vec<_> = servers.iter().map(|_| Together::default()).collect();
            for _ in 0..ROUNDS {
                for (together, measured) in servers.iter().zip(&mut measured) {
                    seed += 10;
                    let load = Load { client, connections, keep_alive: false, duration: duration / ROUNDS };
                    measured.add(record(together, load, each_to_any, timestamp, seed).await);
                }
            }
            let alone = measured[0].all.per_second();
            for (number, Together { all, by_server }) in (1_usize..).zip(measured) {
                stored[number - 1] += all.stored;
                assert_eq!(all.failed, 0, "every event is stored at once");
                let load = match (client, each_to_any) {
                    (_, false) => "each server has its own",
                    (_, true) => "each event to any, docker",
                };
                #[expect(clippy::cast_precision_loss, reason = "a count of events is far below 2^52")]
                let share = by_server.iter().min().map_or_else(String::new, |least| {
                    format!("{:.2}", (*least * number as u64) as f64 / all.stored as f64)
                });
                println!(
                    "| {connections} connections, {load} | {number} | {:.0} | {:.2} | {:.1} ms | {:.1} ms | {share} |",
                    all.per_second(),
                    all.per_second() / alone,
                    all.percentile(50).as_secs_f64() * 1e3,
                    all.percentile(99).as_secs_f64() * 1e3,
                );
            }
        }
    }
    let peak = servers.iter().flatten().map(Program::peak_memory).fold(0.0, f64::max);
    println!("\nNo server took more than {peak:.0} MiB.\n");
    for (database, stored) in databases.iter().zip(stored) {
        let ids = "SELECT count(*) FROM recorded_event";
        assert_eq!(postgres.psql(database, ids).parse(), Ok(stored), "an event was lost or counted twice");
    }
}

impl Together {
    fn add(&mut self, other: Self) {
        self.all.add(other.all);
        self.by_server.resize(other.by_server.len(), 0);
        for (sum, stored) in self.by_server.iter_mut().zip(other.by_server) {
            *sum += stored;
        }
    }
}

/// Sends a load to all servers: each event to any of them, or to each with connections of its own.
async fn record(servers: &[Program], load: Load, each_to_any: bool, timestamp: &str, seed: u64) -> Together {
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    if each_to_any {
        return Together { all: send_to_any(&addresses, load, timestamp, seed).await, by_server: Vec::new() };
    }
    let load = Load { connections: load.connections / servers.len(), ..load };
    let sending: Vec<_> = (seed..)
        .zip(addresses)
        .map(|(seed, address)| {
            let timestamp = timestamp.to_owned();
            tokio::spawn(async move { send(address, load, &timestamp, seed).await })
        })
        .collect();
    let (mut all, mut by_server, mut longest) = (Measured::default(), Vec::new(), Duration::ZERO);
    for sent in sending {
        let sent = sent.await.expect("a sender does not panic");
        longest = longest.max(sent.elapsed);
        by_server.push(sent.stored);
        all.add(sent);
    }
    // They sent at the same time.
    all.elapsed = longest;
    Together { all, by_server }
}
