//! What is counted: keys, changes and the events that cause them.

use std::{fmt, sync::Arc};

use chrono::{DateTime, NaiveDate, Utc};

use crate::{Architecture, Digest, EventId, RepositoryName, Tag};

/// What kind of access a count is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessKind {
    /// An image was pulled by its tag.
    #[default]
    PullByTag,
    /// An image was pulled by its digest.
    PullByDigest,
    /// A tag was looked up and nothing fetched.
    VersionCheck,
    /// A manifest was pushed.
    Push,
}

impl AccessKind {
    /// Every kind, in order.
    pub const ALL: [Self; 4] = [Self::PullByTag, Self::PullByDigest, Self::VersionCheck, Self::Push];

    /// The kind's name, as the API and the store have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PullByTag => "pull_by_tag",
            Self::PullByDigest => "pull_by_digest",
            Self::VersionCheck => "version_check",
            Self::Push => "push",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for AccessKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one count is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountKey {
    /// The kind of access.
    pub kind: AccessKind,
    /// The UTC date of the access.
    pub date: NaiveDate,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag; none when the access named none.
    pub tag: Option<Tag>,
    /// The digest: of the index where the tag is an index's.
    pub digest: Digest,
    /// The architecture.
    pub architecture: Architecture,
}

/// A signed change of one count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which count.
    pub key: Arc<CountKey>,
    /// By how much.
    pub delta: i32,
}

/// An event and what it changes in the counts; no change when it is part of a pull that is counted already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedEvent {
    /// The event's id.
    pub id: EventId,
    /// When the event counts; see [`crate::ManifestAccess::counted_at`].
    pub at: DateTime<Utc>,
    /// The changes, at most one of each key.
    pub changes: Vec<Change>,
}

impl CountedEvent {
    /// What is left of it where a count it takes something from is not there: what it adds in other kinds. Within a kind
    /// it would only have moved what is not there. None when it takes nothing.
    #[must_use]
    pub fn without_taking(&self) -> Option<Self> {
        let is_taken_from = |kind| self.changes.iter().any(|change| change.delta < 0 && change.key.kind == kind);
        if !AccessKind::ALL.into_iter().any(is_taken_from) {
            return None;
        }
        let changes = self.changes.iter().filter(|change| !is_taken_from(change.key.kind)).cloned().collect();
        Some(Self { changes, ..*self })
    }

    /// The counts of a kind that the event adds to, one for each access that came with it: a pull that only moves, to
    /// another architecture, adds none.
    pub fn added(&self, kind: AccessKind) -> impl Iterator<Item = &CountKey> {
        let of_kind = self.changes.iter().filter(move |change| change.key.kind == kind);
        let sum: i32 = of_kind.clone().map(|change| change.delta).sum();
        let more = of_kind.filter(|change| change.delta > 0).map(|change| &*change.key);
        more.take(usize::try_from(sum).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: AccessKind, architecture: &str, delta: i32) -> Change {
        let key = CountKey {
            kind,
            date: NaiveDate::MIN,
            repository: "app".parse().expect("a name"),
            tag: None,
            digest: format!("sha256:{:064x}", 1).parse().expect("a digest"),
            architecture: architecture.parse().expect("never fails"),
        };
        Change { key: Arc::new(key), delta }
    }

    #[test]
    fn without_taking_a_pull_is_left_and_a_move_is_not() {
        let of = |changes: &[Change]| CountedEvent {
            id: uuid::Uuid::nil().into(),
            at: DateTime::UNIX_EPOCH,
            changes: changes.to_vec(),
        };
        let pull = change(AccessKind::PullByTag, "arm64", 1);
        let check = change(AccessKind::VersionCheck, "arm64", -1);
        assert_eq!(of(&[check, pull.clone()]).without_taking(), Some(of(std::slice::from_ref(&pull))));
        let moved = change(AccessKind::PullByTag, "amd64", -1);
        assert_eq!(of(&[moved, pull.clone()]).without_taking(), Some(of(&[])));
        assert_eq!(of(&[pull]).without_taking(), None);
    }
}
