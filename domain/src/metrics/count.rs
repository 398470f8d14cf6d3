//! What is counted: keys and changes.

use std::{fmt, sync::Arc};

use chrono::NaiveDate;

use crate::{Architecture, Digest, RepositoryName, Tag};

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

/// What one count is of. Of which registry it does not say: `docs/adr/0006-one-registry-per-server.md`.
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
