//! Reads the registry in the background, again and again.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use staticreg_domain::{
    Clock, RepositoryName, Tag,
    catalog::{Brought, CatalogError, EndlessPages, PageWalk, RegistryCatalog, TagList},
    error::describe,
};
use tokio::{sync::Notify, time::sleep};

use super::{
    fault,
    images::Images,
    snapshot::{CatalogSnapshots, ReadFault, ReadProgress, RepositoryEntry, RepositorySummary, TagEntry, TagTarget},
    snapshot_builder::{MAX_REPOSITORIES, SnapshotBuilder, Tick},
};

/// The pause after the first failed read of the whole registry; each one more doubles it, up to the interval.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// An image often comes with several tags: a repository is read this long after the first.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// Changed repositories that may wait; more are left to the next read of the whole registry.
const MAX_WAITING: usize = 10_000;
/// After so many failures the rest of a repository's tags is left for the next time.
const MAX_FAILED_TAGS: usize = 3;
/// After so many failed repositories in a row the registry is asked whether it is there at all.
const MAX_FAILED_IN_A_ROW: usize = 8;

/// How the registry is read.
#[derive(Clone, Copy, Debug)]
pub struct RefreshOptions {
    /// The most requests at a time.
    pub concurrency: usize,
    /// The pause between two reads of the whole registry.
    pub interval: Duration,
}

impl Default for RefreshOptions {
    fn default() -> Self {
        Self { concurrency: 8, interval: Duration::from_mins(15) }
    }
}

/// The use case: keeps a snapshot of the registry.
///
/// What cannot be read stays in the snapshot as it was, with its age.
pub struct RefreshCatalog {
    images: Images,
    snapshot: SnapshotBuilder,
    changes: CatalogChanges,
    clock: Arc<dyn Clock>,
    options: RefreshOptions,
}

/// Tells which repositories have changed: cheap to clone, never waits.
#[derive(Clone, Default)]
pub struct CatalogChanges(Arc<Changes>);

#[derive(Default)]
struct Changes {
    waiting: Mutex<HashSet<RepositoryName>>,
    arrived: Notify,
}

impl CatalogChanges {
    /// Has a repository read again soon: a push or delete event of it arrived.
    pub fn repository_changed(&self, name: RepositoryName) {
        let mut waiting = self.0.waiting.lock();
        if waiting.len() < MAX_WAITING {
            waiting.insert(name);
            self.0.arrived.notify_one();
        }
    }
}

impl RefreshCatalog {
    /// Will read this registry.
    #[must_use]
    pub fn new(catalog: Arc<dyn RegistryCatalog>, clock: Arc<dyn Clock>, options: RefreshOptions) -> Self {
        let options = RefreshOptions { concurrency: options.concurrency.max(1), ..options };
        Self {
            images: Images::new(catalog, options.concurrency),
            snapshot: SnapshotBuilder::new(),
            changes: CatalogChanges::default(),
            clock,
            options,
        }
    }

    /// Shows the snapshot.
    #[must_use]
    pub fn snapshots(&self) -> CatalogSnapshots {
        self.snapshot.snapshots()
    }

    /// Takes the names of changed repositories.
    #[must_use]
    pub fn changes(&self) -> CatalogChanges {
        self.changes.clone()
    }

    /// Keeps the snapshot fresh, for ever.
    pub async fn run(self) {
        tokio::join!(self.refresh_again_and_again(), self.follow_changes());
    }

    /// Reads the whole registry once. An error means that the snapshot is not whole; single repositories that could not
    /// be read are told in the snapshot.
    pub async fn refresh_once(&self) -> Result<(), ReadFault> {
        let read = self.read_all().await;
        self.images.forget_unused();
        let now = self.clock.now();
        match read {
            Ok(Round { failed, all }) => {
                tracing::info!(repositories = all, failed, "Registry read");
                let fault = (failed > 0).then(|| fault::of_some(failed, all, now));
                self.snapshot.ended(Some(now), fault);
                Ok(())
            }
            Err(Unread { error, listed }) => {
                tracing::warn!("Unable to read the registry: {}", describe(&error));
                let fault = if listed { fault::of_list(&error, now) } else { fault::of_registry(&error, now) };
                self.snapshot.ended(None, Some(fault.clone()));
                Err(fault)
            }
        }
    }

