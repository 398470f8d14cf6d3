//! `GET /api/v1/tags`.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{Listed, TagPulls};

use super::{count, example_time, list::Item, operation::list_operation, optional_tag};

pub(crate) struct TagsApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts of one repository by tag and architecture, most first.
    ///
    /// Equal counts follow each other by tag and architecture.
    GET "/api/v1/tags" as "list_tags" on TagsApi(
        /// The repository.
        repository: String,
        /// Only this tag.
        tag: Option<String>,
    ) -> TagCount, |ask, filter, page| (ask.tags(filter, page).await?, TagCount::from)
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
    pub(crate) pulls: u64,
    /// The latest access.
    pub(crate) last_pulled_at: DateTime<Utc>,
}

impl Example for TagCount {
    fn example() -> Self {
        Self {
            tag: Some("latest".to_owned()),
            architecture: "amd64".to_owned(),
            pulls: 64,
            last_pulled_at: example_time(),
        }
    }
}

impl From<TagPulls> for TagCount {
    fn from(item: TagPulls) -> Self {
        let TagPulls { tag, architecture, pulls, last_pulled_at } = item;
        Self { tag: tag.map(|tag| tag.to_string()), architecture: architecture.to_string(), pulls, last_pulled_at }
    }
}

impl Item for TagCount {
    type Source = TagPulls;
    type Wire = (u64, Option<String>, String);

    const COLUMNS: &'static [&'static str] = &["tag", "architecture", "pulls", "last_pulled_at"];

    fn to_wire((pulls, tag, architecture): <TagPulls as Listed>::Position) -> Self::Wire {
        (pulls, tag.map(|tag| tag.to_string()), architecture.to_string())
    }

    fn from_wire((pulls, tag, architecture): Self::Wire) -> Option<<TagPulls as Listed>::Position> {
        Some((count(pulls)?, optional_tag(tag).ok()?, architecture.parse().ok()?))
    }
}
