//! Ids of recorded events on SQLite.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::sqlx::{self, Connection as _, SqliteConnection};
use serde_json::json;
use staticreg_domain::event_id::EventStamp;
use uuid::Uuid;

use super::BEGIN;
use crate::{
    ids::{among, bucket, buckets_of},
    query::time_text,
};

/// Remembers the ids of events, all new.
pub(super) async fn remember(
    connection: &mut SqliteConnection,
    events: &[EventStamp],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    const REMEMBER: &str = "INSERT INTO recorded_event (id, recorded_at, bucket) \
         SELECT unhex(value ->> 0), value ->> 1, value ->> 2 FROM json_each($1)";
    let row = |event: &EventStamp| {
        let id = event.id.as_uuid().simple().to_string();
        json!([id, time_text(event.recorded_at(now)), bucket(event.timestamp)])
    };
    let rows = json!(events.iter().map(row).collect::<Vec<_>>()).to_string();
    sqlx::query(REMEMBER).bind(rows).execute(connection).await.map(drop)
}

/// Those of some events that are recorded.
pub(super) async fn recorded(
    connection: &mut SqliteConnection,
    events: &[EventStamp],
    now: DateTime<Utc>,
) -> sqlx::Result<HashSet<Uuid>> {
    const RECENT: &str = "SELECT id FROM recorded_event WHERE id IN (SELECT unhex(value) FROM json_each($1))";
    const ARCHIVED: &str = "SELECT ids FROM recorded_event_archive WHERE bucket IN (SELECT value FROM json_each($1))";
    let ids = json!(events.iter().map(|event| event.id.as_uuid().simple().to_string()).collect::<Vec<_>>());
    let recent: Vec<Uuid> = sqlx::query_scalar(RECENT).bind(ids.to_string()).fetch_all(&mut *connection).await?;
    let buckets = buckets_of(events, now);
    let mut recorded = if buckets.is_empty() {
        HashSet::new()
    } else {
        let packed: Vec<Vec<u8>> =
            sqlx::query_scalar(ARCHIVED).bind(json!(buckets).to_string()).fetch_all(connection).await?;
        among(events, &packed)
    };
    recorded.extend(recent);
    Ok(recorded)
}

/// Archives old ids, at most so many; answers how many.
pub(super) async fn archive(
    connection: &mut SqliteConnection,
    recorded_before: DateTime<Utc>,
    at_most: u32,
) -> sqlx::Result<u64> {
    const OLD: &str = "SELECT id, bucket, recorded_at FROM recorded_event \
         WHERE recorded_at < $1 AND bucket IS NOT NULL ORDER BY recorded_at LIMIT $2";
    const PUT: &str = "INSERT INTO recorded_event_archive (bucket, part, recorded_at, ids) VALUES ($1, $2, $3, $4)";
    const REMOVE: &str = "DELETE FROM recorded_event WHERE id IN (SELECT unhex(value) FROM json_each($1))";
    let mut transaction = connection.begin_with(BEGIN).await?;
    let old: Vec<(Uuid, i64, String)> =
        sqlx::query_as(OLD).bind(time_text(recorded_before)).bind(at_most).fetch_all(&mut *transaction).await?;
    let part = Uuid::new_v4();
    let mut packed: BTreeMap<i64, (Vec<u8>, &str)> = BTreeMap::new();
    for (id, bucket, recorded_at) in &old {
        let (ids, last) = packed.entry(*bucket).or_default();
        ids.extend(id.as_bytes());
        *last = recorded_at;
    }
    for (bucket, (ids, recorded_at)) in packed {
        let put = sqlx::query(PUT).bind(bucket).bind(part).bind(recorded_at.to_owned()).bind(ids);
        put.execute(&mut *transaction).await?;
    }
    let ids = json!(old.iter().map(|(id, ..)| id.simple().to_string()).collect::<Vec<_>>());
    sqlx::query(REMOVE).bind(ids.to_string()).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(old.len() as u64)
}

/// Forgets ids, oldest first and about so many: those that are packed together go together.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    recorded_before: DateTime<Utc>,
    at_most: u32,
) -> sqlx::Result<u64> {
    const FORGET: [&str; 3] = [
        "DELETE FROM recorded_event_archive WHERE rowid IN (SELECT rowid FROM recorded_event_archive \
         WHERE recorded_at < $1 ORDER BY recorded_at LIMIT max(1, $2 / 100)) RETURNING length(ids) / 16",
        "DELETE FROM recorded_event WHERE id IN (SELECT id FROM recorded_event \
         WHERE recorded_at < $1 AND bucket IS NULL ORDER BY recorded_at LIMIT $2) RETURNING 1",
        "DELETE FROM recorded_event WHERE id IN (SELECT id FROM recorded_event \
         WHERE recorded_at < $1 AND bucket IS NOT NULL ORDER BY recorded_at LIMIT $2) RETURNING 1",
    ];
    let mut left = i64::from(at_most);
    let mut forgotten = 0;
    for statement in FORGET {
        if left <= 0 {
            break;
        }
        let more: Vec<i64> = sqlx::query_scalar(statement)
            .bind(time_text(recorded_before))
            .bind(left)
            .fetch_all(&mut *connection)
            .await?;
        let more: i64 = more.into_iter().sum();
        left -= more;
        forgotten += more.unsigned_abs();
    }
    Ok(forgotten)
}
