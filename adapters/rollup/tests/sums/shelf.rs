//! Sums of days that are over are found by the next start, as long as they are those of the counts.

use std::{sync::Arc, time::Duration};

use sea_orm::sqlx::{Connection as _, Executor as _, PgConnection};
use staticreg_contract::{
    events::{date, pull, record},
    lists,
};
use staticreg_domain::metrics::{AccessKind, DateRange, Filter, MetricsReader as _, Summary};
use staticreg_rollup::{Options, Rollup};
use staticreg_test_support::postgres::Postgres;
use tokio::time::sleep;

use crate::{DAYS, LIMIT, ROOM, accesses, answers, clock, open, open_plain, wait_until_kept};

const COUNT: &str = "SELECT count(*) FROM day_sums";

/// Waits until something is so in the database.
async fn wait_for(cluster: &Postgres, url: &str, question: &str, answer: &str) {
    let mut told = String::new();
    for _ in 0..LIMIT.as_secs() * 10 {
        told = cluster.psql(url, question);
        if told == answer {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("{question}: {told}, not {answer}");
}

/// A database whose days are all put aside.
async fn put_aside(cluster: &Postgres) -> (String, u64) {
    let url = cluster.new_database();
    record(&open_plain(&url).await, &accesses()).await;
    let store = open(&url, ROOM).await;
    let pulls = wait_until_kept(cluster, &url, &store, DAYS).await;
    wait_for(cluster, &url, COUNT, &cluster.psql(&url, "SELECT count(*) FROM day_version")).await;
    (url, pulls)
}

/// Makes the counts no counts any more; what is answered then is from sums that were put aside.
fn take_counts_away(cluster: &Postgres, url: &str) {
    cluster.psql(
        url,
        "ALTER TABLE container_pull_metrics RENAME pull_count TO away; \
         ALTER TABLE container_access_metrics RENAME event_count TO away",
    );
}

/// The summary, once it can be told.
async fn summary(store: &Rollup) -> Summary {
    for _ in 0..LIMIT.as_secs() * 10 {
        if let Ok(summary) = store.summary(date("2026-11-20")).await {
            return summary;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("no summary");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_reads_no_counts_of_days_that_were_put_aside() {
    let cluster = Postgres::shared();
    let (url, pulls) = put_aside(cluster).await;
    let expected = open_plain(&url).await.summary(date("2026-11-20")).await.expect("answers");
    take_counts_away(cluster, &url);
    // The first question waits for what is put aside, as the database would take longer.
    let summary = open(&url, ROOM).await.summary(date("2026-11-20")).await.expect("answers");
    assert_eq!(summary, expected);
    assert_eq!(summary.totals(AccessKind::PullByTag).all, pulls);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_takes_long_to_answer_is_answered_by_sums_once_they_are_read() {
    let cluster = Postgres::shared();
    let (url, pulls) = put_aside(cluster).await;
    let database = Arc::new(open_plain(&url).await);
    let mut other = PgConnection::connect(&url).await.expect("connects");
    let mut holder = other.begin().await.expect("begins");
    holder.execute("LOCK TABLE container_pull_metrics, container_access_metrics").await.expect("locks");
    let store = Rollup::new(database, clock(), Options { memory: ROOM, question_timeout: LIMIT });
    // At the first question no day may be read yet, and the database answers none while the lock is held.
    let summary = store.summary(date("2026-11-20")).await.expect("answers");
    assert_eq!(summary.totals(AccessKind::PullByTag).all, pulls);
    holder.rollback().await.expect("unlocks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_aside_hides_no_change() {
    let cluster = Postgres::shared();
    let (url, _) = put_aside(cluster).await;
    let plain = open_plain(&url).await;
    for change in [
        "UPDATE container_pull_metrics SET pull_count = pull_count + 1 WHERE pull_date < '2026-10-20'",
        "DELETE FROM container_access_metrics WHERE event_date = '2026-10-20'",
        // Changed in a way that no trigger sees.
        "ALTER TABLE container_pull_metrics DISABLE TRIGGER USER; UPDATE container_pull_metrics SET pull_count = 1; \
         ALTER TABLE container_pull_metrics ENABLE TRIGGER USER",
        // Of another version of the program, and what nobody packed.
        "UPDATE day_sums SET format = 'staticreg 0.0.0', sums = ''",
        "UPDATE day_sums SET sums = '\\xff00ff'",
        "UPDATE day_sums SET sums = substring(sums FROM 1 FOR length(sums) - 1)",
        "DELETE FROM day_sums",
    ] {
        cluster.psql(&url, change);
        let expected = answers(&plain).await;
        let store = open(&url, ROOM).await;
        assert_eq!(answers(&store).await, expected, "{change}");
        wait_until_kept(cluster, &url, &store, DAYS).await;
        assert_eq!(answers(&store).await, expected, "{change}, once all was read");
        drop(store);
        // And the next start puts them aside anew; not the days that a question read by itself.
        let _starts = open(&url, ROOM).await;
        let unusable = "SELECT count(*) FROM day_sums WHERE format = 'staticreg 0.0.0' OR sums = '\\xff00ff'";
        wait_for(cluster, &url, unusable, "0").await;
    }
}

/// A role may lack the right to what is new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_can_be_put_aside_sums_answer_all_the_same() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    record(&open_plain(&url).await, &accesses()).await;
    cluster.psql(&url, "ALTER TABLE day_sums RENAME TO away");
    let store = open(&url, ROOM).await;
    wait_until_kept(cluster, &url, &store, DAYS).await;
    record(&store, &[pull("app:v1", "2026-11-01T10:00:00Z")]).await;
    assert_eq!(answers(&store).await, answers(&open_plain(&url).await).await);
}

/// Beyond what there is room for the totals are kept: the summary never asks for the rows themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_kept_of_more_days_than_there_is_room_for() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    drop(open_plain(&url).await);
    cluster.psql(
        &url,
        "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count) \
         SELECT date '2026-11-20' - ago, 'team/app-' || number, 'v1', 'sha256:' || repeat('0', 64), 'amd64', 2 \
         FROM generate_series(0, 59) AS days (ago), generate_series(1, 200) AS given (number)",
    );
    // Of about a third of the days.
    let store = open(&url, 40_000).await;
    wait_for(cluster, &url, COUNT, "60").await;
    take_counts_away(cluster, &url);
    let started = open(&url, 40_000).await;
    for store in [store, started] {
        let summary = summary(&store).await;
        assert_eq!(summary.totals(AccessKind::PullByTag).all, 24_000);
        assert_eq!(summary.repositories, 200);
        let list = async |days| {
            let filter = Filter::of_dates(DateRange::days_until(date("2026-11-20"), days));
            store.breakdown(&lists::breakdown(lists::REPOSITORIES, &filter, 1000)).await
        };
        assert_eq!(list(5).await.expect("answers").items.len(), 200);
        assert!(list(DAYS).await.is_err(), "there is no room for all sums");
    }
}
