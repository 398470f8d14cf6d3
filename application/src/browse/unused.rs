//! Images nobody has pulled for so many days: the list for cleaning up.
//!
//! What is on it may be deleted by somebody, so in doubt an image is left out: one that was pulled by its digest, by a
//! tag that points to the same or did then, as part of an index, was pushed or made meanwhile, or is not known.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    Digest, RepositoryName, Tag,
    metrics::{AccessKind, DateRange, Filter, MetricsError},
};

use super::{
    statistics::watched_since,
    usage::{ByTag, contents, images, of, pulled_digests},
};
use crate::{
    aside::aside,
    ask_metrics::AskMetrics,
    catalog::{CatalogSnapshot, TagEntry},
};

/// The answer to "what may go?".
#[derive(Clone, Debug)]
pub struct Unused {
    /// For how many days.
    pub days: u32,
    /// The first day anything was counted on; none when nothing ever was, and then no image can be said to be unused.
    pub watched_since: Option<NaiveDate>,
    /// The images: never pulled first, then the longest ago.
    pub images: Vec<UnusedImage>,
    /// The sum of their sizes, each content once.
    pub size: u64,
}

/// An image nobody pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedImage {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Its size in bytes, when the registry tells.
    pub size: Option<u64>,
    /// When it was made, when the registry tells.
    pub created: Option<DateTime<Utc>>,
    /// The last pull; none when it was never pulled while watched.
    pub last_pulled_at: Option<DateTime<Utc>>,
    /// How often it was looked up all the same, in these days: somebody holds a copy.
    pub version_checks: u64,
}

/// What was counted.
struct Usage {
    last_pulls: ByTag<DateTime<Utc>>,
    pushes: ByTag<u64>,
    version_checks: ByTag<u64>,
    /// What the registry holds and was pulled in these days, by digest or by a tag, which may have moved since.
    pulled_digests: HashSet<Digest>,
}

impl Unused {
    pub(super) async fn read(
        ask: &AskMetrics,
        snapshot: Option<Arc<CatalogSnapshot>>,
        days: u32,
    ) -> Result<Self, MetricsError> {
        let range = DateRange::days_until(ask.today(), days);
        let mut unused = Self { days, watched_since: watched_since(ask).await?, images: Vec::new(), size: 0 };
        let Some(watched_since) = unused.watched_since else { return Ok(unused) };
        let of_kind = |kind: AccessKind| Filter { kind: kind.into(), ..Filter::of_dates(range) };
        let counted = Usage {
            last_pulls: images(ask, &Filter::of_dates(DateRange::EVER), |item| item.last_pulled_at).await?,
            pushes: images(ask, &of_kind(AccessKind::Push), |item| item.pulls).await?,
            version_checks: images(ask, &of_kind(AccessKind::VersionCheck), |item| item.pulls).await?,
            pulled_digests: match &snapshot {
                Some(snapshot) => {
                    let kinds = &[AccessKind::PullByTag, AccessKind::PullByDigest];
                    pulled_digests(ask, snapshot, range.from().max(watched_since), kinds).await?
                }
                None => HashSet::new(),
            },
        };
        let list = aside(move || {
            match snapshot {
                Some(snapshot) => unused.list_registry(&counted, &snapshot, range.from()),
                None => unused.list_pulled(&counted, range.from()),
            }
            unused.images.sort_by(|a, b| {
                (a.last_pulled_at, &a.repository, &a.tag).cmp(&(b.last_pulled_at, &b.repository, &b.tag))
            });
            unused
        });
        Ok(list.await)
    }

    /// Lists what the registry holds and nobody used since.
    fn list_registry(&mut self, counted: &Usage, snapshot: &CatalogSnapshot, since: NaiveDate) {
        let mut sized = HashSet::new();
        for repository in snapshot.repositories() {
            let is_used = |entry: &TagEntry| {
                counted.is_used(&repository.name, &entry.tag, since)
                    || contents(entry).any(|digest| counted.pulled_digests.contains(digest))
            };
            // Who pulls an index gets its images: they are used with it.
            let used: HashSet<&Digest> =
                repository.tags.iter().filter(|entry| is_used(entry)).flat_map(contents).collect();
            for entry in &repository.tags {
                // Who does not know what a tag points to cannot know whether that was pulled by another name.
                let in_use = is_used(entry) || entry.digest().is_none_or(|digest| used.contains(digest));
                let image = entry.image();
                let created = image.and_then(|image| image.created);
                if in_use || created.is_some_and(|at| at.date_naive() >= since) {
                    continue;
                }
                if let Some(image) = image
                    && sized.insert(image.digest.clone())
                {
                    self.size = self.size.saturating_add(image.size);
                }
                self.images.push(counted.image(&repository.name, &entry.tag, image.map(|image| image.size), created));
            }
        }
    }

