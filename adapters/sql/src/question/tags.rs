//! Counts per tag and architecture: most first, then by tag and architecture.

use std::cmp::Reverse;

use indexmap::IndexSet;
use staticreg_domain::metrics::{Filter, MetricsError, Page, Slice, TagPulls};

use crate::{
    query::{Dialect, Query, Row, parse, parse_tag, tag_text},
    question::{last, numbered},
    sums::Kept,
};

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

pub(crate) fn of_sums(kept: &Kept, filter: &Filter, page: &Page<TagPulls>) -> Result<Slice<TagPulls>, MetricsError> {
    let mut pairs = IndexSet::new();
    let sums = kept.sums(filter, |key| numbered(&mut pairs, (key.tag, key.architecture)));
    let placed = pairs.iter().zip(&sums).filter(|(_, sum)| sum.count > 0).map(|((tag, architecture), sum)| {
        ((Reverse(sum.count), kept.keys.tags.name(*tag), kept.keys.architectures.name(*architecture)), sum)
    });
    let after = page.after.as_ref();
    let after = after.map(|(pulls, tag, name)| (Reverse(*pulls), tag_text(tag.as_ref()), name.as_str()));
    Slice::of_all(placed.collect(), after.as_ref(), page.limit).try_map(|((_, tag, architecture), sum)| {
        Ok(TagPulls {
            tag: parse_tag(tag)?,
            architecture: parse(architecture)?,
            pulls: sum.count,
            last_pulled_at: last(sum)?,
        })
    })
}
