//! A store with chosen counts, at a chosen time.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use parking_lot::Mutex;
use staticreg_domain::{
    Clock, EventId, RegistryEvent,
    metrics::{
        AccessKind, Breakdown, BreakdownRow, Change, CountKey, Dimension, Filter, Folded, MetricsError, MetricsReader,
        MetricsRepository, MetricsRow, Page, PullEvent, Slice, Summary,
    },
};
use staticreg_memory::MemoryMetrics;
use uuid::Uuid;

use crate::ask_metrics::AskMetrics;

/// A clock to set.
pub(crate) struct SetClock(pub(crate) Mutex<DateTime<Utc>>);

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock()
    }
}

/// A store in memory that counts how often all repositories of some days are asked for.
pub(crate) struct Watched {
    store: MemoryMetrics,
    pub(crate) asked: AtomicU32,
}

/// Counts and the questions about them, on 2026-11-21.
pub(crate) struct CountingStore {
    pub(crate) store: Arc<Watched>,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) ask: AskMetrics,
    events: AtomicU32,
}

impl CountingStore {
    pub(crate) fn new() -> Self {
        let store = Arc::new(Watched { store: MemoryMetrics::new(100_000), asked: AtomicU32::new(0) });
        let clock = Arc::new(SetClock(Mutex::new("2026-11-21T12:00:00Z".parse().unwrap())));
        let ask = AskMetrics::new(store.clone(), clock.clone());
        Self { store, clock, ask, events: AtomicU32::new(0) }
    }

    /// Keeps days by month.
    pub(crate) async fn keep_by_month(&self, folded: Folded) {
        self.store.store.keep_by_month(folded).await.unwrap();
    }

    /// Counts so many pulls of an image on a day.
    pub(crate) async fn pulls(&self, date: &str, image: &str, count: i32) {
        self.count(AccessKind::PullByTag, date, image, &"a".repeat(64), count).await;
    }

    pub(crate) async fn count(&self, kind: AccessKind, date: &str, image: &str, digest: &str, count: i32) {
        let date: NaiveDate = date.parse().unwrap();
        let (repository, tag) = image.split_once(':').map_or((image, None), |(name, tag)| (name, Some(tag)));
        let key = CountKey {
            kind,
            date,
            repository: repository.parse().unwrap(),
            tag: tag.map(|tag| tag.parse().unwrap()),
            digest: format!("sha256:{digest}").parse().unwrap(),
            architecture: "amd64".parse().unwrap_or_else(|never| match never {}),
        };
        let id = Uuid::from_u128(self.events.fetch_add(1, Ordering::Relaxed).into());
        let id = EventId::from_event(&RegistryEvent { id: Some(id.to_string()), ..RegistryEvent::default() });
        let at = date.and_hms_opt(10, 0, 0).unwrap().and_utc();
        let changes = vec![Change { key: Arc::new(key), delta: count }];
        self.store.store.record(&[PullEvent { id, at, timestamp: at, changes }], at).await.unwrap();
    }
}

#[async_trait]
impl MetricsReader for Watched {
    async fn summary(&self, today: NaiveDate) -> Result<Summary, MetricsError> {
        self.store.summary(today).await
    }

    async fn breakdown(&self, breakdown: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError> {
        self.asked.fetch_add(u32::from(breakdown.by == [Dimension::Repository]), Ordering::Relaxed);
        self.store.breakdown(breakdown).await
    }

    async fn rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        self.store.rows(filter, page).await
    }

    async fn folded(&self) -> Result<Folded, MetricsError> {
        self.store.folded().await
    }
}
