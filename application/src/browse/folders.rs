//! What the repositories of a folder come to.

use std::{cmp::Reverse, collections::BTreeMap};

use chrono::NaiveDate;
use staticreg_domain::metrics::{DateRange, Totals};

use super::{DAYS, Daily, Overview, PullCounts, Series, listing::Entry};

/// A folder right below the one that is shown: what repositories' names share before a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its own name.
    pub name: String,
    /// Its whole path.
    pub path: String,
    /// How many repositories of the list it holds, at any depth.
    pub repositories: usize,
    /// The pulls in 30 days of those that match, whether they are still there or not.
    pub pulls: u64,
}

/// What the repositories of a folder come to, at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderTotals {
    /// The repositories that the registry holds; without one those that were pulled from.
    pub repositories: usize,
    /// Tags, images and their size in bytes; none without a registry. An image in two repositories counts for each.
    pub held: Option<Held>,
    /// The pulls, also of repositories that are gone; none while they are not known.
    pub pulls: Option<FolderPulls>,
}

/// What the registry holds in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Tags.
    pub tags: usize,
    /// Images.
    pub images: usize,
    /// The sum of the images' sizes, in bytes.
    pub size: u64,
}

/// The pulls from a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderPulls {
    /// Per day of the last [`DAYS`], the latest last.
    pub days: [u64; DAYS],
    /// The last of these days.
    pub today: NaiveDate,
    /// Ever.
    pub all: u64,
    /// Its place among the folders beside it by pulls in 30 days, from 1, and how many folders these are.
    pub rank: (usize, usize),
}

impl FolderPulls {
    /// The totals.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let last = |span: usize| self.days.iter().rev().take(span).sum();
        Totals { today: last(1), last_7_days: last(7), last_30_days: last(DAYS), all: self.all }
    }

    /// The days, under a name.
    #[must_use]
    pub fn daily(&self, name: &str) -> Daily {
        let range = DateRange::days_until(self.today, u32::try_from(DAYS).unwrap_or(u32::MAX));
        let series = Series { name: name.to_owned(), days: self.days.to_vec() };
        let series = if series.total() == 0 { Vec::new() } else { vec![series] };
        Daily { range, months_before: None, series }
    }
}

impl Overview {
    /// What a folder comes to; none when nothing is known of it, or it is none.
    #[must_use]
    pub fn folder(&self, path: &str) -> Option<FolderTotals> {
        if path.is_empty() {
            return None;
        }
        let prefix = format!("{path}/");
        let parent = path.rsplit_once('/').map_or_else(String::new, |(parent, _)| format!("{parent}/"));
        let (mut held, mut repositories, mut found) = (Held::default(), 0, false);
        let (mut days, mut all) = ([0; DAYS], 0);
        let mut beside: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in self.entries() {
            if let Some(folder) = folder_of(&entry, &parent) {
                *beside.entry(folder).or_default() += entry.pulls;
            }
            if !entry.name.as_str().starts_with(&prefix) {
                continue;
            }
            found = true;
            if let Some(held_entry) = entry.held {
                held.tags += held_entry.tags.len();
                held.images += held_entry.summary.images;
                held.size = held.size.saturating_add(held_entry.summary.size);
            }
            repositories += usize::from(entry.in_registry || self.snapshot.is_none());
            if let Some(counts) = entry.counts {
                all += counts.all;
                for (sum, count) in days.iter_mut().zip(counts.days) {
                    *sum += u64::from(count);
                }
            }
        }
        if !found {
            return None;
        }
        let own = path.strip_prefix(&parent).unwrap_or(path);
        let mut ranked: Vec<(&str, u64)> = beside.into_iter().collect();
        ranked.sort_by_key(|(_, pulls)| Reverse(*pulls));
        let place = ranked.iter().position(|(name, _)| *name == own).map_or(1, |place| place + 1);
        let pulls = self.pull_counts.value.as_deref().map(PullCounts::today);
        Some(FolderTotals {
            repositories,
            held: self.snapshot.as_ref().map(|_| held),
            pulls: pulls.map(|today| FolderPulls { days, today, all, rank: (place, ranked.len()) }),
        })
    }
}

/// The folder right below a prefix that an entry is in.
fn folder_of<'a>(entry: &Entry<'a>, prefix: &str) -> Option<&'a str> {
    Some(entry.name.as_str().strip_prefix(prefix)?.split_once('/')?.0)
}

/// The folders right below a prefix that hold what is listed, by name.
pub(super) fn folders(entries: &[Entry<'_>], prefix: &str, is_listed: impl Fn(&Entry<'_>) -> bool) -> Vec<Folder> {
    let mut sums: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for entry in entries {
        if let Some(name) = folder_of(entry, prefix) {
            let (repositories, pulls) = sums.entry(name).or_default();
            *repositories += usize::from(is_listed(entry));
            *pulls += entry.pulls;
        }
    }
    let folder = |(name, (repositories, pulls)): (&str, (usize, u64))| Folder {
        name: name.to_owned(),
        path: format!("{prefix}{name}"),
        repositories,
        pulls,
    };
    sums.into_iter().filter(|(_, (repositories, _))| *repositories > 0).map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browse::listing::testing::{overview, whole};

    #[tokio::test]
    async fn a_folder_counts_all_below_it_and_has_a_rank_among_those_beside_it() {
        let registry: &[&str] = &["a/1", "a/x/2", "ab/3", "b/4", "5"];
        let pulled = [("a/1:1", 3), ("a/x/2:1", 4), ("a/gone:1", 1), ("ab/3:1", 9), ("5:1", 90)];
        let overview = overview(Some((registry, whole())), &pulled).await;
        let a = overview.folder("a").unwrap();
        assert_eq!((a.repositories, a.held), (2, Some(Held::default())));
        let pulls = a.pulls.unwrap();
        assert_eq!((pulls.totals().last_30_days, pulls.all, pulls.rank), (8, 8, (2, 3)));
        assert_eq!((pulls.days[28], pulls.days[29]), (8, 0));
        assert_eq!(overview.folder("b").unwrap().pulls.unwrap().rank, (3, 3));
        let below = overview.folder("a/x").unwrap();
        assert_eq!((below.repositories, below.pulls.unwrap().rank), (1, (1, 1)));
        for none in ["", "c", "a/1", "a/", "5"] {
            assert_eq!(overview.folder(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn without_a_registry_a_folder_has_what_was_pulled() {
        let overview = overview(None, &[("a/1:1", 3), ("a/2:1", 4)]).await;
        let a = overview.folder("a").unwrap();
        assert_eq!((a.repositories, a.held), (2, None));
        assert_eq!(a.pulls.unwrap().daily("a").total(), 7);
    }
}
