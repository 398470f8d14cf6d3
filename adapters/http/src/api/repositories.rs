//! `GET /api/v1/repositories`.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::{Object, OpenApi, param::Query, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{Listed, RepositoryPulls};

use super::{
    ApiTag, count, example_time,
    list::{self, Format, Item, ListAnswer},
    selection::{Kind, Selection},
};
use crate::problem::QuestionError;

pub(crate) struct RepositoriesApi {
    pub(crate) ask: AskMetrics,
}

#[OpenApi]
impl RepositoriesApi {
    /// Counts per repository, most first.
    ///
    /// Repositories with equal counts follow each other by name.
    #[oai(
        path = "/api/v1/repositories",
        method = "get",
        operation_id = "list_repositories",
        tag = "ApiTag::Statistics"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn list_repositories(
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
    ) -> Result<ListAnswer<Repository>, QuestionError> {
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
        let page = list::page::<Repository>(limit.0, cursor.as_deref())?;
        let slice = self.ask.repositories(&selection.filter(&self.ask)?, &page).await?;
        Ok(ListAnswer::new(slice, format, Repository::from))
    }
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
#[expect(clippy::struct_field_names, reason = "the members have the API's names")]
pub(crate) struct Repository {
    /// The repository.
    pub(crate) repository: String,
    /// The count.
    pub(crate) pulls: u64,
    /// How many different tags were accessed.
    pub(crate) tags: u64,
    /// The latest access.
    pub(crate) last_pulled_at: DateTime<Utc>,
}

impl Example for Repository {
    fn example() -> Self {
        Self { repository: "library/nginx".to_owned(), pulls: 128, tags: 3, last_pulled_at: example_time() }
    }
}

impl From<RepositoryPulls> for Repository {
    fn from(item: RepositoryPulls) -> Self {
        let RepositoryPulls { repository, pulls, tags, last_pulled_at } = item;
        Self { repository: repository.to_string(), pulls, tags, last_pulled_at }
    }
}

impl Item for Repository {
    type Source = RepositoryPulls;
    type Wire = (u64, String);

    const COLUMNS: &'static [&'static str] = &["repository", "pulls", "tags", "last_pulled_at"];

    fn to_wire((pulls, repository): <RepositoryPulls as Listed>::Position) -> Self::Wire {
        (pulls, repository.to_string())
    }

    fn from_wire((pulls, repository): Self::Wire) -> Option<<RepositoryPulls as Listed>::Position> {
        Some((count(pulls)?, repository.parse().ok()?))
    }
}
