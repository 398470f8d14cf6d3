//! `GET /api/v1/architectures`.

use poem_openapi::{
    Object,
    types::{Example, MaybeUndefined},
};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{BreakdownRow, Dimension, Measures, Order};

use super::{
    list::{Declaration, Item, cell, change},
    operation::list_operation,
    selection::Several,
};

pub(crate) struct ArchitecturesApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts and number of repositories per architecture, most first.
    ///
    /// Architectures with equal counts follow each other by name.
    GET "/api/v1/architectures" as "list_architectures" on ArchitecturesApi(
        /// Only these repositories.
        #[oai(validator(max_items = 20))]
        repository: Several,
        /// Only these tags.
        #[oai(validator(max_items = 20))]
        tag: Several,
    ) -> ArchitectureCount, Declaration {
        by: vec![Dimension::Architecture],
        measures: Measures { distinct: Some(Dimension::Repository), ..Measures::COUNT },
        order: Order::MostFirst,
    }
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct ArchitectureCount {
    /// The architecture; `not-specified` when nobody told.
    pub(crate) architecture: String,
    /// The count.
    pub(crate) count: u64,
    /// How many repositories were accessed.
    pub(crate) repositories: u64,
    /// The count of as many days before; only with `compare=previous`.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) previous: Option<u64>,
    /// By how much the count changed since, in per cent; null where there was none before. Only with `compare=previous`.
    #[oai(nullable)]
    #[serde(serialize_with = "cell")]
    pub(crate) change: MaybeUndefined<f64>,
}

impl Example for ArchitectureCount {
    fn example() -> Self {
        Self {
            architecture: "arm64".to_owned(),
            count: 42,
            repositories: 7,
            previous: None,
            change: MaybeUndefined::Undefined,
        }
    }
}

impl ArchitectureCount {
    fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, previous, distinct, .. } = row;
        Some(Self {
            architecture: key.architecture?.to_string(),
            count,
            repositories: distinct?,
            previous,
            change: change(count, previous),
        })
    }
}

impl Item for ArchitectureCount {
    const COLUMNS: &'static [&'static str] = &["architecture", "count", "repositories", "previous", "change"];
}
