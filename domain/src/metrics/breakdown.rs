//! Breakdowns: counts told apart by dimensions. A question is data; a store answers every one in the same way.

use std::cmp::{Ordering, Reverse};

use chrono::{DateTime, NaiveDate, Utc};

use super::{AccessKind, BoxError, DateRange, Filter, FolderEntry, Listed, MetricsError, Page, Slice};
use crate::{Architecture, Digest, RepositoryName, Tag};

/// What counts can be told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The UTC date of the accesses.
    Date,
    /// What lies right in the filter's folder, see [`FolderEntry`]: a folder or a repository.
    Folder,
    /// The repository.
    Repository,
    /// The tag; an access without one has a part of its own.
    Tag,
    /// The digest.
    Digest,
    /// The architecture.
    Architecture,
    /// The kind of access.
    Kind,
}

impl Dimension {
    /// Every dimension, in the order of a key's parts.
    pub const ALL: [Self; 7] =
        [Self::Date, Self::Folder, Self::Repository, Self::Tag, Self::Digest, Self::Architecture, Self::Kind];
}

/// What a breakdown tells of each row beside its count. What is not asked for costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Of which dimension the different values are counted. No tag is not a tag.
    pub distinct: Option<Dimension>,
    /// Whether the first date is told.
    pub first: bool,
    /// Whether the latest access is told.
    pub last: bool,
    /// Since when it is told what was counted until the day before the filter's dates. Then the rows are of all these dates,
    /// as are the first and the latest of them; different values are counted of the filter's dates alone. Not together with
    /// the date.
    pub previous_from: Option<NaiveDate>,
}

impl Measures {
    /// The count alone.
    pub const COUNT: Self = Self { distinct: None, first: false, last: false, previous_from: None };
    /// The count and the latest access.
    pub const LAST: Self = Self { last: true, ..Self::COUNT };
}

/// The order of a breakdown's rows. Equal ones follow each other by their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By key, the earliest date first.
    Key,
    /// By key, the latest date first.
    LastKeyFirst,
    /// Most counts first.
    MostFirst,
    /// Fewest counts first.
    FewestFirst,
    /// The latest access first; the breakdown tells the latest access.
    LatestFirst,
    /// The access that is longest ago first; the breakdown tells the latest access.
    EarliestFirst,
    /// What grew most first; the breakdown tells the count before.
    MostGrownFirst,
    /// What shrank most first; the breakdown tells the count before.
    LeastGrownFirst,
}

/// What an order looks at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderedBy {
    /// The key.
    Key,
    /// The count.
    Count,
    /// The latest access.
    Last,
    /// How much the count grew.
    Growth,
}

/// How much a count grew: its ratio to the one before. What was not there before grew the most.
#[derive(Clone, Copy, Debug)]
pub struct Growth(f64);

impl Growth {
    /// The ratio of what was not there before: above that of any two counts.
    pub const OF_NEW: f64 = 1e300;

    /// That of a count and the one before. Every store divides as this does, so that all have one order.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below the numbers that are not exact")]
    pub fn new(count: u64, previous: u64) -> Self {
        Self(if previous == 0 { Self::OF_NEW } else { count as f64 / previous as f64 })
    }

    /// The ratio.
    #[must_use]
    pub fn ratio(self) -> f64 {
        self.0
    }

    /// The change in per cent, to a tenth; none of what was not there before.
    #[must_use]
    pub fn per_cent(self) -> Option<f64> {
        (self.0 < Self::OF_NEW).then(|| ((self.0 - 1.0) * 1000.0).round() / 10.0)
    }
}

impl Ord for Growth {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Growth {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Growth {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Growth {}

/// What an order looks at before it looks at keys: what comes first is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Nothing.
    Equal,
    /// The count.
    Count(u64),
    /// The count, the largest first.
    MostFirst(Reverse<u64>),
    /// The latest access.
    Last(Option<DateTime<Utc>>),
    /// The latest access, the latest first.
    LatestFirst(Reverse<Option<DateTime<Utc>>>),
    /// How much the count grew.
    Growth(Growth),
    /// How much the count grew, the most first.
    MostGrownFirst(Reverse<Growth>),
}

/// A key as an order looks at it: what comes first is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyRank<'a> {
    /// The key.
    Up(KeyRef<'a>),
    /// The key, the last first.
    Down(Reverse<KeyRef<'a>>),
}

impl<'a> KeyRank<'a> {
    /// The key.
    #[must_use]
    pub fn key(self) -> KeyRef<'a> {
        let (Self::Up(key) | Self::Down(Reverse(key))) = self;
        key
    }
}

/// A place in an order: rows come by their places.
pub type Place<'a> = (Rank, KeyRank<'a>);

impl Order {
    /// What it looks at first.
    #[must_use]
    pub fn by(self) -> OrderedBy {
        match self {
            Self::Key | Self::LastKeyFirst => OrderedBy::Key,
            Self::MostFirst | Self::FewestFirst => OrderedBy::Count,
            Self::LatestFirst | Self::EarliestFirst => OrderedBy::Last,
            Self::MostGrownFirst | Self::LeastGrownFirst => OrderedBy::Growth,
        }
    }

