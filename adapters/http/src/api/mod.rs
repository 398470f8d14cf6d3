//! The query API, `/api/v1`: one file per operation, with its documentation, its item, and what it asks: dimensions and
//! order.

pub(crate) mod architectures;
pub(crate) mod cleanup;
pub(crate) mod csv_paths;
pub(crate) mod cursor;
pub(crate) mod digests;
pub(crate) mod folders;
pub(crate) mod images;
pub(crate) mod known_parameters;
pub(crate) mod list;
pub(crate) mod metrics;
pub(crate) mod operation;
pub(crate) mod pulls;
pub(crate) mod referrers;
pub(crate) mod registry;
pub(crate) mod repositories;
pub(crate) mod running;
pub(crate) mod selection;
pub(crate) mod summary;
pub(crate) mod tags;
pub(crate) mod time;

use chrono::{DateTime, Utc};
use poem_openapi::Tags;

/// The groups of operations in the document.
#[derive(Tags)]
pub(crate) enum ApiTag {
    /// Where the registry posts its notifications.
    Webhook,
    /// Questions about the counts.
    Statistics,
    /// What the registry holds, as it was read last.
    Registry,
    /// Which tags may go, and what runs.
    Cleanup,
    /// Whether the server is well.
    Operations,
}

/// The time of the document's examples.
pub(crate) fn example_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_291_691, 699_568_000).unwrap_or_default()
}
