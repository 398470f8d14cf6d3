//! The lists of today, each as a breakdown.

use chrono::{DateTime, NaiveDate, Utc};

use super::{
    Breakdown, BreakdownRow, Dimension, Filter, GroupKey, Listed, Measures, MetricsError, Order, Page, Position, Slice,
};
use crate::{Architecture, Digest, RepositoryName, Tag};

/// What the counts of a day are split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullGroup {
    /// Architecture.
    Architecture,
    /// Repository.
    Repository,
    /// Tag.
    Tag,
}

/// Counts of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayPulls {
    /// The day.
    pub date: NaiveDate,
    /// The value of what the counts are split by; none when they are not split, empty for an access without tag.
    pub group: Option<String>,
    /// The count.
    pub pulls: u64,
}

impl Listed for DayPulls {
    type Position = (NaiveDate, Option<String>);

    fn position(&self) -> Self::Position {
        (self.date, self.group.clone())
    }
}

/// Counts of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPulls {
    /// The repository.
    pub repository: RepositoryName,
    /// The count.
    pub pulls: u64,
    /// How many different tags were accessed.
    pub tags: u64,
    /// The latest access.
    pub last_pulled_at: DateTime<Utc>,
}

impl Listed for RepositoryPulls {
    type Position = (u64, RepositoryName);

    fn position(&self) -> Self::Position {
        (self.pulls, self.repository.clone())
    }
}

/// Counts of one repository and tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePulls {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Option<Tag>,
    /// The count.
    pub pulls: u64,
    /// The latest access.
    pub last_pulled_at: DateTime<Utc>,
}

impl Listed for ImagePulls {
    type Position = (u64, RepositoryName, Option<Tag>);

    fn position(&self) -> Self::Position {
        (self.pulls, self.repository.clone(), self.tag.clone())
    }
}

/// Counts of one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchitecturePulls {
    /// The architecture.
    pub architecture: Architecture,
    /// The count.
    pub pulls: u64,
    /// How many repositories were accessed.
    pub repositories: u64,
}

impl Listed for ArchitecturePulls {
    type Position = (u64, Architecture);

    fn position(&self) -> Self::Position {
        (self.pulls, self.architecture.clone())
    }
}

/// Counts of one tag and architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPulls {
    /// The tag.
    pub tag: Option<Tag>,
    /// The architecture.
    pub architecture: Architecture,
    /// The count.
    pub pulls: u64,
    /// The latest access.
    pub last_pulled_at: DateTime<Utc>,
}

impl Listed for TagPulls {
    type Position = (u64, Option<Tag>, Architecture);

    fn position(&self) -> Self::Position {
        (self.pulls, self.tag.clone(), self.architecture.clone())
    }
}

/// Counts of one digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestPulls {
    /// The digest.
    pub digest: Digest,
    /// The count.
    pub pulls: u64,
    /// The first date it was accessed on.
    pub first_pulled_on: NaiveDate,
    /// The latest access.
    pub last_pulled_at: DateTime<Utc>,
}

impl Listed for DigestPulls {
    type Position = (DateTime<Utc>, Digest);

    fn position(&self) -> Self::Position {
        (self.last_pulled_at, self.digest.clone())
    }
}

/// Asks a breakdown for a page of a list's items.
pub(super) struct AsBreakdown {
    pub(super) by: Vec<Dimension>,
    pub(super) measures: Measures,
    pub(super) order: Order,
}

impl AsBreakdown {
    pub(super) fn of<T: Listed>(
        self,
        filter: &Filter,
        page: &Page<T>,
        position: impl FnOnce(T::Position) -> Position,
    ) -> Breakdown {
        let Self { by, measures, order } = self;
        let page = Page { limit: page.limit, after: page.after.clone().map(position) };
        Breakdown { by, measures, filter: filter.clone(), order, page }
    }
}

pub(super) fn items<T>(
    slice: Slice<BreakdownRow>,
    item: impl Fn(BreakdownRow) -> Option<T>,
) -> Result<Slice<T>, MetricsError> {
    slice.try_map(|row| item(row).ok_or_else(|| MetricsError::Corrupt("a part of a row is missing".into())))
}

impl PullGroup {
    fn dimension(self) -> Dimension {
        match self {
            Self::Architecture => Dimension::Architecture,
            Self::Repository => Dimension::Repository,
            Self::Tag => Dimension::Tag,
        }
    }
}

