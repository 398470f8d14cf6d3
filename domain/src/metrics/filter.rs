//! Which counts a question is about.

use std::str::FromStr;

use super::{AccessKind, DateRange};
use crate::{Architecture, Digest, RepositoryName, Tag};

/// The values that a question is about: those that are named, or every one when none is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyOf<T>(Vec<T>);

impl<T> AnyOf<T> {
    /// Every value.
    pub const EVERY: Self = Self(Vec::new());

    /// The values that are named, each once and in order; none when it is about every one.
    #[must_use]
    pub fn named(&self) -> &[T] {
        &self.0
    }

    /// Whether it is about every value.
    #[must_use]
    pub fn is_every(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, when it is about a single one.
    #[must_use]
    pub fn single(&self) -> Option<&T> {
        if let [value] = self.named() { Some(value) } else { None }
    }
}

impl<T: PartialEq> AnyOf<T> {
    /// Whether it is about a value.
    #[must_use]
    pub fn has(&self, value: &T) -> bool {
        self.is_every() || self.0.contains(value)
    }
}

impl<T> Default for AnyOf<T> {
    fn default() -> Self {
        Self::EVERY
    }
}

impl<T> From<T> for AnyOf<T> {
    fn from(value: T) -> Self {
        Self(vec![value])
    }
}

impl<T> From<Option<T>> for AnyOf<T> {
    fn from(value: Option<T>) -> Self {
        Self(value.into_iter().collect())
    }
}

impl<T: Ord> FromIterator<T> for AnyOf<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut values: Vec<T> = values.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        Self(values)
    }
}

/// A folder: what the names of some repositories have in common before a slash. `team-a` holds `team-a/x` and
/// `team-a/y/z`, and neither `team-ab/x` nor the repository `team-a`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folder(Box<str>);

/// The text is no folder of repositories.
#[derive(Debug, thiserror::Error)]
#[error("not a folder of repositories such as team-a or team-a/web")]
pub struct InvalidFolder;

impl Folder {
    /// What the names of its repositories begin with: its path and a slash.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0
    }

    /// Whether a repository lies in it, at any depth.
    #[must_use]
    pub fn holds(&self, repository: &str) -> bool {
        repository.starts_with(self.prefix())
    }
}

impl FromStr for Folder {
    type Err = InvalidFolder;

    /// From its path, which may end with a slash.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path: RepositoryName = text.strip_suffix('/').unwrap_or(text).parse().map_err(|_| InvalidFolder)?;
        Ok(Self(format!("{path}/").into()))
    }
}

/// What lies right in a folder, or in none: a repository, or a folder with all below it. One name can be both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderEntry(Box<str>);

impl FolderEntry {
    /// The text of the entry that a repository of a folder belongs to; of the registry when no folder is given.
    #[must_use]
    pub fn text_of<'a>(repository: &'a str, folder: Option<&Folder>) -> &'a str {
        let above = folder.map_or(0, |folder| folder.prefix().len());
        let slash = repository.get(above..).and_then(|rest| rest.find('/'));
        slash.map_or(repository, |slash| &repository[..=above + slash])
    }

    /// An entry as it may stand in a store, see [`RepositoryName::as_stored`].
    pub fn as_stored(text: &str) -> Result<Self, InvalidFolder> {
        let is_name = RepositoryName::as_stored(text.strip_suffix('/').unwrap_or(text)).is_ok();
        if is_name { Ok(Self(text.into())) } else { Err(InvalidFolder) }
    }

    /// The path of a folder with a slash, or the name of a repository.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path, when it is a folder.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        self.0.strip_suffix('/')
    }

    /// The name, when it is a repository.
    #[must_use]
    pub fn repository(&self) -> Option<&str> {
        if self.folder().is_none() { Some(&self.0) } else { None }
    }
}

/// A part of the names of some repositories, in capitals or not: `GIN` is one of `library/nginx`. Every character stands for
/// itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamePart(Box<str>);

/// The text is no part of a name.
#[derive(Debug, thiserror::Error)]
#[error("not a part of a repository name such as nginx")]
pub struct InvalidNamePart;

impl NamePart {
    /// The part in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a repository's name has it.
    #[must_use]
    pub fn is_in(&self, repository: &str) -> bool {
        let part = self.0.as_bytes();
        repository.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
    }
}

impl FromStr for NamePart {
    type Err = InvalidNamePart;

    /// What can be in no name but can be written is taken, and is in none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_written = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_written && text.len() <= RepositoryName::MAX_LENGTH {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(InvalidNamePart)
        }
    }
}

