//! A registry that looks like people's, and its pulls: the same in every run.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc, Weekday};
use sha2::{Digest as _, Sha256};
use staticreg_domain::{
    Clock, Digest, EventId, Platform, RegistryEvent, RepositoryName, Tag,
    catalog::{
        BuildStep, CatalogCursor, CatalogError, Descriptor, ImageConfiguration, IndexEntry, Manifest, ManifestContent,
        Reference, Referrer, RegistryCatalog, RepositoriesPage, TagList,
    },
    metrics::{AccessKind, Change, CountKey, MetricsRepository, PullEvent},
};
use uuid::Uuid;

/// The days that have pulls.
const WATCHED_DAYS: u64 = 120;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Repositories: the name, its tags (the newest first), and about how many pulls the newest has on a working day.
const REPOSITORIES: [(&str, &[&str], u64); 22] = [
    ("base/alpine", &["3.22", "3.21", "3.20", "latest"], 410),
    ("base/debian", &["12.8", "12.7", "bookworm", "latest"], 260),
    ("base/distroless", &["nonroot", "debug", "latest"], 140),
    ("base/node", &["22.11", "22.10", "20.18", "lts"], 310),
    ("base/python", &["3.13", "3.12", "3.11"], 280),
    ("ci/runner", &["v4.2.0", "v4.1.3", "latest"], 520),
    ("ci/runner/cache", &["v1.0.9", "latest"], 90),
    ("data/ingest", &["2026.46", "2026.45", "2026.44"], 64),
    ("data/reports", &["1.9.0", "1.8.2"], 12),
    ("data/warehouse/loader", &["7.1", "7.0", "6.8"], 33),
    ("library/nginx", &["1.27.3", "1.27.2", "1.26.0", "latest"], 230),
    ("library/postgres", &["17.2", "17.1", "16.6"], 120),
    ("library/redis", &["7.4", "7.2", "latest"], 155),
    ("platform/gateway", &["v2.14.1", "v2.14.0", "v2.13.7", "main"], 96),
    ("platform/identity", &["v5.3.0", "v5.2.9", "main"], 71),
    ("platform/mail", &["v1.2.0"], 4),
    ("shop/cart", &["main-9f31c2a", "main-77ab01d", "main-2c90e1f"], 47),
    ("shop/checkout", &["main-51d2c7b", "main-0a4f9c1"], 58),
    ("shop/storefront", &["v311", "v310", "v309", "v308", "canary"], 133),
    ("tools/debug", &["latest"], 1),
    ("tools/migrations-2019", &["final"], 0),
    ("hello-world", &["latest", "linux"], 19),
];

const PLATFORMS: [(&str, &str, Option<&str>); 4] =
    [("linux", "amd64", None), ("linux", "arm64", Some("v8")), ("linux", "arm", Some("v7")), ("linux", "s390x", None)];

/// The moment at which everything is looked at: a Thursday afternoon.
#[must_use]
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_097_200, 0).expect("a time of this century")
}

/// A clock that stands still.
pub struct FixedClock(pub DateTime<Utc>);

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

/// The digest of a text, to have one for each thing.
#[must_use]
pub fn digest(text: &str) -> Digest {
    let mut digest = "sha256:".to_owned();
    for byte in Sha256::digest(text) {
        write!(digest, "{byte:02x}").expect("a String takes all");
    }
    digest.parse().expect("64 hexadecimal digits")
}

/// The registry: what it holds never changes.
#[derive(Default)]
pub struct SampleRegistry {
    repositories: BTreeMap<RepositoryName, BTreeMap<Tag, Digest>>,
    manifests: BTreeMap<Digest, Manifest>,
    configurations: BTreeMap<Digest, ImageConfiguration>,
    referrers: BTreeMap<Digest, Vec<Referrer>>,
}

