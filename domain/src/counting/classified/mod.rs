//! Tells pulls from look-ups, as Docker Hub publishes it.
//!
//! A pull is several accesses: HEAD by tag, then GET by digest, then GET of a platform's manifest. Each access counts
//! for at most one thing, and what that is follows from the accesses before it: they are read one after the other, in
//! the order of the registry's timestamps. Each is counted when it comes, and an earlier count is taken back when a
//! later access shows what it was: a version check becomes a pull, a pull moves to its platform's architecture. An access
//! that comes late is put where it belongs, and what lies behind it is read again. Why nothing waits for the next one:
//! `docs/adr/0002-corrections-instead-of-waiting.md`.
//!
//! Accesses belong together when the client (host and user agent) and the repository are the same and their timestamps
//! lie within [`Classified::WINDOW`]; those of one client in one repository are a *trail*. The parts: `reading` is the
//! rule, `trail` the accesses in order and what each counts, `memory` all trails and for how long, `known` what is known
//! of indexes, `keys` the count keys in use, `hashes` makes long texts short.

mod changes;
mod hashes;
mod keys;
mod known;
mod memory;
mod reading;
mod table;
#[cfg(test)]
mod tests;
mod trail;

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use self::{
    changes::Changes,
    hashes::Hashes,
    keys::{KeyPool, Wanted},
    known::Known,
    memory::{Arriving, Memory},
    trail::{Access, Facts, Outcome, Undo},
};
use super::{Counting, CountingMemory};
use crate::{
    Action, Digest, EventId, ManifestAccess, ManifestKind, RepositoryName,
    manifest_access::IndexChild,
    metrics::{AccessKind, PullEvent},
    rules::{Scope, SkipReason},
};

/// How many indexes wait to be asked for at most.
const MAX_WANTED: usize = 1_024;

/// Counts pulls by tag, pulls by digest, version checks and pushes, each for what it is.
#[derive(Debug)]
pub struct Classified {
    hashes: Hashes,
    keys: KeyPool,
    memory: Memory,
    known: Known,
    wanted: Vec<(RepositoryName, Digest)>,
    /// How many corrections were made, to tell their ids apart.
    corrections: u64,
    is_trial: bool,
    /// Undoes what became of trails, the last first.
    undo: Vec<(u64, Undo)>,
}

impl Default for Classified {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_ENTRIES)
    }
}

impl Classified {
    /// How many accesses are remembered at most when nothing else is said; at 170 to 264 bytes each.
    pub const DEFAULT_MAX_ENTRIES: usize = 100_000;

    /// How far apart accesses that belong together may lie.
    pub const WINDOW: TimeDelta = TimeDelta::nanoseconds(trail::WINDOW);

    /// How soon after an index a manifest is taken for its child when its children are not known.
    pub const CHILD_WINDOW: TimeDelta = TimeDelta::nanoseconds(trail::CHILD_WINDOW);

    /// How long after its arrival an access is remembered.
    pub const MEMORY: TimeDelta = TimeDelta::seconds(memory::MEMORY_SECONDS);

    /// Remembers at most so many accesses, at least one; the first to come make room.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self {
            hashes: Hashes::default(),
            keys: KeyPool::default(),
            memory: Memory::new(max_entries),
            known: Known::default(),
            wanted: Vec::new(),
            corrections: 0,
            is_trial: false,
            undo: Vec::new(),
        }
    }

    /// How many accesses are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.memory.len()
    }

    /// Takes note of what an event tells of an index; `index` is the hash of its digest.
    fn read_index(&mut self, access: &ManifestAccess, index: u64, now: i64, changes: &mut Changes) {
        if self.known.learn(&self.hashes, index, &access.children, false, now) {
            for trail in self.trails_of(index) {
                self.read_again(trail, index, changes);
            }
        }
        if !self.known.is_archived(index) && self.wanted.len() < MAX_WANTED && self.known.ask(index, now) {
            self.wanted.push((access.repository.clone(), access.digest.clone()));
        }
    }

    /// Takes note of what is told of an image.
    fn read_platform(&mut self, access: &ManifestAccess, image: u64, now: i64, changes: &mut Changes) {
        let platform = access.children.first().and_then(|own| own.platform.as_ref());
        if platform.is_some_and(|platform| self.known.learn_platform(image, platform, now)) {
            for trail in self.memory.trails_of(image).collect::<BTreeSet<_>>() {
                self.read_again(trail, image, changes);
            }
        }
    }

    /// The trails that name an index or a child of it.
    fn trails_of(&self, index: u64) -> BTreeSet<u64> {
        self.known.children(index).chain([index]).flat_map(|digest| self.memory.trails_of(digest)).collect()
    }

    /// Reads a trail again, because more is known of an index.
    fn read_again(&mut self, trail: u64, index: u64, changes: &mut Changes) {
        let Self { hashes, keys, memory, known, undo, .. } = self;
        if let Some(read) = memory.trail_mut(trail) {
            let names = |digest| digest == index || known.lists(index, digest) == Some(true);
            read.learn(names, &mut Facts { hashes, keys, known, trail, undo }, changes);
        }
    }

    fn settle_unless_on_trial(&mut self, now: i64) {
        if !self.is_trial {
            self.undo.clear();
            self.memory.settle(now);
            self.known.settle(self.memory.oldest(now));
        }
    }
}

