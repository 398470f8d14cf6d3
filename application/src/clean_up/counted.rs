//! What was counted of the tags that are looked at.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    Digest, RepositoryName, Tag,
    metrics::{AccessKind, DateRange, Filter, MetricsError, last_of_month},
};

use crate::{
    ask_metrics::AskMetrics,
    browse::{
        statistics::watched_since,
        usage::{ByTag, images, of, pulled_digests},
    },
    catalog::CatalogSnapshot,
};

/// The counts of some days, and what the registry held before they were asked for.
pub(super) struct Counted {
    /// None without a registry.
    pub(super) snapshot: Option<Arc<CatalogSnapshot>>,
    /// The days in which what is used stays.
    pub(super) window: DateRange,
    /// Since when all is counted; none when nothing ever was.
    pub(super) watched_since: Option<NaiveDate>,
    /// Pulled by digest, of what the registry holds.
    pub(super) by_digest: HashSet<Digest>,
    /// Pulled by any tag, which may point to something else by now.
    pub(super) by_tag: HashSet<Digest>,
    last_pulls: ByTag<DateTime<Utc>>,
    last_pushes: ByTag<DateTime<Utc>>,
    pulls: ByTag<u64>,
    version_checks: ByTag<u64>,
}

/// What was counted of a tag.
pub(super) struct OfTag {
    pub(super) last_pulled_at: Option<DateTime<Utc>>,
    pub(super) last_pushed_at: Option<DateTime<Utc>>,
    /// In the window.
    pub(super) pulls: u64,
    /// In the window.
    pub(super) version_checks: u64,
}

impl Counted {
    pub(super) async fn read(
        ask: &AskMetrics,
        snapshot: Option<Arc<CatalogSnapshot>>,
        days: u32,
    ) -> Result<Self, MetricsError> {
        let counted = ask.counted(DateRange::days_until(ask.today(), days)).await?;
        let window = counted.dates;
        let ever = |kind: AccessKind| Filter { kind: kind.into(), ..Filter::of_dates(DateRange::EVER) };
        let in_window = |kind: AccessKind| Filter { kind: kind.into(), ..Filter::of_dates(window) };
        let watched_since = watched_since(ask).await?.map(|first| {
            // All that is known of a day that is kept by month is the month.
            if counted.months_before.is_some_and(|before| first < before) { last_of_month(first) } else { first }
        });
        // Where months are kept without digests, what was pulled by one is not known.
        let digests_since = ask.store().folded().await?.digests_before;
        let watched_since = watched_since.map(|since| since.max(digests_since));
        let digests = async |kind| match &snapshot {
            Some(snapshot) => pulled_digests(ask, snapshot, first_day(window, watched_since), &[kind]).await,
            None => Ok(HashSet::new()),
        };
        Ok(Self {
            by_digest: digests(AccessKind::PullByDigest).await?,
            by_tag: digests(AccessKind::PullByTag).await?,
            last_pulls: images(ask, &ever(AccessKind::PullByTag), |item| item.last_pulled_at).await?,
            last_pushes: images(ask, &ever(AccessKind::Push), |item| item.last_pulled_at).await?,
            pulls: images(ask, &in_window(AccessKind::PullByTag), |item| item.pulls).await?,
            version_checks: images(ask, &in_window(AccessKind::VersionCheck), |item| item.pulls).await?,
            snapshot,
            window,
            watched_since,
        })
    }

    pub(super) fn of_tag(&self, repository: &RepositoryName, tag: &Tag) -> OfTag {
        OfTag {
            last_pulled_at: of(&self.last_pulls, repository, tag).copied(),
            last_pushed_at: of(&self.last_pushes, repository, tag).copied(),
            pulls: of(&self.pulls, repository, tag).copied().unwrap_or_default(),
            version_checks: of(&self.version_checks, repository, tag).copied().unwrap_or_default(),
        }
    }
}

/// The first day of the window that anything can be counted on. The first of a month that is kept as such has what was
/// counted in it.
fn first_day(window: DateRange, watched_since: Option<NaiveDate>) -> NaiveDate {
    let first = watched_since.map_or(window.to(), staticreg_domain::metrics::first_of_month);
    window.from().max(first)
}
