//! Keeps old counts by month, and forgets those that are older still: once a day, in small steps.

use std::{sync::Arc, time::Duration};

use chrono::{Days, NaiveDate};
use staticreg_domain::{
    Clock,
    metrics::{Folded, MetricsError, MetricsRepository, first_of_month},
};
use tokio::time::{Instant, sleep};

use super::{Recorder, Spooling};
use crate::telemetry::Retaining;

/// How often it is looked whether there is something to do.
const INTERVAL: Duration = Duration::from_mins(1);

/// The pause between two steps, so that recording is not disturbed.
const STEP_PAUSE: Duration = Duration::from_millis(100);

/// How many rows are folded or forgotten in one step: a store that has one writer is held for a moment by each.
const STEP: u32 = 1_000;

/// How often is told how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// How long the store must have taken everything before it is given work that can wait.
const QUIET: Duration = Duration::from_mins(2);

/// How long counts are kept, and in which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// For how many days counts are kept by day; later by month. Without it for good.
    pub daily_days: Option<u32>,
    /// For how many days counts are kept at all. Without it for good.
    pub total_days: Option<u32>,
    /// Whether counts that are kept by month are kept without their digests.
    pub drops_digests: bool,
}

impl Retention {
    /// Whether anything is to be done at any time.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.daily_days.is_some() || self.total_days.is_some()
    }
}

/// The use case, running in the background.
pub struct Retain {
    /// The store of the counts.
    pub store: Arc<dyn MetricsRepository>,
    /// Tells whether the store is well.
    pub recorder: Recorder,
    /// Tells whether it still holds events.
    pub spooling: Option<Arc<Spooling>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How long counts are kept.
    pub retention: Retention,
}

impl Retain {
    /// Once a day, for ever.
    pub async fn run(self) {
        let mut done_on = None;
        loop {
            sleep(INTERVAL).await;
            let today = self.clock.now().date_naive();
            if done_on == Some(today) || !self.recorder.is_untroubled_for(QUIET) {
                continue;
            }
            match self.retain(today).await {
                Ok(()) => {
                    done_on = Some(today);
                    self.told().done(self.clock.now());
                }
                Err(error) => self.told().failed(&error),
            }
        }
    }

    async fn retain(&self, today: NaiveDate) -> Result<(), MetricsError> {
        let Retention { daily_days, total_days, drops_digests } = self.retention;
        if let Some(days) = total_days {
            self.forget(today, days).await?;
        }
        if let Some(days) = daily_days {
            self.fold(Folded::on(today, days, drops_digests)).await?;
        }
        Ok(())
    }

    async fn fold(&self, folded: Folded) -> Result<(), MetricsError> {
        self.store.keep_by_month(folded).await?;
        let (mut day, mut first, mut rows, mut told) = (None, None, 0, Instant::now());
        while let Some(next) = self.store.day_to_fold(day).await? {
            day = Some(next);
            let days_until = |day: NaiveDate| (folded.days_before - day).num_days();
            let of = days_until(*first.get_or_insert(next));
            loop {
                self.is_quiet().await;
                let folded = self.store.fold_day(next, STEP).await?;
                if folded == 0 {
                    break;
                }
                rows += folded;
                self.told().folded(next, folded);
                if told.elapsed() >= TOLD_EVERY {
                    Retaining::folding(next, (of - days_until(next), of), rows);
                    told = Instant::now();
                }
                sleep(STEP_PAUSE).await;
            }
        }
        if rows > 0 {
            Retaining::all_folded(folded.days_before, rows);
        }
        Ok(())
    }

    async fn forget(&self, today: NaiveDate, days: u32) -> Result<(), MetricsError> {
        let Some(before) = today.checked_sub_days(Days::new(days.into())).map(first_of_month) else { return Ok(()) };
        let (mut rows, mut told) = (0, Instant::now());
        loop {
            // What takes back may wait there for what it takes from.
            while self.spooling.as_ref().is_some_and(|spooling| !spooling.is_empty()) {
                sleep(INTERVAL).await;
            }
            self.is_quiet().await;
            let forgotten = self.store.forget_counts(before, STEP).await?;
            if forgotten == 0 {
                break;
            }
            rows += forgotten;
            self.told().removed(forgotten);
            if told.elapsed() >= TOLD_EVERY {
                Retaining::removing(before, rows);
                told = Instant::now();
            }
            sleep(STEP_PAUSE).await;
        }
        if rows > 0 {
            Retaining::all_removed(before, rows);
        }
        Ok(())
    }

    fn told(&self) -> &Retaining {
        self.recorder.signals().retaining()
    }

