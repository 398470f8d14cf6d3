//! The snapshot of the registry that pages show.

use std::{
    borrow::Cow,
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use staticreg_domain::{
    Digest, ManifestKind, Platform, RepositoryName, Tag,
    catalog::{Artifact, Descriptor, Reference},
};
use tokio::sync::watch;

/// What the registry held when it was last read. It never changes; a newer snapshot takes its place.
#[derive(Clone, Debug, Default)]
pub struct CatalogSnapshot {
    revision: u64,
    repositories: Arc<[Arc<RepositoryEntry>]>,
    totals: CatalogTotals,
    status: ReadStatus,
}

impl CatalogSnapshot {
    /// The snapshot of these repositories, whatever their order; each name once. A later snapshot has a larger `revision`.
    #[must_use]
    pub fn new(revision: u64, mut repositories: Vec<Arc<RepositoryEntry>>, status: ReadStatus) -> Self {
        repositories.sort_by(|a, b| a.name.cmp(&b.name));
        repositories.dedup_by(|a, b| a.name == b.name);
        let totals = CatalogTotals::from_repositories(&repositories);
        Self { revision, repositories: repositories.into(), totals, status }
    }

    /// Grows whenever what the snapshot shows has changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The repositories, in the order of their names' bytes.
    #[must_use]
    pub fn repositories(&self) -> &[Arc<RepositoryEntry>] {
        &self.repositories
    }

    /// The repository of a name.
    #[must_use]
    pub fn repository(&self, name: &RepositoryName) -> Option<&Arc<RepositoryEntry>> {
        let found = self.repositories.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        self.repositories.get(found)
    }

    /// How much there is in all.
    #[must_use]
    pub fn totals(&self) -> CatalogTotals {
        self.totals
    }

    /// How old the snapshot is, and what stands in the way of a newer one.
    #[must_use]
    pub fn status(&self) -> &ReadStatus {
        &self.status
    }
}

/// How much the registry holds in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CatalogTotals {
    /// Repositories, the ones without tags too.
    pub repositories: usize,
    /// Tags.
    pub tags: usize,
    /// Different images and indexes that tags point to, of those that could be read.
    pub images: usize,
    /// The sum of these images' sizes in bytes ([`ImageSummary::size`]); layers that images share count for each.
    pub size: u64,
}

impl CatalogTotals {
    pub(super) fn from_repositories(repositories: &[Arc<RepositoryEntry>]) -> Self {
        let mut totals = Self { repositories: repositories.len(), ..Self::default() };
        let mut seen = HashSet::new();
        for entry in repositories.iter().flat_map(|repository| &repository.tags) {
            totals.tags += 1;
            if let Some(image) = entry.image()
                && seen.insert(&image.digest)
            {
                totals.images += 1;
                totals.size = totals.size.saturating_add(image.size);
            }
        }
        totals
    }
}

/// How old a snapshot is, and what stands in the way of a newer one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadStatus {
    /// When the last read of the whole registry ended; none while, or as long as, there was none.
    pub read_at: Option<DateTime<Utc>>,
    /// How far the first read is; none once there is a whole snapshot.
    pub progress: Option<ReadProgress>,
    /// What went wrong in the last read of the whole registry; none after one without failures.
    pub fault: Option<ReadFault>,
}

/// How far the first read is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadProgress {
    /// Repositories found so far.
    pub found: usize,
    /// Whether these are all.
    pub found_all: bool,
    /// How many of them were read, or could not be.
    pub read: usize,
}

/// A failure, told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFault {
    /// A sentence.
    pub text: Cow<'static, str>,
    /// When it last happened.
    pub at: DateTime<Utc>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryEntry {
    /// Its name.
    pub name: RepositoryName,
    /// Its tags, in the order of their bytes.
    pub tags: Box<[TagEntry]>,
    /// The tags of signatures and other attachments, in the order of their bytes; they are none of `tags`.
    pub attachments: Box<[Tag]>,
    /// What the tags come to, see [`RepositorySummary::of`].
    pub summary: RepositorySummary,
    /// Whether there are more tags than are kept.
    pub truncated: bool,
    /// When the tags were last read; none when they never were.
    pub read_at: Option<DateTime<Utc>>,
    /// Why the last try to read it failed, wholly or for some tags; what is shown of these is older, or missing.
    pub fault: Option<ReadFault>,
}

