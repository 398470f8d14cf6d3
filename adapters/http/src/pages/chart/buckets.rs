//! What the bars of a chart stand for: days, weeks cut from the end, calendar months.

use chrono::{Datelike, NaiveDate};
use staticreg_application::{
    browse::{Daily, Series},
    intervals::Interval,
};

/// The most bars of a chart whose interval nobody chose: longer ranges are shown by week, four weeks or quarter.
const MAX_BARS: usize = 100;

/// The same, where somebody did: the days of a year.
const MAX_CHOSEN_BARS: usize = 366;

/// Counts of a bar: a day, or several.
pub(super) struct Bucket {
    pub(super) first: NaiveDate,
    pub(super) last: NaiveDate,
    /// Whether it holds today.
    pub(super) so_far: bool,
    pub(super) values: Vec<u64>,
    /// The counts of as many days of the period before; none when there is none to compare with.
    pub(super) before: Vec<u64>,
}

impl Bucket {
    pub(super) fn days(&self) -> u64 {
        (self.last - self.first).num_days().unsigned_abs() + 1
    }
}

/// How the days are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Into so many days each.
    Days(usize),
    /// By month.
    Months,
}

impl Cut {
    /// What suits the days, or what was chosen where that makes no more bars than a page can hold.
    pub(super) fn of(daily: &Daily, interval: Option<Interval>) -> Self {
        if daily.months_before.is_some() {
            return Self::Months;
        }
        let days = usize::try_from((daily.range.to() - daily.range.from()).num_days() + 1).unwrap_or(1);
        let fits = |bucket: usize, most: usize| days.div_ceil(bucket) <= most;
        match interval {
            Some(Interval::Day) if fits(1, MAX_CHOSEN_BARS) => return Self::Days(1),
            Some(Interval::Week) if fits(7, MAX_CHOSEN_BARS) => return Self::Days(7),
            Some(Interval::Month) => return Self::Months,
            _ => {}
        }
        Self::Days([1, 7, 28].into_iter().find(|bucket| fits(*bucket, MAX_BARS)).unwrap_or(91))
    }

    /// What a table calls the days of a bar.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Days(1) => "Day",
            Self::Days(7) => "7 days from",
            Self::Days(28) => "4 weeks from",
            Self::Days(_) => "13 weeks from",
            Self::Months => "Month from",
        }
    }

    /// Cut from the end, so that the latest has as many days as those before: a last one of few days would look like a
    /// fall. `before` are series of the period before, which has as many days.
    pub(super) fn buckets(self, daily: &Daily, series: &[Series], before: &[Series], today: NaiveDate) -> Vec<Bucket> {
        let dates: Vec<NaiveDate> =
            daily.range.from().iter_days().take_while(|date| *date <= daily.range.to()).collect();
        let parts: Vec<&[NaiveDate]> = match self {
            Self::Days(days) => dates.rchunks(days).rev().collect(),
            Self::Months => dates.chunk_by(|a, b| (a.year(), a.month()) == (b.year(), b.month())).collect(),
        };
        let mut start = 0;
        let bucket = |dates: &[NaiveDate]| {
            let sums = |series: &[Series]| {
                let sum = |series: &Series| series.days.iter().skip(start).take(dates.len()).sum();
                series.iter().map(sum).collect()
            };
            let (first, last) = (dates[0], dates[dates.len() - 1]);
            let so_far = (first..=last).contains(&today);
            let bucket = Bucket { first, last, so_far, values: sums(series), before: sums(before) };
            start += dates.len();
            bucket
        };
        parts.into_iter().map(bucket).collect()
    }
}
