//! The totals of every kind.

use chrono::NaiveDate;
use sea_orm::sea_query::{Expr, ExprTrait, Func, Query as Build, SelectStatement};
use staticreg_domain::metrics::{AccessKind, DateRange, MetricsError, Spans, Summary, Totals};

use crate::query::{Dialect, Query, Row};

/// The totals of pulls by tag, and how many repositories and when last: one row.
pub(crate) fn pulls_query(dialect: Dialect, today: NaiveDate) -> Query {
    // Grouped by repository first: to count different repositories by sorting them costs many times as much.
    let mut repositories = sums(dialect, today, "container_pull_metrics", "pull_date", "pull_count");
    repositories.expr_as(Expr::col("updated_at").max(), "last").group_by_col("repo_name");
    let mut totals = totals_of(repositories);
    Query::new(dialect, totals.expr(Expr::cust("count(*)")).expr(Expr::col("last").max()))
}

/// The totals of the other kinds: a row for each that has counts, with its name last.
pub(crate) fn accesses_query(dialect: Dialect, today: NaiveDate) -> Query {
    let mut kinds = sums(dialect, today, "container_access_metrics", "event_date", "event_count");
    kinds.column("kind").group_by_col("kind");
    Query::new(dialect, totals_of(kinds).column("kind").group_by_col("kind"))
}

const SPANS: [&str; 4] = ["today", "week", "month", "ever"];

/// The totals of parts of the counts.
fn totals_of(parts: SelectStatement) -> SelectStatement {
    let mut totals = Build::select();
    for span in SPANS {
        totals.expr(Expr::col(span).sum().if_null(0).cast_as("bigint"));
    }
    totals.from_subquery(parts, "p").take()
}

/// The sums of a table's counts over each span.
fn sums(
    dialect: Dialect,
    today: NaiveDate,
    table: &'static str,
    date: &'static str,
    count: &'static str,
) -> SelectStatement {
    let Spans { week, month, .. } = Spans::until(today);
    let between = |dates: DateRange| Expr::col(date).between(dialect.date(dates.from()), dialect.date(dates.to()));
    let sum = || Func::sum(Expr::col(count));
    let mut sums = Build::select();
    sums.expr_as(sum().filter(Expr::col(date).eq(dialect.date(today))), "today");
    sums.expr_as(sum().filter(between(week)), "week");
    sums.expr_as(sum().filter(between(month)), "month");
    sums.expr_as(sum(), "ever").from(table).and_where(Expr::col(count).gt(0)).take()
}

pub(crate) fn answer(pulls: &[Row], accesses: &[Row]) -> Result<Summary, MetricsError> {
    let mut summary = Summary::default();
    for row in pulls {
        insert(&mut summary, AccessKind::PullByTag, totals(row)?);
        summary.repositories = row.count(4)?;
        summary.last_pulled_at = row.time_if_any(5)?;
    }
    for row in accesses {
        // A later version may keep kinds this one does not know.
        if let Some(kind) = AccessKind::named(&row.text(4)?) {
            insert(&mut summary, kind, totals(row)?);
        }
    }
    Ok(summary)
}

fn insert(summary: &mut Summary, kind: AccessKind, totals: Totals) {
    if totals.all > 0 {
        summary.by_kind.insert(kind, totals);
    }
}

fn totals(row: &Row) -> Result<Totals, MetricsError> {
    Ok(Totals { today: row.count(0)?, last_7_days: row.count(1)?, last_30_days: row.count(2)?, all: row.count(3)? })
}
