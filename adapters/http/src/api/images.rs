//! `GET /api/v1/images`.

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
    /// The latest access.
    pub(crate) last_at: Time,
}

impl Example for Image {
    fn example() -> Self {
        Self {
            repository: "library/nginx".to_owned(),
            tag: Some("latest".to_owned()),
            count: 96,
            last_at: example_time().into(),
        }
    }
}

impl Image {
    fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, last_at, .. } = row;
        Some(Self {
            repository: key.repository?.to_string(),
            tag: key.tag.map(|tag| tag.to_string()),
            count,
            last_at: last_at?.into(),
        })
    }
}

impl Item for Image {
    const COLUMNS: &'static [&'static str] = &["repository", "tag", "count", "last_at"];
}
