//! Counts and repositories per architecture: most counts first, then by name.

use std::cmp::Reverse;

use indexmap::IndexSet;
use staticreg_domain::metrics::{ArchitecturePulls, Filter, MetricsError, Page, Slice};

use crate::{
    query::{Dialect, Query, Row, parse},
    question::numbered,
    sums::Kept,
};

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

pub(crate) fn of_sums(
    kept: &Kept,
    filter: &Filter,
    page: &Page<ArchitecturePulls>,
) -> Result<Slice<ArchitecturePulls>, MetricsError> {
    let mut pairs = IndexSet::new();
    let sums = kept.sums(filter, |key| numbered(&mut pairs, (key.architecture, key.repository)));
    let mut architectures = vec![(0, 0); kept.keys.architectures.len()];
    for ((architecture, _), sum) in pairs.iter().zip(&sums).filter(|(_, sum)| sum.count > 0) {
        let (pulls, repositories) = &mut architectures[*architecture as usize];
        *pulls += sum.count;
        *repositories += 1;
    }
    let placed =
        (0..).zip(&architectures).filter(|(_, (pulls, _))| *pulls > 0).map(|(number, (pulls, repositories))| {
            ((Reverse(*pulls), kept.keys.architectures.name(number)), *repositories)
        });
    let after = page.after.as_ref().map(|(pulls, name)| (Reverse(*pulls), name.as_str()));
    Slice::of_all(placed.collect(), after.as_ref(), page.limit).try_map(|((Reverse(pulls), name), repositories)| {
        Ok(ArchitecturePulls { architecture: parse(name)?, pulls, repositories })
    })
}
