//! `GET /api/v1/architectures`.

use chrono::NaiveDate;
use poem_openapi::{Object, OpenApi, param::Query, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{ArchitecturePulls, Listed};

use super::{
    ApiTag, count,
    list::{self, Format, Item, ListAnswer},
    selection::{Kind, Selection},
};
use crate::problem::QuestionError;

pub(crate) struct ArchitecturesApi {
    pub(crate) ask: AskMetrics,
}

#[OpenApi]
impl ArchitecturesApi {
    /// Counts and number of repositories per architecture, most first.
    ///
    /// Architectures with equal counts follow each other by name.
    #[oai(
        path = "/api/v1/architectures",
        method = "get",
        operation_id = "list_architectures",
        tag = "ApiTag::Statistics"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn list_architectures(
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
    ) -> Result<ListAnswer<ArchitectureCount>, QuestionError> {
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
        let page = list::page::<ArchitectureCount>(limit.0, cursor.as_deref())?;
        let slice = self.ask.architectures(&selection.filter(&self.ask)?, &page).await?;
        Ok(ListAnswer::new(slice, format, ArchitectureCount::from))
    }
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct ArchitectureCount {
    /// The architecture; `not-specified` when nobody told.
    pub(crate) architecture: String,
    /// The count.
    pub(crate) pulls: u64,
    /// How many repositories were accessed.
    pub(crate) repositories: u64,
}

impl Example for ArchitectureCount {
    fn example() -> Self {
        Self { architecture: "arm64".to_owned(), pulls: 42, repositories: 7 }
    }
}

impl From<ArchitecturePulls> for ArchitectureCount {
    fn from(item: ArchitecturePulls) -> Self {
        let ArchitecturePulls { architecture, pulls, repositories } = item;
        Self { architecture: architecture.to_string(), pulls, repositories }
    }
}

impl Item for ArchitectureCount {
    type Source = ArchitecturePulls;
    type Wire = (u64, String);

    const COLUMNS: &'static [&'static str] = &["architecture", "pulls", "repositories"];

    fn to_wire((pulls, architecture): <ArchitecturePulls as Listed>::Position) -> Self::Wire {
        (pulls, architecture.to_string())
    }

    fn from_wire((pulls, architecture): Self::Wire) -> Option<<ArchitecturePulls as Listed>::Position> {
        Some((count(pulls)?, architecture.parse().ok()?))
    }
}
