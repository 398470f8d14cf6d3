//! Tells pulls from look-ups, as Docker Hub publishes it, with one reading of each event.
//!
//! A pull is several accesses: HEAD by tag, then GET by digest, then GET of a platform's manifest. Each access is
//! counted when it comes, and an earlier count is taken back when a later access shows what it was: a version check
//! becomes a pull, a pull moves to its platform's architecture. So the counts are right at every moment, and what an
//! event changes is known for good when it comes.
//!
//! Accesses belong together when the client (host and user agent) and the repository are the same and their timestamps
//! lie within [`Classified::WINDOW`]. The parts: `memory` holds the accesses of the last minute, `known` what is known
//! of digests, `keys` the count keys in use, `hashes` makes long texts short.

mod hashes;
mod keys;
mod known;
mod memory;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use self::{
    hashes::Hashes,
    keys::{Keys, Wanted},
    known::{ArchitectureId, Known},
    memory::{Effect, Entry, LookUp, Memory, Number, Role, Root},
};
use super::Counting;
use crate::{
    Action, Digest, ManifestAccess, ManifestKind, RepositoryName, Tag,
    manifest_access::IndexChild,
    metrics::{AccessKind, Change, CountKey, CountedEvent},
    rules::{Scope, SkipReason},
};

const WINDOW_SECONDS: i64 = 60;
const CHILD_WINDOW_SECONDS: i64 = 10;
const MICROSECONDS: u64 = 1_000_000;

/// What a pull's correction is called, to derive its id.
const CORRECTION: &str = "platform";

/// How many indexes wait to be asked for at most.
const MAX_WANTED: usize = 1_024;

/// Counts pulls by tag, pulls by digest, version checks and pushes, each for what it is.
#[derive(Debug)]
pub struct Classified {
    hashes: Hashes,
    keys: Keys,
    memory: Memory,
    known: Known,
    wanted: Vec<(RepositoryName, Digest)>,
}

/// What of an access is asked for more than once.
struct Seen<'a> {
    access: &'a ManifestAccess,
    /// The event's timestamp in microseconds.
    at: i64,
    /// The hash of the digest.
    digest: u64,
    /// The hash of client and repository.
    trail: u64,
    /// The manifest's architecture, when it is known; else the user agent's counts.
    architecture: Option<ArchitectureId>,
}

impl Default for Classified {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_ENTRIES)
    }
}

impl Classified {
    /// How many accesses are remembered at most when nothing else is said; at some 130 bytes each.
    pub const DEFAULT_MAX_ENTRIES: usize = 200_000;

    /// How far apart accesses that belong together may lie.
    pub const WINDOW: TimeDelta = TimeDelta::seconds(WINDOW_SECONDS);

    /// How soon after an index a manifest is taken for its child when its children are not known.
    pub const CHILD_WINDOW: TimeDelta = TimeDelta::seconds(CHILD_WINDOW_SECONDS);

