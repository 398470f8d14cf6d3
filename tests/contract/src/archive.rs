//! What becomes of ids that are archived.
#![expect(missing_docs, reason = "a rule's name says what must hold")]

use chrono::{DateTime, TimeDelta, Utc};
use staticreg_domain::{
    event_id::EventStamp,
    journal::{Appended, JournalBatch, TakeTurn, Turn},
    metrics::{PullEvent, Recording},
};
use uuid::Uuid;

use crate::{
    Subject,
    events::{expected, now, pull, pulls_of},
};

/// When ids that were recorded at `now()` may be archived.
fn later() -> DateTime<Utc> {
    now() + EventStamp::ARCHIVED_AFTER + TimeDelta::seconds(1)
}

/// An event that happened a little before it is recorded.
fn event() -> PullEvent {
    pull("app:v1", "2026-11-21T11:59:59Z").event()
}

/// Stores, in its turn, what is not told to be recorded.
struct Unrecorded {
    events: Vec<PullEvent>,
    known: Vec<Uuid>,
}

impl TakeTurn for Unrecorded {
    fn take_turn(&mut self, turn: Turn) -> Option<JournalBatch> {
        self.known = turn.recorded.iter().map(|id| id.as_uuid()).collect();
        self.events.retain(|event| !turn.recorded.contains(&event.id));
        let events = std::mem::take(&mut self.events);
        (!events.is_empty()).then(|| JournalBatch { behind: turn.end, id: Uuid::new_v4(), entries: vec![], events })
    }
}

pub async fn an_archived_id_is_known_to_all_ways_of_recording(Subject { store, second, .. }: Subject) {
    let old: Vec<_> = (0..7).map(|_| event()).collect();
    let recent = pull("app:v1", "2026-11-21T13:59:00Z").event();
    store.record(&old, now()).await.expect("records");
    store.record(std::slice::from_ref(&recent), later()).await.expect("records");
    let before = later() - EventStamp::ARCHIVED_AFTER;
    assert_eq!(store.archive_ids(before, 3).await.expect("archives"), 3);
    assert_eq!(second.archive_ids(before, 100).await.expect("archives"), 4);
    assert_eq!(store.archive_ids(before, 100).await.expect("archives"), 0);

    let (new, new_recent) = (event(), pull("app:v1", "2026-11-21T13:59:00Z").event());
    let batch: Vec<_> = old.iter().chain([&recent, &new, &new_recent]).cloned().collect();
    let stamps: Vec<_> = batch.iter().map(PullEvent::stamp).collect();
    let mut turn = Unrecorded { events: batch.clone(), known: Vec::new() };
    let appended = second.append_in_turn(None, &stamps, &mut turn, later()).await.expect("appends");
    assert_eq!((appended, turn.known.len()), (Appended::Stored, old.len() + 1));
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-21 app:v1", 10)]));

    // The new one is as old, but not archived yet.
    let another = event();
    let batch: Vec<_> = batch.into_iter().chain([another]).collect();
    let mut recorded = vec![Recording::Duplicate; batch.len() - 1];
    recorded.push(Recording::Counted);
    assert_eq!(store.record(&batch, later()).await.expect("records"), recorded);
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-21 app:v1", 11)]));
}

/// Otherwise a repeat would come while its timestamp says that it cannot be archived.
pub async fn an_id_of_a_clock_that_is_ahead_is_archived_when_it_is_old(Subject { store, .. }: Subject) {
    let ahead = pull("app:v1", "2026-11-21T17:00:00Z").event();
    let far = pull("app:v1", "2087-01-01T00:00:00Z").counted_on("2026-11-21").event();
    let batch = [ahead.clone(), far.clone()];
    store.record(&batch, now()).await.expect("records");
    assert_eq!(store.archive_ids(now() + TimeDelta::hours(4), 10).await.expect("archives"), 0);
    assert_eq!(store.archive_ids(now() + TimeDelta::hours(6), 10).await.expect("archives"), 1);
    let when = now() + TimeDelta::hours(8);
    assert_eq!(store.record(&batch, when).await.expect("records"), [Recording::Duplicate; 2]);
    assert_eq!(store.archive_ids(now() + TimeDelta::days(30), 10).await.expect("archives"), 1);
}

pub async fn archived_ids_are_forgotten_and_then_count_again(Subject { store, .. }: Subject) {
    let old: Vec<_> = (0..5).map(|_| event()).collect();
    store.record(&old, now()).await.expect("records");
    assert_eq!(store.archive_ids(later(), 5).await.expect("archives"), 5);
    assert_eq!(store.forget_ids(now(), 100).await.expect("forgets"), 0);
    assert_eq!(store.forget_ids(later(), 100).await.expect("forgets"), 5);
    assert_eq!(store.forget_ids(later(), 100).await.expect("forgets"), 0);
    assert_eq!(store.record(&old, later()).await.expect("records"), [Recording::Counted; 5]);
}
