//! The accesses of the last minute.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{
    WINDOW_SECONDS,
    table::{self, Table},
};
use crate::{Architecture, Digest, EventId, ManifestKind, metrics::CountKey};

/// How far back a chain is followed: what a client did before that many of its own accesses to one repository is not
/// found, and nobody can make a search long.
const MAX_STEPS: usize = 64;

/// How many old entries are forgotten with one new access, so that none takes long after a pause.
const MAX_FORGOTTEN: usize = 64;

/// By how many entries the memory grows at least.
const GROWTH: usize = 1_024;

/// More entries than this cannot be told apart by their numbers.
const MAX_LIMIT: usize = 1 << 30;

/// The number of an entry, in order of arrival. It wraps around; by then the old ones are long gone.
pub(super) type Number = u32;

/// What is remembered of an access. There are up to hundreds of thousands.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: EventId,
    /// Microseconds of the event's timestamp.
    pub(super) at: i64,
    /// The second of its last arrival.
    arrived: u32,
    /// The hash of its id, as far as the table needs it.
    hash: u32,
    /// What it changed, to be told again.
    pub(super) effect: Effect,
    pub(super) role: Role,
}

/// What an access changes: a count less, a count more.
#[derive(Clone, Debug, Default)]
pub(super) struct Effect {
    pub(super) less: Option<Arc<CountKey>>,
    pub(super) more: Option<Arc<CountKey>>,
}

/// What later accesses may make of an access.
#[derive(Debug)]
pub(super) enum Role {
    /// Nothing.
    Done,
    /// A HEAD by tag.
    LookUp(LookUp),
    /// The root of a pull, when it is an index.
    Root(Root),
    /// A manifest that came with the index of a root.
    Child { root: Number, digest: u64 },
}

/// A HEAD by tag, found by its tag, by its digest, and when it is of an index, by client and repository.
#[derive(Debug)]
pub(super) struct LookUp {
    chains: [u64; 3],
    older: [Number; 3],
    manifest: ManifestKind,
    used: bool,
}

/// The index a pull began with, found by client and repository.
#[derive(Debug)]
pub(super) struct Root {
    /// The count before any platform was told.
    pub(super) base: Arc<CountKey>,
    /// Where the count moved to when one was.
    moved: Option<Arc<CountKey>>,
    platforms: Platforms,
    /// The first child's digest.
    pub(super) child: Option<u64>,
    chain: u64,
    older: Number,
}

/// What the children of a pull told of its platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Platforms {
    Untold,
    One,
    Several,
}

impl LookUp {
    /// Of a tag, a digest, and a client with a repository.
    pub(super) fn new(tag: u64, digest: u64, trail: u64, manifest: ManifestKind) -> Self {
        Self { chains: [tag, digest, trail], older: [0; 3], manifest, used: false }
    }
}

impl Root {
    pub(super) fn new(base: Arc<CountKey>, trail: u64) -> Self {
        Self { base, moved: None, platforms: Platforms::Untold, child: None, chain: trail, older: 0 }
    }

    /// Tells the pull that a child is for an architecture. The count moves there; when another child is for another,
    /// it moves back. `key` is where the count of an architecture is.
    pub(super) fn tell(&mut self, architecture: &Architecture, key: impl FnOnce(&CountKey) -> Arc<CountKey>) {
        match self.platforms {
            Platforms::Untold => {
                self.platforms = Platforms::One;
                if self.base.architecture != *architecture {
                    self.moved = Some(key(&self.base));
                }
            }
            Platforms::One if self.current().architecture != *architecture => {
                self.platforms = Platforms::Several;
                self.moved = None;
            }
            Platforms::One | Platforms::Several => {}
        }
    }

    /// The count the pull is in now.
    pub(super) fn current(&self) -> &Arc<CountKey> {
        self.moved.as_ref().unwrap_or(&self.base)
    }
}

impl Entry {
    pub(super) fn new(id: EventId, at: i64, effect: Effect, role: Role) -> Self {
        Self { id, at, arrived: 0, hash: 0, effect, role }
    }

