//! What is known of digests: the children of indexes and their platforms.

use std::{
    collections::VecDeque,
    num::{NonZeroU8, NonZeroU32},
};

use super::{
    hashes::{Hashed, Hashes},
    table::short,
};
use crate::{Architecture, Platform, manifest_access::IndexChild, rules::MAX_CHILDREN};

/// How many children of indexes are known at most, all indexes together; and of how many digests a platform is.
const MAX_KNOWN_CHILDREN: usize = 32_768;

/// How many indexes are remembered as asked for.
const MAX_ASKED: usize = 16_384;

/// How many seconds later an index of which no event tells is asked for again; before what was told is forgotten.
const ASK_AGAIN: i64 = 600;

/// After how many seconds what is told once more is remembered anew.
const RENEW: i64 = 60;

/// How many seconds longer than an access its facts are known: it may have come so long after they were told, and a while
/// later where its batch waited.
const KEPT_LONGER: i64 = 2 * RENEW;

/// How often everything that there is room for may be entered anew until the first to come goes early.
const MAX_RENEWED: usize = 8;

/// Facts about digests. They are forgotten like accesses, but not before those that were read with them: what an access
/// counts depends on nothing that a server which started lately does not know. What was told earlier stands in an
/// archive, and is told again with the next access.
///
/// Digests come as their hashes.
#[derive(Debug)]
pub(super) struct Known {
    indexes: Recent<Index>,
    platforms: Recent<ArchitectureId>,
    asked: Recent<()>,
    archive: Recent<Archived>,
    archived_platforms: Recent<Platform>,
    /// What was entered on trial, and what had its place.
    trial: Vec<Trial>,
    architectures: Vec<Architecture>,
    /// For what has no architecture.
    unspecified: Architecture,
}

/// The place of an architecture's name, from one on. More than 255 names there are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArchitectureId(NonZeroU8);

#[derive(Debug)]
enum Trial {
    Index(Option<Held<Index>>),
    Platform(Option<Held<ArchitectureId>>),
}

/// What was told of an index. Content never changes under a digest, so it does not grow old.
#[derive(Debug)]
struct Archived {
    children: Box<[IndexChild]>,
    complete: bool,
}

#[derive(Debug)]
struct Index {
    /// Sorted by digest.
    children: Box<[Child]>,
    /// Whether the children's platforms were told too.
    complete: bool,
}

#[derive(Debug)]
struct Child {
    digest: u64,
    /// Stands for the whole platform; none of an attestation, and where platforms are not told.
    platform: Option<NonZeroU32>,
    architecture: Option<ArchitectureId>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            indexes: Recent::new(MAX_KNOWN_CHILDREN),
            platforms: Recent::new(MAX_KNOWN_CHILDREN),
            asked: Recent::new(MAX_ASKED),
            archive: Recent::new(MAX_KNOWN_CHILDREN),
            archived_platforms: Recent::new(MAX_KNOWN_CHILDREN),
            trial: Vec::new(),
            architectures: Vec::new(),
            unspecified: Architecture::not_specified(),
        }
    }
}

impl Known {
    /// Whether the index's children are known with their platforms.
    pub(super) fn is_complete(&self, index: u64) -> bool {
        self.indexes.get(index).is_some_and(|index| index.complete)
    }

    /// Takes note of an index's children, on trial; answers whether that is news. `asked`: these were asked from the
    /// registry, so what they leave out nobody can tell; else they came with an event, where a registry may leave all
    /// platforms out.
    pub(super) fn learn(
        &mut self,
        hashes: &Hashes,
        index: u64,
        children: &[IndexChild],
        asked: bool,
        now: i64,
    ) -> bool {
        if children.is_empty() && !asked || children.len() > MAX_CHILDREN {
            return false;
        }
        let complete = asked || tells_platforms(children);
        self.archive(hashes, index, children, complete, now);
        let is_known = self.indexes.get(index).is_some_and(|index| index.complete || !complete);
        if is_known {
            let is_complete = self.is_complete(index) == complete;
            if !is_complete || is_fresh(self.indexes.entered_at(index), now) {
                return false;
            }
        }
        let mut list = Vec::with_capacity(children.len());
        for IndexChild { digest, platform } in children {
            let digest = hashes.of(digest);
            let architecture = platform.as_ref().and_then(|platform| self.id_of(&platform.architecture));
            if let Some(architecture) = architecture {
                self.trial.push(Trial::Platform(self.platforms.insert(digest, architecture, 1, now)));
            }
            let platform = platform.as_ref().and_then(|platform| NonZeroU32::new(short(hashes.of(platform))));
            list.push(Child { digest, platform, architecture });
        }
        list.sort_unstable_by_key(|child| child.digest);
        let size = list.len() + 1;
        let before = self.indexes.insert(index, Index { children: list.into(), complete }, size, now);
        self.trial.push(Trial::Index(before));
        !is_known
    }

