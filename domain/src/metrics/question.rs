//! What can be asked about the counts, and the answers' items.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};

use super::AccessKind;
use crate::{Architecture, Digest, RepositoryName, Tag};

/// An inclusive range of dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateRange {
    from: NaiveDate,
    to: NaiveDate,
}

/// The first date is after the last.
#[derive(Debug, thiserror::Error)]
#[error("the first date is after the last")]
pub struct InvalidDateRange;

impl DateRange {
    /// All of time.
    pub const EVER: Self = Self { from: NaiveDate::MIN, to: NaiveDate::MAX };

    /// What no range goes back beyond by itself: the first date that RFC 3339 and the calendars of programs know.
    const EARLIEST: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).expect("a date");

    /// The range of both dates and all between.
    pub fn new(from: NaiveDate, to: NaiveDate) -> Result<Self, InvalidDateRange> {
        if from <= to { Ok(Self { from, to }) } else { Err(InvalidDateRange) }
    }

    /// So many days, at least one, the last of them `to`; fewer where these would begin before the year 1.
    #[must_use]
    pub fn days_until(to: NaiveDate, days: u32) -> Self {
        let before = Days::new(u64::from(days.saturating_sub(1)));
        Self { from: to.checked_sub_days(before).unwrap_or(NaiveDate::MIN).max(Self::EARLIEST.min(to)), to }
    }

    /// As many days, the last of them the day before this range; fewer where these would begin before the year 1, and where
    /// there is none, the first of this range.
    #[must_use]
    pub fn previous(&self) -> Self {
        let earliest = Self::EARLIEST.min(self.from);
        let to = self.from.pred_opt().unwrap_or(NaiveDate::MIN).max(earliest);
        Self { from: to.checked_sub_signed(self.to - self.from).unwrap_or(NaiveDate::MIN).max(earliest), to }
    }

    /// The first date.
    #[must_use]
    pub fn from(&self) -> NaiveDate {
        self.from
    }

    /// The last date.
    #[must_use]
    pub fn to(&self) -> NaiveDate {
        self.to
    }

    /// Whether a date lies in the range.
    #[must_use]
    pub fn contains(&self, date: NaiveDate) -> bool {
        self.from <= date && date <= self.to
    }
}

/// An item of a list that is read in pages.
pub trait Listed {
    /// Where the item stands in the list's order.
    type Position: Clone + std::fmt::Debug + PartialEq + Send + Sync;

    /// The item's place.
    fn position(&self) -> Self::Position;
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T: Listed> {
    /// The most items to answer; at least one.
    pub limit: u32,
    /// Only items after this place of the list's order; all when not given.
    pub after: Option<T::Position>,
}

impl<T: Listed> Page<T> {
    /// The first items of a list.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }
}

/// The items of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Whether more items follow the last.
    pub more: bool,
}

impl<T> Slice<T> {
    /// The page with other items in the places of these.
    pub fn try_map<U, E>(self, item: impl FnMut(T) -> Result<U, E>) -> Result<Slice<U>, E> {
        Ok(Slice { items: self.items.into_iter().map(item).collect::<Result<_, _>>()?, more: self.more })
    }

    /// The page without those in whose place there is nothing.
    pub fn try_filter_map<U, E>(self, item: impl FnMut(T) -> Result<Option<U>, E>) -> Result<Slice<U>, E> {
        let items = self.items.into_iter().map(item).filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(Slice { items, more: self.more })
    }

    /// A page from the items found, of which one more than the limit were looked for.
    #[must_use]
    pub fn new(mut items: Vec<T>, limit: u32) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

impl<P: Ord, T> Slice<(P, T)> {
    /// A page of all items of a list, each given with its place: those after a place, in the places' order. However many
    /// there are, few more than the page's are held.
    #[must_use]
    pub fn from_all(items: impl IntoIterator<Item = (P, T)>, after: Option<&P>, limit: u32) -> Self {
        /// So many are sorted out at once, at least.
        const ROOM: usize = 1024;
        // Only the page, and the one item that tells of more, need be in order.
        let needed = limit as usize + 1;
        let mut held: Vec<(P, T)> = Vec::new();
        for item in items.into_iter().filter(|(place, _)| after.is_none_or(|after| place > after)) {
            held.push(item);
            if held.len() >= (2 * needed).max(ROOM) {
                held.select_nth_unstable_by(needed, |a, b| a.0.cmp(&b.0));
                held.truncate(needed);
            }
        }
        held.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Self::new(held, limit)
    }
}

/// Counts over the spans people look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Today.
    pub today: u64,
    /// Today and the six days before.
    pub last_7_days: u64,
    /// Today and the 29 days before.
    pub last_30_days: u64,
    /// Ever.
    pub all: u64,
}

/// The spans of [`Totals`], by the day that they end with.
#[derive(Clone, Copy, Debug)]
pub struct Spans {
    today: NaiveDate,
    /// Today and the six days before.
    pub week: DateRange,
    /// Today and the 29 days before.
    pub month: DateRange,
}

impl Spans {
    /// Those that end with a day.
    #[must_use]
    pub fn until(today: NaiveDate) -> Self {
        Self { today, week: DateRange::days_until(today, 7), month: DateRange::days_until(today, 30) }
    }

