//! Every breakdown, by one builder.

use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, Order as Sort, Query as Build, SelectStatement};
use staticreg_domain::metrics::{
    Breakdown, BreakdownRow, Dimension, Filter, GroupKey, Growth, Measures, MetricsError, Order, OrderedBy, Position,
};

use super::{architectures::OddNames, is_set};
use crate::query::{Dialect, Query, Row, column, counts, number};

pub(crate) fn query(dialect: Dialect, breakdown: &Breakdown, odd_names: &OddNames) -> Query {
    let dimensions: Vec<Dimension> = breakdown.dimensions().collect();
    let sums = match breakdown.measures.distinct {
        None => sums(dialect, breakdown, odd_names, &dimensions),
        Some(distinct) => sums_of_parts(dialect, breakdown, odd_names, &dimensions, distinct),
    };
    let mut list = match breakdown.order.by() {
        OrderedBy::Key => sums,
        OrderedBy::Count => placed(dialect, &Expr::col("pulls"), breakdown, &dimensions, sums),
        OrderedBy::Last => placed(dialect, &Expr::col("last"), breakdown, &dimensions, sums),
        OrderedBy::Growth => placed(dialect, &growth(), breakdown, &dimensions, sums),
    };
    let by_key = if breakdown.order == Order::LastKeyFirst { Sort::Desc } else { Sort::Asc };
    for dimension in &dimensions {
        list.order_by_expr(dialect.ordered(*dimension), by_key.clone());
    }
    // One row more than are wanted tells whether more follow.
    list.limit(u64::from(breakdown.page.limit) + 1);
    Query::new(dialect, &list)
}

/// A row for each key.
fn sums(dialect: Dialect, breakdown: &Breakdown, odd_names: &OddNames, dimensions: &[Dimension]) -> SelectStatement {
    let sum = |counts: Expr| counts.sum().cast_as("bigint");
    grouped(dialect, breakdown, odd_names, dimensions, dimensions, sum)
}

/// How much a count grew, as [`Growth`] says.
fn growth() -> Expr {
    let double = |count| Expr::col(count).cast_as("double precision");
    let is_new = Expr::col("previous").eq(0);
    CaseStatement::new().case(is_new, Growth::OF_NEW).finally(double("pulls").div(double("previous"))).into()
}

/// A row for each key, with how many values of a further dimension there are. Grouped by that first: to count different
/// values by sorting them costs many times as much.
fn sums_of_parts(
    dialect: Dialect,
    breakdown: &Breakdown,
    odd_names: &OddNames,
    dimensions: &[Dimension],
    distinct: Dimension,
) -> SelectStatement {
    let mut all = dimensions.to_vec();
    // Counts of a single kind have no column for it.
    if !all.contains(&distinct) && (distinct != Dimension::Kind || breakdown.kind().is_none()) {
        all.push(distinct);
    }
    let parts = grouped(dialect, breakdown, odd_names, dimensions, &all, ExprTrait::sum);
    let Measures { distinct: _, first, last, previous_from } = breakdown.measures;
    let mut sums = Build::select();
    sums.columns(dimensions.iter().copied().map(column));
    sums.expr_as(Expr::col("pulls").sum().cast_as("bigint"), "pulls");
    if previous_from.is_some() {
        sums.expr_as(Expr::col("previous").sum().cast_as("bigint"), "previous");
    }
    let values = match (distinct, previous_from) {
        (Dimension::Tag, None) => Expr::cust("count(nullif(tag, ''))"),
        (_, None) => Expr::cust("count(*)"),
        // Those of the dates before are no values of these.
        (Dimension::Tag, Some(_)) => Expr::cust("count(CASE WHEN pulls > 0 AND tag <> '' THEN 1 END)"),
        (_, Some(_)) => Expr::cust("count(CASE WHEN pulls > 0 THEN 1 END)"),
    };
    sums.expr_as(values, "parts");
    if first {
        sums.expr_as(Expr::col("first").min(), "first");
    }
    if last {
        sums.expr_as(Expr::col("last").max(), "last");
    }
    sums.from_subquery(parts, "p");
    group_by(&mut sums, dimensions);
    sums
}

