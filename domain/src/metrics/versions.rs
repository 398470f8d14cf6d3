//! The port to a store that tells which days changed: sums of its counts can be kept elsewhere and never be out of date.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};

use super::{AccessKind, DateRange, MetricsError, MetricsRepository};

/// A day's counts of a kind.
pub type DayKey = (NaiveDate, AccessKind);

/// The versions of days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayVersions {
    /// What notices the changes. When it is another than before, changes may have gone unnoticed: versions of before say
    /// nothing.
    pub watch: i64,
    /// The version of each day that has or had counts: another one for other counts, never zero.
    pub versions: BTreeMap<DayKey, i64>,
}

/// A count of a day and kind, as it is stored; of which digest is not told. A day may have very many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayCount {
    /// The repository.
    pub repository: String,
    /// The tag; empty for accesses that named none.
    pub tag: String,
    /// The architecture.
    pub architecture: String,
    /// The count.
    pub count: u64,
    /// When the latest event that added to it happened.
    pub updated_at: DateTime<Utc>,
}

/// The sums of a day and kind, as they were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSums {
    /// The day and kind.
    pub day: DayKey,
    /// The version the counts had when they were summed.
    pub version: i64,
    /// As whoever keeps sums packs them.
    pub packed: Vec<u8>,
}

/// A store of pull metrics that tells which days changed, whoever changed them.
#[async_trait]
pub trait VersionedMetrics: MetricsRepository {
    /// The versions of the days in a range, of one kind or of all, with all that is committed; none while the store
    /// cannot notice changes.
    async fn versions(&self, dates: DateRange, kind: Option<AccessKind>) -> Result<Option<DayVersions>, MetricsError>;

    /// The counts of a day and kind, in no order; none when there are more than so many.
    async fn counts_of_day(&self, day: DayKey, at_most: u32) -> Result<Option<Vec<DayCount>>, MetricsError>;

    /// Of which versions sums are kept under a watch and in a format, by [`VersionedMetrics::keep_sums`] of any server.
    async fn kept_versions(&self, watch: i64, format: &str) -> Result<BTreeMap<DayKey, i64>, MetricsError>;

    /// The sums that are kept so of the days in a range.
    async fn kept_sums(&self, watch: i64, format: &str, dates: DateRange) -> Result<Vec<KeptSums>, MetricsError>;

    /// Keeps the sums of a day and kind, in the place of earlier ones, where the next start finds them.
    async fn keep_sums(&self, watch: i64, format: &str, sums: &KeptSums) -> Result<(), MetricsError>;
}
