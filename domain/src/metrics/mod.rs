//! The pull metrics: what is stored, what can be asked, and the port to the store.

mod breakdown;
mod count;
mod lists;
mod question;

pub use breakdown::{Breakdown, BreakdownRow, Dimension, GroupKey, KeyRef, Measures, Order, Position, Rank};
pub use count::{AccessKind, Change, CountKey, CountedEvent};
pub use lists::{ArchitecturePulls, DayPulls, DigestPulls, ImagePulls, PullGroup, RepositoryPulls, TagPulls};
pub use question::{DateRange, Filter, InvalidDateRange, Listed, MetricsRow, Page, Slice, Summary, Totals};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};

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

/// The store of pull metrics (not a container repository).
///
/// Every implementation passes the suite in `tests/contract`. Counts are kept per [`CountKey`], as long as they are above
/// zero. Text is ordered by its bytes. Questions over a range of dates go by the
/// counts' dates, never by times.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait MetricsRepository: Send + Sync {
    /// Stores the changes of a batch of events, all or nothing, and remembers their ids as recorded at `now`. A count
    /// that falls to zero is gone; a batch that takes more from a count than it holds is refused.
    ///
    /// An event whose id is remembered, or came earlier in the batch, changes nothing. Answers what became of each
    /// event, in the batch's order. After an error it is not known whether the batch was stored; to give it again is
    /// always right.
    async fn record(&self, batch: &[CountedEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError>;

    /// Forgets the ids recorded before a moment, oldest first and at most so many; answers how many it forgot.
    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError>;

    /// Whether the store could take a batch now.
    async fn check(&self) -> Result<(), MetricsError>;

    /// The totals, with `today` as the last day of each span.
    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError>;

    /// The counts that pass a filter, told apart by some dimensions.
    async fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError>;

    /// The rows themselves: the latest date first, then by repository, tag, digest and architecture.
    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError>;

    /// Counts per day and group: by date, then by group. Without a group, one item a day. Days without counts are left
    /// out.
    async fn pulls(
        &self,
        filter: &Filter,
        group: Option<PullGroup>,
        page: &Page<DayPulls>,
    ) -> Result<Slice<DayPulls>, MetricsError> {
        let slice = self.breakdown(&lists::pulls(filter, group, page)).await?;
        lists::items(slice, |row| DayPulls::of(row, group))
    }

    /// Counts per repository: most first, then by name.
    async fn repositories(
        &self,
        filter: &Filter,
        page: &Page<RepositoryPulls>,
    ) -> Result<Slice<RepositoryPulls>, MetricsError> {
        lists::items(self.breakdown(&lists::repositories(filter, page)).await?, RepositoryPulls::of)
    }

    /// Counts per repository and tag: most first, then by repository and tag.
    async fn images(&self, filter: &Filter, page: &Page<ImagePulls>) -> Result<Slice<ImagePulls>, MetricsError> {
        lists::items(self.breakdown(&lists::images(filter, page)).await?, ImagePulls::of)
    }

    /// Counts and repositories per architecture: most counts first, then by name.
    async fn architectures(
        &self,
        filter: &Filter,
        page: &Page<ArchitecturePulls>,
    ) -> Result<Slice<ArchitecturePulls>, MetricsError> {
        lists::items(self.breakdown(&lists::architectures(filter, page)).await?, ArchitecturePulls::of)
    }

    /// Counts per tag and architecture, over all repositories that pass the filter: most first, then by tag and
    /// architecture.
    async fn tags(&self, filter: &Filter, page: &Page<TagPulls>) -> Result<Slice<TagPulls>, MetricsError> {
        lists::items(self.breakdown(&lists::tags(filter, page)).await?, TagPulls::of)
    }

    /// Counts per digest: the latest pulled first, then by digest.
    async fn digests(&self, filter: &Filter, page: &Page<DigestPulls>) -> Result<Slice<DigestPulls>, MetricsError> {
        lists::items(self.breakdown(&lists::digests(filter, page)).await?, DigestPulls::of)
    }
}
