//! Two servers and more on one database.

use staticreg_contract::events::{Access, now, pull, rows_of};
use staticreg_domain::metrics::{AccessKind, MetricsRepository, PullEvent};
use staticreg_sql::{Options, SqlMetrics};
use staticreg_test_support::postgres::Postgres;

use crate::{open, options, sum};

/// Two servers with the same and with other events, some known and some new, meet in every way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_share_some_events_never_wait_for_each_other_in_a_circle() {
    const ROUNDS: usize = 150;
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let accesses: Vec<Access> = (0..60)
        .map(|number| {
            let kind = AccessKind::ALL[number % AccessKind::ALL.len()];
            pull(&format!("app{}:v1", number % 12), "2026-11-20T10:00:00Z").of_kind(kind)
        })
        .collect();
    let shared: Vec<Vec<PullEvent>> =
        (0..ROUNDS).map(|_| accesses.iter().map(Access::event).collect::<Vec<_>>()).collect();
    let mut servers = Vec::new();
    for server in 0..3_usize {
        let store = SqlMetrics::open(&Options { ..options(&url) }).await.expect("opens");
        let (accesses, shared) = (accesses.clone(), shared.clone());
        servers.push(tokio::spawn(async move {
            for (round, mut batch) in shared.into_iter().enumerate() {
                // Batches of new ids alone, so that both statements meet.
                if (round + server).is_multiple_of(3) {
                    batch = accesses.iter().map(Access::event).collect();
                }
                if server == 1 {
                    batch.reverse();
                }
                store.record(&batch, now()).await.expect("neither refuses nor gives up");
            }
        }));
    }
    for server in servers {
        server.await.expect("ends");
    }
    let store = open(&url).await;
    let mut counted = 0;
    for kind in AccessKind::ALL {
        counted += rows_of(&store, kind).await.iter().map(|row| row.count).sum::<u64>();
    }
    // In each round one server has events of its own and the two others share theirs.
    assert_eq!(counted, (ROUNDS * 2 * accesses.len()) as u64);
    assert_eq!(cluster.psql(&url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), "0");
}

/// Servers with nothing in common but the days: one is given new events alone, the other known ones too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_count_the_same_days_never_wait_for_each_other_in_a_circle() {
    const ROUNDS: usize = 400;
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let mut servers = Vec::new();
    for repeats in [false, true] {
        let store = SqlMetrics::open(&Options { ..options(&url) }).await.expect("opens");
        let image = if repeats { "one:v1" } else { "two:v1" };
        let accesses = AccessKind::ALL.map(|kind| pull(image, "2026-11-20T10:00:00Z").of_kind(kind));
        servers.push(tokio::spawn(async move {
            let known = accesses[0].event();
            for _ in 0..ROUNDS {
                let mut batch: Vec<_> = accesses.iter().map(Access::event).collect();
                batch.extend(repeats.then(|| known.clone()));
                store.record(&batch, now()).await.expect("neither refuses nor gives up");
            }
        }));
    }
    for server in servers {
        server.await.expect("ends");
    }
    assert_eq!(sum(&open(&url).await).await, (ROUNDS * 2 + 1) as u64);
    assert_eq!(cluster.psql(&url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), "0");
}
