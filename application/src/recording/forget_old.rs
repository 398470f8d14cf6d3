//! Puts aside what grew old, and forgets what nobody needs any more: ids of events that the registry will not repeat, rows
//! of the journal, and notes of days that others changed.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use staticreg_domain::{
    Clock, error::describe, event_id::EventStamp, journal::JOURNAL_WINDOW, metrics::MetricsRepository,
};
use tokio::time::sleep;

use super::{Recorder, Spooling};

/// How often old ids are looked for.
const INTERVAL: Duration = Duration::from_mins(1);

/// The pause between two steps, so that recording is not disturbed.
const STEP_PAUSE: Duration = Duration::from_millis(100);

/// How many ids are archived or forgotten in one step.
const STEP: u32 = 5_000;

/// How long the journal is kept: a while longer than anybody reads back, so that a server that paused goes on.
const JOURNAL_KEPT: TimeDelta = TimeDelta::minutes(JOURNAL_WINDOW.num_minutes() + 5);

/// How many rows of the journal are forgotten in one step.
const JOURNAL_STEP: u32 = 1_000;

/// How many notes of changed days are folded in one step.
const CHANGES_STEP: u32 = 10_000;

/// How long the store must have taken everything before ids are forgotten: a registry, or the spool, may hold events
/// from before an outage longer than the window, of which nobody knows whether they were stored.
const QUIET: Duration = Duration::from_mins(2);

/// The use case, running in the background.
pub struct ForgetOld {
    /// The store that remembers them.
    pub store: Arc<dyn MetricsRepository>,
    /// Tells whether the store is well.
    pub recorder: Recorder,
    /// Tells whether it still holds events.
    pub spooling: Option<Arc<Spooling>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How long ids are remembered.
    pub window: Duration,
}

impl ForgetOld {
    /// Forgets in small steps, for ever.
    pub async fn run(self) {
        loop {
            sleep(INTERVAL).await;
            while self.recorder.is_untroubled_for(QUIET) && self.archive_ids().await {
                sleep(STEP_PAUSE).await;
            }
            while self.recorder.is_untroubled_for(QUIET) && self.fold_changes().await {
                sleep(STEP_PAUSE).await;
            }
            while self.is_safe() && self.forget_ids().await {
                sleep(STEP_PAUSE).await;
            }
            while self.recorder.is_untroubled_for(QUIET) && self.forget_journal().await {
                sleep(STEP_PAUSE).await;
            }
        }
    }

    fn is_safe(&self) -> bool {
        self.recorder.is_untroubled_for(QUIET) && self.spooling.as_ref().is_none_or(|spooling| spooling.is_empty())
    }

    /// Archives some; true when there may be more.
    async fn archive_ids(&self) -> bool {
        let before = self.clock.now() - EventStamp::ARCHIVED_AFTER;
        match self.store.archive_ids(before, STEP).await {
            Ok(archived) => archived >= u64::from(STEP),
            Err(error) => {
                tracing::warn!(error = describe(&error), "Old event ids cannot be archived");
                false
            }
        }
    }

    /// Folds some; true when there may be more.
    async fn fold_changes(&self) -> bool {
        match self.store.fold_changes(CHANGES_STEP).await {
            Ok(folded) => folded >= u64::from(CHANGES_STEP),
            Err(error) => {
                tracing::warn!(error = describe(&error), "Notes of changed days cannot be folded");
                false
            }
        }
    }

    /// Forgets some; true when there may be more.
    async fn forget_ids(&self) -> bool {
        let before = self.clock.now() - self.window;
        match self.store.forget_ids(before, STEP).await {
            Ok(forgotten) => forgotten >= u64::from(STEP),
            Err(error) => {
                tracing::warn!(error = describe(&error), "Old event ids cannot be removed");
                false
            }
        }
    }

    /// Forgets some; true when there may be more.
    async fn forget_journal(&self) -> bool {
        match self.store.forget_journal(JOURNAL_KEPT, JOURNAL_STEP, self.clock.now()).await {
            Ok(forgotten) => forgotten >= u64::from(JOURNAL_STEP),
            Err(error) => {
                tracing::warn!(error = describe(&error), "Old rows of the journal cannot be removed");
                false
            }
        }
    }
}
