//! Count keys, each kept once.

use std::sync::Arc;

use chrono::NaiveDate;

use super::hashes::{Hashed, Hashes};
use crate::{
    Architecture, Digest, RepositoryName, Tag,
    metrics::{AccessKind, CountKey},
};

/// How many keys nobody uses any more are tolerated before they are looked for.
const SLACK: usize = 8_192;

/// The count keys in use. Thousands of events share a key, so each holds a pointer to it.
#[derive(Debug, Default)]
pub(super) struct KeyPool {
    keys: Hashed<Arc<CountKey>>,
    /// At how many keys the unused ones are dropped.
    full: usize,
}

/// A key yet to be found or made.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) kind: AccessKind,
    pub(super) date: NaiveDate,
    pub(super) repository: &'a RepositoryName,
    pub(super) tag: Option<&'a Tag>,
    pub(super) digest: &'a Digest,
    pub(super) architecture: &'a Architecture,
}

impl<'a> Wanted<'a> {
    pub(super) fn from_key(key: &'a CountKey) -> Self {
        let CountKey { kind, date, repository, tag, digest, architecture } = key;
        Self { kind: *kind, date: *date, repository, tag: tag.as_ref(), digest, architecture }
    }

    fn make(&self) -> Arc<CountKey> {
        let Self { kind, date, repository, tag, digest, architecture } = *self;
        Arc::new(CountKey {
            kind,
            date,
            repository: repository.clone(),
            tag: tag.cloned(),
            digest: digest.clone(),
            architecture: architecture.clone(),
        })
    }
}

impl KeyPool {
    /// The one key; `digest` is the hash of its digest.
    pub(super) fn get(&mut self, hashes: &Hashes, wanted: Wanted<'_>, digest: u64) -> Arc<CountKey> {
        let Wanted { kind, date, repository, tag, architecture, digest: _ } = wanted;
        let hash = hashes.of((kind as u8, date, repository, tag, digest, architecture));
        if let Some(key) = self.keys.get(&hash) {
            return Arc::clone(key);
        }
        if self.keys.len() >= self.full.max(SLACK) {
            self.keys.retain(|_, key| Arc::strong_count(key) > 1);
            self.full = self.keys.len() + SLACK;
        }
        let key = wanted.make();
        self.keys.insert(hash, Arc::clone(&key));
        key
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}
