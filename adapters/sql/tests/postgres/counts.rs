//! What is stored, and asked.

use std::convert::Infallible;

use chrono::{DateTime, Utc};
use staticreg_contract::{
    events::{Access, digest, now, pull, record},
    lists,
};
use staticreg_domain::metrics::{
    AccessKind, DateRange, Dimension, Filter, Folded, GroupKey, Listed, Measures, MetricsError, MetricsReader as _,
    MetricsRepository as _, MetricsRow, Order, Page, Position, Recording,
};
use staticreg_sql::CarriedRow;
use staticreg_test_support::postgres::Postgres;

use crate::{events, open, sum};

/// As a person does who has very many rows.
const PARTITION: &str = "ALTER TABLE container_pull_metrics RENAME TO whole; \
    CREATE TABLE container_pull_metrics (LIKE whole INCLUDING DEFAULTS, \
    UNIQUE (pull_date, repo_name, tag, digest, architecture)) PARTITION BY RANGE (pull_date); \
    CREATE TABLE the_rest PARTITION OF container_pull_metrics DEFAULT; \
    INSERT INTO container_pull_metrics SELECT * FROM whole";

/// Counts are taken back to 0 with triggers and without them, and are gone.
#[tokio::test(flavor = "multi_thread")]
async fn no_row_of_zero_is_left_whatever_became_of_the_triggers() {
    let cluster = Postgres::shared();
    for change in [
        "SELECT 1",
        "ALTER TABLE container_access_metrics DISABLE TRIGGER USER",
        "DROP TRIGGER remove_empty ON container_pull_metrics",
        "ALTER DATABASE DB SET session_replication_role = replica",
        PARTITION,
    ] {
        let url = cluster.new_database();
        open(&url).await;
        cluster.psql(&url, &change.replace("DB", url.rsplit('/').next().expect("a name")));
        let store = open(&url).await;
        let ways: Vec<_> =
            AccessKind::ALL.into_iter().map(|kind| pull("app:v1", "2026-11-20T10:00:00Z").of_kind(kind)).collect();
        let taken: Vec<_> = ways.iter().map(|access| access.clone().times(-1)).collect();
        let rows =
            "SELECT (SELECT count(*) FROM container_pull_metrics), (SELECT count(*) FROM container_access_metrics)";
        let event = pull("other:v1", "2026-11-20T10:00:00Z").event();
        store.record(std::slice::from_ref(&event), now()).await.expect("records");
        for known in [false, true] {
            record(&store, &ways).await;
            record(&store, &ways).await;
            record(&store, &taken).await;
            assert_eq!(cluster.psql(&url, rows), "2|3", "{change}");
            let mut batch: Vec<_> = taken.iter().map(Access::event).collect();
            batch.extend(known.then(|| event.clone()));
            store.record(&batch, now()).await.expect("records");
            assert_eq!(cluster.psql(&url, rows), "1|0", "{change}");
            for below in &taken {
                let refused = store.record(&[below.event()], now()).await;
                assert!(matches!(refused, Err(MetricsError::Refused(_))), "{change}: {refused:?}");
            }
            assert_eq!(cluster.psql(&url, rows), "1|0", "{change}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_someone_sets_to_zero_is_gone() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z"), pull("app:v2", "2026-11-20T10:00:00Z")]).await;
    cluster.psql(&url, "UPDATE container_pull_metrics SET pull_count = 0 WHERE tag = 'v1'");
    assert_eq!(cluster.psql(&url, "SELECT tag FROM container_pull_metrics"), "v2");
}

