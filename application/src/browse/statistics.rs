//! The statistics of a repository, and of all.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    RepositoryName, Tag,
    metrics::{AccessKind, AnyOf, Breakdown, BreakdownRow, DateRange, Dimension, Filter, MetricsError},
};

use super::{
    Compared, CountQuestion,
    items::{self, ArchitecturePulls, DigestPulls, ImagePulls},
};
use crate::ask_metrics::AskMetrics;

/// How many items are asked for at once.
const PAGE: u32 = 10_000;

/// The most tags of a repository that are told apart.
const MAX_TAGS: u32 = 50_000;

/// How many tags are told apart day by day.
const TAGS_TOLD: usize = 5;

/// What accesses are called that name no tag.
const NO_TAG: &str = "no tag";

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
    pub(super) async fn read(
        ask: &AskMetrics,
        filter: &Filter,
        split_by: Option<Dimension>,
    ) -> Result<Self, MetricsError> {
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

    /// Those of the first of some tags, the rest as one. Not every tag has its days: there may be very many.
    async fn by_tag(ask: &AskMetrics, filter: &Filter, most: &[(Tag, u64)]) -> Result<Self, MetricsError> {
        let mut whole = Self::read(ask, filter, None).await?;
        let Some(mut rest) = whole.series.pop() else { return Ok(whole) };
        let (told, others) = most.split_at(most.len().min(TAGS_TOLD));
        if told.is_empty() {
            whole.series.push(Series { name: NO_TAG.to_owned(), ..rest });
            return Ok(whole);
        }
        let tag = told.iter().map(|(tag, _)| tag.clone()).collect();
        let mut told = Self::read(ask, &Filter { tag, ..filter.clone() }, Some(Dimension::Tag)).await?;
        for series in &told.series {
            for (rest, count) in rest.days.iter_mut().zip(&series.days) {
                *rest = rest.saturating_sub(*count);
            }
        }
        if rest.total() > 0 {
            rest.name = if others.is_empty() { NO_TAG.to_owned() } else { format!("{} others", others.len()) };
            told.series.push(rest);
        }
        Ok(told)
    }

    /// The sum of all series.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.series.iter().map(Series::total).sum()
    }
}

/// What the days of a repository are split by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SplitBy {
    /// Architectures.
    #[default]
    Architecture,
    /// Tags: the most pulled, and the rest.
    Tag,
}

/// What was counted of a repository, or of one of its tags, over some days.
#[derive(Clone, Debug)]
pub struct RepositoryStatistics {
    /// The counts per day, split as asked for.
    pub daily: Daily,
    /// The counts per day of the period before, not split; none when there is none to compare with.
    pub before: Option<Daily>,
    /// The counts of each tag.
    pub tags: HashMap<Tag, TagCounts>,
    /// The count of all days.
    pub all: u64,
    /// The last access.
    pub last_pulled_at: Option<DateTime<Utc>>,
    /// What was counted in the days of some kinds: the one asked for, pulls by tag, version checks, and of all tags together
    /// pulls by digest.
    pub by_kind: BTreeMap<AccessKind, Compared>,
    /// The digests that were accessed by the tag, the latest first; none without a tag.
    pub digests: Vec<DigestPulls>,
}

impl RepositoryStatistics {
    /// How much of a kind was counted in the days.
    #[must_use]
    pub fn in_range(&self, kind: AccessKind) -> Compared {
        self.by_kind.get(&kind).copied().unwrap_or_default()
    }
}

/// The counts of a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagCounts {
    /// In the days.
    pub in_range: Compared,
    /// Ever.
    pub all: u64,
    /// The last access.
    pub last_pulled_at: Option<DateTime<Utc>>,
}

