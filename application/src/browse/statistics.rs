//! The statistics of a repository, and of all.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    RepositoryName, Tag,
    metrics::{
        AccessKind, ArchitecturePulls, DateRange, DayPulls, DigestPulls, Filter, ImagePulls, Listed, MetricsError,
        Page, PullGroup, Slice,
    },
};

use crate::ask_metrics::AskMetrics;

/// How many items are asked for at once.
const PAGE: u32 = 10_000;

/// The most tags of a repository that are told apart.
const MOST_TAGS: u32 = 50_000;

/// The most digests in a tag's history.
const MOST_DIGESTS: u32 = 500;

/// How many of the most pulled images are told.
const MOST_IMAGES: u32 = 15;

/// How many architectures are told; nobody has that many.
const MOST_ARCHITECTURES: u32 = 100;

/// Counts per day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daily {
    /// The days.
    pub range: DateRange,
    /// What the counts are split by, most first.
    pub series: Vec<Series>,
}

/// The counts per day of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What is counted.
    pub name: String,
    /// The count of every day of the range.
    pub days: Vec<u64>,
}

impl Series {
    /// The sum of the days.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.days.iter().sum()
    }
}

impl Daily {
    fn new(range: DateRange, items: Vec<DayPulls>) -> Self {
        let length = usize::try_from((range.to() - range.from()).num_days() + 1).unwrap_or_default();
        let mut series: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for DayPulls { date, group, pulls } in items {
            let days = series.entry(group.unwrap_or_default()).or_insert_with(|| vec![0; length]);
            let index = usize::try_from((date - range.from()).num_days()).ok();
            if let Some(day) = index.and_then(|index| days.get_mut(index)) {
                *day += pulls;
            }
        }
        let mut series: Vec<Series> = series.into_iter().map(|(name, days)| Series { name, days }).collect();
        series.sort_by_key(|series| std::cmp::Reverse(series.total()));
        Self { range, series }
    }

    /// The sum of all series.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.series.iter().map(Series::total).sum()
    }
}

/// The pulls of a repository, or of one of its tags, over some days.
#[derive(Clone, Debug)]
pub struct RepositoryStatistics {
    /// Pulls per day and architecture.
    pub daily: Daily,
    /// The pulls of each tag.
    pub tags: HashMap<Tag, TagCounts>,
    /// Pulls ever.
    pub all: u64,
    /// The last pull.
    pub last_pulled_at: Option<DateTime<Utc>>,
    /// Look-ups that fetched nothing, in the days.
    pub version_checks: u64,
    /// Pulls by digest in the days; zero for a tag.
    pub pulls_by_digest: u64,
    /// The digests that were pulled by the tag, the latest pulled first; none without a tag.
    pub digests: Vec<DigestPulls>,
}

/// The pulls of a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagCounts {
    /// In the days.
    pub in_range: u64,
    /// Ever.
    pub all: u64,
    /// The last pull.
    pub last_pulled_at: Option<DateTime<Utc>>,
}

impl RepositoryStatistics {
    pub(super) async fn read(
        ask: &AskMetrics,
        name: RepositoryName,
        tag: Option<Tag>,
        range: DateRange,
    ) -> Result<Self, MetricsError> {
        let one_tag = tag.is_some();
        let of_range = Filter { repository: Some(name), tag, ..Filter::of_dates(range) };
        let ever = Filter { dates: DateRange::EVER, ..of_range.clone() };
        let mut tags: HashMap<Tag, TagCounts> = HashMap::new();
        let (mut all, mut last_pulled_at) = (0, None);
        for ImagePulls { tag, pulls, last_pulled_at: last, .. } in
            ask.images(&ever, &Page::first(MOST_TAGS)).await?.items
        {
            all += pulls;
            last_pulled_at = last_pulled_at.max(Some(last));
            if let Some(tag) = tag {
                tags.insert(tag, TagCounts { in_range: 0, all: pulls, last_pulled_at: Some(last) });
            }
        }
        for ImagePulls { tag, pulls, .. } in ask.images(&of_range, &Page::first(MOST_TAGS)).await?.items {
            if let Some(counts) = tag.and_then(|tag| tags.get_mut(&tag)) {
                counts.in_range = pulls;
            }
        }
        Ok(Self {
            daily: daily(ask, &of_range, Some(PullGroup::Architecture)).await?,
            tags,
            all,
            last_pulled_at,
            version_checks: sum(ask, &of_range, AccessKind::VersionCheck).await?,
            pulls_by_digest: if one_tag { 0 } else { sum(ask, &of_range, AccessKind::PullByDigest).await? },
            digests: if one_tag { ask.digests(&ever, &Page::first(MOST_DIGESTS)).await?.items } else { Vec::new() },
        })
    }
}

/// The pulls of all repositories over some days.
#[derive(Clone, Debug)]
pub struct Insights {
    /// Pulls by tag per day and architecture.
    pub by_architecture: Daily,
    /// Pulls by tag per day.
    pub pulls: Daily,
    /// Pulls by digest per day.
    pub pulls_by_digest: Daily,
    /// Look-ups of a tag that fetched nothing, per day.
    pub version_checks: Daily,
    /// Manifests pushed, per day.
    pub pushes: Daily,
    /// The most pulled images.
    pub images: Vec<ImagePulls>,
    /// The architectures.
    pub architectures: Vec<ArchitecturePulls>,
}

impl Insights {
    pub(super) async fn read(ask: &AskMetrics, range: DateRange) -> Result<Self, MetricsError> {
        let filter = Filter::of_dates(range);
        let of_kind = |kind| Filter { kind, ..filter.clone() };
        Ok(Self {
            by_architecture: daily(ask, &filter, Some(PullGroup::Architecture)).await?,
            pulls: daily(ask, &filter, None).await?,
            pulls_by_digest: daily(ask, &of_kind(AccessKind::PullByDigest), None).await?,
            version_checks: daily(ask, &of_kind(AccessKind::VersionCheck), None).await?,
            pushes: daily(ask, &of_kind(AccessKind::Push), None).await?,
            images: ask.images(&filter, &Page::first(MOST_IMAGES)).await?.items,
            architectures: ask.architectures(&filter, &Page::first(MOST_ARCHITECTURES)).await?.items,
        })
    }
}

async fn daily(ask: &AskMetrics, filter: &Filter, group: Option<PullGroup>) -> Result<Daily, MetricsError> {
    let mut all = Vec::new();
    let mut page = Page::first(PAGE);
    loop {
        let Slice { items, more } = ask.pulls(filter, group, &page).await?;
        page.after = items.last().map(Listed::position);
        all.extend(items);
        if !more {
            return Ok(Daily::new(filter.dates, all));
        }
    }
}

async fn sum(ask: &AskMetrics, filter: &Filter, kind: AccessKind) -> Result<u64, MetricsError> {
    Ok(daily(ask, &Filter { kind, ..filter.clone() }, None).await?.total())
}

/// The first day anything was counted on.
pub(super) async fn watched_since(ask: &AskMetrics) -> Result<Option<NaiveDate>, MetricsError> {
    let mut first = None;
    for kind in AccessKind::ALL {
        let filter = Filter { kind, ..Filter::of_dates(DateRange::EVER) };
        let day = ask.pulls(&filter, None, &Page::first(1)).await?.items.first().map(|day| day.date);
        first = first.into_iter().chain(day).min();
    }
    Ok(first)
}
