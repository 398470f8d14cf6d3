//! Lists of what the registry holds, in pages. A page is looked for in the snapshot, and nothing else of it is held.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use staticreg_domain::{
    Platform, RepositoryName, Tag,
    metrics::{AnyOf, Folder, NamePart, Slice},
};

use super::snapshot::{CatalogSnapshot, CatalogTotals, RepositoryEntry, TagEntry};

/// Which repositories and tags a list is of: those that agree with every member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldFilter {
    /// The folder that the repositories lie in, at any depth.
    pub folder: Option<Folder>,
    /// What the repositories' names have in them.
    pub part: Option<NamePart>,
    /// The repositories.
    pub repository: AnyOf<RepositoryName>,
    /// The tags.
    pub tag: AnyOf<Tag>,
}

impl HeldFilter {
    fn takes(&self, repository: &RepositoryName) -> bool {
        let Self { folder, part, repository: named, tag: _ } = self;
        let name = repository.as_str();
        named.has(repository)
            && folder.as_ref().is_none_or(|folder| folder.holds(name))
            && part.as_ref().is_none_or(|part| part.is_in(name))
    }
}

/// A tag with its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTag {
    /// The repository.
    pub repository: Arc<RepositoryEntry>,
    /// Which of its tags.
    place: usize,
}

impl HeldTag {
    /// The tag and what it points to.
    #[must_use]
    pub fn entry(&self) -> &TagEntry {
        &self.repository.tags[self.place]
    }
}

/// What the images of a repository have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagesOfRepository {
    /// How many there are, and how large they are together ([`CatalogTotals`]).
    pub totals: CatalogTotals,
    /// Their platforms, each once.
    pub platforms: Vec<Platform>,
    /// When the newest was made; none when none tells.
    pub created: Option<DateTime<Utc>>,
}

impl CatalogSnapshot {
    /// The repositories behind a name that pass a filter, in the order of their names' bytes; at most so many.
    #[must_use]
    pub fn held_repositories(
        &self,
        filter: &HeldFilter,
        after: Option<&RepositoryName>,
        limit: u32,
    ) -> Slice<Arc<RepositoryEntry>> {
        let all = self.repositories();
        let first = after.map_or(0, |after| all.partition_point(|entry| entry.name <= *after));
        let wanted = all.iter().skip(first).filter(|entry| filter.takes(&entry.name)).cloned();
        // One more than are wanted tells whether more follow.
        Slice::new(wanted.take(limit as usize + 1).collect(), limit)
    }

    /// The tags behind a repository and tag that pass a filter, in the order of their bytes; at most so many.
    #[must_use]
    pub fn held_tags(&self, filter: &HeldFilter, after: Option<(&RepositoryName, &Tag)>, limit: u32) -> Slice<HeldTag> {
        let all = self.repositories();
        let first = after.map_or(0, |(name, _)| all.partition_point(|entry| entry.name < *name));
        let tags_of = |repository: &Arc<RepositoryEntry>| {
            let first = match after {
                Some((name, after)) if *name == repository.name => {
                    repository.tags.partition_point(|entry| entry.tag <= *after)
                }
                _ => 0,
            };
            let repository = Arc::clone(repository);
            (first..repository.tags.len()).map(move |place| HeldTag { repository: Arc::clone(&repository), place })
        };
        let repositories = all.iter().skip(first).filter(|entry| filter.takes(&entry.name));
        let wanted = repositories.flat_map(tags_of).filter(|held| filter.tag.has(&held.entry().tag));
        Slice::new(wanted.take(limit as usize + 1).collect(), limit)
    }
}