    /// Whether what it looks at first falls.
    #[must_use]
    pub fn falls(self) -> bool {
        matches!(self, Self::LastKeyFirst | Self::MostFirst | Self::LatestFirst | Self::MostGrownFirst)
    }

    /// The place of a row with such a count, count before, latest access and key.
    #[must_use]
    pub fn place(self, count: u64, previous: u64, last_at: Option<DateTime<Utc>>, key: KeyRef<'_>) -> Place<'_> {
        let rank = match self {
            Self::Key | Self::LastKeyFirst => Rank::Equal,
            Self::MostFirst => Rank::MostFirst(Reverse(count)),
            Self::FewestFirst => Rank::Count(count),
            Self::LatestFirst => Rank::LatestFirst(Reverse(last_at)),
            Self::EarliestFirst => Rank::Last(last_at),
            Self::MostGrownFirst => Rank::MostGrownFirst(Reverse(Growth::new(count, previous))),
            Self::LeastGrownFirst => Rank::Growth(Growth::new(count, previous)),
        };
        let key = if self == Self::LastKeyFirst { KeyRank::Down(Reverse(key)) } else { KeyRank::Up(key) };
        (rank, key)
    }
}

/// A question: the counts that pass a filter, summed by what they have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Breakdown {
    /// What the counts are told apart by. Without any there is one row, or none when nothing was counted.
    pub by: Vec<Dimension>,
    /// What is told beside the count.
    pub measures: Measures,
    /// Which counts. Those told apart by kind are of every kind, whatever the filter names.
    pub filter: Filter,
    /// The order of the rows.
    pub order: Order,
    /// Which part of the rows.
    pub page: Page<BreakdownRow>,
}

impl Breakdown {
    /// Whether counts are told apart by a dimension.
    #[must_use]
    pub fn tells(&self, dimension: Dimension) -> bool {
        self.by.contains(&dimension)
    }

    /// The dimensions in the order of a key's parts.
    pub fn dimensions(&self) -> impl Iterator<Item = Dimension> {
        Dimension::ALL.into_iter().filter(|dimension| self.tells(*dimension))
    }

    /// All dates that are counted: the filter's, and those before that are told too.
    #[must_use]
    pub fn dates(&self) -> DateRange {
        let dates = self.filter.dates;
        let from = self.measures.previous_from.unwrap_or(dates.from());
        DateRange::new(from, dates.to()).unwrap_or(dates)
    }

    /// The dates before that are told too.
    #[must_use]
    pub fn previous_dates(&self) -> Option<DateRange> {
        DateRange::new(self.measures.previous_from?, self.filter.dates.from().pred_opt()?).ok()
    }

    /// The only kind of access it is about; none when there are several.
    #[must_use]
    pub fn kind(&self) -> Option<AccessKind> {
        if let [kind] = self.kinds() { Some(*kind) } else { None }
    }

    /// The kinds of access it is about, at least one.
    #[must_use]
    pub fn kinds(&self) -> &[AccessKind] {
        if self.tells(Dimension::Kind) { &AccessKind::ALL } else { self.filter.kinds() }
    }
}

/// What the counts of a row have in common: a part for each dimension that they are told apart by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupKey {
    /// The date.
    pub date: Option<NaiveDate>,
    /// What lies right in the folder.
    pub folder: Option<FolderEntry>,
    /// The repository.
    pub repository: Option<RepositoryName>,
    /// The tag; none also for accesses that named none.
    pub tag: Option<Tag>,
    /// The digest.
    pub digest: Option<Digest>,
    /// The architecture.
    pub architecture: Option<Architecture>,
    /// The kind of access.
    pub kind: Option<AccessKind>,
}

