//! What is in the registry: the port to its contents, and what they look like.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{Digest, ManifestKind, Platform, RepositoryName, Tag, metrics::BoxError};

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
    NotFound,
    /// The registry's answer is none of the OCI distribution specification.
    #[error("the registry's answer is not understood")]
    Malformed(#[source] BoxError),
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

    /// The tags of a repository, in the registry's order; none when the repository is not there.
    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, CatalogError>;

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
}

/// Where the next page of repositories begins; only the adapter that made it knows what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogCursor(pub String);

/// A page of repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoriesPage {
    /// The names.
    pub repositories: Vec<RepositoryName>,
    /// Where the next page begins; none after the last.
    pub next: Option<CatalogCursor>,
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
    /// What it holds.
    pub content: ManifestContent,
    /// When it was made, by its own annotation (`org.opencontainers.image.created`).
    pub created: Option<DateTime<Utc>>,
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
    /// Whether it refers to an image's configuration, and not to that of an artifact that is nothing to run.
    #[must_use]
    pub fn is_image_configuration(&self) -> bool {
        ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"]
            .contains(&self.media_type.as_str())
    }
}

/// A manifest that an index lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The manifest.
    pub descriptor: Descriptor,
    /// The platform; none when it is not told, or an attestation's `unknown/unknown`.
    pub platform: Option<Platform>,
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
}
