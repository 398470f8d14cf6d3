//! The snapshot while it is being made.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use staticreg_domain::RepositoryName;
use tokio::{sync::watch, time::Instant};

use super::snapshot::{CatalogSnapshot, CatalogSnapshots, ReadFault, ReadProgress, ReadStatus, RepositoryEntry};

/// More repositories are left out.
pub(super) const MAX_REPOSITORIES: usize = 100_000;
/// More tags, in all, are left out.
const MAX_TAGS: usize = 500_000;
/// More tags of one repository are left out.
const MAX_TAGS_OF_ONE: usize = 10_000;
/// How often the snapshot changes while the first read runs.
const PUBLISH_EVERY: Duration = Duration::from_secs(2);

/// The snapshot while it is being made; what is published of it never changes.
pub(super) struct SnapshotBuilder {
    draft: Mutex<Draft>,
    published: watch::Sender<Arc<CatalogSnapshot>>,
    next_read_at: watch::Sender<Option<DateTime<Utc>>>,
}

/// When something began, among the things that happened to the snapshot. A read that began later knows better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u64);

#[derive(Default)]
struct Draft {
    repositories: BTreeMap<RepositoryName, (Tick, Arc<RepositoryEntry>)>,
    tags: usize,
    status: ReadStatus,
    last: Tick,
    revision: u64,
    published_at: Option<Instant>,
}

impl SnapshotBuilder {
    pub(super) fn new() -> Self {
        Self {
            draft: Mutex::default(),
            published: watch::Sender::new(Arc::default()),
            next_read_at: watch::Sender::new(None),
        }
    }

    pub(super) fn snapshots(&self) -> CatalogSnapshots {
        CatalogSnapshots::new(self.published.subscribe(), self.next_read_at.subscribe())
    }

    /// Now.
    pub(super) fn tick(&self) -> Tick {
        let mut draft = self.draft.lock();
        draft.last.0 += 1;
        draft.last
    }

    pub(super) fn entry(&self, name: &RepositoryName) -> Option<Arc<RepositoryEntry>> {
        self.draft.lock().repositories.get(name).map(|(_, entry)| entry.clone())
    }

    pub(super) fn names(&self) -> Vec<RepositoryName> {
        self.draft.lock().repositories.keys().cloned().collect()
    }

    /// How many tags of a repository there is room for.
    pub(super) fn room(&self, name: &RepositoryName) -> usize {
        let draft = self.draft.lock();
        let own = draft.repositories.get(name).map_or(0, |(_, entry)| held(entry));
        (MAX_TAGS + own).saturating_sub(draft.tags).min(MAX_TAGS_OF_ONE)
    }

    /// Shows the names that a list found.
    pub(super) fn found(&self, names: &[RepositoryName], began: Tick) {
        let mut draft = self.draft.lock();
        for name in names {
            if draft.repositories.len() >= MAX_REPOSITORIES {
                break;
            }
            draft
                .repositories
                .entry(name.clone())
                .or_insert_with(|| (began, Arc::new(RepositoryEntry::unread(name.clone()))));
        }
    }

    /// Puts what a read found in the place of what an older read found.
    pub(super) fn put(&self, entry: RepositoryEntry, began: Tick) {
        let mut draft = self.draft.lock();
        let before = match draft.repositories.get(&entry.name) {
            Some((moment, _)) if *moment > began => return,
            Some((_, before)) => held(before),
            None if draft.repositories.len() >= MAX_REPOSITORIES => return,
            None => 0,
        };
        draft.tags = draft.tags - before + held(&entry);
        draft.repositories.insert(entry.name.clone(), (began, Arc::new(entry)));
    }

    /// Takes out what a list of all repositories did not name, except what was put there since the list was begun.
    pub(super) fn keep_only(&self, is_listed: impl Fn(&RepositoryName) -> bool, began: Tick) {
        let mut draft = self.draft.lock();
        draft.repositories.retain(|name, (moment, _)| *moment > began || is_listed(name));
        draft.tags = draft.repositories.values().map(|(_, entry)| held(entry)).sum();
    }

    /// Tells how far the first read is; of later ones nobody wants to know.
    pub(super) fn progress(&self, change: impl FnOnce(&mut ReadProgress)) {
        let mut draft = self.draft.lock();
        if draft.status.read_at.is_none() {
            change(draft.status.progress.get_or_insert_default());
            if draft.published_at.is_none_or(|at| at.elapsed() >= PUBLISH_EVERY) {
                self.publish(&mut draft);
            }
        }
    }

    /// The end of a read of the whole registry.
    pub(super) fn ended(&self, read_at: Option<DateTime<Utc>>, fault: Option<ReadFault>) {
        let mut draft = self.draft.lock();
        draft.status = ReadStatus { read_at: read_at.or(draft.status.read_at), progress: None, fault };
        self.publish(&mut draft);
    }

    /// Tells when the next read of the whole registry begins, or that it has begun.
    pub(super) fn reads_again_at(&self, at: Option<DateTime<Utc>>) {
        self.next_read_at.send_replace(at);
    }

    /// Shows the snapshot as it is now.
    pub(super) fn show(&self) {
        self.publish(&mut self.draft.lock());
    }

    fn publish(&self, draft: &mut Draft) {
        draft.revision += 1;
        draft.published_at = Some(Instant::now());
        let repositories = draft.repositories.values().map(|(_, entry)| entry.clone()).collect();
        let snapshot = CatalogSnapshot::new(draft.revision, repositories, draft.status.clone());
        self.published.send_replace(Arc::new(snapshot));
    }
}

/// How many tags are kept of a repository, attachments too.
fn held(entry: &RepositoryEntry) -> usize {
    entry.tags.len() + entry.attachments.len()
}
