//! Pull events.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    Architecture, Digest, EventId, ManifestAccess, RepositoryName, Tag,
    metrics::{AccessKind, Change, CountKey, CountedEvent},
};

/// A registry event that passed the rules and counts as an image pull by tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullEvent {
    /// The event's id.
    pub id: EventId,
    /// When the pull counts; see [`ManifestAccess::counted_at`]. The count is of its UTC date.
    pub pulled_at: DateTime<Utc>,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// The digest the tag pointed to.
    pub digest: Digest,
    /// The architecture.
    pub architecture: Architecture,
}

impl PullEvent {
    /// The access as a pull by its tag; none when it names no tag.
    #[must_use]
    pub fn by_tag(access: &ManifestAccess) -> Option<Self> {
        Some(Self {
            id: access.id,
            pulled_at: access.counted_at(),
            repository: access.repository.clone(),
            tag: access.tag.clone()?,
            digest: access.digest.clone(),
            architecture: access.architecture.clone(),
        })
    }
}

impl From<PullEvent> for CountedEvent {
    fn from(pull: PullEvent) -> Self {
        let PullEvent { id, pulled_at, repository, tag, digest, architecture } = pull;
        let key = CountKey {
            kind: AccessKind::PullByTag,
            date: pulled_at.date_naive(),
            repository,
            tag: Some(tag),
            digest,
            architecture,
        };
        Self { id, at: pulled_at, changes: vec![Change { key: Arc::new(key), delta: 1 }] }
    }
}
