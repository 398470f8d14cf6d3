//! Events to record.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    EventId,
    metrics::{AccessKind, Change, CountKey, Filter, MetricsRepository, MetricsRow, Page, PullEvent, Recording},
};
use uuid::Uuid;

/// The time of recording where it does not matter.
#[must_use]
pub fn now() -> DateTime<Utc> {
    time("2026-11-21T12:00:00Z")
}

/// A time from its text.
#[must_use]
pub fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect(text)
}

/// A date from its text.
#[must_use]
pub fn date(text: &str) -> NaiveDate {
    text.parse().expect(text)
}

/// The text of a digest that a number tells apart from others.
#[must_use]
pub fn digest(number: u64) -> String {
    format!("sha256:{number:064x}")
}

/// An event that changes one count.
#[derive(Clone, Debug)]
pub struct Access {
    /// The count.
    pub key: CountKey,
    at: DateTime<Utc>,
    delta: i32,
}

/// A pull of `repository:tag`, or of a repository without a tag, that counts on the date of its time.
#[must_use]
pub fn pull(image: &str, at: &str) -> Access {
    let (repository, tag) = image.split_once(':').map_or((image, None), |(repository, tag)| (repository, Some(tag)));
    let key = CountKey {
        kind: AccessKind::PullByTag,
        date: time(at).date_naive(),
        repository: repository.parse().expect(repository),
        tag: tag.map(|tag| tag.parse().expect(tag)),
        digest: digest(1).parse().expect("a digest"),
        architecture: "amd64".parse().expect("an architecture"),
    };
    Access { key, at: time(at), delta: 1 }
}

impl Access {
    /// Of another architecture than `amd64`.
    #[must_use]
    pub fn on(mut self, architecture: &str) -> Self {
        self.key.architecture = architecture.parse().expect(architecture);
        self
    }

    /// Of another digest than the first.
    #[must_use]
    pub fn of_digest(mut self, number: u64) -> Self {
        self.key.digest = digest(number).parse().expect("a digest");
        self
    }

    /// Of another kind than a pull by tag.
    #[must_use]
    pub fn of_kind(mut self, kind: AccessKind) -> Self {
        self.key.kind = kind;
        self
    }

    /// Counted on another date.
    #[must_use]
    pub fn counted_on(mut self, day: &str) -> Self {
        self.key.date = date(day);
        self
    }

    /// Counted so many times.
    #[must_use]
    pub fn times(mut self, delta: i32) -> Self {
        self.delta = delta;
        self
    }

    /// The change of the count.
    #[must_use]
    pub fn change(&self) -> Change {
        Change { key: Arc::new(self.key.clone()), delta: self.delta }
    }

    /// An event with an id of its own.
    #[must_use]
    pub fn event(&self) -> PullEvent {
        self.event_with(new_id())
    }

    /// An event with this id.
    #[must_use]
    pub fn event_with(&self, id: EventId) -> PullEvent {
        PullEvent { id, at: self.at, timestamp: self.at, changes: vec![self.change()] }
    }
}

/// An id that no other event of this process has.
#[must_use]
pub fn new_id() -> EventId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(NEXT.fetch_add(1, Ordering::Relaxed).into()).into()
}

/// Records events, each new.
pub async fn record(store: &dyn MetricsRepository, accesses: &[Access]) {
    let events: Vec<_> = accesses.iter().map(Access::event).collect();
    let recorded = store.record(&events, now()).await.expect("records");
    assert_eq!(recorded, vec![Recording::Counted; events.len()]);
}

/// Every row of a kind that the store shows.
pub async fn rows_of(store: &dyn MetricsRepository, kind: AccessKind) -> Vec<MetricsRow> {
    let filter = Filter { kind: kind.into(), ..Filter::of_dates(staticreg_domain::metrics::DateRange::EVER) };
    let slice = store.rows(&filter, &Page::first(100_000)).await.expect("rows");
    assert!(!slice.more, "more rows than any test records");
    slice.items
}

/// Every row of pulls by tag: `date repository:tag` and the count.
pub async fn pulls_of(store: &dyn MetricsRepository) -> Vec<(String, u64)> {
    rows_of(store, AccessKind::PullByTag).await.iter().map(|row| (name(row), row.count)).collect()
}

fn name(row: &MetricsRow) -> String {
    let MetricsRow { date, repository, tag, .. } = row;
    tag.as_ref().map_or_else(|| format!("{date} {repository}"), |tag| format!("{date} {repository}:{tag}"))
}

/// What [`pulls_of`] answers.
#[must_use]
pub fn expected(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}
