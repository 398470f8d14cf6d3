//! The pull metrics: what is stored, what can be asked, and the ports to the store.

mod breakdown;
mod count;
mod filter;
mod folded;
#[cfg(feature = "mocks")]
mod mock;
mod question;
mod versions;

pub use crate::pull_event::PullEvent;
pub use breakdown::{
    Breakdown, BreakdownRow, Dimension, GroupKey, Growth, KeyRank, KeyRef, Measures, Order, OrderedBy, Place, Position,
    Rank,
};
pub use count::{AccessKind, Change, CountKey};
pub use filter::{AnyOf, Filter, Folder, FolderEntry, InvalidFolder, InvalidNamePart, NamePart};
pub use folded::{Folded, first_of_month, last_of_month};
#[cfg(feature = "mocks")]
pub use mock::MockMetricsRepository;
pub use question::{DateRange, InvalidDateRange, Listed, MetricsRow, Page, Slice, Spans, Summary, Totals};
pub use versions::{DayCount, DayKey, DayVersions, KeptSums, VersionedMetrics};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::{
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPart, JournalPosition, TakeTurn},
};

/// What became of an event given to [`MetricsRepository::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Its changes are stored.
    Counted,
    /// An event with its id was recorded before; it changed nothing.
    Duplicate,
}

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The store is away, slow or full: the same call may succeed later.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The store refuses the data of the call; it will refuse them again.
    #[error("the store refuses the data")]
    Refused(#[source] BoxError),
    /// The store holds what no store of pull metrics holds.
    #[error("the store holds unexpected data")]
    Corrupt(#[source] BoxError),
}

/// The cause of a port's error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Asks for pull metrics: what can be asked, and nothing that changes them.
///
/// Counts show as long as they are above zero. Text is ordered by its bytes. Questions over a range of dates go by the
/// counts' dates, never by times.
#[async_trait]
pub trait MetricsReader: Send + Sync {
    /// The totals, with `today` as the last day of each span.
    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError>;

    /// The counts that pass a filter, summed by what they have in common.
    async fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError>;

    /// The rows themselves: the latest date first, then by repository, tag, digest, architecture and the name of the
    /// kind.
    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError>;

    /// What is kept by month. Of such a month a question counts all when the first is among its dates, and else nothing:
    /// [`Folded::counted`] says which dates to ask for.
    async fn folded(&self) -> Result<Folded, MetricsError>;
}

/// The store of pull metrics (not a container repository): it records, and answers questions.
///
/// Every implementation passes the suite in `tests/contract`. Counts are kept per [`CountKey`], as long as they are above
/// zero. Who only asks holds a [`MetricsReader`] and cannot record.
#[async_trait]
pub trait MetricsRepository: MetricsReader {
    /// Stores the changes of a batch of events, all or nothing, and remembers their ids as recorded at `now`. A count
    /// that falls to zero is gone; a batch that takes more from a count than it holds is refused.
    ///
    /// An event whose id is remembered, or came earlier in the batch, changes nothing. Answers what became of each
    /// event, in the batch's order. After an error it is not known whether the batch was stored; to give it again is
    /// always right.
    async fn record(&self, batch: &[PullEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError>;

    /// Stores a batch that was counted knowing all of the journal up to the row it stands behind: its row, its changes and
    /// its ids, as [`MetricsRepository::record`] does, all or nothing.
    async fn append(&self, batch: &JournalBatch, now: DateTime<Utc>) -> Result<Appended, MetricsError>;

    /// The same where others write too, or where an id may be archived ([`EventStamp::may_be_archived`]): waits for its
    /// turn, tells what stands behind a place and which of some events are recorded, and stores the batch that follows
    /// from that.
    async fn append_in_turn(
        &self,
        behind: Option<JournalPosition>,
        events: &[EventStamp],
        batch: &mut dyn TakeTurn,
        now: DateTime<Utc>,
    ) -> Result<Appended, MetricsError>;

    /// What stands in the journal behind a place, or from the beginning of its window on; at most so many rows. None are
    /// told where no other server can have written any.
    async fn journal(
        &self,
        behind: Option<JournalPosition>,
        at_most: u32,
        now: DateTime<Utc>,
    ) -> Result<JournalPart, MetricsError>;

    /// Forgets rows of the journal that are older, by the database's clock, oldest first and at most so many, and never the last;
    /// answers how many it forgot.
    async fn forget_journal(
        &self,
        older_than: TimeDelta,
        at_most: u32,
        now: DateTime<Utc>,
    ) -> Result<u64, MetricsError>;

    /// Puts the ids recorded before a moment aside, oldest first and at most so many, where they take less room and are
    /// found by the timestamps of their events; answers how many. A store that has no such place answers 0.
    async fn archive_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError>;

    /// Forgets the ids recorded before a moment, oldest first and about so many; answers how many it forgot.
    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError>;

    /// Folds what others noted of the days they changed into the versions of these days, at most so many notes; answers
    /// how many. A store where others note nothing answers 0.
    async fn fold_changes(&self, at_most: u32) -> Result<u64, MetricsError>;

    /// Keeps more by month from now on, and never less. What is counted of these days later goes to their months;
    /// what was counted before stays where it is until it is folded, and is counted all the same.
    async fn keep_by_month(&self, folded: Folded) -> Result<(), MetricsError>;

    /// The next day, behind another, of which counts are to be folded.
    async fn day_to_fold(&self, after: Option<NaiveDate>) -> Result<Option<NaiveDate>, MetricsError>;

    /// Folds some counts of a day, about so many rows, into those of its month; answers how many rows it folded. A row that
    /// would make the month's larger than a count can be stays.
    async fn fold_day(&self, day: NaiveDate, at_most: u32) -> Result<u64, MetricsError>;

    /// Forgets counts of days before one, at most so many rows of each table; answers how many rows.
    async fn forget_counts(&self, before: NaiveDate, at_most: u32) -> Result<u64, MetricsError>;

    /// Whether the store could take a batch now.
    async fn check(&self) -> Result<(), MetricsError>;
}
