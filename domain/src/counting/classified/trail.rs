//! The accesses of one client in one repository, in the order of their timestamps, and what each counts.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use super::{
    changes::Changes,
    hashes::Hashes,
    keys::{KeyPool, Wanted},
    known::{ArchitectureId, Known},
    reading::State,
    table::Number,
};
use crate::{
    Action, Architecture, ManifestKind,
    metrics::{AccessKind, CountKey},
};

/// In nanoseconds, as all here.
pub(super) const SECOND: i64 = 1_000_000_000;

/// How far apart accesses that belong together may lie.
pub(super) const WINDOW: i64 = 60 * SECOND;

/// How soon after an index a manifest is taken for its child when the children are not known.
pub(super) const CHILD_WINDOW: i64 = 10 * SECOND;

/// How soon after a HEAD of a tag a GET of the tag is part of the same pull: no client waits in between.
pub(super) const TAG_LOOK_UP_WINDOW: i64 = 2 * SECOND;

/// Up to how many noted accesses a state is cheaper to make anew than to keep.
const SMALL: usize = 8;

/// The place of an access in its trail; it stays when the oldest are forgotten.
pub(super) type Place = u32;

/// What is remembered of an access.
#[derive(Debug)]
pub(super) struct Access {
    /// The event's timestamp, in nanoseconds.
    pub(super) at: i64,
    /// The hash of the digest.
    pub(super) digest: u64,
    /// What it would count alone, with the user agent's architecture.
    pub(super) base: Arc<CountKey>,
    /// What it counts.
    pub(super) counts: Option<Arc<CountKey>>,
    pub(super) outcome: Outcome,
    /// Of its arrival.
    pub(super) number: Number,
    pub(super) action: Action,
    pub(super) manifest: ManifestKind,
}

/// What an access was read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was not read yet.
    Unread,
    /// A signature, an attachment, or a list of these.
    Referrer,
    /// A HEAD.
    LookUp,
    /// A push.
    Push,
    /// A pull: of an index, or of an image, which is its own "index". It may have used a HEAD, and an image of this
    /// architecture may have been there.
    Root { index: u64, look_up: Option<Place>, shared: Option<ArchitectureId> },
    /// Part of a pull.
    Child { root: Place },
}

/// What reading needs besides the accesses.
pub(super) struct Facts<'a> {
    pub(super) hashes: &'a Hashes,
    pub(super) keys: &'a mut KeyPool,
    pub(super) known: &'a Known,
    /// The hash of the trail that is read, and what undoes what becomes of it.
    pub(super) trail: u64,
    pub(super) undo: &'a mut Vec<(u64, Undo)>,
}

/// What undoes a change of a trail, when those after it are undone. Indexes are those of the moment.
#[derive(Debug)]
pub(super) enum Undo {
    /// An access came, and these were the times of the newest before.
    Inserted { index: u32, newest: i64, newest_look_up: i64 },
    /// An access was read as this.
    Outcome { index: u32, outcome: Outcome },
    /// An access counted this.
    Counts { index: u32, counts: Option<Arc<CountKey>> },
}

/// Accesses in the order they are read in: by time, of one time the look-ups first, then by id.
#[derive(Debug, Default)]
pub(super) struct Accesses {
    list: VecDeque<Access>,
    /// The place of the oldest.
    first: Place,
}

/// The accesses of one client in one repository.
#[derive(Debug)]
pub(super) struct Trail {
    accesses: Accesses,
    /// Until when accesses may belong to some that are forgotten: what they were read as stays.
    settled: i64,
    /// The time of the newest access, and of the newest HEAD by tag.
    newest: i64,
    newest_look_up: i64,
    /// Where the accesses have led to, when that is dear to find out again. The latest may not be noted in it yet.
    state: Option<Box<State>>,
}

/// Whether one moment lies at most so long before another.
pub(super) fn is_within(older: i64, newer: i64, window: i64) -> bool {
    newer.saturating_sub(older) <= window
}

impl Accesses {
    pub(super) fn get(&self, place: Place) -> Option<&Access> {
        self.list.get(self.index(place))
    }

    pub(super) fn at(&self, index: usize) -> &Access {
        &self.list[index]
    }

    /// How many accesses lie before a place.
    pub(super) fn index(&self, place: Place) -> usize {
        place.wrapping_sub(self.first) as usize
    }

    /// A number that says which of two places comes first, also where their accesses are forgotten.
    pub(super) fn order(&self, place: Place) -> i32 {
        place.wrapping_sub(self.first).cast_signed()
    }

    /// The digest of what is pulled with an access: of the index, or of an image that is none's child. None when the
    /// access began no pull and is part of none that is remembered.
    pub(super) fn pulled_by(&self, place: Place) -> Option<u64> {
        match self.get(place)?.outcome {
            Outcome::Root { index, .. } => Some(index),
            Outcome::Child { root } => match self.get(root)?.outcome {
                Outcome::Root { index, .. } => Some(index),
                _ => None,
            },
            _ => None,
        }
    }

