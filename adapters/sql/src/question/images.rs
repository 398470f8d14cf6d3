//! Counts per repository and tag: most first, then by repository and tag.

use std::cmp::Reverse;

use staticreg_domain::metrics::{Filter, ImagePulls, MetricsError, Page, Slice};

use crate::{
    query::{Dialect, Query, Row, parse, parse_tag, tag_text},
    question::last,
    sums::Kept,
};

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

pub(crate) fn of_sums(
    kept: &Kept,
    filter: &Filter,
    page: &Page<ImagePulls>,
) -> Result<Slice<ImagePulls>, MetricsError> {
    let sums = kept.sums(filter, |key| key.image);
    let placed = (0..).zip(&sums).filter(|(_, sum)| sum.count > 0).map(|(image, sum)| {
        let (repository, tag) = kept.keys.image(image);
        ((Reverse(sum.count), kept.keys.repositories.name(repository), kept.keys.tags.name(tag)), sum)
    });
    let after = page.after.as_ref();
    let after = after.map(|(pulls, name, tag)| (Reverse(*pulls), name.as_str(), tag_text(tag.as_ref())));
    Slice::of_all(placed.collect(), after.as_ref(), page.limit).try_map(|((_, repository, tag), sum)| {
        Ok(ImagePulls {
            repository: parse(repository)?,
            tag: parse_tag(tag)?,
            pulls: sum.count,
            last_pulled_at: last(sum)?,
        })
    })
}
