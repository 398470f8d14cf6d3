//! The journal: what a way to count remembers of accesses, stored with the counts that follow from it.
//!
//! Each batch is one row behind the last that its server has read. A server that finds another row there reads what came
//! between, counts its batch anew and tries again: so every batch is counted knowing all that was stored before it, by
//! whichever server, and a start reads back what the server remembered. Why: `docs/adr/0007-the-journal.md`.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{Digest, EventId, ManifestAccess, PullEvent, manifest_access::IndexChild};

/// A row of the journal: where it stands, and which batch it is. Where one server knows one batch and the database holds
/// another, the database is an older state or another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalPosition {
    /// One more than that of the row before.
    pub number: i64,
    /// The batch, drawn at random.
    pub batch: Uuid,
}

/// What a way to count is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEntry {
    /// An access.
    Access(ManifestAccess),
    /// The children of an index, asked from the registry.
    Index {
        /// The index.
        digest: Digest,
        /// What it lists.
        children: Vec<IndexChild>,
    },
}

impl JournalEntry {
    /// The access, when it is one.
    #[must_use]
    pub fn access(&self) -> Option<&ManifestAccess> {
        match self {
            Self::Access(access) => Some(access),
            Self::Index { .. } => None,
        }
    }
}

/// A batch that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Where it stands.
    pub position: JournalPosition,
    /// How long ago it was stored, by the database's clock.
    pub age: TimeDelta,
    /// What it told.
    pub entries: Vec<JournalEntry>,
}

/// What stands in the journal behind a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalPart {
    /// Whether that place is still there. If not, the rows are those of the window, from its beginning.
    pub continues: bool,
    /// The rows, in order.
    pub rows: Vec<JournalRow>,
}

/// A batch to be stored: what was told, and what it changes.
#[derive(Clone, Debug)]
pub struct JournalBatch {
    /// The row that it stands behind.
    pub behind: JournalPosition,
    /// The batch.
    pub id: Uuid,
    /// What was told.
    pub entries: Vec<JournalEntry>,
    /// What that changes, each with an id that is remembered.
    pub events: Vec<PullEvent>,
}

impl JournalBatch {
    /// Where it stands once it is stored. Behind the last number there is, it never is.
    #[must_use]
    pub fn position(&self) -> JournalPosition {
        JournalPosition { number: self.behind.number.saturating_add(1), batch: self.id }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is stored.
    Stored,
    /// Nothing is stored: another row stands behind the one it names, that one is not there, or an id is known.
    Conflict,
}

/// What is known when it is a server's turn.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What stands behind the place that the server had read to.
    pub news: JournalPart,
    /// Where the journal ends.
    pub end: JournalPosition,
    /// Those of the ids that are recorded.
    pub recorded: HashSet<EventId>,
}

/// Counts a batch when it is the server's turn.
pub trait TakeTurn: Send {
    /// The batch that follows; none when nothing is to be stored.
    fn take_turn(&mut self, turn: Turn) -> Option<JournalBatch>;
}

/// How far back the journal is read at a start, and kept at least: twice as long as accesses are remembered, as those that
/// are forgotten say which of the others may be read anew, and a minute more for what is told once a minute.
pub const JOURNAL_WINDOW: TimeDelta = TimeDelta::minutes(31);

/// A moment so long ago.
#[must_use]
pub fn ago(now: DateTime<Utc>, age: TimeDelta) -> DateTime<Utc> {
    now.checked_sub_signed(age.max(TimeDelta::zero())).unwrap_or(now)
}
