//! The rows themselves: the latest date first, then by repository, tag, digest and architecture.

use sea_orm::sea_query::{Expr, ExprTrait, Order as Sort};
use staticreg_domain::metrics::{AccessKind, Dimension, Filter, GroupKey, MetricsError, MetricsRow, Page};

use super::{architectures::OddNames, is_set};
use crate::query::{Dialect, Query, Row, column, corrupt, counts};

/// What orders the rows of a date.
const NAMES: [Dimension; 4] = [Dimension::Repository, Dimension::Tag, Dimension::Digest, Dimension::Architecture];

pub(crate) fn query(dialect: Dialect, filter: &Filter, page: &Page<MetricsRow>, odd_names: &OddNames) -> Query {
    let mut rows = counts(dialect, filter, Some(filter.kind), odd_names);
    rows.column("day").columns(NAMES.map(column));
    if odd_names.is_empty() {
        rows.expr(Expr::col("n").cast_as("bigint")).columns(["created_at", "updated_at"]);
    } else {
        // Several may be of one name.
        rows.expr(Expr::col("n").sum().cast_as("bigint"));
        rows.expr(Expr::col("created_at").min()).expr(Expr::col("updated_at").max());
        rows.group_by_col("day").group_by_columns(NAMES.map(column));
    }
    if let Some((date, repository, tag, digest, architecture)) = page.after.clone() {
        let names = GroupKey {
            repository: Some(repository),
            tag,
            digest: Some(digest),
            architecture: Some(architecture),
            ..GroupKey::default()
        };
        // The dates after are cut off by themselves, so that an index serves.
        rows.and_where(Expr::col("day").lte(dialect.date(date)));
        let earlier = Expr::col("day").lt(dialect.date(date));
        rows.and_where(earlier.or(dialect.is_behind(&NAMES, &names.borrowed())));
    }
    rows.order_by("day", Sort::Desc);
    for name in NAMES {
        rows.order_by_expr(dialect.ordered(name), Sort::Asc);
    }
    rows.limit(u64::from(page.limit) + 1);
    Query::new(dialect, &rows)
}

/// None when one of its names is none.
pub(crate) fn item(row: &Row, kind: AccessKind) -> Result<Option<MetricsRow>, MetricsError> {
    let mut names = GroupKey::default();
    for (column, dimension) in (1..).zip(NAMES) {
        if !is_set(&mut names, dimension, &row.text(column)?) {
            return Ok(None);
        }
    }
    let GroupKey { repository: Some(repository), tag, digest: Some(digest), architecture: Some(architecture), .. } =
        names
    else {
        return Err(corrupt("a name is missing"));
    };
    Ok(Some(MetricsRow {
        date: row.date(0)?,
        repository,
        tag,
        digest,
        architecture,
        kind,
        count: row.count(5)?,
        created_at: row.time(6)?,
        updated_at: row.time(7)?,
    }))
}