/// The counts that pass the filter, grouped and summed; where keys order the list, those behind the page's place.
fn grouped(
    dialect: Dialect,
    breakdown: &Breakdown,
    odd_names: &OddNames,
    dimensions: &[Dimension],
    by: &[Dimension],
    sum: impl Fn(Expr) -> Expr,
) -> SelectStatement {
    let tells_folder = by.contains(&Dimension::Folder);
    let Measures { distinct: _, first, last, previous_from } = breakdown.measures;
    let filter = Filter { dates: breakdown.dates(), ..breakdown.filter.clone() };
    let mut grouped = counts(dialect, &filter, breakdown.kinds(), tells_folder, odd_names);
    grouped.columns(by.iter().copied().map(column));
    if previous_from.is_some() {
        let from = || dialect.date(breakdown.filter.dates.from());
        let those = |are: Expr| sum(CaseStatement::new().case(are, Expr::col("n")).finally(0).into());
        grouped.expr_as(those(Expr::col("day").gte(from())), "pulls");
        grouped.expr_as(those(Expr::col("day").lt(from())), "previous");
    } else {
        grouped.expr_as(sum(Expr::col("n")), "pulls");
    }
    if first {
        grouped.expr_as(Expr::col("day").min(), "first");
    }
    if last {
        grouped.expr_as(dialect.comparable(Expr::col("updated_at").max()), "last");
    }
    let Breakdown { order, page, .. } = breakdown;
    if let (OrderedBy::Key, Some(after)) = (order.by(), &page.after) {
        if let [Dimension::Date, _, ..] = dimensions {
            // The dates before are cut off by themselves, so that an index serves.
            let date = dialect.part(Dimension::Date, &after.key.borrowed());
            let day = Expr::col("day");
            grouped.and_where(if order.falls() { day.lte(date) } else { day.gte(date) });
        }
        grouped.and_where(is_behind(dialect, dimensions, after, order.falls()));
    }
    group_by(&mut grouped, by);
    grouped
}

fn group_by(statement: &mut SelectStatement, by: &[Dimension]) {
    statement.group_by_columns(by.iter().copied().map(column));
    if by.is_empty() {
        // Without it nothing would be counted as one row.
        statement.and_having(Expr::cust("count(*) > 0"));
    }
}

fn is_behind(dialect: Dialect, dimensions: &[Dimension], after: &Position, falls: bool) -> Expr {
    if dimensions.is_empty() {
        // There is one row alone.
        return Expr::cust("1 = 0");
    }
    dialect.is_behind(dimensions, &after.key.borrowed(), falls)
}

/// The sums by a measure, behind the page's place.
fn placed(
    dialect: Dialect,
    measure: &Expr,
    breakdown: &Breakdown,
    dimensions: &[Dimension],
    sums: SelectStatement,
) -> SelectStatement {
    let falls = breakdown.order.falls();
    let Measures { distinct, first, last, previous_from } = breakdown.measures;
    let mut list = Build::select();
    list.columns(dimensions.iter().copied().map(column)).column("pulls");
    let (previous, parts) = (previous_from.map(|_| "previous"), distinct.map(|_| "parts"));
    list.columns([previous, parts, first.then_some("first"), last.then_some("last")].into_iter().flatten());
    list.from_subquery(sums, "s");
    if let Some(after) = &breakdown.page.after {
        let place = match breakdown.order.by() {
            OrderedBy::Last => dialect.time(after.last_at.unwrap_or_default()),
            OrderedBy::Growth => Growth::new(after.count, after.previous).ratio().into(),
            OrderedBy::Count | OrderedBy::Key => number(after.count),
        };
        let equal = measure.clone().eq(place.clone()).and(is_behind(dialect, dimensions, after, false));
        let behind = if falls { measure.clone().lt(place) } else { measure.clone().gt(place) };
        list.and_where(behind.or(equal));
    }
    list.order_by_expr(measure.clone(), if falls { Sort::Desc } else { Sort::Asc });
    list
}

/// None when one of its names is none.
pub(crate) fn row(row: &Row, breakdown: &Breakdown) -> Result<Option<BreakdownRow>, MetricsError> {
    let mut places = 0..;
    let mut next = || places.next().unwrap_or_default();
    let mut key = GroupKey::default();
    for dimension in breakdown.dimensions() {
        match dimension {
            Dimension::Date => key.date = Some(row.date(next())?),
            _ if is_set(&mut key, dimension, &row.text(next())?) => {}
            _ => return Ok(None),
        }
    }
    let Measures { distinct, first, last, previous_from } = breakdown.measures;
    Ok(Some(BreakdownRow {
        key,
        count: row.count(next())?,
        previous: previous_from.map(|_| row.count(next())).transpose()?,
        distinct: distinct.map(|_| row.count(next())).transpose()?,
        first_on: first.then(|| row.date(next())).transpose()?,
        last_at: last.then(|| row.time(next())).transpose()?,
    }))
}