    /// Remembers at most so many accesses, at least one; the oldest make room.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self {
            hashes: Hashes::default(),
            keys: Keys::default(),
            memory: Memory::new(max_entries),
            known: Known::default(),
            wanted: Vec::new(),
        }
    }

    /// How many accesses are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.memory.len()
    }

    /// Reads what an event tells of an index; `index` is the hash of its digest.
    fn read_index(&mut self, access: &ManifestAccess, index: u64, now: i64) {
        if self.known.is_complete(index) {
            return;
        }
        self.known.learn(&self.hashes, index, &access.children, false);
        if !self.known.is_complete(index) && self.wanted.len() < MAX_WANTED && self.known.ask(index, now) {
            self.wanted.push((access.repository.clone(), access.digest.clone()));
        }
    }

    /// What an access means that did not come before, and what may follow from it.
    fn classify(&mut self, access: &ManifestAccess, digest: u64) -> (Effect, Role) {
        let architecture = match access.manifest {
            ManifestKind::Image => self.known.architecture_of(digest),
            ManifestKind::Index => None,
        };
        let trail = self.hashes.of((&access.client_host, &access.user_agent, &access.repository));
        let seen = Seen { access, at: access.at.timestamp_micros(), digest, trail, architecture };
        match (access.action, &access.tag) {
            (Action::Push, tag) => self.push(&seen, tag.as_ref()),
            (Action::Head, Some(tag)) => self.look_up(&seen, tag),
            (Action::Get, Some(tag)) => self.get_by_tag(&seen, tag),
            (Action::Get, None) => self.get_by_digest(&seen),
            (Action::Head, None) => (Effect::default(), Role::Done),
        }
    }

    fn push(&mut self, seen: &Seen<'_>, tag: Option<&Tag>) -> (Effect, Role) {
        if let Some(tag) = tag {
            self.known.learn_tag(self.manifest(seen), tag);
        }
        let key = self.key(seen, AccessKind::Push, tag);
        (Effect { less: None, more: Some(key) }, Role::Done)
    }

    fn look_up(&mut self, seen: &Seen<'_>, tag: &Tag) -> (Effect, Role) {
        let key = self.key(seen, AccessKind::VersionCheck, Some(tag));
        let by_tag = self.hashes.of((seen.trail, tag));
        let by_digest = self.hashes.of((seen.trail, seen.digest));
        let look_up = LookUp::new(by_tag, by_digest, seen.trail, seen.access.manifest);
        (Effect { less: None, more: Some(key) }, Role::LookUp(look_up))
    }

    fn get_by_tag(&mut self, seen: &Seen<'_>, tag: &Tag) -> (Effect, Role) {
        let less = self.use_look_up(self.hashes.of((seen.trail, tag)), seen.at);
        let key = self.key(seen, AccessKind::PullByTag, Some(tag));
        Self::pulled(seen, less, key)
    }

    fn get_by_digest(&mut self, seen: &Seen<'_>) -> (Effect, Role) {
        if let Some(check) = self.use_look_up(self.hashes.of((seen.trail, seen.digest)), seen.at) {
            let key = self.key(seen, AccessKind::PullByTag, check.tag.as_ref());
            return Self::pulled(seen, Some(check), key);
        }
        if let Some(root) = self.root_of(seen) {
            let effect = self.take_child(root, seen.digest);
            return (effect, Role::Child { root, digest: seen.digest });
        }
        if let Some(number) = self.index_look_up_of(seen) {
            return self.pull_of_cached_index(seen, number);
        }
        let tag = self.known.tag(self.manifest(seen)).cloned();
        let key = self.key(seen, AccessKind::PullByDigest, tag.as_ref());
        Self::pulled(seen, None, key)
    }

    /// A new pull, counted under a key.
    fn pulled(seen: &Seen<'_>, less: Option<Arc<CountKey>>, key: Arc<CountKey>) -> (Effect, Role) {
        let role = match seen.access.manifest {
            ManifestKind::Index => Role::Root(Root::new(Arc::clone(&key), seen.trail)),
            ManifestKind::Image => Role::Done,
        };
        (Effect { less, more: Some(key) }, role)
    }

    /// The pull of an image whose index the client has: the index was looked up, the image fetched.
    fn pull_of_cached_index(&mut self, seen: &Seen<'_>, number: Number) -> (Effect, Role) {
        let check = self.memory.get(number).and_then(|entry| entry.effect.more.clone());
        let check = check.expect("a remembered HEAD was just found, and counts a version check");
        self.memory.mark_used(number);
        let index = self.hashes.of(&check.digest);
        let wanted = Wanted {
            kind: AccessKind::PullByTag,
            date: seen.access.at.date_naive(),
            architecture: &seen.access.architecture,
            ..Wanted::of(&check)
        };
        let base = self.keys.get(&self.hashes, wanted, index);
        let mut root = Root::new(base, seen.trail);
        root.child = Some(seen.digest);
        if let Some(id) = self.known.architecture_in(index, seen.digest) {
            let architecture = self.known.name(id);
            root.tell(architecture, |base| {
                self.keys.get(&self.hashes, Wanted { architecture, ..Wanted::of(base) }, index)
            });
        }
        let more = Arc::clone(root.current());
        (Effect { less: Some(check), more: Some(more) }, Role::Root(root))
    }

    /// Uses the newest unused HEAD of a chain; answers the version check it was counted as.
    fn use_look_up(&mut self, chain: u64, at: i64) -> Option<Arc<CountKey>> {
        let (number, check) = self
            .memory
            .chain(chain)
            .filter(|(_, entry)| entry.look_up().is_some() && within(entry.at, at, WINDOW_SECONDS))
            .find_map(|(number, entry)| Some((number, entry.effect.more.clone()?)))?;
        self.memory.mark_used(number);
        Some(check)
    }

    /// The pull that a manifest is part of. The newest it fits to; of several such pulls one that has not begun with
    /// this very manifest, for a client asks for it once: the others are of other hosts behind the same address.
    fn root_of(&self, seen: &Seen<'_>) -> Option<Number> {
        let mut begun = None;
        for (number, entry) in self.memory.chain(seen.trail) {
            let Some(root) = entry.root() else { continue };
            if self.may_be_child(seen, entry.at, &root.base.digest) {
                if root.child != Some(seen.digest) {
                    return Some(number);
                }
                begun = begun.or(Some(number));
            }
        }
        begun
    }

    /// The unused HEAD of an index that a manifest may be a child of.
    fn index_look_up_of(&self, seen: &Seen<'_>) -> Option<Number> {
        self.memory.chain(seen.trail).find_map(|(number, entry)| {
            let index = entry.look_up().and(entry.effect.more.as_ref())?;
            self.may_be_child(seen, entry.at, &index.digest).then_some(number)
        })
    }

    fn may_be_child(&self, seen: &Seen<'_>, index_at: i64, index: &Digest) -> bool {
        if !within(index_at, seen.at, WINDOW_SECONDS) {
            return false;
        }
        self.known.lists(self.hashes.of(index), seen.digest).unwrap_or_else(|| {
            seen.access.manifest == ManifestKind::Image && within(index_at, seen.at, CHILD_WINDOW_SECONDS)
        })
    }

    /// Adds a child to a pull, which may move to the child's architecture, or back.
    fn take_child(&mut self, number: Number, child: u64) -> Effect {
        let Self { hashes, keys, memory, known, wanted: _ } = self;
        let Some(root) = memory.root_mut(number) else { return Effect::default() };
        let before = Arc::clone(root.current());
        root.child.get_or_insert(child);
        let index = hashes.of(&root.base.digest);
        if let Some(id) = known.architecture_in(index, child) {
            let architecture = known.name(id);
            root.tell(architecture, |base| keys.get(hashes, Wanted { architecture, ..Wanted::of(base) }, index));
        }
        let after = root.current();
        if before == *after { Effect::default() } else { Effect { less: Some(before), more: Some(Arc::clone(after)) } }
    }

    /// What is missing so that what a pull's accesses changed adds up to the count it is now known to be.
    fn correction(root: &Root, parts: &[&Entry]) -> Vec<Change> {
        let mut changes = vec![Change { key: Arc::clone(root.current()), delta: 1 }];
        for Entry { effect, role, .. } in parts {
            // A root may have taken a version check back, which is as it should be.
            if let (Role::Child { .. }, Some(key)) = (role, &effect.less) {
                add(&mut changes, key, 1);
            }
            if let Some(key) = &effect.more {
                add(&mut changes, key, -1);
            }
        }
        changes
    }

    fn key(&mut self, seen: &Seen<'_>, kind: AccessKind, tag: Option<&Tag>) -> Arc<CountKey> {
        let ManifestAccess { repository, digest, at, architecture, .. } = seen.access;
        let architecture = seen.architecture.map_or(architecture, |id| self.known.name(id));
        let wanted = Wanted { kind, date: at.date_naive(), repository, tag, digest, architecture };
        self.keys.get(&self.hashes, wanted, seen.digest)
    }

    /// The hash of repository and digest.
    fn manifest(&self, seen: &Seen<'_>) -> u64 {
        self.hashes.of((&seen.access.repository, seen.digest))
    }
}

