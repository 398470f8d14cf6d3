//! What happens while old counts are folded and removed, each with its counter and its log line.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use staticreg_domain::{error::describe, metrics::MetricsError};

use super::{Family, Sample};

#[derive(Debug, Default)]
pub(crate) struct Retaining {
    folded: AtomicU64,
    removed: AtomicU64,
    failures: AtomicU64,
    /// The day that was folded last. Both in seconds since 1970; 0 before the first.
    folded_day: AtomicI64,
    done_at: AtomicI64,
}

impl Retaining {
    /// Rows of a day were added to those of its month.
    pub(crate) fn folded(&self, day: NaiveDate, rows: u64) {
        self.folded.fetch_add(rows, Ordering::Relaxed);
        self.folded_day.store(day.and_time(NaiveTime::MIN).and_utc().timestamp(), Ordering::Relaxed);
    }

    /// Rows were removed, as they are too old.
    pub(crate) fn removed(&self, rows: u64) {
        self.removed.fetch_add(rows, Ordering::Relaxed);
    }

    /// Folding goes on, of so many days.
    pub(crate) fn folding(day: NaiveDate, (days, of): (i64, i64), rows: u64) {
        tracing::info!(rows, "Folding old counts: {days} of {of} days, at {day}");
    }

    /// Removing goes on.
    pub(crate) fn removing(before: NaiveDate, rows: u64) {
        tracing::info!(rows, "Removing counts of days before {before}");
    }

    /// All days before one are folded, and some were not.
    pub(crate) fn all_folded(before: NaiveDate, rows: u64) {
        tracing::info!(rows, "Counts of days before {before} are kept by month now");
    }

    /// All days before one are removed, and some were there.
    pub(crate) fn all_removed(before: NaiveDate, rows: u64) {
        tracing::info!(rows, "Counts of days before {before} were removed");
    }

    /// The store refused.
    pub(crate) fn failed(&self, error: &MetricsError) {
        tracing::warn!(error = describe(error), "Old counts cannot be folded or removed; trying again");
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// All that was due is done.
    pub(crate) fn done(&self, now: DateTime<Utc>) {
        self.done_at.store(now.timestamp(), Ordering::Relaxed);
    }

    /// What is told of them.
    pub(crate) fn families(&self) -> [Family; 4] {
        let Self { folded, removed, failures, folded_day, done_at } = self;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let time = |time: &AtomicI64| vec![Sample::plain(time.load(Ordering::Relaxed))];
        let rows = |result, counter| Sample::labelled([("result", result)], count(counter));
        [
            Family::counter(
                "staticreg_retention_rows",
                "Rows of old counts that were folded into those of their months, or removed.",
                vec![rows("folded", folded), rows("removed", removed)],
            ),
            Family::counter(
                "staticreg_retention_failures",
                "How often the store did not let old counts be folded or removed.",
                vec![Sample::plain(count(failures))],
            ),
            Family::gauge(
                "staticreg_retention_folded_day_timestamp_seconds",
                "The day that was folded last; 0 when none was.",
                time(folded_day),
            ),
            Family::gauge(
                "staticreg_retention_last_success_timestamp_seconds",
                "When all that was due was last folded and removed; 0 when never.",
                time(done_at),
            ),
        ]
    }
}
