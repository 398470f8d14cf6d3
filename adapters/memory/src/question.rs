//! The questions, answered by walking over a snapshot of the counts.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    hash::{Hash, Hasher},
};

use chrono::{Datelike, NaiveDate};
use staticreg_domain::{
    Tag,
    metrics::{
        AccessKind, Breakdown, BreakdownRow, Dimension, Folder, FolderEntry, GroupKey, KeyRef, MetricsRow, Page, Slice,
        Spans, Summary, Totals,
    },
};

use crate::{
    counts::{Row, RowKey},
    names::Id,
    snapshot::Snapshot,
};

pub(crate) fn summary(counts: &Snapshot, today: NaiveDate) -> Summary {
    let (mut summary, spans) = (Summary::default(), Spans::until(today));
    let mut totals = AccessKind::ALL.map(|kind| (kind, Totals::default()));
    let mut repositories = HashSet::new();
    for (date, row, count) in counts.rows() {
        spans.add(&mut totals[row.key.kind as usize].1, date, count);
        if row.key.kind == AccessKind::PullByTag {
            repositories.insert(row.key.repository);
            summary.last_pulled_at = summary.last_pulled_at.max(Some(row.updated_at));
        }
    }
    summary.by_kind = totals.into_iter().filter(|(_, totals)| totals.all > 0).collect();
    summary.repositories = repositories.len() as u64;
    summary
}

/// The sums of the counts, by what they have in common.
pub(crate) fn breakdown(counts: &Snapshot, question: &Breakdown) -> Slice<BreakdownRow> {
    let dimensions: Vec<Dimension> = question.dimensions().collect();
    let Breakdown { measures, order, page, .. } = question;
    let mut groups: HashMap<Numbers, Group> = HashMap::new();
    let mut seen = HashSet::new();
    let mut entries = Entries::new(counts, question.filter.folder.as_ref());
    for (date, row, count) in counts.rows() {
        let numbers = Numbers::new(&dimensions, date, &row.key, &mut entries);
        let group =
            groups.entry(numbers).or_insert(Group { count: 0, previous: 0, distinct: 0, first: date, last: row });
        let is_previous = date < question.filter.dates.from();
        *(if is_previous { &mut group.previous } else { &mut group.count }) += count;
        group.first = group.first.min(date);
        if row.updated_at > group.last.updated_at {
            group.last = row;
        }
        if let Some(dimension) = measures.distinct.filter(|_| !is_previous) {
            let value = number(dimension, date, &row.key, &mut entries);
            group.distinct += u64::from(value != NO_TAG && seen.insert((numbers, value)));
        }
    }
    let placed = groups.into_values().map(|group| {
        let key = group.key(counts, question);
        (order.place(group.count, group.previous, Some(group.last.updated_at), key), group)
    });
    let after = page.after.as_ref().map(|position| position.place(*order));
    slice(placed, after.as_ref(), page.limit, |((_, key), group)| BreakdownRow {
        key: owned(counts, &key.key(), group.last),
        count: group.count,
        previous: measures.previous_from.map(|_| group.previous),
        distinct: measures.distinct.map(|_| group.distinct),
        first_on: measures.first.then_some(group.first),
        last_at: measures.last.then_some(group.last.updated_at),
    })
}

/// Stands for no tag.
const NO_TAG: u32 = 0;

/// The number of a part: equal parts have equal ones.
fn number(dimension: Dimension, date: NaiveDate, key: &RowKey, entries: &mut Entries<'_>) -> u32 {
    match dimension {
        Dimension::Date => date.num_days_from_ce().cast_unsigned(),
        Dimension::Folder => entries.number(key.repository),
        Dimension::Repository => key.repository.number(),
        Dimension::Tag => key.tag.map_or(NO_TAG, Id::number),
        Dimension::Digest => key.digest.number(),
        Dimension::Architecture => key.architecture.number(),
        Dimension::Kind => key.kind as u32 + 1,
    }
}

/// What lies right in a folder, each with a number above zero.
struct Entries<'a> {
    counts: &'a Snapshot,
    folder: Option<&'a Folder>,
    numbers: HashMap<&'a str, u32>,
    of_repositories: HashMap<Id, u32>,
}

impl<'a> Entries<'a> {
    fn new(counts: &'a Snapshot, folder: Option<&'a Folder>) -> Self {
        Self { counts, folder, numbers: HashMap::new(), of_repositories: HashMap::new() }
    }