impl RepositoryStatistics {
    pub(super) async fn read(
        ask: &AskMetrics,
        name: RepositoryName,
        tag: Option<Tag>,
        question: &CountQuestion,
        split_by: SplitBy,
    ) -> Result<Self, MetricsError> {
        let one_tag = tag.is_some();
        let of_range = Filter { repository: name.into(), tag: tag.into(), ..question.filter(question.dates) };
        let of = |dates: DateRange| Filter { dates, ..of_range.clone() };
        let mut tags: HashMap<Tag, TagCounts> = HashMap::new();
        let (mut all, mut last_pulled_at) = (0, None);
        for ImagePulls { tag, pulls, last_pulled_at: last, .. } in images(ask, of(DateRange::EVER)).await? {
            all += pulls;
            last_pulled_at = last_pulled_at.max(Some(last));
            if let Some(tag) = tag {
                let in_range = Compared { count: 0, before: question.before.map(|_| 0) };
                tags.insert(tag, TagCounts { in_range, all: pulls, last_pulled_at: Some(last) });
            }
        }
        let mut most: Vec<(Tag, u64)> = Vec::new();
        for ImagePulls { tag, pulls, .. } in images(ask, of_range.clone()).await? {
            let Some(tag) = tag else { continue };
            if let Some(counts) = tags.get_mut(&tag) {
                counts.in_range.count = pulls;
            }
            most.push((tag, pulls));
        }
        if let Some(dates) = question.before {
            for ImagePulls { tag, pulls, .. } in images(ask, of(dates)).await? {
                if let Some(counts) = tag.and_then(|tag| tags.get_mut(&tag)) {
                    counts.in_range.before = Some(pulls);
                }
            }
        }
        let daily = match split_by {
            SplitBy::Architecture => Daily::read(ask, &of_range, Some(Dimension::Architecture)).await?,
            SplitBy::Tag => Daily::by_tag(ask, &of_range, &most).await?,
        };
        let before = match question.before {
            Some(dates) => Some(Daily::read(ask, &of(dates), None).await?),
            None => None,
        };
        let mut by_kind = BTreeMap::new();
        // What is pulled by digest names no tag.
        let others = [AccessKind::PullByTag, AccessKind::VersionCheck, AccessKind::PullByDigest];
        let is_told = |kind: &AccessKind| *kind != question.kind && (!one_tag || *kind != AccessKind::PullByDigest);
        for kind in others.into_iter().filter(is_told) {
            let mut counted = Compared { count: sum(ask, &of_range, kind).await?, before: None };
            if let Some(dates) = question.before {
                counted.before = Some(sum(ask, &of(dates), kind).await?);
            }
            by_kind.insert(kind, counted);
        }
        by_kind.insert(question.kind, Compared { count: daily.total(), before: before.as_ref().map(Daily::total) });
        let digests = if one_tag {
            page(ask, &DigestPulls::asked(of(DateRange::EVER), MAX_DIGESTS), DigestPulls::from_row).await?
        } else {
            Vec::new()
        };
        Ok(Self { daily, before, tags, all, last_pulled_at, by_kind, digests })
    }
}

/// What was counted of all repositories over some days.
#[derive(Clone, Debug)]
pub struct Insights {
    /// The counts of the kind that was asked for, per day and architecture.
    pub by_architecture: Daily,
    /// Every kind per day.
    pub by_kind: BTreeMap<AccessKind, Daily>,
    /// The same of the period before; of no kind when there is none to compare with.
    pub before: BTreeMap<AccessKind, Daily>,
    /// The images with the most counts, and what was counted of each in the period before.
    pub images: Vec<(ImagePulls, Option<u64>)>,
    /// The architectures, in the same way.
    pub architectures: Vec<(ArchitecturePulls, Option<u64>)>,
}

