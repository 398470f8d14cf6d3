//! The ids of the events recorded lately.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use staticreg_domain::{
    EventId,
    metrics::{PullEvent, Recording},
};

/// Remembers ids and when they were recorded; past its limit the oldest go first.
#[derive(Debug)]
pub(crate) struct Ids {
    max: usize,
    known: HashSet<EventId>,
    by_time: BTreeMap<DateTime<Utc>, Vec<EventId>>,
}

impl Ids {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, known: HashSet::new(), by_time: BTreeMap::new() }
    }

    /// What becomes of each event of a batch.
    pub(crate) fn sort_out(&self, batch: &[PullEvent]) -> Vec<Recording> {
        let mut in_batch = HashSet::with_capacity(batch.len());
        batch
            .iter()
            .map(|event| {
                if in_batch.insert(event.id) && !self.known.contains(&event.id) {
                    Recording::Counted
                } else {
                    Recording::Duplicate
                }
            })
            .collect()
    }

    pub(crate) fn knows(&self, id: EventId) -> bool {
        self.known.contains(&id)
    }

    pub(crate) fn remember(&mut self, ids: impl Iterator<Item = EventId>, now: DateTime<Utc>) {
        let of_now = self.by_time.entry(now).or_default();
        for id in ids {
            self.known.insert(id);
            of_now.push(id);
        }
        let surplus = self.known.len().saturating_sub(self.max);
        self.forget_oldest(surplus, |_| true);
    }

    pub(crate) fn forget(&mut self, recorded_before: DateTime<Utc>, at_most: u32) -> u64 {
        self.forget_oldest(at_most as usize, |recorded_at| recorded_at < recorded_before)
    }

    fn forget_oldest(&mut self, at_most: usize, may_go: impl Fn(DateTime<Utc>) -> bool) -> u64 {
        let mut forgotten = 0;
        while let Some(mut oldest) = self.by_time.first_entry()
            && may_go(*oldest.key())
        {
            let ids = oldest.get_mut();
            let going = ids.len().min(at_most - forgotten);
            for id in ids.drain(..going) {
                self.known.remove(&id);
            }
            forgotten += going;
            if !oldest.get().is_empty() {
                break;
            }
            oldest.remove();
        }
        forgotten as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> EventId {
        EventId::from(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn past_the_limit_the_oldest_ids_go_first() {
        let time = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let mut ids = Ids::new(3);
        ids.remember([id(1), id(2)].into_iter(), time(20));
        ids.remember([id(3), id(4), id(5)].into_iter(), time(10));
        let mut left: Vec<_> = ids.known.iter().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [id(1), id(2), id(5)]);
        assert_eq!(ids.forget(time(100), 10), 3);
    }
}
