//! The statistics of a repository, and of all.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    RepositoryName, Tag,
    metrics::{AccessKind, Breakdown, BreakdownRow, DateRange, Dimension, Filter, MetricsError},
};

use super::items::{self, ArchitecturePulls, DigestPulls, ImagePulls};
use crate::ask_metrics::AskMetrics;

/// How many items are asked for at once.
const PAGE: u32 = 10_000;

/// The most tags of a repository that are told apart.
const MAX_TAGS: u32 = 50_000;

/// The most digests in a tag's history.
const MAX_DIGESTS: u32 = 500;

/// How many of the most pulled images are told.
const MAX_IMAGES: u32 = 15;

/// How many architectures are told; nobody has that many.
const MAX_ARCHITECTURES: u32 = 100;

/// Counts per day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daily {
    /// The days.
    pub range: DateRange,
    /// The counts of days before are kept by month, on its first day; none when all are kept by day.
    pub months_before: Option<NaiveDate>,
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
    async fn read(ask: &AskMetrics, filter: &Filter, split_by: Option<Dimension>) -> Result<Self, MetricsError> {
        let range = filter.dates;
        let length = usize::try_from((range.to() - range.from()).num_days() + 1).unwrap_or_default();
        let mut series: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        ask.every_row(items::daily(split_by, filter.clone(), PAGE), |row| {
            let name = split_by.map(|dimension| row.key.borrowed().text(dimension).to_owned()).unwrap_or_default();
            let days = series.entry(name).or_insert_with(|| vec![0; length]);
            let index = usize::try_from((row.key.date? - range.from()).num_days()).ok();
            if let Some(day) = index.and_then(|index| days.get_mut(index)) {
                *day += row.count;
            }
            Some(())
        })
        .await?;
        let mut series: Vec<Series> = series.into_iter().map(|(name, days)| Series { name, days }).collect();
        series.sort_by_key(|series| std::cmp::Reverse(series.total()));
        let months_before = ask.counted(range).await?.months_before;
        Ok(Self { range, months_before, series })
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
    /// What else was counted in the days: version checks, and pulls by digest of all tags together.
    pub others: BTreeMap<AccessKind, u64>,
    /// The digests that were pulled by the tag, the latest pulled first; none without a tag.
    pub digests: Vec<DigestPulls>,
}

impl RepositoryStatistics {
    /// How much of a kind was counted in the days.
    #[must_use]
    pub fn in_range(&self, kind: AccessKind) -> u64 {
        match kind {
            AccessKind::PullByTag => self.daily.total(),
            _ => self.others.get(&kind).copied().unwrap_or_default(),
        }
    }
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
        let of_range = Filter { repository: name.into(), tag: tag.into(), ..Filter::of_dates(range) };
        let ever = Filter { dates: DateRange::EVER, ..of_range.clone() };
        let mut tags: HashMap<Tag, TagCounts> = HashMap::new();
        let (mut all, mut last_pulled_at) = (0, None);
        let images = page(ask, &ImagePulls::asked(ever.clone(), MAX_TAGS), ImagePulls::from_row).await?;
        for ImagePulls { tag, pulls, last_pulled_at: last, .. } in images {
            all += pulls;
            last_pulled_at = last_pulled_at.max(Some(last));
            if let Some(tag) = tag {
                tags.insert(tag, TagCounts { in_range: 0, all: pulls, last_pulled_at: Some(last) });
            }
        }
        let images = page(ask, &ImagePulls::asked(of_range.clone(), MAX_TAGS), ImagePulls::from_row).await?;
        for ImagePulls { tag, pulls, .. } in images {
            if let Some(counts) = tag.and_then(|tag| tags.get_mut(&tag)) {
                counts.in_range = pulls;
            }
        }
        // What is pulled by digest names no tag.
        let kinds: &[AccessKind] =
            if one_tag { &[AccessKind::VersionCheck] } else { &[AccessKind::VersionCheck, AccessKind::PullByDigest] };
        let mut others = BTreeMap::new();
        for kind in kinds {
            others.insert(*kind, sum(ask, &of_range, *kind).await?);
        }
        Ok(Self {
            daily: Daily::read(ask, &of_range, Some(Dimension::Architecture)).await?,
            tags,
            all,
            last_pulled_at,
            others,
            digests: if one_tag {
                page(ask, &DigestPulls::asked(ever, MAX_DIGESTS), DigestPulls::from_row).await?
            } else {
                Vec::new()
            },
        })
    }
}

/// The pulls of all repositories over some days.
#[derive(Clone, Debug)]
pub struct Insights {
    /// Pulls by tag per day and architecture.
    pub by_architecture: Daily,
    /// Every kind per day.
    pub by_kind: BTreeMap<AccessKind, Daily>,
    /// The most pulled images.
    pub images: Vec<ImagePulls>,
    /// The architectures.
    pub architectures: Vec<ArchitecturePulls>,
}

impl Insights {
    pub(super) async fn read(ask: &AskMetrics, range: DateRange) -> Result<Self, MetricsError> {
        let filter = Filter::of_dates(range);
        let mut by_kind = BTreeMap::new();
        for kind in AccessKind::ALL {
            by_kind.insert(kind, Daily::read(ask, &Filter { kind: kind.into(), ..filter.clone() }, None).await?);
        }
        Ok(Self {
            by_architecture: Daily::read(ask, &filter, Some(Dimension::Architecture)).await?,
            by_kind,
            images: page(ask, &ImagePulls::asked(filter.clone(), MAX_IMAGES), ImagePulls::from_row).await?,
            architectures: page(
                ask,
                &ArchitecturePulls::asked(filter.clone(), MAX_ARCHITECTURES),
                ArchitecturePulls::from_row,
            )
            .await?,
        })
    }

    /// How much of a kind was counted in the days.
    #[must_use]
    pub fn total(&self, kind: AccessKind) -> u64 {
        self.by_kind.get(&kind).map_or(0, Daily::total)
    }
}

/// The items of a breakdown's page.
async fn page<T>(
    ask: &AskMetrics,
    breakdown: &Breakdown,
    item: fn(BreakdownRow) -> Option<T>,
) -> Result<Vec<T>, MetricsError> {
    Ok(ask.store().breakdown(breakdown).await?.items(item)?.items)
}

async fn sum(ask: &AskMetrics, filter: &Filter, kind: AccessKind) -> Result<u64, MetricsError> {
    Ok(Daily::read(ask, &Filter { kind: kind.into(), ..filter.clone() }, None).await?.total())
}

/// The first day anything was counted on.
pub(crate) async fn watched_since(ask: &AskMetrics) -> Result<Option<NaiveDate>, MetricsError> {
    let mut first = None;
    for kind in AccessKind::ALL {
        // The first by date, which an index finds: the first of all dates would be looked for in every row.
        let filter = Filter { kind: kind.into(), ..Filter::of_dates(DateRange::EVER) };
        let days = page(ask, &items::daily(None, filter, 1), |row| row.key.date).await?;
        first = first.into_iter().chain(days).min();
    }
    Ok(first)
}
