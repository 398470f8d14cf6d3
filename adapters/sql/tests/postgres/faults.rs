//! A database that is not there, restarts, freezes or is locked.

use std::time::Duration;

use sea_orm::sqlx::{Connection, Executor, PgConnection};
use staticreg_contract::{
    events::{date, now, pull, record},
    lists,
};
use staticreg_domain::metrics::{DateRange, Filter, Folded, MetricsError, MetricsReader, MetricsRepository, Recording};
use staticreg_sql::{OpenError, Options, SqlMetrics};
use staticreg_test_support::postgres::{Durability, Postgres, Stop};
use tokio::{net::TcpSocket, time::sleep};

use crate::{events, in_the_end, open, open_in_the_end, options, record_in_the_end, sum};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_told_with_its_reason() {
    let cluster = Postgres::shared();
    let error = SqlMetrics::open(&options(&cluster.url("nowhere"))).await.expect_err("no such database");
    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
    assert!(error.to_string().contains("database \"nowhere\" does not exist"), "{error}");

    // Taken, so that nobody else listens there.
    let silent = TcpSocket::new_v4().expect("a socket");
    silent.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let url = format!("postgres://staticreg:secret@{}/x", silent.local_addr().expect("its address"));
    let error = SqlMetrics::open(&options(&url)).await.expect_err("nobody listens");
    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_database_is_used_again_at_once() {
    let cluster = Postgres::start(Durability::Volatile);
    let url = cluster.new_database();
    let store = open(&url).await;
    let mut recorded = 0;
    for how in [Stop::Fast, Stop::Immediate, Stop::Fast] {
        let batch = events(20);
        store.record(&batch, now()).await.expect("records");
        sum(&store).await;
        cluster.stop(how);
        let next = events(30);
        assert!(matches!(store.record(&next, now()).await, Err(MetricsError::Unavailable(_))));
        assert!(matches!(store.check().await, Err(MetricsError::Unavailable(_))));
        cluster.start_again();
        record_in_the_end(&store, &next).await;
        assert_eq!(
            store.record(&batch, now()).await.expect("records"),
            [Recording::Duplicate; 20],
            "what was answered"
        );
        recorded += 50;
        assert_eq!(sum(&store).await, recorded);
        store.check().await.expect("is back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_database_is_given_up_in_time_and_nothing_counts_twice() {
    let cluster = Postgres::start(Durability::Volatile);
    let url = cluster.new_database();
    open(&url).await.record(&events(10), now()).await.expect("records");
    let limit = Duration::from_secs(2);
    let store = open_in_the_end(&Options { answer_timeout: limit, question_timeout: limit, ..options(&url) }).await;
    let filter = Filter::of_dates(DateRange::EVER);
    in_the_end(async || store.check().await).await;

    cluster.freeze();
    let batch = events(100);
    for _ in 0..3 {
        assert!(matches!(store.record(&batch, now()).await, Err(MetricsError::Unavailable(_))));
        assert!(matches!(store.check().await, Err(MetricsError::Unavailable(_))));
        let question = lists::breakdown(lists::REPOSITORIES, &filter, 1);
        assert!(matches!(store.breakdown(&question).await, Err(MetricsError::Unavailable(_))));
    }
    cluster.thaw();

    record_in_the_end(&store, &batch).await;
    let question = lists::breakdown(lists::REPOSITORIES, &filter, 1);
    in_the_end(async || store.breakdown(&question).await).await;
    assert_eq!(sum(&open(&url).await).await, 110);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked_is_waited_for_only_so_long() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    record(&open(&url).await, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    let answer_timeout = Duration::from_secs(2);
    let store = open_in_the_end(&Options { answer_timeout, ..options(&url) }).await;

    let mut other = PgConnection::connect(&url).await.expect("connects");
    let mut holder = other.begin().await.expect("begins");
    holder.execute("LOCK TABLE container_pull_metrics").await.expect("locks");
    let batch = events(10);
    for _ in 0..4 {
        assert!(matches!(store.record(&batch, now()).await, Err(MetricsError::Unavailable(_))));
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND application_name = 'staticreg' AND wait_event_type = 'Lock'";
    // What was given up does not wait on, though the lock stays.
    while cluster.psql(&url, waiting) != "0" {
        sleep(Duration::from_millis(20)).await;
    }
    holder.rollback().await.expect("unlocks");
    record_in_the_end(&store, &batch).await;
    assert_eq!(sum(&store).await, 11);
}

/// A database that is killed while counts are folded has folded some rows and not the others, and none twice.
#[tokio::test(flavor = "multi_thread")]
async fn sums_stay_exact_when_a_fold_is_killed() {
    let cluster = Postgres::start(Durability::Volatile);
    let url = cluster.new_database();
    let store = open(&url).await;
    let pulls = (0..600).map(|number| {
        let day = chrono::Days::new(number % 60);
        let at = format!("{}T10:00:00Z", date("2026-06-01") + day);
        pull(&format!("app{}:v1", number % 20), &at).times(1 + i32::try_from(number % 7).expect("small"))
    });
    let pulls: Vec<_> = pulls.collect();
    record(&store, &pulls).await;
    let months = "SELECT date_trunc('month', pull_date)::date, repo_name, sum(pull_count) \
                  FROM container_pull_metrics GROUP BY 1, 2 ORDER BY 1, 2";
    let before = cluster.psql(&url, months);
    let folded = Folded { days_before: date("2026-08-01"), ..Folded::NOTHING };
    store.keep_by_month(folded).await.expect("keeps");
    let mut kills = 0;
    while let Some(day) = in_the_end(async || store.day_to_fold(None).await).await {
        let folding = store.fold_day(day, 3);
        if kills < 5 {
            tokio::select! {
                // Mostly in the middle of it.
                _ = folding => {}
                () = sleep(Duration::from_millis(2 + kills)) => {}
            }
            cluster.stop(Stop::Immediate);
            cluster.start_again();
            kills += 1;
        } else {
            in_the_end(async || store.fold_day(day, 30).await).await;
        }
        assert_eq!(cluster.psql(&url, months), before);
    }
    assert_eq!(cluster.psql(&url, "SELECT count(*) FROM container_pull_metrics"), "40");
}
