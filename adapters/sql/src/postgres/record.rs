//! A batch is one statement and one round trip: `docs/adr/0005-sql-by-hand-for-batches.md` says why, and at what cost.
//!
//! A count that falls to 0 is removed by the table's trigger, in the same statement. Where the trigger is missing, a
//! second statement does it, in one transaction with the first.
//!
//! Of the first there are two. Nearly always every id of a batch is new: [`ALL_NEW`] takes that for granted, stores the
//! sums as they come, and fails as a whole when an id is known. [`SOME_KNOWN`] finds out which ids are new and sums
//! their changes.
//!
//! Ids, keys and days come in order, are stored in that order and so locked in that order by every server, and both
//! statements store ids first and days last: no two can wait for each other.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use sea_orm::sqlx::{
    self, Connection as _, PgConnection, Postgres, Row as _,
    postgres::{PgArguments, PgBindIterExt},
    query::Query,
};
use staticreg_domain::{
    journal::{Appended, JournalBatch},
    metrics::AccessKind,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    batch::{Batch, BelowZero, CountChange},
    ids::bucket,
    journal::is_conflict,
    query::tag_text,
};

/// Which ids were new.
pub(super) enum New {
    All,
    Only(HashSet<Uuid>),
}

impl New {
    pub(super) fn has(&self, id: &Uuid) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(id),
        }
    }
}

/// After a known id was seen, so many batches without one pass before new ids are taken for granted again: where two
/// servers are told the same events, or a backlog is repeated, known ids come in numbers.
const CAREFUL_BATCHES: u32 = 1000;

/// How long what was seen of the triggers is taken to be so still.
const TRIGGERS_SEEN: Duration = Duration::from_secs(10);

/// What is to be expected of the database.
#[derive(Debug, Default)]
pub(super) struct Care {
    /// For how many batches known ids are.
    batches: u32,
    /// Whether triggers remove the counts that fall to 0, and when that was seen.
    removed_by_triggers: Option<(bool, Instant)>,
}

impl Care {
    /// Another connection may be one to another database.
    pub(super) fn connect_anew(&mut self) {
        self.removed_by_triggers = None;
    }

    async fn triggers_remove(&mut self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        const TRIGGERS: &str = "SELECT count(*) = 2 FROM pg_trigger WHERE tgname = 'remove_empty' AND tgrelid IN \
             (to_regclass('container_pull_metrics'), to_regclass('container_access_metrics')) AND tgenabled IN \
             ('A', CASE current_setting('session_replication_role') WHEN 'replica' THEN 'R' ELSE 'O' END)";
        if let Some((remove, seen)) = self.removed_by_triggers
            && seen.elapsed() < TRIGGERS_SEEN
        {
            return Ok(remove);
        }
        let remove = sqlx::query_scalar(TRIGGERS).fetch_one(connection).await?;
        self.removed_by_triggers = Some((remove, Instant::now()));
        Ok(remove)
    }
}

