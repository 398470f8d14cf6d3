//! The spool: a SQLite file where events wait while the database is away.

use std::{path::Path, str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use staticreg_domain::{
    metrics::{AccessKind, BoxError, Change, CountKey, PullEvent},
    spool::{EventSpool, SpoolError, SpoolPosition},
};
use uuid::Uuid;

const CREATE: &str = "\
CREATE TABLE IF NOT EXISTS spooled_event (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    changes TEXT NOT NULL
) STRICT";

/// One statement takes a whole batch, so that it is all or nothing, and durable when it returns.
const APPEND: &str = "\
INSERT INTO spooled_event (id, at, changes)
SELECT value ->> '$.id', value ->> '$.at', value ->> '$.changes' FROM json_each(?1) WHERE true ORDER BY key
ON CONFLICT (id) DO NOTHING";

const OLDEST: &str =
    "SELECT position, id, at, changes FROM spooled_event WHERE position > ?1 ORDER BY position LIMIT ?2";

const REMOVE: &str = "DELETE FROM spooled_event WHERE position <= ?1";

const COUNT: &str = "SELECT count(*) FROM spooled_event";

/// How long to wait for another process that reads the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Events in a SQLite file, durable at each write.
pub struct SqliteSpool {
    pool: SqlitePool,
    max_events: u64,
    /// How many events wait; none when that has to be counted.
    waiting: Mutex<Option<u64>>,
}

impl SqliteSpool {
    /// Opens the file, which is made when missing; at most `max_events` wait in it.
    pub async fn open(file: &Path, max_events: u64) -> Result<Self, SpoolError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(|error| cannot_open(file, error))?;
        sqlx::query(CREATE).execute(&pool).await.map_err(unavailable)?;
        Ok(Self { pool, max_events, waiting: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, Option<u64>> {
        self.waiting.lock()
    }

    /// Notes that so many more or fewer wait. After a failure it is not known what was done.
    fn note<T>(&self, done: sqlx::Result<T>, change: impl FnOnce(u64, T) -> u64) -> Result<(), SpoolError> {
        let mut waiting = self.known();
        match done {
            Ok(done) => {
                *waiting = waiting.map(|waiting| change(waiting, done));
                Ok(())
            }
            Err(error) => {
                *waiting = None;
                Err(unavailable(error))
            }
        }
    }
}

#[async_trait]
impl EventSpool for SqliteSpool {
    async fn append(&self, batch: &[PullEvent]) -> Result<(), SpoolError> {
        if self.waiting().await? + batch.len() as u64 > self.max_events {
            return Err(SpoolError::Full);
        }
        let entries: Vec<_> = batch.iter().map(Entry::of).collect::<Result<_, _>>().map_err(unavailable)?;
        let entries = serde_json::to_string(&entries).map_err(unavailable)?;
        let written = sqlx::query(APPEND).bind(entries).execute(&self.pool).await;
        self.note(written, |waiting, written| waiting + written.rows_affected())
    }

    async fn oldest(&self, after: SpoolPosition, at_most: u32) -> Result<Vec<(SpoolPosition, PullEvent)>, SpoolError> {
        let rows = sqlx::query(OLDEST).bind(after.0).bind(at_most).fetch_all(&self.pool).await.map_err(unavailable)?;
        if rows.is_empty() {
            // Another process may have taken them.
            *self.known() = None;
        }
        rows.iter().map(event_of).collect::<Result<_, _>>().map_err(SpoolError::Unavailable)
    }

    async fn remove_through(&self, position: SpoolPosition) -> Result<(), SpoolError> {
        let removed = sqlx::query(REMOVE).bind(position.0).execute(&self.pool).await;
        self.note(removed, |waiting, removed| waiting.saturating_sub(removed.rows_affected()))
    }

    async fn waiting(&self) -> Result<u64, SpoolError> {
        if let Some(waiting) = *self.known() {
            return Ok(waiting);
        }
        let counted: i64 = sqlx::query_scalar(COUNT).fetch_one(&self.pool).await.map_err(unavailable)?;
        let counted = u64::try_from(counted).unwrap_or_default();
        *self.known() = Some(counted);
        Ok(counted)
    }
}

/// SQLite says no more than that it was unable.
fn cannot_open(file: &Path, error: sqlx::Error) -> SpoolError {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => {
            SpoolError::Unavailable(format!("there is no folder {}, make it first", folder.display()).into())
        }
        None => unavailable(error),
    }
}

fn unavailable(error: impl Into<BoxError>) -> SpoolError {
    SpoolError::Unavailable(error.into())
}

/// An event as the file has it.
#[derive(Serialize)]
struct Entry {
    id: String,
    /// Microseconds since the Unix epoch.
    at: i64,
    /// JSON inside JSON: the file need not look into it.
    changes: String,
}

impl Entry {
    fn of(event: &PullEvent) -> serde_json::Result<Self> {
        let changes: Vec<_> = event.changes.iter().map(StoredChange::from).collect();
        Ok(Self {
            id: event.id.to_string(),
            at: event.at.timestamp_micros(),
            changes: serde_json::to_string(&changes)?,
        })
    }
}

fn event_of(row: &SqliteRow) -> Result<(SpoolPosition, PullEvent), BoxError> {
    let id = Uuid::from_str(row.try_get("id")?)?.into();
    let at = DateTime::from_timestamp_micros(row.try_get("at")?).ok_or("a time out of range")?;
    let changes: Vec<StoredChange> = serde_json::from_str(row.try_get("changes")?)?;
    let changes = changes.into_iter().map(Change::try_from).collect::<Result<_, _>>()?;
    Ok((SpoolPosition(row.try_get("position")?), PullEvent { id, at, changes }))
}

#[derive(Serialize, Deserialize)]
struct StoredChange {
    kind: String,
    date: String,
    repository: String,
    tag: Option<String>,
    digest: String,
    architecture: String,
    delta: i32,
}

impl From<&Change> for StoredChange {
    fn from(change: &Change) -> Self {
        let CountKey { kind, date, repository, tag, digest, architecture } = &*change.key;
        Self {
            kind: kind.to_string(),
            date: date.to_string(),
            repository: repository.to_string(),
            tag: tag.as_ref().map(ToString::to_string),
            digest: digest.to_string(),
            architecture: architecture.to_string(),
            delta: change.delta,
        }
    }
}

impl TryFrom<StoredChange> for Change {
    type Error = BoxError;

    fn try_from(stored: StoredChange) -> Result<Self, BoxError> {
        let StoredChange { kind, date, repository, tag, digest, architecture, delta } = stored;
        let kind = AccessKind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or("an unknown kind")?;
        let key = CountKey {
            kind,
            date: NaiveDate::from_str(&date)?,
            repository: repository.parse()?,
            tag: tag.map(|tag| tag.parse()).transpose()?,
            digest: digest.parse()?,
            architecture: architecture.parse()?,
        };
        Ok(Self { key: Arc::new(key), delta })
    }
}
