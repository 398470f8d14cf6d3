//! What is known of digests: the children of indexes and their platforms.

use std::{
    collections::VecDeque,
    num::{NonZeroU8, NonZeroU32},
};

use super::{
    hashes::{Hashed, Hashes},
    table::short,
};
use crate::{Architecture, manifest_access::IndexChild, rules::MAX_CHILDREN};

/// How many children of indexes are known at most, all indexes together; and of how many digests a platform is.
const MAX_KNOWN_CHILDREN: usize = 32_768;

/// How many indexes are remembered as asked for.
const MAX_ASKED: usize = 16_384;

/// How many seconds later an index that stayed unknown is asked for again.
const ASK_AGAIN: i64 = 600;

/// Facts about digests; content never changes under a digest, so no fact grows old, and the oldest make room.
///
/// Digests come as their hashes.
#[derive(Debug)]
pub(super) struct Known {
    indexes: Recent<Index>,
    platforms: Recent<ArchitectureId>,
    asked: Recent<i64>,
    architectures: Vec<Architecture>,
    /// For what has no architecture.
    unspecified: Architecture,
}

/// The place of an architecture's name, from one on. More than 255 names there are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArchitectureId(NonZeroU8);

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

    /// Takes note of an index's children; answers whether that is news. `asked`: these were asked from the registry, so
    /// what they leave out nobody can tell; else they came with an event, where a registry may leave all platforms out.
    pub(super) fn learn(&mut self, hashes: &Hashes, index: u64, children: &[IndexChild], asked: bool) -> bool {
        if children.is_empty() && !asked || children.len() > MAX_CHILDREN || self.is_complete(index) {
            return false;
        }
        let complete = asked || children.iter().any(|child| child.platform.is_some());
        if !complete && self.indexes.get(index).is_some() {
            return false;
        }
        let mut list = Vec::with_capacity(children.len());
        for IndexChild { digest, platform } in children {
            let digest = hashes.of(digest);
            let architecture = platform.as_ref().and_then(|platform| self.id_of(&platform.architecture));
            if let Some(architecture) = architecture {
                self.platforms.insert(digest, architecture, 1);
            }
            let platform = platform.as_ref().and_then(|platform| NonZeroU32::new(short(hashes.of(platform))));
            list.push(Child { digest, platform, architecture });
        }
        list.sort_unstable_by_key(|child| child.digest);
        let size = list.len() + 1;
        self.indexes.insert(index, Index { children: list.into(), complete }, size);
        true
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
        let again = self.asked.get(index).is_none_or(|asked| now - asked >= ASK_AGAIN);
        if again {
            self.asked.insert(index, now, 1);
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

/// A map that holds so much and no more: what came first goes first.
#[derive(Debug)]
struct Recent<V> {
    values: Hashed<V>,
    order: VecDeque<(u64, usize)>,
    size: usize,
    limit: usize,
}

impl<V> Recent<V> {
    fn new(limit: usize) -> Self {
        Self { values: Hashed::default(), order: VecDeque::new(), size: 0, limit }
    }

    fn get(&self, key: u64) -> Option<&V> {
        self.values.get(&key)
    }

    /// A value that takes the place of another counts with that one's size.
    fn insert(&mut self, key: u64, value: V, size: usize) {
        if self.values.insert(key, value).is_some() {
            return;
        }
        self.order.push_back((key, size));
        self.size += size;
        while self.size > self.limit {
            let Some((oldest, size)) = self.order.pop_front() else { break };
            self.values.remove(&oldest);
            self.size -= size;
        }
    }
}
