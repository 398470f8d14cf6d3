//! Counts per tag and architecture: most first, then by tag and architecture.

use staticreg_domain::metrics::{Filter, MetricsError, Page, TagPulls};

use crate::query::{Dialect, Query, Row};

pub(crate) fn query(dialect: Dialect, filter: &Filter, page: &Page<TagPulls>) -> Query {
    let mut query = Query::new(
        dialect,
        "SELECT tag, architecture, pulls, last FROM (\
         SELECT tag, architecture, CAST(sum(n) AS bigint) AS pulls, max(updated_at) AS last",
    )
    .over(filter)
    .text(" GROUP BY tag, architecture) AS t");
    if let Some((pulls, tag, architecture)) = &page.after {
        query = query.text(" WHERE pulls < ").bind(*pulls).text(" OR pulls = ").bind(*pulls);
        query = query.text(" AND (tag").by_bytes().text(", architecture").by_bytes();
        query = query.text(") > (").bind(tag).text(", ").bind(architecture).text(")");
    }
    query.text(" ORDER BY pulls DESC, tag").by_bytes().text(", architecture").by_bytes().limit(page.limit)
}

pub(crate) fn item(row: &Row) -> Result<TagPulls, MetricsError> {
    Ok(TagPulls {
        tag: row.tag(0)?,
        architecture: row.architecture(1)?,
        pulls: row.count(2)?,
        last_pulled_at: row.time(3)?,
    })
}
