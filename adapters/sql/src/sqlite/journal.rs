//! The journal on SQLite. A transaction that takes the lock to write is the turn.

use chrono::{DateTime, Utc};
use sea_orm::sqlx::{self, SqliteConnection};
use staticreg_domain::journal::{JOURNAL_WINDOW, JournalBatch, JournalPosition};
use uuid::Uuid;

use crate::journal::{Read, StoredRow};

/// Where the window begins: with the last row from before it.
const BEGINNING: &str = "SELECT coalesce(\
     (SELECT position FROM access_journal WHERE recorded_at < $1 ORDER BY position DESC LIMIT 1), \
     (SELECT min(position) FROM access_journal))";

/// Reads what stands behind a place, at most so many rows; when that is not there, from the beginning of the window on.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    behind: Option<JournalPosition>,
    at_most: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Read> {
    if let Some(behind) = behind {
        let rows = read_from(connection, behind.number, at_most + 1, now).await?;
        if Read::begins_with(&rows, behind) {
            return Ok(Read { rows, behind: Some(behind) });
        }
    }
    let window = (now - JOURNAL_WINDOW).timestamp_micros();
    let beginning: Option<i64> = sqlx::query_scalar(BEGINNING).bind(window).fetch_one(&mut *connection).await?;
    let rows = match beginning {
        Some(beginning) => read_from(connection, beginning, at_most, now).await?,
        None => Vec::new(),
    };
    Ok(Read { rows, behind: None })
}

async fn read_from(
    connection: &mut SqliteConnection,
    number: i64,
    at_most: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<StoredRow>> {
    const READ: &str = "SELECT position, batch, ($3 - recorded_at) / 1e6, accesses \
         FROM access_journal WHERE position >= $1 ORDER BY position LIMIT $2";
    sqlx::query_as(READ).bind(number).bind(at_most).bind(now.timestamp_micros()).fetch_all(connection).await
}

/// Where the journal ends.
pub(super) async fn end(connection: &mut SqliteConnection) -> sqlx::Result<Option<JournalPosition>> {
    const END: &str = "SELECT position, batch FROM access_journal ORDER BY position DESC LIMIT 1";
    let end: Option<(i64, Uuid)> = sqlx::query_as(END).fetch_optional(connection).await?;
    Ok(end.map(|(number, batch)| JournalPosition { number, batch }))
}

/// Makes the first row, where somebody emptied the table or none was ever there.
pub(super) async fn begin(connection: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<()> {
    insert(connection, JournalPosition { number: 0, batch: Uuid::new_v4() }, Uuid::nil(), now, Vec::new()).await
}

pub(super) async fn append(
    connection: &mut SqliteConnection,
    batch: &JournalBatch,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let accesses = staticreg_journal::encode(&batch.entries);
    insert(connection, batch.position(), batch.behind.batch, now, accesses).await
}

async fn insert(
    connection: &mut SqliteConnection,
    position: JournalPosition,
    previous: Uuid,
    now: DateTime<Utc>,
    accesses: Vec<u8>,
) -> sqlx::Result<()> {
    const INSERT: &str = "INSERT INTO access_journal (position, batch, previous, recorded_at, accesses) \
         VALUES ($1, $2, $3, $4, $5)";
    let insert = sqlx::query(INSERT).bind(position.number).bind(position.batch).bind(previous);
    insert.bind(now.timestamp_micros()).bind(accesses).execute(connection).await.map(drop)
}

/// Forgets rows that are older, but never the last.
pub(super) const FORGET: &str = "DELETE FROM access_journal WHERE position IN (\
     SELECT position FROM access_journal WHERE recorded_at < $1 \
         AND position < (SELECT max(position) FROM access_journal) ORDER BY position LIMIT $2)";
