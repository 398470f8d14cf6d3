//! Counts per repository: most first, then by name.

use std::cmp::Reverse;

use staticreg_domain::metrics::{Filter, MetricsError, Page, RepositoryPulls, Slice};

use crate::{
    query::{Dialect, Query, Row, parse},
    question::last,
    sums::{Kept, Sum},
};

pub(crate) fn query(dialect: Dialect, filter: &Filter, page: &Page<RepositoryPulls>) -> Query {
    // Grouped by tag first: to count different tags by sorting them costs many times as much.
    let mut query = Query::new(
        dialect,
        "SELECT repo_name, pulls, tags, last FROM (\
         SELECT repo_name, CAST(sum(pulls) AS bigint) AS pulls, count(nullif(tag, '')) AS tags, max(last) AS last \
         FROM (SELECT repo_name, tag, sum(n) AS pulls, max(updated_at) AS last",
    )
    .over(filter)
    .text(" GROUP BY repo_name, tag) AS t GROUP BY repo_name) AS r");
    if let Some((pulls, repository)) = &page.after {
        query = query.text(" WHERE pulls < ").bind(*pulls).text(" OR pulls = ").bind(*pulls);
        query = query.text(" AND repo_name").by_bytes().text(" > ").bind(repository);
    }
    query.text(" ORDER BY pulls DESC, repo_name").by_bytes().limit(page.limit)
}

pub(crate) fn item(row: &Row) -> Result<RepositoryPulls, MetricsError> {
    Ok(RepositoryPulls {
        repository: row.repository(0)?,
        pulls: row.count(1)?,
        tags: row.count(2)?,
        last_pulled_at: row.time(3)?,
    })
}

pub(crate) fn of_sums(
    kept: &Kept,
    filter: &Filter,
    page: &Page<RepositoryPulls>,
) -> Result<Slice<RepositoryPulls>, MetricsError> {
    let mut repositories = vec![(Sum::NONE, 0); kept.keys.repositories.len()];
    for (image, sum) in (0..).zip(kept.sums(filter, |key| key.image)).filter(|(_, sum)| sum.count > 0) {
        let (repository, tag) = kept.keys.image(image);
        let (total, tags) = &mut repositories[repository as usize];
        total.add(sum);
        *tags += u64::from(!kept.keys.tags.name(tag).is_empty());
    }
    let placed = (0..)
        .zip(&repositories)
        .filter(|(_, (sum, _))| sum.count > 0)
        .map(|(repository, (sum, tags))| ((Reverse(sum.count), kept.keys.repositories.name(repository)), (sum, *tags)));
    let after = page.after.as_ref().map(|(pulls, name)| (Reverse(*pulls), name.as_str()));
    Slice::of_all(placed.collect(), after.as_ref(), page.limit).try_map(|((_, name), (sum, tags))| {
        Ok(RepositoryPulls { repository: parse(name)?, pulls: sum.count, tags, last_pulled_at: last(sum)? })
    })
}
