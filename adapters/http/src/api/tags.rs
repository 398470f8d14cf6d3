//! `GET /api/v1/tags`.

use poem_openapi::{Object, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{BreakdownRow, Dimension, Measures, Order};

use super::{
    example_time,
    list::{Declaration, Item},
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
    /// The latest access.
    pub(crate) last_at: Time,
}

impl Example for TagCount {
    fn example() -> Self {
        Self {
            tag: Some("latest".to_owned()),
            architecture: "amd64".to_owned(),
            count: 64,
            last_at: example_time().into(),
        }
    }
}

impl TagCount {
    fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, last_at, .. } = row;
        Some(Self {
            tag: key.tag.map(|tag| tag.to_string()),
            architecture: key.architecture?.to_string(),
            count,
            last_at: last_at?.into(),
        })
    }
}

impl Item for TagCount {
    const COLUMNS: &'static [&'static str] = &["tag", "architecture", "count", "last_at"];
}
