//! Counts and repositories per architecture: most counts first, then by name.

use staticreg_domain::metrics::{ArchitecturePulls, Filter, MetricsError, Page};

use crate::query::{Dialect, Query, Row};

pub(crate) fn query(dialect: Dialect, filter: &Filter, page: &Page<ArchitecturePulls>) -> Query {
    // Grouped by repository first: to count different repositories by sorting them costs many times as much.
    let mut query = Query::new(
        dialect,
        "SELECT architecture, pulls, repositories FROM (\
         SELECT architecture, CAST(sum(pulls) AS bigint) AS pulls, count(*) AS repositories \
         FROM (SELECT architecture, repo_name, sum(n) AS pulls",
    )
    .over(filter)
    .text(" GROUP BY architecture, repo_name) AS r GROUP BY architecture) AS a");
    if let Some((pulls, architecture)) = &page.after {
        query = query.text(" WHERE pulls < ").bind(*pulls).text(" OR pulls = ").bind(*pulls);
        query = query.text(" AND architecture").by_bytes().text(" > ").bind(architecture);
    }
    query.text(" ORDER BY pulls DESC, architecture").by_bytes().limit(page.limit)
}

pub(crate) fn item(row: &Row) -> Result<ArchitecturePulls, MetricsError> {
    Ok(ArchitecturePulls { architecture: row.architecture(0)?, pulls: row.count(1)?, repositories: row.count(2)? })
}
