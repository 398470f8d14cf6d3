//! What the server tells of itself to those who watch it, in whatever form: families of numbers, and what counts them.

mod retention;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use staticreg_domain::{
    RepositoryName,
    error::describe,
    metrics::{AccessKind, MetricsError},
    rules::SkipReason,
};
use tokio::time::Instant;

use crate::{
    receive_notification::ReceiveNotification,
    recording::{Balance, RecordError, Tallies},
};

pub(crate) use retention::Retaining;

/// Numbers of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name; of a counter without `_total`.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// How its numbers behave.
    pub kind: Kind,
    /// The numbers, told apart by their labels.
    pub samples: Vec<Sample>,
}

/// How numbers behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow until the server starts anew.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are distributions.
    Histogram,
}

/// A number, and the labels that tell it from others of its family.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name and value of each label.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: Value,
}

/// What a sample says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number.
    Number(f64),
    /// How what was observed is distributed.
    Distribution(Distribution),
}

/// How what was observed is distributed.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// For each upper bound how much was observed up to it.
    pub buckets: Vec<(f64, u64)>,
    /// How much was observed.
    pub count: u64,
    /// The sum of it.
    pub sum: f64,
}

/// The form in which families are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' text format 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
}

/// Writes families down, with what it knows of the process itself.
pub trait Exposition: Send + Sync {
    /// All families in a form.
    fn write(&self, families: Vec<Family>, form: Form) -> String;
}

impl Family {
    /// Numbers that only grow.
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Self {
        Self { name, help, kind: Kind::Counter, samples }
    }

    /// Numbers that go up and down.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Self {
        Self { name, help, kind: Kind::Gauge, samples }
    }

    /// Distributions.
    #[must_use]
    pub fn histogram(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Self {
        Self { name, help, kind: Kind::Histogram, samples }
    }
}

impl Sample {
    /// A number without labels.
    #[must_use]
    pub fn plain(value: impl Into<Value>) -> Self {
        Self { labels: Vec::new(), value: value.into() }
    }