impl SampleRegistry {
    /// The repositories above.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Self::default();
        for (name, tags, popularity) in REPOSITORIES {
            for (age, tag) in tags.iter().enumerate() {
                let created = now() - TimeDelta::days(3 + 17 * i64::try_from(age).expect("few tags"));
                let created = if popularity == 0 { now() - TimeDelta::days(2_600) } else { created };
                let platforms = if name.starts_with("base/") || name.starts_with("library/") { 4 } else { 2 };
                registry.add_index(name, tag, created, &PLATFORMS[..platforms]);
            }
        }
        registry
    }

    /// `app:1`, an index of an image (`image`) with an attestation of `BuildKit` (`attestation`), which is signed in two
    /// ways (`notation`, `cosign`).
    #[must_use]
    pub fn signed() -> Self {
        let mut registry = Self::default();
        let platform = Platform::new("linux", "amd64", None);
        let image = registry.add_image("image", now(), platform.clone());
        let attestation = registry.add_artifact("attestation", CONFIGURATION);
        registry.change(&attestation, |manifest| {
            manifest.predicate_types =
                ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document"].map(str::to_owned).into();
        });
        registry.add_index_of("app", "1", vec![(MANIFEST, image.clone(), platform), (MANIFEST, attestation, None)]);
        let index = digest("app:1 index");
        registry.change(&index, |manifest| {
            if let ManifestContent::Index(entries) = &mut manifest.content {
                entries[1].attests = Some(image);
            }
        });
        let notation = registry.add_artifact("notation", "application/vnd.oci.empty.v1+json");
        registry.refer(&index, notation, "application/vnd.cncf.notary.signature");
        let cosign = registry.add_artifact("cosign", CONFIGURATION);
        registry.point("app", &format!("{}.sig", index.as_str().replace(':', "-")), cosign);
        registry
    }

    /// Adds a tag that points to an index of one image per platform.
    pub fn add_index(
        &mut self,
        name: &str,
        tag: &str,
        created: DateTime<Utc>,
        platforms: &[(&str, &str, Option<&str>)],
    ) {
        let entries = platforms.iter().map(|(os, architecture, variant)| {
            let platform = Platform::new(os, architecture, *variant);
            let image = self.add_image(&format!("{name}:{tag} {architecture}"), created, platform.clone());
            (MANIFEST, image, platform)
        });
        let entries = entries.collect();
        self.add_index_of(name, tag, entries);
    }

    /// Adds a tag that points to an index of these entries: digests with media types and platforms.
    pub fn add_index_of(&mut self, name: &str, tag: &str, entries: Vec<(&str, Digest, Option<Platform>)>) {
        let entries = entries.into_iter().map(|(media_type, digest, platform)| IndexEntry {
            descriptor: Descriptor { media_type: media_type.to_owned(), digest, size: 1_240 },
            platform,
            attests: None,
        });
        let content = ManifestContent::Index(entries.collect());
        let index = digest(&format!("{name}:{tag} index"));
        self.manifests.insert(index.clone(), manifest(index.clone(), INDEX, content));
        self.point(name, tag, index);
    }

    /// Adds an image that no tag points to, and answers its digest.
    pub fn add_image(&mut self, seed: &str, created: DateTime<Utc>, platform: Option<Platform>) -> Digest {
        let configuration = digest(&format!("{seed} configuration"));
        let size = u64::from(u16::from_str_radix(&configuration.as_str()[7..11], 16).expect("hexadecimal digits"));
        let layers = (1..=4)
            .map(|layer| Descriptor {
                media_type: LAYER.to_owned(),
                digest: digest(&format!("{seed} layer {layer}")),
                size: size * 1_000 / layer,
            })
            .collect();
        let text = str::to_owned;
        let (title, _) = seed.split_once(':').unwrap_or((seed, ""));
        self.configurations.insert(
            configuration.clone(),
            ImageConfiguration {
                platform,
                created: Some(created),
                labels: BTreeMap::from([
                    (text("org.opencontainers.image.title"), text(title)),
                    (text("org.opencontainers.image.source"), format!("https://git.example.com/{title}")),
                    (text("org.opencontainers.image.licenses"), text("Apache-2.0")),
                    (text("maintainer"), text("Ada <ada@example.com>")),
                ]),
                entry_point: vec![text("/usr/bin/tini"), text("--")],
                command: vec![text("serve"), text("--greeting=hello world")],
                user: Some(text("65532:65532")),
                working_directory: Some(text("/srv")),
                environment: vec![text("PATH=/usr/local/bin:/usr/bin:/bin"), text("LANG=C.UTF-8")],
                exposed_ports: vec![text("8080/tcp")],
                history: [
                    ("/bin/sh -c #(nop) ADD file:0b2bf72 in / ", true),
                    ("RUN /bin/sh -c apk add --no-cache tini # buildkit", true),
                    ("ENV LANG=C.UTF-8", false),
                    ("COPY --chown=65532:65532 vendor /srv/vendor # buildkit", true),
                    ("COPY --chown=65532:65532 . /srv # buildkit", true),
                    ("CMD [\"serve\"]", false),
                ]
                .map(|(command, has_layer)| BuildStep { command: text(command), has_layer })
                .into(),
            },
        );
        let image = digest(seed);
        let content = ManifestContent::Image {
            configuration: Descriptor { media_type: CONFIGURATION.to_owned(), digest: configuration, size: 1_512 },
            layers,
        };
        self.manifests.insert(image.clone(), manifest(image.clone(), MANIFEST, content));
        image
    }

    /// Changes a manifest.
    ///
    /// # Panics
    ///
    /// When there is none of the digest.
    pub fn change(&mut self, digest: &Digest, change: impl FnOnce(&mut Manifest)) {
        change(self.manifests.get_mut(digest).expect("a manifest of this digest"));
    }

    /// Has a manifest say that it belongs to another one.
    pub fn refer(&mut self, subject: &Digest, referrer: Digest, artifact_type: &str) {
        let descriptor = Descriptor { media_type: MANIFEST.to_owned(), digest: referrer, size: 1_240 };
        let referrer = Referrer { descriptor, artifact_type: artifact_type.to_owned(), predicate_type: None };
        self.referrers.entry(subject.clone()).or_default().push(referrer);
    }

    /// Adds an artifact that is no image, such as a chart, and answers its digest.
    pub fn add_artifact(&mut self, seed: &str, media_type: &str) -> Digest {
        let artifact = self.add_image(seed, now(), None);
        let manifest = self.manifests.get_mut(&artifact).expect("just added");
        if let ManifestContent::Image { configuration, .. } = &mut manifest.content {
            media_type.clone_into(&mut configuration.media_type);
            self.configurations.remove(&configuration.digest);
        }
        artifact
    }

    /// Changes an image's configuration.
    pub fn configure(&mut self, seed: &str, change: impl FnOnce(&mut ImageConfiguration)) {
        let configuration = self.configurations.get_mut(&digest(&format!("{seed} configuration")));
        change(configuration.expect("an image of this seed"));
    }

    /// Lets a tag point to a digest.
    pub fn point(&mut self, name: &str, tag: &str, digest: Digest) {
        let name = name.parse().expect("a repository name");
        self.repositories.entry(name).or_default().insert(tag.parse().expect("a tag"), digest);
    }
}

