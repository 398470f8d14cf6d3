//! What is in the registry: the port to its contents, and what they look like.

mod attachment;
mod page_walk;

pub use attachment::{Attachment, Referrer};
pub use page_walk::{Brought, EndlessPages, PageWalk};

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{
    Digest, ManifestKind, Platform, RepositoryName, Tag,
    media_type::{self, BUILDKIT_CACHE_CONFIG},
    metrics::BoxError,
};

/// Why the registry's contents could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The registry is away, slow or answers with a failure of its own: the same call may succeed later.
    #[error("the registry is unavailable")]
    Unavailable(#[source] BoxError),
    /// The registry refuses the credentials, or asks for some.
    #[error("the registry refuses access")]
    Denied(#[source] BoxError),
    /// The registry knows no such repository, tag or digest.
    #[error("the registry holds no such thing")]
    NotFound(#[source] BoxError),
    /// The registry's answer is none of the OCI distribution specification.
    #[error("the registry's answer is not understood")]
    Malformed(#[source] BoxError),
}

/// What one server did: the registry, or the token server it sends its clients to.
#[derive(Debug, thiserror::Error)]
#[error("{server}{path}")]
pub struct ServerFailure {
    /// The server, such as `https://auth.example`.
    pub server: String,
    /// The path that was asked for; no query, which may hold secrets.
    pub path: String,
    /// What it answered, or why it did not.
    #[source]
    pub source: BoxError,
}

/// A client of the registry: what it holds, by the OCI distribution specification.
///
/// Names that are not well formed are left out of every answer. Every call ends in bounded time, and what it answers is
/// of bounded size, whatever the registry sends; content asked for by digest has that digest.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait RegistryCatalog: Send + Sync {
    /// The next page of repositories, in the registry's order; from the start without `after`.
    async fn repositories(&self, after: Option<CatalogCursor>) -> Result<RepositoriesPage, CatalogError>;

    /// The tags of a repository, in the registry's order, each once; none when the repository is not there. An error
    /// means that there is not even a first page of them.
    async fn tags(&self, repository: &RepositoryName) -> Result<TagList, CatalogError>;

    /// The digest a tag points to now, without its manifest.
    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, CatalogError>;

    /// The manifest a tag points to, or with a digest.
    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Manifest, CatalogError>;

    /// An image's configuration.
    async fn configuration(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<ImageConfiguration, CatalogError>;

    /// What says that it belongs to a manifest; none when the registry knows nothing of the kind.
    async fn referrers(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Referrer>, CatalogError>;
}

/// Where the next page of repositories begins; only the adapter that made it knows what it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CatalogCursor(pub String);

/// A page of repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoriesPage {
    /// The names.
    pub repositories: Vec<RepositoryName>,
    /// Where the next page begins; none after the last.
    pub next: Option<CatalogCursor>,
}

/// The tags of a repository, as far as they could be read.
#[derive(Debug, Default)]
pub struct TagList {
    /// The tags.
    pub tags: Vec<Tag>,
    /// Why there may be more; none when these are all.
    pub incomplete: Option<CatalogError>,
}

/// A tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By tag: what it points to may change.
    Tag(Tag),
    /// By digest: the content never changes.
    Digest(Digest),
}

/// A manifest as the registry holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// What it says it is, when it says so (`artifactType`).
    pub artifact_type: Option<String>,
    /// What it holds.
    pub content: ManifestContent,
    /// When it was made, by its own annotation (`org.opencontainers.image.created`).
    pub created: Option<DateTime<Utc>>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What its layers state, where they are attestations: their predicate types.
    pub predicate_types: Vec<String>,
}

impl Manifest {
    /// What the manifest is to people.
    #[must_use]
    pub fn artifact(&self) -> Artifact {
        let told = self.artifact_type.as_deref().map(Artifact::of_type);
        match &self.content {
            ManifestContent::Image { configuration, .. } => match configuration.artifact() {
                Artifact::Image | Artifact::Other(_) if told.is_some() => told.unwrap_or(Artifact::Image),
                artifact => artifact,
            },
            ManifestContent::Index(entries) if is_build_cache(entries) => Artifact::BuildCache,
            // Clients pull an image of a platform from an index, whatever it says it is.
            ManifestContent::Index(entries) if entries.iter().any(|entry| entry.platform.is_some()) => Artifact::Image,
            ManifestContent::Index(_) => told.unwrap_or(Artifact::Image),
        }
    }

    /// What it is to the manifest that it belongs to.
    #[must_use]
    pub fn attachments(&self) -> Vec<Attachment> {
        let layers = match &self.content {
            ManifestContent::Image { layers, .. } => layers.as_slice(),
            ManifestContent::Index(_) => &[],
        };
        let types = layers.iter().map(|layer| layer.media_type.as_str()).chain(self.artifact_type.as_deref());
        Attachment::all(types, self.predicate_types.iter().map(String::as_str))
    }
}

/// What a manifest is to people, and so which tool fetches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Artifact {
    /// An image, or an index of images.
    #[default]
    Image,
    /// A Helm chart.
    Chart,
    /// What `BuildKit` keeps of a build for the next one.
    BuildCache,
    /// Anything else, of this type.
    Other(String),
}

