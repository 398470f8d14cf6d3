//! Asks for statistics.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    Clock,
    metrics::{
        Breakdown, BreakdownRow, DateRange, Folded, InvalidDateRange, Listed, MetricsError, MetricsReader, Summary,
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

/// The dates that a question counts, and what of them is kept by month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The dates. They hold all days of a month that is kept as such.
    pub dates: DateRange,
    /// The counts of days before are kept by month; none when all of these dates are kept by day.
    pub months_before: Option<NaiveDate>,
}

/// Asks the store, which it knows as a reader only, and knows what people mean by their dates.
#[derive(Clone)]
pub struct AskMetrics {
    store: Arc<dyn MetricsReader>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl AskMetrics {
    /// Asks the given store.
    #[must_use]
    pub fn new(store: Arc<dyn MetricsReader>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// The store, to ask any question.
    #[must_use]
    pub fn store(&self) -> &dyn MetricsReader {
        &*self.store
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

    /// The dates to count where some are asked for. Those of the last weeks need no look at the store.
    pub async fn counted(&self, dates: DateRange) -> Result<Counted, MetricsError> {
        let folded =
            if Folded::may_hold(dates.from(), self.now()) { self.store.folded().await? } else { Folded::NOTHING };
        let months_before = folded.matters_to(dates).then_some(folded.days_before);
        Ok(Counted { dates: folded.counted(dates), months_before })
    }

    /// The totals until today.
    pub async fn summary(&self) -> Result<Summary, MetricsError> {
        self.store.summary(self.today()).await
    }

    /// Gives every row of a breakdown to `each`, in order; the limit is how many are asked for at once. `each` answers
    /// none for a row that lacks what was asked for.
    pub async fn every_row(
        &self,
        mut breakdown: Breakdown,
        mut each: impl FnMut(BreakdownRow) -> Option<()>,
    ) -> Result<(), MetricsError> {
        loop {
            let slice = self.store.breakdown(&breakdown).await?;
            breakdown.page.after = slice.items.last().map(Listed::position);
            if !slice.items(&mut each)?.more {
                return Ok(());
            }
        }
    }
}
