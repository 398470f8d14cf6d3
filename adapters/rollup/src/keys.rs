//! What is counted, by number: names are kept once, whatever the number of days.

use indexmap::IndexSet;
use staticreg_domain::metrics::Filter;

use crate::day::KeyId;

/// A repository, tag and architecture that were counted together, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Number of the repository and tag.
    pub(crate) image: u32,
    pub(crate) repository: u32,
    pub(crate) tag: u32,
    pub(crate) architecture: u32,
}

/// Numbers for names, and for what was counted together.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    pub(crate) repositories: Names,
    /// Empty for an access without tag.
    pub(crate) tags: Names,
    pub(crate) architectures: Names,
    images: IndexSet<(u32, u32)>,
    all: IndexSet<Key>,
}

impl KeyTable {
    pub(crate) fn number(&mut self, repository: &str, tag: &str, architecture: &str) -> KeyId {
        let (repository, tag) = (self.repositories.number(repository), self.tags.number(tag));
        let image = number(self.images.insert_full((repository, tag)).0);
        let architecture = self.architectures.number(architecture);
        number(self.all.insert_full(Key { image, repository, tag, architecture }).0)
    }

    /// For each key by its number, the group it belongs to, when it passes the filter; dates and kind aside. Questions
    /// about one repository or digest are not asked here.
    pub(crate) fn groups(&self, filter: &Filter, groups: &mut Groups) -> Vec<Option<u32>> {
        let Filter { dates: _, kind: _, repository, tag, digest, architecture } = filter;
        debug_assert!(repository.is_none() && digest.is_none(), "the database answers these");
        let tag = tag.as_ref().map(|tag| self.tags.find(tag.as_str()));
        let architecture = architecture.as_ref().map(|name| self.architectures.find(name.as_str()));
        let passes = |key: &Key| {
            tag.is_none_or(|tag| tag == Some(key.tag))
                && architecture.is_none_or(|architecture| architecture == Some(key.architecture))
        };
        self.all.iter().map(|key| passes(key).then(|| groups.number((*key).into(), Some(key.image)))).collect()
    }

    /// What a number is of.
    pub(crate) fn key(&self, number: KeyId) -> Key {
        self.all[number as usize]
    }

    /// An image's repository and tag.
    fn image(&self, image: u32) -> (u32, u32) {
        self.images[image as usize]
    }

    /// About the bytes it takes: each number has an entry and a place in the table of hashes.
    pub(crate) fn size(&self) -> usize {
        const TABLE: usize = 3 * size_of::<usize>();
        [&self.repositories, &self.tags, &self.architectures].map(Names::size).iter().sum::<usize>()
            + self.images.len() * (size_of::<(u32, u32)>() + TABLE)
            + self.all.len() * (size_of::<Key>() + TABLE)
    }
}

/// The parts of a group's key that are told apart, by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Parts {
    pub(crate) repository: Option<u32>,
    pub(crate) tag: Option<u32>,
    pub(crate) architecture: Option<u32>,
}

impl From<Key> for Parts {
    fn from(Key { image: _, repository, tag, architecture }: Key) -> Self {
        Self { repository: Some(repository), tag: Some(tag), architecture: Some(architecture) }
    }
}

/// Numbers for groups of keys. Most questions need no table for them: the numbers of their names serve.
#[derive(Debug)]
pub(crate) enum Groups {
    All,
    Repositories,
    Tags,
    Architectures,
    /// Of repository and tag.
    Images,
    /// Of the parts that are told apart.
    Others {
        told: [bool; 3],
        numbers: IndexSet<Parts>,
    },
}

impl Groups {
    /// Groups of those parts that are told apart.
    pub(crate) fn of_keys(repository: bool, tag: bool, architecture: bool) -> Self {
        match (repository, tag, architecture) {
            (true, true, false) => Self::Images,
            _ => Self::of_groups(repository, tag, architecture),
        }
    }

    /// The same, of groups, which have no number of their image.
    pub(crate) fn of_groups(repository: bool, tag: bool, architecture: bool) -> Self {
        match (repository, tag, architecture) {
            (false, false, false) => Self::All,
            (true, false, false) => Self::Repositories,
            (false, true, false) => Self::Tags,
            (false, false, true) => Self::Architectures,
            _ => Self::Others { told: [repository, tag, architecture], numbers: IndexSet::new() },
        }
    }

    /// The number of the group that parts belong to.
    pub(crate) fn number(&mut self, parts: Parts, image: Option<u32>) -> u32 {
        let Parts { repository, tag, architecture } = parts;
        match self {
            Self::All => None,
            Self::Repositories => repository,
            Self::Tags => tag,
            Self::Architectures => architecture,
            Self::Images => image,
            Self::Others { told: [by_repository, by_tag, by_architecture], numbers } => {
                let parts = Parts {
                    repository: repository.filter(|_| *by_repository),
                    tag: tag.filter(|_| *by_tag),
                    architecture: architecture.filter(|_| *by_architecture),
                };
                Some(number(numbers.insert_full(parts).0))
            }
        }
        .unwrap_or_default()
    }

    /// The parts of a group.
    pub(crate) fn parts(&self, keys: &KeyTable, group: u32) -> Parts {
        match self {
            Self::All => Parts::default(),
            Self::Repositories => Parts { repository: Some(group), ..Parts::default() },
            Self::Tags => Parts { tag: Some(group), ..Parts::default() },
            Self::Architectures => Parts { architecture: Some(group), ..Parts::default() },
            Self::Images => {
                let (repository, tag) = keys.image(group);
                Parts { repository: Some(repository), tag: Some(tag), architecture: None }
            }
            Self::Others { told: _, numbers } => numbers[group as usize],
        }
    }
}

/// Numbers for names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: IndexSet<Box<str>>,
    length: usize,
}

impl Names {
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        self.find(name).unwrap_or_else(|| {
            self.length += name.len();
            number(self.names.insert_full(name.into()).0)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    fn find(&self, name: &str) -> Option<u32> {
        self.names.get_index_of(name).map(number)
    }

    pub(crate) fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }

    fn size(&self) -> usize {
        self.length + self.names.len() * (size_of::<Box<str>>() + 3 * size_of::<usize>())
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("memory ends before the numbers do")
}