impl RepositoryEntry {
    /// What its images have in common, of those that could be read.
    #[must_use]
    pub fn images(self: &Arc<Self>) -> ImagesOfRepository {
        let mut platforms = Vec::new();
        let mut created = None;
        for image in self.tags.iter().filter_map(TagEntry::image) {
            created = created.max(image.created);
            for platform in image.platforms.iter() {
                if !platforms.contains(platform) {
                    platforms.push(platform.clone());
                }
            }
        }
        ImagesOfRepository { totals: CatalogTotals::from_repositories(std::slice::from_ref(self)), platforms, created }
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::{ManifestKind, catalog::Artifact};

    use super::*;
    use crate::catalog::{ImageSummary, ReadStatus, TagTarget};

    fn image(seed: &str, size: u64, architectures: &[&str], created: Option<&str>) -> TagTarget {
        TagTarget::Image(Arc::new(ImageSummary {
            digest: format!("sha256:{}", seed.repeat(32)).parse().unwrap(),
            kind: ManifestKind::Index,
            artifact: Artifact::Image,
            platforms: architectures.iter().filter_map(|name| Platform::new("linux", name, None)).collect(),
            children: [].into(),
            size,
            created: created.map(|at| at.parse().unwrap()),
            blobs: [].into(),
        }))
    }

    fn repository(name: &str, tags: &[(&str, TagTarget)]) -> Arc<RepositoryEntry> {
        let tags =
            tags.iter().map(|(tag, target)| TagEntry { tag: tag.parse().unwrap(), target: target.clone() }).collect();
        Arc::new(RepositoryEntry { tags, ..RepositoryEntry::unread(name.parse().unwrap()) })
    }

    fn snapshot() -> CatalogSnapshot {
        let unknown = |tags: &[&'static str]| tags.iter().map(|tag| (*tag, TagTarget::Unknown)).collect::<Vec<_>>();
        let repositories = [
            repository("a", &unknown(&["1", "2", "latest"])),
            repository("empty", &[]),
            repository("team-a/x", &unknown(&["1", "latest"])),
            repository("team-a/x/y", &unknown(&["2"])),
            repository("team-b/x", &unknown(&["latest"])),
        ];
        CatalogSnapshot::new(1, repositories.into(), ReadStatus::default())
    }

    fn filters() -> Vec<(HeldFilter, &'static [&'static str], &'static [&'static str])> {
        let named = |names: &[&str]| names.iter().flat_map(|name| name.parse()).collect();
        vec![
            (
                HeldFilter::default(),
                &["a", "empty", "team-a/x", "team-a/x/y", "team-b/x"],
                &["a:1", "a:2", "a:latest", "team-a/x:1", "team-a/x:latest", "team-a/x/y:2", "team-b/x:latest"],
            ),
            (
                HeldFilter { folder: "team-a".parse().ok(), ..HeldFilter::default() },
                &["team-a/x", "team-a/x/y"],
                &["team-a/x:1", "team-a/x:latest", "team-a/x/y:2"],
            ),
            (
                HeldFilter { part: "A/X".parse().ok(), tag: named_tags(&["1", "2"]), ..HeldFilter::default() },
                &["team-a/x", "team-a/x/y"],
                &["team-a/x:1", "team-a/x/y:2"],
            ),
            (
                HeldFilter { repository: named(&["a", "team-b/x", "none"]), ..HeldFilter::default() },
                &["a", "team-b/x"],
                &["a:1", "a:2", "a:latest", "team-b/x:latest"],
            ),
        ]
    }

    fn named_tags(tags: &[&str]) -> AnyOf<Tag> {
        tags.iter().flat_map(|tag| tag.parse()).collect()
    }

    #[test]
    fn pages_of_every_size_make_the_list() {
        let snapshot = snapshot();
        for (filter, repositories, tags) in filters() {
            for limit in 1..=8 {
                let (mut names, mut after) = (Vec::new(), None);
                loop {
                    let Slice { items, more } = snapshot.held_repositories(&filter, after.as_ref(), limit);
                    assert!(items.len() <= limit as usize);
                    after = items.last().map(|entry| entry.name.clone());
                    names.extend(items.iter().map(|entry| entry.name.to_string()));
                    if !more {
                        break;
                    }
                }
                assert_eq!(names, repositories, "{filter:?}, {limit}");

                let (mut names, mut after) = (Vec::new(), None);
                loop {
                    let place = after.as_ref().map(|(name, tag)| (name, tag));
                    let Slice { items, more } = snapshot.held_tags(&filter, place, limit);
                    assert!(items.len() <= limit as usize);
                    after = items.last().map(|held| (held.repository.name.clone(), held.entry().tag.clone()));
                    names.extend(items.iter().map(|held| format!("{}:{}", held.repository.name, held.entry().tag)));
                    if !more {
                        break;
                    }
                }
                assert_eq!(names, tags, "{filter:?}, {limit}");
            }
        }
    }

    #[test]
    fn a_list_goes_on_where_something_was_that_is_gone() {
        let snapshot = snapshot();
        let (name, tag) = ("team-a".parse().unwrap(), "9".parse().unwrap());
        let after = snapshot.held_repositories(&HeldFilter::default(), Some(&name), 1).items;
        assert_eq!(after[0].name.as_str(), "team-a/x");
        for (repository, next) in [("a", "a:latest"), ("b", "team-a/x:1"), ("team-a/x", "team-a/x:latest")] {
            let place = repository.parse().unwrap();
            let after = snapshot.held_tags(&HeldFilter::default(), Some((&place, &tag)), 1).items;
            assert_eq!(format!("{}:{}", after[0].repository.name, after[0].entry().tag), next, "{repository}");
        }
    }

    #[test]
    fn a_repository_tells_of_its_images() {
        let [old, new] = ["2026-01-01T10:00:00Z", "2026-11-01T10:00:00Z"];
        let shared = image("aa", 10, &["amd64"], Some(new));
        let repository = repository(
            "a",
            &[
                ("1", shared.clone()),
                ("2", image("bb", 5, &["arm64", "amd64"], Some(old))),
                ("3", TagTarget::Unknown),
                ("latest", shared),
            ],
        );
        let ImagesOfRepository { totals, platforms, created } = repository.images();
        assert_eq!((totals.tags, totals.images, totals.size), (4, 2, 15));
        assert_eq!(platforms.iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
        assert_eq!(created, new.parse().ok());
    }
}
