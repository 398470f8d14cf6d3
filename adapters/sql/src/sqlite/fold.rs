//! Keeps old counts by month, on SQLite. Every transaction here is the only one that writes.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, SqliteConnection, SqliteTransaction};
use staticreg_domain::{
    Digest,
    metrics::{Folded, MetricsError, PullEvent},
};

use super::BEGIN;
use crate::{
    batch::Batch,
    error::classify,
    fold::{self, Part, TABLES, Table},
    query::{corrupt, date_text, tag_text},
};

pub(crate) async fn folded(transaction: &mut SqliteTransaction<'_>) -> Result<Folded, MetricsError> {
    let row: Option<(String, String)> =
        sqlx::query_as(fold::FOLDED).fetch_optional(&mut **transaction).await.map_err(classify)?;
    let Some((days_before, digests_before)) = row else { return Ok(Folded::NOTHING) };
    let date = |text: String| text.parse::<NaiveDate>().map_err(corrupt);
    Ok(Folded { days_before: date(days_before)?, digests_before: date(digests_before)? })
}

/// The events with their changes where the counts are kept.
pub(super) async fn moved<'a>(
    transaction: &mut SqliteTransaction<'_>,
    events: &'a [PullEvent],
    now: DateTime<Utc>,
) -> Result<Cow<'a, [PullEvent]>, MetricsError> {
    if !Folded::may_matter_to(events, now) {
        return Ok(Cow::Borrowed(events));
    }
    let folded = folded(transaction).await?;
    let events = folded.events(events);
    for (table, part) in fold::lowered(folded, &Batch::new(&events)?) {
        fold_part(transaction, table, &part).await.map_err(classify)?;
    }
    Ok(events)
}

/// Moves the mark on.
pub(crate) async fn keep_by_month(connection: &mut SqliteConnection, folded: Folded) -> sqlx::Result<()> {
    const KEEP: &str = "\
        INSERT INTO kept_by_month (one, days_before, digests_before) VALUES (1, $1, $2) \
        ON CONFLICT (one) DO UPDATE SET days_before = max(days_before, excluded.days_before), \
            digests_before = max(digests_before, excluded.digests_before)";
    let [days_before, digests_before] = [folded.days_before, folded.digests_before].map(date_text);
    sqlx::query(KEEP).bind(days_before).bind(digests_before).execute(connection).await.map(drop)
}

/// How many rows are folded or removed at once: whoever records waits meanwhile, for some hundredths of a second.
pub(crate) const AT_ONCE: u32 = 100;

/// Folds rows of a day; answers how many.
pub(super) async fn fold_day(
    connection: &mut SqliteConnection,
    day: NaiveDate,
    at_most: u32,
) -> Result<u64, MetricsError> {
    let mut transaction = connection.begin_with(BEGIN).await.map_err(classify)?;
    let mut rows = 0;
    if let Some(part) = Part::of_day(folded(&mut transaction).await?, day, at_most.min(AT_ONCE)) {
        for table in TABLES {
            rows += fold_part(&mut transaction, table, &part).await.map_err(classify)?;
        }
    }
    transaction.commit().await.map_err(classify)?;
    Ok(rows)
}

/// Folds rows into those of their month, but for what that has no room for; answers how many.
async fn fold_part(transaction: &mut SqliteTransaction<'_>, table: &Table, part: &Part<'_>) -> sqlx::Result<u64> {
    let Table { name, date, count, names: _ } = table;
    let columns = table.list(str::to_owned);
    let chosen = table.list(|column| match column {
        "digest" => "CASE WHEN $2 THEN $3 ELSE digest END AS digest".to_owned(),
        other => other.to_owned(),
    });
    let is_kept = table.names.iter().map(|column| format!("kept.{column} = chunk.{column}")).collect::<Vec<_>>();
    let is_kept = is_kept.join(" AND ");
    let choose = format!(
        "WITH chunk AS MATERIALIZED ( \
            SELECT id, {chosen}, {count} FROM {name} \
            WHERE {date} BETWEEN $4 AND $5 AND ({date} <> $1 OR ($2 AND digest <> $3)) \
                AND ($6 IS NULL OR (repo_name = $6 AND tag = $7 AND architecture = $8)) \
            LIMIT $9 \
        ), sums AS ( \
            SELECT id, sum({count}) OVER (PARTITION BY {columns}) + coalesce(( \
                SELECT {count} FROM {name} AS kept WHERE kept.{date} = $1 AND {is_kept}), 0) AS sum \
            FROM chunk \
        ) \
        SELECT json_group_array(id), count(*) FROM sums WHERE sum <= 2147483647"
    );
    let month = date_text(part.month());
    let choose = sqlx::query_as(AssertSqlSafe(choose))
        .bind(&month)
        .bind(part.without_digests)
        .bind(Digest::UNKNOWN)
        .bind(date_text(part.from))
        .bind(date_text(part.to))
        .bind(part.of.map(|key| key.repository.as_str()))
        .bind(part.of.map(|key| tag_text(key.tag.as_ref())))
        .bind(part.of.map(|key| key.architecture.as_str()))
        .bind(part.at_most);
    let (ids, rows): (String, i64) = choose.fetch_one(&mut **transaction).await?;
    if rows == 0 {
        return Ok(0);
    }

    let add = format!(
        "INSERT INTO {name} ({date}, {columns}, {count}, created_at, updated_at) \
         SELECT $1, {columns}, sum({count}), min(created_at), max(updated_at) FROM ( \
            SELECT {chosen}, {count}, created_at, updated_at FROM {name} \
            WHERE id IN (SELECT value FROM json_each($4)) \
         ) WHERE true GROUP BY {columns} \
         ON CONFLICT ({date}, {columns}) DO UPDATE SET {count} = {count} + excluded.{count}, \
            created_at = min(created_at, excluded.created_at), updated_at = max(updated_at, excluded.updated_at)"
    );
    let add = sqlx::query(AssertSqlSafe(add)).bind(&month).bind(part.without_digests).bind(Digest::UNKNOWN).bind(&ids);
    add.execute(&mut **transaction).await?;
    let remove = format!("DELETE FROM {name} WHERE id IN (SELECT value FROM json_each($1))");
    sqlx::query(AssertSqlSafe(remove)).bind(&ids).execute(&mut **transaction).await?;
    Ok(rows.unsigned_abs())
}
