//! Counts by day, week and month: intervals of the date.

use std::{collections::BTreeMap, iter, time::Duration};

use chrono::{Datelike, Days, Months, NaiveDate};
use staticreg_domain::metrics::{
    Breakdown, BreakdownRow, DateRange, Dimension, Filter, GroupKey, Measures, MetricsError, Order, Page, Position,
    Slice, first_of_month, last_of_month,
};

use tokio::time::timeout;

use crate::ask_metrics::{AskMetrics, Counted};

/// How long it may take, however many intervals are asked for: as long as any other question.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// How many days are asked for at once.
const DAYS: u32 = 4_000;

/// A span of dates that are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interval {
    /// A day.
    #[default]
    Day,
    /// A week of ISO 8601, from Monday on.
    Week,
    /// A month of the calendar.
    Month,
}

impl Interval {
    /// The first day of the interval that a date lies in.
    #[must_use]
    pub fn first(self, date: NaiveDate) -> NaiveDate {
        let days_before = match self {
            Self::Day => 0,
            Self::Week => date.weekday().num_days_from_monday(),
            Self::Month => date.day0(),
        };
        date.checked_sub_days(Days::new(days_before.into())).unwrap_or(NaiveDate::MIN)
    }

    /// The dates of the interval with such a first day.
    fn dates(self, first: NaiveDate) -> (NaiveDate, NaiveDate) {
        let next = match self {
            Self::Day => first.checked_add_days(Days::new(1)),
            Self::Week => first.checked_add_days(Days::new(7)),
            Self::Month => first.checked_add_months(Months::new(1)),
        };
        (first, next.and_then(|next| next.pred_opt()).unwrap_or(NaiveDate::MAX))
    }

    /// The interval with such a first day, as a question counts it.
    #[must_use]
    pub fn period(self, first: NaiveDate, counted: Counted, today: NaiveDate) -> Period {
        let (_, mut last) = self.dates(first);
        if let Some(month) = self.month_in(first, counted) {
            last = last.max(last_of_month(month));
        }
        let range = counted.dates;
        Period {
            first_on: first.max(range.from()),
            last_on: last.min(range.to()),
            is_complete: range.from() <= first && last <= range.to() && last < today,
        }
    }

    /// The first day of the month that is kept as such and counted in the interval with such a first day.
    fn month_in(self, first: NaiveDate, counted: Counted) -> Option<NaiveDate> {
        let (_, last) = self.dates(first);
        let month = first_of_month(last);
        (first <= month && counted.months_before.is_some_and(|before| month < before)).then_some(month)
    }

    /// Whether counts are told apart by an interval with such a first day: of days that are kept by month, by those alone in
    /// which a month begins.
    fn is_counted(self, first: NaiveDate, counted: Counted) -> bool {
        let (_, last) = self.dates(first);
        counted.months_before.is_none_or(|before| last >= before) || self.month_in(first, counted).is_some()
    }

    /// The first days of the intervals that are counted, from the one behind another on.
    fn firsts(self, counted: Counted, behind: Option<NaiveDate>) -> impl Iterator<Item = NaiveDate> {
        let next = move |first: &NaiveDate| self.dates(*first).1.succ_opt();
        let begin = self.first(counted.dates.from());
        let begin = behind.map_or(Some(begin), |behind| next(&behind).map(|next| next.max(begin)));
        iter::successors(begin, next)
            .take_while(move |first| *first <= counted.dates.to())
            .filter(move |first| self.is_counted(*first, counted))
    }
}

/// An interval as a question counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first date that is counted.
    pub first_on: NaiveDate,
    /// The last date that is counted; of a month that is kept as such, its last.
    pub last_on: NaiveDate,
    /// Whether all of the interval is asked for, and over.
    pub is_complete: bool,
}

