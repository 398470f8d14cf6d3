//! A registry in memory whose answers tests choose, and count.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use staticreg_domain::{
    Clock, Digest, Platform, RepositoryName, Tag,
    catalog::{
        CatalogCursor, CatalogError, Descriptor, ImageConfiguration, IndexEntry, Manifest, ManifestContent, Reference,
        Referrer, RegistryCatalog, RepositoriesPage, TagList,
    },
};
use tokio::time::sleep;

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
const PAGE: usize = 2;

/// A registry in memory.
#[derive(Default)]
pub(crate) struct FakeRegistry {
    held: Mutex<Held>,
    delay: Duration,
}

#[derive(Default)]
struct Held {
    repositories: BTreeMap<RepositoryName, BTreeMap<Tag, Digest>>,
    manifests: HashMap<Digest, Manifest>,
    configurations: HashMap<Digest, ImageConfiguration>,
    referrers: HashMap<Digest, Vec<Referrer>>,
    /// Requests that fail, by how they begin.
    failing: Vec<(String, fn() -> CatalogError)>,
    /// How many tags of each repository are on a page that fails.
    hidden_tags: usize,
    asked: Vec<String>,
    under_way: usize,
    most_under_way: usize,
}

impl FakeRegistry {
    /// Each answer takes so long.
    pub(crate) fn slow(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &Digest) {
        let mut held = self.held.lock();
        held.repositories.entry(name(repository)).or_default().insert(tag.parse().unwrap(), digest.clone());
    }

    pub(crate) fn untag(&self, repository: &str, tag: &str) {
        self.held.lock().repositories.get_mut(&name(repository)).unwrap().remove(&tag.parse::<Tag>().unwrap());
    }

    pub(crate) fn add_repository(&self, repository: &str) {
        self.held.lock().repositories.entry(name(repository)).or_default();
    }

    pub(crate) fn remove_repository(&self, repository: &str) {
        self.held.lock().repositories.remove(&name(repository));
    }

    /// An image of 100 bytes: 10 of the configuration, twice 45 of layers.
    pub(crate) fn image(&self, seed: u32, platform: Option<&str>) -> Digest {
        let configuration = digest(seed + 1_000_000);
        let told = ImageConfiguration {
            platform: platform.and_then(|architecture| Platform::new("linux", architecture, None)),
            created: Some(DateTime::UNIX_EPOCH + Duration::from_secs(seed.into())),
            ..Default::default()
        };
        let mut held = self.held.lock();
        held.configurations.insert(configuration.clone(), told);
        let layer = descriptor("layer", digest(2_000_000), 45);
        let content = ManifestContent::Image {
            configuration: descriptor(CONFIGURATION, configuration, 10),
            layers: vec![layer.clone(), layer],
        };
        held.manifests.insert(digest(seed), manifest(digest(seed), IMAGE, content));
        digest(seed)
    }

    pub(crate) fn index(&self, seed: u32, entries: &[(&str, &Digest, Option<&str>)]) -> Digest {
        let entry = |(media_type, digest, platform): &(&str, &Digest, Option<&str>)| IndexEntry {
            descriptor: descriptor(media_type, (*digest).clone(), 1),
            platform: platform.and_then(|architecture| Platform::new("linux", architecture, None)),
            attests: None,
        };
        self.index_of(seed, entries.iter().map(entry).collect())
    }

    pub(crate) fn index_of(&self, seed: u32, entries: Vec<IndexEntry>) -> Digest {
        let content = ManifestContent::Index(entries);
        self.held.lock().manifests.insert(digest(seed), manifest(digest(seed), INDEX, content));
        digest(seed)
    }

    /// Has an image's manifest say what it is.
    pub(crate) fn set_artifact_type(&self, image: &Digest, artifact_type: &str) {
        self.held.lock().manifests.get_mut(image).unwrap().artifact_type = Some(artifact_type.to_owned());
    }

    /// Has an image's layers state something.
    pub(crate) fn set_predicate_types(&self, image: &Digest, predicate_types: &[&str]) {
        let predicate_types = predicate_types.iter().map(|text| (*text).to_owned()).collect();
        self.held.lock().manifests.get_mut(image).unwrap().predicate_types = predicate_types;
    }

    /// Has a manifest say that it belongs to another one.
    pub(crate) fn refer(&self, subject: &Digest, referrer: &Digest, artifact_type: &str) {
        let referrer = Referrer {
            descriptor: descriptor(IMAGE, referrer.clone(), 7),
            artifact_type: artifact_type.to_owned(),
            predicate_type: None,
        };
        self.held.lock().referrers.entry(subject.clone()).or_default().push(referrer);
    }

    /// Has requests that begin so fail.
    pub(crate) fn fail(&self, request: &str, error: fn() -> CatalogError) {
        self.held.lock().failing.push((request.to_owned(), error));
    }

