//! The list, and what there is to say of it.

use std::{cmp::Ordering, collections::HashSet, sync::Arc};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{Digest, ManifestKind, RepositoryName, Tag, metrics::DateRange, running::SourceName};

use super::{
    CleanupQuestion, Listed,
    counted::{Counted, OfTag},
    in_use::{InUse, SILENT_AFTER, SourceHeard},
    rules::Judge,
};
use crate::catalog::{RepositoryEntry, TagEntry};

/// What keeps a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// It was pulled, last at this time.
    Pulled(DateTime<Utc>),
    /// It runs, as this source told.
    Running(SourceName),
    /// It was pushed at this time.
    Pushed(DateTime<Utc>),
    /// Its image was made at this time.
    Made(DateTime<Utc>),
    /// It holds what was pulled by this digest.
    PulledByDigest(Digest),
    /// It holds what was pulled by another tag, which pointed to this digest then.
    PulledByAnotherTag(Digest),
    /// It was looked up so often: whoever does has a copy, and may fetch it again.
    VersionChecks(u64),
    /// It fits the pattern of tags to keep.
    KeepTags,
    /// It is one of the newest images.
    KeepLatest,
    /// What it holds has a signature or another attachment, of this tag.
    Signed(Tag),
    /// A tag that stays points to the same.
    SameImage(Tag),
    /// It is part of an index that a tag points to which stays.
    Index(Tag),
    /// What it points to is not known, or not all of it.
    Unread,
    /// It was not watched for so long.
    NotWatched,
}

/// What becomes of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was never pulled while it was watched, so it may go.
    NeverPulled,
    /// It was not pulled for so long that it may go.
    NotPulledSince,
    /// It stays.
    Kept(Keeper),
}

impl Verdict {
    fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }
}

/// How much becomes free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// The size of layers and configurations that no tag of the repository holds which stays, in bytes.
    pub bytes: u64,
    /// Whether that is all. It is not where something is an index: only its first image is known by its layers.
    pub is_exact: bool,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupItem {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// What it points to, when that is known.
    pub digest: Option<Digest>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// When its image was made, when that is told.
    pub created: Option<DateTime<Utc>>,
    /// The last pull by this tag; none when there was none while watched.
    pub last_pulled_at: Option<DateTime<Utc>>,
    /// Pulls by this tag in the days asked for.
    pub pulls: u64,
    /// Look-ups of this tag in the days asked for.
    pub version_checks: u64,
    /// Its size, when it is known: what one pull moves.
    pub size: Option<u64>,
    /// What only it and others that may go hold; nothing of what stays.
    pub freed: Freed,
    /// Since when its pulls are counted; none when nothing ever was counted.
    pub watched_since: Option<NaiveDate>,
}

/// A place in the list.
pub type Place = (Option<DateTime<Utc>>, RepositoryName, Tag);

impl CleanupItem {
    /// Its place in the list.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.last_pulled_at, self.repository.clone(), self.tag.clone())
    }

    fn compare(&self, (last_pulled_at, repository, tag): &Place) -> Ordering {
        (&self.last_pulled_at, &self.repository, &self.tag).cmp(&(last_pulled_at, repository, tag))
    }
}

/// The list.
#[derive(Clone, Debug)]
pub struct Cleanup {
    /// What was asked.
    pub question: CleanupQuestion,
    /// When the counts were asked for.
    pub at: DateTime<Utc>,
    /// The days in which what is used stays.
    pub window: DateRange,
    /// Since when is counted; none when nothing ever was, and then nothing may go.
    pub watched_since: Option<NaiveDate>,
    /// Whether there is a registry to look into.
    pub has_registry: bool,
    /// How many repositories are left out, for not all of them could be read.
    pub unread_repositories: usize,
    /// Who told what runs, by name.
    pub sources: Vec<SourceHeard>,
    /// The tags that are listed: never pulled first, then the longest ago.
    pub items: Vec<CleanupItem>,
    /// How many tags may go.
    pub candidates: usize,
    /// How many tags stay.
    pub kept: usize,
    /// How much becomes free when all go that may.
    pub freed: Freed,
}

impl Cleanup {
    /// When anybody told last what runs.
    #[must_use]
    pub fn heard_at(&self) -> Option<DateTime<Utc>> {
        self.sources.iter().map(|source| source.heard_at).max()
    }

