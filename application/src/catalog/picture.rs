//! The picture while it is being drawn.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use staticreg_domain::RepositoryName;
use tokio::{sync::watch, time::Instant};

use super::snapshot::{CatalogSnapshot, CatalogView, ReadFault, ReadProgress, ReadStatus, RepositoryEntry};

/// More repositories are left out.
pub(super) const MOST_REPOSITORIES: usize = 100_000;
/// More tags, in all, are left out.
const MOST_TAGS: usize = 500_000;
/// More tags of one repository are left out.
const MOST_TAGS_OF_ONE: usize = 10_000;
/// How often the picture changes while the first read runs.
const PUBLISH_EVERY: Duration = Duration::from_secs(2);

/// The picture while it is being drawn; what is published of it never changes.
pub(super) struct Picture {
    drawn: Mutex<Drawn>,
    published: watch::Sender<Arc<CatalogSnapshot>>,
}

/// When something began, among the things that happened to the picture. A read that began later knows better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

#[derive(Default)]
struct Drawn {
    repositories: BTreeMap<RepositoryName, (Moment, Arc<RepositoryEntry>)>,
    tags: usize,
    status: ReadStatus,
    last: Moment,
    revision: u64,
    published_at: Option<Instant>,
}

impl Picture {
    pub(super) fn new() -> Self {
        Self { drawn: Mutex::default(), published: watch::Sender::new(Arc::default()) }
    }

    pub(super) fn view(&self) -> CatalogView {
        CatalogView::new(self.published.subscribe())
    }

    /// Now.
    pub(super) fn moment(&self) -> Moment {
        let mut drawn = self.drawn.lock();
        drawn.last.0 += 1;
        drawn.last
    }

    pub(super) fn entry(&self, name: &RepositoryName) -> Option<Arc<RepositoryEntry>> {
        self.drawn.lock().repositories.get(name).map(|(_, entry)| entry.clone())
    }

    pub(super) fn names(&self) -> Vec<RepositoryName> {
        self.drawn.lock().repositories.keys().cloned().collect()
    }

    /// How many tags of a repository there is room for.
    pub(super) fn room(&self, name: &RepositoryName) -> usize {
        let drawn = self.drawn.lock();
        let own = drawn.repositories.get(name).map_or(0, |(_, entry)| entry.tags.len());
        (MOST_TAGS + own).saturating_sub(drawn.tags).min(MOST_TAGS_OF_ONE)
    }

    /// Shows the names that a list found.
    pub(super) fn found(&self, names: &[RepositoryName], began: Moment) {
        let mut drawn = self.drawn.lock();
        for name in names {
            if drawn.repositories.len() >= MOST_REPOSITORIES {
                break;
            }
            drawn
                .repositories
                .entry(name.clone())
                .or_insert_with(|| (began, Arc::new(RepositoryEntry::unread(name.clone()))));
        }
    }

    /// Puts what a read found in the place of what an older read found.
    pub(super) fn put(&self, entry: RepositoryEntry, began: Moment) {
        let mut drawn = self.drawn.lock();
        let before = match drawn.repositories.get(&entry.name) {
            Some((moment, _)) if *moment > began => return,
            Some((_, before)) => before.tags.len(),
            None if drawn.repositories.len() >= MOST_REPOSITORIES => return,
            None => 0,
        };
        drawn.tags = drawn.tags - before + entry.tags.len();
        drawn.repositories.insert(entry.name.clone(), (began, Arc::new(entry)));
    }

    /// Takes out what a list of all repositories did not name, except what was put there since the list was begun.
    pub(super) fn keep_only(&self, is_listed: impl Fn(&RepositoryName) -> bool, began: Moment) {
        let mut drawn = self.drawn.lock();
        drawn.repositories.retain(|name, (moment, _)| *moment > began || is_listed(name));
        drawn.tags = drawn.repositories.values().map(|(_, entry)| entry.tags.len()).sum();
    }

    /// Tells how far the first read is; of later ones nobody wants to know.
    pub(super) fn progress(&self, change: impl FnOnce(&mut ReadProgress)) {
        let mut drawn = self.drawn.lock();
        if drawn.status.read_at.is_none() {
            change(drawn.status.progress.get_or_insert_default());
            if drawn.published_at.is_none_or(|at| at.elapsed() >= PUBLISH_EVERY) {
                self.publish(&mut drawn);
            }
        }
    }

    /// The end of a read of the whole registry.
    pub(super) fn ended(&self, read_at: Option<DateTime<Utc>>, fault: Option<ReadFault>) {
        let mut drawn = self.drawn.lock();
        drawn.status = ReadStatus { read_at: read_at.or(drawn.status.read_at), progress: None, fault };
        self.publish(&mut drawn);
    }

    /// Shows the picture as it is now.
    pub(super) fn show(&self) {
        self.publish(&mut self.drawn.lock());
    }

    fn publish(&self, drawn: &mut Drawn) {
        drawn.revision += 1;
        drawn.published_at = Some(Instant::now());
        let repositories = drawn.repositories.values().map(|(_, entry)| entry.clone()).collect();
        let snapshot = CatalogSnapshot::new(drawn.revision, repositories, drawn.status.clone());
        self.published.send_replace(Arc::new(snapshot));
    }
}