    async fn refresh_again_and_again(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.refresh_once().await.is_ok() {
                pause = FIRST_PAUSE;
                self.wait(self.options.interval).await;
            } else {
                self.wait(pause.min(self.options.interval)).await;
                pause = (pause * 2).min(self.options.interval);
            }
        }
    }

    /// Waits for the next read, and tells of it meanwhile.
    async fn wait(&self, pause: Duration) {
        self.snapshot.reads_again_at(TimeDelta::from_std(pause).ok().map(|pause| self.clock.now() + pause));
        sleep(pause).await;
        self.snapshot.reads_again_at(None);
    }

    async fn follow_changes(&self) {
        loop {
            self.changes.0.arrived.notified().await;
            sleep(DEBOUNCE).await;
            let names = std::mem::take(&mut *self.changes.0.waiting.lock());
            stream::iter(names).for_each_concurrent(self.options.concurrency, |name| self.follow(name)).await;
            self.snapshot.show();
        }
    }

    async fn follow(&self, name: RepositoryName) {
        let known = self.snapshot.entry(&name).is_some();
        let Read { entry, began, failure: _ } = self.read(name).await;
        // A repository that was never listed and holds nothing is none.
        if known || !entry.tags.is_empty() {
            self.snapshot.put(entry, began);
        }
    }

    async fn read_all(&self) -> Result<Round, Unread> {
        let began = self.snapshot.tick();
        let mut listed = BTreeSet::new();
        let list = self.list(&mut listed, began).await;
        match &list {
            Ok(()) => self.snapshot.keep_only(|name| listed.contains(name), began),
            // The registry is away altogether, or does not tell what it holds.
            Err(_) if listed.is_empty() => {
                return list.map(|()| Round::default()).map_err(|error| Unread { error, listed: false });
            }
            // What was listed is read; of the rest it is not known whether it is there.
            Err(_) => {}
        }
        drop(listed);
        let round = self.read_contents(list.is_ok()).await.map_err(|error| Unread { error, listed: false })?;
        list.map(|()| round).map_err(|error| Unread { error, listed: true })
    }

    /// Lists all repositories and shows their names as they come.
    async fn list(&self, listed: &mut BTreeSet<RepositoryName>, began: Tick) -> Result<(), CatalogError> {
        let mut walk = PageWalk::new(None);
        let mut after = None;
        loop {
            let page = self.images.repositories(after).await?;
            let (items, known_before) = (page.repositories.len(), listed.len());
            self.snapshot.found(&page.repositories, began);
            listed.extend(page.repositories);
            self.snapshot.progress(|progress| *progress = ReadProgress { found: listed.len(), ..Default::default() });
            if listed.len() >= MAX_REPOSITORIES {
                return Ok(());
            }
            match walk.after(Brought::by(items, known_before, listed.len()), page.next.map(Some)) {
                Ok(None) => return Ok(()),
                Ok(Some(next)) => after = next,
                Err(EndlessPages) => {
                    return Err(CatalogError::Malformed("the pages of repositories lead in a circle".into()));
                }
            }
        }
    }

    /// Reads what every repository of the snapshot holds.
    async fn read_contents(&self, found_all: bool) -> Result<Round, CatalogError> {
        let names = self.snapshot.names();
        let mut round = Round { all: names.len(), failed: 0 };
        self.snapshot.progress(|progress| *progress = ReadProgress { found: names.len(), found_all, read: 0 });
        let mut reads = stream::iter(names).map(|name| self.read(name)).buffer_unordered(self.options.concurrency);
        let mut failed_in_a_row = 0;
        while let Some(Read { entry, began, failure }) = reads.next().await {
            self.snapshot.put(entry, began);
            self.snapshot.progress(|progress| progress.read += 1);
            if failure.is_none() {
                failed_in_a_row = 0;
                continue;
            }
            round.failed += 1;
            failed_in_a_row += 1;
            if let Some(error) = failure.filter(|_| round.failed == 1) {
                tracing::warn!("Unable to read a repository completely: {}", describe(&error));
            }
            if failed_in_a_row >= MAX_FAILED_IN_A_ROW {
                // Not a few odd repositories, perhaps: do not wait for each of thousands when the registry is away.
                self.images.check().await?;
                failed_in_a_row = 0;
            }
        }
        Ok(round)
    }

    /// Reads what a repository holds; what could not be read stays as it was.
    async fn read(&self, name: RepositoryName) -> Read {
        let began = self.snapshot.tick();
        let before =
            self.snapshot.entry(&name).map_or_else(|| RepositoryEntry::unread(name.clone()), Arc::unwrap_or_clone);
        let room = self.snapshot.room(&name);
        let TagList { mut tags, incomplete } = match self.images.tags(&name).await {
            Ok(list) => list,
            Err(error) => {
                let fault = Some(fault::of_repository(&error, self.clock.now()));
                return Read { entry: RepositoryEntry { fault, ..before }, began, failure: Some(error) };
            }
        };
        if incomplete.is_some() {
            // What was there before may be on the pages that are missing.
            tags.extend(before.tags.iter().map(|entry| entry.tag.clone()));
            tags.extend(before.attachments.iter().cloned());
        }
        tags.sort_unstable();
        tags.dedup();
        // Signatures and other attachments belong to the image that they are of.
        let (mut attachments, mut tags): (Vec<Tag>, Vec<Tag>) = tags.into_iter().partition(Tag::is_referrer);
        let truncated = incomplete.is_some() || tags.len() + attachments.len() > room;
        tags.truncate(room);
        attachments.truncate(room - tags.len());
        let failures = Failures::default();
        let tags = stream::iter(tags).map(|tag| self.read_tag(&before, tag, &failures));
        let tags = tags.buffered(self.options.concurrency).collect::<Vec<_>>().await;
        let now = self.clock.now();
        let failure = failures.first.into_inner();
        let fault = match &incomplete {
            Some(error) => Some(fault::of_tags(error, now)),
            None => failure.as_ref().map(|error| fault::of_repository(error, now)),
        };
        let failure = incomplete.or(failure);
        let entry = RepositoryEntry {
            name,
            summary: RepositorySummary::of(&tags),
            tags: tags.into(),
            attachments: attachments.into(),
            truncated,
            read_at: Some(now),
            fault,
        };
        Read { entry, began, failure }
    }

    async fn read_tag(&self, before: &RepositoryEntry, tag: Tag, failures: &Failures) -> TagEntry {
        let before_target = before.tag(&tag).map_or(TagTarget::Unknown, |entry| entry.target.clone());
        if failures.number.load(Ordering::Relaxed) >= MAX_FAILED_TAGS {
            return TagEntry { tag, target: before_target };
        }
        let (target, failure) = self.images.target(&before.name, &tag, before_target).await;
        if let Some(failure) = failure {
            failures.number.fetch_add(1, Ordering::Relaxed);
            failures.first.lock().get_or_insert(failure);
        }
        TagEntry { tag, target }
    }
}

/// A read of the whole registry.
#[derive(Default)]
struct Round {
    all: usize,
    failed: usize,
}

/// A read of the whole registry that failed.
struct Unread {
    error: CatalogError,
    /// Whether a part of the repositories was listed.
    listed: bool,
}

/// A read of one repository.
struct Read {
    entry: RepositoryEntry,
    began: Tick,
    failure: Option<CatalogError>,
}

/// The tags of a repository that could not be read.
#[derive(Default)]
struct Failures {
    number: AtomicUsize,
    first: Mutex<Option<CatalogError>>,
}

#[cfg(test)]
mod tests;
