//! `GET /api/v1/images`.

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

pub(crate) struct ImagesApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts per repository and tag, most first.
    ///
    /// Images with equal counts follow each other by repository and tag.
    GET "/api/v1/images" as "list_images" on ImagesApi(
        /// Only these repositories.
        #[oai(validator(max_items = 20))]
        repository: Several,
        /// Only these tags.
        #[oai(validator(max_items = 20))]
        tag: Several,
    ) -> Image, Declaration {
        by: vec![Dimension::Repository, Dimension::Tag],
        measures: Measures::LAST,
        order: Order::MostFirst,
    }
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct Image {
    /// The repository.
    pub(crate) repository: String,
    /// The tag; null for accesses that named none.
    #[oai(nullable)]
    pub(crate) tag: Option<String>,
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

impl Example for Image {
    fn example() -> Self {
        Self {
            repository: "library/nginx".to_owned(),
            tag: Some("latest".to_owned()),
            count: 96,
            last_at: example_time().into(),
            previous: None,
            change: MaybeUndefined::Undefined,
        }
    }
}

impl Image {
    fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, previous, last_at, .. } = row;
        Some(Self {
            repository: key.repository?.to_string(),
            tag: key.tag.map(|tag| tag.to_string()),
            count,
            last_at: last_at?.into(),
            previous,
            change: change(count, previous),
        })
    }
}

impl Item for Image {
    const COLUMNS: &'static [&'static str] = &["repository", "tag", "count", "last_at", "previous", "change"];
}
