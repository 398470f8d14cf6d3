//! `GET /api/v1/images`.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::{Object, OpenApi, param::Query, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{ImagePulls, Listed};

use super::{
    ApiTag, count, example_time,
    list::{self, Format, Item, ListAnswer},
    optional_tag,
    selection::{Kind, Selection},
};
use crate::problem::QuestionError;

pub(crate) struct ImagesApi {
    pub(crate) ask: AskMetrics,
}

#[OpenApi]
impl ImagesApi {
    /// Counts per repository and tag, most first.
    ///
    /// Images with equal counts follow each other by repository and tag.
    #[oai(path = "/api/v1/images", method = "get", operation_id = "list_images", tag = "ApiTag::Statistics")]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn list_images(
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
    ) -> Result<ListAnswer<Image>, QuestionError> {
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
        let page = list::page::<Image>(limit.0, cursor.as_deref())?;
        let slice = self.ask.images(&selection.filter(&self.ask)?, &page).await?;
        Ok(ListAnswer::new(slice, format, Image::from))
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
    pub(crate) pulls: u64,
    /// The latest access.
    pub(crate) last_pulled_at: DateTime<Utc>,
}

impl Example for Image {
    fn example() -> Self {
        Self {
            repository: "library/nginx".to_owned(),
            tag: Some("latest".to_owned()),
            pulls: 96,
            last_pulled_at: example_time(),
        }
    }
}

impl From<ImagePulls> for Image {
    fn from(item: ImagePulls) -> Self {
        let ImagePulls { repository, tag, pulls, last_pulled_at } = item;
        Self { repository: repository.to_string(), tag: tag.map(|tag| tag.to_string()), pulls, last_pulled_at }
    }
}

impl Item for Image {
    type Source = ImagePulls;
    type Wire = (u64, String, Option<String>);

    const COLUMNS: &'static [&'static str] = &["repository", "tag", "pulls", "last_pulled_at"];

    fn to_wire((pulls, repository, tag): <ImagePulls as Listed>::Position) -> Self::Wire {
        (pulls, repository.to_string(), tag.map(|tag| tag.to_string()))
    }

    fn from_wire((pulls, repository, tag): Self::Wire) -> Option<<ImagePulls as Listed>::Position> {
        Some((count(pulls)?, repository.parse().ok()?, optional_tag(tag).ok()?))
    }
}
