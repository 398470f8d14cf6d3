//! What was counted before: in as many days as a question is about, which end with the day before it.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};
use staticreg_domain::metrics::{
    AccessKind, AnyOf, Breakdown, DateRange, Dimension, Filter, Measures, MetricsError, Order, Page,
};

use crate::{
    ask_metrics::{AskMetrics, Counted},
    intervals::Period,
};

/// How many rows are asked for at once.
const ROWS: u32 = 4_000;

/// The counts of as many days before those of a question: one number for each day that has counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaysBefore {
    dates: DateRange,
    /// How far they lie before.
    distance: TimeDelta,
    counts: BTreeMap<NaiveDate, u64>,
    months_before: Option<NaiveDate>,
}

impl DaysBefore {
    /// The dates.
    #[must_use]
    pub fn dates(&self) -> DateRange {
        self.dates
    }

    /// What was counted in the days that lie as far before those of a period; none where some of them are kept by month.
    #[must_use]
    pub fn of(&self, period: Period) -> Option<u64> {
        let [first, last] = [period.first_on, period.last_on].map(|date| date.checked_sub_signed(self.distance));
        let (first, last) = (first?, last?);
        let is_kept_by_day = self.months_before.is_none_or(|before| first >= before);
        (is_kept_by_day && first <= last).then(|| self.counts.range(first..=last).map(|(_, count)| count).sum())
    }
}

/// What was counted before the spans of a summary, in as many days each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpansBefore {
    /// Yesterday.
    pub today: u64,
    /// The seven days before the last seven.
    pub last_7_days: u64,
    /// The 30 days before the last 30.
    pub last_30_days: u64,
}

impl AskMetrics {
    /// The counts of as many days before those of a filter.
    pub async fn days_before(&self, filter: &Filter) -> Result<DaysBefore, MetricsError> {
        let dates = filter.dates.previous();
        let Counted { months_before, .. } = self.counted(dates).await?;
        let mut counts = BTreeMap::new();
        let days = by(vec![Dimension::Date], Filter { dates, ..filter.clone() });
        self.every_row(days, |day| {
            counts.insert(day.key.date?, day.count);
            Some(())
        })
        .await?;
        Ok(DaysBefore { dates, distance: filter.dates.from() - dates.from(), counts, months_before })
    }

    /// What was counted before the spans that end today, of each kind.
    ///
    /// It is asked for beside the summary, not with it: of days that are over hardly anything changes. None of them is kept
    /// by month ([`staticreg_domain::metrics::Folded::MIN_DAILY_DAYS`]).
    pub async fn spans_before(&self) -> Result<BTreeMap<AccessKind, SpansBefore>, MetricsError> {
        let [day, week, month] = [1, 7, 30].map(|days| DateRange::days_until(self.today(), days).previous());
        let dates = DateRange::new(month.from(), day.to()).unwrap_or(day);
        let mut all: BTreeMap<AccessKind, SpansBefore> = BTreeMap::new();
        let filter = Filter { kind: AnyOf::EVERY, ..Filter::of_dates(dates) };
        self.every_row(by(vec![Dimension::Date, Dimension::Kind], filter), |row| {
            let (date, before) = (row.key.date?, all.entry(row.key.kind?).or_default());
            let spans = [(day, &mut before.today), (week, &mut before.last_7_days), (month, &mut before.last_30_days)];
            for (_, sum) in spans.into_iter().filter(|(span, _)| span.contains(date)) {
                *sum += row.count;
            }
            Some(())
        })
        .await?;
        Ok(all)
    }
}

fn by(by: Vec<Dimension>, filter: Filter) -> Breakdown {
    Breakdown { by, measures: Measures::COUNT, filter, order: Order::Key, page: Page::first(ROWS) }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::metrics::Folded;

    use super::*;
    use crate::{browse::testing::CountingStore, intervals::Interval};

    fn date(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    fn range(from: &str, to: &str) -> DateRange {
        DateRange::new(date(from), date(to)).expect("a range")
    }

    #[tokio::test]
    async fn the_spans_before_end_where_those_of_the_summary_begin() {
        let counted = CountingStore::new();
        for (day, count) in [
            ("2026-11-21", 1),
            ("2026-11-20", 2),
            ("2026-11-15", 4),
            ("2026-11-14", 8),
            ("2026-11-08", 16),
            ("2026-11-07", 32),
            ("2026-10-23", 64),
            ("2026-10-22", 128),
            ("2026-09-23", 256),
            ("2026-09-22", 512),
        ] {
            counted.pulls(day, "a:1", count).await;
        }
        let before = counted.ask.spans_before().await.unwrap();
        let expected = SpansBefore { today: 2, last_7_days: 8 + 16, last_30_days: 128 + 256 };
        assert_eq!(before, BTreeMap::from([(AccessKind::PullByTag, expected)]));
    }

    #[tokio::test]
    async fn each_period_has_the_days_as_far_before() {
        let counted = CountingStore::new();
        for (day, count) in [("2026-11-09", 1), ("2026-11-10", 2), ("2026-11-14", 4), ("2026-11-15", 8)] {
            counted.pulls(day, "a:1", count).await;
        }
        let filter = Filter::of_dates(range("2026-11-15", "2026-11-21"));
        let before = counted.ask.days_before(&filter).await.unwrap();
        assert_eq!(before.dates(), range("2026-11-08", "2026-11-14"));
        let asked = Counted { dates: filter.dates, months_before: None };
        let of = |interval: Interval, first| before.of(interval.period(date(first), asked, date("2026-11-21")));
        assert_eq!(["2026-11-15", "2026-11-16", "2026-11-17"].map(|day| of(Interval::Day, day)), [0, 1, 2].map(Some));
        // Of the first week only the Sunday is asked for.
        assert_eq!(["2026-11-09", "2026-11-16"].map(|day| of(Interval::Week, day)), [0, 7].map(Some));
    }

    #[tokio::test]
    async fn days_that_are_kept_by_month_are_not_told() {
        let counted = CountingStore::new();
        counted.keep_by_month(Folded { days_before: date("2026-09-01"), ..Folded::NOTHING }).await;
        let filter = Filter::of_dates(range("2026-09-02", "2026-09-03"));
        let before = counted.ask.days_before(&filter).await.unwrap();
        let asked = Counted { dates: filter.dates, months_before: None };
        let of = |day| before.of(Interval::Day.period(date(day), asked, date("2026-11-21")));
        assert_eq!((of("2026-09-02"), of("2026-09-03")), (None, Some(0)));
    }
}
