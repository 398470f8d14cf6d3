//! Times as the API writes them.

use chrono::{DateTime, SecondsFormat, Utc};
use poem_openapi::{NewType, types::ToJSON};
use serde::Serialize;

// A time in UTC, with `Z` (RFC 3339): in JSON as in CSV. poem-openapi writes `+00:00`, and would give each member of this
// type a doc comment as its title.
#[derive(Clone, Copy, Debug, NewType, Serialize)]
#[oai(from_parameter = false, from_multipart = false, to_json = false, to_header = false)]
#[serde(transparent)]
pub(crate) struct Time(DateTime<Utc>);

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl ToJSON for Time {
    fn to_json(&self) -> Option<serde_json::Value> {
        Some(self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
    }
}
