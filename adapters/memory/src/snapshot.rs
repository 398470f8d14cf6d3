//! The counts as of a moment: what a question walks over while others record.

use chrono::NaiveDate;
use staticreg_domain::{
    Architecture, Digest, RepositoryName, Tag,
    metrics::{AccessKind, Filter},
};

use crate::{
    chunked::Chunked,
    counts::{Row, RowKey},
    names::{Id, Listed},
};

/// Which rows are wanted; names that are not given are any.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) kinds: Vec<AccessKind>,
    /// Looked at for the folder and the part of names alone.
    pub(crate) filter: Filter,
    pub(crate) repositories: Option<Vec<Id>>,
    pub(crate) tags: Option<Vec<Id>>,
    pub(crate) digests: Option<Vec<Id>>,
    pub(crate) architectures: Option<Vec<Id>>,
}

impl Wanted {
    fn is(&self, key: &RowKey, names: &Listed<RepositoryName>) -> bool {
        let Self { kinds, filter, repositories, tags, digests, architectures } = self;
        let has = |wanted: &Option<Vec<Id>>, id: &Id| wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
        kinds.contains(&key.kind)
            && has(repositories, &key.repository)
            && (tags.is_none() || key.tag.is_some_and(|tag| has(tags, &tag)))
            && has(digests, &key.digest)
            && has(architectures, &key.architecture)
            && filter.takes_name(names.name(key.repository).as_str())
    }
}

/// Counts that do not change, and the names they hold.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) days: Vec<(NaiveDate, Chunked<Row>)>,
    /// All rows when none is given.
    pub(crate) wanted: Option<Wanted>,
    pub(crate) repositories: Listed<RepositoryName>,
    pub(crate) tags: Listed<Tag>,
    pub(crate) digests: Listed<Digest>,
    pub(crate) architectures: Listed<Architecture>,
}

impl Snapshot {
    /// The rows that are wanted and show, with their dates and counts.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (NaiveDate, &Row, u64)> {
        self.days
            .iter()
            .flat_map(|(date, rows)| rows.iter().map(move |row| (*date, row)))
            .filter(|(_, row)| self.wanted.as_ref().is_none_or(|wanted| wanted.is(&row.key, &self.repositories)))
            .map(|(date, row)| (date, row, row.value.get().into()))
    }

    /// The tag of a row.
    pub(crate) fn tag(&self, tag: Option<Id>) -> Option<&Tag> {
        tag.map(|tag| self.tags.name(tag))
    }
}
