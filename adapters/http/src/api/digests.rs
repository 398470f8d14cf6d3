//! `GET /api/v1/digests`.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::{Object, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{DigestPulls, Listed};

use super::{example_time, list::Item, operation::list_operation};

pub(crate) struct DigestsApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// The digests a tag has pointed to, the latest accessed first.
    ///
    /// Only digests that were accessed by this tag.
    GET "/api/v1/digests" as "list_digests" on DigestsApi(
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
    ) -> DigestCount, |ask, filter, page| (ask.digests(filter, page).await?, DigestCount::from)
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
