//! Which counts a page shows.

use staticreg_domain::{
    Architecture,
    metrics::{AccessKind, DateRange, Filter},
};

/// The counts that a page asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CountQuestion {
    /// The dates.
    pub dates: DateRange,
    /// The period to compare with; none when there is none.
    pub before: Option<DateRange>,
    /// The kind of access.
    pub kind: AccessKind,
    /// The architecture; all when none is named.
    pub architecture: Option<Architecture>,
}

impl CountQuestion {
    /// The pulls by tag of some dates, compared with nothing.
    #[must_use]
    pub fn of_dates(dates: DateRange) -> Self {
        Self { dates, before: None, kind: AccessKind::PullByTag, architecture: None }
    }

    /// Whether it is about every pull by tag of its dates.
    #[must_use]
    pub fn is_of_all_pulls(&self) -> bool {
        self.kind == AccessKind::PullByTag && self.architecture.is_none()
    }

    /// The counts of some dates.
    pub(super) fn filter(&self, dates: DateRange) -> Filter {
        Filter { kind: self.kind.into(), architecture: self.architecture.clone().into(), ..Filter::of_dates(dates) }
    }
}

/// A count, and that of the period before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// The count.
    pub count: u64,
    /// The count of the period before; none when there is none to compare with.
    pub before: Option<u64>,
}

impl Compared {
    /// By how much it grew, from nothing where there is nothing to compare with.
    #[must_use]
    pub fn growth(self) -> i128 {
        i128::from(self.count) - i128::from(self.before.unwrap_or_default())
    }
}
