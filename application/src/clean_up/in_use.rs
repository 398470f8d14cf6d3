//! What runs, to look images up in.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use staticreg_domain::{
    Digest, RepositoryName, Tag,
    running::{Running, RunningImage, SourceName},
};

use crate::{
    browse::usage::{ByTag, contents},
    catalog::{Blob, TagEntry},
};

/// A source that was not heard for longer may run something else by now.
pub const SILENT_AFTER: TimeDelta = TimeDelta::hours(24);

/// Who told what runs, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceHeard {
    /// Who.
    pub source: SourceName,
    /// When.
    pub heard_at: DateTime<Utc>,
    /// How many images run there.
    pub images: usize,
}

/// What tells one state of what was heard from another: when each source was heard. The clocks of servers differ, so the
/// last of them would not do.
pub(super) type Stamp = Vec<DateTime<Utc>>;

/// All that runs anywhere, and the place of the source that told it.
#[derive(Default)]
pub(super) struct InUse {
    pub(super) sources: Vec<SourceHeard>,
    tagged: ByTag<usize>,
    digests: HashMap<Digest, usize>,
    /// The digests again, as blobs are known by: Docker calls an image by its configuration.
    blobs: HashMap<u64, usize>,
}

impl InUse {
    pub(super) fn new(told: Vec<Running>) -> Self {
        let mut in_use = Self::default();
        for (place, Running { source, heard_at, images }) in told.into_iter().enumerate() {
            in_use.sources.push(SourceHeard { source, heard_at, images: images.len() });
            for image in images {
                match image {
                    RunningImage::Tagged(repository, tag) => {
                        in_use.tagged.entry(repository).or_default().insert(tag, place);
                    }
                    RunningImage::Digest(digest) => {
                        in_use.blobs.insert(Blob::id_of(&digest), place);
                        in_use.digests.insert(digest, place);
                    }
                }
            }
        }
        in_use
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.sources.iter().map(|source| source.heard_at).collect()
    }

    /// Where a tag, what it points to, or an image of an index that it points to, runs.
    pub(super) fn source(&self, repository: &RepositoryName, entry: &TagEntry) -> Option<&SourceName> {
        let by_tag = || self.of_tag(repository, &entry.tag);
        let by_digest = || contents(entry).find_map(|digest| self.digests.get(digest));
        let by_configuration = || {
            let blobs = entry.image().into_iter().flat_map(|image| &image.blobs);
            blobs.into_iter().find_map(|blob| self.blobs.get(&blob.id))
        };
        let place = by_tag().or_else(by_digest).or_else(by_configuration)?;
        self.sources.get(*place).map(|heard| &heard.source)
    }

    fn of_tag(&self, repository: &RepositoryName, tag: &Tag) -> Option<&usize> {
        self.tagged.get(repository)?.get(tag)
    }
}
