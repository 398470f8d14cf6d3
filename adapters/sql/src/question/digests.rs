//! Counts per digest: the latest pulled first, then by digest.

use staticreg_domain::metrics::{DigestPulls, Filter, MetricsError, Page};

use crate::query::{Dialect, Query, Row};

pub(crate) fn query(dialect: Dialect, filter: &Filter, page: &Page<DigestPulls>) -> Query {
    let mut query = Query::new(
        dialect,
        "SELECT digest, pulls, first, last FROM (\
         SELECT digest, CAST(sum(n) AS bigint) AS pulls, min(day) AS first, max(updated_at) AS last",
    )
    .over(filter)
    .text(" GROUP BY digest) AS d");
    if let Some((last, digest)) = &page.after {
        query = query.text(" WHERE last < ").bind(*last).text(" OR last = ").bind(*last);
        query = query.text(" AND digest").by_bytes().text(" > ").bind(digest);
    }
    query.text(" ORDER BY last DESC, digest").by_bytes().limit(page.limit)
}

pub(crate) fn item(row: &Row) -> Result<DigestPulls, MetricsError> {
    Ok(DigestPulls {
        digest: row.digest(0)?,
        pulls: row.count(1)?,
        first_pulled_on: row.date(2)?,
        last_pulled_at: row.time(3)?,
    })
}
