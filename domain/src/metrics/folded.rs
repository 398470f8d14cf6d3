//! Which counts are kept by month.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};

use super::{Change, CountKey, DateRange, PullEvent};
use crate::Digest;

/// What is kept by month: one row for each month and key, dated on the first of the month, in the place of one for each
/// day.
///
/// Whatever changes a count of these days later changes the month's. As a mark stands so far in the past
/// ([`Folded::MIN_DAILY_DAYS`]), who changes counts of the last days alone need not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The counts of days before this one are kept by month. The first of a month.
    pub days_before: NaiveDate,
    /// Those of days before this one are kept without their digests. The first of a month, not after `days_before`.
    pub digests_before: NaiveDate,
}

impl Folded {
    /// Nothing is.
    pub const NOTHING: Self = Self { days_before: BEGINNING, digests_before: BEGINNING };

    /// So many days are kept as days at least.
    pub const MIN_DAILY_DAYS: u32 = 62;

    /// How many of the last days are never folded, though the clock of who folds be weeks ahead.
    const NEVER_FOLDED: Days = Days::new(Self::MIN_DAILY_DAYS as u64 / 2);

    /// What is kept by month on a day when so many days are kept as days: only whole months are folded, once their last
    /// day is older.
    #[must_use]
    pub fn on(today: NaiveDate, daily_days: u32, digests_too: bool) -> Self {
        let kept = Days::new(daily_days.max(Self::MIN_DAILY_DAYS).into());
        let days_before = today.checked_sub_days(kept).map_or(BEGINNING, first_of_month).max(BEGINNING);
        Self { days_before, digests_before: if digests_too { days_before } else { BEGINNING } }
    }

    /// Whether the counts of a day may be folded at all.
    #[must_use]
    pub fn may_hold(date: NaiveDate, now: DateTime<Utc>) -> bool {
        now.date_naive().checked_sub_days(Self::NEVER_FOLDED).is_some_and(|first| date < first)
    }

    /// Whether some events change counts that may be folded.
    #[must_use]
    pub fn may_matter_to(events: &[PullEvent], now: DateTime<Utc>) -> bool {
        events.iter().flat_map(|event| &event.changes).any(|change| Self::may_hold(change.key.date, now))
    }

    /// Whether a row of such a date and digest is one of a day, and its count should be in another.
    #[must_use]
    pub fn moves(&self, date: NaiveDate, digest: &Digest) -> bool {
        date != self.date(date) || (date < self.digests_before && digest.as_str() != Digest::UNKNOWN)
    }

    /// The date at which the counts of a day are kept.
    #[must_use]
    pub fn date(&self, date: NaiveDate) -> NaiveDate {
        if date < self.days_before { first_of_month(date) } else { date }
    }

    /// The key at which a count is kept; none when it is its own.
    #[must_use]
    pub fn key(&self, key: &CountKey) -> Option<CountKey> {
        self.moves(key.date, &key.digest).then(|| CountKey {
            date: self.date(key.date),
            digest: if key.date < self.digests_before { Digest::unknown() } else { key.digest.clone() },
            ..key.clone()
        })
    }

    /// The events with their changes where the counts are kept.
    #[must_use]
    pub fn events<'a>(&self, events: &'a [PullEvent]) -> Cow<'a, [PullEvent]> {
        let moves = |change: &Change| self.moves(change.key.date, &change.key.digest);
        if !events.iter().flat_map(|event| &event.changes).any(moves) {
            return Cow::Borrowed(events);
        }
        let change = |change: &Change| match self.key(&change.key) {
            Some(key) => Change { key: Arc::new(key), delta: change.delta },
            None => change.clone(),
        };
        let event = |event: &PullEvent| PullEvent { changes: event.changes.iter().map(change).collect(), ..*event };
        events.iter().map(event).collect()
    }

    /// Whether some of the counts of these dates are kept by month.
    #[must_use]
    pub fn matters_to(&self, dates: DateRange) -> bool {
        dates.from() < self.days_before
    }

    /// The dates that a question about some dates counts: of months that are kept as such, all days or none.
    #[must_use]
    pub fn counted(&self, dates: DateRange) -> DateRange {
        let to = if dates.to() < self.days_before { last_of_month(dates.to()) } else { dates.to() };
        DateRange::new(self.date(dates.from()), to).unwrap_or(dates)
    }

    /// What either keeps by month.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            days_before: self.days_before.max(other.days_before),
            digests_before: self.digests_before.max(other.digests_before),
        }
    }
}

/// No store holds a count of a day before.
const BEGINNING: NaiveDate = NaiveDate::from_ymd_opt(0, 1, 1).expect("is a date");

/// The first day of a date's month.
#[must_use]
pub fn first_of_month(date: NaiveDate) -> NaiveDate {
    date.with_day(1).unwrap_or(date)
}

/// The last day of a date's month.
#[must_use]
pub fn last_of_month(date: NaiveDate) -> NaiveDate {
    date.with_day(date.num_days_in_month().into()).unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    #[test]
    fn only_whole_months_are_folded_once_their_last_day_is_older() {
        for (today, daily, before) in [
            ("2026-11-27", 100, "2026-08-01"),
            ("2026-11-08", 100, "2026-07-01"),
            ("2026-11-09", 100, "2026-08-01"),
            ("2026-11-27", 400, "2025-10-01"),
            ("2026-11-27", 1, "2026-09-01"),
        ] {
            let folded = Folded::on(date(today), daily, false);
            assert_eq!(folded, Folded { days_before: date(before), ..Folded::NOTHING }, "{today} {daily}");
        }
        assert_eq!(Folded::on(date("2026-11-27"), 100, true).digests_before, date("2026-08-01"));
        assert_eq!(Folded::on(date("2026-11-27"), u32::MAX, true), Folded::NOTHING);
    }

    #[test]
    fn what_may_be_folded_is_far_from_what_is() {
        let now: DateTime<Utc> = "2026-11-27T12:00:00Z".parse().expect("a time");
        assert!(!Folded::may_hold(date("2026-10-27"), now));
        assert!(Folded::may_hold(date("2026-10-26"), now));
        let folded = Folded::on(now.date_naive(), Folded::MIN_DAILY_DAYS, true);
        assert!(Folded::may_hold(folded.days_before.pred_opt().expect("a date"), now - Days::new(30)));
    }

    #[test]
    fn a_question_counts_all_days_of_a_month_or_none() {
        let folded = Folded { days_before: date("2026-08-01"), ..Folded::NOTHING };
        for (from, to, counted) in [
            ("2026-06-15", "2026-09-10", ("2026-06-01", "2026-09-10")),
            ("2026-06-15", "2026-06-16", ("2026-06-01", "2026-06-30")),
            ("2026-06-01", "2026-07-31", ("2026-06-01", "2026-07-31")),
            ("2026-08-15", "2026-08-16", ("2026-08-15", "2026-08-16")),
        ] {
            let dates = DateRange::new(date(from), date(to)).expect("a range");
            let counted = DateRange::new(date(counted.0), date(counted.1)).expect("a range");
            assert_eq!((folded.counted(dates), Folded::NOTHING.counted(dates)), (counted, dates), "{from} {to}");
            assert_eq!(folded.matters_to(dates), from < "2026-08-01", "{from} {to}");
        }
        assert_eq!(folded.counted(DateRange::EVER), DateRange::EVER);
    }
}
