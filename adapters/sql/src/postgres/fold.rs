//! Keeps old counts by month, on PostgreSQL.
//!
//! Who folds, who moves the mark and who changes counts of days that may be kept by month take one lock. A batch of the
//! last days needs none of it, see [`Folded::may_hold`].

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sea_orm::sqlx::{self, AssertSqlSafe, PgConnection};
use staticreg_domain::{
    Digest,
    metrics::{Folded, MetricsError, PullEvent},
};

use crate::{
    batch::Batch,
    error::classify,
    fold::{self, Part, Table},
    query::{Row, tag_text},
};

/// Waits for the lock, which ends with the transaction, and reads what is kept by month. A statement of its own: one that
/// had waited would not see what came meanwhile.
pub(crate) async fn lock(connection: &mut PgConnection) -> sqlx::Result<Folded> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock('kept_by_month'::regclass::oid::bigint)";
    sqlx::query(LOCK).execute(&mut *connection).await?;
    let row = sqlx::query(fold::FOLDED).fetch_optional(connection).await?;
    let rows: Vec<_> = row.into_iter().map(Row::new).collect();
    fold::folded(&rows).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The events with their changes where the counts are kept, in a transaction that changes them next.
pub(super) async fn moved<'a>(
    transaction: &mut PgConnection,
    events: &'a [PullEvent],
    now: DateTime<Utc>,
) -> Result<Cow<'a, [PullEvent]>, MetricsError> {
    if !Folded::may_matter_to(events, now) {
        return Ok(Cow::Borrowed(events));
    }
    let folded = lock(transaction).await.map_err(classify)?;
    let events = folded.events(events);
    let lowered = fold::lowered(folded, &Batch::new(&events)?);
    if !lowered.is_empty() {
        // The statement that follows notes the days of its own changes alone.
        triggers_note_days(transaction, true).await.map_err(classify)?;
        for (table, part) in lowered {
            fold_part(transaction, table, &part).await.map_err(classify)?;
        }
        triggers_note_days(transaction, false).await.map_err(classify)?;
    }
    Ok(events)
}

async fn triggers_note_days(transaction: &mut PgConnection, note: bool) -> sqlx::Result<()> {
    const SET: &str = "SELECT set_config('staticreg.notes_days', CASE WHEN $1 THEN 'off' ELSE 'on' END, true)";
    sqlx::query(SET).bind(note).execute(transaction).await.map(drop)
}

/// Moves the mark on.
pub(crate) async fn keep_by_month(transaction: &mut PgConnection, folded: Folded) -> sqlx::Result<()> {
    const KEEP: &str = "\
        INSERT INTO kept_by_month AS kept (days_before, digests_before) VALUES ($1, $2) \
        ON CONFLICT (one) DO UPDATE SET days_before = greatest(kept.days_before, excluded.days_before), \
            digests_before = greatest(kept.digests_before, excluded.digests_before)";
    lock(transaction).await?;
    sqlx::query(KEEP).bind(folded.days_before).bind(folded.digests_before).execute(transaction).await.map(drop)
}

/// Folds rows into those of their month, but for what that has no room for; answers how many. The caller has the lock.
///
/// $1 and $2 the dates, $3 the first of the month, $4 whether it is kept without digests, $5 to $7 the names, when only
/// some are wanted, $8 how many, $9 what stands for no digest.
pub(super) async fn fold_part(connection: &mut PgConnection, table: &Table, part: &Part<'_>) -> sqlx::Result<u64> {
    let Table { name, date, count, names: _ } = table;
    let columns = table.list(str::to_owned);
    // What somebody else holds can wait, unless all of a key is wanted.
    let passing = if part.of.is_some() { "" } else { " SKIP LOCKED" };
    let chosen = table.list(|column| match column {
        "digest" => "CASE WHEN $4 THEN $9 ELSE digest END AS digest".to_owned(),
        other => other.to_owned(),
    });
    let [of_sums, of_kept] = ["sums", "kept"].map(|of| table.list(|column| format!("{of}.{column}")));
    let statement = format!(
        "WITH chunk AS MATERIALIZED ( \
            SELECT id, {chosen}, {count}, created_at, updated_at FROM {name} \
            WHERE {date} BETWEEN $1 AND $2 AND ({date} <> $3 OR ($4 AND digest <> $9)) \
                AND ($5 IS NULL OR (repo_name = $5 AND tag = $6 AND architecture = $7)) \
            LIMIT $8 FOR UPDATE{passing} \
        ), sums AS MATERIALIZED ( \
            SELECT {columns}, sum({count}) AS count, min(created_at) AS created_at, max(updated_at) AS updated_at, \
                array_agg(id) AS ids \
            FROM chunk GROUP BY {columns} \
        ), fitting AS MATERIALIZED ( \
            SELECT * FROM sums WHERE count + coalesce(( \
                SELECT kept.{count} FROM {name} AS kept WHERE kept.{date} = $3 AND ({of_kept}) = ({of_sums})), 0) <= 2147483647 \
        ), gone AS ( \
            DELETE FROM {name} WHERE id = ANY (ARRAY(SELECT unnest(ids) FROM fitting)) \
        ), folded AS ( \
            INSERT INTO {name} AS kept ({date}, {columns}, {count}, created_at, updated_at) \
            SELECT $3, {columns}, count, created_at, updated_at FROM fitting \
            ON CONFLICT ({date}, {columns}) DO UPDATE SET {count} = kept.{count} + excluded.{count}, \
                created_at = least(kept.created_at, excluded.created_at), \
                updated_at = greatest(kept.updated_at, excluded.updated_at) \
        ) \
        SELECT coalesce(sum(cardinality(ids)), 0)::bigint FROM fitting"
    );
    let of = part.of;
    let fold = sqlx::query_scalar(AssertSqlSafe(statement))
        .bind(part.from)
        .bind(part.to)
        .bind(part.month())
        .bind(part.without_digests)
        .bind(of.map(|key| key.repository.as_str()))
        .bind(of.map(|key| tag_text(key.tag.as_ref())))
        .bind(of.map(|key| key.architecture.as_str()))
        .bind(i64::from(part.at_most))
        .bind(Digest::UNKNOWN);
    let rows: i64 = fold.fetch_one(connection).await?;
    Ok(rows.unsigned_abs())
}