    /// The accesses before an index, the newest first.
    pub(super) fn before(&self, index: usize) -> impl Iterator<Item = (Place, &Access)> {
        (0..index).rev().map(|index| (self.place(index), &self.list[index]))
    }

    fn place(&self, index: usize) -> Place {
        let index = Place::try_from(index).expect("fewer accesses than places are remembered");
        self.first.wrapping_add(index)
    }

    /// Makes room for an access; links to what lies behind follow it.
    fn insert(&mut self, index: usize, access: Access) {
        if self.list.len() == self.list.capacity() {
            self.list.reserve_exact(self.list.len() / 2 + 1);
        }
        let moved = index..self.list.len();
        for later in self.list.range_mut(moved.clone()) {
            if let Outcome::Root { look_up: Some(place), .. } | Outcome::Child { root: place } = &mut later.outcome
                && moved.contains(&(place.wrapping_sub(self.first) as usize))
            {
                *place = place.wrapping_add(1);
            }
        }
        self.list.insert(index, access);
    }

    /// Takes an access out; links to what lies behind follow it. There are none to itself.
    fn remove(&mut self, index: usize) {
        self.list.remove(index);
        for later in self.list.range_mut(index..) {
            if let Outcome::Root { look_up: Some(place), .. } | Outcome::Child { root: place } = &mut later.outcome
                && usize::try_from(place.wrapping_sub(self.first).cast_signed()).is_ok_and(|behind| behind > index)
            {
                *place = place.wrapping_sub(1);
            }
        }
    }
}

impl Default for Trail {
    fn default() -> Self {
        Self {
            accesses: Accesses::default(),
            settled: i64::MIN,
            newest: i64::MIN,
            newest_look_up: i64::MIN,
            state: None,
        }
    }
}

impl Trail {
    /// Adds an access where it belongs, reads it, and what came after it anew. Answers what it was read as.
    /// `id_order` tells which of two arrivals has the lower id.
    pub(super) fn add(
        &mut self,
        access: Access,
        id_order: impl Fn(Number, Number) -> Ordering,
        facts: &mut Facts<'_>,
        changes: &mut Changes,
    ) -> Outcome {
        let order = |other: &Access| {
            (other.at, other.action != Action::Head)
                .cmp(&(access.at, access.action != Action::Head))
                .then_with(|| id_order(other.number, access.number))
        };
        // Mostly it is the newest; then no other needs to be looked at.
        let is_last = access.at > self.newest || self.accesses.list.back().is_none_or(|last| order(last).is_lt());
        let index = if is_last {
            self.accesses.list.len()
        } else {
            self.accesses.list.partition_point(|other| order(other).is_lt())
        };
        let alone = if is_last { self.read_alone(&access) } else { None };
        let Self { newest, newest_look_up, .. } = *self;
        facts.note(Undo::Inserted { index: short(index), newest, newest_look_up });
        self.newest = self.newest.max(access.at);
        if access.action == Action::Head && access.base.tag.is_some() {
            self.newest_look_up = self.newest_look_up.max(access.at);
        }
        self.accesses.insert(index, access);
        if let Some(outcome) = alone {
            self.count_alone(index, outcome, facts, changes);
        } else if is_last {
            let mut state = self.state.take().unwrap_or_default();
            self.note_before(index, &mut state);
            self.read(index, &mut state, facts, changes);
            self.keep(state);
        } else {
            self.read_again(index, facts, changes);
        }
        self.accesses.list[index].outcome
    }

    /// What the newest access is read as, when those before it make no difference: nothing needs to be found out of
    /// them. [`State::read`] says the same.
    fn read_alone(&self, access: &Access) -> Option<Outcome> {
        let tag = access.base.tag.as_ref()?;
        let may_use_look_up = is_within(self.newest_look_up, access.at, TAG_LOOK_UP_WINDOW);
        match access.action {
            _ if tag.is_referrer() => Some(Outcome::Referrer),
            Action::Push => Some(Outcome::Push),
            Action::Head => Some(Outcome::LookUp),
            Action::Get if access.manifest == ManifestKind::Image && !may_use_look_up => {
                Some(Outcome::Root { index: access.digest, look_up: None, shared: None })
            }
            Action::Get => None,
        }
    }

    fn count_alone(&mut self, index: usize, outcome: Outcome, facts: &mut Facts<'_>, changes: &mut Changes) {
        self.set_outcome(index, outcome, facts);
        let key = (outcome != Outcome::Referrer).then(|| facts.key_alone(&self.accesses.list[index]));
        self.set(index, key, facts, changes);
    }

