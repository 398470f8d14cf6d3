//! Which days changed, for those who keep sums of the counts elsewhere.
//!
//! A server gives a day whose counts it changes a new version in `day_version`; on PostgreSQL triggers note in `day_change`
//! what others change, and both make the day's version. Versions are drawn at random, so that none comes back when the
//! database is restored to an older state. The watch is whether the triggers are there, in one number; it is asked for
//! with the versions.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, Query as Build, UnionType};
use staticreg_domain::metrics::{
    AccessKind, DateRange, DayCount, DayKey, DayVersions, Dimension, Filter, GroupKey, MetricsError,
};

use crate::{
    query::{Dialect, Query, Row, counts},
    question::{architectures::OddNames, is_set},
};

/// The versions of days that have or had counts, and the watch.
pub(crate) fn query(dialect: Dialect, dates: DateRange, kind: Option<AccessKind>) -> Query {
    let of_days = |table: &'static str| {
        let mut query = Build::select();
        query.columns(["day", "kind", "version"]).from(table);
        query.and_where(Expr::col("day").between(dialect.date(dates.from()), dialect.date(dates.to())));
        query.and_where_option(kind.map(|kind| Expr::col("kind").eq(kind.as_str())));
        query
    };
    let mut query = of_days("day_version");
    if dialect == Dialect::Postgres {
        query.union(UnionType::All, of_days("day_change"));
    }
    // The watch is of no kind.
    let watch = Expr::cust(format!("({})", watch(dialect)));
    query.union(UnionType::All, Build::select().exprs([Expr::cust("NULL"), Expr::cust("''"), watch]).take());
    Query::new(dialect, &query)
}

pub(crate) fn answer(rows: &[Row]) -> Result<Option<DayVersions>, MetricsError> {
    let (mut watch, mut versions) = (None, BTreeMap::new());
    for row in rows {
        let name = row.text(1)?;
        if name.is_empty() {
            watch = row.number_if_any(2)?;
        }
        // A later version of the program may keep kinds that this one does not know.
        if let Some(kind) = AccessKind::named(&name) {
            *versions.entry((row.date(0)?, kind)).or_default() ^= row.number(2)?;
        }
    }
    Ok(watch.map(|watch| DayVersions { watch, versions }))
}

/// The triggers, in one number; null unless all are there and enabled, on tables that are no sum of others: what is done
/// to a partition fires none of its parent's.
fn watch(dialect: Dialect) -> &'static str {
    match dialect {
        // The transaction that changed a trigger last tells whether it was disabled meanwhile.
        Dialect::Postgres => {
            "SELECT CASE WHEN count(*) = 15 \
             THEN hashtextextended(string_agg(concat(t.oid, ' ', t.xmin), ',' ORDER BY t.oid), 0) END \
             FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid \
             WHERE t.tgrelid IN (to_regclass('container_pull_metrics'), to_regclass('container_access_metrics'), \
             to_regclass('day_version'), to_regclass('day_change')) AND t.tgname IN ('note_inserted', 'note_updated', \
             'note_deleted', 'note_moved', 'note_truncated', 'draw_version', 'keep_deleted', 'keep_truncated', \
             'fold_deleted', 'fold_truncated') \
             AND t.tgenabled IN ('O', 'A') AND c.relkind = 'r' AND NOT c.relhassubclass"
        }
        Dialect::Sqlite => {
            "SELECT CASE WHEN count(*) = 9 THEN (SELECT schema_version FROM pragma_schema_version) END \
             FROM sqlite_schema WHERE type = 'trigger' \
             AND tbl_name IN ('container_pull_metrics', 'container_access_metrics', 'day_version') \
             AND (name LIKE 'note\\_%' ESCAPE '\\' OR name = 'keep_deleted_day')"
        }
    }
}

/// Tells once that changes cannot be noticed, and once that they can be again.
pub(crate) fn tell(dialect: Dialect, is_watched: bool, was_watched: bool) {
    match (is_watched, was_watched) {
        (false, true) => tracing::warn!(
            "Changes by others to the counts cannot be noticed: triggers of container_pull_metrics, \
             container_access_metrics, day_version or day_change are missing or disabled, or one of these tables has partitions. \
             Every question is answered by the database, which takes longer. To bring the triggers back, apply \
             migration/sql/{}/schema.sql again.",
            match dialect {
                Dialect::Postgres => "postgres",
                Dialect::Sqlite => "sqlite",
            }
        ),
        (true, false) => tracing::info!("The triggers are back; sums in memory answer again"),
        _ => {}
    }
}

/// The counts of a day and kind, at most so many and one more.
pub(crate) fn counts_query(dialect: Dialect, (date, kind): DayKey, at_most: u32) -> Query {
    let day = Filter::of_dates(DateRange::days_until(date, 1));
    let mut counts = counts(dialect, &day, &[kind], false, &OddNames::default());
    counts.columns(["repo_name", "tag", "architecture"]).expr(Expr::col("n").cast_as("bigint")).column("updated_at");
    Query::new(dialect, counts.limit(u64::from(at_most) + 1))
}

/// None when one of its names is none.
pub(crate) fn count(row: &Row) -> Result<Option<DayCount>, MetricsError> {
    let (repository, tag) = (row.text(0)?, row.text(1)?);
    let mut names = GroupKey::default();
    if !is_set(&mut names, Dimension::Repository, &repository) || !is_set(&mut names, Dimension::Tag, &tag) {
        return Ok(None);
    }
    Ok(Some(DayCount {
        repository,
        tag,
        // Whatever way it is written.
        architecture: row.architecture(2)?.as_str().to_owned(),
        count: row.count(3)?,
        updated_at: row.time(4)?,
    }))
}
