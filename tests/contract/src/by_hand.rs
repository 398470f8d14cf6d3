//! What must hold of rows that somebody wrote by hand, for stores where one can.

use staticreg_domain::metrics::{AccessKind, DateRange, Dimension, Filter, Measures, MetricsRepository, Order};

use crate::{
    events::{digest, pull, record, rows_of},
    lists::{self, List},
};

/// Rows of 2026-11-20 whose architectures are written as staticreg does not write them, as statements of SQL.
#[must_use]
pub fn architectures_in_other_words() -> Vec<String> {
    const PULLED: &str = "container_pull_metrics (pull_date, pull_count";
    const PUSHED: &str = "container_access_metrics (kind, event_date, event_count";
    let row = |columns: &str, architecture: &str, count: u32, hour: u32| {
        let kind = if columns == PUSHED { "'push', " } else { "" };
        let (digest, time) = (digest(1), format!("2026-11-20T{hour:02}:00:00.000000Z"));
        format!(
            "INSERT INTO {columns}, repo_name, tag, digest, architecture, created_at, updated_at) VALUES \
             ({kind}'2026-11-20', {count}, 'app', 'v1', '{digest}', '{architecture}', '{time}', '{time}')"
        )
    };
    vec![
        row(PULLED, "AMD64", 5, 8),
        row(PULLED, "Unknown", 3, 9),
        row(PULLED, " amd64", 2, 11),
        row(PULLED, "unknown", 1, 12),
        row(PUSHED, "Amd64", 4, 8),
        row(PUSHED, "", 7, 8),
    ]
}

/// An architecture is the same whatever way it is written; one that is none is `not-specified`.
///
/// # Panics
///
/// When it is not.
pub async fn architectures_are_the_same_in_other_words(
    store: &dyn MetricsRepository,
    write: impl AsyncFn(Vec<String>),
) {
    const OF_KINDS: List = (&[Dimension::Architecture, Dimension::Kind], Measures::COUNT, Order::Key);
    const DISTINCT: List = (
        &[Dimension::Repository],
        Measures { distinct: Some(Dimension::Architecture), ..Measures::LAST },
        Order::MostFirst,
    );
    const OF_DIGESTS: List =
        (&[Dimension::Digest, Dimension::Architecture], Measures { first: true, ..Measures::LAST }, Order::LatestFirst);
    let at = "2026-11-20T10:00:00Z";
    record(store, &[pull("app:v1", at), pull("app:v1", at).of_kind(AccessKind::Push)]).await;
    let all = Filter::of_dates(DateRange::EVER);
    assert_eq!(lists::lines(store, lists::ARCHITECTURES, &all).await, ["amd64 1 1"]);
    write(architectures_in_other_words()).await;

    assert_eq!(lists::lines(store, lists::ARCHITECTURES, &all).await, ["amd64 6 1", "not-specified 6 1"]);
    assert_eq!(
        lists::lines(store, OF_KINDS, &all).await,
        ["amd64 pull_by_tag 6", "amd64 push 5", "not-specified pull_by_tag 6", "not-specified push 7"]
    );
    assert_eq!(lists::lines(store, DISTINCT, &all).await, ["app 12 2 2026-11-20T12:00:00Z"]);
    let digest = digest(1);
    assert_eq!(
        lists::lines(store, OF_DIGESTS, &all).await,
        [
            format!("{digest} not-specified 6 2026-11-20 2026-11-20T12:00:00Z"),
            format!("{digest} amd64 6 2026-11-20 2026-11-20T10:00:00Z"),
        ]
    );
    for (kind, architecture, count) in [
        (AccessKind::PullByTag, "amd64", 6),
        (AccessKind::PullByTag, "not-specified", 6),
        (AccessKind::Push, "amd64", 5),
        (AccessKind::Push, "not-specified", 7),
    ] {
        let filter =
            Filter { kind: kind.into(), architecture: architecture.parse().into_iter().collect(), ..all.clone() };
        for list in lists::ALL {
            assert_eq!(lists::sum(store, list, &filter).await, count, "{kind:?} {architecture} {list:?}");
        }
        let rows = rows_of(store, kind).await;
        let of_it: Vec<_> = rows.iter().filter(|row| row.architecture.as_str() == architecture).collect();
        assert_eq!(of_it.iter().map(|row| row.count).collect::<Vec<_>>(), [count], "{kind:?} {architecture}");
    }
    assert_eq!(rows_of(store, AccessKind::PullByTag).await.len(), 2);
}