impl RepositoryEntry {
    /// A repository of which only the name is known.
    #[must_use]
    pub fn unread(name: RepositoryName) -> Self {
        Self {
            name,
            tags: Box::default(),
            attachments: Box::default(),
            summary: RepositorySummary::default(),
            truncated: false,
            read_at: None,
            fault: None,
        }
    }

    /// Whether all that it holds is known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.read_at.is_some() && !self.truncated && self.fault.is_none()
    }

    /// The entry of a tag.
    #[must_use]
    pub fn tag(&self, tag: &Tag) -> Option<&TagEntry> {
        let found = self.tags.binary_search_by(|entry| entry.tag.cmp(tag)).ok()?;
        self.tags.get(found)
    }

    /// The tags of what is attached to a digest.
    #[must_use]
    pub fn attachments_of(&self, digest: &Digest) -> &[Tag] {
        let prefix = digest.as_str().replacen(':', "-", 1);
        let from = self.attachments.partition_point(|tag| tag.as_str() < prefix.as_str());
        let rest = &self.attachments[from..];
        &rest[..rest.partition_point(|tag| tag.as_str().starts_with(&prefix))]
    }
}

/// What the tags of a repository come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositorySummary {
    /// Different images and indexes that tags point to, of those that could be read.
    pub images: usize,
    /// The sum of these images' sizes in bytes, as in [`CatalogTotals::size`].
    pub size: u64,
    /// The platforms of all of them, at most [`RepositorySummary::MAX_PLATFORMS`].
    pub platforms: Arc<[Platform]>,
    /// What is not an image to run, each once, at most [`RepositorySummary::MAX_ARTIFACTS`].
    pub artifacts: Box<[Artifact]>,
}

impl RepositorySummary {
    /// The most platforms that are told.
    pub const MAX_PLATFORMS: usize = 16;
    /// The most kinds of artifacts that are told.
    pub const MAX_ARTIFACTS: usize = 4;

    /// What some tags come to.
    #[must_use]
    pub fn of(tags: &[TagEntry]) -> Self {
        let mut summary = Self::default();
        let (mut seen, mut artifacts) = (HashSet::new(), Vec::new());
        for image in tags.iter().filter_map(TagEntry::image) {
            if !seen.insert(&image.digest) {
                continue;
            }
            summary.images += 1;
            summary.size = summary.size.saturating_add(image.size);
            if image.platforms.iter().any(|platform| !summary.platforms.contains(platform)) {
                summary.platforms = joined(&summary.platforms, &image.platforms);
            }
            let is_new = image.artifact != Artifact::Image && !artifacts.contains(&image.artifact);
            if is_new && artifacts.len() < Self::MAX_ARTIFACTS {
                artifacts.push(image.artifact.clone());
            }
        }
        summary.artifacts = artifacts.into();
        summary
    }
}

/// Platforms and more of them. Most repositories have those of any of their images, which are shared then.
fn joined(platforms: &Arc<[Platform]>, more: &Arc<[Platform]>) -> Arc<[Platform]> {
    if platforms.iter().all(|platform| more.contains(platform)) && more.len() <= RepositorySummary::MAX_PLATFORMS {
        return more.clone();
    }
    let new = more.iter().filter(|platform| !platforms.contains(platform));
    platforms.iter().chain(new).take(RepositorySummary::MAX_PLATFORMS).cloned().collect()
}

/// A tag and what it points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagEntry {
    /// The tag.
    pub tag: Tag,
    /// What it points to.
    pub target: TagTarget,
}

impl TagEntry {
    /// The digest it points to, when known.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        match &self.target {
            TagTarget::Unknown => None,
            TagTarget::Unread(digest) => Some(digest),
            TagTarget::Image(image) => Some(&image.digest),
        }
    }

    /// What to ask the registry for: content under a digest is remembered, a tag would be asked for anew.
    #[must_use]
    pub fn reference(&self) -> Reference {
        self.digest().map_or_else(|| Reference::Tag(self.tag.clone()), |digest| Reference::Digest(digest.clone()))
    }

    /// The image or index it points to, when it could be read.
    #[must_use]
    pub fn image(&self) -> Option<&Arc<ImageSummary>> {
        match &self.target {
            TagTarget::Image(image) => Some(image),
            TagTarget::Unknown | TagTarget::Unread(_) => None,
        }
    }
}

/// What a tag points to, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagTarget {
    /// The registry did not tell.
    Unknown,
    /// This digest, whose content could not be read.
    Unread(Digest),
    /// This image or index.
    Image(Arc<ImageSummary>),
}