    /// A number with labels.
    #[must_use]
    pub fn labelled<const N: usize>(labels: [(&'static str, &str); N], value: impl Into<Value>) -> Self {
        let labels = labels.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        Self { labels, value: value.into() }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Value {
    #[expect(clippy::cast_precision_loss, reason = "all who read them have floating point numbers")]
    fn from(number: u64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<i64> for Value {
    #[expect(clippy::cast_precision_loss, reason = "all who read them have floating point numbers")]
    fn from(number: i64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<&Histogram> for Value {
    fn from(histogram: &Histogram) -> Self {
        Self::Distribution(histogram.read())
    }
}

/// The bounds of times, in seconds: from a fast answer to one that nobody waits for any more.
pub const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The bounds of batches, in events.
const EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0];

/// Observes a distribution, without a lock.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds.
    counts: Box<[AtomicU64]>,
    /// In millionths.
    sum: AtomicU64,
}

impl Histogram {
    /// One with these upper bounds, in order.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Takes note of a time, where the bounds are seconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(time.as_secs_f64(), u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    fn observe_number(&self, number: u32) {
        self.observe(f64::from(number), u64::from(number) * 1_000_000);
    }

    fn observe(&self, value: f64, millionths: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(millionths, Ordering::Relaxed);
    }

    /// What was observed so far.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "all who read it have floating point numbers")]
    pub fn read(&self) -> Distribution {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (index, observed) in self.counts.iter().enumerate() {
            count += observed.load(Ordering::Relaxed);
            buckets.extend(self.bounds.get(index).map(|bound| (*bound, count)));
        }
        Distribution { buckets, count, sum: self.sum.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

/// What happens while notifications are received, each with its counter and its log line. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stored: AtomicU64,
    busy: AtomicU64,
    unavailable: AtomicU64,
    answered_in: Histogram,
    batch_events: Histogram,
    stored_in: Histogram,
    /// In seconds since 1970; 0 before the first.
    last_event_at: AtomicI64,
    /// Since when the oldest event waits in memory.
    oldest_since: Mutex<Option<Instant>>,
    /// When a batch of another server was read.
    others_stored: Mutex<Option<Instant>>,
    retaining: Retaining,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            stored: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            answered_in: Histogram::new(SECONDS),
            batch_events: Histogram::new(EVENTS),
            stored_in: Histogram::new(SECONDS),
            last_event_at: AtomicI64::new(0),
            oldest_since: Mutex::new(None),
            others_stored: Mutex::new(None),
            retaining: Retaining::default(),
        }
    }
}

impl Signals {
    /// The writer looked at what waits in memory.
    pub(crate) fn oldest_waits_since(&self, oldest: Option<Instant>) {
        *self.0.oldest_since.lock() = oldest;
    }

    /// Another server stored something.
    pub(crate) fn others_stored(&self, at: Instant) {
        *self.0.others_stored.lock() = Some(at);
    }

    /// How long ago another server was seen to have stored something.
    pub(crate) fn others_stored_ago(&self) -> Option<Duration> {
        self.0.others_stored.lock().map(|at| at.elapsed())
    }

    /// What becomes of old counts.
    pub(crate) fn retaining(&self) -> &Retaining {
        &self.0.retaining
    }

    /// A notification arrived.
    pub(crate) fn notification_arrived(&self, now: DateTime<Utc>) {
        self.0.last_event_at.store(now.timestamp(), Ordering::Relaxed);
    }

    /// All of a notification is stored. Its log line is the activity log's, which sums up.
    pub(crate) fn notification_stored(&self, time: Duration) {
        self.0.stored.fetch_add(1, Ordering::Relaxed);
        self.0.answered_in.observe_time(time);
    }

    /// A notification was answered 503.
    pub(crate) fn notification_turned_away(&self, error: RecordError, time: Duration) {
        tracing::debug!(%error, "A notification was turned away");
        let counter = match error {
            RecordError::Busy => &self.0.busy,
            RecordError::Unavailable => &self.0.unavailable,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.0.answered_in.observe_time(time);
    }

    /// The store took a batch.
    pub(crate) fn batch_stored(&self, events: usize, time: Duration) {
        self.0.batch_events.observe_number(u32::try_from(events).unwrap_or(u32::MAX));
        self.0.stored_in.observe_time(time);
    }

    /// The store did not take a batch.
    pub(crate) fn batch_failed(
        &self,
        events: usize,
        error: &MetricsError,
        is_news: impl Fn(&str) -> bool,
        time: Duration,
    ) {
        let reason = describe(error);
        if is_news(&reason) {
            tracing::warn!(events, error = reason, "The store does not take events");
        } else {
            tracing::debug!(events, error = reason, "The store still does not take events");
        }
        self.0.stored_in.observe_time(time);
    }
}

/// What is told of receiving.
pub(crate) fn of_receiving(receive: &ReceiveNotification, signals: &Signals) -> Vec<Family> {
    let Inner {
        stored,
        busy,
        unavailable,
        answered_in,
        batch_events,
        stored_in,
        last_event_at,
        oldest_since,
        others_stored: _,
        retaining,
    } = &*signals.0;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let Tallies { balance, skipped, added } = receive.tallies();
    let Balance { received, counted, skipped: _, duplicate, refused, waiting } = balance;
    let result = |name, counter| Sample::labelled([("result", name)], read(counter));
    let state = |name, events: u64| Sample::labelled([("state", name)], events);
    let outcome = |name, reason, events: u64| Sample::labelled([("outcome", name), ("reason", reason)], events);
    let mut events =
        vec![outcome("counted", "", counted), outcome("duplicate", "", duplicate), outcome("refused", "", refused)];
    events.extend(
        SkipReason::ALL
            .map(|reason| outcome("skipped", reason.as_str(), skipped.get(&reason).copied().unwrap_or_default())),
    );
    let pulls = AccessKind::ALL
        .map(|kind| Sample::labelled([("kind", kind.as_str())], added.get(&kind).copied().unwrap_or_default()));
    let oldest = oldest_since.lock().map_or(Duration::ZERO, |since| since.elapsed());
    let skew = receive.clock_skew().map_or(0, |skew| skew.num_seconds());
    let mut families = vec![
        Family::counter(
            "staticreg_webhook_requests",
            "Notifications by what was answered: stored is 200, busy and unavailable are 503.",
            vec![result("stored", stored), result("busy", busy), result("unavailable", unavailable)],
        ),
        Family::counter("staticreg_events", "Events by what became of them, and why they do not count.", events),
        Family::counter(
            "staticreg_pulls",
            "Accesses added to the counts. Nothing is taken back here: a look-up that turns out to be part of a pull is still \
             among the version checks.",
            pulls.into(),
        ),
        Family::gauge(
            "staticreg_balance_events",
            "What became of all events since the start: received is the sum of the others.",
            vec![
                state("received", received),
                state("counted", counted),
                state("skipped", balance.skipped),
                state("duplicate", duplicate),
                state("refused", refused),
                state("waiting", waiting),
            ],
        ),
        Family::histogram(
            "staticreg_ack_duration_seconds",
            "How long a notification took to be stored and answered.",
            vec![Sample::plain(answered_in)],
        ),
        Family::histogram(
            "staticreg_batch_events",
            "How many events the store took at once.",
            vec![Sample::plain(batch_events)],
        ),
        Family::histogram(
            "staticreg_store_duration_seconds",
            "How long the store took for a batch, whether it was stored or not.",
            vec![Sample::plain(stored_in)],
        ),
        Family::gauge(
            "staticreg_store_up",
            "Whether the store took the last batch: 1 or 0.",
            vec![Sample::plain(u64::from(!receive.trouble().is_failing()))],
        ),
        Family::gauge(
            "staticreg_pending_events",
            "Events in memory that wait to be stored, or are being stored.",
            vec![Sample::plain(receive.totals().waiting)],
        ),
        Family::gauge(
            "staticreg_oldest_pending_seconds",
            "How long the oldest of them waits; 0 when none does.",
            vec![Sample::plain(oldest.as_secs_f64())],
        ),
        Family::gauge(
            "staticreg_last_event_timestamp_seconds",
            "When the last notification arrived; 0 when none did.",
            vec![Sample::plain(last_event_at.load(Ordering::Relaxed))],
        ),
        Family::gauge(
            "staticreg_clock_skew_seconds",
            "How far the registry's clock is ahead when that is more than a day; else 0.",
            vec![Sample::plain(skew)],
        ),
    ];
    families.extend(retaining.families());
    families
}

/// What is told of the repositories that are pulled most.
pub(crate) fn of_repositories(busiest: Vec<(RepositoryName, u64)>) -> Family {
    let sample = |(repository, pulls): (RepositoryName, u64)| Sample {
        labels: vec![("repository", repository.to_string())],
        value: pulls.into(),
    };
    Family::counter(
        "staticreg_repository_pulls",
        "Pulls by tag and by digest of the repositories that are pulled most. Others have no series; nor has one that nobody \
         pulled for a day, which begins at 0 when it is pulled again.",
        busiest.into_iter().map(sample).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_tells_how_much_was_observed_up_to_each_bound() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for millis in [50, 100, 101, 5_000] {
            histogram.observe_time(Duration::from_millis(millis));
        }
        let expected = Distribution { buckets: vec![(0.1, 2), (1.0, 3)], count: 4, sum: 5.251 };
        assert_eq!(histogram.read(), expected);
    }
}
