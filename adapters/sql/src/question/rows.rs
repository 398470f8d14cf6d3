//! The rows themselves: the latest date first, then by repository, tag, digest and architecture.

use staticreg_domain::metrics::{AccessKind, Filter, MetricsError, MetricsRow, Page};

use crate::query::{Dialect, Query, Row};

pub(crate) fn query(dialect: Dialect, filter: &Filter, page: &Page<MetricsRow>) -> Query {
    let mut query = Query::new(
        dialect,
        "SELECT day, repo_name, tag, digest, architecture, CAST(n AS bigint), created_at, updated_at",
    )
    .over(filter);
    if let Some((date, repository, tag, digest, architecture)) = &page.after {
        // The dates after are cut off by themselves, so that an index serves.
        query = query.text(" AND day <= ").bind(*date).text(" AND (day < ").bind(*date);
        query = query.text(" OR (repo_name").by_bytes().text(", tag").by_bytes().text(", digest").by_bytes();
        query = query.text(", architecture").by_bytes().text(") > (").bind(repository).text(", ").bind(tag);
        query = query.text(", ").bind(digest).text(", ").bind(architecture).text("))");
    }
    query = query.text(" ORDER BY day DESC, repo_name").by_bytes().text(", tag").by_bytes();
    query.text(", digest").by_bytes().text(", architecture").by_bytes().limit(page.limit)
}

pub(crate) fn item(row: &Row, kind: AccessKind) -> Result<MetricsRow, MetricsError> {
    Ok(MetricsRow {
        date: row.date(0)?,
        repository: row.repository(1)?,
        tag: row.tag(2)?,
        digest: row.digest(3)?,
        architecture: row.architecture(4)?,
        kind,
        count: row.count(5)?,
        created_at: row.time(6)?,
        updated_at: row.time(7)?,
    })
}
