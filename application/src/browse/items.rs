//! What the pages show of breakdowns.

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    Architecture, Digest, RepositoryName, Tag,
    metrics::{Breakdown, BreakdownRow, Dimension, Filter, Measures, Order, Page},
};

/// Counts of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RepositoryPulls {
    pub(super) repository: RepositoryName,
    pub(super) pulls: u64,
    /// How many different tags were accessed.
    pub(super) tags: u64,
    pub(super) last_pulled_at: DateTime<Utc>,
}

impl RepositoryPulls {
    /// The most pulled first.
    pub(super) fn asked(filter: Filter, limit: u32) -> Breakdown {
        let measures = Measures { distinct: Some(Dimension::Tag), ..Measures::LAST };
        most_first(vec![Dimension::Repository], measures, filter, limit)
    }

    pub(super) fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, distinct, last_at, .. } = row;
        Some(Self { repository: key.repository?, pulls: count, tags: distinct?, last_pulled_at: last_at? })
    }
}

/// Counts of one repository and tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePulls {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag; none for accesses that named none.
    pub tag: Option<Tag>,
    /// The count.
    pub pulls: u64,
    /// The latest access.
    pub last_pulled_at: DateTime<Utc>,
}

impl ImagePulls {
    /// The most pulled first.
    pub(super) fn asked(filter: Filter, limit: u32) -> Breakdown {
        most_first(vec![Dimension::Repository, Dimension::Tag], Measures::LAST, filter, limit)
    }

    pub(super) fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, last_at, .. } = row;
        Some(Self { repository: key.repository?, tag: key.tag, pulls: count, last_pulled_at: last_at? })
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

impl ArchitecturePulls {
    /// The most pulled first.
    pub(super) fn asked(filter: Filter, limit: u32) -> Breakdown {
        let measures = Measures { distinct: Some(Dimension::Repository), ..Measures::COUNT };
        most_first(vec![Dimension::Architecture], measures, filter, limit)
    }

    pub(super) fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, distinct, .. } = row;
        Some(Self { architecture: key.architecture?, pulls: count, repositories: distinct? })
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

impl DigestPulls {
    /// The latest pulled first.
    pub(super) fn asked(filter: Filter, limit: u32) -> Breakdown {
        Breakdown {
            by: vec![Dimension::Digest],
            measures: Measures { first: true, ..Measures::LAST },
            filter,
            order: Order::LatestFirst,
            page: Page::first(limit),
        }
    }

    pub(super) fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, first_on, last_at, .. } = row;
        Some(Self { digest: key.digest?, pulls: count, first_pulled_on: first_on?, last_pulled_at: last_at? })
    }
}

pub(super) fn most_first(by: Vec<Dimension>, measures: Measures, filter: Filter, limit: u32) -> Breakdown {
    Breakdown { by, measures, filter, order: Order::MostFirst, page: Page::first(limit) }
}

/// The latest access of each repository.
pub(super) fn last_of_repositories(filter: Filter, limit: u32) -> Breakdown {
    Breakdown {
        by: vec![Dimension::Repository],
        measures: Measures::LAST,
        filter,
        order: Order::Key,
        page: Page::first(limit),
    }
}

/// Counts per day, and per a further dimension when one is given, by date.
pub(super) fn daily(split_by: Option<Dimension>, filter: Filter, limit: u32) -> Breakdown {
    Breakdown {
        by: std::iter::once(Dimension::Date).chain(split_by).collect(),
        measures: Measures::COUNT,
        filter,
        order: Order::Key,
        page: Page::first(limit),
    }
}
