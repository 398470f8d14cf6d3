//! The accesses of the last quarter of an hour: by arrival, by id, by digest, and by client and repository.

use std::collections::VecDeque;

use super::{
    changes::Changes,
    hashes::Hashed,
    table::{self, Number, Table},
    trail::{Access, Facts, Outcome, Trail, Undo},
};
use crate::EventId;

/// How many seconds after its arrival an access is remembered.
pub(super) const MEMORY_SECONDS: i64 = 15 * 60;

/// How many old accesses are forgotten at once, so that no batch takes long after a pause.
const MAX_FORGOTTEN: usize = 100_000;

/// For how many accesses there is room from the start: address space alone, until they come, and nothing is copied.
const ROOM_AT_START: usize = 1 << 20;

/// By how many accesses the memory grows at least beyond that.
const GROWTH: usize = 1_024;

/// In how many parts the trails are kept.
const TRAIL_PARTS: usize = 64;

/// More accesses than this cannot be told apart by their numbers.
const MAX_LIMIT: usize = 1 << 30;

/// That an access arrived.
#[derive(Debug)]
struct Arrival {
    id: EventId,
    /// The hash of client and repository.
    trail: u64,
    /// The arrival before that was of the same digest.
    same_digest: Number,
    /// As far as the tables need them.
    id_hash: u32,
    digest_hash: u32,
    /// The second of its arrival.
    arrived: u32,
}

/// The remembered accesses.
#[derive(Debug)]
pub(super) struct Memory {
    /// In order of arrival.
    arrivals: VecDeque<Arrival>,
    /// The number of the oldest.
    first: Number,
    ids: Table,
    /// The newest arrival of each digest.
    digests: Table,
    trails: Trails,
    limit: usize,
    /// How many of the newest are on trial.
    on_trial: usize,
}

/// The trails by client and repository, in parts: one part grows at a time, so nobody waits long and there is never twice
/// the room.
#[derive(Debug)]
struct Trails(Vec<Hashed<Trail>>);

impl Trails {
    fn new() -> Self {
        Self((0..TRAIL_PARTS).map(|_| Hashed::default()).collect())
    }

    /// The part of a trail: by bits that the map of a part makes no use of.
    fn part(trail: u64) -> usize {
        (trail >> 32) as usize % TRAIL_PARTS
    }

    fn of(&self, trail: u64) -> &Hashed<Trail> {
        &self.0[Self::part(trail)]
    }

    fn of_mut(&mut self, trail: u64) -> &mut Hashed<Trail> {
        &mut self.0[Self::part(trail)]
    }
}