impl AskMetrics {
    /// A breakdown by date, by key, with intervals in the place of days: the date of a row is its interval's first day,
    /// also where that lies before the dates asked for. Intervals without counts are left out.
    ///
    /// A store knows no intervals: it is asked which days have counts, then for each interval on the page.
    pub async fn by_interval(
        &self,
        interval: Interval,
        breakdown: &Breakdown,
    ) -> Result<Slice<BreakdownRow>, MetricsError> {
        debug_assert!(breakdown.tells(Dimension::Date) && breakdown.order == Order::Key, "{breakdown:?}");
        if interval == Interval::Day {
            return self.store().breakdown(breakdown).await;
        }
        let late = |_| Err(MetricsError::Unavailable("no answer in time".into()));
        timeout(QUESTION_TIMEOUT, self.by_intervals(interval, breakdown)).await.unwrap_or_else(late)
    }

    /// The same of a breakdown by date alone, with the intervals without counts as rows of zero.
    pub async fn by_every_interval(
        &self,
        interval: Interval,
        breakdown: &Breakdown,
        counted: Counted,
    ) -> Result<Slice<BreakdownRow>, MetricsError> {
        debug_assert!(breakdown.by == [Dimension::Date], "{breakdown:?}");
        let Breakdown { filter, page, .. } = breakdown;
        let behind = page.after.as_ref().and_then(|position| position.key.date);
        // One row more than are wanted tells whether more follow.
        let wanted = page.limit.saturating_add(1);
        let firsts: Vec<NaiveDate> = interval.firsts(counted, behind).take(wanted as usize).collect();
        let ends = firsts.first().zip(firsts.last());
        let Some(dates) = ends.and_then(|(first, last)| {
            let (from, to) = (filter.dates.from().max(*first), filter.dates.to().min(interval.dates(*last).1));
            DateRange::new(from, to).ok()
        }) else {
            return Ok(Slice::new(Vec::new(), page.limit));
        };
        let filter = Filter { dates, ..filter.clone() };
        let with_counts = Breakdown { filter, page: Page::first(wanted), ..breakdown.clone() };
        let rows = self.by_interval(interval, &with_counts).await?.items;
        let mut rows: BTreeMap<Option<NaiveDate>, BreakdownRow> =
            rows.into_iter().map(|row| (row.key.date, row)).collect();
        let row = |first: NaiveDate| {
            let key = GroupKey { date: Some(first), ..GroupKey::default() };
            rows.remove(&key.date).unwrap_or(BreakdownRow { key, ..BreakdownRow::default() })
        };
        Ok(Slice::new(firsts.into_iter().map(row).collect(), page.limit))
    }

    async fn by_intervals(
        &self,
        interval: Interval,
        breakdown: &Breakdown,
    ) -> Result<Slice<BreakdownRow>, MetricsError> {
        let Breakdown { by, measures, filter, order, page } = breakdown;
        let sums = self.sums_of_intervals(interval, breakdown).await?;
        let by: Vec<Dimension> = by.iter().copied().filter(|dimension| *dimension != Dimension::Date).collect();
        // One row more than are wanted tells whether more follow.
        let wanted = page.limit as usize + 1;
        let mut rows = Vec::new();
        for (first, count) in sums {
            if rows.len() >= wanted {
                break;
            }
            let read_on = page.after.as_ref().filter(|position| position.key.date == Some(first));
            if by.is_empty() && *measures == Measures::COUNT {
                // The only row of its interval.
                if read_on.is_none() {
                    let key = GroupKey { date: Some(first), ..GroupKey::default() };
                    rows.push(BreakdownRow { key, count, ..BreakdownRow::default() });
                }
                continue;
            }
            let (from, to) = interval.dates(first);
            let Ok(dates) = DateRange::new(from.max(filter.dates.from()), to.min(filter.dates.to())) else { continue };
            let after = read_on.map(|position| {
                let key = GroupKey { date: None, ..position.key.clone() };
                Position { key, ..position.clone() }
            });
            let limit = u32::try_from(wanted - rows.len()).unwrap_or(u32::MAX);
            let of_interval = Breakdown {
                by: by.clone(),
                measures: *measures,
                filter: Filter { dates, ..filter.clone() },
                order: *order,
                page: Page { limit, after },
            };
            let found = self.store().breakdown(&of_interval).await?.items.into_iter();
            rows.extend(found.map(|row| BreakdownRow { key: GroupKey { date: Some(first), ..row.key }, ..row }));
        }
        Ok(Slice::new(rows, page.limit))
    }

