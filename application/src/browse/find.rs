//! Finds tags and digests in what the registry holds.

use staticreg_domain::{Digest, RepositoryName, Tag};

use super::Overview;
use crate::catalog::{RepositoryEntry, TagEntry};

/// How many are told.
const MAX_FOUND: usize = 20;

/// The fewest characters of a tag that are looked for in all repositories.
const MIN_TAG: usize = 2;

/// The fewest hexadecimal digits of a digest, and the most.
const DIGITS: std::ops::RangeInclusive<usize> = 8..=64;

/// Tags that a search found: those with this very name first, then those that begin so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The tags, by repository.
    pub tags: Vec<FoundTag>,
    /// Whether there are more.
    pub more: bool,
}

/// A tag that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTag {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// What it points to, or the image of its index that was looked for.
    pub digest: Option<Digest>,
    /// Whether the digest is that of an image of its index.
    pub is_child: bool,
}

/// What is looked for.
struct Wanted<'a> {
    /// What a repository's name must hold.
    name: Option<&'a str>,
    /// How a tag begins.
    tag: Option<&'a str>,
    /// How a digest begins, whatever its algorithm.
    digits: Option<String>,
}

impl<'a> Wanted<'a> {
    /// Reads `tag`, `name:tag`, `name@sha256:…`, `sha256:…`, and digits that may be a digest's.
    fn parse(search: &'a str) -> Option<Self> {
        let search = search.trim();
        if search.is_empty() || search.contains(char::is_whitespace) {
            return None;
        }
        let (before, reference) = match search.split_once('@') {
            Some((name, digest)) => (name, digest),
            None => ("", search),
        };
        let (algorithm, encoded) = reference.split_once(':').unwrap_or(("", reference));
        let is_digest = DIGITS.contains(&encoded.len()) && encoded.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digits = (is_digest && matches!(algorithm, "" | "sha256")).then(|| encoded.to_ascii_lowercase());
        let name = |name: &'a str| (!name.is_empty()).then_some(name);
        match (digits, search.rsplit_once(':')) {
            (digits @ Some(_), _) if algorithm == "sha256" => Some(Self { name: name(before), tag: None, digits }),
            // A port is no tag.
            (_, Some((name, tag))) if !tag.contains('/') => {
                (!name.is_empty()).then_some(Self { name: Some(name), tag: Some(tag), digits: None })
            }
            (digits, None) if before.is_empty() && search.len() >= MIN_TAG => {
                Some(Self { name: None, tag: Some(search), digits })
            }
            _ => None,
        }
    }

    /// Whether a repository may have it: its name holds what was written, or that ends with its name, as commands do.
    fn is_in(&self, repository: &RepositoryName) -> bool {
        let repository = repository.as_str();
        self.name.is_none_or(|name| {
            let ends_with_it = || name.strip_suffix(repository).is_some_and(|before| before.ends_with('/'));
            repository.contains(name) || ends_with_it()
        })
    }

    /// The tags of a repository that begin so.
    fn tags<'b>(&self, repository: &'b RepositoryEntry) -> &'b [TagEntry] {
        let Some(tag) = self.tag else { return &[] };
        let from = repository.tags.partition_point(|entry| entry.tag.as_str() < tag);
        let rest = &repository.tags[from..];
        &rest[..rest.partition_point(|entry| entry.tag.as_str().starts_with(tag))]
    }

    /// The digest of a tag, or of an image of its index, that begins so, and whether it is that of an image.
    fn digest<'b>(&self, entry: &'b TagEntry) -> Option<(&'b Digest, bool)> {
        let digits = self.digits.as_deref()?;
        let begins_so =
            |digest: &&Digest| digest.as_str().split_once(':').is_some_and(|(_, encoded)| encoded.starts_with(digits));
        let own = entry.digest().filter(begins_so).map(|digest| (digest, false));
        let children = || entry.image().into_iter().flat_map(|image| &image.children);
        own.or_else(|| children().find(begins_so).map(|digest| (digest, true)))
    }
}