impl GroupKey {
    /// The key as it is compared.
    #[must_use]
    pub fn borrowed(&self) -> KeyRef<'_> {
        let Self { date, folder, repository, tag, digest, architecture, kind } = self;
        KeyRef {
            date: *date,
            folder: folder.as_ref().map(FolderEntry::as_str),
            repository: repository.as_ref().map(RepositoryName::as_str),
            tag: tag.as_ref().map(Tag::as_str),
            digest: digest.as_ref().map(Digest::as_str),
            architecture: architecture.as_ref().map(Architecture::as_str),
            kind: kind.map(AccessKind::as_str),
        }
    }

    /// Sets the part of a dimension from its text in a store, which is empty for no tag.
    pub fn set(&mut self, dimension: Dimension, text: &str) -> Result<(), BoxError> {
        match dimension {
            Dimension::Date => self.date = Some(text.parse()?),
            Dimension::Folder => self.folder = Some(FolderEntry::as_stored(text)?),
            Dimension::Repository => self.repository = Some(RepositoryName::as_stored(text)?),
            Dimension::Tag if text.is_empty() => self.tag = None,
            Dimension::Tag => self.tag = Some(text.parse()?),
            Dimension::Digest => self.digest = Some(Digest::as_stored(text)?),
            Dimension::Architecture => self.architecture = Some(text.parse()?),
            Dimension::Kind => self.kind = Some(AccessKind::named(text).ok_or("not a kind of access")?),
        }
        Ok(())
    }
}

/// A key as it is compared: dates by time, text by its bytes, no tag before every tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRef<'a> {
    /// The date.
    pub date: Option<NaiveDate>,
    /// What lies right in the folder.
    pub folder: Option<&'a str>,
    /// The repository.
    pub repository: Option<&'a str>,
    /// The tag; none also for accesses that named none.
    pub tag: Option<&'a str>,
    /// The digest.
    pub digest: Option<&'a str>,
    /// The architecture.
    pub architecture: Option<&'a str>,
    /// The name of the kind of access.
    pub kind: Option<&'a str>,
}

impl<'a> KeyRef<'a> {
    /// The text of a part; empty when there is none, and for a date.
    #[must_use]
    pub fn text(&self, dimension: Dimension) -> &'a str {
        match dimension {
            Dimension::Date => None,
            Dimension::Folder => self.folder,
            Dimension::Repository => self.repository,
            Dimension::Tag => self.tag,
            Dimension::Digest => self.digest,
            Dimension::Architecture => self.architecture,
            Dimension::Kind => self.kind,
        }
        .unwrap_or_default()
    }

    /// The key of its own, of some dimensions.
    pub fn to_key(&self, dimensions: impl Iterator<Item = Dimension>) -> Result<GroupKey, BoxError> {
        let mut key = GroupKey { date: self.date, ..GroupKey::default() };
        for dimension in dimensions.filter(|dimension| *dimension != Dimension::Date) {
            key.set(dimension, self.text(dimension))?;
        }
        Ok(key)
    }
}

/// Counts that have their key in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BreakdownRow {
    /// What they have in common.
    pub key: GroupKey,
    /// Their sum, which is above zero; or zero, where the one before is not.
    pub count: u64,
    /// The sum of the dates before, see [`Measures::previous_from`]; none when not asked for.
    pub previous: Option<u64>,
    /// How many different values there are of [`Measures::distinct`]; none when not asked for.
    pub distinct: Option<u64>,
    /// The first date; none when not asked for.
    pub first_on: Option<NaiveDate>,
    /// The latest access; none when not asked for.
    pub last_at: Option<DateTime<Utc>>,
}

impl Slice<BreakdownRow> {
    /// The rows as items. A row that lacks what was asked for is no answer.
    pub fn items<T>(self, mut item: impl FnMut(BreakdownRow) -> Option<T>) -> Result<Slice<T>, MetricsError> {
        self.try_map(|row| item(row).ok_or_else(|| MetricsError::Corrupt("a part of a row is missing".into())))
    }
}

/// Where a row of a breakdown stands. Which parts decide, the order says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Position {
    /// The row's count.
    pub count: u64,
    /// The row's count before.
    pub previous: u64,
    /// The row's latest access.
    pub last_at: Option<DateTime<Utc>>,
    /// The row's key.
    pub key: GroupKey,
}