    /// By its first day, the sum of each interval with counts, from the one on where the page begins.
    async fn sums_of_intervals(
        &self,
        interval: Interval,
        breakdown: &Breakdown,
    ) -> Result<BTreeMap<NaiveDate, u64>, MetricsError> {
        let filter = &breakdown.filter;
        let begin = breakdown.page.after.as_ref().and_then(|position| position.key.date).unwrap_or(NaiveDate::MIN);
        let mut sums = BTreeMap::new();
        let Ok(dates) = DateRange::new(filter.dates.from().max(interval.first(begin)), filter.dates.to()) else {
            return Ok(sums);
        };
        let days = Breakdown {
            by: vec![Dimension::Date],
            measures: Measures::COUNT,
            filter: Filter { dates, ..filter.clone() },
            order: Order::Key,
            page: Page::first(DAYS),
        };
        self.every_row(days, |day| {
            *sums.entry(interval.first(day.key.date?)).or_default() += day.count;
            Some(())
        })
        .await?;
        Ok(sums.split_off(&begin))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use chrono::{DateTime, Utc};
    use staticreg_domain::{
        Clock,
        metrics::{Folded, MetricsReader, MetricsRow, Summary},
    };
    use tokio::time::{Instant, sleep};

    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        use Interval::{Day, Month, Week};
        for (interval, day, first, last) in [
            (Day, "2026-11-21", "2026-11-21", "2026-11-21"),
            (Week, "2026-11-21", "2026-11-16", "2026-11-22"),
            (Week, "2026-11-16", "2026-11-16", "2026-11-22"),
            (Week, "2027-01-01", "2026-12-28", "2027-01-03"),
            (Month, "2026-11-30", "2026-11-01", "2026-11-30"),
            (Month, "2028-02-29", "2028-02-01", "2028-02-29"),
            (Month, "2026-12-01", "2026-12-01", "2026-12-31"),
        ] {
            assert_eq!(interval.first(date(day)), date(first), "{interval:?} of {day}");
            assert_eq!(interval.dates(date(first)), (date(first), date(last)), "{interval:?} of {day}");
        }
    }

    fn counted(from: &str, to: &str, months_before: Option<&str>) -> Counted {
        let dates = DateRange::new(date(from), date(to)).expect("a range");
        Counted { dates, months_before: months_before.map(date) }
    }

    #[test]
    fn a_period_that_is_cut_or_not_over_is_not_complete() {
        use Interval::{Day, Month, Week};
        let all = counted("2026-10-28", "2026-11-21", None);
        for (interval, first, first_on, last_on, is_complete) in [
            (Day, "2026-10-28", "2026-10-28", "2026-10-28", true),
            (Day, "2026-11-20", "2026-11-20", "2026-11-20", true),
            (Day, "2026-11-21", "2026-11-21", "2026-11-21", false),
            (Week, "2026-10-26", "2026-10-28", "2026-11-01", false),
            (Week, "2026-11-02", "2026-11-02", "2026-11-08", true),
            (Week, "2026-11-16", "2026-11-16", "2026-11-21", false),
            (Month, "2026-10-01", "2026-10-28", "2026-10-31", false),
            (Month, "2026-11-01", "2026-11-01", "2026-11-21", false),
        ] {
            let expected = Period { first_on: date(first_on), last_on: date(last_on), is_complete };
            assert_eq!(interval.period(date(first), all, date("2026-11-21")), expected, "{interval:?} {first}");
        }
    }

