//! Browse: what the pages show, from the snapshot of the registry and the counts together.
//!
//! No page waits for the store or the registry: answers are kept, shown at once and renewed when somebody looks.

pub(crate) mod answer_cache;
mod count_question;
mod entries;
mod find;
mod folders;
mod items;
mod listing;
mod period_counts;
mod pull_counts;
pub(crate) mod statistics;
#[cfg(test)]
pub(crate) mod testing;
mod unused;
pub(crate) mod usage;

pub use answer_cache::Shown;
pub use count_question::{Compared, CountQuestion};
pub use find::{Found, FoundTag};
pub use folders::{Folder, FolderDays, FolderTotals, Held};
pub use items::{ArchitecturePulls, DigestPulls, ImagePulls};
pub use listing::{Listing, ListingQuestion, ListingRow, Overview, Presence, Sort};
pub use period_counts::PeriodCounts;
pub use pull_counts::{DAYS, PullCounts, RepositoryCounts};
pub use statistics::{Daily, Insights, RepositoryStatistics, Series, SplitBy, TagCounts};
pub use unused::{Unused, UnusedImage};

use std::{sync::Arc, time::Duration};

use chrono::NaiveDate;
use futures_util::future::join3;
use staticreg_domain::{
    Architecture, RepositoryName, Tag,
    metrics::{self, AccessKind, DateRange},
};

use crate::{
    ask_metrics::AskMetrics,
    catalog::{CatalogSnapshot, CatalogSnapshots},
};
use answer_cache::AnswerCache;

/// How many answers of a kind are kept.
const KEPT_PERIODS: usize = 16;
const KEPT_REPOSITORIES: usize = 256;
const KEPT_FOLDERS: usize = 64;
const KEPT_INSIGHTS: usize = 32;
const KEPT_UNUSED: usize = 4;

/// How old the counts of all repositories may be while people look, and the store answers.
const PULL_COUNTS_NEW: Duration = Duration::from_secs(5);

/// How old anything else may be that takes the store long.
const COSTLY_NEW: Duration = Duration::from_mins(10);

/// What the pages ask. Clones share what is kept.
#[derive(Clone)]
pub struct Browse(Arc<Inner>);

struct Inner {
    ask: AskMetrics,
    catalog: Option<CatalogSnapshots>,
    watched_since: AnswerCache<(), Option<NaiveDate>>,
    pull_counts: AnswerCache<(), PullCounts>,
    periods: AnswerCache<(DateRange, AccessKind, Option<Architecture>), PeriodCounts>,
    repositories: AnswerCache<(RepositoryName, Option<Tag>, CountQuestion, SplitBy), RepositoryStatistics>,
    folders: AnswerCache<(metrics::Folder, CountQuestion), FolderDays>,
    insights: AnswerCache<CountQuestion, Insights>,
    unused: AnswerCache<u32, Unused>,
}

impl Browse {
    /// Browses the counts, and the registry when there is a snapshot of it.
    #[must_use]
    pub fn new(ask: AskMetrics, catalog: Option<CatalogSnapshots>) -> Self {
        Self(Arc::new(Inner {
            catalog,
            watched_since: AnswerCache::new(1, COSTLY_NEW, ask.clock.clone()),
            pull_counts: AnswerCache::new(1, PULL_COUNTS_NEW, ask.clock.clone()),
            periods: AnswerCache::new(KEPT_PERIODS, COSTLY_NEW, ask.clock.clone()),
            repositories: AnswerCache::new(KEPT_REPOSITORIES, COSTLY_NEW, ask.clock.clone()),
            folders: AnswerCache::new(KEPT_FOLDERS, COSTLY_NEW, ask.clock.clone()),
            insights: AnswerCache::new(KEPT_INSIGHTS, COSTLY_NEW, ask.clock.clone()),
            unused: AnswerCache::new(KEPT_UNUSED, COSTLY_NEW, ask.clock.clone()),
            ask,
        }))
    }

    /// The questions themselves.
    #[must_use]
    pub fn ask(&self) -> &AskMetrics {
        &self.0.ask
    }

