//! `GET /api/v1/folders`.

use poem_openapi::{
    Object,
    types::{Example, MaybeUndefined},
};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{BreakdownRow, Dimension, Measures, Order};

use super::{
    example_time,
    list::{Declaration, Item, cell, change},
    operation::list_operation,
    selection::Several,
    time::Time,
};

pub(crate) struct FoldersApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts per folder, most first.
    ///
    /// Of what lies right in `folder`, or at the top when none is given, as a file manager shows it: a folder counts all
    /// repositories below it, at any depth; a repository that lies there itself is an item of its own, also when a folder
    /// has the same name. Items with equal counts follow each other by name.
    GET "/api/v1/folders" as "list_folders" on FoldersApi(
        /// Only these repositories.
        #[oai(validator(max_items = 20))]
        repository: Several,
        /// Only these tags.
        #[oai(validator(max_items = 20))]
        tag: Several,
    ) -> FolderCount, Declaration {
        by: vec![Dimension::Folder],
        measures: Measures { distinct: Some(Dimension::Repository), ..Measures::LAST },
        order: Order::MostFirst,
    }
}

/// One item of the list: a folder, or a repository.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct FolderCount {
    /// The folder's path; null for a repository.
    #[oai(nullable)]
    pub(crate) folder: Option<String>,
    /// The repository; null for a folder.
    #[oai(nullable)]
    pub(crate) repository: Option<String>,
    /// The count.
    pub(crate) count: u64,
    /// How many repositories were accessed.
    pub(crate) repositories: u64,
    /// The latest access; with `compare=previous`, of the days before too.
    pub(crate) last_at: Time,
    /// The count of as many days before; only with `compare=previous`.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) previous: Option<u64>,
    /// By how much the count changed since, in per cent; null where there was none before. Only with `compare=previous`.
    #[oai(nullable)]
    #[serde(serialize_with = "cell")]
    pub(crate) change: MaybeUndefined<f64>,
}

impl Example for FolderCount {
    fn example() -> Self {
        Self {
            folder: Some("team-a".to_owned()),
            repository: None,
            count: 128,
            repositories: 12,
            last_at: example_time().into(),
            previous: None,
            change: MaybeUndefined::Undefined,
        }
    }
}

impl FolderCount {
    fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, previous, distinct, last_at, .. } = row;
        let entry = key.folder?;
        Some(Self {
            folder: entry.folder().map(str::to_owned),
            repository: entry.repository().map(str::to_owned),
            count,
            repositories: distinct?,
            last_at: last_at?.into(),
            previous,
            change: change(count, previous),
        })
    }
}

impl Item for FolderCount {
    const COLUMNS: &'static [&'static str] =
        &["folder", "repository", "count", "repositories", "last_at", "previous", "change"];
}
