//! The list of repositories: searched, by folder, sorted, in pages.

use std::{
    cmp::{Ordering, Reverse},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use staticreg_domain::{RepositoryName, metrics::DateRange};

use super::{
    Compared, Daily, Folder, FolderTotals, PeriodCounts, PullCounts, RepositoryCounts, Series, Shown,
    entries::{Counting, Entry},
    folders::folders,
};
use crate::catalog::{CatalogSnapshot, RepositorySummary};

/// What repositories are sorted by; equals follow each other by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Name.
    Name,
    /// Number of tags, most first.
    Tags,
    /// Size of the images, largest first.
    Size,
    /// Last push, latest first.
    LastPushed,
    /// What was counted over the dates, most first.
    #[default]
    Pulls,
    /// By how much that is more than in the period before, what grew most first.
    Change,
    /// Last pull, latest first.
    LastPulled,
}

/// Where a repository is that was pulled from: while a registry was not read to its end, none is known to be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// In the registry, as far as is known.
    #[default]
    There,
    /// No longer in the registry.
    Gone,
    /// Anywhere.
    Any,
}

/// Which part of the list to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListingQuestion {
    /// Words that the name must hold, each of them.
    pub search: String,
    /// Only what is in this folder, at any depth.
    pub folder: Option<String>,
    /// Only what is there, or is gone.
    pub presence: Presence,
    /// The order.
    pub sort: Sort,
    /// The other way round.
    pub reverse: bool,
    /// The page, from 1; a page after the last is the last.
    pub page: usize,
    /// Repositories on a page.
    pub per_page: usize,
}

/// A part of the list of repositories.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The repositories of the page.
    pub rows: Vec<ListingRow>,
    /// How many there are on all pages.
    pub found: usize,
    /// The page, from 1.
    pub page: usize,
    /// How many pages there are, at least one.
    pub pages: usize,
    /// The folders right below the folder that is shown, by name.
    pub folders: Vec<Folder>,
    /// What the folder that is shown comes to, whatever is searched in it; none when nothing is known of it, or none is
    /// shown.
    pub folder: Option<FolderTotals>,
    /// How many repositories that match are gone from the registry; none while nobody can tell.
    pub gone: Option<usize>,
}

/// A repository in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListingRow {
    /// Its name.
    pub name: RepositoryName,
    /// Its tags; of a repository that is not in the registry those that were ever pulled; none when not known.
    pub tags: Option<usize>,
    /// What was counted over the dates; none while that is not known.
    pub counted: Option<Compared>,
    /// What was counted on each of the dates; none where only their sum is known.
    pub days: Vec<u64>,
    /// Its pulls; none when it was never pulled from.
    pub counts: Option<RepositoryCounts>,
    /// What its tags come to; none while they were not read.
    pub summary: Option<RepositorySummary>,
    /// The last push; none when there was none while it was watched.
    pub last_pushed_at: Option<DateTime<Utc>>,
    /// Whether the registry holds it, as far as it was read.
    pub in_registry: bool,
}

/// All repositories, and what was counted of them over some dates.
#[derive(Debug)]
pub struct Overview {
    /// The pulls.
    pub pull_counts: Shown<PullCounts>,
    /// The dates.
    pub dates: DateRange,
    /// What was counted over the dates; none when the pulls tell it.
    pub period: Option<Shown<PeriodCounts>>,
    /// What was counted in the period before; none when there is none to compare with.
    pub before: Option<Shown<PeriodCounts>>,
    /// What the registry holds; none when no registry is configured.
    pub snapshot: Option<Arc<CatalogSnapshot>>,
}

