//! Which days are kept, and the reading of those that changed.
//!
//! The sums are never out of date (`docs/adr/0003-rollups-in-memory.md`): a question first asks for the versions of its
//! days, and days that changed are read again. Where more is missing (after the start, or when rows were brought in by
//! hand), the store answers while the days are read in the background: from the shelf when they are there, or their counts.
//!
//! With the versions comes what tells that they can be trusted, see [`DayVersions::watch`]. While they cannot, the store
//! answers; when the watch is another than before, nothing that was kept is trusted.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use staticreg_domain::metrics::{DateRange, DayCount, DayKey, DayVersions, KeptSums, MetricsError, VersionedMetrics};
use tokio::{
    sync::{Mutex, Notify, watch},
    time::timeout,
};

use crate::{
    aside,
    day::Detail,
    day_sums::{DaySums, Needs},
    named::NamedSums,
    shelf::Shelf,
};

/// How often it is looked whether days changed that nobody asks about.
const PERIOD: Duration = Duration::from_secs(10);

/// The most days that a question reads again before it is answered.
const READ_AT_ONCE: usize = 8;

/// The most days that are read in the background before a question gets its turn.
const READ_BETWEEN: usize = 4;

/// The most days that are taken from the shelf before a question gets its turn.
const TAKEN_AT_ONCE: usize = 32;

/// The most counts of a day and kind that are kept; to read more again takes longer than the store's own answer.
const MAX_COUNTS: u32 = 150_000;

/// How long a question waits for its turn, before it is asked from the store.
const PATIENCE: Duration = Duration::from_millis(500);

/// The sums that are kept of a store's counts.
pub(crate) struct Sums {
    /// The bytes they take at most, by and large; of the days before the totals are kept, in a fourth of it, and the rest is
    /// asked from the store.
    capacity: usize,
    kept: RwLock<DaySums>,
    /// Held by who reads days: nobody reads the same twice, and no day is replaced by an older state.
    reading: Mutex<Shelf>,
    missed: Notify,
    /// Told when no more days are missing than there is no room for.
    caught_up: Notify,
    /// Whether days may still be taken from the shelf, which takes less than the store needs to sum their counts.
    takes: watch::Sender<bool>,
}

impl Sums {
    pub(crate) fn new(capacity: usize, shelf: Shelf) -> Self {
        Self {
            capacity,
            kept: RwLock::default(),
            reading: Mutex::new(shelf),
            missed: Notify::new(),
            caught_up: Notify::new(),
            takes: watch::Sender::new(true),
        }
    }

