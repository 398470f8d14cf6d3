//! `MetricsRepository` in memory: the store when no database is configured.
//!
//! Counts live until the program ends. The memory is bounded: past a number of rows the oldest dates go first, past a
//! number of event ids the oldest ids.

mod answers;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use chrono::{DateTime, DurationRound, NaiveDate, TimeDelta, Utc};
use staticreg_domain::{
    EventId,
    metrics::{
        ArchitecturePulls, Change, CountKey, CountedEvent, DayPulls, DigestPulls, Filter, ImagePulls, MetricsError,
        MetricsRepository, MetricsRow, Page, PullGroup, Recording, RepositoryPulls, Slice, Summary, TagPulls,
    },
};

/// How many event ids are remembered at most.
const MAX_IDS: usize = 500_000;

/// Counts in memory.
pub struct MemoryMetrics {
    max_rows: usize,
    counts: Mutex<Counts>,
}

impl MemoryMetrics {
    /// An empty store of at most so many rows; past that the oldest dates go first.
    #[must_use]
    pub fn new(max_rows: usize) -> Self {
        Self { max_rows, counts: Mutex::default() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counts of one key.
struct Row {
    count: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Default)]
struct Counts {
    days: BTreeMap<NaiveDate, HashMap<Arc<CountKey>, Row>>,
    rows: usize,
    ids: HashSet<EventId>,
    ids_by_age: VecDeque<(DateTime<Utc>, EventId)>,
}

impl Counts {
    fn record(&mut self, event: &CountedEvent, now: DateTime<Utc>) -> Recording {
        if !self.ids.insert(event.id) {
            return Recording::Duplicate;
        }
        self.ids_by_age.push_back((now, event.id));
        if self.ids.len() > MAX_IDS {
            self.forget_oldest_id();
        }
        let at = to_microseconds(event.at);
        for change in &event.changes {
            self.apply(change, at);
        }
        Recording::Counted
    }

    fn apply(&mut self, change: &Change, at: DateTime<Utc>) {
        let day = self.days.entry(change.key.date).or_default();
        if let Some(row) = day.get_mut(&change.key) {
            row.count += i64::from(change.delta);
            if change.delta > 0 {
                row.updated_at = row.updated_at.max(at);
            }
        } else {
            let row = Row { count: change.delta.into(), created_at: at, updated_at: at };
            day.insert(Arc::clone(&change.key), row);
            self.rows += 1;
        }
    }

    fn forget_oldest_id(&mut self) {
        if let Some((_, id)) = self.ids_by_age.pop_front() {
            self.ids.remove(&id);
        }
    }

    /// Leaves out the oldest dates until there are no more rows than allowed.
    fn evict(&mut self, max_rows: usize) {
        while self.rows > max_rows
            && let Some((date, day)) = self.days.pop_first()
        {
            self.rows -= day.len();
            tracing::warn!(%date, rows = day.len(), max_rows, "Memory is full: the counts of the oldest date are gone");
        }
    }
}

/// As exact as databases keep times.
fn to_microseconds(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(at)
}

#[async_trait]
impl MetricsRepository for MemoryMetrics {
    async fn record(&self, batch: &[CountedEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        let mut counts = self.counts();
        let recorded = batch.iter().map(|event| counts.record(event, now)).collect();
        counts.evict(self.max_rows);
        Ok(recorded)
    }

    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        let mut counts = self.counts();
        let mut forgotten = 0;
        while forgotten < u64::from(at_most)
            && counts.ids_by_age.front().is_some_and(|(recorded_at, _)| *recorded_at < recorded_before)
        {
            counts.forget_oldest_id();
            forgotten += 1;
        }
        Ok(forgotten)
    }

    async fn check(&self) -> Result<(), MetricsError> {
        Ok(())
    }

    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError> {
        Ok(self.counts().summary(today))
    }

    async fn pulls(
        &self,
        filter: &Filter,
        group: Option<PullGroup>,
        page: &Page<DayPulls>,
    ) -> Result<Slice<DayPulls>, MetricsError> {
        Ok(self.counts().pulls(filter, group, page))
    }

    async fn repositories(
        &self,
        filter: &Filter,
        page: &Page<RepositoryPulls>,
    ) -> Result<Slice<RepositoryPulls>, MetricsError> {
        Ok(self.counts().repositories(filter, page))
    }

    async fn images(&self, filter: &Filter, page: &Page<ImagePulls>) -> Result<Slice<ImagePulls>, MetricsError> {
        Ok(self.counts().images(filter, page))
    }

    async fn architectures(
        &self,
        filter: &Filter,
        page: &Page<ArchitecturePulls>,
    ) -> Result<Slice<ArchitecturePulls>, MetricsError> {
        Ok(self.counts().architectures(filter, page))
    }

    async fn tags(&self, filter: &Filter, page: &Page<TagPulls>) -> Result<Slice<TagPulls>, MetricsError> {
        Ok(self.counts().tags(filter, page))
    }

    async fn digests(&self, filter: &Filter, page: &Page<DigestPulls>) -> Result<Slice<DigestPulls>, MetricsError> {
        Ok(self.counts().digests(filter, page))
    }

    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        Ok(self.counts().listed_rows(filter, page))
    }
}
