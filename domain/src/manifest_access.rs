//! Registry events that passed the rules.

use chrono::{DateTime, Utc};

use crate::{Architecture, Digest, EventId, ManifestKind, Platform, RepositoryName, Tag};

/// One access to a manifest: a [`crate::RegistryEvent`] whose every member is well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestAccess {
    /// The event's id.
    pub id: EventId,
    /// When it happened, by the registry's clock; this tells which accesses belong together.
    pub at: DateTime<Utc>,
    /// When it arrived, if `at` was then so far ahead of the clock that one of the two is wrong.
    pub arrived_at: Option<DateTime<Utc>>,
    /// What was done.
    pub action: Action,
    /// Whether the manifest is an image's or an index.
    pub manifest: ManifestKind,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag, when the client named one.
    pub tag: Option<Tag>,
    /// The manifest's digest.
    pub digest: Digest,
    /// The architecture of the client's host, from its user agent.
    pub architecture: Architecture,
    /// The host of the client's address, without port; empty when unknown.
    pub client_host: String,
    /// The client's user agent; empty when unknown.
    pub user_agent: String,
    /// The children of an index when the registry tells them, else nothing.
    pub children: Vec<IndexChild>,
}

impl ManifestAccess {
    /// When it counts: when it happened, or when it arrived if the registry's clock cannot be believed.
    #[must_use]
    pub fn counted_at(&self) -> DateTime<Utc> {
        self.arrived_at.unwrap_or(self.at)
    }
}

/// A manifest that an index lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexChild {
    /// The child's digest.
    pub digest: Digest,
    /// The platform it is for; none when it is not told, or an attestation's `unknown/unknown`.
    pub platform: Option<Platform>,
}

/// What was done to a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It was looked up (HEAD).
    Head,
    /// It was fetched (GET, and any method that is not told).
    Get,
    /// It was pushed.
    Push,
}