    /// Has the page with the first so many tags of each repository fail.
    pub(crate) fn hide_tags(&self, hidden: usize) {
        self.held.lock().hidden_tags = hidden;
    }

    pub(crate) fn heal(&self) {
        let mut held = self.held.lock();
        held.failing.clear();
        held.hidden_tags = 0;
    }

    /// The requests since this was last called, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut self.held.lock().asked);
        asked.sort();
        asked
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.held.lock().most_under_way
    }

    async fn answer<T>(
        &self,
        request: String,
        answer: impl FnOnce(&Held) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        {
            let mut held = self.held.lock();
            held.under_way += 1;
            held.most_under_way = held.most_under_way.max(held.under_way);
        }
        sleep(self.delay).await;
        let mut held = self.held.lock();
        held.under_way -= 1;
        let failure = held.failing.iter().find(|(failing, _)| request.starts_with(failing)).map(|(_, error)| error());
        held.asked.push(request);
        failure.map_or_else(|| answer(&held), Err)
    }
}

#[async_trait]
impl RegistryCatalog for FakeRegistry {
    async fn repositories(&self, after: Option<CatalogCursor>) -> Result<RepositoriesPage, CatalogError> {
        let start: usize = after.as_ref().map_or(0, |cursor| cursor.0.parse().unwrap());
        self.answer(format!("catalog {start}"), |held| {
            let repositories: Vec<RepositoryName> = held.repositories.keys().skip(start).take(PAGE).cloned().collect();
            let end = start + PAGE;
            let next = (end < held.repositories.len()).then(|| CatalogCursor(end.to_string()));
            Ok(RepositoriesPage { repositories, next })
        })
        .await
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<TagList, CatalogError> {
        let hidden = self.held.lock().hidden_tags;
        self.answer(format!("tags {repository}"), |held| {
            let tags = held.repositories.get(repository).into_iter().flat_map(|tags| tags.keys().rev());
            let shown = tags.clone().count().saturating_sub(hidden);
            let tags = tags.take(shown).cloned().collect();
            Ok(TagList { tags, incomplete: (hidden > 0).then(unavailable) })
        })
        .await
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, CatalogError> {
        self.answer(format!("head {repository}:{tag}"), |held| {
            held.repositories
                .get(repository)
                .and_then(|tags| tags.get(tag))
                .cloned()
                .ok_or_else(|| CatalogError::NotFound("404".into()))
        })
        .await
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Manifest, CatalogError> {
        let request = match reference {
            Reference::Tag(tag) => format!("get {repository}:{tag}"),
            Reference::Digest(digest) => format!("get {}", number(digest)),
        };
        self.answer(request, |held| {
            let digest = match reference {
                Reference::Tag(tag) => held.repositories.get(repository).and_then(|tags| tags.get(tag)),
                Reference::Digest(digest) => Some(digest),
            };
            digest
                .and_then(|digest| held.manifests.get(digest))
                .cloned()
                .ok_or_else(|| CatalogError::NotFound("404".into()))
        })
        .await
    }

    async fn configuration(&self, _: &RepositoryName, digest: &Digest) -> Result<ImageConfiguration, CatalogError> {
        self.answer(format!("config {}", number(digest) - 1_000_000), |held| {
            held.configurations.get(digest).cloned().ok_or_else(|| CatalogError::NotFound("404".into()))
        })
        .await
    }

    async fn referrers(&self, _: &RepositoryName, digest: &Digest) -> Result<Vec<Referrer>, CatalogError> {
        self.answer(format!("referrers {}", number(digest)), |held| {
            Ok(held.referrers.get(digest).cloned().unwrap_or_default())
        })
        .await
    }
}

/// A clock that tests set.
pub(crate) struct FakeClock(Mutex<DateTime<Utc>>);

impl FakeClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())))
    }

    pub(crate) fn advance(&self, duration: Duration) {
        *self.0.lock() += duration;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock()
    }
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(crate) fn digest(seed: u32) -> Digest {
    format!("sha256:{seed:064x}").parse().unwrap()
}

pub(crate) fn number(digest: &Digest) -> u32 {
    u32::from_str_radix(digest.as_str().trim_start_matches("sha256:").trim_start_matches('0'), 16).unwrap()
}

pub(crate) fn unavailable() -> CatalogError {
    CatalogError::Unavailable("away".into())
}

pub(crate) fn denied() -> CatalogError {
    CatalogError::Denied("no".into())
}

pub(crate) fn malformed() -> CatalogError {
    CatalogError::Malformed("garbage".into())
}

pub(crate) fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest, size }
}

fn manifest(digest: Digest, media_type: &str, content: ManifestContent) -> Manifest {
    Manifest {
        digest,
        media_type: media_type.to_owned(),
        artifact_type: None,
        content,
        created: None,
        annotations: BTreeMap::new(),
        predicate_types: Vec::new(),
    }
}
