//! What is known of every repository, joined by name from what the registry holds and what was counted.

use std::{collections::BTreeMap, iter::Peekable, ops::Range};

use chrono::{DateTime, Utc};
use staticreg_domain::RepositoryName;

use super::{Compared, Overview, PeriodCounts, PullCounts, RepositoryCounts};
use crate::catalog::{CatalogSnapshot, RepositoryEntry, RepositorySummary};

/// A repository, and what is known of it.
pub(super) struct Entry<'a> {
    pub(super) name: &'a RepositoryName,
    /// What the registry holds of it.
    pub(super) held: Option<&'a RepositoryEntry>,
    pub(super) tags: Option<usize>,
    pub(super) counts: Option<&'a RepositoryCounts>,
    /// What was counted over the dates.
    pub(super) counted: Compared,
    pub(super) last_pulled_at: Option<DateTime<Utc>>,
    pub(super) last_pushed_at: Option<DateTime<Utc>>,
    pub(super) in_registry: bool,
}

impl Entry<'_> {
    /// What its tags come to; none while they were not read.
    pub(super) fn summary(&self) -> Option<&RepositorySummary> {
        self.held.filter(|entry| entry.read_at.is_some()).map(|entry| &entry.summary)
    }
}

impl Overview {
    /// Where what was counted over the dates is to be found.
    pub(super) fn counting(&self) -> Counting<'_> {
        let pull_counts = self.pull_counts.value.as_deref();
        let period = self.period.as_ref().map(|period| period.value.as_deref());
        let days = pull_counts.filter(|_| period.is_none()).map(|pull_counts| {
            let Range { start, end } = pull_counts.days_in(self.dates);
            (start, end)
        });
        Counting {
            is_known: days.is_some() || period.flatten().is_some(),
            pull_counts,
            days,
            period: period.flatten(),
            before: self.before.as_ref().and_then(|before| before.value.as_deref()),
        }
    }

    /// What the registry holds, and what was counted, by name.
    pub(super) fn entries(&self) -> Vec<Entry<'_>> {
        let Counting { is_known: _, pull_counts, days, period, before } = self.counting();
        let registry = self.snapshot.as_deref().map(CatalogSnapshot::repositories).unwrap_or_default();
        let counts = pull_counts.map(PullCounts::repositories);
        let period = period.map(PeriodCounts::repositories);
        // What was never pulled by tag may have been accessed otherwise.
        let pulled = counts.into_iter().flat_map(BTreeMap::keys);
        let accessed = period.into_iter().flat_map(BTreeMap::keys);
        let mut names: Vec<&RepositoryName> =
            registry.iter().map(|entry| &entry.name).chain(pulled).chain(accessed).collect();
        // Each part is in order already.
        names.sort();
        names.dedup();

        let mut held = Beside::new(registry.iter().map(|entry| (&entry.name, &**entry)));
        let mut counts = Beside::new(counts.into_iter().flatten());
        let mut pushed = Beside::new(pull_counts.map(PullCounts::pushed).into_iter().flatten());
        let mut period = Beside::new(period.into_iter().flatten());
        let mut before_of = Beside::new(before.map(PeriodCounts::repositories).into_iter().flatten());
        let entry = |name| {
            let (held, counts) = (held.of(name), counts.of(name));
            let tags = match held {
                Some(entry) => entry.read_at.map(|_| entry.tags.len()),
                None => counts.and_then(|counts| usize::try_from(counts.tags).ok()),
            };
            let count = match (days, counts) {
                (Some((first, end)), Some(counts)) => counts.days[first..end].iter().copied().map(u64::from).sum(),
                _ => period.of(name).copied().unwrap_or_default(),
            };
            let before = before.map(|_| before_of.of(name).copied().unwrap_or_default());
            Entry {
                name,
                held,
                tags,
                counts,
                counted: Compared { count, before },
                last_pulled_at: counts.and_then(|counts| counts.last_pulled_at),
                last_pushed_at: pushed.of(name).copied(),
                in_registry: held.is_some(),
            }
        };
        names.into_iter().map(entry).collect()
    }
}

/// Where what was counted of a repository is to be found.
pub(super) struct Counting<'a> {
    /// Whether it is known.
    pub(super) is_known: bool,
    pub(super) pull_counts: Option<&'a PullCounts>,
    /// The first of the days that are known of each, and the one behind the last; none when their sums are.
    pub(super) days: Option<(usize, usize)>,
    pub(super) period: Option<&'a PeriodCounts>,
    pub(super) before: Option<&'a PeriodCounts>,
}

/// Goes through what is known of some names beside names that rise: to look each up takes several times as long.
struct Beside<I: Iterator>(Peekable<I>);

impl<'a, T: 'a, I: Iterator<Item = (&'a RepositoryName, &'a T)>> Beside<I> {
    fn new(known: impl IntoIterator<IntoIter = I>) -> Self {
        Self(known.into_iter().peekable())
    }

    /// What is known of a name, which is not before the one that was asked for last.
    fn of(&mut self, name: &RepositoryName) -> Option<&'a T> {
        while self.0.next_if(|(known, _)| *known < name).is_some() {}
        self.0.next_if(|(known, _)| *known == name).map(|(_, what)| what)
    }
}