    /// Reads all again from the first access to one of some manifests, of which more is known now.
    pub(super) fn learn(&mut self, names: impl Fn(u64) -> bool, facts: &mut Facts<'_>, changes: &mut Changes) {
        if let Some(index) = self.accesses.list.iter().position(|access| names(access.digest)) {
            self.read_again(index, facts, changes);
        }
    }

    /// Undoes the last change that is not undone yet; answers whether any access is left.
    pub(super) fn undo(&mut self, undo: Undo) -> bool {
        match undo {
            Undo::Inserted { index, newest, newest_look_up } => {
                self.accesses.remove(index as usize);
                (self.newest, self.newest_look_up) = (newest, newest_look_up);
            }
            Undo::Outcome { index, outcome } => self.accesses.list[index as usize].outcome = outcome,
            Undo::Counts { index, counts } => self.accesses.list[index as usize].counts = counts,
        }
        // It is made anew of what is left.
        self.state = None;
        !self.accesses.list.is_empty()
    }

    /// Forgets an access and all before it; answers whether any is left.
    pub(super) fn forget(&mut self, number: Number) -> bool {
        let Accesses { list, first } = &mut self.accesses;
        let last = list.iter().position(|access| access.number == number);
        for access in last.iter().flat_map(|last| 0..=*last).filter_map(|_| list.pop_front()) {
            self.settled = self.settled.max(access.at.saturating_add(WINDOW));
            *first = first.wrapping_add(1);
        }
        let length = list.len();
        self.state.take_if(|state| state.noted() > 2 * length + SMALL);
        length > 0
    }

    /// The newest access.
    pub(super) fn last(&self) -> Option<&Access> {
        self.accesses.list.back()
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 2] {
        [self.accesses.list.len(), self.state.as_ref().map_or(0, |state| state.noted())]
    }

    /// Reads what lies from an index on again. What may belong to forgotten accesses stays what it was read as.
    fn read_again(&mut self, from: usize, facts: &mut Facts<'_>, changes: &mut Changes) {
        let begin = self.window_before(from);
        let mut state = Box::<State>::default();
        for index in begin..self.accesses.list.len() {
            let Access { at, outcome, .. } = self.accesses.list[index];
            if outcome == Outcome::Unread || index >= from && at > self.settled {
                self.read(index, &mut state, facts, changes);
            } else {
                state.note(&self.accesses, self.accesses.place(index));
                self.count(index, false, &state, facts, changes);
            }
        }
        self.keep(state);
    }

    fn read(&mut self, index: usize, state: &mut State, facts: &mut Facts<'_>, changes: &mut Changes) {
        let outcome = state.read(&self.accesses, index, facts.known);
        self.set_outcome(index, outcome, facts);
        state.note(&self.accesses, self.accesses.place(index));
        self.count(index, true, state, facts, changes);
    }

    /// Notes in a state what lies before an index and is not noted yet.
    fn note_before(&self, index: usize, state: &mut State) {
        let noted = state.noted_to().filter(|place| self.accesses.get(*place).is_some());
        let noted = noted.map_or(0, |place| self.accesses.index(place) + 1);
        let begin = if index - noted > SMALL { noted.max(self.window_before(index)) } else { noted };
        for index in begin..index {
            state.note(&self.accesses, self.accesses.place(index));
        }
    }

    /// The index of the first access that may belong to the one at an index.
    fn window_before(&self, index: usize) -> usize {
        let begin = self.accesses.list[index].at.saturating_sub(WINDOW);
        self.accesses.list.partition_point(|access| access.at < begin)
    }

    /// Keeps the state for the next access, unless it is as cheap to make anew, or holds much that is older than the
    /// window.
    fn keep(&mut self, state: Box<State>) {
        self.state = (SMALL..2 * self.accesses.list.len() + SMALL).contains(&state.noted()).then_some(state);
    }

    /// Counts an access for what it was read as, and what it is part of.
    fn count(&mut self, index: usize, is_new: bool, state: &State, facts: &mut Facts<'_>, changes: &mut Changes) {
        let access = &self.accesses.list[index];
        match access.outcome {
            Outcome::Push | Outcome::LookUp if access.action == Action::Push || access.base.tag.is_some() => {
                let key = facts.key_alone(access);
                self.set(index, Some(key), facts, changes);
            }
            Outcome::Unread | Outcome::Referrer | Outcome::LookUp | Outcome::Push => {
                self.set(index, None, facts, changes);
            }
            Outcome::Root { index: pulled, look_up, .. } => {
                let look_up = look_up.map(|place| self.accesses.index(place));
                if is_new {
                    let head = look_up.and_then(|look_up| self.accesses.list.get(look_up));
                    let key = facts.key_of_pull(access, pulled, head);
                    self.set(index, Some(key), facts, changes);
                }
                if let Some(look_up) = look_up {
                    self.set(look_up, None, facts, changes);
                }
                self.count_for_platform(index, state, facts, changes);
            }
            Outcome::Child { root } => {
                self.set(index, None, facts, changes);
                self.count_for_platform(self.accesses.index(root), state, facts, changes);
            }
        }
    }

