//! `GET /api/v1/repositories`.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{Listed, RepositoryPulls};

use super::{count, example_time, list::Item, operation::list_operation};

pub(crate) struct RepositoriesApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts per repository, most first.
    ///
    /// Repositories with equal counts follow each other by name.
    GET "/api/v1/repositories" as "list_repositories" on RepositoriesApi(
        /// Only this repository.
        repository: Option<String>,
        /// Only this tag.
        tag: Option<String>,
    ) -> Repository, |ask, filter, page| (ask.repositories(filter, page).await?, Repository::from)
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