    /// Lists what was once pulled, for want of a registry to look into.
    fn list_pulled(&mut self, counted: &Usage, since: NaiveDate) {
        for (repository, tags) in &counted.last_pulls {
            let unused = tags.keys().filter(|tag| !counted.is_used(repository, tag, since));
            self.images.extend(unused.map(|tag| counted.image(repository, tag, None, None)));
        }
    }
}

impl Usage {
    fn is_used(&self, repository: &RepositoryName, tag: &Tag, since: NaiveDate) -> bool {
        of(&self.pushes, repository, tag).is_some()
            || of(&self.last_pulls, repository, tag).is_some_and(|last_pull| last_pull.date_naive() >= since)
    }

    fn image(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        size: Option<u64>,
        created: Option<DateTime<Utc>>,
    ) -> UnusedImage {
        UnusedImage {
            repository: repository.clone(),
            tag: tag.clone(),
            size,
            created,
            last_pulled_at: of(&self.last_pulls, repository, tag).copied(),
            version_checks: of(&self.version_checks, repository, tag).copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::{ManifestKind, catalog::Artifact};

    use super::*;
    use crate::{
        browse::testing::CountingStore,
        catalog::{ImageSummary, ReadStatus, RepositoryEntry, TagEntry, TagTarget},
    };

    const OLD: &str = "2020-01-01T00:00:00Z";

    fn digest(seed: char) -> Digest {
        format!("sha256:{}", seed.to_string().repeat(64)).parse().unwrap()
    }

    /// A repository whose tags point to images of these digests, made at these times.
    fn registry(tags: &[(&str, char, &str)]) -> Arc<CatalogSnapshot> {
        registry_with_indexes(tags, &[])
    }

    /// The same, where some digests are those of indexes.
    fn registry_with_indexes(tags: &[(&str, char, &str)], indexes: &[(char, &[char])]) -> Arc<CatalogSnapshot> {
        let children = |seed: char| indexes.iter().find(|(index, _)| *index == seed).map(|(_, children)| *children);
        let mut tags: Vec<TagEntry> = tags
            .iter()
            .map(|(tag, seed, created)| TagEntry {
                tag: tag.parse().unwrap(),
                target: TagTarget::Image(Arc::new(ImageSummary {
                    digest: digest(*seed),
                    kind: children(*seed).map_or(ManifestKind::Image, |_| ManifestKind::Index),
                    artifact: Artifact::Image,
                    platforms: [].into(),
                    children: children(*seed).unwrap_or_default().iter().copied().map(digest).collect(),
                    size: 10,
                    created: created.parse().ok(),
                    blobs: [].into(),
                })),
            })
            .collect();
        tags.sort_by(|a, b| a.tag.cmp(&b.tag));
        let entry = RepositoryEntry { tags: tags.into(), ..RepositoryEntry::unread("app".parse().unwrap()) };
        Arc::new(CatalogSnapshot::new(1, vec![Arc::new(entry)], ReadStatus::default()))
    }

    fn tags(unused: &Unused) -> Vec<&str> {
        unused.images.iter().map(|image| image.tag.as_str()).collect()
    }

    #[tokio::test]
    async fn never_pulled_comes_first_then_the_longest_ago() {
        let counted = CountingStore::new();
        for (date, image) in [("2026-11-20", "app:new"), ("2026-05-01", "app:older"), ("2026-08-01", "app:old")] {
            counted.pulls(date, image, 1).await;
        }
        let registry = registry(&[("new", 'a', OLD), ("old", 'b', OLD), ("older", 'c', OLD), ("never", 'd', OLD)]);
        let unused = Unused::read(&counted.ask, Some(registry), 30).await.unwrap();
        assert_eq!(tags(&unused), ["never", "older", "old"]);
        assert_eq!(unused.size, 30);
        assert_eq!(unused.watched_since, Some("2026-05-01".parse().unwrap()));
        assert_eq!(unused.images[2].last_pulled_at, Some("2026-08-01T10:00:00Z".parse().unwrap()));
    }

    #[tokio::test]
    async fn the_first_of_so_many_days_counts_and_the_day_before_does_not() {
        let counted = CountingStore::new();
        counted.pulls("2026-11-15", "app:in", 1).await;
        counted.pulls("2026-11-14", "app:out", 1).await;
        let registry = registry(&[("in", 'a', OLD), ("out", 'b', OLD)]);
        assert_eq!(tags(&Unused::read(&counted.ask, Some(registry), 7).await.unwrap()), ["out"]);
    }

    #[tokio::test]
    async fn an_image_is_used_when_an_index_of_it_was_pulled_by_tag_or_by_digest() {
        let counted = CountingStore::new();
        counted.pulls("2026-11-20", "app:1.2", 1).await;
        counted.count(AccessKind::PullByDigest, "2026-11-19", "app", &"2".repeat(64), 1).await;
        let registry = registry_with_indexes(
            &[
                ("1.2", '1', OLD),
                ("1.2-amd64", 'a', OLD),
                ("1.2-arm64", 'b', OLD),
                ("1.1", '2', OLD),
                ("1.1-amd64", 'c', OLD),
                ("1.0", '3', OLD),
                ("1.0-amd64", 'd', OLD),
            ],
            &[('1', &['a', 'b']), ('2', &['c']), ('3', &['d'])],
        );
        assert_eq!(tags(&Unused::read(&counted.ask, Some(registry), 30).await.unwrap()), ["1.0", "1.0-amd64"]);
    }

    #[tokio::test]
    async fn an_image_is_used_when_it_was_pulled_by_a_tag_that_has_moved_since() {
        let counted = CountingStore::new();
        let digest = |seed: char| seed.to_string().repeat(64);
        counted.count(AccessKind::PullByTag, "2026-10-22", "app:latest", &digest('a'), 1).await;
        counted.count(AccessKind::PullByTag, "2026-10-23", "app:latest", &digest('b'), 1).await;
        counted.count(AccessKind::PullByTag, "2026-11-21", "app:latest", &digest('d'), 1).await;
        let tags_of = [("1.0", 'a', OLD), ("1.1", 'b', OLD), ("1.1-amd64", 'c', OLD), ("latest", 'd', OLD)];
        let registry = registry_with_indexes(&tags_of, &[('b', &['c'])]);
        assert_eq!(tags(&Unused::read(&counted.ask, Some(registry), 30).await.unwrap()), ["1.0"]);
    }

    #[tokio::test]
    async fn in_doubt_an_image_is_not_listed() {
        let counted = CountingStore::new();
        counted.pulls("2026-11-20", "app:1.2", 1).await;
        let digest = |digest: char| digest.to_string().repeat(64);
        counted.count(AccessKind::PullByDigest, "2026-11-19", "app", &digest('b'), 1).await;
        counted.count(AccessKind::Push, "2026-11-18", "app:pushed", &digest('c'), 1).await;
        counted.count(AccessKind::VersionCheck, "2026-11-18", "app:checked", &digest('f'), 4).await;
        let registry = registry(&[
            ("1.2", 'a', OLD),
            ("latest", 'a', OLD),
            ("by-digest", 'b', OLD),
            ("pushed", 'c', OLD),
            ("just-made", 'd', "2026-11-17T00:00:00Z"),
            ("checked", 'f', OLD),
            ("unknown-age", '1', ""),
        ]);
        let unused = Unused::read(&counted.ask, Some(registry), 30).await.unwrap();
        // A look-up is no pull, but told.
        assert_eq!(tags(&unused), ["checked", "unknown-age"]);
        assert_eq!(unused.images[0].version_checks, 4);
    }

    #[tokio::test]
    async fn an_index_is_used_when_one_of_its_images_was_pulled() {
        let counted = CountingStore::new();
        let digest = |seed: char| seed.to_string().repeat(64);
        counted.pulls("2026-10-01", "app:1.0", 1).await;
        counted.count(AccessKind::PullByDigest, "2026-11-20", "app", &digest('c'), 1).await;
        let registry = registry_with_indexes(&[("1.0", 'a', OLD), ("1.1", 'b', OLD)], &[('b', &['c'])]);
        assert_eq!(tags(&Unused::read(&counted.ask, Some(registry), 30).await.unwrap()), ["1.0"]);
    }

    #[tokio::test]
    async fn a_tag_that_points_to_something_unknown_is_not_listed() {
        let counted = CountingStore::new();
        counted.pulls("2026-11-20", "app:1.2", 1).await;
        let tags_of = |target| {
            let tags = [TagEntry { tag: "lost".parse().unwrap(), target }];
            let entry = RepositoryEntry { tags: tags.into(), ..RepositoryEntry::unread("app".parse().unwrap()) };
            Arc::new(CatalogSnapshot::new(1, vec![Arc::new(entry)], ReadStatus::default()))
        };
        for (target, expected) in [(TagTarget::Unknown, &[][..]), (TagTarget::Unread(digest('b')), &["lost"])] {
            let unused = Unused::read(&counted.ask, Some(tags_of(target)), 30).await.unwrap();
            assert_eq!(tags(&unused), expected);
        }
    }

    #[tokio::test]
    async fn without_any_count_nothing_is_said_to_be_unused() {
        let counted = CountingStore::new();
        let unused = Unused::read(&counted.ask, Some(registry(&[("1", 'a', OLD)])), 30).await.unwrap();
        assert_eq!((unused.watched_since, tags(&unused)), (None, Vec::new()));
    }

    #[tokio::test]
    async fn without_a_registry_what_was_once_pulled_is_listed() {
        let counted = CountingStore::new();
        counted.pulls("2026-11-20", "app:1", 1).await;
        counted.pulls("2026-01-20", "app:0", 1).await;
        assert_eq!(tags(&Unused::read(&counted.ask, None, 30).await.unwrap()), ["0"]);
    }
}