impl Overview {
    /// The repositories of a page.
    #[must_use]
    pub fn listing(&self, question: &ListingQuestion) -> Listing {
        let prefix = question.folder.as_deref().map_or_else(String::new, |folder| format!("{folder}/"));
        let search = question.search.to_lowercase();
        let words: Vec<&str> = search.split_whitespace().collect();
        let is_wanted = |entry: &Entry<'_>| {
            let name = entry.name.as_str();
            name.starts_with(&prefix) && words.iter().all(|word| name.contains(word))
        };
        let mut entries = self.entries();
        let folder = question.folder.as_deref().and_then(|path| self.folder_totals(&entries, path));
        entries.retain(is_wanted);
        let is_whole = self.snapshot.as_deref().is_some_and(is_whole);
        let gone = is_whole.then(|| entries.iter().filter(|entry| !entry.in_registry).count());
        let is_listed = |entry: &Entry<'_>| match question.presence {
            Presence::There => entry.in_registry || !is_whole,
            Presence::Gone => !entry.in_registry && is_whole,
            Presence::Any => true,
        };
        let folders = folders(&entries, &prefix, is_listed);
        entries.retain(is_listed);
        // Equals stay in the order of their names.
        entries.sort_by(|a, b| question.sort.order(a, b));
        if question.reverse {
            entries.reverse();
        }
        let per_page = question.per_page.max(1);
        let pages = entries.len().div_ceil(per_page).max(1);
        let page = question.page.clamp(1, pages);
        let shown = entries.iter().skip((page - 1) * per_page).take(per_page);
        let rows = shown.map(|entry| self.row(entry)).collect();
        Listing { rows, found: entries.len(), page, pages, folders, folder, gone }
    }

    /// Whether nothing is known of any repository.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Counting { pull_counts, period, .. } = self.counting();
        self.snapshot.as_ref().is_none_or(|snapshot| snapshot.repositories().is_empty())
            && pull_counts.is_none_or(|pull_counts| pull_counts.repositories().is_empty())
            && period.is_none_or(|period| period.repositories().is_empty())
    }

    /// What was counted over the dates in all; none while that is not known.
    #[must_use]
    pub fn counted(&self) -> Option<Compared> {
        let daily = self.daily()?;
        Some(Compared { count: daily.total(), before: self.counting().before.map(PeriodCounts::total) })
    }

    /// What was counted on each of the dates, of all repositories together; none while that is not known.
    #[must_use]
    pub fn daily(&self) -> Option<Daily> {
        if let Some(period) = &self.period {
            return Some(period.value.as_deref()?.daily().clone());
        }
        let pull_counts = self.pull_counts.value.as_deref()?;
        let days = pull_counts.days()[pull_counts.days_in(self.dates)].to_vec();
        let series = vec![Series { name: String::new(), days }];
        Some(Daily { range: self.dates, months_before: None, series })
    }

    /// Whether it is known what was counted over the dates.
    pub(super) fn is_known(&self) -> bool {
        self.counting().is_known
    }

    /// Whether it is known what was counted in the period before.
    pub(super) fn is_compared(&self) -> bool {
        self.counting().before.is_some()
    }

    fn row(&self, entry: &Entry<'_>) -> ListingRow {
        let Entry { name, tags, counts, counted, last_pushed_at, in_registry, .. } = entry;
        let Counting { days, is_known, .. } = self.counting();
        let days = counts.zip(days).map(|(counts, (first, end))| &counts.days[first..end]).unwrap_or_default();
        ListingRow {
            name: (*name).clone(),
            tags: *tags,
            counted: is_known.then_some(*counted),
            days: days.iter().copied().map(u64::from).collect(),
            counts: counts.cloned(),
            summary: entry.summary().cloned(),
            last_pushed_at: *last_pushed_at,
            in_registry: *in_registry,
        }
    }
}

/// Whether the snapshot shows all that is in the registry.
fn is_whole(snapshot: &CatalogSnapshot) -> bool {
    let status = snapshot.status();
    status.read_at.is_some() && status.progress.is_none() && status.fault.is_none()
}

