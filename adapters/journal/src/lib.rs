//! Journal entries as bytes, for every adapter that keeps them: `postcard`, behind a byte that tells the version.
//!
//! A batch names few repositories, tags and images, so each text stands once, in a list, and entries hold its place.

use std::{collections::HashMap, hash::Hash, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use staticreg_domain::{
    Action, Architecture, Client, Digest, ManifestAccess, ManifestKind, Platform, RepositoryName, Tag,
    journal::JournalEntry, manifest_access::IndexChild,
};
use uuid::Uuid;

/// The only version there is.
const VERSION: u8 = 1;

/// The bytes are no journal entries, or of a version that this program does not know.
#[derive(Debug, thiserror::Error)]
#[error("no entries of the journal that this version of staticreg can read")]
pub struct Unreadable;

/// The entries as bytes.
#[must_use]
pub fn encode<'a>(entries: impl IntoIterator<Item = &'a JournalEntry>) -> Vec<u8> {
    let mut lists = Lists::default();
    let mut stored = Stored::default();
    for entry in entries {
        match entry {
            JournalEntry::Access(access) => stored.accesses.push(lists.access(access)),
            JournalEntry::Index { digest, children } => {
                let (digest, children) = (lists.digest(digest), lists.children(children));
                stored.indexes.push(StoredIndex { digest, children });
            }
        }
    }
    stored.repositories = lists.repositories.list;
    stored.tags = lists.tags.list;
    stored.digests = lists.digests.list.into_iter().map(PackedDigest::from_digest).collect();
    stored.architectures = lists.architectures.list;
    stored.platforms = lists.platforms.list.into_iter().map(StoredPlatform::from_platform).collect();
    // Fails for what no type here holds: a map of unknown length, for one.
    postcard::to_extend(&stored, vec![VERSION]).unwrap_or_default()
}

/// The entries that were made bytes: first what was told of indexes, then the accesses.
pub fn decode(bytes: &[u8]) -> Result<Vec<JournalEntry>, Unreadable> {
    let Some((&VERSION, bytes)) = bytes.split_first() else { return Err(Unreadable) };
    let stored: Stored<'_> = postcard::from_bytes(bytes).map_err(|_| Unreadable)?;
    let names = Names {
        repositories: parsed(&stored.repositories)?,
        tags: parsed(&stored.tags)?,
        digests: stored.digests.iter().map(PackedDigest::digest).collect::<Result<_, _>>()?,
        architectures: parsed(&stored.architectures)?,
        platforms: stored.platforms.iter().map(StoredPlatform::platform).collect(),
    };
    let index = |StoredIndex { digest, children }: &StoredIndex| {
        Ok(JournalEntry::Index { digest: at(&names.digests, *digest)?, children: names.children(children)? })
    };
    let accesses = stored.accesses.iter().map(|access| names.access(access).map(JournalEntry::Access));
    stored.indexes.iter().map(index).chain(accesses).collect()
}

#[derive(Default, Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    repositories: Vec<&'a str>,
    #[serde(borrow)]
    tags: Vec<&'a str>,
    #[serde(borrow)]
    digests: Vec<PackedDigest<'a>>,
    #[serde(borrow)]
    architectures: Vec<&'a str>,
    #[serde(borrow)]
    platforms: Vec<StoredPlatform<'a>>,
    indexes: Vec<StoredIndex>,
    accesses: Vec<StoredAccess>,
}

/// A digest: nearly all are SHA-256.
#[derive(Serialize, Deserialize)]
enum PackedDigest<'a> {
    Sha256([u8; 32]),
    #[serde(borrow)]
    Other(&'a str),
}

#[derive(Serialize, Deserialize)]
struct StoredPlatform<'a> {
    os: &'a str,
    architecture: &'a str,
    variant: Option<&'a str>,
    os_version: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct StoredIndex {
    digest: u32,
    children: Vec<StoredChild>,
}

