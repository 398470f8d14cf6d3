//! Sums of days that are over, put aside in the store, so that the next start needs not read the counts again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use staticreg_domain::{
    clock::Clock,
    error::describe,
    metrics::{DateRange, DayCount, DayKey, KeptSums, MetricsError, VersionedMetrics},
};
use tokio::time::Instant;

use crate::{
    aside,
    named::{self, NamedSums},
};

/// After it failed, for how long nothing is put aside or taken: a role without the right to would read days in vain.
const CLOSED_FOR: Duration = Duration::from_hours(1);

/// Where sums are put aside.
pub(crate) struct Shelf {
    clock: Arc<dyn Clock>,
    failed: Option<Instant>,
}

impl Shelf {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, failed: None }
    }

    /// Whether a day is put aside: when it is over. What comes later than by a day is rare.
    pub(crate) fn is_for(&self, (date, _): DayKey) -> bool {
        self.clock.now().date_naive().pred_opt().is_some_and(|yesterday| date < yesterday)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.failed.is_none_or(|failed| failed.elapsed() >= CLOSED_FOR)
    }

    /// Of which versions sums are there.
    pub(crate) async fn versions(&mut self, store: &dyn VersionedMetrics, watch: i64) -> BTreeMap<DayKey, i64> {
        let versions = async { store.kept_versions(watch, named::FORMAT).await };
        self.open(versions).await.unwrap_or_default()
    }

    /// The sums of some days, the latest first, at least one. Of other days between them too.
    pub(crate) async fn sums(
        &mut self,
        store: &dyn VersionedMetrics,
        watch: i64,
        days: &[(DayKey, i64)],
    ) -> Vec<KeptSums> {
        let [((latest, _), _), ..] = days else { return Vec::new() };
        let earliest = days.last().map_or(*latest, |((date, _), _)| *date);
        let Ok(dates) = DateRange::new(earliest, *latest) else { return Vec::new() };
        self.open(async { store.kept_sums(watch, named::FORMAT, dates).await }).await.unwrap_or_default()
    }

    /// Puts the sums of a day aside.
    pub(crate) async fn put(
        &mut self,
        store: &dyn VersionedMetrics,
        watch: i64,
        (day, version): (DayKey, i64),
        counts: Vec<DayCount>,
    ) {
        if !self.is_open() {
            return;
        }
        let packed = aside(move || NamedSums::of(&counts).packed()).await;
        let sums = KeptSums { day, version, packed };
        self.open(async { store.keep_sums(watch, named::FORMAT, &sums).await }).await;
    }

    /// What the store answers; nothing while it failed not long ago.
    async fn open<T>(&mut self, call: impl Future<Output = Result<T, MetricsError>>) -> Option<T> {
        if !self.is_open() {
            return None;
        }
        match call.await {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.failed = Some(Instant::now());
                tracing::warn!(
                    "The sums of days that are over cannot be kept in the database, so the next start reads all counts: \
                     {}. Tried again in an hour.",
                    describe(&error)
                );
                None
            }
        }
    }
}
