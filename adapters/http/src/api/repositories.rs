//! `GET /api/v1/repositories`.

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

pub(crate) struct RepositoriesApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts per repository, most first.
    ///
    /// Repositories with equal counts follow each other by name.
    GET "/api/v1/repositories" as "list_repositories" on RepositoriesApi(
        /// Only these repositories.
        #[oai(validator(max_items = 20))]
        repository: Several,
        /// Only these tags.
        #[oai(validator(max_items = 20))]
        tag: Several,
    ) -> Repository, Declaration {
        by: vec![Dimension::Repository],
        measures: Measures { distinct: Some(Dimension::Tag), ..Measures::LAST },
        order: Order::MostFirst,
    }
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
#[expect(clippy::struct_field_names, reason = "the members have the API's names")]
pub(crate) struct Repository {
    /// The repository.
    pub(crate) repository: String,
    /// The count.
    pub(crate) count: u64,
    /// How many different tags were accessed.
    pub(crate) tags: u64,
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

impl Example for Repository {
    fn example() -> Self {
        Self {
            repository: "library/nginx".to_owned(),
            count: 128,
            tags: 3,
            last_at: example_time().into(),
            previous: None,
            change: MaybeUndefined::Undefined,
        }
    }
}

impl Repository {
    fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, previous, distinct, last_at, .. } = row;
        Some(Self {
            repository: key.repository?.to_string(),
            count,
            tags: distinct?,
            last_at: last_at?.into(),
            previous,
            change: change(count, previous),
        })
    }
}

impl Item for Repository {
    const COLUMNS: &'static [&'static str] = &["repository", "count", "tags", "last_at", "previous", "change"];
}