#[derive(Serialize, Deserialize)]
struct StoredChild {
    digest: u32,
    platform: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct StoredAccess {
    id: [u8; 16],
    at: StoredTime,
    arrived_at: Option<StoredTime>,
    action: StoredAction,
    is_index: bool,
    repository: u32,
    tag: Option<u32>,
    digest: u32,
    architecture: u32,
    client: [u8; 8],
    children: Vec<StoredChild>,
}

#[derive(Serialize, Deserialize)]
struct StoredTime {
    seconds: i64,
    nanoseconds: u32,
}

#[derive(Serialize, Deserialize)]
enum StoredAction {
    Head,
    Get,
    Push,
}

/// A list in which each value stands once.
struct List<T> {
    list: Vec<T>,
    places: HashMap<T, u32>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { list: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Copy + Eq + Hash> List<T> {
    fn place(&mut self, value: T) -> u32 {
        *self.places.entry(value).or_insert_with(|| {
            self.list.push(value);
            u32::try_from(self.list.len() - 1).expect("a batch is small")
        })
    }
}

#[derive(Default)]
struct Lists<'a> {
    repositories: List<&'a str>,
    tags: List<&'a str>,
    digests: List<&'a str>,
    architectures: List<&'a str>,
    platforms: List<&'a Platform>,
}

impl<'a> Lists<'a> {
    fn digest(&mut self, digest: &'a Digest) -> u32 {
        self.digests.place(digest.as_str())
    }

    fn children(&mut self, children: &'a [IndexChild]) -> Vec<StoredChild> {
        let child = |IndexChild { digest, platform }: &'a IndexChild| StoredChild {
            digest: self.digest(digest),
            platform: platform.as_ref().map(|platform| self.platforms.place(platform)),
        };
        children.iter().map(child).collect()
    }

    fn access(&mut self, access: &'a ManifestAccess) -> StoredAccess {
        let ManifestAccess { id, at, arrived_at, action, manifest, repository, tag, digest, .. } = access;
        StoredAccess {
            id: id.as_uuid().into_bytes(),
            at: StoredTime::from_time(*at),
            arrived_at: arrived_at.map(StoredTime::from_time),
            action: match action {
                Action::Head => StoredAction::Head,
                Action::Get => StoredAction::Get,
                Action::Push => StoredAction::Push,
            },
            is_index: *manifest == ManifestKind::Index,
            repository: self.repositories.place(repository.as_str()),
            tag: tag.as_ref().map(|tag| self.tags.place(tag.as_str())),
            digest: self.digest(digest),
            architecture: self.architectures.place(access.architecture.as_str()),
            client: access.client.0.to_le_bytes(),
            children: self.children(&access.children),
        }
    }
}

/// What the lists hold, read.
struct Names {
    repositories: Vec<RepositoryName>,
    tags: Vec<Tag>,
    digests: Vec<Digest>,
    architectures: Vec<Architecture>,
    platforms: Vec<Option<Platform>>,
}

impl Names {
    fn children(&self, children: &[StoredChild]) -> Result<Vec<IndexChild>, Unreadable> {
        let child = |StoredChild { digest, platform }: &StoredChild| {
            let platform = platform.map_or(Ok(None), |platform| at(&self.platforms, platform))?;
            Ok(IndexChild { digest: at(&self.digests, *digest)?, platform })
        };
        children.iter().map(child).collect()
    }

    fn access(&self, access: &StoredAccess) -> Result<ManifestAccess, Unreadable> {
        Ok(ManifestAccess {
            id: Uuid::from_bytes(access.id).into(),
            at: access.at.time()?,
            arrived_at: access.arrived_at.as_ref().map(StoredTime::time).transpose()?,
            action: match access.action {
                StoredAction::Head => Action::Head,
                StoredAction::Get => Action::Get,
                StoredAction::Push => Action::Push,
            },
            manifest: if access.is_index { ManifestKind::Index } else { ManifestKind::Image },
            repository: at(&self.repositories, access.repository)?,
            tag: access.tag.map(|tag| at(&self.tags, tag)).transpose()?,
            digest: at(&self.digests, access.digest)?,
            architecture: at(&self.architectures, access.architecture)?,
            client: Client(u64::from_le_bytes(access.client)),
            children: self.children(&access.children)?,
        })
    }
}

impl StoredTime {
    fn from_time(time: DateTime<Utc>) -> Self {
        Self { seconds: time.timestamp(), nanoseconds: time.timestamp_subsec_nanos() }
    }

    fn time(&self) -> Result<DateTime<Utc>, Unreadable> {
        DateTime::from_timestamp(self.seconds, self.nanoseconds).ok_or(Unreadable)
    }
}

impl<'a> PackedDigest<'a> {
    fn from_digest(digest: &'a str) -> Self {
        let packed = digest.strip_prefix("sha256:").and_then(|hex| {
            let mut bytes = [0; 32];
            let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
            if pairs.len() != bytes.len() || !rest.is_empty() {
                return None;
            }
            for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
                *byte = nibble(*high)? << 4 | nibble(*low)?;
            }
            Some(bytes)
        });
        packed.map_or(Self::Other(digest), Self::Sha256)
    }