impl Insights {
    pub(super) async fn read(ask: &AskMetrics, question: &CountQuestion) -> Result<Self, MetricsError> {
        let filter = question.filter(question.dates);
        let before = question.before.map(|dates| question.filter(dates));
        let images = page(ask, &ImagePulls::asked(filter.clone(), MAX_IMAGES), ImagePulls::from_row).await?;
        let images_before = match &before {
            Some(before) => Some(counts_of(ask, before.clone(), &images).await?),
            None => None,
        };
        let image = |image: ImagePulls| {
            let counted = |before: &HashMap<_, u64>| {
                before.get(&(image.repository.clone(), image.tag.clone())).copied().unwrap_or_default()
            };
            let before = images_before.as_ref().map(counted);
            (image, before)
        };
        let of_architectures = |filter: Filter| ArchitecturePulls::asked(filter, MAX_ARCHITECTURES);
        let architectures = page(ask, &of_architectures(filter.clone()), ArchitecturePulls::from_row).await?;
        let architectures_before = match &before {
            Some(before) => Some(page(ask, &of_architectures(before.clone()), ArchitecturePulls::from_row).await?),
            None => None,
        };
        let architecture = |item: ArchitecturePulls| {
            let is_it = |before: &&ArchitecturePulls| before.architecture == item.architecture;
            let counted = |before: &Vec<ArchitecturePulls>| before.iter().find(is_it).map_or(0, |before| before.pulls);
            let before = architectures_before.as_ref().map(counted);
            (item, before)
        };
        Ok(Self {
            by_architecture: Daily::read(ask, &filter, Some(Dimension::Architecture)).await?,
            by_kind: Self::by_kind(ask, &filter).await?,
            before: match &before {
                Some(before) => Self::by_kind(ask, before).await?,
                None => BTreeMap::new(),
            },
            images: images.into_iter().map(image).collect(),
            architectures: architectures.into_iter().map(architecture).collect(),
        })
    }

    async fn by_kind(ask: &AskMetrics, filter: &Filter) -> Result<BTreeMap<AccessKind, Daily>, MetricsError> {
        let mut by_kind = BTreeMap::new();
        for kind in AccessKind::ALL {
            by_kind.insert(kind, Daily::read(ask, &Filter { kind: kind.into(), ..filter.clone() }, None).await?);
        }
        Ok(by_kind)
    }

    /// How much of a kind was counted in the days.
    #[must_use]
    pub fn total(&self, kind: AccessKind) -> Compared {
        Compared {
            count: self.by_kind.get(&kind).map_or(0, Daily::total),
            before: self.before.get(&kind).map(Daily::total),
        }
    }
}

/// What a filter counts of some images.
async fn counts_of(
    ask: &AskMetrics,
    filter: Filter,
    images: &[ImagePulls],
) -> Result<HashMap<(RepositoryName, Option<Tag>), u64>, MetricsError> {
    let mut counts = HashMap::new();
    if images.is_empty() {
        return Ok(counts);
    }
    // Accesses without a tag cannot be named.
    let tags = if images.iter().all(|image| image.tag.is_some()) {
        images.iter().filter_map(|image| image.tag.clone()).collect()
    } else {
        AnyOf::EVERY
    };
    let repositories = images.iter().map(|image| image.repository.clone()).collect();
    let filter = Filter { repository: repositories, tag: tags, ..filter };
    ask.every_row(ImagePulls::asked(filter, PAGE), |row| {
        counts.insert((row.key.repository?, row.key.tag), row.count);
        Some(())
    })
    .await?;
    Ok(counts)
}

