//! Counts per repository: most first, then by name.

use staticreg_domain::metrics::{Filter, MetricsError, Page, RepositoryPulls};

use crate::query::{Dialect, Query, Row};

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