    fn digest(&self) -> Result<Digest, Unreadable> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        match self {
            Self::Sha256(bytes) => {
                let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
                let hex = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]);
                "sha256:".chars().chain(hex).collect::<String>().parse().map_err(|_| Unreadable)
            }
            Self::Other(text) => text.parse().map_err(|_| Unreadable),
        }
    }
}

/// Digits of a digest are lower case.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl<'a> StoredPlatform<'a> {
    fn from_platform(platform: &'a Platform) -> Self {
        Self {
            os: &platform.os,
            architecture: platform.architecture.as_str(),
            variant: platform.variant.as_deref(),
            os_version: platform.os_version.as_deref(),
        }
    }

    fn platform(&self) -> Option<Platform> {
        let platform = Platform::new(self.os, self.architecture, self.variant)?;
        Some(platform.of_os_version(self.os_version.unwrap_or_default()))
    }
}

fn parsed<T: FromStr>(texts: &[&str]) -> Result<Vec<T>, Unreadable> {
    texts.iter().map(|text| text.parse().map_err(|_| Unreadable)).collect()
}

fn at<T: Clone>(list: &[T], place: u32) -> Result<T, Unreadable> {
    list.get(place as usize).cloned().ok_or(Unreadable)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::select};

    use super::*;

    fn digests() -> impl Strategy<Value = Digest> {
        let sha256 = vec(any::<u8>(), 32).prop_map(|bytes| {
            bytes.iter().fold("sha256:".to_owned(), |hex, byte| format!("{hex}{byte:02x}")).parse().expect("a digest")
        });
        let other = "[a-z0-9]{1,8}".prop_map(|hash| format!("odd:{hash}").parse().expect("a digest"));
        prop_oneof![sha256, other]
    }

    fn children() -> impl Strategy<Value = Vec<IndexChild>> {
        let platform = (select(vec!["linux", "windows"]), select(vec!["amd64", "arm"]), option::of("v[0-9]"), "[0-9]?")
            .prop_map(|(os, architecture, variant, version)| {
                let platform = Platform::new(os, architecture, variant.as_deref()).expect("a platform");
                platform.of_os_version(&version)
            });
        vec((digests(), option::of(platform)).prop_map(|(digest, platform)| IndexChild { digest, platform }), 0..4)
    }

    fn accesses() -> impl Strategy<Value = ManifestAccess> {
        let times = || (-62_000_000_000_i64..250_000_000_000, 0..1_000_000_000_u32);
        let time = |(seconds, nanoseconds)| DateTime::from_timestamp(seconds, nanoseconds).expect("a time");
        let what = (select(vec![Action::Head, Action::Get, Action::Push]), any::<bool>(), option::of("[a-z]{1,9}"));
        let names = ("[a-z]{1,9}(/[a-z]{1,9})?", digests(), "[a-z]{0,5}", children());
        (any::<u128>(), times(), option::of(times()), what, names, any::<u64>()).prop_map(
            move |(
                id,
                at,
                arrived_at,
                (action, is_index, tag),
                (repository, digest, architecture, children),
                client,
            )| {
                let Ok(architecture) = architecture.parse();
                ManifestAccess {
                    id: Uuid::from_u128(id).into(),
                    at: time(at),
                    arrived_at: arrived_at.map(time),
                    action,
                    manifest: if is_index { ManifestKind::Index } else { ManifestKind::Image },
                    repository: repository.parse().expect("a name"),
                    tag: tag.map(|tag| tag.parse().expect("a tag")),
                    digest,
                    architecture,
                    client: Client(client),
                    children,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_made_bytes_is_read_again(
            indexes in vec((digests(), children()), 0..4),
            accesses in vec(accesses(), 0..8),
        ) {
            let indexes = indexes.into_iter().map(|(digest, children)| JournalEntry::Index { digest, children });
            let entries: Vec<_> = indexes.chain(accesses.into_iter().map(JournalEntry::Access)).collect();
            prop_assert_eq!(decode(&encode(&entries)).expect("they can be read"), entries);
        }

        #[test]
        fn bytes_of_anything_else_do_no_harm(accesses in vec(accesses(), 0..4), place in any::<usize>(), byte in any::<u8>()) {
            let entries: Vec<_> = accesses.into_iter().map(JournalEntry::Access).collect();
            let mut bytes = encode(&entries);
            let place = place % bytes.len();
            bytes[place] = byte;
            let _ = decode(&bytes);
            let _ = decode(&bytes[place..]);
            let _ = decode(&bytes[..place]);
        }
    }
}