    /// Counts a pull for the architecture that is known of it; one from before the window stays as it is.
    fn count_for_platform(&mut self, index: usize, state: &State, facts: &mut Facts<'_>, changes: &mut Changes) {
        let Some(root) = self.accesses.list.get(index) else { return };
        let Outcome::Root { index: pulled, shared, .. } = root.outcome else { return };
        let Some(key) = &root.counts else { return };
        let is_of_index = root.manifest == ManifestKind::Index || pulled != root.digest;
        let children = if is_of_index {
            state.children_of(pulled, self.accesses.place(index), &self.accesses)
        } else {
            Some(&[][..])
        };
        let Some(children) = children else { return };
        let architecture = architecture_of_pull(facts.known, root, pulled, shared, children);
        if key.architecture != *architecture {
            let key = facts.key(Wanted { architecture, ..Wanted::from_key(key) }, pulled);
            self.set(index, Some(key), facts, changes);
        }
    }

    fn set_outcome(&mut self, index: usize, outcome: Outcome, facts: &mut Facts<'_>) {
        let before = std::mem::replace(&mut self.accesses.list[index].outcome, outcome);
        if before != outcome && before != Outcome::Unread {
            facts.note(Undo::Outcome { index: short(index), outcome: before });
        }
    }

    fn set(&mut self, index: usize, key: Option<Arc<CountKey>>, facts: &mut Facts<'_>, changes: &mut Changes) {
        if let Some(access) = self.accesses.list.get_mut(index)
            && access.counts != key
        {
            changes.take_back(access.counts.as_ref());
            changes.add(key.as_ref());
            let counts = std::mem::replace(&mut access.counts, key);
            facts.note(Undo::Counts { index: short(index), counts });
        }
    }
}

/// An index as it is noted.
fn short(index: usize) -> u32 {
    u32::try_from(index).expect("fewer accesses than places are remembered")
}

impl Facts<'_> {
    fn note(&mut self, undo: Undo) {
        self.undo.push((self.trail, undo));
    }

    /// `digest` is the hash of the key's digest.
    fn key(&mut self, wanted: Wanted<'_>, digest: u64) -> Arc<CountKey> {
        self.keys.get(self.hashes, wanted, digest)
    }

    /// What an access counts that nothing else belongs to.
    fn key_alone(&mut self, access: &Access) -> Arc<CountKey> {
        let architecture = own_architecture(self.known, access, access.digest);
        if access.base.architecture == *architecture {
            return Arc::clone(&access.base);
        }
        self.key(Wanted { architecture, ..Wanted::from_key(&access.base) }, access.digest)
    }

    /// What a pull counts before its platform is known: with the tag of the access or of the HEAD it used, and the
    /// digest of what is pulled.
    fn key_of_pull(&mut self, access: &Access, pulled: u64, head: Option<&Access>) -> Arc<CountKey> {
        let own = Wanted::from_key(&access.base);
        let tag = own.tag.or_else(|| head?.base.tag.as_ref());
        let kind = if tag.is_some() { AccessKind::PullByTag } else { AccessKind::PullByDigest };
        let digest = head.filter(|_| pulled != access.digest).map_or(own.digest, |head| &head.base.digest);
        if kind == own.kind && digest == own.digest {
            return Arc::clone(&access.base);
        }
        self.key(Wanted { kind, tag, digest, ..own }, pulled)
    }
}

/// The architecture of a manifest when it is known, else the user agent's, unless an index is known to have no image
/// for that.
fn own_architecture<'a>(known: &'a Known, access: &'a Access, manifest: u64) -> &'a Architecture {
    let host = &access.base.architecture;
    if access.manifest == ManifestKind::Image && manifest == access.digest {
        known.architecture_of(manifest).map_or(host, |id| known.name(id))
    } else if host.is_specified() && known.lacks(manifest, host) {
        known.unspecified()
    } else {
        host
    }
}

/// The architecture of a pull: that of its children when they are of one; else as if it had none.
fn architecture_of_pull<'a>(
    known: &'a Known,
    root: &'a Access,
    pulled: u64,
    shared: Option<ArchitectureId>,
    children: &[u64],
) -> &'a Architecture {
    let mut told = children.iter().filter_map(|child| known.architecture_in(pulled, *child));
    let told = match told.next() {
        None => shared,
        Some(first) => told.all(|other| other == first).then_some(first),
    };
    told.map_or_else(|| own_architecture(known, root, pulled), |id| known.name(id))
}