    /// The number of the entry that a repository belongs to.
    fn number(&mut self, repository: Id) -> u32 {
        let Self { counts, folder, numbers, of_repositories } = self;
        *of_repositories.entry(repository).or_insert_with(|| {
            let entry = FolderEntry::text_of(counts.repositories.name(repository).as_str(), *folder);
            let next = u32::try_from(numbers.len()).expect("memory is full long before numbers end") + 1;
            *numbers.entry(entry).or_insert(next)
        })
    }
}

/// The numbers of a key's parts; zero where there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Numbers([u32; Dimension::ALL.len()]);

impl Numbers {
    fn new(dimensions: &[Dimension], date: NaiveDate, key: &RowKey, entries: &mut Entries<'_>) -> Self {
        let mut numbers = Self([0; Dimension::ALL.len()]);
        for dimension in dimensions {
            numbers.0[*dimension as usize] = number(*dimension, date, key, entries);
        }
        numbers
    }
}

impl Hash for Numbers {
    /// Of the parts that are there: mostly one or two, and all keys of a question have the same.
    fn hash<H: Hasher>(&self, state: &mut H) {
        for number in self.0.iter().filter(|number| **number > 0) {
            state.write_u32(*number);
        }
    }
}

/// The counts of what belongs together.
struct Group<'a> {
    count: u64,
    /// Of the dates before.
    previous: u64,
    distinct: u64,
    first: NaiveDate,
    /// The one that was accessed last, which has its key in common with the others.
    last: &'a Row,
}

impl Group<'_> {
    fn key<'a>(&self, counts: &'a Snapshot, question: &Breakdown) -> KeyRef<'a> {
        let key = &self.last.key;
        let tells = |dimension| question.tells(dimension);
        KeyRef {
            // Told apart by date, all are of the first.
            date: tells(Dimension::Date).then_some(self.first),
            folder: tells(Dimension::Folder).then(|| {
                let repository = counts.repositories.name(key.repository).as_str();
                FolderEntry::text_of(repository, question.filter.folder.as_ref())
            }),
            repository: tells(Dimension::Repository).then(|| counts.repositories.name(key.repository).as_str()),
            tag: if tells(Dimension::Tag) { counts.tag(key.tag).map(Tag::as_str) } else { None },
            digest: tells(Dimension::Digest).then(|| counts.digests.name(key.digest).as_str()),
            architecture: tells(Dimension::Architecture).then(|| counts.architectures.name(key.architecture).as_str()),
            kind: tells(Dimension::Kind).then(|| key.kind.as_str()),
        }
    }
}

/// A key with names of its own.
fn owned(counts: &Snapshot, key: &KeyRef<'_>, row: &Row) -> GroupKey {
    GroupKey {
        date: key.date,
        folder: key.folder.map(|entry| FolderEntry::as_stored(entry).expect("a part of a name is one")),
        repository: key.repository.map(|_| counts.repositories.name(row.key.repository).clone()),
        tag: key.tag.and_then(|_| counts.tag(row.key.tag).cloned()),
        digest: key.digest.map(|_| counts.digests.name(row.key.digest).clone()),
        architecture: key.architecture.map(|_| counts.architectures.name(row.key.architecture).clone()),
        kind: key.kind.map(|_| row.key.kind),
    }
}

pub(crate) fn rows(counts: &Snapshot, page: &Page<MetricsRow>) -> Slice<MetricsRow> {
    let places = counts.rows().map(|(date, row, count)| {
        let key = &row.key;
        let repository = counts.repositories.name(key.repository);
        let digest = counts.digests.name(key.digest);
        let architecture = counts.architectures.name(key.architecture);
        ((Reverse(date), repository, counts.tag(key.tag), digest, architecture, key.kind.as_str()), (row, count))
    });
    let after = page.after.as_ref().map(|(date, repository, tag, digest, architecture, kind)| {
        (Reverse(*date), repository, tag.as_ref(), digest, architecture, kind.as_str())
    });
    slice(
        places,
        after.as_ref(),
        page.limit,
        |((Reverse(date), repository, tag, digest, architecture, _), (row, count))| MetricsRow {
            date,
            repository: repository.clone(),
            tag: tag.cloned(),
            digest: digest.clone(),
            architecture: architecture.clone(),
            kind: row.key.kind,
            count,
            created_at: row.created_at,
            updated_at: row.updated_at,
        },
    )
}

/// The page of a list behind a place in its order; only what is on it becomes an item.
fn slice<P: Ord, V, T>(
    places: impl Iterator<Item = (P, V)>,
    after: Option<&P>,
    limit: u32,
    item: impl Fn((P, V)) -> T,
) -> Slice<T> {
    let Slice { items, more } = Slice::from_all(places, after, limit);
    Slice { items: items.into_iter().map(item).collect(), more }
}