impl Position {
    /// The place in an order: rows come by their places.
    #[must_use]
    pub fn place(&self, order: Order) -> Place<'_> {
        order.place(self.count, self.previous, self.last_at, self.key.borrowed())
    }
}

impl Listed for BreakdownRow {
    type Position = Position;

    fn position(&self) -> Position {
        let previous = self.previous.unwrap_or_default();
        Position { count: self.count, previous, last_at: self.last_at, key: self.key.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[(Dimension, &str)]) -> GroupKey {
        let mut key = GroupKey::default();
        for (dimension, text) in parts {
            key.set(*dimension, text).expect(text);
        }
        key
    }

    #[test]
    fn keys_are_ordered_by_their_dimensions_and_text_by_its_bytes() {
        use Dimension::{Architecture, Date, Kind, Repository, Tag};
        let in_order = [
            key(&[(Date, "2026-11-19"), (Repository, "b")]),
            key(&[(Date, "2026-11-20"), (Repository, "a"), (Tag, "")]),
            key(&[(Date, "2026-11-20"), (Repository, "a"), (Tag, "Z"), (Architecture, "arm64")]),
            key(&[(Date, "2026-11-20"), (Repository, "a"), (Tag, "a"), (Architecture, "amd64")]),
            key(&[(Date, "2026-11-20"), (Repository, "a-b")]),
            key(&[(Date, "2026-11-20"), (Repository, "a/b"), (Kind, "pull_by_digest")]),
            key(&[(Date, "2026-11-20"), (Repository, "a/b"), (Kind, "pull_by_tag")]),
        ];
        assert!(in_order.is_sorted_by(|a, b| a.borrowed() < b.borrowed()), "{in_order:?}");
    }

    #[test]
    fn an_order_looks_at_its_measure_first() {
        let position = |count, last: &str, name| Position {
            count,
            previous: 3,
            last_at: last.parse().ok(),
            key: key(&[(Dimension::Repository, name)]),
        };
        let many = position(9, "2026-11-18T10:00:00Z", "b");
        let late = position(1, "2026-11-20T10:00:00Z", "c");
        let first = position(1, "2026-11-18T10:00:00Z", "a");
        let sorted = |order| {
            let mut all = [&many, &late, &first];
            all.sort_by(|a, b| a.place(order).cmp(&b.place(order)));
            all.map(|position| position.key.borrowed().text(Dimension::Repository))
        };
        assert_eq!(sorted(Order::Key), ["a", "b", "c"]);
        assert_eq!(sorted(Order::MostFirst), ["b", "a", "c"]);
        assert_eq!(sorted(Order::LatestFirst), ["c", "a", "b"]);
        assert_eq!(sorted(Order::LastKeyFirst), ["c", "b", "a"]);
        assert_eq!(sorted(Order::FewestFirst), ["a", "c", "b"]);
        assert_eq!(sorted(Order::EarliestFirst), ["a", "b", "c"]);
        assert_eq!(sorted(Order::MostGrownFirst), ["b", "a", "c"]);
        assert_eq!(sorted(Order::LeastGrownFirst), ["a", "c", "b"]);
    }

    #[test]
    fn growth_is_told_in_per_cent_and_what_is_new_grew_the_most() {
        for (count, previous, per_cent) in
            [(3, 2, Some(50.0)), (2, 3, Some(-33.3)), (0, 7, Some(-100.0)), (5, 5, Some(0.0)), (1, 0, None)]
        {
            assert_eq!(Growth::new(count, previous).per_cent(), per_cent, "{count} after {previous}");
        }
        assert!(Growth::new(1, 0) > Growth::new(u64::MAX, 1));
    }

    #[test]
    fn a_key_is_made_of_its_texts_and_of_no_others() {
        let texts = [(Dimension::Repository, "a/b"), (Dimension::Tag, "v1"), (Dimension::Kind, "push")];
        let whole = key(&texts);
        assert_eq!(
            whole.borrowed().to_key(Dimension::ALL.into_iter().filter(|d| texts.iter().any(|t| t.0 == *d))).ok(),
            Some(whole)
        );
        for (dimension, text) in [
            (Dimension::Date, "today"),
            (Dimension::Repository, "a b"),
            (Dimension::Tag, ".x"),
            (Dimension::Digest, "sha256"),
            (Dimension::Kind, "pull"),
        ] {
            assert!(GroupKey::default().set(dimension, text).is_err(), "{text}");
        }
    }
}
