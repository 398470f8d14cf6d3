//! Two servers and more on one database.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use staticreg_contract::events::{Access, now, pull, rows_of};
use staticreg_domain::{
    journal::{Appended, JournalBatch, TakeTurn, Turn},
    metrics::{AccessKind, MetricsRepository, PullEvent},
};
use staticreg_sql::{Options, SqlMetrics};
use staticreg_test_support::postgres::Postgres;
use tokio::{runtime::Builder, sync::oneshot};

use crate::{LONG, open, open_in_the_end, options, sum};

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

/// Keeps its turn until it is told to go on.
struct Freeze {
    begun: Option<oneshot::Sender<()>>,
    go_on: mpsc::Receiver<()>,
}

impl TakeTurn for Freeze {
    fn take_turn(&mut self, _: Turn) -> Option<JournalBatch> {
        self.begun.take().and_then(|begun| begun.send(()).ok());
        // An error is the end of the wait too.
        let _ = self.go_on.recv_timeout(LONG);
        None
    }
}

/// Takes its turn and stores nothing.
struct Pass;

impl TakeTurn for Pass {
    fn take_turn(&mut self, _: Turn) -> Option<JournalBatch> {
        None
    }
}

#[tokio::test]
async fn a_server_that_freezes_in_its_turn_does_not_keep_the_others_from_theirs() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let goes_on = open(&url).await;
    let hasty = Options { answer_timeout: Duration::from_secs(3), ..options(&url) };
    let ((begun, has_begun), (wake, go_on)) = (oneshot::channel(), mpsc::channel());
    // On a runtime of its own: what blocks may be what would wake the others.
    let frozen = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut turn = Freeze { begun: Some(begun), go_on };
            open_in_the_end(&hasty).await.append_in_turn(None, &[], &mut turn, now()).await
        })
    });
    has_begun.await.expect("takes its turn");
    let started = Instant::now();
    let appended = goes_on.append_in_turn(None, &[], &mut Pass, now()).await;
    let waited = started.elapsed();
    drop(wake);
    assert_eq!(appended.expect("takes its turn"), Appended::Stored);
    assert!(waited < LONG / 2, "{waited:?}");
    assert!(frozen.join().expect("no panic").is_err(), "its turn was over");
}