    /// The HEAD by tag, while it is unused.
    pub(super) fn look_up(&self) -> Option<&LookUp> {
        if let Role::LookUp(look_up) = &self.role { (!look_up.used).then_some(look_up) } else { None }
    }

    pub(super) fn root(&self) -> Option<&Root> {
        if let Role::Root(root) = &self.role { Some(root) } else { None }
    }

    /// The child's digest, of a child and of a pull that began with one.
    pub(super) fn child(&self) -> Option<u64> {
        match &self.role {
            Role::Child { digest, .. } => Some(*digest),
            Role::Root(root) => root.child,
            Role::LookUp(_) | Role::Done => None,
        }
    }

    /// The chains it is part of, each with the number of the older entry there.
    fn links(&mut self) -> impl Iterator<Item = (u64, &mut Number)> {
        let (look_up, root) = match &mut self.role {
            Role::LookUp(look_up) => (Some(look_up), None),
            Role::Root(root) => (None, Some(root)),
            Role::Done | Role::Child { .. } => (None, None),
        };
        let of_look_up = look_up.into_iter().flat_map(|look_up| {
            let chains = if look_up.manifest == ManifestKind::Index { 3 } else { 2 };
            look_up.chains.into_iter().zip(&mut look_up.older).take(chains)
        });
        of_look_up.chain(root.into_iter().map(|root| (root.chain, &mut root.older)))
    }

    fn older(&self, chain: u64) -> Option<Number> {
        match &self.role {
            Role::LookUp(look_up) => {
                look_up.chains.iter().position(|of| *of == chain).map(|place| look_up.older[place])
            }
            Role::Root(root) => (root.chain == chain).then_some(root.older),
            Role::Done | Role::Child { .. } => None,
        }
    }
}