/// An image or an index, in short; tags that point to the same share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// The digest of the manifest.
    pub digest: Digest,
    /// Whether it is an image's or an index.
    pub kind: ManifestKind,
    /// What it is to people.
    pub artifact: Artifact,
    /// The platforms, in the registry's order; of an image at most one. None are told of what is no image to run, such
    /// as a chart.
    pub platforms: Arc<[Platform]>,
    /// The manifests an index lists, those of indexes in it too; none of an image. Beyond
    /// [`ImageSummary::MAX_CHILDREN`] they are not told.
    pub children: Box<[Digest]>,
    /// What one pull moves, in bytes: the compressed layers and the configuration; of an index those of its first
    /// image with a platform.
    pub size: u64,
    /// When the image was made, of an index the same first image; none when it does not tell.
    pub created: Option<DateTime<Utc>>,
    /// Its layers and its configuration, of an index those of the same first image, each once.
    pub blobs: Box<[Blob]>,
}

/// A layer or a configuration. Of its digest only so much is kept that a repository's are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blob {
    /// A hash of its digest.
    pub id: u64,
    /// Its size in bytes, as stored.
    pub size: u64,
}

impl Blob {
    /// The blob of a digest and a size.
    #[must_use]
    pub fn new(digest: &Digest, size: u64) -> Self {
        Self { id: Self::id_of(digest), size }
    }

    /// What a blob of this digest is known by.
    #[must_use]
    pub fn id_of(digest: &Digest) -> u64 {
        let mut hasher = DefaultHasher::new();
        digest.hash(&mut hasher);
        hasher.finish()
    }

    /// All of them, each once.
    pub(super) fn all<'a>(descriptors: impl IntoIterator<Item = &'a Descriptor>) -> Box<[Self]> {
        let mut blobs: Vec<Self> =
            descriptors.into_iter().map(|descriptor| Self::new(&descriptor.digest, descriptor.size)).collect();
        blobs.sort_unstable();
        blobs.dedup_by_key(|blob| blob.id);
        blobs.into()
    }
}

impl ImageSummary {
    /// The most children of an index that are kept.
    pub const MAX_CHILDREN: usize = 256;
}

/// The way to the newest snapshot: cheap to clone, never waits.
#[derive(Clone, Debug)]
pub struct CatalogSnapshots {
    newest: watch::Receiver<Arc<CatalogSnapshot>>,
    next_read_at: watch::Receiver<Option<DateTime<Utc>>>,
}

impl CatalogSnapshots {
    /// A view of what the senders show.
    pub(super) fn new(
        newest: watch::Receiver<Arc<CatalogSnapshot>>,
        next_read_at: watch::Receiver<Option<DateTime<Utc>>>,
    ) -> Self {
        Self { newest, next_read_at }
    }

    /// One that never changes, for tests of what shows it.
    #[must_use]
    pub fn fixed(snapshot: CatalogSnapshot) -> Self {
        Self::new(watch::channel(Arc::new(snapshot)).1, watch::channel(None).1)
    }

    /// The newest snapshot; an empty one until the first read has found something.
    #[must_use]
    pub fn snapshot(&self) -> Arc<CatalogSnapshot> {
        self.newest.borrow().clone()
    }

    /// When the next read of the whole registry begins; none while one goes on.
    #[must_use]
    pub fn next_read_at(&self) -> Option<DateTime<Utc>> {
        *self.next_read_at.borrow()
    }