impl Artifact {
    /// The media type of the configuration of a Helm chart.
    const CHART: &'static str = "application/vnd.cncf.helm.config.v1+json";
    /// The media types of images' configurations. The last three are what old registries and clients made of them;
    /// Docker takes them too.
    const IMAGES: [&'static str; 5] = [
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",
        "application/json",
        "",
    ];

    /// The artifact of a type: that which a manifest tells, or else its configuration's.
    fn of_type(media_type: &str) -> Self {
        let is = |known: &str| media_type.eq_ignore_ascii_case(known);
        if Self::IMAGES.into_iter().any(is) {
            Self::Image
        } else if is(Self::CHART) {
            Self::Chart
        } else if is(BUILDKIT_CACHE_CONFIG) {
            Self::BuildCache
        } else {
            Self::Other(media_type.to_owned())
        }
    }
}

/// Whether an index is `BuildKit`'s cache: it lists layers and their description, where others list manifests.
fn is_build_cache(entries: &[IndexEntry]) -> bool {
    let mut media_types = entries.iter().map(|entry| entry.descriptor.media_type.as_str());
    media_types.clone().any(|media_type| media_type::is(media_type, BUILDKIT_CACHE_CONFIG))
        || (!entries.is_empty() && media_types.all(media_type::is_layer))
}

/// What a manifest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestContent {
    /// An image: a configuration and layers.
    Image {
        /// The configuration.
        configuration: Descriptor,
        /// The layers, the lowest first.
        layers: Vec<Descriptor>,
    },
    /// Manifests for several platforms.
    Index(Vec<IndexEntry>),
}

impl ManifestContent {
    /// Whether it is an image's or an index.
    #[must_use]
    pub fn kind(&self) -> ManifestKind {
        match self {
            Self::Image { .. } => ManifestKind::Image,
            Self::Index(_) => ManifestKind::Index,
        }
    }
}

/// A reference to some content (OCI image specification, descriptor).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The content's media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, as stored.
    pub size: u64,
}

impl Descriptor {
    /// What it is the configuration of.
    #[must_use]
    pub fn artifact(&self) -> Artifact {
        Artifact::of_type(&self.media_type)
    }
}

/// A manifest that an index lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The manifest.
    pub descriptor: Descriptor,
    /// The platform; none when it is not told, or an attestation's `unknown/unknown`.
    pub platform: Option<Platform>,
    /// The manifest that this one tells something about: it is an attestation of `BuildKit`.
    pub attests: Option<Digest>,
}

impl IndexEntry {
    /// Whether it may be an index itself: one says so, and one that tells nothing may be.
    #[must_use]
    pub fn may_be_index(&self) -> bool {
        let media_type = &self.descriptor.media_type;
        media_type.is_empty() || ManifestKind::of_media_type(media_type) == Some(ManifestKind::Index)
    }
}