    /// The snapshot of the registry; none when no registry is configured.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<CatalogSnapshot>> {
        self.0.catalog.as_ref().map(CatalogSnapshots::snapshot)
    }

    /// The counts of all repositories.
    pub async fn pull_counts(&self) -> Shown<PullCounts> {
        let ask = self.0.ask.clone();
        self.0.pull_counts.show((), |before| async move { PullCounts::read(&ask, before).await }).await
    }

    /// The first day anything was counted on; none when nothing was.
    pub async fn watched_since(&self) -> Shown<Option<NaiveDate>> {
        let ask = self.0.ask.clone();
        self.0.watched_since.show((), |_| async move { statistics::watched_since(&ask).await }).await
    }

    /// The period before some dates, as far as it can be compared with them: when all of it was watched, and is not kept by
    /// months that reach beyond it. None while that is not known yet.
    pub async fn period_before(&self, dates: DateRange) -> Option<Option<DateRange>> {
        let before = dates.previous();
        let watched_since = self.watched_since().await;
        let Some(first) = watched_since.value else { return watched_since.away.then_some(None) };
        if first.is_none_or(|first| before.from() < first) {
            return Some(None);
        }
        let counted = self.0.ask.counted(before).await.ok()?;
        Some((counted.dates == before).then_some(before))
    }

    /// All repositories and their pulls of the last days.
    pub async fn overview(&self) -> Overview {
        self.overview_of(&CountQuestion::of_dates(last_days(self.0.ask.today()))).await
    }

    /// All repositories, and what was counted of them.
    pub async fn overview_of(&self, question: &CountQuestion) -> Overview {
        let before = async {
            match question.before {
                Some(dates) => Some(self.period(question, dates).await),
                None => None,
            }
        };
        // The last days of all pulls are known already.
        let known = last_days(self.0.ask.today());
        let is_known =
            question.is_of_all_pulls() && known.contains(question.dates.from()) && known.contains(question.dates.to());
        let period = async { if is_known { None } else { Some(self.period(question, question.dates).await) } };
        let (pull_counts, period, before) = join3(self.pull_counts(), period, before).await;
        Overview { pull_counts, dates: question.dates, period, before, snapshot: self.snapshot() }
    }

    async fn period(&self, question: &CountQuestion, dates: DateRange) -> Shown<PeriodCounts> {
        let (ask, filter) = (self.0.ask.clone(), question.filter(dates));
        let key = (dates, question.kind, question.architecture.clone());
        self.0.periods.show(key, |_| async move { PeriodCounts::read(&ask, filter).await }).await
    }

    /// What was counted of a repository, or of one of its tags.
    pub async fn repository(
        &self,
        name: &RepositoryName,
        tag: Option<&Tag>,
        question: &CountQuestion,
        split_by: SplitBy,
    ) -> Shown<RepositoryStatistics> {
        let key = (name.clone(), tag.cloned(), question.clone(), split_by);
        let (ask, asked) = (self.0.ask.clone(), key.clone());
        let read = |_| async move {
            let (name, tag, question, split_by) = asked;
            RepositoryStatistics::read(&ask, name, tag, &question, split_by).await
        };
        self.0.repositories.show(key, read).await
    }

    /// What was counted of a folder's repositories.
    pub async fn folder(&self, folder: &metrics::Folder, question: &CountQuestion) -> Shown<FolderDays> {
        let (ask, key) = (self.0.ask.clone(), (folder.clone(), question.clone()));
        let (folder, asked) = key.clone();
        self.0.folders.show(key, |_| async move { FolderDays::read(&ask, folder, &asked).await }).await
    }

    /// What was counted of all repositories.
    pub async fn insights(&self, question: &CountQuestion) -> Shown<Insights> {
        let (ask, asked) = (self.0.ask.clone(), question.clone());
        self.0.insights.show(question.clone(), |_| async move { Insights::read(&ask, &asked).await }).await
    }

    /// The images nobody has pulled for so many days.
    pub async fn unused(&self, days: u32) -> Shown<Unused> {
        let (ask, snapshot) = (self.0.ask.clone(), self.snapshot());
        self.0.unused.show(days, |_| async move { Unused::read(&ask, snapshot, days).await }).await
    }
}

/// The days of [`PullCounts`].
fn last_days(today: NaiveDate) -> DateRange {
    DateRange::days_until(today, u32::try_from(DAYS).unwrap_or(u32::MAX))
}
