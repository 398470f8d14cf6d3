//! The rows themselves: the latest date first, then by repository, tag, digest, architecture and kind.

use sea_orm::sea_query::{Expr, ExprTrait, Order as Sort};
use staticreg_domain::metrics::{Dimension, Filter, GroupKey, MetricsError, MetricsRow, Page};

use super::{architectures::OddNames, is_set};
use crate::query::{Dialect, Query, Row, column, corrupt, counts};

/// What orders the rows of a date; the kind only where there are several.
const NAMES: [Dimension; 5] =
    [Dimension::Repository, Dimension::Tag, Dimension::Digest, Dimension::Architecture, Dimension::Kind];

fn names(filter: &Filter) -> &'static [Dimension] {
    if filter.kinds().len() > 1 { &NAMES } else { &NAMES[..4] }
}

pub(crate) fn query(dialect: Dialect, filter: &Filter, page: &Page<MetricsRow>, odd_names: &OddNames) -> Query {
    let dimensions = names(filter);
    let columns = || dimensions.iter().copied().map(column);
    let mut rows = counts(dialect, filter, filter.kinds(), false, odd_names);
    rows.column("day").columns(columns());
    if odd_names.is_empty() {
        rows.expr(Expr::col("n").cast_as("bigint")).columns(["created_at", "updated_at"]);
    } else {
        // Several may be of one name.
        rows.expr(Expr::col("n").sum().cast_as("bigint"));
        rows.expr(Expr::col("created_at").min()).expr(Expr::col("updated_at").max());
        rows.group_by_col("day").group_by_columns(columns());
    }
    if let Some((date, repository, tag, digest, architecture, kind)) = page.after.clone() {
        let names = GroupKey {
            repository: Some(repository),
            tag,
            digest: Some(digest),
            architecture: Some(architecture),
            kind: Some(kind),
            ..GroupKey::default()
        };
        // The dates after are cut off by themselves, so that an index serves.
        rows.and_where(Expr::col("day").lte(dialect.date(date)));
        let earlier = Expr::col("day").lt(dialect.date(date));
        rows.and_where(earlier.or(dialect.is_behind(dimensions, &names.borrowed(), false)));
    }
    rows.order_by("day", Sort::Desc);
    for name in dimensions {
        rows.order_by_expr(dialect.ordered(*name), Sort::Asc);
    }
    rows.limit(u64::from(page.limit) + 1);
    Query::new(dialect, &rows)
}

/// None when one of its names is none.
pub(crate) fn item(row: &Row, filter: &Filter) -> Result<Option<MetricsRow>, MetricsError> {
    let mut places = 1..;
    let mut next = || places.next().unwrap_or_default();
    let mut key = GroupKey::default();
    for dimension in names(filter) {
        if !is_set(&mut key, *dimension, &row.text(next())?) {
            return Ok(None);
        }
    }
    let kind = key.kind.or(filter.kind.single().copied());
    let GroupKey { repository: Some(repository), tag, digest: Some(digest), architecture: Some(architecture), .. } =
        key
    else {
        return Err(corrupt("a name is missing"));
    };
    Ok(Some(MetricsRow {
        date: row.date(0)?,
        repository,
        tag,
        digest,
        architecture,
        kind: kind.ok_or_else(|| corrupt("a kind is missing"))?,
        count: row.count(next())?,
        created_at: row.time(next())?,
        updated_at: row.time(next())?,
    }))
}
