//! The counts, by date.

mod fold;

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use staticreg_domain::{
    Architecture, Digest, RepositoryName, Tag,
    metrics::{AccessKind, AnyOf, CountKey, Filter, MetricsError, PullEvent},
};

use crate::{
    chunked::Chunked,
    names::{Id, Names},
    snapshot::{Snapshot, Wanted},
};

/// Digits of a second's fraction that are kept, as many as every other store keeps.
const MICROSECONDS: u16 = 6;

/// The most that every other store can count.
const MAX_COUNT: u32 = i32::MAX.unsigned_abs();

/// The part of the rows that goes when all are of one date.
const EVICTED_PART: usize = 100;

/// How many rows of dates that went are freed with each batch: no batch waits long for them.
const FREED_AT_ONCE: usize = 10_000;

/// What is counted in a row, beside its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RowKey {
    pub(crate) kind: AccessKind,
    pub(crate) repository: Id,
    pub(crate) tag: Option<Id>,
    pub(crate) digest: Id,
    pub(crate) architecture: Id,
}

/// One count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) key: RowKey,
    pub(crate) value: NonZeroU32,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// What a batch changes in one count.
struct CountChange {
    delta: i64,
    first: DateTime<Utc>,
    last_added: Option<DateTime<Utc>>,
}

/// The count would be below zero, or beyond what every store can hold.
#[derive(Debug, thiserror::Error)]
#[error("a count would be out of range")]
struct OutOfRange;

/// The counts of every date.
#[derive(Debug)]
pub(crate) struct Counts {
    max_rows: usize,
    rows: usize,
    days: BTreeMap<NaiveDate, Day>,
    names: RowNames,
    /// The rows of dates that went, not yet freed.
    leaving: Vec<Chunked<Row>>,
}

/// The counts of a date.
#[derive(Debug, Default)]
struct Day {
    rows: Chunked<Row>,
    places: HashMap<RowKey, usize>,
}

impl Day {
    fn row(&self, key: &RowKey) -> Option<&Row> {
        self.rows.get(*self.places.get(key)?)
    }

    fn row_mut(&mut self, key: &RowKey) -> Option<&mut Row> {
        self.rows.get_mut(*self.places.get(key)?)
    }

    fn insert(&mut self, row: Row) {
        self.places.insert(row.key, self.rows.len());
        self.rows.push(row);
    }

    fn remove(&mut self, key: &RowKey) {
        if let Some(place) = self.places.remove(key) {
            self.rows.swap_remove(place);
            if let Some(moved) = self.rows.get(place) {
                self.places.insert(moved.key, place);
            }
        }
    }
}

/// The names that the rows hold.
#[derive(Debug, Default)]
struct RowNames {
    repositories: Names<RepositoryName>,
    tags: Names<Tag>,
    digests: Names<Digest>,
    architectures: Names<Architecture>,
}

impl RowNames {
    /// The key of a row that may be there.
    fn find(&self, key: &CountKey) -> Option<RowKey> {
        Some(RowKey {
            kind: key.kind,
            repository: self.repositories.find(&key.repository)?,
            tag: match &key.tag {
                Some(tag) => Some(self.tags.find(tag)?),
                None => None,
            },
            digest: self.digests.find(&key.digest)?,
            architecture: self.architectures.find(&key.architecture)?,
        })
    }

    /// The key of a new row.
    fn hold(&mut self, key: &CountKey) -> RowKey {
        RowKey {
            kind: key.kind,
            repository: self.repositories.hold(&key.repository),
            tag: key.tag.as_ref().map(|tag| self.tags.hold(tag)),
            digest: self.digests.hold(&key.digest),
            architecture: self.architectures.hold(&key.architecture),
        }
    }

    /// A row is gone.
    fn release(&mut self, key: &RowKey) {
        self.repositories.release(key.repository);
        if let Some(tag) = key.tag {
            self.tags.release(tag);
        }
        self.digests.release(key.digest);
        self.architectures.release(key.architecture);
    }

    /// What a filter lets pass of some kinds; nothing when no row holds any of the names that it asks for.
    fn wanted(&self, filter: &Filter, kinds: &[AccessKind]) -> Option<Wanted> {
        /// No row holds any of the names that are asked for.
        struct NoRow;
        fn named<T>(names: &AnyOf<T>, id: impl Fn(&T) -> Option<Id>) -> Result<Option<Vec<Id>>, NoRow> {
            if names.is_every() {
                return Ok(None);
            }
            let ids: Vec<Id> = names.named().iter().filter_map(id).collect();
            if ids.is_empty() { Err(NoRow) } else { Ok(Some(ids)) }
        }
        let Filter { dates: _, kind: _, folder: _, part: _, repository, tag, digest, architecture } = filter;
        Some(Wanted {
            kinds: kinds.to_vec(),
            filter: filter.clone(),
            repositories: named(repository, |name| self.repositories.find(name)).ok()?,
            tags: named(tag, |tag| self.tags.find(tag)).ok()?,
            digests: named(digest, |digest| self.digests.find(digest)).ok()?,
            architectures: named(architecture, |name| self.architectures.find(name)).ok()?,
        })
    }
}