async fn images(ask: &AskMetrics, filter: Filter) -> Result<Vec<ImagePulls>, MetricsError> {
    page(ask, &ImagePulls::asked(filter, MAX_TAGS), ImagePulls::from_row).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browse::testing::CountingStore;

    /// The last two days, compared with the two before.
    fn question(kind: AccessKind) -> CountQuestion {
        let dates = DateRange::days_until("2026-11-21".parse().unwrap(), 2);
        CountQuestion { before: Some(dates.previous()), kind, ..CountQuestion::of_dates(dates) }
    }

    async fn repository(counted: &CountingStore, kind: AccessKind, split_by: SplitBy) -> RepositoryStatistics {
        let name = "app".parse().unwrap();
        RepositoryStatistics::read(&counted.ask, name, None, &question(kind), split_by).await.unwrap()
    }

    fn series(daily: &Daily) -> Vec<(&str, &[u64])> {
        daily.series.iter().map(|series| (series.name.as_str(), series.days.as_slice())).collect()
    }

    #[tokio::test]
    async fn the_most_pulled_tags_are_told_apart_and_the_rest_is_one() {
        let counted = CountingStore::new();
        for (tag, count) in [("1", 1), ("2", 2), ("3", 3), ("4", 4), ("5", 5), ("6", 6), ("7", 7)] {
            counted.pulls("2026-11-20", &format!("app:{tag}"), count).await;
        }
        counted.pulls("2026-11-21", "app:1", 1).await;
        let statistics = repository(&counted, AccessKind::PullByTag, SplitBy::Tag).await;
        let expected: [(&str, &[u64]); 6] =
            [("7", &[7, 0]), ("6", &[6, 0]), ("5", &[5, 0]), ("4", &[4, 0]), ("3", &[3, 0]), ("2 others", &[3, 1])];
        assert_eq!(series(&statistics.daily), expected);
        // What names no tag has none to be told apart by.
        counted.count(AccessKind::PullByDigest, "2026-11-21", "app", &"b".repeat(64), 2).await;
        let statistics = repository(&counted, AccessKind::PullByDigest, SplitBy::Tag).await;
        assert_eq!(series(&statistics.daily), [(NO_TAG, &[0, 2][..])]);
    }

    #[tokio::test]
    async fn a_repository_and_its_tags_are_compared_with_the_period_before() {
        let counted = CountingStore::new();
        for (date, tag, count) in [("2026-11-21", "1", 3), ("2026-11-19", "1", 1), ("2026-11-18", "2", 5)] {
            counted.pulls(date, &format!("app:{tag}"), count).await;
        }
        counted.count(AccessKind::VersionCheck, "2026-11-18", "app:1", &"a".repeat(64), 9).await;
        let statistics = repository(&counted, AccessKind::PullByTag, SplitBy::Architecture).await;
        let tag = |tag: &str| statistics.tags[&tag.parse::<Tag>().unwrap()].in_range;
        assert_eq!(tag("1"), Compared { count: 3, before: Some(1) });
        assert_eq!(tag("2"), Compared { count: 0, before: Some(5) });
        assert_eq!(statistics.in_range(AccessKind::PullByTag), Compared { count: 3, before: Some(6) });
        assert_eq!(statistics.in_range(AccessKind::VersionCheck), Compared { count: 0, before: Some(9) });
        assert_eq!(statistics.before.unwrap().series[0].days, [5, 1]);
    }

    #[tokio::test]
    async fn images_are_compared_though_they_were_not_among_the_most_pulled_before() {
        let counted = CountingStore::new();
        for number in 0..20 {
            counted.pulls("2026-11-18", &format!("other-{number}:1"), 10).await;
        }
        for (date, image, count) in [
            ("2026-11-18", "app:1", 1),
            ("2026-11-18", "app:2", 7),
            ("2026-11-21", "app:1", 4),
            ("2026-11-21", "b:1", 2),
        ] {
            counted.pulls(date, image, count).await;
        }
        let insights = Insights::read(&counted.ask, &question(AccessKind::PullByTag)).await.unwrap();
        let images: Vec<_> =
            insights.images.iter().map(|(image, before)| (image.repository.as_str(), image.pulls, *before)).collect();
        assert_eq!(images, [("app", 4, Some(1)), ("b", 2, Some(0))]);
        assert_eq!(insights.total(AccessKind::PullByTag), Compared { count: 6, before: Some(208) });
        assert_eq!(insights.architectures[0].1, Some(208));
        let alone = CountQuestion { before: None, ..question(AccessKind::PullByTag) };
        let insights = Insights::read(&counted.ask, &alone).await.unwrap();
        assert_eq!((insights.images[0].1, insights.total(AccessKind::PullByTag).before), (None, None));
    }
}
