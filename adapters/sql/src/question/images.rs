//! Counts per repository and tag: most first, then by repository and tag.

use staticreg_domain::metrics::{Filter, ImagePulls, MetricsError, Page};

use crate::query::{Dialect, Query, Row};

pub(crate) fn query(dialect: Dialect, filter: &Filter, page: &Page<ImagePulls>) -> Query {
    let mut query = Query::new(
        dialect,
        "SELECT repo_name, tag, pulls, last FROM (\
         SELECT repo_name, tag, CAST(sum(n) AS bigint) AS pulls, max(updated_at) AS last",
    )
    .over(filter)
    .text(" GROUP BY repo_name, tag) AS i");
    if let Some((pulls, repository, tag)) = &page.after {
        query = query.text(" WHERE pulls < ").bind(*pulls).text(" OR pulls = ").bind(*pulls);
        query = query.text(" AND (repo_name").by_bytes().text(", tag").by_bytes();
        query = query.text(") > (").bind(repository).text(", ").bind(tag).text(")");
    }
    query.text(" ORDER BY pulls DESC, repo_name").by_bytes().text(", tag").by_bytes().limit(page.limit)
}

pub(crate) fn item(row: &Row) -> Result<ImagePulls, MetricsError> {
    Ok(ImagePulls {
        repository: row.repository(0)?,
        tag: row.tag(1)?,
        pulls: row.count(2)?,
        last_pulled_at: row.time(3)?,
    })
}
