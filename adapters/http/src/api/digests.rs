//! `GET /api/v1/digests`.

use chrono::NaiveDate;
use poem_openapi::{
    Object,
    types::{Example, MaybeUndefined},
};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{BreakdownRow, Dimension, Measures, Order};

use super::{
    example_time,
    list::{Declaration, Item, cell, change},
    operation::list_operation,
    time::Time,
};

pub(crate) struct DigestsApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// The digests a tag has pointed to, the latest accessed first.
    ///
    /// Only digests that were accessed by this tag.
    GET "/api/v1/digests" as "list_digests" on DigestsApi(
        /// The repository.
        #[oai(validator(max_length = 255))]
        repository: String,
        /// The tag.
        #[oai(validator(max_length = 128))]
        tag: String,
    ) -> DigestCount, Declaration {
        by: vec![Dimension::Digest],
        measures: Measures { first: true, ..Measures::LAST },
        order: Order::LatestFirst,
    }
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct DigestCount {
    /// The digest.
    pub(crate) digest: String,
    /// The count.
    pub(crate) count: u64,
    /// The first date it was accessed on; with `compare=previous`, of the days before too.
    pub(crate) first_on: NaiveDate,
    /// The latest access; with `compare=previous`, of the days before too.
    pub(crate) last_at: Time,
    /// The count of as many days before; only with `compare=previous`.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) previous: Option<u64>,
    /// By how much the count changed since, in per cent; null where there was none before. Only with `compare=previous`.
    #[oai(nullable)]
    #[serde(serialize_with = "cell")]
    pub(crate) change: MaybeUndefined<f64>,
}

impl Example for DigestCount {
    fn example() -> Self {
        Self {
            digest: "sha256:d7733008a9eb1bdae2308ebe4cc9b17a327adfb2bfd492b92fef97f1aa83210d".to_owned(),
            count: 17,
            first_on: example_time().date_naive(),
            last_at: example_time().into(),
            previous: None,
            change: MaybeUndefined::Undefined,
        }
    }
}

impl DigestCount {
    fn from_row(row: BreakdownRow) -> Option<Self> {
        let BreakdownRow { key, count, previous, first_on, last_at, .. } = row;
        Some(Self {
            digest: key.digest?.to_string(),
            count,
            first_on: first_on?,
            last_at: last_at?.into(),
            previous,
            change: change(count, previous),
        })
    }
}

impl Item for DigestCount {
    const COLUMNS: &'static [&'static str] = &["digest", "count", "first_on", "last_at", "previous", "change"];
}
