//! A batch made ready for a database: each id and each key once, both in order.

use std::collections::HashMap;

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use staticreg_domain::{
    EventId,
    event_id::EventStamp,
    metrics::{CountKey, MetricsError, PullEvent, Recording},
};
use uuid::Uuid;

/// Digits of a second's fraction that are kept.
const MICROSECONDS: u16 = 6;

/// The event is of a year that has no four digits.
#[derive(Debug, thiserror::Error)]
#[error("the year of an event is not within 0 to 9999")]
struct OddYear;

/// More would be taken from a count than it holds.
#[derive(Debug, thiserror::Error)]
#[error("a count would be below zero")]
pub(crate) struct BelowZero;

/// The events of a batch, each id once, with the sums they make together.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    /// Ascending, so that two servers that record the same events wait for each other in one order.
    pub(crate) ids: Vec<Uuid>,
    /// Per id: when its event counts.
    pub(crate) times: Vec<DateTime<Utc>>,
    /// Per id: what a repeat of its event carries.
    pub(crate) stamps: Vec<EventStamp>,
    /// Per id: its first event's place in what was given.
    places: Vec<u32>,
    /// Ascending, for the same reason. Those that sum to zero are here too.
    pub(crate) sums: Vec<CountChange<'a>>,
    /// What single events change.
    pub(crate) changes: Vec<EventChange>,
    /// How many events were given.
    given: usize,
}

/// What the events change in one count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountChange<'a> {
    pub(crate) key: &'a CountKey,
    pub(crate) delta: i64,
    /// When the first of the events happened.
    pub(crate) first: DateTime<Utc>,
    /// When the last of the events that add happened; the first of all when none adds.
    pub(crate) last: DateTime<Utc>,
    adds: bool,
}

/// What one event changes in one count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventChange {
    /// Index of the id.
    pub(crate) id: u32,
    /// Index of the sum.
    pub(crate) sum: u32,
    pub(crate) delta: i32,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(events: &'a [PullEvent]) -> Result<Self, MetricsError> {
        Self::of_those(events, |_| true)
    }

    /// Leaves the other events out.
    pub(crate) fn of_those(
        events: &'a [PullEvent],
        belongs: impl Fn(&PullEvent) -> bool,
    ) -> Result<Self, MetricsError> {
        let mut order: Vec<(EventId, u32)> = events
            .iter()
            .zip(0..)
            .filter(|(event, _)| belongs(event))
            .map(|(event, place)| (event.id, place))
            .collect();
        order.sort_unstable();
        order.dedup_by_key(|(id, _)| *id);

        let mut batch = Self {
            ids: Vec::with_capacity(order.len()),
            times: Vec::with_capacity(order.len()),
            stamps: Vec::with_capacity(order.len()),
            places: Vec::with_capacity(order.len()),
            sums: Vec::new(),
            changes: Vec::with_capacity(order.len()),
            given: events.len(),
        };
        let mut known: HashMap<&CountKey, u32> = HashMap::with_capacity(order.len());
        for ((id, place), index) in order.into_iter().zip(0..) {
            let event = &events[place as usize];
            if !(0..=9999).contains(&event.at.year()) {
                return Err(MetricsError::Refused(Box::new(OddYear)));
            }
            let at = event.at.trunc_subsecs(MICROSECONDS);
            batch.ids.push(id.as_uuid());
            batch.times.push(at);
            batch.stamps.push(event.stamp());
            batch.places.push(place);
            for change in &event.changes {
                let sum = *known.entry(&change.key).or_insert_with(|| {
                    batch.sums.push(CountChange { key: &change.key, delta: 0, first: at, last: at, adds: false });
                    u32::try_from(batch.sums.len() - 1).expect("a batch is small")
                });
                batch.sums[sum as usize].add(change.delta, at);
                batch.changes.push(EventChange { id: index, sum, delta: change.delta });
            }
        }
        batch.order_sums();
        Ok(batch)
    }

    /// Puts the sums in the order of their keys, and the changes' references with them.
    fn order_sums(&mut self) {
        let mut order: Vec<u32> = (0..).take(self.sums.len()).collect();
        order.sort_unstable_by_key(|&sum| self.sums[sum as usize].key);
        let mut new_place = vec![0; order.len()];
        for (&old, new) in order.iter().zip(0..) {
            new_place[old as usize] = new;
        }
        self.sums = order.iter().map(|&old| self.sums[old as usize]).collect();
        for change in &mut self.changes {
            change.sum = new_place[change.sum as usize];
        }
    }

    /// Whether an event takes something from a count.
    pub(crate) fn takes_back(&self) -> bool {
        self.changes.iter().any(|change| change.delta < 0)
    }

    /// The counts that an event takes something from.
    pub(crate) fn lowered(&self) -> Vec<&CountChange<'a>> {
        let mut sums: Vec<u32> =
            self.changes.iter().filter(|change| change.delta < 0).map(|change| change.sum).collect();
        sums.sort_unstable();
        sums.dedup();
        sums.into_iter().map(|sum| &self.sums[sum as usize]).collect()
    }

    /// What became of each event given, when all ids were new.
    pub(crate) fn all_recorded(&self) -> Vec<Recording> {
        if self.ids.len() == self.given { vec![Recording::Counted; self.given] } else { self.recorded(|_| true) }
    }

    /// What became of each event given, when the ids that pass were new.
    pub(crate) fn recorded(&self, is_new: impl Fn(&Uuid) -> bool) -> Vec<Recording> {
        let mut recordings = vec![Recording::Duplicate; self.given];
        for (id, &place) in self.ids.iter().zip(&self.places) {
            if is_new(id) {
                recordings[place as usize] = Recording::Counted;
            }
        }
        recordings
    }
}

impl CountChange<'_> {
    fn add(&mut self, delta: i32, at: DateTime<Utc>) {
        self.delta += i64::from(delta);
        self.first = self.first.min(at);
        if delta > 0 {
            self.last = if self.adds { self.last.max(at) } else { at };
            self.adds = true;
        } else if !self.adds {
            self.last = self.first;
        }
    }
}
