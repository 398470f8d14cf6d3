//! Receives a notification of the registry: decides what counts, records it and gives the receipt.

use std::{collections::BTreeMap, sync::Arc};

use chrono::TimeDelta;
use parking_lot::Mutex;
use staticreg_domain::{
    Clock, RegistryEvent,
    counting::Counting,
    metrics::PullEvent,
    rules::{Rules, SkipReason},
};

use crate::{
    activity_log::ActivityLog,
    catalog::CatalogChanges,
    clock_skew::ClockSkew,
    platforms::IndexChildren,
    recording::{RecordError, Recorded, Recorder, Trouble},
};

/// The most bytes of a text that are logged; more than the longest well-formed one has.
const MAX_LOGGED: usize = 256;

/// What became of the events of one notification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// All events of the notification.
    pub total: usize,
    /// Events that are stored, or wait in the spool.
    pub processed: usize,
    /// Events that were recorded before.
    pub duplicate: usize,
    /// Events that wait in the spool; they are among the processed.
    pub spooled: usize,
    /// Events that do not count, by reason.
    pub skipped: BTreeMap<SkipReason, usize>,
}

impl Receipt {
    /// Events that do not count.
    #[must_use]
    pub fn skipped_total(&self) -> usize {
        self.skipped.values().sum()
    }
}

/// Who else learns of the events. None of them makes an answer wait.
#[derive(Clone, Default)]
pub struct Followers {
    /// Asks the registry for the children of indexes that were accessed.
    pub index_children: Option<IndexChildren>,
    /// Has changed repositories read again.
    pub catalog_changes: Option<CatalogChanges>,
}

/// The use case.
pub struct ReceiveNotification {
    rules: Rules,
    counting: Arc<Mutex<dyn Counting>>,
    recorder: Recorder,
    followers: Followers,
    clock: Arc<dyn Clock>,
    clock_skew: ClockSkew,
    activity: Arc<ActivityLog>,
}

impl ReceiveNotification {
    /// Counts in the given way. The user agents of clients to leave out hold one of `ignored_user_agents`.
    pub fn new(
        counting: Arc<Mutex<dyn Counting>>,
        ignored_user_agents: Vec<String>,
        recorder: Recorder,
        followers: Followers,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let scope = counting.lock().scope();
        let rules = Rules::new(scope, ignored_user_agents);
        let (clock_skew, activity) = (ClockSkew::default(), Arc::default());
        Self { rules, counting, recorder, followers, clock, clock_skew, activity }
    }

    /// Tells of what was recorded, while somebody runs it.
    #[must_use]
    pub fn activity(&self) -> Arc<ActivityLog> {
        Arc::clone(&self.activity)
    }

    /// How far the registry's clock is ahead of this server's, when so far that one of them is wrong.
    #[must_use]
    pub fn clock_skew(&self) -> Option<TimeDelta> {
        self.clock_skew.ahead(self.clock.now())
    }

    /// What trouble there is with the store.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.recorder.trouble()
    }

    /// Answers when every event that counts is stored, and only then. After an error the registry must send the
    /// notification again.
    pub async fn receive(&self, events: Vec<RegistryEvent>) -> Result<Receipt, RecordError> {
        let mut receipt = Receipt { total: events.len(), ..Receipt::default() };
        self.tell_of_changes(&events);
        let counted = self.count(&events, &mut receipt);
        // They may be large, and the store slow.
        drop(events);
        if !counted.is_empty() {
            // The recorder takes the events; their keys are shared, so this copies little.
            let recorded = self.recorder.record(counted.clone()).await?;
            for (event, recorded) in counted.iter().zip(recorded) {
                receipt.add(recorded);
                if recorded == Recorded::Counted {
                    self.activity.stored(event);
                }
            }
        }
        self.activity.received(&receipt);
        Ok(receipt)
    }

    fn count(&self, events: &[RegistryEvent], receipt: &mut Receipt) -> Vec<PullEvent> {
        let now = self.clock.now();
        let admitted: Vec<_> = events.iter().map(|event| self.rules.admit(event, now)).collect();
        let mut counting = self.counting.lock();
        let mut counted = Vec::with_capacity(admitted.len());
        for (event, access) in events.iter().zip(admitted) {
            if let Ok(access) = &access {
                self.clock_skew.note(access);
            }
            match access.and_then(|access| counting.count(&access, now)) {
                Ok(event) => counted.push(event),
                Err(reason) => {
                    *receipt.skipped.entry(reason).or_default() += 1;
                    log_skip(event, reason);
                }
            }
        }
        let wanted = counting.wanted();
        drop(counting);
        if let Some(index_children) = &self.followers.index_children {
            for (repository, index) in wanted {
                index_children.ask(&repository, &index);
            }
        }
        counted
    }

    /// A push or a delete changes what the registry holds.
    fn tell_of_changes(&self, events: &[RegistryEvent]) {
        let Some(changes) = &self.followers.catalog_changes else { return };
        for event in events.iter().filter(|event| matches!(event.action.as_deref(), Some("push" | "delete"))) {
            if let Some(repository) = event.repository.as_deref().and_then(|name| name.parse().ok()) {
                changes.repository_changed(repository);
            }
        }
    }
}

impl Receipt {
    fn add(&mut self, recorded: Recorded) {
        match recorded {
            Recorded::Counted => self.processed += 1,
            Recorded::Spooled => {
                self.processed += 1;
                self.spooled += 1;
            }
            Recorded::Duplicate => self.duplicate += 1,
            Recorded::Refused => *self.skipped.entry(SkipReason::RefusedByStore).or_default() += 1,
        }
    }
}

/// What the event says is quoted and cut: it may be any text.
fn log_skip(event: &RegistryEvent, reason: SkipReason) {
    tracing::debug!(
        reason = %reason.as_str(),
        action = beginning(event.action.as_deref()),
        repository = beginning(event.repository.as_deref()),
        tag = beginning(event.tag.as_deref()),
        digest = beginning(event.digest.as_deref()),
        "Skipping event:"
    );
}

/// As much of a text as a well-formed one may have.
fn beginning(text: Option<&str>) -> Option<&str> {
    text.map(|text| &text[..text.floor_char_boundary(MAX_LOGGED)])
}