    #[test]
    fn what_is_kept_by_month_is_a_period_of_a_month() {
        let kept = counted("2026-06-01", "2026-08-10", Some("2026-08-01"));
        let today = date("2026-11-21");
        for (interval, first, last_on) in [
            (Interval::Day, "2026-06-01", "2026-06-30"),
            (Interval::Day, "2026-08-01", "2026-08-01"),
            (Interval::Week, "2026-06-29", "2026-07-31"),
            (Interval::Week, "2026-08-03", "2026-08-09"),
            (Interval::Month, "2026-07-01", "2026-07-31"),
        ] {
            let period = interval.period(date(first), kept, today);
            assert_eq!((period.first_on, period.last_on), (date(first), date(last_on)), "{interval:?} {first}");
        }
        let days: Vec<_> = Interval::Day.firsts(kept, None).take(4).collect();
        assert_eq!(days, ["2026-06-01", "2026-07-01", "2026-08-01", "2026-08-02"].map(date));
        let weeks: Vec<_> = Interval::Week.firsts(kept, Some(date("2026-06-01"))).collect();
        assert_eq!(weeks, ["2026-06-29", "2026-07-27", "2026-08-03", "2026-08-10"].map(date));
        assert_eq!(Interval::Month.firsts(counted("2026-08-01", "2026-08-02", None), Some(NaiveDate::MAX)).count(), 0);
    }

    /// A store that has a pull on every day, and takes a second to say so.
    struct Slow;

    #[async_trait]
    impl MetricsReader for Slow {
        async fn summary(&self, _today: NaiveDate) -> Result<Summary, MetricsError> {
            Ok(Summary::default())
        }

        async fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError> {
            sleep(Duration::from_secs(1)).await;
            let dates = breakdown.filter.dates;
            let days = dates.from().iter_days().take_while(|date| *date <= dates.to()).map(Some);
            let dates: Vec<_> = if breakdown.tells(Dimension::Date) { days.collect() } else { vec![None] };
            let row = |date| BreakdownRow {
                key: GroupKey { date, architecture: "amd64".parse().ok(), ..GroupKey::default() },
                count: 1,
                ..BreakdownRow::default()
            };
            Ok(Slice::new(dates.into_iter().map(row).collect(), breakdown.page.limit))
        }

        async fn rows(&self, _: &Filter, _: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
            Ok(Slice::new(Vec::new(), 0))
        }

        async fn folded(&self) -> Result<Folded, MetricsError> {
            Ok(Folded::NOTHING)
        }
    }

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> DateTime<Utc> {
            "2026-11-21T12:00:00Z".parse().expect("a time")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_intervals_there_are_a_question_has_one_limit() {
        let ask = AskMetrics::new(Arc::new(Slow), Arc::new(Noon));
        for (weeks, is_answered) in [(4, true), (40, false)] {
            let breakdown = Breakdown {
                by: vec![Dimension::Date, Dimension::Architecture],
                measures: Measures::COUNT,
                filter: Filter::of_dates(DateRange::days_until(date("2026-11-22"), 7 * weeks)),
                order: Order::Key,
                page: Page::first(100),
            };
            let started = Instant::now();
            let answer = ask.by_interval(Interval::Week, &breakdown).await;
            assert_eq!(answer.is_ok(), is_answered, "{weeks}: {answer:?}");
            assert!(started.elapsed() <= QUESTION_TIMEOUT, "{weeks}");
        }
    }

    #[test]
    fn time_has_a_first_and_a_last_interval() {
        for interval in [Interval::Week, Interval::Month] {
            let first = interval.first(NaiveDate::MIN);
            assert!(first <= NaiveDate::MIN, "{first}");
            let (_, last) = interval.dates(interval.first(NaiveDate::MAX));
            assert_eq!(last, NaiveDate::MAX);
        }
    }
}