    /// Waits until the snapshot satisfies the condition, and answers it; none when it will never change again.
    pub async fn wait_for(&self, mut condition: impl FnMut(&CatalogSnapshot) -> bool) -> Option<Arc<CatalogSnapshot>> {
        let mut receiver = self.newest.clone();
        let snapshot = receiver.wait_for(|snapshot| condition(snapshot)).await.ok()?;
        Some(snapshot.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(seed: &str, size: u64) -> Arc<ImageSummary> {
        Arc::new(ImageSummary {
            digest: format!("sha256:{}", seed.repeat(32)).parse().unwrap(),
            kind: ManifestKind::Image,
            artifact: Artifact::Image,
            platforms: [].into(),
            children: [].into(),
            size,
            created: None,
            blobs: [].into(),
        })
    }

    fn repository(name: &str, tags: &[(&str, TagTarget)]) -> Arc<RepositoryEntry> {
        let tags =
            tags.iter().map(|(tag, target)| TagEntry { tag: tag.parse().unwrap(), target: target.clone() }).collect();
        Arc::new(RepositoryEntry { tags, ..RepositoryEntry::unread(name.parse().unwrap()) })
    }

    #[test]
    fn repositories_are_in_byte_order_and_found_by_name() {
        let entries = ["b", "a/b", "a-b", "a.b", "a"].map(|name| repository(name, &[])).to_vec();
        let snapshot = CatalogSnapshot::new(1, entries, ReadStatus::default());
        let names: Vec<&str> = snapshot.repositories().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a", "a-b", "a.b", "a/b", "b"]);
        for name in names {
            assert_eq!(snapshot.repository(&name.parse().unwrap()).unwrap().name.as_str(), name);
        }
        assert!(snapshot.repository(&"c".parse().unwrap()).is_none());
    }

    #[test]
    fn totals_count_an_image_once_however_many_tags_point_to_it() {
        let shared = TagTarget::Image(image("aa", 10));
        let unread = TagTarget::Unread(image("cc", 0).digest.clone());
        let snapshot = CatalogSnapshot::new(
            1,
            vec![
                repository("a", &[("1", shared.clone()), ("latest", shared.clone())]),
                repository("b", &[("1", shared), ("2", TagTarget::Image(image("bb", 5))), ("3", unread)]),
                repository("c", &[]),
            ],
            ReadStatus::default(),
        );
        assert_eq!(snapshot.totals(), CatalogTotals { repositories: 3, tags: 5, images: 2, size: 15 });
    }

    #[test]
    fn a_repository_tells_what_its_tags_come_to() {
        let of = |seed: &str, platforms: &[&str], artifact: Artifact| {
            let platforms = platforms.iter().filter_map(|name| Platform::new("linux", name, None)).collect();
            TagTarget::Image(Arc::new(ImageSummary { artifact, platforms, ..(*image(seed, 10)).clone() }))
        };
        let multi = of("aa", &["amd64", "arm64"], Artifact::Image);
        let tags = repository(
            "a",
            &[
                ("0", of("bb", &["amd64"], Artifact::Image)),
                ("1", multi.clone()),
                ("2", multi),
                ("3", of("cc", &["s390x"], Artifact::Image)),
                ("4", of("dd", &[], Artifact::Chart)),
                ("5", of("ee", &[], Artifact::Chart)),
                ("6", TagTarget::Unknown),
            ],
        );
        let summary = RepositorySummary::of(&tags.tags);
        assert_eq!((summary.images, summary.size), (5, 50));
        let platforms: Vec<_> = summary.platforms.iter().map(ToString::to_string).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64", "linux/s390x"]);
        assert_eq!(*summary.artifacts, [Artifact::Chart]);
        assert_eq!(RepositorySummary::of(&[]), RepositorySummary::default());
    }

    #[test]
    fn attachments_are_found_by_what_they_belong_to() {
        let [one, two] = ["aa", "bb"].map(|seed| image(seed, 0).digest.clone());
        let tag = |digest: &Digest, suffix: &str| -> Tag {
            format!("{}{suffix}", digest.as_str().replace(':', "-")).parse().unwrap()
        };
        let attachments = [tag(&one, ""), tag(&one, ".att"), tag(&one, ".sig"), tag(&two, ".sig")];
        let entry = RepositoryEntry {
            attachments: attachments.clone().into(),
            ..RepositoryEntry::unread("a".parse().unwrap())
        };
        assert_eq!(entry.attachments_of(&one), &attachments[..3]);
        assert_eq!(entry.attachments_of(&two), &attachments[3..]);
        assert_eq!(entry.attachments_of(&image("cc", 0).digest), &[] as &[Tag]);
        assert_eq!(entry.attachments_of(&image("a0", 0).digest), &[] as &[Tag]);
    }

    #[test]
    fn a_tag_tells_its_digest_even_when_the_image_could_not_be_read() {
        let digest = image("aa", 0).digest.clone();
        let repository = repository("a", &[("1", TagTarget::Unread(digest.clone())), ("2", TagTarget::Unknown)]);
        assert_eq!(repository.tag(&"1".parse().unwrap()).unwrap().digest(), Some(&digest));
        assert_eq!(repository.tag(&"1".parse().unwrap()).unwrap().image(), None);
        assert_eq!(repository.tag(&"2".parse().unwrap()).unwrap().digest(), None);
        assert!(repository.tag(&"3".parse().unwrap()).is_none());
    }
}
