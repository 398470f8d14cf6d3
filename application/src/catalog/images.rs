//! What tags point to, in short. Content is asked for once.

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
    hash::{Hash, Hasher},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use staticreg_domain::{
    Digest, Platform, RepositoryName, Tag,
    catalog::{
        Artifact, CatalogCursor, CatalogError, Descriptor, ImageConfiguration, IndexEntry, Manifest, ManifestContent,
        Reference, RegistryCatalog, RepositoriesPage, TagList,
    },
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::snapshot::{Blob, ImageSummary, TagTarget};

/// How many images of an index are tried until one is there.
const MAX_CHILDREN: usize = 3;
/// How many indexes within an index are looked into.
pub(super) const MAX_NESTED: usize = 4;
/// How deep indexes are looked into.
pub(super) const MAX_DEPTH: usize = 3;
/// Different lists of platforms that are shared.
const MAX_SHARED: usize = 10_000;

/// Reads images through the port, a few requests at a time.
pub(super) struct Images {
    catalog: Arc<dyn RegistryCatalog>,
    requests: Semaphore,
    known: Mutex<HashSet<ByDigest>>,
    platforms: Mutex<HashSet<Arc<[Platform]>>>,
    /// The content being read: who wants the same waits and finds it known.
    reading: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

/// What an image or index tells of itself.
#[derive(Default)]
struct Told {
    artifact: Artifact,
    platforms: Vec<Platform>,
    children: Vec<Digest>,
    size: u64,
    created: Option<DateTime<Utc>>,
    blobs: Box<[Blob]>,
}

/// A summary, found by its digest.
struct ByDigest(Arc<ImageSummary>);

impl Images {
    pub(super) fn new(catalog: Arc<dyn RegistryCatalog>, concurrency: usize) -> Self {
        Self {
            catalog,
            requests: Semaphore::new(concurrency.max(1)),
            known: Mutex::default(),
            platforms: Mutex::default(),
            reading: Mutex::default(),
        }
    }

    pub(super) async fn repositories(&self, after: Option<CatalogCursor>) -> Result<RepositoriesPage, CatalogError> {
        let _turn = self.turn().await;
        self.catalog.repositories(after).await
    }

    /// Whether the registry is there. It takes no turn: whoever asks may keep those who have one from going on.
    pub(super) async fn check(&self) -> Result<(), CatalogError> {
        self.catalog.repositories(None).await.map(|_| ())
    }

    pub(super) async fn tags(&self, repository: &RepositoryName) -> Result<TagList, CatalogError> {
        let _turn = self.turn().await;
        self.catalog.tags(repository).await
    }

    /// What a tag points to now. With the failure, if any, that hides it, comes what is known all the same: what it
    /// pointed to `before`.
    pub(super) async fn target(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        before: TagTarget,
    ) -> (TagTarget, Option<CatalogError>) {
        match self.read_target(repository, tag, &before).await {
            Ok(target) => (target, None),
            // Listed, but not there: a tag just deleted, or one whose manifest is lost.
            Err(CatalogError::NotFound(_)) => (TagTarget::Unknown, None),
            Err(error) => (before, Some(error)),
        }
    }

    /// Forgets what no snapshot shows any more.
    pub(super) fn forget_unused(&self) {
        self.known.lock().retain(|image| Arc::strong_count(&image.0) > 1);
        self.platforms.lock().retain(|platforms| Arc::strong_count(platforms) > 1);
    }

    async fn read_target(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        before: &TagTarget,
    ) -> Result<TagTarget, CatalogError> {
        if let TagTarget::Unknown = before {
            // Never seen: its manifest is wanted at once.
            match self.manifest(repository, &Reference::Tag(tag.clone())).await {
                Err(CatalogError::Malformed(_)) => {}
                manifest => return self.target_of(repository, manifest?).await,
            }
        }
        let digest = {
            let _turn = self.turn().await;
            self.catalog.resolve(repository, tag).await?
        };
        if let TagTarget::Image(image) = before
            && image.digest == digest
        {
            return Ok(before.clone());
        }
        match self.image(repository, &digest, 0).await {
            Ok(image) => Ok(TagTarget::Image(image)),
            // To ask again now would not help.
            Err(CatalogError::NotFound(_) | CatalogError::Malformed(_)) => Ok(TagTarget::Unread(digest)),
            Err(error) => Err(error),
        }
    }

    async fn target_of(&self, repository: &RepositoryName, manifest: Manifest) -> Result<TagTarget, CatalogError> {
        let digest = manifest.digest.clone();
        self.once(&digest, async || self.summary(repository, manifest, 0).await).await.map(TagTarget::Image)
    }

    /// The image or index of a digest.
    async fn image(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        depth: usize,
    ) -> Result<Arc<ImageSummary>, CatalogError> {
        self.once(digest, async || {
            let manifest = self.manifest(repository, &Reference::Digest(digest.clone())).await?;
            self.summary(repository, manifest, depth).await
        })
        .await
    }

    /// What is known of a digest, or becomes known by reading; whoever wants the same meanwhile waits for it.
    async fn once(
        &self,
        digest: &Digest,
        read: impl AsyncFnOnce() -> Result<ImageSummary, CatalogError>,
    ) -> Result<Arc<ImageSummary>, CatalogError> {
        if let Some(known) = self.known(digest) {
            return Ok(known);
        }
        let reading = self.reading.lock().entry(digest.clone()).or_default().clone();
        let _reading = reading.lock().await;
        if let Some(known) = self.known(digest) {
            return Ok(known);
        }
        let image = read().await.map(Arc::new);
        if let Ok(image) = &image {
            self.known.lock().insert(ByDigest(image.clone()));
        }
        self.reading.lock().remove(digest);
        image
    }

    fn known(&self, digest: &Digest) -> Option<Arc<ImageSummary>> {
        self.known.lock().get(digest).map(|image| image.0.clone())
    }

    async fn summary(
        &self,
        repository: &RepositoryName,
        manifest: Manifest,
        depth: usize,
    ) -> Result<ImageSummary, CatalogError> {
        let artifact = manifest.artifact();
        let Manifest { digest, content, created, .. } = manifest;
        let kind = content.kind();
        let told = match content {
            ManifestContent::Image { configuration, layers } => {
                let size = layers.iter().map(|layer| layer.size).fold(configuration.size, u64::saturating_add);
                let blobs = Blob::all(layers.iter().chain([&configuration]));
                let configuration = self.configuration(repository, &configuration).await?;
                Told {
                    artifact,
                    platforms: configuration.platform.into_iter().collect(),
                    children: Vec::new(),
                    size,
                    created: configuration.created,
                    blobs,
                }
            }
            // It lists no manifests.
            ManifestContent::Index(entries) if artifact == Artifact::BuildCache => {
                let size = entries.iter().map(|entry| entry.descriptor.size).fold(0, u64::saturating_add);
                let blobs = Blob::all(entries.iter().map(|entry| &entry.descriptor));
                Told { artifact, size, blobs, ..Told::default() }
            }
            ManifestContent::Index(entries) => {
                let told = self.index(repository, entries, depth).await?;
                if artifact == Artifact::Image { told } else { Told { artifact, ..told } }
            }
        };
        let Told { artifact, platforms, mut children, size, created: told, blobs } = told;
        children.truncate(ImageSummary::MAX_CHILDREN);
        Ok(ImageSummary {
            digest,
            kind,
            artifact,
            platforms: self.shared(platforms),
            children: children.into(),
            size,
            created: told.or(created),
            blobs,
        })
    }

    async fn configuration(
        &self,
        repository: &RepositoryName,
        configuration: &Descriptor,
    ) -> Result<ImageConfiguration, CatalogError> {
        if configuration.artifact() != Artifact::Image {
            return Ok(ImageConfiguration::default());
        }
        let _turn = self.turn().await;
        match self.catalog.configuration(repository, &configuration.digest).await {
            // The image is there; it only tells less of itself.
            Err(CatalogError::NotFound(_) | CatalogError::Malformed(_)) => Ok(ImageConfiguration::default()),
            configuration => configuration,
        }
    }

    /// The platforms and manifests of an index, and size and age of its first image.
    async fn index(
        &self,
        repository: &RepositoryName,
        mut entries: Vec<IndexEntry>,
        depth: usize,
    ) -> Result<Told, CatalogError> {
        let mut platforms: Vec<Platform> = entries.iter().filter_map(|entry| entry.platform.clone()).collect();
        let mut children: Vec<Digest> = entries.iter().map(|entry| entry.descriptor.digest.clone()).collect();
        // Images with a platform, then indexes, last what may be an attestation.
        entries.sort_by_key(|entry| (entry.platform.is_none(), !entry.may_be_index()));
        let (mut first, mut nested, mut tried) = (None, 0, 0);
        for entry in &entries {
            let look_into = entry.may_be_index() && nested < MAX_NESTED;
            let choose = first.is_none() && tried < MAX_CHILDREN;
            if depth >= MAX_DEPTH || !(look_into || choose) {
                continue;
            }
            nested += usize::from(look_into);
            tried += usize::from(choose);
            match Box::pin(self.image(repository, &entry.descriptor.digest, depth + 1)).await {
                Ok(image) => {
                    if entry.platform.is_none() {
                        platforms.extend(image.platforms.iter().cloned());
                    }
                    children.extend(image.children.iter().cloned());
                    first.get_or_insert(image);
                }
                // An index may list what the registry does not hold.
                Err(CatalogError::NotFound(_) | CatalogError::Malformed(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut seen = HashSet::new();
        platforms.retain(|platform| seen.insert(platform.clone()));
        let Some(first) = first else { return Ok(Told { platforms, children, ..Told::default() }) };
        let ImageSummary { size, created, ref blobs, .. } = *first;
        // An index of charts is a chart.
        let artifact = if platforms.is_empty() { first.artifact.clone() } else { Artifact::Image };
        Ok(Told { artifact, platforms, children, size, created, blobs: blobs.clone() })
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Manifest, CatalogError> {
        let _turn = self.turn().await;
        self.catalog.manifest(repository, reference).await
    }

    async fn turn(&self) -> SemaphorePermit<'_> {
        self.requests.acquire().await.expect("the semaphore is never closed")
    }

    /// The same list of platforms is kept once: most images have one of a few.
    fn shared(&self, platforms: Vec<Platform>) -> Arc<[Platform]> {
        let mut shared = self.platforms.lock();
        if let Some(found) = shared.get(platforms.as_slice()) {
            return found.clone();
        }
        let platforms: Arc<[Platform]> = platforms.into();
        if shared.len() < MAX_SHARED {
            shared.insert(platforms.clone());
        }
        platforms
    }
}

impl Borrow<Digest> for ByDigest {
    fn borrow(&self) -> &Digest {
        &self.0.digest
    }
}

impl PartialEq for ByDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for ByDigest {}

impl Hash for ByDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest.hash(state);
    }
}
