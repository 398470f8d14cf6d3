//! `GET /api/v1/metrics`.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::{Object, OpenApi, param::Query, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{Listed, MetricsRow};

use super::{
    ApiTag, example_time,
    list::{self, Format, Item, ListAnswer},
    optional_tag,
    selection::{Kind, Selection},
};
use crate::problem::QuestionError;

pub(crate) struct MetricsApi {
    pub(crate) ask: AskMetrics,
}

#[OpenApi]
impl MetricsApi {
    /// The stored rows, newest first.
    ///
    /// One row per date, repository, tag, digest and architecture; rows of one date follow each other in this order.
    #[oai(path = "/api/v1/metrics", method = "get", operation_id = "list_metrics", tag = "ApiTag::Statistics")]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn list_metrics(
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
        /// Only this repository.
        #[oai(validator(max_length = 255))]
        repository: Query<Option<String>>,
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
    ) -> Result<ListAnswer<MetricsRowItem>, QuestionError> {
        let selection = Selection {
            from: from.0,
            to: to.0,
            days: days.0,
            kind: kind.0,
            repository: repository.0,
            tag: tag.0,
            digest: digest.0,
            architecture: architecture.0,
        };
        let page = list::page::<MetricsRowItem>(limit.0, cursor.as_deref())?;
        let slice = self.ask.rows(&selection.filter(&self.ask)?, &page).await?;
        Ok(ListAnswer::new(slice, format, MetricsRowItem::from))
    }
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct MetricsRowItem {
    /// The day, in UTC.
    pub(crate) date: NaiveDate,
    /// The repository.
    pub(crate) repository: String,
    /// The tag; null for accesses that named none.
    #[oai(nullable)]
    pub(crate) tag: Option<String>,
    /// The digest; of the index where the tag is an index's.
    pub(crate) digest: String,
    /// The architecture; `not-specified` when nobody told.
    pub(crate) architecture: String,
    // Without a comment of its own: a reference beside a description becomes a schema that client generators refuse.
    pub(crate) kind: Kind,
    /// The count.
    pub(crate) count: u64,
    /// When the first access of the row's first batch happened.
    pub(crate) created_at: DateTime<Utc>,
    /// The latest access that was counted.
    pub(crate) updated_at: DateTime<Utc>,
}

impl Example for MetricsRowItem {
    fn example() -> Self {
        Self {
            date: example_time().date_naive(),
            repository: "library/nginx".to_owned(),
            tag: Some("latest".to_owned()),
            digest: "sha256:d7733008a9eb1bdae2308ebe4cc9b17a327adfb2bfd492b92fef97f1aa83210d".to_owned(),
            architecture: "amd64".to_owned(),
            kind: Kind::PullByTag,
            count: 5,
            created_at: example_time(),
            updated_at: example_time(),
        }
    }
}

impl From<MetricsRow> for MetricsRowItem {
    fn from(item: MetricsRow) -> Self {
        let MetricsRow { date, repository, tag, digest, architecture, kind, count, created_at, updated_at } = item;
        Self {
            date,
            repository: repository.to_string(),
            tag: tag.map(|tag| tag.to_string()),
            digest: digest.to_string(),
            architecture: architecture.to_string(),
            kind: kind.into(),
            count,
            created_at,
            updated_at,
        }
    }
}

impl Item for MetricsRowItem {
    type Source = MetricsRow;
    type Wire = (NaiveDate, String, Option<String>, String, String);

    const COLUMNS: &'static [&'static str] =
        &["date", "repository", "tag", "digest", "architecture", "kind", "count", "created_at", "updated_at"];

    fn to_wire((date, repository, tag, digest, architecture): <MetricsRow as Listed>::Position) -> Self::Wire {
        (date, repository.to_string(), tag.map(|tag| tag.to_string()), digest.to_string(), architecture.to_string())
    }

    fn from_wire(
        (date, repository, tag, digest, architecture): Self::Wire,
    ) -> Option<<MetricsRow as Listed>::Position> {
        Some((
            date,
            repository.parse().ok()?,
            optional_tag(tag).ok()?,
            digest.parse().ok()?,
            architecture.parse().ok()?,
        ))
    }
}
