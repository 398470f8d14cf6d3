//! Reads one image in full, for its page.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use staticreg_domain::{
    Digest, RepositoryName,
    catalog::{
        CatalogError, Descriptor, ImageConfiguration, IndexEntry, Manifest, ManifestContent, Reference, RegistryCatalog,
    },
    error::describe,
};
use tokio::{sync::Semaphore, time::timeout};

use super::{bounded::Bounded, images::lock};

/// How long a page waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// Images read at a time.
const CONCURRENCY: usize = 4;
/// Bytes of manifests, and of configurations, that are remembered, about.
const MOST_REMEMBERED: usize = 8 * 1024 * 1024;
/// What a piece of text takes beside its characters, about.
const TEXT_SIZE: usize = 64;

/// An image in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDetails {
    /// The index, when that is what was asked for.
    pub index: Option<Arc<Manifest>>,
    /// The image: what was asked for, or the index's image of the platform.
    pub image: Arc<Manifest>,
    /// What the image tells of itself; none when it is nothing to run, or its configuration cannot be read.
    pub configuration: Option<Arc<ImageConfiguration>>,
}

/// Why an image cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadImageError {
    /// There is none of this tag, digest or platform.
    #[error("the registry holds no such image")]
    NotFound,
    /// The registry does not answer in time, refuses or fails: the same call may succeed later.
    #[error("the registry does not answer")]
    Unavailable,
    /// What the registry holds there is no image.
    #[error("the registry's answer is not understood")]
    Malformed,
}

/// The use case. Content is remembered under its digest; a slow registry is given up soon, but read on behind, so that
/// the next call finds the answer.
#[derive(Clone)]
pub struct ReadImage(Arc<Reader>);

struct Reader {
    catalog: Arc<dyn RegistryCatalog>,
    turns: Arc<Semaphore>,
    manifests: Mutex<Bounded<Arc<Manifest>>>,
    configurations: Mutex<Bounded<Arc<ImageConfiguration>>>,
}

impl ReadImage {
    /// Reads from this registry.
    #[must_use]
    pub fn new(catalog: Arc<dyn RegistryCatalog>) -> Self {
        Self(Arc::new(Reader {
            catalog,
            turns: Arc::new(Semaphore::new(CONCURRENCY)),
            manifests: Mutex::new(Bounded::new(MOST_REMEMBERED)),
            configurations: Mutex::new(Bounded::new(MOST_REMEMBERED)),
        }))
    }

    /// The image of a tag or digest. Of an index it is the image of the platform, written `os/architecture` or
    /// `os/architecture/variant`, or without one the first image that has a platform.
    pub async fn read(
        &self,
        repository: RepositoryName,
        reference: Reference,
        platform: Option<String>,
    ) -> Result<ImageDetails, ReadImageError> {
        let reader = self.0.clone();
        let in_time = timeout(PATIENCE, async move {
            let turn = reader.turns.clone().acquire_owned().await.expect("the semaphore is never closed");
            let reading = tokio::spawn(async move {
                let _turn = turn;
                reader.details(&repository, &reference, platform.as_deref()).await
            });
            reading.await
        });
        match in_time.await {
            Ok(Ok(Ok(details))) => Ok(details),
            Ok(Ok(Err(CatalogError::NotFound))) => Err(ReadImageError::NotFound),
            Ok(Ok(Err(CatalogError::Malformed(_)))) => Err(ReadImageError::Malformed),
            Ok(Ok(Err(error))) => {
                tracing::debug!("Unable to read an image: {}", describe(&error));
                Err(ReadImageError::Unavailable)
            }
            Ok(Err(_)) | Err(_) => Err(ReadImageError::Unavailable),
        }
    }
}

