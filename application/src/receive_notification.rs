//! Receives a notification of the registry: decides what counts, records it and gives the receipt.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use staticreg_domain::{
    Clock, ManifestAccess, RegistryEvent,
    metrics::AccessKind,
    rules::{Rules, SkipReason},
};
use tokio::time::Instant;
use tracing::Level;

use crate::{
    activity_log::ActivityLog,
    catalog::CatalogChanges,
    clock_skew::ClockSkew,
    name_limit::NameLimit,
    recent::{self, About, Recent, RecentNotification, Verdict},
    recording::{Balance, RecordError, Recorded, Recorder, RecordingTotals, Tallies, Trouble},
    telemetry::{self, Family},
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

/// The use case.
pub struct ReceiveNotification {
    rules: Rules,
    name_limit: Option<NameLimit>,
    recorder: Recorder,
    /// Has changed repositories read again; no answer waits for it.
    catalog_changes: Option<CatalogChanges>,
    clock: Arc<dyn Clock>,
    clock_skew: ClockSkew,
    activity: Arc<ActivityLog>,
    recent: Recent,
}

impl ReceiveNotification {
    /// Admits events by the rules, and has them recorded.
    pub fn new(
        rules: Rules,
        recorder: Recorder,
        catalog_changes: Option<CatalogChanges>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (clock_skew, activity, recent) = (ClockSkew::default(), Arc::default(), Recent::default());
        Self { rules, name_limit: None, recorder, catalog_changes, clock, clock_skew, activity, recent }
    }

    /// The same, with at most so many new names a day.
    #[must_use]
    pub fn with_max_new_names(self, most: NonZeroUsize) -> Self {
        Self { name_limit: Some(NameLimit::at_most(most)), ..self }
    }

    /// Tells of what was recorded, while somebody runs it.
    #[must_use]
    pub fn activity(&self) -> Arc<ActivityLog> {
        Arc::clone(&self.activity)
    }

    /// The last notifications.
    #[must_use]
    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// When another server stored events in the same database, as this one saw when it last had to look.
    #[must_use]
    pub fn others_stored_at(&self) -> Option<DateTime<Utc>> {
        let ago = self.recorder.signals().others_stored_ago()?;
        Some(self.clock.now() - TimeDelta::from_std(ago).ok()?)
    }

    /// How far the registry's clock is ahead of this server's, when so far that one of them is wrong.
    #[must_use]
    pub fn clock_skew(&self) -> Option<TimeDelta> {
        self.clock_skew.ahead(self.clock.now())
    }

    /// How many events that may count were received and stored since the start.
    #[must_use]
    pub fn totals(&self) -> RecordingTotals {
        self.recorder.totals()
    }

    /// What became of all events since the start.
    #[must_use]
    pub fn balance(&self) -> Balance {
        self.recorder.balance()
    }

    /// What is told of receiving to those who watch.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut families = telemetry::of_receiving(self, self.recorder.signals());
        families.extend(self.recorder.busiest().map(telemetry::of_repositories));
        families
    }

    pub(crate) fn tallies(&self) -> Tallies {
        self.recorder.tallies()
    }

    /// What trouble there is with the store.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.recorder.trouble()
    }

    /// Answers when every event that counts is stored, and only then. After an error the registry must send the
    /// notification again.
    pub async fn receive(&self, events: Vec<RegistryEvent>) -> Result<Receipt, RecordError> {
        let (start, at, signals) = (Instant::now(), self.clock.now(), self.recorder.signals());
        signals.notification_arrived(at);
        let (count, first) = (events.len(), events.first().map(About::from_event));
        let mut added = BTreeMap::new();
        let received = self.receive_events(events, &mut added).await;
        let verdict = match &received {
            Ok(receipt) => {
                signals.notification_stored(start.elapsed());
                Verdict::Taken(receipt.clone(), added)
            }
            Err(error) => {
                signals.notification_turned_away(*error, start.elapsed());
                Verdict::TurnedAway(*error)
            }
        };
        self.recent.received(RecentNotification { at, events: count, first, verdict });
        received
    }

    /// Takes note of a body that is no notification.
    pub fn unreadable(&self, why: &'static str) {
        self.recent.unreadable(self.clock.now(), why);
    }

    async fn receive_events(
        &self,
        events: Vec<RegistryEvent>,
        added: &mut BTreeMap<AccessKind, usize>,
    ) -> Result<Receipt, RecordError> {
        let mut receipt = Receipt { total: events.len(), ..Receipt::default() };
        self.tell_of_changes(&events);
        let admitted = self.admit(&events, &mut receipt);
        // Refused with the others when these cannot be stored, for they come again together.
        let left_out = self.recorder.receive(receipt.skipped_total());
        let left_out_for = receipt.skipped.clone();
        // They may be large, and the store slow.
        drop(events);
        if !admitted.is_empty() {
            let told = if tracing::enabled!(Level::DEBUG) { admitted.clone() } else { Vec::new() };
            let mut told = told.iter();
            for recorded in self.recorder.record(admitted).await? {
                let access = told.next();
                match &recorded {
                    Recorded::Counted(event) => {
                        self.activity.stored(event);
                        recent::add_to(added, event);
                    }
                    Recorded::Skipped(reason) => access.into_iter().for_each(|access| log_skipped(access, *reason)),
                    _ => {}
                }
                receipt.add(&recorded);
            }
        }
        left_out.skip_all(&left_out_for);
        self.activity.received(&receipt);
        Ok(receipt)
    }

    fn admit(&self, events: &[RegistryEvent], receipt: &mut Receipt) -> Vec<ManifestAccess> {
        let now = self.clock.now();
        let mut admitted = Vec::with_capacity(events.len());
        for event in events {
            match self.admit_one(event, now) {
                Ok(access) => admitted.push(access),
                Err(reason) => {
                    *receipt.skipped.entry(reason).or_default() += 1;
                    log_skip(event, reason);
                }
            }
        }
        admitted
    }

    fn admit_one(&self, event: &RegistryEvent, now: DateTime<Utc>) -> Result<ManifestAccess, SkipReason> {
        let access = self.rules.admit(event, now)?;
        self.clock_skew.note(&access);
        if let Some(name_limit) = &self.name_limit {
            name_limit.admit(&access, now)?;
        }
        Ok(access)
    }

    /// A push or a delete changes what the registry holds.
    fn tell_of_changes(&self, events: &[RegistryEvent]) {
        let Some(changes) = &self.catalog_changes else { return };
        for event in events.iter().filter(|event| matches!(event.action.as_deref(), Some("push" | "delete"))) {
            if let Some(repository) = event.repository.as_deref().and_then(|name| name.parse().ok()) {
                changes.repository_changed(repository);
            }
        }
    }
}

impl Receipt {
    fn add(&mut self, recorded: &Recorded) {
        match recorded {
            Recorded::Counted(_) | Recorded::Learned => self.processed += 1,
            Recorded::Skipped(reason) => *self.skipped.entry(*reason).or_default() += 1,
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

/// One that turned out not to count when it was read with those around it.
fn log_skipped(access: &ManifestAccess, reason: SkipReason) {
    let ManifestAccess { repository, tag, digest, .. } = access;
    let tag = tag.as_ref().map(tracing::field::display);
    tracing::debug!(reason = %reason.as_str(), %repository, tag, %digest, "Skipping event:");
}

/// As much of a text as a well-formed one may have.
fn beginning(text: Option<&str>) -> Option<&str> {
    text.map(|text| &text[..text.floor_char_boundary(MAX_LOGGED)])
}
