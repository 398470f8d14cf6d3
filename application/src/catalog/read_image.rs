//! Reads one image in full, for its page.

mod attachments;

pub use attachments::Attached;

use std::{sync::Arc, time::Duration};

use quick_cache::{Weighter, sync::Cache};
use staticreg_domain::{
    Digest, ManifestKind, RepositoryName,
    catalog::{
        Artifact, CatalogError, Descriptor, ImageConfiguration, IndexEntry, Manifest, ManifestContent, Reference,
        RegistryCatalog,
    },
    error::describe,
};
use tokio::{sync::Semaphore, time::timeout};

use super::images::{MAX_DEPTH, MAX_NESTED};

/// How long a page waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// Images read at a time.
const CONCURRENCY: usize = 4;
/// Bytes of manifests, and of configurations, that are remembered, about.
const MAX_REMEMBERED: u64 = 8 * 1024 * 1024;
/// What a piece of text takes beside its characters, about.
const TEXT_SIZE: usize = 64;

/// An image in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDetails {
    /// The index, when that is what was asked for and it has an image.
    pub index: Option<Arc<Manifest>>,
    /// The index's images, those of indexes in it too.
    pub builds: Vec<IndexEntry>,
    /// The image: what was asked for, or the index's image of the platform.
    pub image: Arc<Manifest>,
    /// What the image tells of itself; none when it is nothing to run, or its configuration cannot be read.
    pub configuration: Option<Arc<ImageConfiguration>>,
}

impl ImageDetails {
    /// What it is to people.
    #[must_use]
    pub fn artifact(&self) -> Artifact {
        let of_index = self.index.as_ref().map(|index| index.artifact());
        of_index.filter(|artifact| *artifact != Artifact::Image).unwrap_or_else(|| self.image.artifact())
    }
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
    manifests: Remembered<Manifest>,
    configurations: Remembered<ImageConfiguration>,
    attachments: attachments::Kept,
}

/// Content by its digest, up to some size. What several want is asked for once.
type Remembered<T> = Cache<Digest, Arc<T>, BySize>;

fn remembered<T>() -> Remembered<T>
where
    BySize: Weighter<Digest, Arc<T>>,
{
    // So few that it is not divided: any may be as large as the whole.
    const ESTIMATED_ITEMS: usize = 32;
    Cache::with_weighter(ESTIMATED_ITEMS, MAX_REMEMBERED, BySize)
}

/// Weighs what is remembered by its bytes, about.
#[derive(Clone)]
struct BySize;

impl Weighter<Digest, Arc<Manifest>> for BySize {
    fn weight(&self, _: &Digest, manifest: &Arc<Manifest>) -> u64 {
        manifest_size(manifest) as u64
    }
}

impl Weighter<Digest, Arc<ImageConfiguration>> for BySize {
    fn weight(&self, _: &Digest, configuration: &Arc<ImageConfiguration>) -> u64 {
        configuration_size(configuration) as u64
    }
}

impl ReadImage {
    /// Reads from this registry.
    #[must_use]
    pub fn new(catalog: Arc<dyn RegistryCatalog>) -> Self {
        Self(Arc::new(Reader {
            catalog,
            turns: Arc::new(Semaphore::new(CONCURRENCY)),
            manifests: remembered(),
            configurations: remembered(),
            attachments: attachments::Kept::default(),
        }))
    }

