//! `GET /api/v1/tags`.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::{Object, OpenApi, param::Query, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{Listed, TagPulls};

use super::{
    ApiTag, count, example_time,
    list::{self, Format, Item, ListAnswer},
    optional_tag,
    selection::{Kind, Selection},
};
use crate::problem::QuestionError;

pub(crate) struct TagsApi {
    pub(crate) ask: AskMetrics,
}

#[OpenApi]
impl TagsApi {
    /// Counts of one repository by tag and architecture, most first.
    ///
    /// Equal counts follow each other by tag and architecture.
    #[oai(path = "/api/v1/tags", method = "get", operation_id = "list_tags", tag = "ApiTag::Statistics")]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn list_tags(
        &self,
        /// The first date, inclusive. Not together with `days`.
        from: Query<Option<NaiveDate>>,
        /// The last date, inclusive; today when not given.
        to: Query<Option<NaiveDate>>,
        /// The number of days until `to`; 30 when neither `from` nor `days` is given.
        #[oai(validator(minimum(value = "1"), maximum(value = "3660")))]
        days: Query<Option<u32>>,
        /// Which accesses are counted; `pull_by_tag` when not given.
        kind: Query<Option<Kind>>,
        /// The repository.
        #[oai(validator(max_length = 255))]
        repository: Query<String>,
        /// Only this tag.
        #[oai(validator(max_length = 128))]
        tag: Query<Option<String>>,
        /// Only this digest.
        #[oai(validator(max_length = 255))]
        digest: Query<Option<String>>,
        /// Only this architecture, such as `amd64` or `not-specified`.
        #[oai(validator(max_length = 32))]
        architecture: Query<Option<String>>,
        /// The most items of a page; 100 when not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
        limit: Query<Option<u32>>,
        /// Where to read on: the `next_cursor` of the page before.
        #[oai(validator(max_length = 2048))]
        cursor: Query<Option<String>>,
        format: Format,
    ) -> Result<ListAnswer<TagCount>, QuestionError> {
        let selection = Selection {
            from: from.0,
            to: to.0,
            days: days.0,
            kind: kind.0,
            repository: Some(repository.0),
            tag: tag.0,
            digest: digest.0,
            architecture: architecture.0,
        };
        let page = list::page::<TagCount>(limit.0, cursor.as_deref())?;
        let slice = self.ask.tags(&selection.filter(&self.ask)?, &page).await?;
        Ok(ListAnswer::new(slice, format, TagCount::from))
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
