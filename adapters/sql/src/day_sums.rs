//! The sums of days that are over, kept for the next start: table `day_sums`.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query as Build, SelectStatement};
use staticreg_domain::metrics::{AccessKind, DateRange, DayKey, KeptSums, MetricsError};

use crate::query::{Dialect, Query, Row};

const TABLE: &str = "day_sums";

fn of_format(watch: i64, format: &str) -> SelectStatement {
    let mut sums = Build::select();
    sums.columns(["day", "kind", "version"])
        .from(TABLE)
        .and_where(Expr::col("watch").eq(watch))
        .and_where(Expr::col("format").eq(format));
    sums
}

pub(crate) fn versions_query(dialect: Dialect, watch: i64, format: &str) -> Query {
    Query::new(dialect, &of_format(watch, format))
}

pub(crate) fn versions(rows: &[Row]) -> Result<BTreeMap<DayKey, i64>, MetricsError> {
    rows.iter().filter_map(|row| day(row).transpose()).collect()
}

pub(crate) fn sums_query(dialect: Dialect, watch: i64, format: &str, dates: DateRange) -> Query {
    let mut sums = of_format(watch, format);
    sums.column("sums").and_where(Expr::col("day").between(dialect.date(dates.from()), dialect.date(dates.to())));
    Query::new(dialect, &sums)
}

pub(crate) fn sums(rows: &[Row]) -> Result<Vec<KeptSums>, MetricsError> {
    let sums = |row: &Row| {
        let Some((day, version)) = day(row)? else { return Ok(None) };
        Ok(Some(KeptSums { day, version, packed: row.bytes(3)? }))
    };
    rows.iter().filter_map(|row| sums(row).transpose()).collect()
}

/// None when it is of a kind that only a later version of the program knows.
fn day(row: &Row) -> Result<Option<(DayKey, i64)>, MetricsError> {
    let Some(kind) = AccessKind::named(&row.text(1)?) else { return Ok(None) };
    Ok(Some(((row.date(0)?, kind), row.number(2)?)))
}

pub(crate) fn keep(dialect: Dialect, watch: i64, format: &str, sums: &KeptSums) -> Query {
    let KeptSums { day: (date, kind), version, packed } = sums;
    let [date, version] = [dialect.date(*date), (*version).into()];
    let values = [kind.as_str().into(), date, watch.into(), version, format.into(), packed.clone().into()];
    let mut insert = Build::insert();
    insert
        .into_table(TABLE)
        .columns(["kind", "day", "watch", "version", "format", "sums"])
        .values_panic(values.map(Expr::value));
    insert.on_conflict(
        OnConflict::columns(["kind", "day"]).update_columns(["watch", "version", "format", "sums"]).to_owned(),
    );
    Query::new(dialect, &insert)
}
