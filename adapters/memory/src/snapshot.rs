//! The counts as of a moment: what a question walks over while others record.

use chrono::NaiveDate;
use staticreg_domain::{Architecture, Digest, RepositoryName, Tag, metrics::AccessKind};

use crate::{
    chunked::Chunked,
    counts::{Row, RowKey},
    names::{Id, Listed},
};

/// Which rows are wanted; a kind or name that is not given is any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) kind: Option<AccessKind>,
    pub(crate) repository: Option<Id>,
    pub(crate) tag: Option<Id>,
    pub(crate) digest: Option<Id>,
    pub(crate) architecture: Option<Id>,
}

impl Wanted {
    fn is(&self, key: &RowKey) -> bool {
        let Self { kind, repository, tag, digest, architecture } = *self;
        kind.is_none_or(|kind| key.kind == kind)
            && repository.is_none_or(|repository| key.repository == repository)
            && tag.is_none_or(|tag| key.tag == Some(tag))
            && digest.is_none_or(|digest| key.digest == digest)
            && architecture.is_none_or(|architecture| key.architecture == architecture)
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
            .filter(|(_, row)| self.wanted.is_none_or(|wanted| wanted.is(&row.key)))
            .map(|(date, row)| (date, row, row.value.get().into()))
    }

    /// The tag of a row.
    pub(crate) fn tag(&self, tag: Option<Id>) -> Option<&Tag> {
        tag.map(|tag| self.tags.name(tag))
    }
}
