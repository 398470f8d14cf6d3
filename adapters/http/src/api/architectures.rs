//! `GET /api/v1/architectures`.

use poem_openapi::{Object, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{ArchitecturePulls, Listed};

use super::{count, list::Item, operation::list_operation};

pub(crate) struct ArchitecturesApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts and number of repositories per architecture, most first.
    ///
    /// Architectures with equal counts follow each other by name.
    GET "/api/v1/architectures" as "list_architectures" on ArchitecturesApi(
        /// Only this repository.
        repository: Option<String>,
        /// Only this tag.
        tag: Option<String>,
    ) -> ArchitectureCount, |ask, filter, page| (ask.architectures(filter, page).await?, ArchitectureCount::from)
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
