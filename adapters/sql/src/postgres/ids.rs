//! Ids of recorded events on PostgreSQL.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::sqlx::{self, PgConnection};
use staticreg_domain::event_id::EventStamp;
use uuid::Uuid;

use crate::ids::{among, buckets_of};

/// Those of some events that are recorded. The caller has its turn, so nobody archives meanwhile.
pub(super) async fn recorded(
    connection: &mut PgConnection,
    events: &[EventStamp],
    now: DateTime<Utc>,
) -> sqlx::Result<HashSet<Uuid>> {
    const RECENT: &str = "SELECT id FROM recorded_event WHERE id = ANY($1)";
    let ids: Vec<_> = events.iter().map(|event| event.id.as_uuid()).collect();
    let recent: Vec<Uuid> = sqlx::query_scalar(RECENT).bind(ids).fetch_all(&mut *connection).await?;
    let mut recorded = archived(connection, events, now).await?;
    recorded.extend(recent);
    Ok(recorded)
}

/// Those of some events that are archived.
pub(super) async fn archived(
    connection: &mut PgConnection,
    events: impl IntoIterator<Item = &EventStamp> + Clone,
    now: DateTime<Utc>,
) -> sqlx::Result<HashSet<Uuid>> {
    const ARCHIVED: &str = "SELECT ids FROM recorded_event_archive WHERE bucket = ANY($1)";
    let buckets = buckets_of(events.clone(), now);
    if buckets.is_empty() {
        return Ok(HashSet::new());
    }
    let packed: Vec<Vec<u8>> = sqlx::query_scalar(ARCHIVED).bind(buckets).fetch_all(connection).await?;
    Ok(among(events, &packed))
}

/// Archives old ids, at most so many; answers how many. The caller has its turn.
pub(super) async fn archive(
    connection: &mut PgConnection,
    recorded_before: DateTime<Utc>,
    at_most: u32,
) -> sqlx::Result<u64> {
    const ARCHIVE: &str = "\
        WITH old AS ( \
            DELETE FROM recorded_event WHERE ctid = ANY (ARRAY( \
                SELECT ctid FROM recorded_event \
                WHERE recorded_at < $1 AND bucket IS NOT NULL ORDER BY recorded_at LIMIT $2)) \
            RETURNING id, bucket, recorded_at \
        ), packed AS ( \
            INSERT INTO recorded_event_archive (bucket, part, recorded_at, ids) \
            SELECT bucket, $3, max(recorded_at), string_agg(uuid_send(id), '' ORDER BY id) FROM old GROUP BY bucket \
        ) \
        SELECT count(*) FROM old";
    let archive = sqlx::query_scalar(ARCHIVE).bind(recorded_before).bind(i64::from(at_most)).bind(Uuid::new_v4());
    let archived: i64 = archive.fetch_one(connection).await?;
    Ok(archived.unsigned_abs())
}

/// Forgets ids, oldest first and about so many: those that are packed together go together.
pub(super) async fn forget(
    connection: &mut PgConnection,
    recorded_before: DateTime<Utc>,
    at_most: u32,
) -> sqlx::Result<u64> {
    const FORGET: [&str; 3] = [
        "WITH old AS (DELETE FROM recorded_event_archive WHERE ctid = ANY (ARRAY( \
            SELECT ctid FROM recorded_event_archive WHERE recorded_at < $1 ORDER BY recorded_at LIMIT greatest(1, $2 / 100))) \
            RETURNING ids) SELECT coalesce(sum(length(ids)) / 16, 0)::bigint FROM old",
        "WITH old AS (DELETE FROM recorded_event WHERE ctid = ANY (ARRAY( \
            SELECT ctid FROM recorded_event WHERE recorded_at < $1 AND bucket IS NULL \
            ORDER BY recorded_at LIMIT $2)) RETURNING id) SELECT count(*) FROM old",
        "WITH old AS (DELETE FROM recorded_event WHERE ctid = ANY (ARRAY( \
            SELECT ctid FROM recorded_event WHERE recorded_at < $1 AND bucket IS NOT NULL \
            ORDER BY recorded_at LIMIT $2)) RETURNING id) SELECT count(*) FROM old",
    ];
    let mut left = i64::from(at_most);
    let mut forgotten = 0;
    for statement in FORGET {
        if left <= 0 {
            break;
        }
        let more: i64 =
            sqlx::query_scalar(statement).bind(recorded_before).bind(left).fetch_one(&mut *connection).await?;
        left -= more;
        forgotten += more.unsigned_abs();
    }
    Ok(forgotten)
}