/// What an image's configuration tells people (OCI image specification, image configuration).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfiguration {
    /// The platform.
    pub platform: Option<Platform>,
    /// When the image was made.
    pub created: Option<DateTime<Utc>>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The entry point.
    pub entry_point: Vec<String>,
    /// The command.
    pub command: Vec<String>,
    /// The user the image runs as.
    pub user: Option<String>,
    /// The working directory.
    pub working_directory: Option<String>,
    /// `NAME=value` variables.
    pub environment: Vec<String>,
    /// Ports such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// How it was built, the first step first.
    pub history: Vec<BuildStep>,
}

/// A step of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildStep {
    /// The command, as the builder tells it.
    pub command: String,
    /// Whether it made a layer.
    pub has_layer: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

    fn descriptor(media_type: &str) -> Descriptor {
        let digest = format!("sha256:{}", "0a".repeat(32)).parse().expect("a digest");
        Descriptor { media_type: media_type.to_owned(), digest, size: 1 }
    }

    fn artifact(artifact_type: Option<&str>, content: ManifestContent) -> Artifact {
        let digest = descriptor("").digest;
        let artifact_type = artifact_type.map(str::to_owned);
        Manifest {
            digest,
            media_type: String::new(),
            artifact_type,
            content,
            created: None,
            annotations: BTreeMap::new(),
            predicate_types: Vec::new(),
        }
        .artifact()
    }

    #[test]
    fn an_artifact_is_told_by_its_type_or_its_configuration() {
        let other = |media_type: &str| Artifact::Other(media_type.to_owned());
        for (artifact_type, configuration, expected) in [
            (None, "application/vnd.oci.image.config.v1+json", Artifact::Image),
            (None, "application/vnd.docker.container.image.v1+json", Artifact::Image),
            (None, "application/octet-stream", Artifact::Image),
            (None, "", Artifact::Image),
            (None, Artifact::CHART, Artifact::Chart),
            (None, BUILDKIT_CACHE_CONFIG, Artifact::BuildCache),
            (None, "application/vnd.example.policy", other("application/vnd.example.policy")),
            (Some("text/x-sbom"), "application/vnd.oci.empty.v1+json", other("text/x-sbom")),
            (Some("text/x-sbom"), "application/vnd.oci.image.config.v1+json", other("text/x-sbom")),
            (Some("text/x-sbom"), Artifact::CHART, Artifact::Chart),
            (Some(Artifact::CHART), "application/vnd.oci.empty.v1+json", Artifact::Chart),
        ] {
            let content = ManifestContent::Image { configuration: descriptor(configuration), layers: Vec::new() };
            assert_eq!(artifact(artifact_type, content), expected, "{artifact_type:?} {configuration}");
        }
    }

    #[test]
    fn an_index_of_layers_is_a_build_cache_and_one_of_platforms_images() {
        for (artifact_type, entries, expected) in [
            (None, &[][..], Artifact::Image),
            (None, &[(IMAGE, None)], Artifact::Image),
            (None, &[(LAYER, None), (DOCKER_LAYER, None)], Artifact::BuildCache),
            (None, &[(BUILDKIT_CACHE_CONFIG, None)], Artifact::BuildCache),
            (None, &[(LAYER, None), (BUILDKIT_CACHE_CONFIG, None)], Artifact::BuildCache),
            (None, &[(LAYER, None), (IMAGE, None)], Artifact::Image),
            (Some("text/x"), &[(IMAGE, None)], Artifact::Other("text/x".to_owned())),
            (Some("text/x"), &[(IMAGE, Some("amd64"))], Artifact::Image),
        ] {
            let entries = entries
                .iter()
                .map(|(media_type, architecture)| IndexEntry {
                    descriptor: descriptor(media_type),
                    platform: architecture.and_then(|architecture| Platform::new("linux", architecture, None)),
                    attests: None,
                })
                .collect();
            assert_eq!(artifact(artifact_type, ManifestContent::Index(entries)), expected);
        }
    }
}
