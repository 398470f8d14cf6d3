//! The query API, `/api/v1`: one file per operation, with its item, documentation and handler.

pub(crate) mod architectures;
pub(crate) mod digests;
pub(crate) mod images;
pub(crate) mod list;
pub(crate) mod metrics;
pub(crate) mod operation;
pub(crate) mod pulls;
pub(crate) mod repositories;
pub(crate) mod selection;
pub(crate) mod summary;
pub(crate) mod tags;

use chrono::{DateTime, Utc};
use poem_openapi::Tags;
use staticreg_domain::{Tag, tag::InvalidTag};

/// The groups of operations in the document.
#[derive(Tags)]
pub(crate) enum ApiTag {
    /// Where the registry posts its notifications.
    Webhook,
    /// Questions about the counts.
    Statistics,
    /// Whether the server is well.
    Operations,
}

/// A tag inside a cursor: an access without tag has none, and only a text that is no tag is wrong.
pub(crate) fn optional_tag(text: Option<String>) -> Result<Option<Tag>, InvalidTag> {
    text.map(|text| text.parse()).transpose()
}

/// A count inside a cursor; none when it is larger than any store counts.
pub(crate) fn count(count: u64) -> Option<u64> {
    i64::try_from(count).is_ok().then_some(count)
}

/// The time of the document's examples.
pub(crate) fn example_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_291_691, 699_568_000).unwrap_or_default()
}