#[tokio::test(flavor = "multi_thread")]
async fn known_events_are_told_from_new_ones_whatever_came_before() {
    let url = Postgres::shared().new_database();
    let (store, other) = (open(&url).await, open(&url).await);
    let mut total = 0;
    for round in 0..4 {
        let batch = events(50);
        assert_eq!(store.record(&batch, now()).await.expect("records"), vec![Recording::Counted; 50], "round {round}");
        assert_eq!(other.record(&batch, now()).await.expect("records"), vec![Recording::Duplicate; 50]);
        let mut mixed = events(10);
        mixed.extend_from_slice(&batch[..10]);
        let recorded = other.record(&mixed, now()).await.expect("records");
        assert_eq!(recorded[..10], [Recording::Counted; 10]);
        assert_eq!(recorded[10..], [Recording::Duplicate; 10]);
        total += 60;
        assert_eq!(sum(&store).await, total);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_a_list_beyond_all_time_is_asked_for_all_the_same() {
    let store = open(&Postgres::shared().new_database()).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    let filter = Filter::of_dates(DateRange::EVER);
    for (time, found) in [(DateTime::<Utc>::MIN_UTC, 0), (DateTime::<Utc>::MAX_UTC, 1)] {
        let mut question = lists::breakdown(lists::DIGESTS, &filter, 10);
        let key = GroupKey { digest: digest(1).parse().ok(), ..GroupKey::default() };
        question.page.after = Some(Position { last_at: Some(time), key, ..Position::default() });
        assert_eq!(lists::page(&store, &question).await.items.len(), found);
    }
}

/// What no calendar has room for is written by hand.
#[tokio::test(flavor = "multi_thread")]
async fn times_without_end_hide_nothing_and_are_the_nearest_there_are() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url).await;
    let images = ["a:v1", "b:v1", "c:v1", "d:v1", "e:v1"];
    record(&store, &images.map(|image| pull(image, "2026-11-20T10:00:00Z"))).await;
    for (image, time) in [("a", "infinity"), ("b", "-infinity"), ("c", "0044-03-15 BC"), ("d", "294000-01-01")] {
        let times = format!(
            "UPDATE container_pull_metrics SET created_at = '{time}', updated_at = '{time}' WHERE repo_name = '{image}'"
        );
        cluster.psql(&url, &times);
    }
    let (first, last) = ("0001-01-01 00:00:00 UTC", "9999-12-31 23:59:59.999999 UTC");
    let expected = [("a", last), ("b", first), ("c", first), ("d", last), ("e", "2026-11-20 10:00:00 UTC")];
    let filter = Filter::of_dates(DateRange::EVER);
    let rows = store.rows(&filter, &Page::first(10)).await.expect("answers").items;
    let told = |row: &MetricsRow| (row.repository.to_string(), row.updated_at.to_string());
    assert_eq!(
        rows.iter().map(told).collect::<Vec<_>>(),
        expected.map(|(name, time)| (name.to_owned(), time.to_owned()))
    );
    let summary = store.summary(now().date_naive()).await.expect("answers");
    assert_eq!(summary.last_pulled_at.map(|time| time.to_string()), Some(last.to_owned()));

    // Nobody who reads a list page by page reads an item twice.
    let latest: lists::List = (&[Dimension::Repository], Measures::LAST, Order::LatestFirst);
    let mut question = lists::breakdown(latest, &filter, 1);
    let mut order = Vec::new();
    loop {
        let page = lists::page(&store, &question).await;
        order.extend(page.items.iter().filter_map(|row| row.key.repository.as_ref().map(ToString::to_string)));
        assert!(order.len() <= images.len(), "{order:?}");
        if !page.more {
            break;
        }
        question.page.after = page.items.last().map(Listed::position);
    }
    assert_eq!(order, ["a", "d", "e", "b", "c"]);
}

/// Nor does a date do harm.
#[tokio::test(flavor = "multi_thread")]
async fn dates_without_end_are_counted_for_ever_and_carried() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url).await;
    for date in ["infinity", "-infinity", "2026-11-20"] {
        let insert = format!(
            "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture) \
                              VALUES ('{date}', 'app', 'v1', '{}', 'amd64')",
            digest(1)
        );
        cluster.psql(&url, &insert);
    }
    let summary = store.summary(now().date_naive()).await.expect("answers");
    assert_eq!(summary.by_kind[&AccessKind::PullByTag].all, 3);
    store
        .keep_by_month(Folded { days_before: "2027-01-01".parse().expect("a date"), ..Folded::NOTHING })
        .await
        .expect("keeps");
    assert_eq!(store.day_to_fold(None).await.expect("answers"), "2026-11-20".parse().ok());
    let mut dates = Vec::new();
    let take = |carried: CarriedRow| {
        dates.push(carried.row.date.to_string());
        Ok::<_, Infallible>(())
    };
    store.export(take).await.expect("exports");
    dates.sort();
    assert_eq!(dates, ["0001-01-01", "2026-11-20", "9999-12-31"]);
    cluster.psql(&url, "UPDATE kept_by_month SET days_before = 'infinity'");
    assert_eq!(store.folded().await.expect("answers").days_before.to_string(), "9999-12-31");
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
}