impl Counts {
    pub(crate) fn new(max_rows: usize) -> Self {
        Self { max_rows, rows: 0, days: BTreeMap::new(), names: RowNames::default(), leaving: Vec::new() }
    }

    /// Adds the changes of events, all or nothing.
    pub(crate) fn add<'a>(&mut self, events: impl Iterator<Item = &'a PullEvent>) -> Result<(), MetricsError> {
        let mut sums: HashMap<&Arc<CountKey>, CountChange> = HashMap::new();
        for event in events {
            let at = event.at.trunc_subsecs(MICROSECONDS);
            for change in &event.changes {
                let sum = sums.entry(&change.key).or_insert(CountChange { delta: 0, first: at, last_added: None });
                sum.delta += i64::from(change.delta);
                sum.first = sum.first.min(at);
                if change.delta > 0 {
                    sum.last_added = sum.last_added.max(Some(at));
                }
            }
        }
        sums.retain(|_, sum| sum.delta != 0);
        let mut values = Vec::with_capacity(sums.len());
        for (&key, sum) in &sums {
            let value = u32::try_from(i64::from(self.value(key)) + sum.delta).ok().filter(|value| *value <= MAX_COUNT);
            values.push((key, value.ok_or_else(|| MetricsError::Refused(Box::new(OutOfRange)))?, sum));
        }
        for (key, value, sum) in values {
            match NonZeroU32::new(value) {
                Some(value) => self.set(key, value, sum),
                None => self.remove_key(key),
            }
        }
        self.evict();
        self.free();
        Ok(())
    }

    fn value(&self, key: &CountKey) -> u32 {
        let row = self.days.get(&key.date).and_then(|day| day.row(&self.names.find(key)?));
        row.map_or(0, |row| row.value.get())
    }

    fn set(&mut self, key: &CountKey, value: NonZeroU32, sum: &CountChange) {
        let added = sum.last_added.unwrap_or(sum.first);
        let day = self.days.entry(key.date).or_default();
        let Some(row) = self.names.find(key).and_then(|key| day.row_mut(&key)) else {
            let key = self.names.hold(key);
            day.insert(Row { key, value, created_at: sum.first, updated_at: added });
            self.rows += 1;
            return;
        };
        row.value = value;
        // A sum below zero takes back what was counted, it is no access.
        if sum.delta > 0 {
            row.updated_at = row.updated_at.max(added);
        }
    }

    fn remove_key(&mut self, key: &CountKey) {
        if let Some(row) = self.names.find(key) {
            self.remove(key.date, &row);
        }
    }

    fn remove(&mut self, date: NaiveDate, key: &RowKey) {
        if let Some(day) = self.days.get_mut(&date) {
            day.remove(key);
            self.names.release(key);
            self.rows -= 1;
            if day.places.is_empty() {
                self.days.remove(&date);
            }
        }
    }

    /// The counts of some kinds that pass the rest of a filter, as they are now. Costs next to nothing, however many there
    /// are.
    pub(crate) fn matching(&self, filter: &Filter, kinds: &[AccessKind]) -> Snapshot {
        let wanted = self.names.wanted(filter, kinds);
        let is_any = wanted.is_some();
        let days = self.days.range(filter.dates.from()..=filter.dates.to()).filter(|_| is_any);
        self.snapshot(days, wanted)
    }

    /// Every count, as it is now.
    pub(crate) fn all(&self) -> Snapshot {
        self.snapshot(self.days.iter(), None)
    }

    fn snapshot<'a>(&self, days: impl Iterator<Item = (&'a NaiveDate, &'a Day)>, wanted: Option<Wanted>) -> Snapshot {
        Snapshot {
            days: days.map(|(date, day)| (*date, day.rows.clone())).collect(),
            wanted,
            repositories: self.names.repositories.listed(),
            tags: self.names.tags.listed(),
            digests: self.names.digests.listed(),
            architectures: self.names.architectures.listed(),
        }
    }

    fn evict(&mut self) {
        if self.rows <= self.max_rows {
            return;
        }
        let before = self.rows;
        while self.rows > self.max_rows
            && self.days.len() > 1
            && let Some((_, day)) = self.days.pop_first()
        {
            self.rows -= day.rows.len();
            self.leaving.push(day.rows);
        }
        if self.rows > self.max_rows
            && let Some((&date, only)) = self.days.first_key_value()
        {
            let going = (self.rows - self.max_rows).max(self.max_rows / EVICTED_PART).min(self.rows);
            let mut rows: Vec<_> = only.rows.iter().map(|row| (row.updated_at, row.key)).collect();
            if going < rows.len() {
                rows.select_nth_unstable_by_key(going, |(updated_at, _)| *updated_at);
            }
            for (_, key) in rows.drain(..going) {
                self.remove(date, &key);
            }
        }
        tracing::warn!(
            rows = before - self.rows,
            max_rows = self.max_rows,
            "The memory is full: the oldest counts were dropped. Set STATICREG_DB_URL to keep all."
        );
    }

    /// Frees some of what went.
    fn free(&mut self) {
        for _ in 0..FREED_AT_ONCE {
            let Some(rows) = self.leaving.last_mut() else { return };
            match rows.pop() {
                Some(row) => self.names.release(&row.key),
                None => {
                    self.leaving.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::metrics::{AccessKind, Change};
    use uuid::Uuid;

    use super::*;

    fn pull(date: &str, tag: &str) -> PullEvent {
        let date: NaiveDate = date.parse().expect("a date");
        let key = CountKey {
            kind: AccessKind::PullByTag,
            date,
            repository: "library/nginx".parse().expect("a name"),
            tag: Some(tag.parse().expect("a tag")),
            digest: format!("sha256:{}", "0a".repeat(32)).parse().expect("a digest"),
            architecture: staticreg_domain::Architecture::not_specified(),
        };
        PullEvent {
            id: Uuid::from_u128(0).into(),
            at: date.and_hms_opt(12, 0, 0).expect("a time").and_utc(),
            timestamp: date.and_hms_opt(12, 0, 0).expect("a time").and_utc(),
            changes: vec![Change { key: Arc::new(key), delta: 1 }],
        }
    }

    fn dates_and_tags(counts: &Counts) -> Vec<(String, String)> {
        let snapshot = counts.all();
        let mut all: Vec<_> = snapshot
            .rows()
            .map(|(date, row, _)| (date.to_string(), snapshot.tags.name(row.key.tag.expect("a tag")).to_string()))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn past_the_limit_the_oldest_dates_go_first() {
        let mut counts = Counts::new(2);
        for (date, tag) in [("2026-01-02", "a"), ("2026-01-02", "b"), ("2026-01-03", "a")] {
            counts.add([&pull(date, tag)].into_iter()).expect("adds");
        }
        assert_eq!(dates_and_tags(&counts), [("2026-01-03".to_owned(), "a".to_owned())]);
        assert_eq!(counts.rows, 1);
    }

    #[test]
    fn a_single_date_past_the_limit_stays_bounded() {
        let mut counts = Counts::new(20);
        for number in 0..100 {
            counts.add([&pull("2026-01-02", &format!("v{number}"))].into_iter()).expect("adds");
            assert!(counts.rows <= 20);
        }
        assert_eq!(counts.rows, counts.all().rows().count());
        assert!(counts.rows >= 18, "only a small part goes at once");
    }

    #[test]
    fn what_goes_takes_its_names_along() {
        let mut counts = Counts::new(50);
        for number in 0..1_000 {
            let date = format!("2026-01-{:02}", 1 + number % 28);
            counts.add([&pull(&date, &format!("v{number}"))].into_iter()).expect("adds");
        }
        let held = counts.names.tags.len();
        assert!(held <= 50 + counts.leaving.iter().map(Chunked::len).sum::<usize>(), "{held}");
    }

    #[test]
    fn a_count_that_is_taken_back_leaves_nothing() {
        let mut counts = Counts::new(50);
        let event = pull("2026-01-02", "a");
        counts.add([&event].into_iter()).expect("adds");
        let mut back = event;
        back.changes[0].delta = -1;
        counts.add([&back].into_iter()).expect("adds");
        assert_eq!((counts.rows, counts.days.len(), counts.names.tags.len()), (0, 0, 0));
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let mut counts = Counts::new(50);
        counts.add([&pull("2026-01-02", "a"), &pull("2026-01-02", "b")].into_iter()).expect("adds");
        let before = counts.all();
        let mut back = pull("2026-01-02", "a");
        back.changes[0].delta = -1;
        counts.add([&back, &pull("2026-01-02", "c"), &pull("2026-01-02", "b")].into_iter()).expect("adds");
        let shown = |snapshot: &Snapshot| {
            let mut shown: Vec<_> = snapshot
                .rows()
                .map(|(_, row, count)| (snapshot.tags.name(row.key.tag.expect("a tag")).to_string(), count))
                .collect();
            shown.sort();
            shown
        };
        assert_eq!(shown(&before), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
        assert_eq!(shown(&counts.all()), [("b".to_owned(), 2), ("c".to_owned(), 1)]);
    }
}
