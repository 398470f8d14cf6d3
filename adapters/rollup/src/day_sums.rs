//! The sums that are kept, and what can be asked of them.

use std::{collections::BTreeMap, time::Duration};

use bit_vec::BitVec;
use chrono::NaiveDate;
use staticreg_domain::metrics::{AccessKind, DateRange, DayKey, DayVersions};
use tokio::time::Instant;

use crate::{
    day::{Day, Detail, KeyId, Sum},
    keys::KeyTable,
    named::{NamedSums, Places},
};

/// For how long a day with too many counts is not read again. It gets smaller when it is folded into its month.
const LEFT_OUT_FOR: Duration = Duration::from_hours(1);

/// The sums by day, kind and key.
#[derive(Debug, Default)]
pub(crate) struct DaySums {
    /// What was watched over when the counts were read.
    watch: Option<i64>,
    pub(crate) keys: KeyTable,
    days: BTreeMap<DayKey, Day>,
    /// Days with too many counts to be kept, and when that was seen.
    left_out: BTreeMap<DayKey, Instant>,
    days_size: usize,
    totals_size: usize,
}

/// What a question needs: all that is counted of a kind, or of every kind, on some days.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    pub(crate) dates: DateRange,
    pub(crate) kind: Option<AccessKind>,
    pub(crate) detail: Detail,
}

impl Needs {
    pub(crate) const ALL_TOTALS: Self = Self { dates: DateRange::EVER, kind: None, detail: Detail::Total };
}

impl DaySums {
    /// Keeps sums of what is watched over so, and none that were read before it was.
    pub(crate) fn keep_of(&mut self, watch: i64) {
        if self.watch != Some(watch) {
            *self = Self { watch: Some(watch), ..Self::default() };
        }
    }

    /// Forgets every sum.
    pub(crate) fn forget(&mut self) {
        *self = Self { watch: self.watch, ..Self::default() };
    }

    /// Keeps no counts of a day for a while.
    pub(crate) fn leave_out(&mut self, day: DayKey) {
        self.remove(day);
        self.left_out.insert(day, Instant::now());
    }

    pub(crate) fn is_left_out(&self, day: DayKey) -> bool {
        self.left_out.get(&day).is_some_and(|since| since.elapsed() < LEFT_OUT_FOR)
    }

    /// Puts a day's sums, of whatever digests, in the place of those that were kept.
    pub(crate) fn put(&mut self, day: DayKey, version: i64, detail: Detail, named: &NamedSums<'_>) {
        let new = match detail {
            Detail::Total => self.total(version, named),
            Detail::Sums => self.sums(day, version, named),
        };
        self.remove(day);
        *self.size_of(&new) += new.size();
        self.days.insert(day, new);
    }

    fn total(&mut self, version: i64, named: &NamedSums<'_>) -> Day {
        let (mut total, mut repositories) = (Sum::NONE, BitVec::new());
        let numbers = self.keys.repositories.numbers(&named.repositories);
        for (places, sum) in &named.sums {
            total.add(*sum);
            insert(&mut repositories, numbers[places.repository]);
        }
        Day::of_total(version, total, repositories)
    }

    fn sums(&mut self, (date, _): DayKey, version: i64, named: &NamedSums<'_>) -> Day {
        let repositories = self.keys.repositories.numbers(&named.repositories);
        let tags = self.keys.tags.numbers(&named.tags);
        let architectures = self.keys.architectures.numbers(&named.architectures);
        let mut number = |Places { repository, tag, architecture }: &Places| {
            self.keys.number(repositories[*repository], tags[*tag], architectures[*architecture])
        };
        let mut sums: Vec<(KeyId, Sum)> = named.sums.iter().map(|(places, sum)| (number(places), *sum)).collect();
        sums.sort_unstable_by_key(|(key, _)| *key);
        // Counts of different digests have the same key.
        sums.dedup_by(|(key, sum), (kept, total)| {
            let same = key == kept;
            if same {
                total.add(*sum);
            }
            same
        });
        let mut repositories = BitVec::new();
        for (key, _) in &sums {
            insert(&mut repositories, self.keys.key(*key).repository);
        }
        Day::new(date, version, &sums, repositories)
    }

