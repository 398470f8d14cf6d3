//! The counts, by date.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    num::NonZeroU32,
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use staticreg_domain::metrics::{CountKey, CountedEvent, Filter, MetricsError};

/// Digits of a second's fraction that are kept, as many as every other store keeps.
const MICROSECONDS: u16 = 6;

/// The most that every other store can count.
const MAX_COUNT: u32 = i32::MAX.unsigned_abs();

/// The part of the rows that goes when all are of one date.
const EVICTED_PART: usize = 10;

/// One count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    value: NonZeroU32,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// What a batch changes in one count.
struct Sum {
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
    days: BTreeMap<NaiveDate, HashMap<Arc<CountKey>, Count>>,
}

impl Counts {
    pub(crate) fn new(max_rows: usize) -> Self {
        Self { max_rows, rows: 0, days: BTreeMap::new() }
    }

    /// Adds the changes of events, all or nothing.
    pub(crate) fn add<'a>(&mut self, events: impl Iterator<Item = &'a CountedEvent>) -> Result<(), MetricsError> {
        let mut sums: HashMap<&Arc<CountKey>, Sum> = HashMap::new();
        for event in events {
            let at = event.at.trunc_subsecs(MICROSECONDS);
            for change in &event.changes {
                let sum = sums.entry(&change.key).or_insert(Sum { delta: 0, first: at, last_added: None });
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
            let old = self.days.get(&key.date).and_then(|day| day.get(key)).map_or(0, |count| count.value.get());
            let value = u32::try_from(i64::from(old) + sum.delta).ok().filter(|value| *value <= MAX_COUNT);
            values.push((key, value.ok_or_else(|| MetricsError::Refused(Box::new(OutOfRange)))?, sum));
        }
        for (key, value, sum) in values {
            match NonZeroU32::new(value) {
                Some(value) => self.set(key, value, sum),
                None => self.remove(key),
            }
        }
        self.evict();
        Ok(())
    }

    fn set(&mut self, key: &Arc<CountKey>, value: NonZeroU32, sum: &Sum) {
        let added = sum.last_added.unwrap_or(sum.first);
        match self.days.entry(key.date).or_default().entry(Arc::clone(key)) {
            Entry::Occupied(mut row) => {
                let row = row.get_mut();
                row.value = value;
                // A sum below zero takes back what was counted, it is no access.
                if sum.delta > 0 {
                    row.updated_at = row.updated_at.max(added);
                }
            }
            Entry::Vacant(row) => {
                row.insert(Count { value, created_at: sum.first, updated_at: added });
                self.rows += 1;
            }
        }
    }

    fn remove(&mut self, key: &CountKey) {
        let Some(day) = self.days.get_mut(&key.date) else { return };
        if day.remove(key).is_some() {
            self.rows -= 1;
        }
        if day.is_empty() {
            self.days.remove(&key.date);
        }
    }

    /// The counts that pass a filter.
    pub(crate) fn matching(&self, filter: &Filter) -> impl Iterator<Item = (&CountKey, u64, &Count)> {
        self.days
            .range(filter.dates.from()..=filter.dates.to())
            .flat_map(|(_, day)| day)
            .filter(move |(key, _)| passes(key, filter))
            .map(|(key, count)| (&**key, count.value.get().into(), count))
    }

    /// Every count.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&CountKey, u64, &Count)> {
        self.days.values().flatten().map(|(key, count)| (&**key, count.value.get().into(), count))
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
            self.rows -= day.len();
        }
        if self.rows > self.max_rows
            && let Some(mut only) = self.days.first_entry()
        {
            let mut rows: Vec<_> = only.get().iter().map(|(key, row)| (row.updated_at, Arc::clone(key))).collect();
            rows.sort_unstable();
            let going = (self.rows - self.max_rows).max(self.max_rows / EVICTED_PART).min(rows.len());
            for (_, key) in rows.drain(..going) {
                only.get_mut().remove(&key);
            }
            self.rows -= going;
        }
        tracing::warn!(
            rows = before - self.rows,
            max_rows = self.max_rows,
            "The memory is full: the oldest counts were dropped. Set STATICREG_DB_URL to keep all."
        );
    }
}

fn passes(key: &CountKey, filter: &Filter) -> bool {
    let Filter { dates: _, kind, repository, tag, digest, architecture } = filter;
    key.kind == *kind
        && repository.as_ref().is_none_or(|repository| key.repository == *repository)
        && tag.as_ref().is_none_or(|tag| key.tag.as_ref() == Some(tag))
        && digest.as_ref().is_none_or(|digest| key.digest == *digest)
        && architecture.as_ref().is_none_or(|architecture| key.architecture == *architecture)
}

#[cfg(test)]
mod tests {
    use staticreg_domain::metrics::{AccessKind, Change};
    use uuid::Uuid;

    use super::*;

    fn pull(date: &str, tag: &str) -> CountedEvent {
        let date: NaiveDate = date.parse().expect("a date");
        let key = CountKey {
            kind: AccessKind::PullByTag,
            date,
            repository: "library/nginx".parse().expect("a name"),
            tag: Some(tag.parse().expect("a tag")),
            digest: format!("sha256:{}", "0a".repeat(32)).parse().expect("a digest"),
            architecture: staticreg_domain::Architecture::not_specified(),
        };
        CountedEvent {
            id: Uuid::from_u128(0).into(),
            at: date.and_hms_opt(12, 0, 0).expect("a time").and_utc(),
            changes: vec![Change { key: Arc::new(key), delta: 1 }],
        }
    }

    fn dates_and_tags(counts: &Counts) -> Vec<(String, String)> {
        let mut all: Vec<_> = counts
            .all()
            .map(|(key, _, _)| (key.date.to_string(), key.tag.as_ref().expect("a tag").to_string()))
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
        assert_eq!(counts.rows, counts.all().count());
        assert!(counts.rows >= 18, "only a small part goes at once");
    }
}
