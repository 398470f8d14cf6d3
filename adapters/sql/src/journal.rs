//! The journal's rows, the same on both databases.

use std::collections::HashSet;

use chrono::TimeDelta;
use sea_orm::sqlx;
use staticreg_domain::{
    EventId,
    error::describe,
    journal::{JournalPart, JournalPosition, JournalRow, Turn},
    metrics::MetricsError,
};
use uuid::Uuid;

/// A row as the databases have it: position, batch, seconds since it was stored, accesses.
pub(crate) type StoredRow = (i64, Uuid, f64, Vec<u8>);

/// What was read of the journal: the row at the place asked for and those behind it, or those of the window.
pub(crate) struct Read {
    pub(crate) rows: Vec<StoredRow>,
    /// The place asked for, when it is there.
    pub(crate) behind: Option<JournalPosition>,
}

impl Read {
    /// Whether the rows begin with the one asked for.
    pub(crate) fn begins_with(rows: &[StoredRow], behind: JournalPosition) -> bool {
        rows.first().is_some_and(|(number, batch, ..)| (*number, *batch) == (behind.number, behind.batch))
    }

    pub(crate) fn part(self) -> JournalPart {
        let continues = self.behind.is_some();
        let rows = self.rows.into_iter().skip(usize::from(continues));
        JournalPart { continues, rows: rows.map(row).collect() }
    }

    /// What a server is told whose turn it is.
    pub(crate) fn turn(self, recorded: HashSet<Uuid>) -> Result<Turn, MetricsError> {
        let end = self.rows.last().map(|(number, batch, ..)| JournalPosition { number: *number, batch: *batch });
        let end = end.ok_or_else(|| MetricsError::Corrupt("the journal has no end".into()))?;
        let recorded: HashSet<EventId> = recorded.into_iter().map(EventId::from).collect();
        Ok(Turn { news: self.part(), end, recorded })
    }
}

/// One that cannot be read, by a newer version or by somebody's hand, is passed over: it would keep all that comes from
/// being stored, until somebody removes it.
fn row((number, batch, seconds, accesses): StoredRow) -> JournalRow {
    // The first row has none.
    let entries = if accesses.is_empty() { Ok(Vec::new()) } else { staticreg_journal::decode(&accesses) };
    let entries = entries.unwrap_or_else(|unreadable| {
        tracing::error!(
            position = number,
            error = describe(&unreadable),
            "A row of access_journal is passed over; what belongs to its accesses may be counted for something else"
        );
        Vec::new()
    });
    #[expect(clippy::cast_possible_truncation, reason = "a clock that far off is cut to what a span can be")]
    let age = TimeDelta::try_milliseconds((seconds * 1e3) as i64).unwrap_or_default();
    JournalRow { position: JournalPosition { number, batch }, age, entries }
}

/// Whether an error says that a row of the journal or an id is there already.
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.is_unique_violation() && matches!(error.table(), Some("access_journal" | "recorded_event"))
}