    /// What a question finds in the sums, as they are now or a moment later; none when not all it needs is kept.
    pub(crate) async fn answer<T: Send + 'static>(
        self: &Arc<Self>,
        store: &dyn VersionedMetrics,
        needs: Needs,
        question: impl FnOnce(&DaySums) -> T + Send + 'static,
    ) -> Result<Option<T>, MetricsError> {
        let Needs { dates, kind, detail } = needs;
        let Some(mut seen) = store.versions(dates, kind).await? else { return Ok(None) };
        if !self.kept().is_current(needs, &seen) {
            let Ok(_turn) = timeout(PATIENCE, self.reading.lock()).await else { return Ok(None) };
            let Some(again) = store.versions(dates, kind).await? else { return Ok(None) };
            seen = again;
            self.kept_mut().keep_of(seen.watch);
            let stale = self.kept().stale(needs, &seen.versions);
            if stale.len() > READ_AT_ONCE || stale.iter().any(|(day, _)| self.has_no_room_for(*day, detail)) {
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
            kept.has_all(detail, &seen).then(|| question(&kept))
        });
        Ok(answer.await)
    }

    /// Waits until days were read that were missing.
    pub(crate) async fn caught_up(&self) {
        self.caught_up.notified().await;
    }

    /// Waits until there is nothing more to take from the shelf.
    pub(crate) async fn taken(&self) {
        // It is sent for as long as this is there.
        let _ = self.takes.subscribe().wait_for(|takes| !takes).await;
    }

    /// Reads the days that are missing, and goes on to look for such days.
    pub(crate) async fn keep(self: Arc<Self>, store: Arc<dyn VersionedMetrics>) {
        loop {
            let mut has_read = false;
            while let Ok(true) = self.read_some(&*store).await {
                has_read = true;
            }
            self.takes.send_replace(false);
            if has_read {
                self.caught_up.notify_waiters();
            }
            // Looked at again after a while, or when a question missed something: both are fine.
            let _ = timeout(PERIOD, self.missed.notified()).await;
        }
    }

    /// Reads some of the days that are missing; answers whether there may be more. A few that merely changed are left to
    /// the next question about them. When none is missing, days that are over are put aside.
    async fn read_some(self: &Arc<Self>, store: &dyn VersionedMetrics) -> Result<bool, MetricsError> {
        let mut reading = self.reading.lock().await;
        let Some(DayVersions { watch, versions }) = store.versions(DateRange::EVER, None).await? else {
            return Ok(false);
        };
        self.kept_mut().keep_of(watch);
        let detail = if self.kept().size() < self.capacity { Detail::Sums } else { Detail::Total };
        let mut stale = self.kept().stale(Needs { detail, ..Needs::ALL_TOTALS }, &versions);
        stale.retain(|(day, _)| !self.has_no_room_for(*day, Detail::Total));
        if stale.len() <= READ_AT_ONCE {
            stale.retain(|(day, _)| !self.kept().has(*day, detail));
        }
        let put_aside = reading.versions(store, watch).await;
        let is_put_aside = |(day, version): &(DayKey, i64)| put_aside.get(day) == Some(version);
        let (mut found, mut missing): (Vec<_>, Vec<_>) = stale.into_iter().partition(is_put_aside);
        self.takes.send_replace(!found.is_empty());
        let is_some_missing = !found.is_empty() || !missing.is_empty();
        if !found.is_empty() {
            found.truncate(TAKEN_AT_ONCE);
            missing = self.take(reading.sums(store, watch, &found).await, &found).await;
        } else if missing.is_empty() && reading.is_open() {
            missing = versions.into_iter().filter(|day| reading.is_for(day.0) && !is_put_aside(day)).collect();
            missing.retain(|(day, _)| !self.has_no_room_for(*day, Detail::Total));
        }
        missing.truncate(READ_BETWEEN);
        for day in missing {
            if let Some(counts) = self.read_day(store, day).await?.filter(|_| reading.is_for(day.0)) {
                reading.put(store, watch, day, counts).await;
            }
        }
        self.evict();
        // When there was no room even for these, not at once again.
        Ok(is_some_missing && self.kept().first().is_some())
    }

    /// Takes the sums of days that were put aside; answers which of the days were not among them after all.
    async fn take(self: &Arc<Self>, put_aside: Vec<KeptSums>, days: &[(DayKey, i64)]) -> Vec<(DayKey, i64)> {
        let mut rest: BTreeMap<DayKey, i64> = days.iter().copied().collect();
        let sums = Arc::clone(self);
        aside(move || {
            for KeptSums { day, version, packed } in put_aside {
                if rest.get(&day) == Some(&version)
                    && let Some(unpacked) = NamedSums::unpack(&packed)
                {
                    sums.put(day, version, &unpacked);
                    rest.remove(&day);
                }
            }
            rest.into_iter().collect()
        })
        .await
    }

    async fn read(self: &Arc<Self>, store: &dyn VersionedMetrics, days: &[(DayKey, i64)]) -> Result<(), MetricsError> {
        for day in days {
            self.read_day(store, *day).await?;
        }
        self.evict();
        Ok(())
    }

    /// Reads the counts of a day; none when there are too many.
    async fn read_day(
        self: &Arc<Self>,
        store: &dyn VersionedMetrics,
        (day, version): (DayKey, i64),
    ) -> Result<Option<Vec<DayCount>>, MetricsError> {
        // Asked after the version: if counts changed between, their new version shows next time.
        let Some(counts) = store.counts_of_day(day, MAX_COUNTS).await? else {
            self.kept_mut().leave_out(day);
            return Ok(None);
        };
        let sums = Arc::clone(self);
        let put = move || {
            sums.put(day, version, &NamedSums::of(&counts));
            counts
        };
        Ok(Some(aside(put).await))
    }

    fn put(&self, day: DayKey, version: i64, named: &NamedSums<'_>) {
        let mut kept = self.kept_mut();
        let detail = if self.is_full(&kept, day) { Detail::Total } else { Detail::Sums };
        kept.put(day, version, detail, named);
    }

    /// Names of old days would stay; all is read anew, up to the capacity.
    fn evict(&self) {
        let mut kept = self.kept_mut();
        if kept.size() > self.capacity + self.capacity / 4 {
            kept.forget();
        }
    }

    /// Whether there is no room for a day: it is too large, or there are too many.
    fn has_no_room_for(&self, day: DayKey, detail: Detail) -> bool {
        let kept = self.kept();
        let is_full = match detail {
            Detail::Sums => true,
            Detail::Total if kept.has(day, Detail::Total) => false,
            // Well before all is forgotten.
            Detail::Total => {
                kept.totals_size() >= self.capacity / 4 || kept.size() >= self.capacity + self.capacity / 8
            }
        };
        kept.is_left_out(day) || is_full && self.is_full(&kept, day)
    }

    /// Whether the sums of all that is kept take the room, and are later than a day.
    fn is_full(&self, kept: &DaySums, day: DayKey) -> bool {
        kept.size() >= self.capacity && Some(day) < kept.first()
    }

    fn kept(&self) -> RwLockReadGuard<'_, DaySums> {
        self.kept.read()
    }

    fn kept_mut(&self) -> RwLockWriteGuard<'_, DaySums> {
        self.kept.write()
    }
}
