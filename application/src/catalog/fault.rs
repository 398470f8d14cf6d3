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

/// What happened and why, and to which server when that is known: the registry often has another one for its tokens.
fn sentences(error: &CatalogError) -> String {
    let why = why(error).map_or_else(String::new, |why| format!(": {why}"));
    format!("{}{why}.{}{}", clause(error), advice(error), server_of(error))
}

fn server_of(error: &CatalogError) -> String {
    failure(error).map_or_else(String::new, |failure| format!(" The server is {}.", failure.server))
}

fn failure(error: &CatalogError) -> Option<&ServerFailure> {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.find_map(|cause| cause.downcast_ref::<ServerFailure>())
}

fn clause(error: &CatalogError) -> &'static str {
    match error {
        CatalogError::Unavailable(_) => "The registry does not answer, or answers with a failure",
        CatalogError::Denied(_) => "The registry refuses access",
        CatalogError::NotFound(_) => "The registry does not hold what it lists",
        CatalogError::Malformed(_) => "The registry's answer is not understood",
    }
}

/// The cause in a few words. What the registry said, in an answer that is not understood, is for the log.
fn why(error: &CatalogError) -> Option<String> {
    match error {
        CatalogError::Unavailable(_) | CatalogError::Denied(_) => {
            let mut root: &dyn Error = &*failure(error)?.source;
            while let Some(cause) = root.source() {
                root = cause;
            }
            Some(root.to_string())
        }
        CatalogError::NotFound(_) | CatalogError::Malformed(_) => None,
    }
}

fn advice(error: &CatalogError) -> &'static str {
    match error {
        CatalogError::Denied(_) => " Check the user and password given to staticreg.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_which_server_did_what_and_not_what_it_said() {
        let told = |error: &CatalogError| of_registry(error, DateTime::UNIX_EPOCH).text.to_string();
        let of = |source: &str| {
            let server = "https://auth.example".to_owned();
            Box::new(ServerFailure { server, path: "/token".to_owned(), source: source.into() })
        };
        for (error, expected) in [
            (
                CatalogError::Unavailable(of("the answer is 503 Service Unavailable")),
                "The registry does not answer, or answers with a failure: the answer is 503 Service Unavailable. The \
                 server is https://auth.example.",
            ),
            (
                CatalogError::Denied(of("the answer is 401 Unauthorized")),
                "The registry refuses access: the answer is 401 Unauthorized. Check the user and password given to \
                 staticreg. The server is https://auth.example.",
            ),
            (
                CatalogError::Malformed(of("expected a list, not \"anything\"")),
                "The registry's answer is not understood. The server is https://auth.example.",
            ),
            (CatalogError::Unavailable("away".into()), "The registry does not answer, or answers with a failure."),
        ] {
            assert_eq!(told(&error), expected);
        }
        let inside = std::io::Error::other("Connection refused");
        let io = ServerFailure { server: "http://r".to_owned(), path: "/v2/".to_owned(), source: Box::new(inside) };
        assert!(
            told(&CatalogError::Unavailable(Box::new(io)))
                .contains("failure: Connection refused. The server is http://r.")
        );
    }
}
