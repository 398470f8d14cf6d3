//! What the repositories of a folder come to.

use std::{cmp::Reverse, collections::BTreeMap};

use staticreg_domain::metrics::{self, Filter, MetricsError};

use super::{Compared, CountQuestion, Daily, Overview, Series, entries::Entry};
use crate::ask_metrics::AskMetrics;

/// A folder right below the one that is shown: what repositories' names share before a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its own name.
    pub name: String,
    /// Its whole path.
    pub path: String,
    /// How many repositories of the list it holds, at any depth.
    pub repositories: usize,
    /// What was counted of those that match over the dates, whether they are still there or not.
    pub count: u64,
}

/// What the repositories of a folder come to, at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderTotals {
    /// The repositories that the registry holds; without one those that were pulled from.
    pub repositories: usize,
    /// Tags, images and their size in bytes; none without a registry. An image in two repositories counts for each.
    pub held: Option<Held>,
    /// What was counted over the dates, also of repositories that are gone; none while that is not known.
    pub counted: Option<Compared>,
    /// Its place among the folders beside it by that, from 1, and how many these are.
    pub rank: (usize, usize),
    /// Every pull ever; none while they are not known.
    pub all: Option<u64>,
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

/// What was counted of a folder's repositories each day.
#[derive(Clone, Debug)]
pub struct FolderDays {
    /// The days.
    pub daily: Daily,
    /// Those of the period before; none when there is nothing to compare with.
    pub before: Option<Daily>,
}

impl FolderDays {
    /// The days, under a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Daily {
        let series = self.daily.series.iter().map(|series| Series { name: name.to_owned(), days: series.days.clone() });
        Daily { series: series.collect(), ..self.daily.clone() }
    }

    pub(super) async fn read(
        ask: &AskMetrics,
        folder: metrics::Folder,
        question: &CountQuestion,
    ) -> Result<Self, MetricsError> {
        let of = |dates| Filter { folder: Some(folder.clone()), ..question.filter(dates) };
        let before = match question.before {
            Some(dates) => Some(Daily::read(ask, &of(dates), None).await?),
            None => None,
        };
        Ok(Self { daily: Daily::read(ask, &of(question.dates), None).await?, before })
    }
}

impl Overview {
    /// What a folder comes to; none when nothing is known of it, or it is none.
    #[must_use]
    pub fn folder(&self, path: &str) -> Option<FolderTotals> {
        self.folder_totals(&self.entries(), path)
    }

    pub(super) fn folder_totals(&self, entries: &[Entry<'_>], path: &str) -> Option<FolderTotals> {
        if path.is_empty() {
            return None;
        }
        let prefix = format!("{path}/");
        let parent = path.rsplit_once('/').map_or_else(String::new, |(parent, _)| format!("{parent}/"));
        let (mut held, mut repositories, mut found) = (Held::default(), 0, false);
        let (mut counted, mut all) = (Compared { count: 0, before: self.is_compared().then_some(0) }, 0);
        let mut beside: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in entries {
            if let Some(folder) = folder_of(entry, &parent) {
                *beside.entry(folder).or_default() += entry.counted.count;
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
            counted.count += entry.counted.count;
            counted.before = counted.before.zip(entry.counted.before).map(|(sum, before)| sum + before);
            all += entry.counts.map_or(0, |counts| counts.all);
        }
        if !found {
            return None;
        }
        let own = path.strip_prefix(&parent).unwrap_or(path);
        let mut ranked: Vec<(&str, u64)> = beside.into_iter().collect();
        ranked.sort_by_key(|(_, count)| Reverse(*count));
        let place = ranked.iter().position(|(name, _)| *name == own).map_or(1, |place| place + 1);
        Some(FolderTotals {
            repositories,
            held: self.snapshot.as_ref().map(|_| held),
            counted: self.is_known().then_some(counted),
            rank: (place, ranked.len()),
            all: self.pull_counts.value.as_ref().map(|_| all),
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
            let (repositories, count) = sums.entry(name).or_default();
            *repositories += usize::from(is_listed(entry));
            *count += entry.counted.count;
        }
    }
    let folder = |(name, (repositories, count)): (&str, (usize, u64))| Folder {
        name: name.to_owned(),
        path: format!("{prefix}{name}"),
        repositories,
        count,
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
        assert_eq!((a.counted.map(|counted| counted.count), a.all, a.rank), (Some(8), Some(8), (2, 3)));
        assert_eq!(overview.folder("b").unwrap().rank, (3, 3));
        let below = overview.folder("a/x").unwrap();
        assert_eq!((below.repositories, below.rank), (1, (1, 1)));
        for none in ["", "c", "a/1", "a/", "5"] {
            assert_eq!(overview.folder(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn without_a_registry_a_folder_has_what_was_pulled() {
        let overview = overview(None, &[("a/1:1", 3), ("a/2:1", 4)]).await;
        let a = overview.folder("a").unwrap();
        assert_eq!((a.repositories, a.held), (2, None));
        assert_eq!(a.counted, Some(Compared { count: 7, before: None }));
    }
}