impl Reader {
    async fn details(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        platform: Option<&str>,
    ) -> Result<ImageDetails, CatalogError> {
        let asked = self.manifest(repository, reference).await?;
        let (index, image) = match &asked.content {
            ManifestContent::Image { .. } => (None, asked),
            ManifestContent::Index(entries) => {
                let child = choose(entries, platform).ok_or(CatalogError::NotFound)?.clone();
                (Some(asked), self.manifest(repository, &Reference::Digest(child)).await?)
            }
        };
        let configuration = match &image.content {
            ManifestContent::Image { configuration, .. } => self.configuration(repository, configuration).await?,
            ManifestContent::Index(_) => None,
        };
        Ok(ImageDetails { index, image, configuration })
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Arc<Manifest>, CatalogError> {
        if let Reference::Digest(digest) = reference
            && let Some(known) = lock(&self.manifests).get(digest)
        {
            return Ok(known);
        }
        let manifest = Arc::new(self.catalog.manifest(repository, reference).await?);
        lock(&self.manifests).insert(&manifest.digest, manifest.clone(), manifest_size(&manifest));
        Ok(manifest)
    }

    async fn configuration(
        &self,
        repository: &RepositoryName,
        descriptor: &Descriptor,
    ) -> Result<Option<Arc<ImageConfiguration>>, CatalogError> {
        if !descriptor.is_image_configuration() {
            return Ok(None);
        }
        if let Some(known) = lock(&self.configurations).get(&descriptor.digest) {
            return Ok(Some(known));
        }
        match self.catalog.configuration(repository, &descriptor.digest).await {
            Ok(read) => {
                let read = Arc::new(read);
                lock(&self.configurations).insert(&descriptor.digest, read.clone(), configuration_size(&read));
                Ok(Some(read))
            }
            // The image is there all the same.
            Err(CatalogError::NotFound | CatalogError::Malformed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The manifest of a platform; without one, the first that has a platform, or else the first.
fn choose<'a>(entries: &'a [IndexEntry], platform: Option<&str>) -> Option<&'a Digest> {
    let chosen = match platform {
        Some(wanted) => {
            entries.iter().find(|entry| entry.platform.as_ref().is_some_and(|platform| platform.to_string() == wanted))
        }
        None => entries.iter().find(|entry| entry.platform.is_some()).or(entries.first()),
    };
    chosen.map(|entry| &entry.descriptor.digest)
}

fn manifest_size(manifest: &Manifest) -> usize {
    let descriptor = |descriptor: &Descriptor| 4 * TEXT_SIZE + descriptor.media_type.len();
    let content = match &manifest.content {
        ManifestContent::Image { configuration, layers } => {
            descriptor(configuration) + layers.iter().map(descriptor).sum::<usize>()
        }
        ManifestContent::Index(entries) => {
            entries.iter().map(|entry| 4 * TEXT_SIZE + descriptor(&entry.descriptor)).sum()
        }
    };
    4 * TEXT_SIZE + content
}

fn configuration_size(configuration: &ImageConfiguration) -> usize {
    let ImageConfiguration {
        platform: _,
        created: _,
        labels,
        entry_point,
        command,
        user,
        working_directory,
        environment,
        exposed_ports,
    } = configuration;
    let lists = [entry_point, command, environment, exposed_ports].into_iter().flatten();
    let texts = labels.iter().flat_map(|(name, value)| [name, value]).chain(lists).chain(user).chain(working_directory);
    8 * TEXT_SIZE + texts.map(|text| TEXT_SIZE + text.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::catalog::testing::{FakeRegistry, IMAGE, denied, digest, malformed, name};

    fn tagged(tag: &str) -> Reference {
        Reference::Tag(tag.parse().unwrap())
    }

    async fn read(
        images: &ReadImage,
        reference: Reference,
        platform: Option<&str>,
    ) -> Result<ImageDetails, ReadImageError> {
        images.read(name("a"), reference, platform.map(str::to_owned)).await
    }

    /// `a:multi` is an index of an attestation, arm64 (2) and amd64 (3).
    fn multi() -> Arc<FakeRegistry> {
        let registry = FakeRegistry::default();
        let (attestation, arm) = (registry.image(1, None), registry.image(2, Some("arm64")));
        let amd = registry.image(3, Some("amd64"));
        let entries = [(IMAGE, &attestation, None), (IMAGE, &arm, Some("arm64")), (IMAGE, &amd, Some("amd64"))];
        registry.tag("a", "multi", &registry.index(4, &entries));
        registry.tag("a", "single", &arm);
        Arc::new(registry)
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_is_read_with_its_configuration() {
        let details = read(&ReadImage::new(multi()), tagged("single"), None).await.unwrap();
        assert_eq!((details.index, &details.image.digest), (None, &digest(2)));
        assert_eq!(details.configuration.unwrap().platform.as_ref().unwrap().to_string(), "linux/arm64");
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_index_the_platforms_image_is_read() {
        let images = ReadImage::new(multi());
        for (platform, expected) in [(None, 2), (Some("linux/arm64"), 2), (Some("linux/amd64"), 3)] {
            let details = read(&images, tagged("multi"), platform).await.unwrap();
            assert_eq!(details.index.unwrap().digest, digest(4));
            assert_eq!(details.image.digest, digest(expected), "{platform:?}");
        }
        assert_eq!(read(&images, tagged("multi"), Some("linux/s390x")).await, Err(ReadImageError::NotFound));
    }

    #[tokio::test(start_paused = true)]
    async fn content_under_a_digest_is_asked_only_once() {
        let registry = multi();
        let images = ReadImage::new(registry.clone());
        for _ in 0..3 {
            read(&images, Reference::Digest(digest(4)), None).await.unwrap();
        }
        assert_eq!(registry.asked(), ["config 2", "get 2", "get 4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_told_apart() {
        let registry = multi();
        let images = ReadImage::new(registry.clone());
        assert_eq!(read(&images, tagged("nowhere"), None).await, Err(ReadImageError::NotFound));
        registry.fail("get a:single", malformed);
        assert_eq!(read(&images, tagged("single"), None).await, Err(ReadImageError::Malformed));
        registry.fail("get a:multi", denied);
        assert_eq!(read(&images, tagged("multi"), None).await, Err(ReadImageError::Unavailable));
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_whose_configuration_is_garbage_is_shown_without() {
        let registry = multi();
        registry.fail("config", malformed);
        let details = read(&ReadImage::new(registry), tagged("single"), None).await.unwrap();
        assert_eq!(details.configuration, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_registry_is_given_up_but_read_on_behind() {
        let registry = Arc::new(FakeRegistry::slow(Duration::from_secs(3)));
        registry.image(2, None);
        let images = ReadImage::new(registry);
        let began = Instant::now();
        assert_eq!(read(&images, Reference::Digest(digest(2)), None).await, Err(ReadImageError::Unavailable));
        assert_eq!(began.elapsed(), PATIENCE);
        sleep(Duration::from_secs(5)).await;
        assert!(read(&images, Reference::Digest(digest(2)), None).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn many_pages_at_once_ask_little_at_once() {
        let registry = Arc::new(FakeRegistry::slow(Duration::from_mins(1)));
        let images = ReadImage::new(registry.clone());
        let reads = (0..100).map(|seed| {
            let images = images.clone();
            tokio::spawn(async move { read(&images, Reference::Digest(digest(seed)), None).await })
        });
        for read in reads.collect::<Vec<_>>() {
            assert_eq!(read.await.unwrap(), Err(ReadImageError::Unavailable));
        }
        assert_eq!(registry.most_under_way(), CONCURRENCY);
    }
}
