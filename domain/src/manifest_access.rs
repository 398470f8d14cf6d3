//! Registry events that passed the rules.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Architecture, Digest, EventId, ManifestKind, Platform, RepositoryName, Tag, event_id::EventStamp};

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
    /// Who did it.
    pub client: Client,
    /// The children of an index when they are told, else nothing. Of an image at most itself, with its platform, when an
    /// index told that.
    pub children: Vec<IndexChild>,
}

impl ManifestAccess {
    /// When it counts: when it happened, or when it arrived if the registry's clock cannot be believed.
    #[must_use]
    pub fn counted_at(&self) -> DateTime<Utc> {
        self.arrived_at.unwrap_or(self.at)
    }

    /// The access as its repeats have it.
    #[must_use]
    pub fn stamp(&self) -> EventStamp {
        EventStamp { id: self.id, timestamp: self.at }
    }
}

/// Stands for the host of a client's address and its user agent, the same on every server and after a restart; of the
/// two it tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(pub u64);

impl Client {
    /// The namespace of clients (RFC 9562, version 5), drawn once for staticreg.
    const NAMESPACE: Uuid = Uuid::from_u128(0x3d0c_64f5_17b9_4e0a_8f7e_d2a1_0b5c_9e66);

    /// The client of a host, without port, and a user agent; either is empty when unknown.
    #[must_use]
    pub fn new(host: &str, user_agent: &str) -> Self {
        let text = [host, user_agent].join("\n");
        Self(Uuid::new_v5(&Self::NAMESPACE, text.as_bytes()).as_u64_pair().0)
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
