//! The journal on PostgreSQL.
//!
//! Alone, a server appends with the one statement that stores its batch (`record.rs`). Where others write too, it takes
//! its turn by an advisory lock, which PostgreSQL grants in the order of asking, and reads what came between in the same
//! transaction. A server that appends without a turn meanwhile takes the row's place first or not at all: the position
//! is the primary key.

use sea_orm::sqlx::{self, PgConnection};
use staticreg_domain::journal::{JOURNAL_WINDOW, JournalPosition};
use uuid::Uuid;

use crate::journal::{Read, StoredRow};

/// Waits for this server's turn; the end of the transaction ends it.
pub(super) async fn wait_for_turn(connection: &mut PgConnection) -> sqlx::Result<()> {
    const TURN: &str = "SELECT pg_advisory_xact_lock('access_journal'::regclass::oid::bigint)";
    sqlx::query(TURN).execute(connection).await.map(drop)
}

/// Where the window begins: with the last row from before it.
const BEGINNING: &str = "SELECT coalesce(\
     (SELECT position FROM access_journal WHERE recorded_at < clock_timestamp() - make_interval(secs => $1) \
      ORDER BY position DESC LIMIT 1), \
     (SELECT min(position) FROM access_journal))";

/// Reads what stands behind a place, at most so many rows; when that is not there, from the beginning of the window on.
pub(super) async fn read(
    connection: &mut PgConnection,
    behind: Option<JournalPosition>,
    at_most: i64,
) -> sqlx::Result<Read> {
    if let Some(behind) = behind {
        let rows = read_from(connection, behind.number, at_most + 1).await?;
        if Read::begins_with(&rows, behind) {
            return Ok(Read { rows, behind: Some(behind) });
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few minutes")]
    let seconds = JOURNAL_WINDOW.num_seconds() as f64;
    let beginning: Option<i64> = sqlx::query_scalar(BEGINNING).bind(seconds).fetch_one(&mut *connection).await?;
    let rows = match beginning {
        Some(beginning) => read_from(connection, beginning, at_most).await?,
        None => Vec::new(),
    };
    Ok(Read { rows, behind: None })
}

async fn read_from(connection: &mut PgConnection, number: i64, at_most: i64) -> sqlx::Result<Vec<StoredRow>> {
    const READ: &str = "\
        SELECT position, batch, extract(epoch FROM clock_timestamp() - recorded_at)::float8, accesses \
        FROM access_journal WHERE position >= $1 ORDER BY position LIMIT $2";
    sqlx::query_as(READ).bind(number).bind(at_most).fetch_all(connection).await
}

/// Makes the first row, where somebody emptied the table or none was ever there.
pub(super) async fn begin(connection: &mut PgConnection) -> sqlx::Result<()> {
    const BEGIN: &str = "INSERT INTO access_journal (position, batch, previous, recorded_at, accesses) \
         VALUES (0, $1, $2, clock_timestamp(), '')";
    sqlx::query(BEGIN).bind(Uuid::new_v4()).bind(Uuid::nil()).execute(connection).await.map(drop)
}

/// Forgets rows that are older, but never the last.
pub(super) const FORGET: &str = "DELETE FROM access_journal WHERE position = ANY (ARRAY(\
     SELECT position FROM access_journal WHERE recorded_at < clock_timestamp() - make_interval(secs => $1) \
         AND position < (SELECT max(position) FROM access_journal) ORDER BY position LIMIT $2))";
