//! The sums that are kept, and what can be asked of them.

use std::{collections::BTreeMap, time::Duration};

use chrono::NaiveDate;
use staticreg_domain::metrics::{AccessKind, DateRange, DayCount, DayKey, DayVersions};
use tokio::time::Instant;

use crate::{
    day::{Day, KeyId, Sum},
    keys::KeyTable,
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
    /// On how many days each key has pulls by tag.
    pull_days: Vec<u32>,
    days_size: usize,
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

    /// Puts a day's counts in the place of those that were kept.
    pub(crate) fn put(&mut self, day: DayKey, version: i64, counts: &[DayCount]) {
        let mut sums: Vec<(KeyId, Sum)> = counts
            .iter()
            .map(|row| {
                let key = self.keys.number(&row.repository, &row.tag, &row.architecture);
                (key, Sum::new(row.count, row.updated_at))
            })
            .collect();
        sums.sort_unstable_by_key(|(key, _)| *key);
        // Counts of different digests have the same key.
        sums.dedup_by(|(key, sum), (kept, total)| {
            let same = key == kept;
            if same {
                total.add(*sum);
            }
            same
        });
        self.pull_days.resize(self.keys.len(), 0);
        let new = Day::new(day.0, version, &sums);
        self.days_size += new.size();
        if day.1 == AccessKind::PullByTag {
            new.for_each(|key, _| self.pull_days[key as usize] += 1);
        }
        self.remove(day);
        self.days.insert(day, new);
    }

    fn remove(&mut self, day: DayKey) {
        let Some(old) = self.days.remove(&day) else { return };
        self.days_size -= old.size();
        if day.1 == AccessKind::PullByTag {
            old.for_each(|key, _| self.pull_days[key as usize] -= 1);
        }
    }

    /// The days whose counts are others than those kept, with their versions now; the latest first.
    pub(crate) fn stale(
        &self,
        dates: DateRange,
        kind: Option<AccessKind>,
        versions: &BTreeMap<DayKey, i64>,
    ) -> Vec<(DayKey, i64)> {
        let changed = versions
            .iter()
            .filter(|(day, version)| self.days.get(day).is_none_or(|kept| kept.version != **version))
            .map(|(day, version)| (*day, *version));
        let gone = self.within(dates).map(|(day, _)| day).filter(|day| {
            kind.is_none_or(|kind| day.1 == kind) && !versions.contains_key(day) && self.days[day].version != 0
        });
        let mut stale: Vec<_> = changed.chain(gone.map(|day| (day, 0))).collect();
        stale.sort_unstable_by_key(|(day, _)| std::cmp::Reverse(*day));
        stale
    }

    /// Whether the counts of these dates are those that are kept.
    pub(crate) fn is_current(&self, dates: DateRange, kind: Option<AccessKind>, seen: &DayVersions) -> bool {
        self.watch == Some(seen.watch) && self.stale(dates, kind, &seen.versions).is_empty()
    }

    pub(crate) fn has(&self, day: DayKey) -> bool {
        self.days.contains_key(&day)
    }

    pub(crate) fn has_all(&self, seen: &DayVersions) -> bool {
        self.watch == Some(seen.watch) && seen.versions.keys().all(|day| self.has(*day))
    }

    /// The earliest day that is kept.
    pub(crate) fn first(&self) -> Option<DayKey> {
        self.days.first_key_value().map(|(day, _)| *day)
    }

    /// About the bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.days_size + self.keys.size() + self.pull_days.len() * size_of::<u32>()
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
        let mut pulled = vec![false; self.keys.repositories.len()];
        for (key, _) in self.keys.iter().zip(&self.pull_days).filter(|(_, days)| **days > 0) {
            pulled[key.repository as usize] = true;
        }
        pulled.into_iter().map(u64::from).sum()
    }
}