    /// The sources that were not heard for long.
    pub fn silent_sources(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SourceHeard> {
        self.sources.iter().filter(move |source| now - source.heard_at > SILENT_AFTER)
    }

    /// The items behind a place, at most so many; and whether there are more.
    #[must_use]
    pub fn page(&self, after: Option<&Place>, limit: usize) -> (&[CleanupItem], bool) {
        let start = after.map_or(0, |place| self.items.partition_point(|item| item.compare(place).is_le()));
        let end = start.saturating_add(limit).min(self.items.len());
        (&self.items[start..end], end < self.items.len())
    }
}

pub(super) fn of(question: CleanupQuestion, counted: &Counted, at: DateTime<Utc>, in_use: &InUse) -> Cleanup {
    let mut cleanup = Cleanup {
        at,
        window: counted.window,
        watched_since: counted.watched_since,
        has_registry: counted.snapshot.is_some(),
        unread_repositories: 0,
        sources: in_use.sources.clone(),
        items: Vec::new(),
        candidates: 0,
        kept: 0,
        freed: Freed { bytes: 0, is_exact: true },
        question,
    };
    let repositories = counted.snapshot.as_ref().map(|snapshot| snapshot.repositories()).unwrap_or_default();
    for repository in repositories {
        if cleanup.question.folder.as_ref().is_some_and(|folder| !folder.holds(repository.name.as_str())) {
            continue;
        }
        // Else a tag that nobody knows of may hold what another one does.
        if repository.is_complete() {
            cleanup.add(repository, counted, in_use);
        } else {
            cleanup.unread_repositories += 1;
        }
    }
    cleanup.items.sort_unstable_by(|a, b| a.compare(&b.place()));
    cleanup
}

impl Cleanup {
    fn add(&mut self, repository: &Arc<RepositoryEntry>, counted: &Counted, in_use: &InUse) {
        let verdicts = Judge::new(repository, &self.question, counted, in_use).verdicts();
        let judged = || repository.tags.iter().zip(&verdicts);
        let kept: HashSet<u64> = judged()
            .filter(|(_, verdict)| verdict.is_kept())
            .flat_map(|(entry, _)| blobs(entry))
            .map(|(id, _)| id)
            .collect();
        let is_exact = judged().all(|(entry, verdict)| !verdict.is_kept() || is_exact(entry));
        let mut freed = HashSet::new();
        for (entry, verdict) in judged() {
            if verdict.is_kept() {
                self.kept += 1;
            } else {
                self.candidates += 1;
                self.freed.is_exact &= is_exact && self::is_exact(entry);
                freed.extend(blobs(entry).filter(|(id, _)| !kept.contains(id)));
            }
            if verdict.is_kept() == (self.question.listed == Listed::Kept) {
                let bytes = blobs(entry).filter(|(id, _)| !kept.contains(id)).map(|(_, size)| size);
                let freed =
                    Freed { bytes: bytes.fold(0, u64::saturating_add), is_exact: is_exact && self::is_exact(entry) };
                self.items.push(item(repository, entry, verdict.clone(), freed, counted));
            }
        }
        self.freed.bytes = freed.into_iter().map(|(_, size)| size).fold(self.freed.bytes, u64::saturating_add);
    }
}

fn item(
    repository: &RepositoryEntry,
    entry: &TagEntry,
    verdict: Verdict,
    freed: Freed,
    counted: &Counted,
) -> CleanupItem {
    let OfTag { last_pulled_at, last_pushed_at, pulls, version_checks } = counted.of_tag(&repository.name, &entry.tag);
    let image = entry.image();
    CleanupItem {
        repository: repository.name.clone(),
        tag: entry.tag.clone(),
        digest: entry.digest().cloned(),
        verdict,
        created: image.and_then(|image| image.created),
        last_pulled_at,
        pulls,
        version_checks,
        size: image.map(|image| image.size),
        freed,
        // Before its push it was another image's tag, or none.
        watched_since: counted.watched_since.max(last_pushed_at.map(|at| at.date_naive())),
    }
}

fn blobs(entry: &TagEntry) -> impl Iterator<Item = (u64, u64)> {
    entry.image().into_iter().flat_map(|image| &image.blobs).map(|blob| (blob.id, blob.size))
}

/// Whether all that a tag holds is known by its layers.
fn is_exact(entry: &TagEntry) -> bool {
    entry.image().is_some_and(|image| image.kind == ManifestKind::Image || image.children.is_empty())
}
