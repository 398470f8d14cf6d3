//! `MetricsRepository` in memory: the store when no database is configured.
//!
//! Counts live until the program ends. The memory is bounded: past a number of rows the oldest dates go first, past a
//! number of event ids the oldest ids. A question walks over the rows of its dates; a new one is in `question.rs`.

mod counts;
mod ids;
mod question;

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::metrics::{
    AccessKind, ArchitecturePulls, CountedEvent, DayPulls, DigestPulls, Filter, ImagePulls, MetricsError,
    MetricsRepository, MetricsRow, Page, PullGroup, Recording, RepositoryPulls, Slice, Summary, TagPulls,
};

use crate::{counts::Counts, ids::Ids};

/// How many event ids are remembered at most: at the fastest load, far longer than a registry takes to repeat an event.
const MAX_IDS: usize = 500_000;

/// Counts in memory.
#[derive(Debug)]
pub struct MemoryMetrics {
    store: Mutex<Store>,
}

#[derive(Debug)]
struct Store {
    counts: Counts,
    ids: Ids,
}

impl MemoryMetrics {
    /// An empty store of at most so many rows; past that the oldest dates go first.
    #[must_use]
    pub fn new(max_rows: usize) -> Self {
        Self { store: Mutex::new(Store { counts: Counts::new(max_rows), ids: Ids::new(MAX_IDS) }) }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MetricsRepository for MemoryMetrics {
    async fn record(&self, batch: &[CountedEvent], now: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        let mut store = self.store();
        let Store { counts, ids } = &mut *store;
        let recordings = ids.sort_out(batch);
        let new = batch.iter().zip(&recordings).filter(|(_, recording)| **recording == Recording::Counted);
        let new = new.map(|(event, _)| event);
        counts.add(new.clone())?;
        ids.remember(new.clone().map(|event| event.id), now);
        drop(store);
        // The line is for those who look for it: counted it is, but saved nowhere.
        for _ in new.flat_map(|event| event.added(AccessKind::PullByTag)) {
            tracing::debug!("Skipping pull event save: Database pool is not active.");
        }
        Ok(recordings)
    }

    async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        Ok(self.store().ids.forget(recorded_before, at_most))
    }

    async fn check(&self) -> Result<(), MetricsError> {
        Ok(())
    }

    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError> {
        Ok(question::summary(&self.store().counts, today))
    }

    async fn pulls(
        &self,
        filter: &Filter,
        group: Option<PullGroup>,
        page: &Page<DayPulls>,
    ) -> Result<Slice<DayPulls>, MetricsError> {
        Ok(question::pulls(&self.store().counts, filter, group, page))
    }

    async fn repositories(
        &self,
        filter: &Filter,
        page: &Page<RepositoryPulls>,
    ) -> Result<Slice<RepositoryPulls>, MetricsError> {
        Ok(question::repositories(&self.store().counts, filter, page))
    }

    async fn images(&self, filter: &Filter, page: &Page<ImagePulls>) -> Result<Slice<ImagePulls>, MetricsError> {
        Ok(question::images(&self.store().counts, filter, page))
    }

    async fn architectures(
        &self,
        filter: &Filter,
        page: &Page<ArchitecturePulls>,
    ) -> Result<Slice<ArchitecturePulls>, MetricsError> {
        Ok(question::architectures(&self.store().counts, filter, page))
    }

    async fn tags(&self, filter: &Filter, page: &Page<TagPulls>) -> Result<Slice<TagPulls>, MetricsError> {
        Ok(question::tags(&self.store().counts, filter, page))
    }

    async fn digests(&self, filter: &Filter, page: &Page<DigestPulls>) -> Result<Slice<DigestPulls>, MetricsError> {
        Ok(question::digests(&self.store().counts, filter, page))
    }

    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        Ok(question::rows(&self.store().counts, filter, page))
    }
}