    /// Adds what was counted on a date to the totals of the spans that hold it.
    pub fn add(&self, totals: &mut Totals, date: NaiveDate, count: u64) {
        let within = |is_within| if is_within { count } else { 0 };
        totals.today += within(date == self.today);
        totals.last_7_days += within(self.week.contains(date));
        totals.last_30_days += within(self.month.contains(date));
        totals.all += count;
    }
}

/// The answer to "how much is pulled?".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The totals of each kind that was ever counted.
    pub by_kind: BTreeMap<AccessKind, Totals>,
    /// Repositories that were ever pulled from by tag.
    pub repositories: u64,
    /// When an image was last pulled by tag.
    pub last_pulled_at: Option<DateTime<Utc>>,
}

impl Summary {
    /// The totals of a kind; zero when it was never counted.
    #[must_use]
    pub fn totals(&self, kind: AccessKind) -> Totals {
        self.by_kind.get(&kind).copied().unwrap_or_default()
    }
}

/// One stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsRow {
    /// The day.
    pub date: NaiveDate,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Option<Tag>,
    /// The digest.
    pub digest: Digest,
    /// The architecture.
    pub architecture: Architecture,
    /// The kind of access.
    pub kind: AccessKind,
    /// The count.
    pub count: u64,
    /// When the first event of the row's first batch happened.
    pub created_at: DateTime<Utc>,
    /// When the latest event that added to the row happened.
    pub updated_at: DateTime<Utc>,
}

impl Listed for MetricsRow {
    type Position = (NaiveDate, RepositoryName, Option<Tag>, Digest, Architecture, AccessKind);

    fn position(&self) -> Self::Position {
        let Self { date, repository, tag, digest, architecture, kind, .. } = self;
        (*date, repository.clone(), tag.clone(), digest.clone(), architecture.clone(), *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    #[test]
    fn a_range_holds_both_its_ends() {
        let range = DateRange::new(date("2026-01-30"), date("2026-02-02")).expect("a range");
        for (day, inside) in [("2026-01-29", false), ("2026-01-30", true), ("2026-02-02", true), ("2026-02-03", false)]
        {
            assert_eq!(range.contains(date(day)), inside, "{day}");
        }
        assert!(DateRange::new(date("2026-02-02"), date("2026-01-30")).is_err());
    }

    #[test]
    fn so_many_days_end_with_the_last() {
        let to = date("2026-03-01");
        assert_eq!(DateRange::days_until(to, 1), DateRange::new(to, to).expect("a range"));
        assert_eq!(DateRange::days_until(to, 2).from(), date("2026-02-28"));
        assert_eq!(DateRange::days_until(to, u32::MAX).from(), date("0001-01-01"));
        assert_eq!(DateRange::days_until(date("0001-01-02"), 30).from(), date("0001-01-01"));
    }

    #[test]
    fn the_range_before_is_as_long() {
        let range = |from, to| DateRange::new(date(from), date(to)).expect("a range");
        assert_eq!(range("2026-03-01", "2026-03-31").previous(), range("2026-01-29", "2026-02-28"));
        assert_eq!(range("2026-03-01", "2026-03-01").previous(), range("2026-02-28", "2026-02-28"));
        assert_eq!(range("0586-03-30", "2026-11-21").previous(), range("0001-01-01", "0586-03-29"));
        assert_eq!(range("0001-01-02", "2026-11-21").previous(), range("0001-01-01", "0001-01-01"));
        let first = range("0001-01-01", "0001-01-01");
        assert_eq!((first.previous(), range("0001-01-01", "2026-11-21").previous()), (first, first));
        let earliest = DateRange::new(NaiveDate::MIN, NaiveDate::MIN).expect("a range");
        assert_eq!((DateRange::EVER.previous(), earliest.previous()), (earliest, earliest));
    }

    #[test]
    fn a_slice_tells_whether_more_follows() {
        assert_eq!(Slice::new(vec![1, 2, 3], 2), Slice { items: vec![1, 2], more: true });
        assert_eq!(Slice::new(vec![1, 2], 2), Slice { items: vec![1, 2], more: false });
    }

    #[test]
    fn a_page_of_all_items_goes_on_after_a_place() {
        let all = || vec![(4, 'd'), (1, 'a'), (3, 'c'), (5, 'e'), (2, 'b')];
        assert_eq!(Slice::from_all(all(), None, 2), Slice { items: vec![(1, 'a'), (2, 'b')], more: true });
        assert_eq!(Slice::from_all(all(), Some(&2), 2), Slice { items: vec![(3, 'c'), (4, 'd')], more: true });
        assert_eq!(Slice::from_all(all(), Some(&3), 2), Slice { items: vec![(4, 'd'), (5, 'e')], more: false });
        assert_eq!(Slice::from_all(all(), Some(&5), 2), Slice { items: vec![], more: false });
    }
    #[test]
    fn a_page_of_very_many_items_holds_few_of_them() {
        let held = std::rc::Rc::new(());
        let items = (0..100_000_u32).rev().map(|place| {
            assert!(std::rc::Rc::strong_count(&held) < 2_000);
            (place, std::rc::Rc::clone(&held))
        });
        let page = Slice::from_all(items, Some(&9), 3);
        assert_eq!(page.items.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [10, 11, 12]);
    }
}