    /// What an access to an index should tell of its children: nothing when that was told lately; else what its event
    /// told, or one before.
    pub(super) fn retell(&mut self, hashes: &Hashes, index: u64, told: Vec<IndexChild>, now: i64) -> Vec<IndexChild> {
        if !told.is_empty() {
            let complete = tells_platforms(&told);
            self.archive(hashes, index, &told, complete, now);
        }
        if self.is_complete(index) && is_fresh(self.indexes.entered_at(index), now) {
            return Vec::new();
        }
        match self.archive.get(index) {
            Some(archived) if archived.complete => archived.children.to_vec(),
            _ => told,
        }
    }

    /// The platform of an image that an index listed, unless that was told lately.
    pub(super) fn platform_to_tell(&self, image: u64, now: i64) -> Option<&Platform> {
        self.archived_platforms.get(image).filter(|_| !is_fresh(self.platforms.entered_at(image), now))
    }

    /// Takes note of an image's platform, on trial; answers whether that is news.
    pub(super) fn learn_platform(&mut self, image: u64, platform: &Platform, now: i64) -> bool {
        let Some(architecture) = self.id_of(&platform.architecture) else { return false };
        let before = self.platforms.insert(image, architecture, 1, now);
        let is_news = before.is_none();
        self.trial.push(Trial::Platform(before));
        is_news
    }

    /// Whether somebody told the children's platforms, however long ago.
    pub(super) fn is_archived(&self, index: u64) -> bool {
        self.archive.get(index).is_some_and(|archived| archived.complete)
    }

    fn archive(&mut self, hashes: &Hashes, index: u64, children: &[IndexChild], complete: bool, now: i64) {
        let is_news = self.archive.get(index).is_none_or(|archived| complete && !archived.complete);
        if children.len() > MAX_CHILDREN || !is_news {
            return;
        }
        for IndexChild { digest, platform } in children {
            if let Some(platform) = platform {
                self.archived_platforms.insert(hashes.of(digest), platform.clone(), 1, now);
            }
        }
        self.archived_platforms.drop_surplus();
        self.archive.insert(index, Archived { children: children.into(), complete }, children.len() + 1, now);
        self.archive.drop_surplus();
    }

    /// What is on trial stays; what is too much is dropped, and what no access needs that arrived at `oldest` or later.
    pub(super) fn settle(&mut self, oldest: i64) {
        self.trial.clear();
        self.indexes.drop_old(oldest - KEPT_LONGER);
        self.platforms.drop_old(oldest - KEPT_LONGER);
    }

    /// Takes out what is on trial.
    pub(super) fn take_back(&mut self) {
        while let Some(trial) = self.trial.pop() {
            match trial {
                Trial::Index(before) => self.indexes.take_back(before),
                Trial::Platform(before) => self.platforms.take_back(before),
            }
        }
    }

    /// Whether the index lists the child; none when its children are not known.
    pub(super) fn lists(&self, index: u64, child: u64) -> Option<bool> {
        Some(self.indexes.get(index)?.find(child).is_some())
    }

    /// The digests an index lists, as far as they are known.
    pub(super) fn children(&self, index: u64) -> impl Iterator<Item = u64> {
        self.indexes.get(index).into_iter().flat_map(|index| &index.children).map(|child| child.digest)
    }

    /// Whether a child is for a platform that none of the others is for. By digest where platforms are not known; what
    /// has none where the others have one is an attestation.
    pub(super) fn is_other_platform(&self, index: u64, child: u64, others: &[u64]) -> bool {
        let platform = |child| self.indexes.get(index)?.find(child)?.platform;
        match platform(child) {
            Some(own) => others.iter().all(|other| platform(*other) != Some(own)),
            None => !others.contains(&child) && !self.tells_platforms(index),
        }
    }

    /// Whether the index's platforms are known, and the architecture is of none.
    pub(super) fn lacks(&self, index: u64, architecture: &Architecture) -> bool {
        let has = |child: &Child| child.architecture.is_some_and(|id| self.name(id) == architecture);
        self.tells_platforms(index) && !self.indexes.get(index).is_some_and(|index| index.children.iter().any(has))
    }

    fn tells_platforms(&self, index: u64) -> bool {
        self.indexes.get(index).is_some_and(|index| index.children.iter().any(|child| child.platform.is_some()))
    }

    /// The architecture of an index's child.
    pub(super) fn architecture_in(&self, index: u64, child: u64) -> Option<ArchitectureId> {
        let told = self.indexes.get(index).and_then(|index| index.find(child)).and_then(|child| child.architecture);
        told.or_else(|| self.architecture_of(child))
    }