/// Which counts a question is about: those that agree with every member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The dates.
    pub dates: DateRange,
    /// The kinds of access.
    pub kind: AnyOf<AccessKind>,
    /// The folder that the repositories lie in, at any depth.
    pub folder: Option<Folder>,
    /// What the repositories' names have in them.
    pub part: Option<NamePart>,
    /// The repositories.
    pub repository: AnyOf<RepositoryName>,
    /// The tags.
    pub tag: AnyOf<Tag>,
    /// The digests.
    pub digest: AnyOf<Digest>,
    /// The architectures.
    pub architecture: AnyOf<Architecture>,
}

impl Filter {
    /// The pulls by tag of some dates.
    #[must_use]
    pub fn of_dates(dates: DateRange) -> Self {
        Self {
            dates,
            kind: AccessKind::PullByTag.into(),
            folder: None,
            part: None,
            repository: AnyOf::EVERY,
            tag: AnyOf::EVERY,
            digest: AnyOf::EVERY,
            architecture: AnyOf::EVERY,
        }
    }

    /// The kinds of access it is about, at least one.
    #[must_use]
    pub fn kinds(&self) -> &[AccessKind] {
        if self.kind.is_every() { &AccessKind::ALL } else { self.kind.named() }
    }

    /// Whether it is about all counts of its dates and kinds.
    #[must_use]
    pub fn is_of_every_name(&self) -> bool {
        let Self { dates: _, kind: _, folder, part, repository, tag, digest, architecture } = self;
        folder.is_none()
            && part.is_none()
            && repository.is_every()
            && tag.is_every()
            && digest.is_every()
            && architecture.is_every()
    }

    /// Whether a repository is in the folder, and has the part in its name.
    #[must_use]
    pub fn takes_name(&self, repository: &str) -> bool {
        self.folder.as_ref().is_none_or(|folder| folder.holds(repository))
            && self.part.as_ref().is_none_or(|part| part.is_in(repository))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_named_once_and_in_order() {
        let some: AnyOf<u8> = [3, 1, 3].into_iter().collect();
        assert_eq!((some.named(), some.single()), (&[1, 3][..], None));
        assert!(some.has(&3) && !some.has(&2));
        assert_eq!(AnyOf::from(7).single(), Some(&7));
        assert!(AnyOf::<u8>::from(None).is_every() && AnyOf::EVERY.has(&2));
    }

    #[test]
    fn a_part_of_a_name_is_found_as_it_is_written() {
        for (part, name, is_in) in [
            ("gin", "library/nginx", true),
            ("RY/Ng", "library/nginx", true),
            ("nginx", "Library/NGINX", true),
            ("a_b", "a-b", false),
            ("a%", "a/b", false),
            (".*", "a/b", false),
            ("library/nginx/", "library/nginx", false),
        ] {
            assert_eq!(part.parse::<NamePart>().expect(part).is_in(name), is_in, "{part} {name}");
        }
        for text in ["", " ", "a b", "a\0", "ä", &"a".repeat(256)] {
            assert!(text.parse::<NamePart>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_folder_goes_by_the_parts_of_a_path() {
        let folder: Folder = "team-a/web".parse().expect("a folder");
        assert_eq!("team-a/web/".parse::<Folder>().expect("a folder"), folder);
        for (name, is_held) in [
            ("team-a/web/x", true),
            ("team-a/web/x/y", true),
            ("team-a/web", false),
            ("team-a/webs/x", false),
            ("team-a/x", false),
            ("x/team-a/web/x", false),
        ] {
            assert_eq!(folder.holds(name), is_held, "{name}");
        }
        let entry = |name| FolderEntry::text_of(name, Some(&folder));
        assert_eq!(["team-a/web/x", "team-a/web/x/y/z"].map(entry), ["team-a/web/x", "team-a/web/x/"]);
        let of_all = |name| FolderEntry::text_of(name, None);
        assert_eq!(["nginx", "team-a/web/x"].map(of_all), ["nginx", "team-a/"]);
        let entry = FolderEntry::as_stored("team-a/web/").expect("an entry");
        assert_eq!((entry.folder(), entry.repository()), (Some("team-a/web"), None));
        let entry = FolderEntry::as_stored("nginx").expect("an entry");
        assert_eq!((entry.folder(), entry.repository()), (None, Some("nginx")));
        for text in ["", "/", "a//", "/a", "A", "a b", "a/../b"] {
            assert!(text.parse::<Folder>().is_err(), "{text}");
        }
    }
}
