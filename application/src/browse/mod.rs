//! Browse: what the pages show, from the snapshot of the registry and the counts together.
//!
//! No page waits for the store or the registry: answers are kept, shown at once and renewed when somebody looks.

pub(crate) mod answer_cache;
mod find;
mod folders;
mod items;
mod listing;
mod pull_counts;
pub(crate) mod statistics;
#[cfg(test)]
pub(crate) mod testing;
mod unused;
pub(crate) mod usage;

pub use answer_cache::Shown;
pub use find::{Found, FoundTag};
pub use folders::{Folder, FolderPulls, FolderTotals, Held};
pub use items::{ArchitecturePulls, DigestPulls, ImagePulls};
pub use listing::{Listing, ListingQuestion, ListingRow, Overview, Presence, Sort};
pub use pull_counts::{DAYS, PullCounts, RepositoryCounts};
pub use statistics::{Daily, Insights, RepositoryStatistics, Series, TagCounts};
pub use unused::{Unused, UnusedImage};

use std::{sync::Arc, time::Duration};

use chrono::NaiveDate;
use staticreg_domain::{RepositoryName, Tag, metrics::DateRange};

use crate::{
    ask_metrics::AskMetrics,
    catalog::{CatalogSnapshot, CatalogSnapshots},
};
use answer_cache::AnswerCache;

/// How many answers of a kind are kept.
const KEPT_REPOSITORIES: usize = 256;
const KEPT_INSIGHTS: usize = 32;
const KEPT_UNUSED: usize = 4;

/// How old the counts of all repositories may be while people look, and the store answers.
const PULL_COUNTS_NEW: Duration = Duration::from_secs(5);

/// How old anything else may be that takes the store long.
const COSTLY_NEW: Duration = Duration::from_mins(10);

type Range = (NaiveDate, NaiveDate);

/// What the pages ask. Clones share what is kept.
#[derive(Clone)]
pub struct Browse(Arc<Inner>);

struct Inner {
    ask: AskMetrics,
    catalog: Option<CatalogSnapshots>,
    pull_counts: AnswerCache<(), PullCounts>,
    repositories: AnswerCache<(RepositoryName, Option<Tag>, Range), RepositoryStatistics>,
    insights: AnswerCache<Range, Insights>,
    unused: AnswerCache<u32, Unused>,
}

impl Browse {
    /// Browses the counts, and the registry when there is a snapshot of it.
    #[must_use]
    pub fn new(ask: AskMetrics, catalog: Option<CatalogSnapshots>) -> Self {
        Self(Arc::new(Inner {
            catalog,
            pull_counts: AnswerCache::new(1, PULL_COUNTS_NEW, ask.clock.clone()),
            repositories: AnswerCache::new(KEPT_REPOSITORIES, COSTLY_NEW, ask.clock.clone()),
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

    /// All repositories and their pulls.
    pub async fn overview(&self) -> Overview {
        Overview { pull_counts: self.pull_counts().await, snapshot: self.snapshot() }
    }

    /// The pulls of a repository, or of one of its tags, over some days.
    pub async fn repository(
        &self,
        name: &RepositoryName,
        tag: Option<&Tag>,
        range: DateRange,
    ) -> Shown<RepositoryStatistics> {
        let (ask, name, tag) = (self.0.ask.clone(), name.clone(), tag.cloned());
        let key = (name.clone(), tag.clone(), (range.from(), range.to()));
        let read = |_| async move { RepositoryStatistics::read(&ask, name, tag, range).await };
        self.0.repositories.show(key, read).await
    }

    /// The pulls of all repositories over some days.
    pub async fn insights(&self, range: DateRange) -> Shown<Insights> {
        let ask = self.0.ask.clone();
        self.0.insights.show((range.from(), range.to()), |_| async move { Insights::read(&ask, range).await }).await
    }

    /// The images nobody has pulled for so many days.
    pub async fn unused(&self, days: u32) -> Shown<Unused> {
        let (ask, snapshot) = (self.0.ask.clone(), self.snapshot());
        self.0.unused.show(days, |_| async move { Unused::read(&ask, snapshot, days).await }).await
    }
}