    async fn is_quiet(&self) {
        while !self.recorder.is_untroubled_for(QUIET) {
            sleep(INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use parking_lot::Mutex;
    use staticreg_domain::{
        counting::Tagged,
        metrics::{AccessKind, Change, CountKey, DateRange, Filter, MetricsReader as _, Page, PullEvent},
    };
    use staticreg_memory::MemoryMetrics;
    use uuid::Uuid;

    use super::*;
    use crate::{logged::Logged, recording::RecorderOptions, telemetry::Value};

    struct SetClock(Mutex<DateTime<Utc>>);

    impl Clock for SetClock {
        fn now(&self) -> DateTime<Utc> {
            *self.0.lock()
        }
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    fn pull(number: u128, day: &str) -> PullEvent {
        let key = CountKey {
            kind: AccessKind::PullByTag,
            date: date(day),
            repository: "app".parse().expect("a name"),
            tag: None,
            digest: format!("sha256:{:064x}", 1).parse().expect("a digest"),
            architecture: "amd64".parse().expect("never fails"),
        };
        let at = date(day).and_hms_opt(10, 0, 0).expect("a time").and_utc();
        let changes = vec![Change { key: Arc::new(key), delta: 1 }];
        PullEvent { id: Uuid::from_u128(number).into(), at, timestamp: at, changes }
    }

    fn recorder(store: Arc<dyn MetricsRepository>, clock: Arc<dyn Clock>) -> Recorder {
        let options = RecorderOptions {
            batch_size: 1,
            buffer_size: 1,
            flush_interval: Duration::ZERO,
            patience: Duration::from_secs(3),
        };
        Recorder::new(store, Box::new(Tagged), None, None, clock, options).0
    }

    async fn days(store: &MemoryMetrics) -> Vec<(String, u64)> {
        let rows = store.rows(&Filter::of_dates(DateRange::EVER), &Page::first(100)).await.expect("answers").items;
        rows.iter().map(|row| (row.date.to_string(), row.count)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn days_become_months_and_months_go_once_a_day() {
        let store = Arc::new(MemoryMetrics::new(1_000));
        let clock = Arc::new(SetClock(Mutex::new("2026-11-27T12:00:00Z".parse().expect("a time"))));
        let pulled = ["2026-01-20", "2026-07-10", "2026-07-20", "2026-08-20", "2026-08-21", "2026-11-26"];
        let events: Vec<_> = (1..).zip(pulled).map(|(number, day)| pull(number, day)).collect();
        store.record(&events, clock.now()).await.expect("records");
        let recorder = recorder(store.clone(), clock.clone());
        let retention = Retention { daily_days: Some(100), total_days: Some(200), drops_digests: false };
        let retain = Retain { store: store.clone(), recorder, spooling: None, clock: clock.clone(), retention };
        let running = tokio::spawn(retain.run());

        let expected = |rows: &[(&str, u64)]| -> Vec<(String, u64)> {
            rows.iter().map(|(day, count)| ((*day).to_owned(), *count)).collect()
        };
        let first = expected(&[("2026-11-26", 1), ("2026-08-21", 1), ("2026-08-20", 1), ("2026-07-01", 2)]);
        while days(&store).await != first {
            sleep(INTERVAL).await;
        }
        // August's last day is not older yet, and then it is.
        *clock.0.lock() = "2026-12-09T00:00:00Z".parse().expect("a time");
        sleep(INTERVAL * 10).await;
        assert_eq!(days(&store).await, first);
        *clock.0.lock() = "2026-12-10T00:00:00Z".parse().expect("a time");
        let then = expected(&[("2026-11-26", 1), ("2026-08-01", 2), ("2026-07-01", 2)]);
        while days(&store).await != then {
            sleep(INTERVAL).await;
        }
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn how_far_a_fold_is_and_what_it_did_is_told() {
        let logged = Logged::start();
        let store = Arc::new(MemoryMetrics::new(1_000));
        let clock = Arc::new(SetClock(Mutex::new("2026-11-27T12:00:00Z".parse().expect("a time"))));
        let first = date("2024-10-02");
        let old = first.iter_days().take_while(|day| *day < date("2026-01-01")).map(|day| day.to_string());
        let events: Vec<_> = (1..).zip(old).map(|(number, day)| pull(number, &day)).collect();
        store.record(&events, clock.now()).await.expect("records");
        let recorder = recorder(store.clone(), clock.clone());
        let retention = Retention { daily_days: Some(100), total_days: Some(730), drops_digests: false };
        let retain = Retain { store: store.clone(), recorder: recorder.clone(), spooling: None, clock, retention };
        let running = tokio::spawn(retain.run());
        let value = |name: &str, sample: usize| {
            let families = recorder.signals().retaining().families();
            families.into_iter().find(|family| family.name == name).expect(name).samples[sample].value.clone()
        };
        while value("staticreg_retention_last_success_timestamp_seconds", 0) == Value::from(0_u64) {
            sleep(INTERVAL).await;
        }
        running.abort();
        // All of October 2024 is too old; of the 14 months that stay, the first days are where they belong.
        assert_eq!(value("staticreg_retention_rows", 0), Value::from(426_u64 - 14));
        assert_eq!(value("staticreg_retention_rows", 1), Value::from(30_u64));
        assert_eq!(value("staticreg_retention_failures", 0), Value::from(0_u64));
        let last_day: DateTime<Utc> = "2025-12-31T00:00:00Z".parse().expect("a time");
        assert_eq!(value("staticreg_retention_folded_day_timestamp_seconds", 0), Value::from(last_day.timestamp()));
        let lines = logged.lines();
        let told = lines.iter().find(|line| line.contains("Folding old counts: ")).expect("a line");
        assert!(told.contains(" of 637 days, at 2025-"), "{told}");
    }
}