/// The remembered accesses, in order of arrival.
///
/// Those that may be looked for are linked to chains, the newest first; a link to what is forgotten ends a chain.
#[derive(Debug)]
pub(super) struct Memory {
    entries: VecDeque<Entry>,
    /// The number of the oldest entry.
    first: Number,
    /// The entries by their ids.
    ids: Table,
    /// The newest entry of each chain.
    chains: Table,
    limit: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            ids: Table::default(),
            chains: Table::default(),
            limit: limit.clamp(1, MAX_LIMIT),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, number: Number) -> Option<&Entry> {
        self.entries.get(self.place(number))
    }

    pub(super) fn root_mut(&mut self, number: Number) -> Option<&mut Root> {
        let place = self.place(number);
        if let Role::Root(root) = &mut self.entries.get_mut(place)?.role { Some(root) } else { None }
    }

    /// The pulls of an index, the oldest first, each with the accesses that are part of it.
    pub(super) fn pulls_of(&self, index: &Digest) -> Vec<(Number, Vec<&Entry>)> {
        let mut pulls: Vec<(Number, Vec<&Entry>)> = Vec::new();
        let mut places = HashMap::new();
        for (number, entry) in (0..).map(|after| self.first.wrapping_add(after)).zip(&self.entries) {
            match &entry.role {
                Role::Root(root) if root.base.digest == *index => {
                    places.insert(number, pulls.len());
                    pulls.push((number, vec![entry]));
                }
                Role::Child { root, .. } => {
                    if let Some(place) = places.get(root) {
                        pulls[*place].1.push(entry);
                    }
                }
                Role::Root(_) | Role::LookUp(_) | Role::Done => {}
            }
        }
        pulls
    }

    /// What an event changed when it came first; `hash` is of its id. That it came again keeps it for another while.
    pub(super) fn recall(&mut self, id: EventId, hash: u64, now: i64) -> Option<Effect> {
        let number = self.ids.get(hash, |number| self.get(number).is_some_and(|entry| entry.id == id))?;
        let place = self.place(number);
        let entry = self.entries.get_mut(place)?;
        entry.arrived = second(now);
        Some(entry.effect.clone())
    }

    /// The entries of a chain, the newest first.
    pub(super) fn chain(&self, chain: u64) -> impl Iterator<Item = (Number, &Entry)> {
        let mut next = self.newest(chain);
        std::iter::from_fn(move || {
            let number = next?;
            let entry = self.get(number)?;
            next = entry.older(chain);
            Some((number, entry))
        })
        .take(MAX_STEPS)
    }

    /// Remembers an access; the oldest makes room. `hash` is of its id.
    pub(super) fn push(&mut self, mut entry: Entry, hash: u64, now: i64) {
        if self.entries.len() == self.limit {
            self.pop();
        }
        if self.entries.len() == self.entries.capacity() {
            // Never more room than may be used.
            let growth = self.entries.len().max(GROWTH).min(self.limit - self.entries.len());
            self.entries.reserve_exact(growth);
        }
        let gone = self.first.wrapping_sub(1);
        let length = Number::try_from(self.entries.len()).expect("the limit is below 2^30");
        let number = self.first.wrapping_add(length);
        let Self { entries, first, chains, .. } = self;
        for (chain, older) in entry.links() {
            let is_in = |other: Number| is_in(entries, *first, other, chain);
            *older = chains.set(chain, number, is_in).unwrap_or(gone);
        }
        entry.arrived = second(now);
        entry.hash = table::short(hash);
        self.ids.set(hash, number, |_| false);
        self.entries.push_back(entry);
    }

    /// Marks a HEAD as used, and takes it out of the chains where it is the newest.
    pub(super) fn mark_used(&mut self, number: Number) {
        let place = self.place(number);
        let (first, length) = (self.first, self.entries.len());
        let Some(entry) = self.entries.get_mut(place) else { return };
        for (chain, older) in entry.links() {
            if (older.wrapping_sub(first) as usize) < length {
                let older = *older;
                self.chains.replace(chain, number, older);
            } else {
                self.chains.remove(chain, number);
            }
        }
        if let Role::LookUp(look_up) = &mut entry.role {
            look_up.used = true;
        }
    }

    /// Forgets what arrived before the window.
    pub(super) fn forget(&mut self, now: i64) {
        for _ in 0..MAX_FORGOTTEN {
            match self.entries.front() {
                Some(oldest) if i64::from(oldest.arrived) + WINDOW_SECONDS < now => self.pop(),
                _ => break,
            }
        }
    }

    fn pop(&mut self) {
        let Some(mut entry) = self.entries.pop_front() else { return };
        self.ids.remove(entry.hash.into(), self.first);
        for (chain, _) in entry.links() {
            // The oldest of all is the newest of its chain only when it is the last there.
            self.chains.remove(chain, self.first);
        }
        self.first = self.first.wrapping_add(1);
    }

    fn newest(&self, chain: u64) -> Option<Number> {
        self.chains.get(chain, |number| is_in(&self.entries, self.first, number, chain))
    }

    fn place(&self, number: Number) -> usize {
        number.wrapping_sub(self.first) as usize
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.entries.len(), self.ids.len(), self.chains.len()]
    }
}

/// Whether an entry is part of a chain.
fn is_in(entries: &VecDeque<Entry>, first: Number, number: Number, chain: u64) -> bool {
    entries.get(number.wrapping_sub(first) as usize).is_some_and(|entry| entry.older(chain).is_some())
}

/// The second as it is stored, up to the year 2106.
fn second(now: i64) -> u32 {
    u32::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn numbers_may_wrap_around() {
        const TRAIL: u64 = 7;
        let mut memory = Memory::new(4);
        memory.first = Number::MAX - 10;
        for n in 0..30_u8 {
            let id = EventId::from(Uuid::from_u128(n.into()));
            let look_up = LookUp::new(n.into(), 100 + u64::from(n), TRAIL, ManifestKind::Index);
            memory.push(Entry::new(id, n.into(), Effect::default(), Role::LookUp(look_up)), n.into(), 0);
            let times: Vec<_> = memory.chain(TRAIL).map(|(_, entry)| entry.at).collect();
            let expected: Vec<_> = (0..=i64::from(n)).rev().take(4).collect();
            assert_eq!(times, expected);
            assert!(memory.recall(id, n.into(), 0).is_some());
        }
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 96, "{}", size_of::<Entry>());
    }
}
