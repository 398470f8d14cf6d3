//! The spool: a SQLite file where accesses wait while the database is away.

use std::{fmt::Write as _, path::Path, time::Duration};

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use serde_json::json;
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use staticreg_domain::{
    ManifestAccess,
    journal::JournalEntry,
    metrics::BoxError,
    spool::{EventSpool, SpoolError, SpoolPosition},
};

const CREATE: &str = "\
CREATE TABLE IF NOT EXISTS spooled_access (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    access BLOB NOT NULL
) STRICT";

/// One statement takes a whole batch, so that it is all or nothing, and durable when it returns.
const APPEND: &str = "\
INSERT INTO spooled_access (id, access)
SELECT value ->> 0, unhex(value ->> 1) FROM json_each(?1) WHERE true ORDER BY key
ON CONFLICT (id) DO NOTHING";

const OLDEST: &str = "SELECT position, access FROM spooled_access WHERE position > ?1 ORDER BY position LIMIT ?2";

const REMOVE: &str = "DELETE FROM spooled_access WHERE position <= ?1";

const COUNT: &str = "SELECT count(*) FROM spooled_access";

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
        refuse_effects_of_before(&pool).await?;
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
    async fn append(&self, batch: &[ManifestAccess]) -> Result<(), SpoolError> {
        if self.waiting().await? + batch.len() as u64 > self.max_events {
            return Err(SpoolError::Full);
        }
        let entry = |access: &ManifestAccess| [access.id.to_string(), hex(&encode(access))];
        let entries = json!(batch.iter().map(entry).collect::<Vec<_>>()).to_string();
        let written = sqlx::query(APPEND).bind(entries).execute(&self.pool).await;
        self.note(written, |waiting, written| waiting + written.rows_affected())
    }

    async fn oldest(
        &self,
        after: SpoolPosition,
        at_most: u32,
    ) -> Result<Vec<(SpoolPosition, ManifestAccess)>, SpoolError> {
        let rows = sqlx::query(OLDEST).bind(after.0).bind(at_most).fetch_all(&self.pool).await.map_err(unavailable)?;
        if rows.is_empty() {
            // Another process may have taken them.
            *self.known() = None;
        }
        rows.iter().map(access_of).collect::<Result<_, _>>().map_err(SpoolError::Unavailable)
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

/// An earlier version kept what events had counted. That cannot be counted anew with what came in between.
async fn refuse_effects_of_before(pool: &SqlitePool) -> Result<(), SpoolError> {
    const IS_THERE: &str = "SELECT count(*) FROM sqlite_schema WHERE name = 'spooled_event'";
    let tables: i64 = sqlx::query_scalar(IS_THERE).fetch_one(pool).await.map_err(unavailable)?;
    if tables == 0 {
        return Ok(());
    }
    let waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM spooled_event").fetch_one(pool).await.map_err(unavailable)?;
    if waiting > 0 {
        return Err(unavailable(format!(
            "it holds {waiting} events of an earlier version of staticreg; run that version once more until it has stored them"
        )));
    }
    sqlx::query("DROP TABLE spooled_event").execute(pool).await.map_err(unavailable).map(drop)
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

fn encode(access: &ManifestAccess) -> Vec<u8> {
    staticreg_journal::encode(&[JournalEntry::Access(access.clone())])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // A string takes all.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn access_of(row: &SqliteRow) -> Result<(SpoolPosition, ManifestAccess), BoxError> {
    let entries = staticreg_journal::decode(row.try_get("access")?)?;
    match entries.into_iter().next() {
        Some(JournalEntry::Access(access)) => Ok((SpoolPosition(row.try_get("position")?), access)),
        _ => Err("no access".into()),
    }
}
