//! What people are told when the registry cannot be read.

use chrono::{DateTime, Utc};
use staticreg_domain::catalog::CatalogError;

use super::snapshot::ReadFault;

/// The registry, or the list of its repositories, cannot be read.
pub(super) fn of_registry(error: &CatalogError, at: DateTime<Utc>) -> ReadFault {
    let text = match error {
        CatalogError::NotFound => "The registry does not list its repositories.",
        error => sentence(error),
    };
    ReadFault { text: text.into(), at }
}

/// A repository, or some of its tags, cannot be read.
pub(super) fn of_repository(error: &CatalogError, at: DateTime<Utc>) -> ReadFault {
    ReadFault { text: sentence(error).into(), at }
}

/// Some repositories cannot be read.
pub(super) fn of_some(failed: usize, all: usize, at: DateTime<Utc>) -> ReadFault {
    ReadFault { text: format!("{failed} of {all} repositories could not be read completely.").into(), at }
}

/// What happened, without what the registry said: that is for the log.
fn sentence(error: &CatalogError) -> &'static str {
    match error {
        CatalogError::Unavailable(_) => "The registry does not answer, or answers with a failure.",
        CatalogError::Denied(_) => "The registry refuses access. Check the user and password given to staticreg.",
        CatalogError::NotFound => "The registry does not hold what it lists.",
        CatalogError::Malformed(_) => "The registry's answer is not understood.",
    }
}