/// What is told of an access beside what is read.
pub(super) struct Arriving {
    pub(super) id: EventId,
    pub(super) id_hash: u64,
    pub(super) trail: u64,
    /// The second.
    pub(super) now: i64,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, MAX_LIMIT);
        Self {
            arrivals: VecDeque::with_capacity(limit.min(ROOM_AT_START)),
            first: 0,
            ids: Table::default(),
            digests: Table::default(),
            trails: Trails::new(),
            limit,
            on_trial: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.arrivals.len()
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether an access with this id is remembered.
    pub(super) fn knows(&self, id: EventId, id_hash: u64) -> bool {
        self.ids.get(id_hash, |number| self.get(number).is_some_and(|arrival| arrival.id == id)).is_some()
    }

    /// Adds an access, on trial, and reads it. `access` makes it of its number. Answers what it was read as.
    pub(super) fn add(
        &mut self,
        Arriving { id, id_hash, trail, now }: Arriving,
        access: impl FnOnce(Number) -> Access,
        facts: &mut Facts<'_>,
        changes: &mut Changes,
    ) -> Outcome {
        if self.arrivals.len() == self.arrivals.capacity() {
            // Never much more room than may be used.
            let growth = self.arrivals.len().min(self.limit.saturating_sub(self.arrivals.len())).max(GROWTH);
            self.arrivals.reserve_exact(growth);
        }
        let number = Number::try_from(self.arrivals.len()).expect("the limit is below 2^30");
        let number = self.first.wrapping_add(number);
        let access = access(number);
        let digest = access.digest;
        // Arrivals of digests whose hashes are half alike share a chain, which does no harm.
        let same_digest = self.digests.set(digest, number, |_| true).unwrap_or(self.first.wrapping_sub(1));
        self.ids.set(id_hash, number, |_| false);
        let (arrivals, first) = (&self.arrivals, self.first);
        let id_of = |other: Number| if other == number { id } else { arrivals[other.wrapping_sub(first) as usize].id };
        let id_order = |one, other| id_of(one).cmp(&id_of(other));
        let outcome = self.trails.of_mut(trail).entry(trail).or_default().add(access, id_order, facts, changes);
        let (id_hash, digest_hash, arrived) = (table::short(id_hash), table::short(digest), second(now));
        self.arrivals.push_back(Arrival { id, trail, same_digest, id_hash, digest_hash, arrived });
        self.on_trial += 1;
        outcome
    }

    /// What is on trial stays; what is too old or too much is forgotten.
    pub(super) fn settle(&mut self, now: i64) {
        self.on_trial = 0;
        while self.arrivals.len() > self.limit {
            self.pop();
        }
        for _ in 0..MAX_FORGOTTEN {
            match self.arrivals.front() {
                Some(oldest) if i64::from(oldest.arrived) < now - MEMORY_SECONDS => self.pop(),
                _ => break,
            }
        }
    }

    /// The second from which on what arrived may be remembered.
    pub(super) fn oldest(&self, now: i64) -> i64 {
        let oldest = self.arrivals.front().map_or(now, |oldest| oldest.arrived.into());
        oldest.min(now - MEMORY_SECONDS)
    }

    /// Takes out what is on trial; what became of the trails is undone by [`Memory::undo`].
    pub(super) fn take_back(&mut self) {
        for _ in 0..std::mem::take(&mut self.on_trial) {
            let Some(Arrival { same_digest, id_hash, digest_hash, .. }) = self.arrivals.pop_back() else { return };
            let number =
                self.first.wrapping_add(Number::try_from(self.arrivals.len()).expect("the limit is below 2^30"));
            self.ids.remove(id_hash.into(), number);
            if self.get(same_digest).is_some() {
                self.digests.set(digest_hash.into(), same_digest, |_| true);
            } else {
                self.digests.remove(digest_hash.into(), number);
            }
        }
    }

    /// Undoes the last change of a trail that is not undone yet; one that is empty is gone.
    pub(super) fn undo(&mut self, trail: u64, undo: Undo) {
        let trails = self.trails.of_mut(trail);
        if trails.get_mut(&trail).is_some_and(|trail| !trail.undo(undo)) {
            trails.remove(&trail);
        }
    }

    /// The trails that name a digest, maybe some more.
    pub(super) fn trails_of(&self, digest: u64) -> impl Iterator<Item = u64> {
        let mut next = self.digests.get(digest, |_| true);
        std::iter::from_fn(move || {
            let arrival = self.get(next?)?;
            next = Some(arrival.same_digest);
            Some(arrival.trail)
        })
    }

    pub(super) fn trail_mut(&mut self, trail: u64) -> Option<&mut Trail> {
        self.trails.of_mut(trail).get_mut(&trail)
    }

    /// The id of the newest access of a trail.
    pub(super) fn last_of(&self, trail: u64) -> Option<(EventId, i64)> {
        let last = self.trails.of(trail).get(&trail)?.last()?;
        Some((self.get(last.number)?.id, last.at))
    }

    fn pop(&mut self) {
        let Some(arrival) = self.arrivals.pop_front() else { return };
        self.ids.remove(arrival.id_hash.into(), self.first);
        // The oldest of all is the newest of its digest only when it is the last of it.
        self.digests.remove(arrival.digest_hash.into(), self.first);
        let trails = self.trails.of_mut(arrival.trail);
        if trails.get_mut(&arrival.trail).is_some_and(|trail| !trail.forget(self.first)) {
            trails.remove(&arrival.trail);
        }
        self.first = self.first.wrapping_add(1);
    }

    fn get(&self, number: Number) -> Option<&Arrival> {
        self.arrivals.get(self.index(number))
    }

    fn index(&self, number: Number) -> usize {
        number.wrapping_sub(self.first) as usize
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 4] {
        [self.arrivals.len(), self.ids.len(), self.digests.len(), self.trails.0.iter().map(Hashed::len).sum()]
    }
}

/// The second as it is stored, up to the year 2106.
fn second(now: i64) -> u32 {
    u32::try_from(now).unwrap_or_default()
}