    /// The architecture of a manifest that some index lists.
    pub(super) fn architecture_of(&self, manifest: u64) -> Option<ArchitectureId> {
        self.platforms.get(manifest).copied()
    }

    /// The architecture's name.
    pub(super) fn name(&self, id: ArchitectureId) -> &Architecture {
        &self.architectures[usize::from(id.0.get()) - 1]
    }

    /// The name for what has no architecture.
    pub(super) fn unspecified(&self) -> &Architecture {
        &self.unspecified
    }

    /// Whether to ask for the index now; if so, notes that it is done.
    pub(super) fn ask(&mut self, index: u64, now: i64) -> bool {
        let again = self.asked.entered_at(index).is_none_or(|asked| now - asked >= ASK_AGAIN);
        if again {
            self.asked.insert(index, (), 1, now);
            self.asked.drop_surplus();
        }
        again
    }

    fn id_of(&mut self, architecture: &Architecture) -> Option<ArchitectureId> {
        let position = self.architectures.iter().position(|known| known == architecture);
        let position = position.unwrap_or(self.architectures.len());
        let id = u8::try_from(position + 1).ok().and_then(NonZeroU8::new)?;
        if position == self.architectures.len() {
            self.architectures.push(architecture.clone());
        }
        Some(ArchitectureId(id))
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.indexes.size, self.platforms.size, self.asked.size]
    }
}

impl Index {
    fn find(&self, child: u64) -> Option<&Child> {
        self.children.binary_search_by_key(&child, |child| child.digest).ok().map(|place| &self.children[place])
    }
}

fn is_fresh(entered_at: Option<i64>, now: i64) -> bool {
    entered_at.is_some_and(|entered| now - entered < RENEW)
}

fn tells_platforms(children: &[IndexChild]) -> bool {
    children.iter().any(|child| child.platform.is_some())
}

/// A map that holds so much and no more, and each entry for so long: what came first goes first.
#[derive(Debug)]
struct Recent<V> {
    values: Hashed<Held<V>>,
    /// Of a key that was entered again the last one counts.
    order: VecDeque<Entered>,
    /// Of the values.
    size: usize,
    limit: usize,
    entered: u32,
}

#[derive(Debug)]
struct Held<V> {
    value: V,
    size: u32,
    /// Which entry it came with; others of its key are outdated.
    entered: u32,
    at: i64,
}

#[derive(Debug)]
struct Entered {
    key: u64,
    number: u32,
    at: i64,
}

impl<V> Recent<V> {
    fn new(limit: usize) -> Self {
        Self { values: Hashed::default(), order: VecDeque::new(), size: 0, limit, entered: 0 }
    }

    fn get(&self, key: u64) -> Option<&V> {
        self.values.get(&key).map(|held| &held.value)
    }

    /// When a value was entered.
    fn entered_at(&self, key: u64) -> Option<i64> {
        self.values.get(&key).map(|held| held.at)
    }

    /// Answers what had its place.
    fn insert(&mut self, key: u64, value: V, size: usize, now: i64) -> Option<Held<V>> {
        self.entered = self.entered.wrapping_add(1);
        let number = self.entered;
        self.order.push_back(Entered { key, number, at: now });
        let held = Held { value, size: u32::try_from(size).unwrap_or(u32::MAX), entered: number, at: now };
        self.size += held.size as usize;
        let before = self.values.insert(key, held);
        self.size -= size_of(before.as_ref());
        before
    }

    /// Undoes the last [`Recent::insert`] that is not undone yet.
    fn take_back(&mut self, before: Option<Held<V>>) {
        let Some(Entered { key, .. }) = self.order.pop_back() else { return };
        self.size += size_of(before.as_ref());
        let undone = match before {
            Some(before) => self.values.insert(key, before),
            None => self.values.remove(&key),
        };
        self.size -= size_of(undone.as_ref());
    }

    /// Drops what was entered before a second, and what is too much.
    fn drop_old(&mut self, before: i64) {
        while self.order.front().is_some_and(|oldest| oldest.at < before) {
            self.drop_oldest();
        }
        self.drop_surplus();
    }

    /// Drops what is too much.
    fn drop_surplus(&mut self) {
        while self.size > self.limit || self.order.len() > self.limit * MAX_RENEWED {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(Entered { key, number, .. }) = self.order.pop_front() else { return };
        if self.values.get(&key).is_some_and(|held| held.entered == number) {
            self.size -= size_of(self.values.remove(&key).as_ref());
        }
    }
}

fn size_of<V>(held: Option<&Held<V>>) -> usize {
    held.map_or(0, |held| held.size as usize)
}
