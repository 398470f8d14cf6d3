//! What is counted, by number: names are kept once, whatever the number of days.

use std::borrow::Cow;

use foldhash::fast::RandomState;
use indexmap::IndexSet;
use staticreg_domain::{
    Architecture, RepositoryName, Tag,
    metrics::{AnyOf, Filter, Folder, FolderEntry},
};

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
    images: IndexSet<(u32, u32), RandomState>,
    all: IndexSet<Key, RandomState>,
}

impl KeyTable {
    /// The number of what is counted together, by the numbers of its names.
    pub(crate) fn number(&mut self, repository: u32, tag: u32, architecture: u32) -> KeyId {
        let image = number(self.images.insert_full((repository, tag)).0);
        number(self.all.insert_full(Key { image, repository, tag, architecture }).0)
    }

    /// For each key by its number, the group it belongs to, when it passes the filter; dates and kinds aside. Names are
    /// looked at once each, not with every key. Questions about digests are not asked here.
    pub(crate) fn groups(&self, filter: &Filter, entries: &Entries, groups: &mut Groups) -> Vec<Option<u32>> {
        let Filter { dates: _, kind: _, folder, part, repository, tag, digest, architecture } = filter;
        debug_assert!(digest.is_every(), "the database answers these");
        let mut repositories = self.repositories.wanted(repository, RepositoryName::as_str);
        if folder.is_some() || part.is_some() {
            let taken = self.repositories.iter().enumerate();
            let taken = taken.map(|(number, name)| repositories.has(number) && filter.takes_name(name));
            repositories = Wanted::Some(taken.collect());
        }
        let tags = self.tags.wanted(tag, Tag::as_str);
        let architectures = self.architectures.wanted(architecture, Architecture::as_str);
        let passes = |key: &Key| {
            repositories.has(key.repository as usize)
                && tags.has(key.tag as usize)
                && architectures.has(key.architecture as usize)
        };
        let group = |key: &Key| passes(key).then(|| groups.number(entries.of_key(*key), Some(key.image)));
        self.all.iter().map(group).collect()
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

/// What lies right in a folder, by number.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    names: Names,
    /// By the number of a repository; of nothing when folders are not told apart.
    of_repositories: Vec<u32>,
}

impl Entries {
    /// The entries that the repositories belong to.
    pub(crate) fn new(keys: &KeyTable, folder: Option<&Folder>) -> Self {
        let mut names = Names::default();
        let of_repositories =
            keys.repositories.iter().map(|repository| names.number(FolderEntry::text_of(repository, folder))).collect();
        Self { names, of_repositories }
    }

    /// The parts of a key.
    fn of_key(&self, Key { image: _, repository, tag, architecture }: Key) -> Parts {
        Parts {
            entry: self.of_repositories.get(repository as usize).copied(),
            repository: Some(repository),
            tag: Some(tag),
            architecture: Some(architecture),
        }
    }

    pub(crate) fn name(&self, number: u32) -> &str {
        self.names.name(number)
    }
}

/// The parts of a group's key that are told apart, by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Parts {
    pub(crate) entry: Option<u32>,
    pub(crate) repository: Option<u32>,
    pub(crate) tag: Option<u32>,
    pub(crate) architecture: Option<u32>,
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
        apart: Apart,
        numbers: IndexSet<Parts>,
    },
}

/// Which parts are told apart.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each part is told apart or not, whatever the others are")]
pub(crate) struct Apart {
    pub(crate) entry: bool,
    pub(crate) repository: bool,
    pub(crate) tag: bool,
    pub(crate) architecture: bool,
}

impl Groups {
    /// Groups of those parts that are told apart.
    pub(crate) fn of_keys(apart: Apart) -> Self {
        match apart {
            Apart { entry: false, repository: true, tag: true, architecture: false } => Self::Images,
            _ => Self::of_groups(apart),
        }
    }

    /// The same, of groups, which have no number of their image.
    pub(crate) fn of_groups(apart: Apart) -> Self {
        match (apart.entry, apart.repository, apart.tag, apart.architecture) {
            (false, false, false, false) => Self::All,
            (false, true, false, false) => Self::Repositories,
            (false, false, true, false) => Self::Tags,
            (false, false, false, true) => Self::Architectures,
            _ => Self::Others { apart, numbers: IndexSet::new() },
        }
    }

    /// The number of the group that parts belong to.
    pub(crate) fn number(&mut self, parts: Parts, image: Option<u32>) -> u32 {
        let Parts { entry, repository, tag, architecture } = parts;
        match self {
            Self::All => None,
            Self::Repositories => repository,
            Self::Tags => tag,
            Self::Architectures => architecture,
            Self::Images => image,
            Self::Others { apart, numbers } => {
                let parts = Parts {
                    entry: entry.filter(|_| apart.entry),
                    repository: repository.filter(|_| apart.repository),
                    tag: tag.filter(|_| apart.tag),
                    architecture: architecture.filter(|_| apart.architecture),
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
                Parts { repository: Some(repository), tag: Some(tag), ..Parts::default() }
            }
            Self::Others { apart: _, numbers } => numbers[group as usize],
        }
    }
}

/// Which names a filter lets pass.
enum Wanted {
    Every,
    /// By number.
    Some(Vec<bool>),
}

impl Wanted {
    fn has(&self, number: usize) -> bool {
        match self {
            Self::Every => true,
            Self::Some(wanted) => wanted[number],
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

    pub(crate) fn numbers(&mut self, names: &[Cow<'_, str>]) -> Vec<u32> {
        names.iter().map(|name| self.number(name)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Which of the names are among some.
    fn wanted<T>(&self, names: &AnyOf<T>, text: impl Fn(&T) -> &str) -> Wanted {
        if names.is_every() {
            return Wanted::Every;
        }
        let mut wanted = vec![false; self.len()];
        for number in names.named().iter().filter_map(|name| self.find(text(name))) {
            wanted[number as usize] = true;
        }
        Wanted::Some(wanted)
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