impl Sort {
    fn order(self, a: &Entry<'_>, b: &Entry<'_>) -> Ordering {
        match self {
            Self::Name => Ordering::Equal,
            Self::Tags => Reverse(a.tags).cmp(&Reverse(b.tags)),
            Self::Size => {
                let size = |entry: &Entry<'_>| entry.summary().map(|summary| summary.size);
                Reverse(size(a)).cmp(&Reverse(size(b)))
            }
            Self::LastPushed => Reverse(a.last_pushed_at).cmp(&Reverse(b.last_pushed_at)),
            Self::Pulls => Reverse(a.counted.count).cmp(&Reverse(b.counted.count)),
            Self::Change => Reverse(a.counted.growth()).cmp(&Reverse(b.counted.growth())),
            Self::LastPulled => Reverse(a.last_pulled_at).cmp(&Reverse(b.last_pulled_at)),
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Repositories of a registry, and pulls.

    use super::*;
    use crate::{
        browse::testing::CountingStore,
        catalog::{ReadStatus, RepositoryEntry},
    };

    /// The repositories of a registry, without tags, and pulls of a day.
    pub(crate) async fn overview(registry: Option<(&[&str], ReadStatus)>, pulled: &[(&str, i32)]) -> Overview {
        let counted = CountingStore::new();
        for (image, count) in pulled {
            counted.pulls("2026-11-20", image, *count).await;
        }
        let pull_counts = PullCounts::read(&counted.ask, None).await.unwrap();
        let snapshot = registry.map(|(names, status)| {
            let entries = names.iter().map(|name| Arc::new(RepositoryEntry::unread(name.parse().unwrap()))).collect();
            Arc::new(CatalogSnapshot::new(1, entries, status))
        });
        of(pull_counts, snapshot)
    }

    pub(crate) fn of(pull_counts: PullCounts, snapshot: Option<Arc<CatalogSnapshot>>) -> Overview {
        let dates = DateRange::days_until(pull_counts.today(), 30);
        let pull_counts = Shown { value: Some(Arc::new(pull_counts)), at: DateTime::default(), away: false };
        Overview { pull_counts, dates, period: None, before: None, snapshot }
    }

    /// A registry that was read to its end.
    pub(crate) fn whole() -> ReadStatus {
        ReadStatus { read_at: Some(DateTime::default()), ..ReadStatus::default() }
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::{ManifestKind, catalog::Artifact, metrics::AccessKind};

    use super::{
        testing::{of, overview, whole},
        *,
    };
    use crate::{
        browse::testing::CountingStore,
        catalog::{Blob, ImageSummary, ReadStatus, RepositoryEntry, TagEntry, TagTarget},
    };

    fn question() -> ListingQuestion {
        ListingQuestion { per_page: 10, ..ListingQuestion::default() }
    }

    fn names(listing: &Listing) -> Vec<&str> {
        listing.rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[tokio::test]
    async fn most_pulled_come_first_and_equals_by_name() {
        let registry: &[&str] = &["d", "c", "b", "a"];
        let overview = overview(Some((registry, whole())), &[("b:1", 5), ("d:1", 9)]).await;
        let listing = overview.listing(&question());
        assert_eq!(names(&listing), ["d", "b", "a", "c"]);
        let reverse = overview.listing(&ListingQuestion { reverse: true, ..question() });
        assert_eq!(names(&reverse), ["c", "a", "b", "d"]);
        let by_name = overview.listing(&ListingQuestion { sort: Sort::Name, ..question() });
        assert_eq!(names(&by_name), ["a", "b", "c", "d"]);
    }

    #[tokio::test]
    async fn a_search_needs_all_its_words_in_any_case() {
        let registry: &[&str] = &["library/nginx", "library/redis", "mirror/nginx-exporter"];
        let overview = overview(Some((registry, whole())), &[]).await;
        for (search, expected) in [
            ("NGINX", &["library/nginx", "mirror/nginx-exporter"][..]),
            (" nginx  lib ", &["library/nginx"]),
            ("<script>", &[]),
            ("", registry),
        ] {
            let listing = overview.listing(&ListingQuestion { search: search.to_owned(), ..question() });
            assert_eq!(names(&listing), expected, "{search:?}");
        }
    }

    #[tokio::test]
    async fn folders_are_counted_at_any_depth_below_the_one_that_is_shown() {
        let registry: &[&str] = &["a/x/1", "a/x/y/2", "a/3", "ab/4", "5"];
        let pulled = [("a/3:1", 2), ("a/gone:1", 3), ("gone/6:1", 1)];
        let overview = overview(Some((registry, whole())), &pulled).await;
        let folders = |listing: &Listing| -> Vec<(String, usize)> {
            listing.folders.iter().map(|folder| (folder.path.clone(), folder.repositories)).collect()
        };
        let all = overview.listing(&question());
        assert_eq!(folders(&all), [("a".to_owned(), 3), ("ab".to_owned(), 1)]);
        assert_eq!(all.folders[0].count, 5, "of what is gone too");
        let below = overview.listing(&ListingQuestion { folder: Some("a".to_owned()), ..question() });
        assert_eq!(folders(&below), [("a/x".to_owned(), 2)]);
        assert_eq!(below.found, 3);
    }

    #[tokio::test]
    async fn repositories_are_sorted_by_size_and_last_push() {
        let counted = CountingStore::new();
        for (date, image) in [("2026-11-02", "a:1"), ("2026-11-05", "c:1")] {
            counted.count(AccessKind::Push, date, image, &"b".repeat(64), 1).await;
        }
        let held = |name: &str, size: u64| {
            let image = ImageSummary {
                digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
                kind: ManifestKind::Image,
                artifact: Artifact::Image,
                platforms: [].into(),
                children: [].into(),
                size,
                created: None,
                blobs: Box::<[Blob]>::default(),
            };
            let tags = vec![TagEntry { tag: "1".parse().unwrap(), target: TagTarget::Image(Arc::new(image)) }];
            let (summary, read_at) = (RepositorySummary::of(&tags), Some(DateTime::default()));
            Arc::new(RepositoryEntry { tags: tags.into(), summary, read_at, ..unread(name) })
        };
        let entries = vec![held("a", 10), held("b", 30), held("c", 20), Arc::new(unread("d"))];
        let pull_counts = PullCounts::read(&counted.ask, None).await.unwrap();
        let overview = of(pull_counts, Some(Arc::new(CatalogSnapshot::new(1, entries, whole()))));
        let sorted = |sort| overview.listing(&ListingQuestion { sort, ..question() });
        assert_eq!(names(&sorted(Sort::Size)), ["b", "c", "a", "d"]);
        assert_eq!(names(&sorted(Sort::LastPushed)), ["c", "a", "b", "d"]);
        let summaries = sorted(Sort::Name).rows.into_iter().map(|row| row.summary.map(|summary| summary.size));
        assert_eq!(summaries.collect::<Vec<_>>(), [Some(10), Some(30), Some(20), None]);
    }

    fn unread(name: &str) -> RepositoryEntry {
        RepositoryEntry::unread(name.parse().unwrap())
    }

    #[tokio::test]
    async fn pages_hold_every_repository_once_and_none_is_behind_the_last() {
        let all: Vec<String> = (0..25).map(|number| format!("r{number:02}")).collect();
        let registry: Vec<&str> = all.iter().map(String::as_str).collect();
        let overview = overview(Some((&registry, whole())), &[]).await;
        let mut seen = Vec::new();
        for page in 1..=3 {
            let listing = overview.listing(&ListingQuestion { page, ..question() });
            assert_eq!((listing.page, listing.pages, listing.found), (page, 3, 25));
            seen.extend(listing.rows.into_iter().map(|row| row.name.to_string()));
        }
        assert_eq!(seen, all);
        assert_eq!(overview.listing(&ListingQuestion { page: 99, ..question() }).page, 3);
    }

    #[tokio::test]
    async fn what_was_pulled_is_listed_unless_the_registry_was_read_to_its_end_without_it() {
        let fault = Some(crate::catalog::ReadFault { text: "away".into(), at: DateTime::default() });
        let pulled: &[(&str, i32)] = &[("gone:1", 1)];
        for (registry, expected) in [
            (None, &[("gone", false)][..]),
            (Some((&["here"][..], whole())), &[("here", true)]),
            (Some((&["here"], ReadStatus { fault, ..whole() })), &[("gone", false), ("here", true)]),
            (Some((&["here"], ReadStatus::default())), &[("gone", false), ("here", true)]),
        ] {
            let listing = overview(registry, pulled).await.listing(&question());
            let found: Vec<(&str, bool)> =
                listing.rows.iter().map(|row| (row.name.as_str(), row.in_registry)).collect();
            assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn what_is_gone_is_listed_when_it_is_asked_for() {
        let registry: &[&str] = &["a/here", "b"];
        let overview = overview(Some((registry, whole())), &[("a/gone:1", 3), ("a/here:1", 1)]).await;
        for (presence, expected) in [
            (Presence::There, &["a/here", "b"][..]),
            (Presence::Gone, &["a/gone"]),
            (Presence::Any, &["a/gone", "a/here", "b"]),
        ] {
            let listing = overview.listing(&ListingQuestion { presence, ..question() });
            assert_eq!((names(&listing).as_slice(), listing.gone), (expected, Some(1)), "{presence:?}");
        }
        let other = ListingQuestion { folder: Some("b".to_owned()), ..question() };
        assert_eq!(overview.listing(&other).gone, Some(0));
    }
}