#[async_trait]
impl RegistryCatalog for SampleRegistry {
    async fn repositories(&self, _after: Option<CatalogCursor>) -> Result<RepositoriesPage, CatalogError> {
        Ok(RepositoriesPage { repositories: self.repositories.keys().cloned().collect(), next: None })
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<TagList, CatalogError> {
        let tags = self.repositories.get(repository).map(|tags| tags.keys().cloned().collect()).unwrap_or_default();
        Ok(TagList { tags, incomplete: None })
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, CatalogError> {
        let digest = self.repositories.get(repository).and_then(|tags| tags.get(tag));
        digest.cloned().ok_or_else(|| CatalogError::NotFound("404".into()))
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Manifest, CatalogError> {
        let digest = match reference {
            Reference::Tag(tag) => self.resolve(repository, tag).await?,
            Reference::Digest(digest) => digest.clone(),
        };
        self.manifests.get(&digest).cloned().ok_or_else(|| CatalogError::NotFound("404".into()))
    }

    async fn configuration(
        &self,
        _repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<ImageConfiguration, CatalogError> {
        self.configurations.get(digest).cloned().ok_or_else(|| CatalogError::NotFound("404".into()))
    }

    async fn referrers(&self, _: &RepositoryName, digest: &Digest) -> Result<Vec<Referrer>, CatalogError> {
        Ok(self.referrers.get(digest).cloned().unwrap_or_default())
    }
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

/// Fills a store with the pulls of the repositories above: fewer at weekends, growing over time, and older tags less.
///
/// # Panics
///
/// When the store does not take them.
pub async fn fill(store: &Arc<dyn MetricsRepository>) {
    let mut events = Vec::new();
    for (name, tags, popularity) in REPOSITORIES {
        for (age, tag) in tags.iter().enumerate() {
            for day in 0..WATCHED_DAYS {
                events.extend(events_of_day(name, tag, age as u64, popularity, day));
            }
        }
    }
    for batch in events.chunks(1_000) {
        store.record(batch, now()).await.expect("the store takes events");
    }
}

fn events_of_day(name: &str, tag: &str, age: u64, popularity: u64, days_ago: u64) -> Vec<PullEvent> {
    let date = now().date_naive() - Days::new(days_ago);
    let character = digest(name).as_str().as_bytes().iter().fold(0_u64, |sum, byte| sum * 7 % 1_009 + u64::from(*byte));
    let weekend = 2 + character % 8;
    let weekday = if matches!(date.weekday(), Weekday::Sat | Weekday::Sun) { weekend } else { 10 };
    let growth = match character % 4 {
        0 => WATCHED_DAYS,
        1 => WATCHED_DAYS / 2 + days_ago,
        _ => 2 * WATCHED_DAYS - days_ago * 3 / 2,
    };
    // A release is pulled to every machine at once.
    let release = if (days_ago + character) % 13 == 3 { 2 } else { 1 };
    // A tag that was followed by newer ones is pulled by fewer.
    let noise = 70 + u64::from(digest(&format!("{name}:{tag} {date}")).as_str().as_bytes()[9]) % 60;
    let pulls = popularity * weekday * growth * release * noise / (10 * 2 * WATCHED_DAYS * 100) / (1 + 4 * age);
    if pulls == 0 || (popularity < 2 && days_ago % 9 != 5) {
        return Vec::new();
    }
    let point = if days_ago < 20 { format!("{name}:{tag} index") } else { format!("{name}:{tag} index before") };
    let count =
        |kind, digest: &Digest, architecture: &str, count: u64| (kind, digest.clone(), architecture.to_owned(), count);
    let digest = digest(&point);
    let mut counts = vec![
        count(AccessKind::PullByTag, &digest, "amd64", pulls * 7 / 10),
        count(AccessKind::PullByTag, &digest, "arm64", pulls * 2 / 10),
        count(AccessKind::PullByTag, &digest, "not-specified", pulls / 20),
        count(AccessKind::VersionCheck, &digest, "not-specified", pulls * 2 / 3),
        count(AccessKind::PullByDigest, &digest, "amd64", pulls / 8),
    ];
    if days_ago % 20 == 2 {
        counts.push(count(AccessKind::Push, &digest, "not-specified", 1));
    }
    counts
        .into_iter()
        .filter(|(.., count)| *count > 0)
        .map(|(kind, digest, architecture, count)| {
            let change = CountKey {
                kind,
                date,
                repository: name.parse().expect("a repository name"),
                tag: (kind != AccessKind::PullByDigest).then(|| tag.parse().expect("a tag")),
                digest,
                architecture: architecture.parse().unwrap_or_else(|never| match never {}),
            };
            event(at(date, noise), change, count)
        })
        .collect()
}

/// Some time of a day, but not later than now.
fn at(date: NaiveDate, noise: u64) -> DateTime<Utc> {
    let noon = date.and_hms_opt(12, 0, 0).expect("a time").and_utc();
    (noon + TimeDelta::minutes(i64::try_from(noise).expect("a small number"))).min(now())
}

/// One event that counts so much, with an id of its own content.
#[must_use]
pub fn event(at: DateTime<Utc>, key: CountKey, count: u64) -> PullEvent {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{key:?} {at}").as_bytes());
    let delta = i32::try_from(count).expect("a count of tests");
    let id = EventId::from_event(&RegistryEvent { id: Some(id.to_string()), ..RegistryEvent::default() });
    PullEvent { id, at, timestamp: at, changes: vec![Change { key: Arc::new(key), delta }] }
}