impl Overview {
    /// The tags that a search means by their name or by a digest, in a folder when one is given.
    #[must_use]
    pub fn find(&self, search: &str, folder: Option<&str>) -> Found {
        let (Some(snapshot), Some(wanted)) = (self.snapshot.as_deref(), Wanted::parse(search)) else {
            return Found::default();
        };
        let prefix = folder.map_or_else(String::new, |folder| format!("{folder}/"));
        let (mut exact, mut others) = (Vec::new(), Vec::new());
        let is_there = |repository: &&RepositoryEntry| {
            repository.name.as_str().starts_with(&prefix) && wanted.is_in(&repository.name)
        };
        for repository in snapshot.repositories().iter().map(AsRef::as_ref).filter(is_there) {
            let found = |entry: &TagEntry, digest: Option<&Digest>, is_child| FoundTag {
                repository: repository.name.clone(),
                tag: entry.tag.clone(),
                digest: digest.cloned(),
                is_child,
            };
            for entry in wanted.tags(repository) {
                let list = if Some(entry.tag.as_str()) == wanted.tag { &mut exact } else { &mut others };
                if list.len() > MAX_FOUND {
                    break;
                }
                list.push(found(entry, entry.digest(), false));
            }
            if wanted.digits.is_some() && exact.len() <= MAX_FOUND {
                let by_digest = repository.tags.iter().filter_map(|entry| Some((entry, wanted.digest(entry)?)));
                let by_digest = by_digest.take(MAX_FOUND + 1 - exact.len());
                exact.extend(by_digest.map(|(entry, (digest, is_child))| found(entry, Some(digest), is_child)));
            }
            if exact.len() > MAX_FOUND {
                break;
            }
        }
        exact.append(&mut others);
        let more = exact.len() > MAX_FOUND;
        exact.truncate(MAX_FOUND);
        Found { tags: exact, more }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use staticreg_domain::{ManifestKind, catalog::Artifact};

    use super::*;
    use crate::{
        browse::{
            PullCounts,
            listing::testing::{of, whole},
            testing::CountingStore,
        },
        catalog::{CatalogSnapshot, ImageSummary, TagTarget},
    };

    fn digest(seed: char) -> Digest {
        format!("sha256:{}", seed.to_string().repeat(64)).parse().unwrap()
    }

    fn image(seed: char, children: &[char]) -> TagTarget {
        TagTarget::Image(Arc::new(ImageSummary {
            digest: digest(seed),
            kind: ManifestKind::Index,
            artifact: Artifact::Image,
            platforms: [].into(),
            children: children.iter().copied().map(digest).collect(),
            size: 1,
            created: None,
            blobs: [].into(),
        }))
    }

    fn repository(name: &str, tags: &[(&str, TagTarget)]) -> Arc<RepositoryEntry> {
        let mut tags: Vec<TagEntry> =
            tags.iter().map(|(tag, target)| TagEntry { tag: tag.parse().unwrap(), target: target.clone() }).collect();
        tags.sort_by(|a, b| a.tag.cmp(&b.tag));
        Arc::new(RepositoryEntry { tags: tags.into(), ..RepositoryEntry::unread(name.parse().unwrap()) })
    }

    async fn overview(repositories: Vec<Arc<RepositoryEntry>>) -> Overview {
        let pull_counts = PullCounts::read(&CountingStore::new().ask, None).await.unwrap();
        of(pull_counts, Some(Arc::new(CatalogSnapshot::new(1, repositories, whole()))))
    }

    fn told(found: &Found) -> Vec<String> {
        found.tags.iter().map(|found| format!("{}:{}", found.repository, found.tag)).collect()
    }

    #[tokio::test]
    async fn tags_are_found_by_name_repository_and_digest() {
        let overview = overview(vec![
            repository("library/nginx", &[("1.27", image('a', &['c'])), ("1.27.3", image('b', &[]))]),
            repository(
                "team/app",
                &[("1.2", image('a', &[])), ("1.27", image('d', &[])), ("deadbeef1", image('e', &[]))],
            ),
        ])
        .await;
        let a = "a".repeat(64);
        for (search, expected) in [
            // The very name first.
            ("1.27", &["library/nginx:1.27", "team/app:1.27", "library/nginx:1.27.3"][..]),
            (" 1.27.3 ", &["library/nginx:1.27.3"]),
            ("nginx:1.27", &["library/nginx:1.27", "library/nginx:1.27.3"]),
            ("nginx:", &["library/nginx:1.27", "library/nginx:1.27.3"]),
            ("registry.example.com:5000/team/app:1.2", &["team/app:1.2", "team/app:1.27"]),
            ("sha256:aaaaaaaa", &["library/nginx:1.27", "team/app:1.2"]),
            ("AAAAAAAAAA", &["library/nginx:1.27", "team/app:1.2"]),
            (&format!("sha256:{a}"), &["library/nginx:1.27", "team/app:1.2"]),
            (&format!("app@sha256:{a}"), &["team/app:1.2"]),
            ("sha256:cccccccccc", &["library/nginx:1.27"]),
            ("deadbeef", &["team/app:deadbeef1"]),
            ("sha256:aaaaaaa", &[]),
            ("sha512:aaaaaaaaaa", &[]),
            ("1", &[]),
            ("", &[]),
            ("1.27 nginx", &[]),
            ("<script>", &[]),
            (":1.27", &[]),
            ("localhost:5000/x", &[]),
        ] {
            assert_eq!(told(&overview.find(search, None)), expected, "{search:?}");
        }
        assert_eq!(told(&overview.find("1.27", Some("team"))), ["team/app:1.27"]);
        let child = &overview.find("sha256:cccccccccc", None).tags[0];
        assert_eq!((child.digest.as_ref(), child.is_child), (Some(&digest('c')), true));
    }

    #[tokio::test]
    async fn so_many_are_told_and_that_there_are_more() {
        let tags: Vec<(String, TagTarget)> = (0..30).map(|at| (format!("v{at}"), image('a', &[]))).collect();
        let tags: Vec<(&str, TagTarget)> = tags.iter().map(|(tag, target)| (tag.as_str(), target.clone())).collect();
        let overview = overview(["a", "b"].map(|name| repository(name, &tags)).into()).await;
        for search in ["v1", "sha256:aaaaaaaa", "a:"] {
            let found = overview.find(search, None);
            assert_eq!((found.tags.len(), found.more), (MAX_FOUND, true), "{search}");
        }
        assert_eq!(told(&overview.find("v1", None))[..3], ["a:v1", "b:v1", "a:v10"]);
        assert_eq!(overview.find("v29", None).tags.len(), 2);
    }
}