pub(super) fn pulls(filter: &Filter, group: Option<PullGroup>, page: &Page<DayPulls>) -> Breakdown {
    let dimension = group.map(PullGroup::dimension);
    let by = std::iter::once(Dimension::Date).chain(dimension).collect();
    AsBreakdown { by, measures: Measures::COUNT, order: Order::Key }.of(filter, page, |(date, group)| {
        let mut key = GroupKey { date: Some(date), ..GroupKey::default() };
        if let (Some(dimension), Some(text)) = (dimension, group) {
            key.set(dimension, &text).unwrap_or_default();
        }
        Position { key, ..Position::default() }
    })
}

impl DayPulls {
    pub(super) fn of(row: BreakdownRow, group: Option<PullGroup>) -> Option<Self> {
        let text = |group: PullGroup| row.key.borrowed().text(group.dimension()).to_owned();
        Some(Self { date: row.key.date?, group: group.map(text), pulls: row.count })
    }
}

pub(super) fn repositories(filter: &Filter, page: &Page<RepositoryPulls>) -> Breakdown {
    let measures = Measures { distinct: Some(Dimension::Tag), ..Measures::LAST };
    let by = vec![Dimension::Repository];
    AsBreakdown { by, measures, order: Order::MostFirst }.of(filter, page, |(count, repository)| Position {
        count,
        key: GroupKey { repository: Some(repository), ..GroupKey::default() },
        ..Position::default()
    })
}

impl RepositoryPulls {
    pub(super) fn of(row: BreakdownRow) -> Option<Self> {
        Some(Self {
            repository: row.key.repository?,
            pulls: row.count,
            tags: row.distinct?,
            last_pulled_at: row.last_at?,
        })
    }
}

pub(super) fn images(filter: &Filter, page: &Page<ImagePulls>) -> Breakdown {
    let by = vec![Dimension::Repository, Dimension::Tag];
    AsBreakdown { by, measures: Measures::LAST, order: Order::MostFirst }.of(
        filter,
        page,
        |(count, repository, tag)| Position {
            count,
            key: GroupKey { repository: Some(repository), tag, ..GroupKey::default() },
            ..Position::default()
        },
    )
}

impl ImagePulls {
    pub(super) fn of(row: BreakdownRow) -> Option<Self> {
        Some(Self { repository: row.key.repository?, tag: row.key.tag, pulls: row.count, last_pulled_at: row.last_at? })
    }
}

pub(super) fn architectures(filter: &Filter, page: &Page<ArchitecturePulls>) -> Breakdown {
    let measures = Measures { distinct: Some(Dimension::Repository), ..Measures::COUNT };
    let by = vec![Dimension::Architecture];
    AsBreakdown { by, measures, order: Order::MostFirst }.of(filter, page, |(count, architecture)| Position {
        count,
        key: GroupKey { architecture: Some(architecture), ..GroupKey::default() },
        ..Position::default()
    })
}

impl ArchitecturePulls {
    pub(super) fn of(row: BreakdownRow) -> Option<Self> {
        Some(Self { architecture: row.key.architecture?, pulls: row.count, repositories: row.distinct? })
    }
}

pub(super) fn tags(filter: &Filter, page: &Page<TagPulls>) -> Breakdown {
    let by = vec![Dimension::Tag, Dimension::Architecture];
    AsBreakdown { by, measures: Measures::LAST, order: Order::MostFirst }.of(
        filter,
        page,
        |(count, tag, architecture)| Position {
            count,
            key: GroupKey { tag, architecture: Some(architecture), ..GroupKey::default() },
            ..Position::default()
        },
    )
}

impl TagPulls {
    pub(super) fn of(row: BreakdownRow) -> Option<Self> {
        Some(Self {
            tag: row.key.tag,
            architecture: row.key.architecture?,
            pulls: row.count,
            last_pulled_at: row.last_at?,
        })
    }
}

pub(super) fn digests(filter: &Filter, page: &Page<DigestPulls>) -> Breakdown {
    let measures = Measures { first: true, ..Measures::LAST };
    let by = vec![Dimension::Digest];
    AsBreakdown { by, measures, order: Order::LatestFirst }.of(filter, page, |(last_at, digest)| Position {
        last_at: Some(last_at),
        key: GroupKey { digest: Some(digest), ..GroupKey::default() },
        ..Position::default()
    })
}

impl DigestPulls {
    pub(super) fn of(row: BreakdownRow) -> Option<Self> {
        Some(Self {
            digest: row.key.digest?,
            pulls: row.count,
            first_pulled_on: row.first_on?,
            last_pulled_at: row.last_at?,
        })
    }
}
