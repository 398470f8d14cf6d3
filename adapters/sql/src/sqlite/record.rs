//! A batch is one transaction of constant statements, each given all its rows as one JSON array.

use chrono::{DateTime, Utc};
use sea_orm::sqlx::{self, Connection as _, SqliteConnection, SqliteTransaction};
use serde_json::json;
use staticreg_domain::{
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPosition, TakeTurn},
    metrics::{AccessKind, MetricsError, PullEvent, Recording},
};
use uuid::Uuid;

use super::{BEGIN, fold, ids, journal};
use crate::{
    batch::{Batch, BelowZero, CountChange},
    error::classify,
    query::{date_text, tag_text, time_text},
};

/// A sum below zero takes back what was counted, it is no access: it does not move `updated_at`.
const ADD_PULLS: &str = "\
INSERT INTO container_pull_metrics
    (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 6, value ->> 7, value ->> 8
FROM json_each($1) WHERE true
ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET
    pull_count = pull_count + excluded.pull_count,
    updated_at = CASE WHEN excluded.pull_count < 0 THEN updated_at ELSE max(updated_at, excluded.updated_at) END";

const ADD_ACCESSES: &str = "\
INSERT INTO container_access_metrics
    (event_date, repo_name, tag, digest, architecture, kind, event_count, created_at, updated_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
    value ->> 8
FROM json_each($1) WHERE true
ON CONFLICT (event_date, repo_name, tag, digest, architecture, kind) DO UPDATE SET
    event_count = event_count + excluded.event_count,
    updated_at = CASE WHEN excluded.event_count < 0 THEN updated_at ELSE max(updated_at, excluded.updated_at) END";

/// Removes those of the given counts that fell to 0, and answers what they had fallen to.
const REMOVE_EMPTY_PULLS: &str = "\
DELETE FROM container_pull_metrics
WHERE pull_count <= 0 AND (pull_date, repo_name, tag, digest, architecture) IN (
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each($1))
RETURNING pull_count";

const REMOVE_EMPTY_ACCESSES: &str = "\
DELETE FROM container_access_metrics
WHERE event_count <= 0 AND (event_date, repo_name, tag, digest, architecture, kind) IN (
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each($1))
RETURNING event_count";

pub(super) async fn record(
    connection: &mut SqliteConnection,
    events: &[PullEvent],
    now: DateTime<Utc>,
) -> Result<Vec<Recording>, MetricsError> {
    let mut transaction = connection.begin_with(BEGIN).await.map_err(classify)?;
    let events = &*fold::moved(&mut transaction, events, now).await?;
    let given = Batch::new(events)?;
    let known = ids::recorded(&mut transaction, &given.stamps, now).await.map_err(classify)?;
    if known.is_empty() {
        store(&mut transaction, &given, now).await?;
        transaction.commit().await.map_err(classify)?;
        return Ok(given.all_recorded());
    }
    let is_new = |id: &Uuid| !known.contains(id);
    let new = Batch::of_those(events, |event| is_new(&event.id.as_uuid()))?;
    store(&mut transaction, &new, now).await?;
    transaction.commit().await.map_err(classify)?;
    Ok(given.recorded(is_new))
}

pub(super) async fn append(
    connection: &mut SqliteConnection,
    batch: &JournalBatch,
    now: DateTime<Utc>,
) -> Result<Appended, MetricsError> {
    let mut transaction = connection.begin_with(BEGIN).await.map_err(classify)?;
    let appended = append_to_end(&mut transaction, batch, now).await?;
    // A transaction that stored nothing is as well committed.
    transaction.commit().await.map_err(classify)?;
    Ok(appended)
}

pub(super) async fn append_in_turn(
    connection: &mut SqliteConnection,
    behind: Option<JournalPosition>,
    events: &[EventStamp],
    batch: &mut dyn TakeTurn,
    now: DateTime<Utc>,
) -> Result<Appended, MetricsError> {
    let mut transaction = connection.begin_with(BEGIN).await.map_err(classify)?;
    if journal::end(&mut transaction).await.map_err(classify)?.is_none() {
        journal::begin(&mut transaction, now).await.map_err(classify)?;
    }
    let read = journal::read(&mut transaction, behind, i64::from(u32::MAX), now).await.map_err(classify)?;
    let recorded = ids::recorded(&mut transaction, events, now).await.map_err(classify)?;
    let appended = match batch.take_turn(read.turn(recorded)?) {
        Some(batch) => append_to_end(&mut transaction, &batch, now).await?,
        None => Appended::Stored,
    };
    transaction.commit().await.map_err(classify)?;
    Ok(appended)
}

async fn append_to_end(
    transaction: &mut SqliteTransaction<'_>,
    batch: &JournalBatch,
    now: DateTime<Utc>,
) -> Result<Appended, MetricsError> {
    let events = fold::moved(transaction, &batch.events, now).await?;
    let made_ready = Batch::new(&events)?;
    if journal::end(transaction).await.map_err(classify)? != Some(batch.behind) {
        return Ok(Appended::Conflict);
    }
    if !ids::recorded(transaction, &made_ready.stamps, now).await.map_err(classify)?.is_empty() {
        return Ok(Appended::Conflict);
    }
    journal::append(transaction, batch, now).await.map_err(classify)?;
    store(transaction, &made_ready, now).await?;
    Ok(Appended::Stored)
}

async fn store(
    transaction: &mut SqliteTransaction<'_>,
    batch: &Batch<'_>,
    now: DateTime<Utc>,
) -> Result<(), MetricsError> {
    ids::remember(transaction, &batch.stamps, now).await.map_err(classify)?;
    let is_pull = |sum: &&CountChange| sum.key.kind == AccessKind::PullByTag;
    let changed = || batch.sums.iter().filter(|sum| sum.delta != 0);
    let lowered = || changed().filter(|sum| sum.delta < 0);
    for (statement, sums) in [
        (ADD_PULLS, sum_list(changed().filter(is_pull))),
        (ADD_ACCESSES, sum_list(changed().filter(|sum| !is_pull(sum)))),
    ] {
        if let Some(sums) = sums {
            sqlx::query(statement).bind(sums).execute(&mut **transaction).await.map_err(classify)?;
        }
    }
    for (statement, sums) in [
        (REMOVE_EMPTY_PULLS, sum_list(lowered().filter(is_pull))),
        (REMOVE_EMPTY_ACCESSES, sum_list(lowered().filter(|sum| !is_pull(sum)))),
    ] {
        let Some(sums) = sums else { continue };
        let removed: Vec<i64> =
            sqlx::query_scalar(statement).bind(sums).fetch_all(&mut **transaction).await.map_err(classify)?;
        if removed.iter().any(|count| *count < 0) {
            return Err(MetricsError::Refused(Box::new(BelowZero)));
        }
    }
    Ok(())
}

/// The rows of a statement, when there are any.
fn sum_list<'a>(sums: impl Iterator<Item = &'a CountChange<'a>>) -> Option<String> {
    let rows: Vec<_> = sums
        .map(|CountChange { key, delta, first, last, .. }| {
            json!([
                date_text(key.date),
                key.repository.as_str(),
                tag_text(key.tag.as_ref()),
                key.digest.as_str(),
                key.architecture.as_str(),
                key.kind.as_str(),
                delta,
                time_text(*first),
                time_text(*last),
            ])
        })
        .collect();
    if rows.is_empty() { None } else { Some(json!(rows).to_string()) }
}