impl Counting for Classified {
    fn scope(&self) -> Scope {
        Scope::AllAccesses
    }

    fn count(&mut self, access: &ManifestAccess, now: DateTime<Utc>) -> Result<PullEvent, SkipReason> {
        let now = now.timestamp();
        let id_hash = self.hashes.of(access.id);
        if self.memory.knows(access.id, id_hash) {
            return Ok(PullEvent::new(access, Vec::new()));
        }
        let mut changes = Changes::default();
        let digest = self.hashes.of(&access.digest);
        match access.manifest {
            ManifestKind::Index => self.read_index(access, digest, now, &mut changes),
            ManifestKind::Image => self.read_platform(access, digest, now, &mut changes),
        }
        let Self { hashes, keys, memory, known, undo, .. } = self;
        let trail = hashes.of((access.client, &access.repository));
        let base = keys.get(hashes, counted_alone(access), digest);
        let at = access.at.timestamp_nanos_opt().unwrap_or(i64::MAX);
        let (action, manifest) = (access.action, access.manifest);
        let access_of =
            |number| Access { at, digest, base, counts: None, outcome: Outcome::Unread, number, action, manifest };
        let arriving = Arriving { id: access.id, id_hash, trail, now };
        let outcome = memory.add(arriving, access_of, &mut Facts { hashes, keys, known, trail, undo }, &mut changes);
        self.settle_unless_on_trial(now);
        let changes = changes.take();
        match skip_reason(access, outcome) {
            Some(reason) if changes.is_empty() => Err(reason),
            _ => Ok(PullEvent::new(access, changes)),
        }
    }

    fn memory(&mut self) -> Option<&mut dyn CountingMemory> {
        Some(self)
    }
}

impl CountingMemory for Classified {
    fn knows(&self, id: EventId) -> bool {
        self.memory.knows(id, self.hashes.of(id))
    }

    fn prepare(&mut self, access: &mut ManifestAccess, now: DateTime<Utc>) {
        let (digest, now) = (self.hashes.of(&access.digest), now.timestamp());
        let told = std::mem::take(&mut access.children);
        access.children = match access.manifest {
            ManifestKind::Index => self.known.retell(&self.hashes, digest, told, now),
            ManifestKind::Image => {
                let platform = self.known.platform_to_tell(digest, now).cloned();
                platform
                    .into_iter()
                    .map(|it| IndexChild { digest: access.digest.clone(), platform: Some(it) })
                    .collect()
            }
        };
    }

    fn learn(&mut self, index: &Digest, children: &[IndexChild], now: DateTime<Utc>) -> Vec<PullEvent> {
        let now = now.timestamp();
        let hash = self.hashes.of(index);
        let is_news = self.known.learn(&self.hashes, hash, children, true, now);
        let mut corrections = Vec::new();
        for trail in if is_news { self.trails_of(hash) } else { BTreeSet::new() } {
            let mut changes = Changes::default();
            self.read_again(trail, hash, &mut changes);
            let changes = changes.take();
            let date = changes.iter().map(|change| change.key.date).max();
            if let (Some(date), Some((id, at))) = (date, self.memory.last_of(trail)) {
                self.corrections += 1;
                let id = id.derive(&format!("{index} {}", self.corrections));
                // What counts on another date than that of its timestamp may come from a clock that is wrong.
                let at = Some(DateTime::from_timestamp_nanos(at)).filter(|at| at.date_naive() == date);
                let at = at.unwrap_or_else(|| date.and_time(NaiveTime::MIN).and_utc());
                corrections.push(PullEvent { id, at, timestamp: at, changes });
            }
        }
        self.settle_unless_on_trial(now);
        corrections
    }

    fn wanted(&mut self) -> Vec<(RepositoryName, Digest)> {
        std::mem::take(&mut self.wanted)
    }

    fn begin_trial(&mut self) {
        self.is_trial = true;
    }

    fn settle(&mut self, now: DateTime<Utc>) {
        self.is_trial = false;
        self.settle_unless_on_trial(now.timestamp());
    }

    fn take_back(&mut self) {
        self.is_trial = false;
        self.known.take_back();
        self.memory.take_back();
        while let Some((trail, undo)) = self.undo.pop() {
            self.memory.undo(trail, undo);
        }
    }

    fn clear(&mut self) {
        *self = Self::new(self.memory.limit());
    }
}

/// What an access counts when nothing else belongs to it.
fn counted_alone(access: &ManifestAccess) -> Wanted<'_> {
    let ManifestAccess { action, repository, tag, digest, architecture, .. } = access;
    let kind = match (action, tag) {
        (Action::Push, _) => AccessKind::Push,
        (Action::Head, Some(_)) => AccessKind::VersionCheck,
        (Action::Get, Some(_)) => AccessKind::PullByTag,
        (Action::Head | Action::Get, None) => AccessKind::PullByDigest,
    };
    let date = access.counted_at().date_naive();
    Wanted { kind, date, repository, tag: tag.as_ref(), digest, architecture }
}

/// Why an access does not count; none when it does, or is part of what counts.
fn skip_reason(access: &ManifestAccess, outcome: Outcome) -> Option<SkipReason> {
    match outcome {
        Outcome::Referrer => Some(SkipReason::Referrer),
        Outcome::LookUp if access.tag.is_none() => Some(SkipReason::DigestCheck),
        _ => None,
    }
}