    fn size_of(&mut self, day: &Day) -> &mut usize {
        if day.detail() == Detail::Sums { &mut self.days_size } else { &mut self.totals_size }
    }

    fn remove(&mut self, day: DayKey) {
        if let Some(old) = self.days.remove(&day) {
            *self.size_of(&old) -= old.size();
        }
    }

    /// The days whose counts are others than those kept, or of which less is kept, with their versions now; the latest
    /// first.
    pub(crate) fn stale(&self, needs: Needs, versions: &BTreeMap<DayKey, i64>) -> Vec<(DayKey, i64)> {
        let Needs { dates, kind, detail } = needs;
        let changed = versions
            .iter()
            .filter(|(day, version)| {
                self.days.get(day).is_none_or(|kept| kept.version != **version || kept.detail() < detail)
            })
            .map(|(day, version)| (*day, *version));
        let gone = self.within(dates).map(|(day, _)| day).filter(|day| {
            kind.is_none_or(|kind| day.1 == kind) && !versions.contains_key(day) && self.days[day].version != 0
        });
        let mut stale: Vec<_> = changed.chain(gone.map(|day| (day, 0))).collect();
        stale.sort_unstable_by_key(|(day, _)| std::cmp::Reverse(*day));
        stale
    }

    /// Whether the counts of these dates are those that are kept.
    pub(crate) fn is_current(&self, needs: Needs, seen: &DayVersions) -> bool {
        self.watch == Some(seen.watch) && self.stale(needs, &seen.versions).is_empty()
    }

    pub(crate) fn has(&self, day: DayKey, detail: Detail) -> bool {
        self.days.get(&day).is_some_and(|kept| kept.detail() >= detail)
    }

    pub(crate) fn has_all(&self, detail: Detail, seen: &DayVersions) -> bool {
        self.watch == Some(seen.watch) && seen.versions.keys().all(|day| self.has(*day, detail))
    }

    /// The earliest day of which all sums are kept.
    pub(crate) fn first(&self) -> Option<DayKey> {
        self.days.iter().find(|(_, kept)| kept.detail() == Detail::Sums).map(|(day, _)| *day)
    }

    /// About the bytes that sums and names take.
    pub(crate) fn size(&self) -> usize {
        self.days_size + self.keys.size()
    }

    /// The bytes of days of which the total is kept.
    pub(crate) fn totals_size(&self) -> usize {
        self.totals_size
    }

    pub(crate) fn within(&self, dates: DateRange) -> impl Iterator<Item = (DayKey, &Day)> {
        let [first, .., last] = AccessKind::ALL;
        self.days.range((dates.from(), first)..=(dates.to(), last)).map(|(day, sums)| (*day, sums))
    }

    /// The sum of each day, of all keys.
    pub(crate) fn totals(&self, dates: DateRange, kind: AccessKind) -> impl Iterator<Item = (NaiveDate, Sum)> {
        let days = self.within(dates).filter(move |((_, of), _)| *of == kind);
        days.map(|((date, _), day)| (date, day.total)).filter(|(_, total)| total.count > 0)
    }

    /// How many repositories have pulls by tag.
    pub(crate) fn pulled_repositories(&self) -> u64 {
        let mut pulled = BitVec::from_elem(self.keys.repositories.len(), false);
        for (_, day) in self.within(DateRange::EVER).filter(|((_, kind), _)| *kind == AccessKind::PullByTag) {
            let mut of_day = day.repositories.clone();
            of_day.grow(pulled.len() - of_day.len(), false);
            pulled.or(&of_day);
        }
        pulled.count_ones()
    }
}

fn insert(set: &mut BitVec, number: u32) {
    let number = number as usize;
    if set.len() <= number {
        set.grow(number + 1 - set.len(), false);
    }
    set.set(number, true);
}