impl Counting for Classified {
    fn scope(&self) -> Scope {
        Scope::AllAccesses
    }

    fn count(&mut self, access: &ManifestAccess, now: DateTime<Utc>) -> Result<CountedEvent, SkipReason> {
        if access.tag.as_ref().is_some_and(Tag::is_referrer) {
            return Err(SkipReason::Referrer);
        }
        let now = now.timestamp();
        let digest = self.hashes.of(&access.digest);
        if access.manifest == ManifestKind::Index {
            self.read_index(access, digest, now);
        }
        if access.action == Action::Head && access.tag.is_none() {
            return Err(SkipReason::DigestCheck);
        }
        let hash = self.hashes.of(access.id);
        let effect = self.memory.recall(access.id, hash, now).unwrap_or_else(|| {
            self.memory.forget(now);
            let (effect, role) = self.classify(access, digest);
            self.memory.push(Entry::new(access.id, access.at.timestamp_micros(), effect.clone(), role), hash, now);
            effect
        });
        let mut changes = Vec::with_capacity(2);
        changes.extend(effect.less.map(|key| Change { key, delta: -1 }));
        changes.extend(effect.more.map(|key| Change { key, delta: 1 }));
        Ok(CountedEvent { id: access.id, at: access.at, changes })
    }

    fn learn(&mut self, index: &Digest, children: &[IndexChild]) -> Vec<CountedEvent> {
        let hash = self.hashes.of(index);
        self.known.learn(&self.hashes, hash, children, true);
        let children: Vec<_> = self
            .memory
            .pulls_of(index)
            .iter()
            .flat_map(|(root, parts)| parts.iter().filter_map(|entry| Some((*root, entry.child()?))))
            .collect();
        for (root, child) in children {
            self.take_child(root, child);
        }
        let corrected = |(_, parts): (Number, Vec<&Entry>)| {
            let root = *parts.first()?;
            let changes = Self::correction(root.root()?, &parts);
            let at = DateTime::from_timestamp_micros(root.at)?;
            (!changes.is_empty()).then(|| CountedEvent { id: root.id.derive(CORRECTION), at, changes })
        };
        self.memory.pulls_of(index).into_iter().filter_map(corrected).collect()
    }

    fn wanted(&mut self) -> Vec<(RepositoryName, Digest)> {
        std::mem::take(&mut self.wanted)
    }
}

fn within(one: i64, other: i64, seconds: i64) -> bool {
    one.abs_diff(other) <= seconds.unsigned_abs() * MICROSECONDS
}

/// Adds to the change of a key; a change of nothing is none.
fn add(changes: &mut Vec<Change>, key: &Arc<CountKey>, delta: i32) {
    if let Some(place) = changes.iter().position(|change| change.key == *key) {
        changes[place].delta += delta;
        if changes[place].delta == 0 {
            changes.swap_remove(place);
        }
    } else {
        changes.push(Change { key: Arc::clone(key), delta });
    }
}
