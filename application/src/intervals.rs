//! Counts by week and by month: intervals of the date.

use std::{collections::BTreeMap, time::Duration};

use chrono::{Datelike, Days, Months, NaiveDate};
use staticreg_domain::metrics::{
    Breakdown, BreakdownRow, DateRange, Dimension, Filter, GroupKey, Measures, MetricsError, Order, Page, Position,
    Slice,
};

use tokio::time::timeout;

use crate::ask_metrics::AskMetrics;

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
