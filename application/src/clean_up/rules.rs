//! What keeps a tag. In doubt something does.
//!
//! Only what is in the same repository can keep a tag by holding the same: who pulls from a repository needs what is in it.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use staticreg_domain::{Digest, Tag, version_order};

use super::{
    CleanupQuestion,
    counted::Counted,
    in_use::InUse,
    report::{Keeper, Verdict},
};
use crate::{
    browse::usage::contents,
    catalog::{ImageSummary, RepositoryEntry, TagEntry},
};

/// A repository whose tags are looked at.
pub(super) struct Judge<'a> {
    repository: &'a RepositoryEntry,
    question: &'a CleanupQuestion,
    counted: &'a Counted,
    in_use: &'a InUse,
    /// The newest images.
    latest: HashSet<&'a Digest>,
    /// What signatures and other attachments belong to, and their tags.
    subjects: HashMap<Digest, &'a Tag>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        repository: &'a RepositoryEntry,
        question: &'a CleanupQuestion,
        counted: &'a Counted,
        in_use: &'a InUse,
    ) -> Self {
        let subjects = repository.attachments.iter().filter_map(|tag| Some((tag.subject()?, tag))).collect();
        let mut judge = Self { repository, question, counted, in_use, latest: HashSet::new(), subjects };
        judge.latest = judge.latest();
        judge
    }

    /// What becomes of each tag, in their order.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let tags = &self.repository.tags;
        let mut verdicts: Vec<Option<Keeper>> = tags.iter().map(|entry| self.keeper(entry)).collect();
        // Who needs a tag needs all that it points to.
        let mut held: HashMap<&Digest, &TagEntry> = HashMap::new();
        for (entry, _) in tags.iter().zip(&verdicts).filter(|(_, keeper)| keeper.is_some()) {
            contents(entry).for_each(|digest| {
                held.entry(digest).or_insert(entry);
            });
        }
        for (entry, keeper) in tags.iter().zip(&mut verdicts).filter(|(_, keeper)| keeper.is_none()) {
            *keeper = entry.digest().and_then(|digest| Some((digest, held.get(digest)?))).map(|(digest, holder)| {
                let tag = holder.tag.clone();
                if holder.digest() == Some(digest) { Keeper::SameImage(tag) } else { Keeper::Index(tag) }
            });
        }
        let is_never_pulled = |tag| self.counted.of_tag(&self.repository.name, tag).last_pulled_at.is_none();
        tags.iter()
            .zip(verdicts)
            .map(|(entry, keeper)| match keeper {
                Some(keeper) => Verdict::Kept(keeper),
                None if is_never_pulled(&entry.tag) => Verdict::NeverPulled,
                None => Verdict::NotPulledSince,
            })
            .collect()
    }

    /// What keeps a tag, whatever becomes of the others.
    fn keeper(&self, entry: &TagEntry) -> Option<Keeper> {
        let Self { question, counted, .. } = self;
        let Some(image) = entry.image().filter(|image| image.children.len() < ImageSummary::MAX_CHILDREN) else {
            return Some(Keeper::Unread);
        };
        let used = counted.of_tag(&self.repository.name, &entry.tag);
        let is_new = |at: &DateTime<Utc>| at.date_naive() >= counted.window.from();
        let first_of = |digests: &HashSet<Digest>| contents(entry).find(|digest| digests.contains(*digest)).cloned();
        let keepers: [&dyn Fn() -> Option<Keeper>; 11] = [
            &|| used.last_pulled_at.filter(is_new).map(Keeper::Pulled),
            &|| self.in_use.source(&self.repository.name, entry).cloned().map(Keeper::Running),
            &|| used.last_pushed_at.filter(is_new).map(Keeper::Pushed),
            &|| image.created.filter(is_new).map(Keeper::Made),
            &|| first_of(&counted.by_digest).map(Keeper::PulledByDigest),
            &|| first_of(&counted.by_tag).map(Keeper::PulledByAnotherTag),
            &|| (used.version_checks > 0).then_some(Keeper::VersionChecks(used.version_checks)),
            &|| question.keep_tags.as_ref().filter(|pattern| pattern.fits(&entry.tag)).map(|_| Keeper::KeepTags),
            &|| self.latest.contains(&image.digest).then_some(Keeper::KeepLatest),
            &|| contents(entry).find_map(|digest| self.subjects.get(digest)).map(|tag| Keeper::Signed((*tag).clone())),
            &|| {
                let is_watched = counted.watched_since.is_some_and(|since| since <= counted.window.from());
                (!is_watched).then_some(Keeper::NotWatched)
            },
        ];
        keepers.into_iter().find_map(|keeper| keeper())
    }

    /// The newest images, by when they were made or pushed; of those that tell neither, by the order of their tags.
    fn latest(&self) -> HashSet<&'a Digest> {
        let mut images: HashMap<&Digest, (Option<DateTime<Utc>>, &str)> = HashMap::new();
        for entry in &self.repository.tags {
            let Some(image) = entry.image() else { continue };
            let pushed = self.counted.of_tag(&self.repository.name, &entry.tag).last_pushed_at;
            let (at, tag) = images.entry(&image.digest).or_insert((image.created, entry.tag.as_str()));
            *at = pushed.max(*at);
            if version_order::compare(tag, entry.tag.as_str()).is_lt() {
                *tag = entry.tag.as_str();
            }
        }
        let mut newest: Vec<_> = images.into_iter().collect();
        newest.sort_unstable_by(|(_, (at, tag)), (_, (other_at, other))| {
            other_at.cmp(at).then_with(|| version_order::compare(other, tag))
        });
        let keep = usize::try_from(self.question.keep_latest).unwrap_or(usize::MAX);
        newest.into_iter().take(keep).map(|(digest, _)| digest).collect()
    }
}
