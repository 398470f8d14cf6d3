//! A batch is one statement and one round trip, and its text never changes, so it stays prepared.

use chrono::{DateTime, Utc};
use sea_orm::sqlx::{self, PgConnection, Row as _, postgres::PgBindIterExt};
use uuid::Uuid;

use crate::{batch::Batch, query::tag_text};

/// Which ids were new.
pub(super) enum New {
    All,
    Only(Vec<Uuid>),
}

/// $1 ids, $2 now; $3 to $11 the sums; $12 to $14 the changes of single events, $15 the events' times.
///
/// Ids and keys come in order, are stored in that order and so locked in that order by every server: no two can wait
/// for each other. Nearly always every id is new and the sums that came along are right. When some are not, the
/// changes of the others are summed here; either half of `sums` costs nothing when the other is taken.
///
/// A sum below zero takes back what was counted, it is no access: it does not move `updated_at`.
const RECORD: &str = "\
WITH recorded AS (
    INSERT INTO recorded_event (id, recorded_at)
    SELECT id, $2 FROM unnest($1) AS given (id)
    ON CONFLICT DO NOTHING
    RETURNING id
), outcome AS MATERIALIZED (
    SELECT count(*) = cardinality($1) AS all_new FROM recorded
), sums AS MATERIALIZED (
    SELECT kind, day, repo_name, tag, digest, architecture, delta, first, last
    FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11)
        AS given (kind, day, repo_name, tag, digest, architecture, delta, first, last)
    WHERE delta <> 0 AND (SELECT all_new FROM outcome)
    UNION ALL
    (SELECT kind, day, repo_name, tag, digest, architecture, new.delta, new.first, new.last
    FROM unnest($3, $4, $5, $6, $7, $8)
        WITH ORDINALITY AS given (kind, day, repo_name, tag, digest, architecture, place)
    JOIN (
        SELECT place, sum(delta) AS delta, min(($15)[event]) AS first,
            coalesce(max(($15)[event]) FILTER (WHERE delta > 0), min(($15)[event])) AS last
        FROM unnest($12, $13, $14) AS given (event, place, delta)
        JOIN recorded ON recorded.id = ($1)[event]
        GROUP BY place
        HAVING sum(delta) <> 0
    ) AS new USING (place)
    WHERE NOT (SELECT all_new FROM outcome)
    ORDER BY place)
), pulls AS (
    INSERT INTO container_pull_metrics AS kept
        (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
    SELECT day, repo_name, tag, digest, architecture, delta::integer, first, last
    FROM sums WHERE kind = 'pull_by_tag'
    ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET
        pull_count = kept.pull_count + excluded.pull_count,
        updated_at = CASE WHEN excluded.pull_count < 0 THEN kept.updated_at
            ELSE greatest(kept.updated_at, excluded.updated_at) END
), accesses AS (
    INSERT INTO container_access_metrics AS kept
        (event_date, repo_name, tag, digest, architecture, kind, event_count, created_at, updated_at)
    SELECT day, repo_name, tag, digest, architecture, kind, delta::integer, first, last
    FROM sums WHERE kind <> 'pull_by_tag'
    ON CONFLICT (event_date, repo_name, tag, digest, architecture, kind) DO UPDATE SET
        event_count = kept.event_count + excluded.event_count,
        updated_at = CASE WHEN excluded.event_count < 0 THEN kept.updated_at
            ELSE greatest(kept.updated_at, excluded.updated_at) END
)
SELECT CASE WHEN all_new THEN NULL ELSE ARRAY(SELECT id FROM recorded) END FROM outcome";

pub(super) async fn record(connection: &mut PgConnection, batch: &Batch<'_>, now: DateTime<Utc>) -> sqlx::Result<New> {
    let Batch { ids, times, sums, changes, .. } = batch;
    let place = |index: u32| i32::try_from(index + 1).expect("a batch is small");
    let statement = sqlx::query(RECORD)
        .bind(ids)
        .bind(now)
        .bind(sums.iter().map(|sum| sum.key.kind.as_str()).bind_iter())
        .bind(sums.iter().map(|sum| sum.key.date).bind_iter())
        .bind(sums.iter().map(|sum| sum.key.repository.as_str()).bind_iter())
        .bind(sums.iter().map(|sum| tag_text(sum.key.tag.as_ref())).bind_iter())
        .bind(sums.iter().map(|sum| sum.key.digest.as_str()).bind_iter())
        .bind(sums.iter().map(|sum| sum.key.architecture.as_str()).bind_iter())
        .bind(sums.iter().map(|sum| sum.delta).bind_iter())
        .bind(sums.iter().map(|sum| sum.first).bind_iter())
        .bind(sums.iter().map(|sum| sum.last).bind_iter())
        .bind(changes.iter().map(|change| place(change.id)).bind_iter())
        .bind(changes.iter().map(|change| place(change.sum)).bind_iter())
        .bind(changes.iter().map(|change| change.delta).bind_iter())
        .bind(times);
    // The answer is read to its end: only there is it known that the commit succeeded.
    let row = statement.fetch_one(connection).await?;
    let new: Option<Vec<Uuid>> = row.try_get(0)?;
    Ok(new.map_or(New::All, New::Only))
}
