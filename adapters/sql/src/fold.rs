//! Keeps old counts by month: the same on both databases, but for the statements that fold (`postgres/fold.rs`,
//! `sqlite/fold.rs`).
//!
//! Rows of a month are added to that of its first day and removed in one transaction. So sums over whole months never
//! change, and who is killed meanwhile has folded some rows and not the others.

use chrono::NaiveDate;
use sea_orm::sea_query::{Value, Values};
use sea_query_sqlx::SqlxValues;
use staticreg_domain::{
    Digest,
    metrics::{AccessKind, CountKey, Folded, MetricsError, first_of_month, last_of_month},
};

use crate::{
    batch::Batch,
    query::{Dialect, Query, Row},
};

/// A table of counts, and what is called differently in it.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) date: &'static str,
    pub(crate) count: &'static str,
    /// What tells the counts of a date apart.
    pub(crate) names: &'static [&'static str],
}

pub(crate) const PULLS: Table = Table {
    name: "container_pull_metrics",
    date: "pull_date",
    count: "pull_count",
    names: &["repo_name", "tag", "digest", "architecture"],
};

pub(crate) const ACCESSES: Table = Table {
    name: "container_access_metrics",
    date: "event_date",
    count: "event_count",
    names: &["repo_name", "tag", "digest", "architecture", "kind"],
};

pub(crate) const TABLES: [&Table; 2] = [&PULLS, &ACCESSES];

impl Table {
    /// The table that holds the counts of a kind.
    pub(crate) fn of(kind: AccessKind) -> &'static Self {
        if kind == AccessKind::PullByTag { &PULLS } else { &ACCESSES }
    }

    /// The names by comma, each as it is written by a function of its own.
    pub(crate) fn list(&self, name: impl Fn(&str) -> String) -> String {
        self.names.iter().map(|column| name(column)).collect::<Vec<_>>().join(", ")
    }
}

/// Which rows are folded, of one month.
pub(crate) struct Part<'a> {
    pub(crate) from: NaiveDate,
    pub(crate) to: NaiveDate,
    /// Whether the month is kept without digests.
    pub(crate) without_digests: bool,
    /// Only rows of this key, whatever their digest.
    pub(crate) of: Option<&'a CountKey>,
    pub(crate) at_most: u32,
}

impl Part<'_> {
    /// The rows of a day; none when it is not kept by month.
    pub(crate) fn of_day(folded: Folded, day: NaiveDate, at_most: u32) -> Option<Self> {
        let without_digests = day < folded.digests_before;
        (day < folded.days_before).then_some(Self { from: day, to: day, without_digests, of: None, at_most })
    }

    /// The month in whose first day they are folded.
    pub(crate) fn month(&self) -> NaiveDate {
        first_of_month(self.from)
    }
}

/// The parts to fold before a batch takes from counts: all of what it takes from is in one place then.
pub(crate) fn lowered<'a>(folded: Folded, batch: &Batch<'a>) -> Vec<(&'static Table, Part<'a>)> {
    let kept_by_month = batch.lowered().into_iter().map(|sum| sum.key).filter(|key| key.date < folded.days_before);
    let part = |key: &'a CountKey| Part {
        from: first_of_month(key.date),
        to: last_of_month(key.date),
        without_digests: key.date < folded.digests_before,
        of: Some(key),
        at_most: u32::MAX,
    };
    kept_by_month.map(|key| (Table::of(key.kind), part(key))).collect()
}

/// Asks what is kept by month.
pub(crate) const FOLDED: &str = "SELECT days_before, digests_before FROM kept_by_month";

pub(crate) fn folded_query() -> Query {
    query(FOLDED.to_owned(), Vec::new())
}

pub(crate) fn folded(rows: &[Row]) -> Result<Folded, MetricsError> {
    let Some(row) = rows.first() else { return Ok(Folded::NOTHING) };
    Ok(Folded { days_before: row.date(0)?, digests_before: row.date(1)? })
}

/// The next day behind another, and before one, that has counts.
pub(crate) fn next_day(dialect: Dialect, after: NaiveDate, before: NaiveDate) -> Query {
    let of = |Table { name, date, .. }: &Table| {
        format!("(SELECT min({date}) FROM {name} WHERE {date} > $1 AND {date} < $2)")
    };
    let [pulls, accesses] = TABLES.map(of);
    let text = format!("SELECT min(day) FROM (SELECT {pulls} AS day UNION ALL SELECT {accesses}) AS days");
    query(text, vec![dialect.date(after), dialect.date(before)])
}

/// Whether a day has counts with digests.
pub(crate) fn has_digests(dialect: Dialect, day: NaiveDate) -> Query {
    let of = |Table { name, date, .. }: &Table| format!("SELECT 1 FROM {name} WHERE {date} = $1 AND digest <> $2");
    let [pulls, accesses] = TABLES.map(of);
    let text = format!("SELECT CAST(1 AS bigint) WHERE EXISTS ({pulls}) OR EXISTS ({accesses})");
    query(text, vec![dialect.date(day), Digest::UNKNOWN.into()])
}

/// Removes rows of days before one.
pub(crate) fn forget(dialect: Dialect, Table { name, date, .. }: &Table, before: NaiveDate, at_most: u32) -> Query {
    let text = format!("DELETE FROM {name} WHERE id IN (SELECT id FROM {name} WHERE {date} < $1 LIMIT $2)");
    query(text, vec![dialect.date(before), i64::from(at_most).into()])
}

pub(crate) fn no_values() -> SqlxValues {
    SqlxValues(Values(Vec::new()))
}

fn query(text: String, values: Vec<Value>) -> Query {
    Query { text, values: SqlxValues(Values(values)) }
}
