//! Asks for statistics.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    Clock,
    metrics::{
        ArchitecturePulls, DateRange, DayPulls, DigestPulls, Filter, ImagePulls, InvalidDateRange, MetricsError,
        MetricsRepository, MetricsRow, Page, PullGroup, RepositoryPulls, Slice, Summary, TagPulls,
    },
};

/// How many days a question covers that names no dates.
pub const DEFAULT_DAYS: u32 = 30;

/// The dates of a question as people give them: both ends, one end, a number of days, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dates {
    /// The first date.
    pub from: Option<NaiveDate>,
    /// The last date; today when not given.
    pub to: Option<NaiveDate>,
    /// The number of days until the last date, instead of the first date.
    pub days: Option<u32>,
}

/// The questions about the counts.
#[derive(Clone)]
pub struct AskMetrics {
    store: Arc<dyn MetricsRepository>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl AskMetrics {
    /// Asks the given store.
    #[must_use]
    pub fn new(store: Arc<dyn MetricsRepository>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The UTC date of today.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.now().date_naive()
    }

    /// The range that dates stand for; the last [`DEFAULT_DAYS`] when none is given. `days` rules over `from`.
    pub fn range(&self, dates: Dates) -> Result<DateRange, InvalidDateRange> {
        let to = dates.to.unwrap_or_else(|| self.today());
        match (dates.days, dates.from) {
            (None, Some(from)) => DateRange::new(from, to),
            (days, _) => Ok(DateRange::days_until(to, days.unwrap_or(DEFAULT_DAYS))),
        }
    }

    /// Whether the store can take events now.
    pub async fn check(&self) -> Result<(), MetricsError> {
        self.store.check().await
    }

    /// The totals until today.
    pub async fn summary(&self) -> Result<Summary, MetricsError> {
        self.store.summary(self.today()).await
    }

    /// Counts per day; see [`MetricsRepository::pulls`].
    pub async fn pulls(
        &self,
        filter: &Filter,
        group: Option<PullGroup>,
        page: &Page<DayPulls>,
    ) -> Result<Slice<DayPulls>, MetricsError> {
        self.store.pulls(filter, group, page).await
    }

    /// Counts per repository; see [`MetricsRepository::repositories`].
    pub async fn repositories(
        &self,
        filter: &Filter,
        page: &Page<RepositoryPulls>,
    ) -> Result<Slice<RepositoryPulls>, MetricsError> {
        self.store.repositories(filter, page).await
    }

    /// Counts per repository and tag; see [`MetricsRepository::images`].
    pub async fn images(&self, filter: &Filter, page: &Page<ImagePulls>) -> Result<Slice<ImagePulls>, MetricsError> {
        self.store.images(filter, page).await
    }

    /// Counts per architecture; see [`MetricsRepository::architectures`].
    pub async fn architectures(
        &self,
        filter: &Filter,
        page: &Page<ArchitecturePulls>,
    ) -> Result<Slice<ArchitecturePulls>, MetricsError> {
        self.store.architectures(filter, page).await
    }

    /// Counts per tag and architecture; see [`MetricsRepository::tags`].
    pub async fn tags(&self, filter: &Filter, page: &Page<TagPulls>) -> Result<Slice<TagPulls>, MetricsError> {
        self.store.tags(filter, page).await
    }

    /// Counts per digest; see [`MetricsRepository::digests`].
    pub async fn digests(&self, filter: &Filter, page: &Page<DigestPulls>) -> Result<Slice<DigestPulls>, MetricsError> {
        self.store.digests(filter, page).await
    }

    /// The stored rows; see [`MetricsRepository::rows`].
    pub async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        self.store.rows(filter, page).await
    }
}
