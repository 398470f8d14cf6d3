//! Counts per day and group: by date, then by group.

use staticreg_domain::metrics::{DayPulls, Filter, MetricsError, Page, PullGroup};

use crate::query::{Dialect, Query, Row};

pub(crate) fn query(dialect: Dialect, filter: &Filter, group: Option<PullGroup>, page: &Page<DayPulls>) -> Query {
    match group {
        None => by_day(dialect, filter, page),
        Some(group) => by_day_and_group(dialect, filter, column(group), page),
    }
}

fn by_day(dialect: Dialect, filter: &Filter, page: &Page<DayPulls>) -> Query {
    let mut query = Query::new(dialect, "SELECT day, CAST(sum(n) AS bigint)").over(filter);
    if let Some((date, _)) = &page.after {
        query = query.text(" AND day > ").bind(*date);
    }
    query.text(" GROUP BY day ORDER BY day").limit(page.limit)
}

fn by_day_and_group(dialect: Dialect, filter: &Filter, column: &'static str, page: &Page<DayPulls>) -> Query {
    let mut query = Query::new(dialect, "SELECT day, CAST(sum(n) AS bigint), ").text(column).over(filter);
    if let Some((date, group)) = &page.after {
        // The dates before are cut off by themselves, so that an index serves.
        query = query.text(" AND day >= ").bind(*date).text(" AND (day, ").text(column).by_bytes();
        query = query.text(") > (").bind(*date).text(", ").bind(group.as_deref().unwrap_or_default()).text(")");
    }
    query = query.text(" GROUP BY day, ").text(column).text(" ORDER BY day, ").text(column);
    query.by_bytes().limit(page.limit)
}

fn column(group: PullGroup) -> &'static str {
    match group {
        PullGroup::Architecture => "architecture",
        PullGroup::Repository => "repo_name",
        PullGroup::Tag => "tag",
    }
}

pub(crate) fn item(row: &Row, group: Option<PullGroup>) -> Result<DayPulls, MetricsError> {
    let group = group.map(|_| row.text(2)).transpose()?;
    Ok(DayPulls { date: row.date(0)?, pulls: row.count(1)?, group })
}