    /// The image of a tag or digest. Of an index it is the image of the platform, written as [`Platform`] is shown, or
    /// the one of a digest, or without either the first image that has a platform.
    ///
    /// [`Platform`]: staticreg_domain::Platform
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
            Ok(Ok(Err(CatalogError::NotFound(_)))) => Err(ReadImageError::NotFound),
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
        let builds = self.builds(repository, &asked).await?;
        let (index, image) = match choose(&builds, platform) {
            Some(build) => (Some(asked), self.manifest(repository, &Reference::Digest(build.clone())).await?),
            None if platform.is_some() && asked.content.kind() == ManifestKind::Index => {
                return Err(CatalogError::NotFound("no build for this platform".into()));
            }
            None => (None, asked),
        };
        let configuration = match &image.content {
            ManifestContent::Image { configuration, .. } => self.configuration(repository, configuration).await?,
            ManifestContent::Index(_) => None,
        };
        Ok(ImageDetails { index, builds, image, configuration })
    }

    /// The images of an index, those of indexes in it too. A build cache has none.
    async fn builds(&self, repository: &RepositoryName, index: &Manifest) -> Result<Vec<IndexEntry>, CatalogError> {
        let (mut builds, mut nested) = (Vec::new(), 0);
        let mut waiting: Vec<(IndexEntry, usize)> =
            entries(index).iter().rev().map(|entry| (entry.clone(), 1)).collect();
        while let Some((entry, depth)) = waiting.pop() {
            if !entry.may_be_index() {
                builds.push(entry);
                continue;
            }
            if depth > MAX_DEPTH || nested >= MAX_NESTED {
                continue;
            }
            nested += 1;
            match self.manifest(repository, &Reference::Digest(entry.descriptor.digest.clone())).await {
                Ok(manifest) if manifest.content.kind() == ManifestKind::Image => builds.push(entry),
                Ok(manifest) => waiting.extend(entries(&manifest).iter().rev().map(|inner| {
                    let platform = inner.platform.clone().or_else(|| entry.platform.clone());
                    (IndexEntry { platform, ..inner.clone() }, depth + 1)
                })),
                // An index may list what the registry does not hold.
                Err(CatalogError::NotFound(_) | CatalogError::Malformed(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(builds)
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Arc<Manifest>, CatalogError> {
        let read = async || self.catalog.manifest(repository, reference).await.map(Arc::new);
        match reference {
            Reference::Digest(digest) => self.manifests.get_or_insert_async(digest, read()).await,
            Reference::Tag(_) => {
                let manifest = read().await?;
                self.manifests.insert(manifest.digest.clone(), manifest.clone());
                Ok(manifest)
            }
        }
    }

    async fn configuration(
        &self,
        repository: &RepositoryName,
        descriptor: &Descriptor,
    ) -> Result<Option<Arc<ImageConfiguration>>, CatalogError> {
        if descriptor.artifact() != Artifact::Image {
            return Ok(None);
        }
        let digest = &descriptor.digest;
        let read = async { self.catalog.configuration(repository, digest).await.map(Arc::new) };
        match self.configurations.get_or_insert_async(digest, read).await {
            Ok(configuration) => Ok(Some(configuration)),
            // The image is there all the same.
            Err(CatalogError::NotFound(_) | CatalogError::Malformed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What an index lists, when that is manifests.
fn entries(index: &Manifest) -> &[IndexEntry] {
    match &index.content {
        ManifestContent::Index(entries) if index.artifact() != Artifact::BuildCache => entries,
        _ => &[],
    }
}

/// The manifest of a platform or digest; without either, the first that has a platform, or else the first.
fn choose<'a>(entries: &'a [IndexEntry], platform: Option<&str>) -> Option<&'a Digest> {
    let chosen = match platform {
        Some(wanted) => entries.iter().find(|entry| {
            let platform = entry.platform.as_ref();
            platform.is_some_and(|platform| platform.to_string() == wanted)
                || entry.descriptor.digest.as_str() == wanted
        }),
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
    let annotations = manifest.annotations.iter().flat_map(|(name, value)| [name, value]);
    let texts = annotations.chain(&manifest.predicate_types).map(|text| TEXT_SIZE + text.len()).sum::<usize>();
    4 * TEXT_SIZE + content + texts
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
        history,
    } = configuration;
    let lists = [entry_point, command, environment, exposed_ports].into_iter().flatten();
    let texts = labels.iter().flat_map(|(name, value)| [name, value]).chain(lists).chain(user).chain(working_directory);
    let texts = texts.chain(history.iter().map(|step| &step.command));
    8 * TEXT_SIZE + texts.map(|text| TEXT_SIZE + text.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use staticreg_domain::Platform;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::catalog::testing::{FakeRegistry, IMAGE, INDEX, denied, descriptor, digest, malformed, name};

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
    async fn an_index_in_an_index_leads_to_the_image() {
        let registry = FakeRegistry::default();
        let (arm, amd) = (registry.image(1, Some("arm64")), registry.image(2, Some("amd64")));
        let of_arm = registry.index(3, &[(IMAGE, &arm, None)]);
        let of_amd = registry.index(4, &[(INDEX, &registry.index(5, &[(IMAGE, &amd, Some("amd64"))]), None)]);
        // One that does not say what it is may be an index too.
        let entries = [(INDEX, &digest(9), None), (INDEX, &of_arm, Some("arm64")), ("", &of_amd, None)];
        registry.tag("a", "1", &registry.index(6, &entries));
        let images = ReadImage::new(Arc::new(registry));
        for (platform, expected) in [(None, 1), (Some("linux/arm64"), 1), (Some("linux/amd64"), 2)] {
            let details = read(&images, tagged("1"), platform).await.unwrap();
            assert_eq!((details.index.unwrap().digest.clone(), &details.image.digest), (digest(6), &digest(expected)));
            assert!(details.configuration.is_some());
            let platforms: Vec<_> = details.builds.iter().map(|build| build.platform.clone()).collect();
            assert_eq!(platforms, ["arm64", "amd64"].map(|name| Platform::new("linux", name, None)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn indexes_in_indexes_without_end_are_left_alone() {
        let registry = Arc::new(FakeRegistry::default());
        let mut index = registry.image(1, Some("amd64"));
        for seed in 2..50 {
            index = registry.index(seed, &[(INDEX, &index, None)]);
        }
        registry.tag("a", "1", &index);
        let details = read(&ReadImage::new(registry.clone()), tagged("1"), None).await.unwrap();
        assert_eq!((details.index, &details.image.digest), (None, &digest(49)));
        assert_eq!(registry.asked(), ["get 46", "get 47", "get 48", "get a:1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn two_builds_of_one_platform_are_two() {
        let registry = FakeRegistry::default();
        let entry = |seed: u32, version: &str| IndexEntry {
            descriptor: descriptor(IMAGE, registry.image(seed, Some("amd64")), 1),
            platform: Platform::new("windows", "amd64", None).map(|platform| platform.of_os_version(version)),
            attests: None,
        };
        let entries = vec![entry(1, "10.0.17763"), entry(2, "10.0.20348"), entry(3, "10.0.20348")];
        registry.tag("a", "1", &registry.index_of(4, entries));
        let images = ReadImage::new(Arc::new(registry));
        let third = digest(3).to_string();
        for (platform, expected) in [
            (None, 1),
            (Some("windows(10.0.17763)/amd64"), 1),
            (Some("windows(10.0.20348)/amd64"), 2),
            (Some(third.as_str()), 3),
        ] {
            let details = read(&images, tagged("1"), platform).await.unwrap();
            assert_eq!(details.image.digest, digest(expected), "{platform:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_build_cache_is_read_without_its_layers() {
        let registry = Arc::new(FakeRegistry::default());
        let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
        registry.tag("a", "cache", &registry.index(1, &[(layer, &digest(2), None), (layer, &digest(3), None)]));
        let details = read(&ReadImage::new(registry.clone()), tagged("cache"), None).await.unwrap();
        assert_eq!((details.artifact(), details.index), (Artifact::BuildCache, None));
        assert_eq!(registry.asked(), ["get a:cache"]);
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
