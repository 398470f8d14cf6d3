//! Counts per day and group: by date, then by group.

use staticreg_domain::metrics::{DateRange, DayPulls, Filter, Listed, MetricsError, Page, PullGroup, Slice};

use crate::{
    query::{Dialect, Query, Row},
    sums::{Kept, Key},
};

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

pub(crate) fn of_sums(
    kept: &Kept,
    filter: &Filter,
    group: Option<PullGroup>,
    page: &Page<DayPulls>,
) -> Slice<DayPulls> {
    let needed = page.limit as usize + 1;
    let mut items: Vec<DayPulls> = Vec::new();
    // The days before the page are none of it.
    let first = page.after.as_ref().map_or(filter.dates.from(), |(date, _)| filter.dates.from().max(*date));
    let Ok(dates) = DateRange::new(first, filter.dates.to()) else { return Slice::of(items, page.limit) };
    let mut add = |date, groups: &mut dyn Iterator<Item = (Option<&str>, u64)>| {
        let day = groups.map(|(group, pulls)| DayPulls { date, group: group.map(str::to_owned), pulls });
        let after = page.after.as_ref();
        let rest = day.skip_while(|item| after.is_some_and(|after| item.position() <= *after));
        items.extend(rest.take(needed - items.len()));
        items.len() < needed
    };
    let filter = Filter { dates, ..filter.clone() };
    if let (None, Filter { kind, repository: None, tag: None, digest: None, architecture: None, .. }) = (group, &filter)
    {
        kept.totals(dates, *kind).all(|(date, total)| add(date, &mut [(None, total.count)].into_iter()));
    } else {
        let names = group.map(|group| match group {
            PullGroup::Architecture => &kept.keys.architectures,
            PullGroup::Repository => &kept.keys.repositories,
            PullGroup::Tag => &kept.keys.tags,
        });
        let number = |key: Key| match group {
            None => 0,
            Some(PullGroup::Architecture) => key.architecture,
            Some(PullGroup::Repository) => key.repository,
            Some(PullGroup::Tag) => key.tag,
        };
        kept.daily(&filter, number, |date, sums| {
            let counted = (0..).zip(sums).filter(|(_, sum)| sum.count > 0);
            let mut groups: Vec<_> =
                counted.map(|(number, sum)| (names.map(|names| names.name(number)), sum.count)).collect();
            groups.sort_unstable();
            add(date, &mut groups.into_iter())
        });
    }
    Slice::of(items, page.limit)
}
