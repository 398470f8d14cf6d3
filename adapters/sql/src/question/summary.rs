//! The totals of every kind.

use chrono::NaiveDate;
use staticreg_domain::metrics::{AccessKind, DateRange, MetricsError, Summary, Totals};

use crate::{
    query::{Dialect, Query, Row},
    sums::{Kept, Sum},
};

/// The days of the spans.
const WEEK: u32 = 7;
const MONTH: u32 = 30;

/// The totals of pulls by tag, and how many repositories and when last: one row.
pub(crate) fn pulls_query(dialect: Dialect, today: NaiveDate) -> Query {
    // Grouped by repository first: to count different repositories by sorting them costs many times as much.
    let query = Query::new(dialect, TOTALS_OF_PARTS).text(", count(*), max(last) FROM (SELECT ").totals(
        "pull_date",
        "pull_count",
        today,
    );
    query.text(", max(updated_at) AS last FROM container_pull_metrics WHERE pull_count > 0 GROUP BY repo_name) AS r")
}

/// The totals of the other kinds: a row for each that has counts, with its name last.
pub(crate) fn accesses_query(dialect: Dialect, today: NaiveDate) -> Query {
    let query = Query::new(dialect, TOTALS_OF_PARTS).text(", kind FROM (SELECT ");
    query
        .totals("event_date", "event_count", today)
        .text(", kind FROM container_access_metrics WHERE event_count > 0 GROUP BY kind) AS k GROUP BY kind")
}

const TOTALS_OF_PARTS: &str = "SELECT CAST(coalesce(sum(today), 0) AS bigint), CAST(coalesce(sum(week), 0) AS bigint), \
                               CAST(coalesce(sum(month), 0) AS bigint), CAST(coalesce(sum(ever), 0) AS bigint)";

impl Query {
    fn totals(self, date: &'static str, count: &'static str, today: NaiveDate) -> Self {
        let (week, month) = (DateRange::days_until(today, WEEK), DateRange::days_until(today, MONTH));
        self.sum_of(count)
            .text(" FILTER (WHERE ")
            .text(date)
            .text(" = ")
            .bind(today)
            .text(") AS today, ")
            .sum_between(count, date, week)
            .text(" AS week, ")
            .sum_between(count, date, month)
            .text(" AS month, ")
            .sum_of(count)
            .text(" AS ever")
    }

    fn sum_of(self, count: &'static str) -> Self {
        self.text("sum(").text(count).text(")")
    }

    fn sum_between(self, count: &'static str, date: &'static str, dates: DateRange) -> Self {
        let query = self.sum_of(count).text(" FILTER (WHERE ").text(date).text(" BETWEEN ");
        query.bind(dates.from()).text(" AND ").bind(dates.to()).text(")")
    }
}

pub(crate) fn answer(pulls: &[Row], accesses: &[Row]) -> Result<Summary, MetricsError> {
    let mut summary = Summary::default();
    for row in pulls {
        summary.pulls_by_tag = totals(row)?;
        summary.repositories = row.count(4)?;
        summary.last_pulled_at = row.time_if_any(5)?;
    }
    for row in accesses {
        let name = row.text(4)?;
        match AccessKind::ALL.into_iter().find(|kind| kind.as_str() == name) {
            Some(AccessKind::PullByDigest) => summary.pulls_by_digest = totals(row)?,
            Some(AccessKind::VersionCheck) => summary.version_checks = totals(row)?,
            Some(AccessKind::Push) => summary.pushes = totals(row)?,
            // A later version may keep kinds this one does not know.
            Some(AccessKind::PullByTag) | None => {}
        }
    }
    Ok(summary)
}

fn totals(row: &Row) -> Result<Totals, MetricsError> {
    Ok(Totals { today: row.count(0)?, last_7_days: row.count(1)?, last_30_days: row.count(2)?, all: row.count(3)? })
}

pub(crate) fn of_sums(kept: &Kept, today: NaiveDate) -> Summary {
    let [week, month] = [WEEK, MONTH].map(|days| DateRange::days_until(today, days));
    let totals = |kind| {
        let mut totals = Totals::default();
        for (date, Sum { count, .. }) in kept.totals(DateRange::EVER, kind) {
            totals.all += count;
            totals.today += if date == today { count } else { 0 };
            totals.last_7_days += if week.contains(date) { count } else { 0 };
            totals.last_30_days += if month.contains(date) { count } else { 0 };
        }
        totals
    };
    Summary {
        pulls_by_tag: totals(AccessKind::PullByTag),
        pulls_by_digest: totals(AccessKind::PullByDigest),
        version_checks: totals(AccessKind::VersionCheck),
        pushes: totals(AccessKind::Push),
        repositories: kept.pulled_repositories(),
        last_pulled_at: kept.totals(DateRange::EVER, AccessKind::PullByTag).filter_map(|(_, sum)| sum.last()).max(),
    }
}