/// Stores a batch and answers which of its ids were new.
pub(super) async fn record(
    connection: &mut PgConnection,
    care: &mut Care,
    batch: &Batch<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<New> {
    if batch.takes_back() && !care.triggers_remove(connection).await? {
        let mut transaction = connection.begin().await?;
        let new = record_within(&mut transaction, batch, now).await;
        if new.is_ok() {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        return new;
    }
    if care.batches == 0
        && let Some(sums) = counts(&batch.sums)
    {
        match all_new(connection, batch, &sums, None, now).await {
            Err(error) if is_conflict(&error) => {}
            stored => return stored.map(|_| New::All),
        }
        care.batches = CAREFUL_BATCHES;
    }
    let new = some_known(connection, batch, now).await?;
    care.batches = match new {
        New::All => care.batches.saturating_sub(1),
        New::Only(_) => CAREFUL_BATCHES,
    };
    Ok(new)
}

/// The same within a transaction of the caller's, whatever is known and whether or not there are triggers.
pub(super) async fn record_within(
    transaction: &mut PgConnection,
    batch: &Batch<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<New> {
    let new = some_known(transaction, batch, now).await?;
    remove_empty(transaction, batch).await?;
    Ok(new)
}

/// Stores a batch and its row of the journal. All its ids are new, or nothing is stored.
pub(super) async fn append(
    connection: &mut PgConnection,
    care: &mut Care,
    batch: &Batch<'_>,
    row: &JournalBatch,
    now: DateTime<Utc>,
) -> sqlx::Result<Appended> {
    let Some(sums) = counts(&batch.sums) else {
        return Err(sqlx::Error::InvalidArgument("a count would be out of range".to_owned()));
    };
    let appended = if batch.takes_back() && !care.triggers_remove(connection).await? {
        let mut transaction = connection.begin().await?;
        let appended = all_new(&mut transaction, batch, &sums, Some(row), now).await;
        let removed = if appended.is_ok() { remove_empty(&mut transaction, batch).await } else { Ok(()) };
        if appended.is_err() || removed.is_err() {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
        }
        removed.and(appended)
    } else {
        all_new(connection, batch, &sums, Some(row), now).await
    };
    match appended {
        Err(error) if is_conflict(&error) => Ok(Appended::Conflict),
        appended => appended,
    }
}

/// A sum that is to be stored, as the column has it.
type RowDelta<'a> = (&'a CountChange<'a>, i32);

/// The sums without those that are zero; none when one is too large for its column, which it may not be once known
/// events are left out.
fn counts<'a>(sums: &'a [CountChange<'a>]) -> Option<Vec<RowDelta<'a>>> {
    sums.iter()
        .filter(|sum| sum.delta != 0)
        .map(|sum| i32::try_from(sum.delta).ok().map(|delta| (sum, delta)))
        .collect()
}

/// $1 ids, $2 when they were recorded, $26 their buckets; $3 to $10 the sums of pulls by tag, $11 to $19 those of the other kinds; $20 and $21 the kinds and
/// days that change, whose versions the triggers leave to this statement; $22 to $24 the row of the journal, $25 the
/// batch that it stands behind. Without a row $22 is null.
///
/// Nothing is stored unless the row is: each part asks for it, so it is also what the statement locks first. PostgreSQL
/// promises no order of the parts itself.
///
/// A sum below zero takes back what was counted, it is no access: it does not move `updated_at`.
const ALL_NEW: &str = "\
WITH appended AS (
    INSERT INTO access_journal (position, batch, previous, recorded_at, accesses)
    SELECT $22, $23, $25, clock_timestamp(), $24
    WHERE EXISTS (SELECT FROM access_journal WHERE position = $22 - 1 AND batch = $25)
    RETURNING position
), go AS MATERIALIZED (
    SELECT WHERE $22 IS NULL OR EXISTS (SELECT FROM appended)
), days AS (
    INSERT INTO day_version (kind, day)
    SELECT kind, day FROM unnest($20, $21) AS given (kind, day)
    WHERE EXISTS (SELECT FROM go)
    ON CONFLICT (kind, day) DO UPDATE SET version = excluded.version
), pulls AS (
    INSERT INTO container_pull_metrics AS kept
        (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
    SELECT day, repo_name, tag, digest, architecture, delta, first, last
    FROM unnest($3, $4, $5, $6, $7, $8, $9, $10)
        AS given (day, repo_name, tag, digest, architecture, delta, first, last)
    WHERE EXISTS (SELECT FROM go)
    ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET
        pull_count = kept.pull_count + excluded.pull_count,
        updated_at = CASE WHEN excluded.pull_count < 0 THEN kept.updated_at
            ELSE greatest(kept.updated_at, excluded.updated_at) END
), accesses AS (
    INSERT INTO container_access_metrics AS kept
        (event_date, repo_name, tag, digest, architecture, event_count, created_at, updated_at, kind)
    SELECT day, repo_name, tag, digest, architecture, delta, first, last, kind
    FROM unnest($11, $12, $13, $14, $15, $16, $17, $18, $19)
        AS given (day, repo_name, tag, digest, architecture, delta, first, last, kind)
    WHERE EXISTS (SELECT FROM go)
    ON CONFLICT (event_date, repo_name, tag, digest, architecture, kind) DO UPDATE SET
        event_count = kept.event_count + excluded.event_count,
        updated_at = CASE WHEN excluded.event_count < 0 THEN kept.updated_at
            ELSE greatest(kept.updated_at, excluded.updated_at) END
), ids AS (
    INSERT INTO recorded_event (id, recorded_at, bucket)
    SELECT id, recorded_at, bucket FROM unnest($1, $2, $26) AS given (id, recorded_at, bucket)
    WHERE EXISTS (SELECT FROM go)
)
SELECT EXISTS (SELECT FROM go)";

async fn all_new(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    sums: &[RowDelta<'_>],
    row: Option<&JournalBatch>,
    now: DateTime<Utc>,
) -> sqlx::Result<Appended> {
    // The sums are in the order of their keys, and pulls by tag are the first of the kinds.
    let (pulls, accesses) = sums.split_at(sums.partition_point(|(sum, _)| sum.key.kind == AccessKind::PullByTag));
    let mut statement = sqlx::query(ALL_NEW).bind(&batch.ids).bind(recorded_at(batch, now));
    for sums in [pulls, accesses] {
        statement = bind_keys(statement, sums.iter().map(|(sum, _)| *sum))
            .bind(sums.iter().map(|(_, delta)| *delta).bind_iter())
            .bind(sums.iter().map(|(sum, _)| sum.first).bind_iter())
            .bind(sums.iter().map(|(sum, _)| sum.last).bind_iter());
    }
    let mut days: Vec<_> = sums.iter().map(|(sum, _)| (sum.key.kind.as_str(), sum.key.date)).collect();
    days.sort_unstable();
    days.dedup();
    let buckets = buckets(batch);
    let (number, batch) = row.map(|row| (row.position().number, row.id)).unzip();
    let statement = statement
        .bind(accesses.iter().map(|(sum, _)| sum.key.kind.as_str()).bind_iter())
        .bind(days.iter().map(|(kind, _)| *kind).bind_iter())
        .bind(days.iter().map(|(_, date)| *date).bind_iter())
        .bind(number)
        .bind(batch)
        .bind(row.map(|row| staticreg_journal::encode(&row.entries)))
        .bind(row.map(|row| row.behind.batch))
        .bind(buckets);
    // The answer is read to its end: only there is it known that the commit succeeded.
    let rows = statement.fetch_all(connection).await?;
    let is_stored: bool = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
    Ok(if is_stored { Appended::Stored } else { Appended::Conflict })
}

/// $1 ids, $2 their events' times, $3 when they were recorded, $13 their buckets; $4 to $9 the keys; $10 to $12 the changes of single events, by the places
/// of their id and key.
const SOME_KNOWN: &str = "\
WITH recorded AS (
    INSERT INTO recorded_event (id, recorded_at, bucket)
    SELECT id, recorded_at, bucket FROM unnest($1, $3, $13) AS given (id, recorded_at, bucket)
    ON CONFLICT DO NOTHING
    RETURNING id
), sums AS MATERIALIZED (
    SELECT place, sum(delta) AS delta, min(($2)[event]) AS first,
        coalesce(max(($2)[event]) FILTER (WHERE delta > 0), min(($2)[event])) AS last
    FROM unnest($10, $11, $12) AS given (event, place, delta)
    JOIN recorded ON recorded.id = ($1)[event]
    GROUP BY place
    HAVING sum(delta) <> 0
), counts AS MATERIALIZED (
    SELECT day, repo_name, tag, digest, architecture, kind, delta, first, last
    FROM unnest($4, $5, $6, $7, $8, $9)
        WITH ORDINALITY AS given (day, repo_name, tag, digest, architecture, kind, place)
    JOIN sums USING (place)
    ORDER BY place
), days AS (
    INSERT INTO day_version (kind, day)
    SELECT DISTINCT kind COLLATE \"C\", day FROM counts ORDER BY 1, day
    ON CONFLICT (kind, day) DO UPDATE SET version = excluded.version
), pulls AS (
    INSERT INTO container_pull_metrics AS kept
        (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
    SELECT day, repo_name, tag, digest, architecture, delta::integer, first, last
    FROM counts WHERE kind = 'pull_by_tag'
    ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET
        pull_count = kept.pull_count + excluded.pull_count,
        updated_at = CASE WHEN excluded.pull_count < 0 THEN kept.updated_at
            ELSE greatest(kept.updated_at, excluded.updated_at) END
), accesses AS (
    INSERT INTO container_access_metrics AS kept
        (event_date, repo_name, tag, digest, architecture, event_count, created_at, updated_at, kind)
    SELECT day, repo_name, tag, digest, architecture, delta::integer, first, last, kind
    FROM counts WHERE kind <> 'pull_by_tag'
    ON CONFLICT (event_date, repo_name, tag, digest, architecture, kind) DO UPDATE SET
        event_count = kept.event_count + excluded.event_count,
        updated_at = CASE WHEN excluded.event_count < 0 THEN kept.updated_at
            ELSE greatest(kept.updated_at, excluded.updated_at) END
)
SELECT CASE WHEN count(*) < cardinality($1) THEN array_agg(id) ELSE NULL END, count(*) FROM recorded";

async fn some_known(connection: &mut PgConnection, batch: &Batch<'_>, now: DateTime<Utc>) -> sqlx::Result<New> {
    let place = |index: u32| i32::try_from(index + 1).expect("a batch is small");
    let statement = sqlx::query(SOME_KNOWN).bind(&batch.ids).bind(&batch.times).bind(recorded_at(batch, now));
    let statement = bind_keys(statement, batch.sums.iter())
        .bind(batch.sums.iter().map(|sum| sum.key.kind.as_str()).bind_iter())
        .bind(batch.changes.iter().map(|change| place(change.id)).bind_iter())
        .bind(batch.changes.iter().map(|change| place(change.sum)).bind_iter())
        .bind(batch.changes.iter().map(|change| change.delta).bind_iter())
        .bind(buckets(batch));
    let row = statement.fetch_one(connection).await?;
    let (ids, count): (Option<Vec<Uuid>>, i64) = (row.try_get(0)?, row.try_get(1)?);
    let all_are_new = usize::try_from(count).is_ok_and(|count| count == batch.ids.len());
    Ok(if all_are_new { New::All } else { New::Only(ids.unwrap_or_default().into_iter().collect()) })
}

/// $1 to $6 the keys of the counts that something was taken from. They are found in their place, by no join: the
/// connection's plans have none that would use an index.
const REMOVE_EMPTY: &str = "\
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6) AS given (day, repo_name, tag, digest, architecture, kind)
), pulls AS (
    DELETE FROM container_pull_metrics
    WHERE pull_count <= 0 AND ctid = ANY (ARRAY(
        SELECT (
            SELECT ctid FROM container_pull_metrics AS kept
            WHERE (pull_date, kept.repo_name, kept.tag, kept.digest, kept.architecture)
                = (given.day, given.repo_name, given.tag, given.digest, given.architecture)
        ) FROM given WHERE kind = 'pull_by_tag'
    ))
    RETURNING pull_count AS count
), accesses AS (
    DELETE FROM container_access_metrics
    WHERE event_count <= 0 AND ctid = ANY (ARRAY(
        SELECT (
            SELECT ctid FROM container_access_metrics AS kept
            WHERE (event_date, kept.repo_name, kept.tag, kept.digest, kept.architecture, kept.kind)
                = (given.day, given.repo_name, given.tag, given.digest, given.architecture, given.kind)
        ) FROM given WHERE kind <> 'pull_by_tag'
    ))
    RETURNING event_count AS count
)
SELECT count(*) FROM (SELECT count FROM pulls UNION ALL SELECT count FROM accesses) AS gone WHERE count < 0";

/// Removes the counts that fell to 0, as the triggers do; one that fell below is an error.
async fn remove_empty(connection: &mut PgConnection, batch: &Batch<'_>) -> sqlx::Result<()> {
    let lowered = batch.lowered();
    let below_zero: i64 = bind_keys(sqlx::query(REMOVE_EMPTY), lowered.iter().copied())
        .bind(lowered.iter().map(|sum| sum.key.kind.as_str()).bind_iter())
        .fetch_one(connection)
        .await?
        .try_get(0)?;
    if below_zero > 0 { Err(sqlx::Error::InvalidArgument(BelowZero.to_string())) } else { Ok(()) }
}

fn recorded_at(batch: &Batch<'_>, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    batch.stamps.iter().map(|event| event.recorded_at(now)).collect()
}

fn buckets(batch: &Batch<'_>) -> Vec<i64> {
    batch.stamps.iter().map(|event| bucket(event.timestamp)).collect()
}

type Statement = Query<'static, Postgres, PgArguments>;

/// The columns that every kind's key has.
fn bind_keys<'a, 'b: 'a>(statement: Statement, sums: impl Iterator<Item = &'a CountChange<'b>> + Clone) -> Statement {
    statement
        .bind(sums.clone().map(|sum| sum.key.date).bind_iter())
        .bind(sums.clone().map(|sum| sum.key.repository.as_str()).bind_iter())
        .bind(sums.clone().map(|sum| tag_text(sum.key.tag.as_ref())).bind_iter())
        .bind(sums.clone().map(|sum| sum.key.digest.as_str()).bind_iter())
        .bind(sums.map(|sum| sum.key.architecture.as_str()).bind_iter())
}
