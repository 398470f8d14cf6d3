//! What people are told when the registry cannot be read.

use std::error::Error;

use chrono::{DateTime, Utc};
use staticreg_domain::catalog::{CatalogError, ServerFailure};

use super::snapshot::ReadFault;

/// The registry, or the list of its repositories, cannot be read.
pub(super) fn of_registry(error: &CatalogError, at: DateTime<Utc>) -> ReadFault {
    let text = match error {
        CatalogError::NotFound(_) => format!("The registry does not list its repositories.{}", server_of(error)),
        error => sentences(error),
    };
    ReadFault { text: text.into(), at }
}

/// Only a part of the list of repositories can be read.
pub(super) fn of_list(error: &CatalogError, at: DateTime<Utc>) -> ReadFault {
    ReadFault { text: format!("The list of repositories is not whole. {}", sentences(error)).into(), at }
}

/// Only a part of the list of a repository's tags can be read.
pub(super) fn of_tags(error: &CatalogError, at: DateTime<Utc>) -> ReadFault {
    ReadFault { text: format!("The list of tags is not whole. {}", sentences(error)).into(), at }
}

/// A repository, or some of its tags, cannot be read.
pub(super) fn of_repository(error: &CatalogError, at: DateTime<Utc>) -> ReadFault {
    ReadFault { text: sentences(error).into(), at }
}

/// Some repositories cannot be read.
pub(super) fn of_some(failed: usize, all: usize, at: DateTime<Utc>) -> ReadFault {
    ReadFault { text: format!("{failed} of {all} repositories could not be read completely.").into(), at }
}

/// What happened, and to which server when that is known: the registry often has another one for its tokens.
fn sentences(error: &CatalogError) -> String {
    format!("{}{}", sentence(error), server_of(error))
}

fn server_of(error: &CatalogError) -> String {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let server = causes.find_map(|cause| cause.downcast_ref::<ServerFailure>());
    server.map_or_else(String::new, |failure| format!(" The server is {}.", failure.server))
}

/// What happened, without what the registry said: that is for the log.
fn sentence(error: &CatalogError) -> &'static str {
    match error {
        CatalogError::Unavailable(_) => "The registry does not answer, or answers with a failure.",
        CatalogError::Denied(_) => "The registry refuses access. Check the user and password given to staticreg.",
        CatalogError::NotFound(_) => "The registry does not hold what it lists.",
        CatalogError::Malformed(_) => "The registry's answer is not understood.",
    }
}
