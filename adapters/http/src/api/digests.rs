//! `GET /api/v1/digests`.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::{Object, OpenApi, param::Query, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{DigestPulls, Listed};

use super::{
    ApiTag, example_time,
    list::{self, Format, Item, ListAnswer},
    selection::{Kind, Selection},
};
use crate::problem::QuestionError;

pub(crate) struct DigestsApi {
    pub(crate) ask: AskMetrics,
}

#[OpenApi]
impl DigestsApi {
    /// The digests a tag has pointed to, the latest accessed first.
    ///
    /// Only digests that were accessed by this tag.
    #[oai(path = "/api/v1/digests", method = "get", operation_id = "list_digests", tag = "ApiTag::Statistics")]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn list_digests(
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
        /// The tag.
        #[oai(validator(max_length = 128))]
        tag: Query<String>,
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
    ) -> Result<ListAnswer<DigestCount>, QuestionError> {
        let selection = Selection {
            from: from.0,
            to: to.0,
            days: days.0,
            kind: kind.0,
            repository: Some(repository.0),
            tag: Some(tag.0),
            digest: digest.0,
            architecture: architecture.0,
        };
        let page = list::page::<DigestCount>(limit.0, cursor.as_deref())?;
        let slice = self.ask.digests(&selection.filter(&self.ask)?, &page).await?;
        Ok(ListAnswer::new(slice, format, DigestCount::from))
    }
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct DigestCount {
    /// The digest.
    pub(crate) digest: String,
    /// The count.
    pub(crate) pulls: u64,
    /// The first date it was accessed on.
    pub(crate) first_pulled_on: NaiveDate,
    /// The latest access.
    pub(crate) last_pulled_at: DateTime<Utc>,
}

impl Example for DigestCount {
    fn example() -> Self {
        Self {
            digest: "sha256:d7733008a9eb1bdae2308ebe4cc9b17a327adfb2bfd492b92fef97f1aa83210d".to_owned(),
            pulls: 17,
            first_pulled_on: example_time().date_naive(),
            last_pulled_at: example_time(),
        }
    }
}

impl From<DigestPulls> for DigestCount {
    fn from(item: DigestPulls) -> Self {
        let DigestPulls { digest, pulls, first_pulled_on, last_pulled_at } = item;
        Self { digest: digest.to_string(), pulls, first_pulled_on, last_pulled_at }
    }
}

impl Item for DigestCount {
    type Source = DigestPulls;
    type Wire = (DateTime<Utc>, String);

    const COLUMNS: &'static [&'static str] = &["digest", "pulls", "first_pulled_on", "last_pulled_at"];

    fn to_wire((last_pulled_at, digest): <DigestPulls as Listed>::Position) -> Self::Wire {
        (last_pulled_at, digest.to_string())
    }

    fn from_wire((last_pulled_at, digest): Self::Wire) -> Option<<DigestPulls as Listed>::Position> {
        Some((last_pulled_at, digest.parse().ok()?))
    }
}
