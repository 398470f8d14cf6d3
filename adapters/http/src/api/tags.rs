//! `GET /api/v1/tags`.

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

pub(crate) struct TagsApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts of one repository by tag and architecture, most first.
    ///
    /// Equal counts follow each other by tag and architecture.
    GET "/api/v1/tags" as "list_tags" on TagsApi(
        /// The repository.
        #[oai(validator(max_length = 255))]
        repository: String,
        /// Only these tags.
        #[oai(validator(max_items = 20))]
        tag: Several,
    ) -> TagCount, Declaration {
        by: vec![Dimension::Tag, Dimension::Architecture],
        measures: Measures::LAST,
        order: Order::MostFirst,
    }
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct TagCount {
    /// The tag; null for accesses that named none.
    #[oai(nullable)]
    pub(crate) tag: Option<String>,
    /// The architecture; `not-specified` when nobody told.
    pub(crate) architecture: String,
    /// The count.
    pub(crate) count: u64,
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

impl Example for TagCount {
    fn example() -> Self {
        Self {
            tag: Some("latest".to_owned()),
            architecture: "amd64".to_owned(),
            count: 64,
            last_at: example_time().into(),
            previous: None,
            change: MaybeUndefined::Undefined,
        }
    }
}

impl TagCount {
    fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, previous, last_at, .. } = row;
        Some(Self {
            tag: key.tag.map(|tag| tag.to_string()),
            architecture: key.architecture?.to_string(),
            count,
            last_at: last_at?.into(),
            previous,
            change: change(count, previous),
        })
    }
}

impl Item for TagCount {
    const COLUMNS: &'static [&'static str] = &["tag", "architecture", "count", "last_at", "previous", "change"];
}
