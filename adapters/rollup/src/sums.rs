//! Which days are kept, and the reading of those that changed.
//!
//! The sums are never out of date (`docs/adr/0003-rollups-in-memory.md`): a question first asks for the versions of its
//! days, and days that changed are read again. Where more is missing (after the start, or when rows were brought in by
//! hand), the store answers while the days are read in the background.
//!
//! With the versions comes what tells that they can be trusted, see [`DayVersions::watch`]. While they cannot, the store
//! answers; when the watch is another than before, nothing that was kept is trusted.

use std::{sync::Arc, time::Duration};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use staticreg_domain::metrics::{AccessKind, DateRange, DayKey, DayVersions, MetricsError, VersionedMetrics};
use tokio::{
    sync::{Mutex, Notify},
    time::timeout,
};

use crate::day_sums::DaySums;

/// How often it is looked whether days changed that nobody asks about.
const PERIOD: Duration = Duration::from_secs(10);

/// The most days that a question reads again before it is answered.
const READ_AT_ONCE: usize = 8;

/// The most days that are read in the background before a question gets its turn.
const READ_BETWEEN: usize = 4;

/// The most counts of a day and kind that are kept; to read more again takes longer than the store's own answer.
const MAX_COUNTS: u32 = 150_000;

/// How long a question waits for its turn, before it is asked from the store.
const PATIENCE: Duration = Duration::from_millis(500);

/// The sums that are kept of a store's counts.
#[derive(Debug)]
pub(crate) struct Sums {
    /// The bytes they take at most, by and large; the days before are asked from the store.
    capacity: usize,
    kept: RwLock<DaySums>,
    /// Held by who reads days: nobody reads the same twice, and no day is replaced by an older state.
    reading: Mutex<()>,
    missed: Notify,
}

impl Sums {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, kept: RwLock::default(), reading: Mutex::default(), missed: Notify::new() }
    }

    /// What a question finds in the sums, as they are now or a moment later; none when not all of them are kept.
    ///
    /// Without a kind, the sums of all kinds are needed.
    pub(crate) async fn answer<T: Send + 'static>(
        self: &Arc<Self>,
        store: &dyn VersionedMetrics,
        dates: DateRange,
        kind: Option<AccessKind>,
        question: impl FnOnce(&DaySums) -> T + Send + 'static,
    ) -> Result<Option<T>, MetricsError> {
        let Some(mut seen) = store.versions(dates, kind).await? else { return Ok(None) };
        if !self.kept().is_current(dates, kind, &seen) {
            let Ok(_turn) = timeout(PATIENCE, self.reading.lock()).await else { return Ok(None) };
            let Some(again) = store.versions(dates, kind).await? else { return Ok(None) };
            seen = again;
            self.kept_mut().keep_of(seen.watch);
            let stale = self.kept().stale(dates, kind, &seen.versions);
            if stale.len() > READ_AT_ONCE || stale.iter().any(|(day, _)| self.has_no_room_for(*day)) {
                self.missed.notify_one();
                return Ok(None);
            }
            if self.read(store, &stale).await.is_err() {
                // The question itself may read less, or tells why it cannot be answered.
                return Ok(None);
            }
        }
        let sums = Arc::clone(self);
        let answer = aside(move || {
            let kept = sums.kept();
            // Between then and now they may have become too many.
            kept.has_all(&seen).then(|| question(&kept))
        });
        Ok(answer.await)
    }

    /// Reads the days that are missing, and goes on to look for such days.
    pub(crate) async fn keep(self: Arc<Self>, store: Arc<dyn VersionedMetrics>) {
        loop {
            while let Ok(true) = self.read_some(&*store).await {}
            // Looked at again after a while, or when a question missed something: both are fine.
            let _ = timeout(PERIOD, self.missed.notified()).await;
        }
    }

    /// Reads some of the days that are missing; answers whether there may be more. A few that merely changed are left to
    /// the next question about them.
    async fn read_some(self: &Arc<Self>, store: &dyn VersionedMetrics) -> Result<bool, MetricsError> {
        let _turn = self.reading.lock().await;
        let Some(DayVersions { watch, versions }) = store.versions(DateRange::EVER, None).await? else {
            return Ok(false);
        };
        self.kept_mut().keep_of(watch);
        let mut stale = self.kept().stale(DateRange::EVER, None, &versions);
        stale.retain(|(day, _)| !self.has_no_room_for(*day));
        if stale.len() <= READ_AT_ONCE {
            stale.retain(|(day, _)| !self.kept().has(*day));
        }
        stale.truncate(READ_BETWEEN);
        self.read(store, &stale).await?;
        // When there was no room even for these, not at once again.
        Ok(!stale.is_empty() && self.kept().first().is_some())
    }

    async fn read(self: &Arc<Self>, store: &dyn VersionedMetrics, days: &[(DayKey, i64)]) -> Result<(), MetricsError> {
        for &(day, version) in days {
            // Asked after the version: if counts changed between, their new version shows next time.
            let Some(counts) = store.counts_of_day(day, MAX_COUNTS).await? else {
                self.kept_mut().leave_out(day);
                continue;
            };
            let sums = Arc::clone(self);
            aside(move || sums.kept_mut().put(day, version, &counts)).await;
        }
        let mut kept = self.kept_mut();
        if kept.size() > self.capacity + self.capacity / 4 {
            // Names of old days would stay; all is read anew, up to the capacity.
            kept.forget();
        }
        Ok(())
    }

    /// Whether there is no room for a day: it is too large, or all that is kept is later.
    fn has_no_room_for(&self, day: DayKey) -> bool {
        let kept = self.kept();
        kept.is_left_out(day) || kept.size() >= self.capacity && Some(day) < kept.first()
    }

    fn kept(&self) -> RwLockReadGuard<'_, DaySums> {
        self.kept.read()
    }

    fn kept_mut(&self) -> RwLockWriteGuard<'_, DaySums> {
        self.kept.write()
    }
}

/// Runs what takes long enough to keep others waiting beside them.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
