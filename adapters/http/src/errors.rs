//! The errors of the framework, and what no route answers, as problems.

use poem::{
    Error, IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, ReadBodyError},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::PanicHandler,
};
use poem_openapi::error::ParseParamError;

use crate::{problem::Problem, webhook};

/// Any error of the framework or a handler, as a problem.
pub(crate) fn of_error(error: Error, method: &Method, uri: &Uri) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    if error.is::<NotFoundError>() {
        return Problem::new(StatusCode::NOT_FOUND, format!("There is nothing at {}.", uri.path())).into_response();
    }
    if error.is::<MethodNotAllowedError>() {
        return method_not_allowed(method, uri);
    }
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        let detail = format!("parameter `{}`: {}", error.name, in_plain_words(&error.reason));
        return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    }
    if error.downcast_ref::<ReadBodyError>().is_some_and(|error| matches!(error, ReadBodyError::PayloadTooLarge)) {
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.").into_response();
    }
    let status = error.status();
    if status.is_server_error() {
        tracing::error!(%status, error = %error, path = uri.path(), "A request failed");
        return Problem::internal().into_response();
    }
    Problem::new(status, error.to_string()).into_response()
}

/// The reason of a wrong parameter as people speak; the framework names its types and validators.
fn in_plain_words(reason: &str) -> String {
    if reason.contains("naive-date") {
        return "not a date such as 2026-11-21".to_owned();
    }
    let Some((validator, rest)) = reason.strip_prefix("verification failed. ").and_then(|text| text.split_once('('))
    else {
        return reason.to_owned();
    };
    let limit = rest.split([',', ')']).next().unwrap_or_default();
    match validator {
        "minimum" => format!("at least {limit}"),
        "maximum" => format!("at most {limit}"),
        "maxLength" => format!("at most {limit} characters"),
        _ => reason.to_owned(),
    }
}

/// A 405 with the methods that are allowed (RFC 9110, 15.5.6). People who try the webhook with a browser or curl are
/// told what it is.
fn method_not_allowed(method: &Method, uri: &Uri) -> Response {
    let (allowed, detail) = if uri.path() == webhook::PATH {
        ("POST", webhook::WHAT_IT_IS.to_owned())
    } else {
        ("GET, HEAD", format!("{method} is not possible here; GET is."))
    };
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// A panic of a handler, as a problem; the panic itself was logged when it happened.
#[derive(Clone)]
pub(crate) struct OfPanic;

impl PanicHandler for OfPanic {
    type Response = Problem;

    fn get_response(&self, _panic: Box<dyn std::any::Any + Send + 'static>) -> Problem {
        Problem::internal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_parameter_is_explained_without_the_frameworks_words() {
        for (reason, expected) in [
            (
                "failed to parse \"string_naive-date\": input contains invalid characters",
                "not a date such as 2026-11-21",
            ),
            ("verification failed. minimum(1, exclusive: false)", "at least 1"),
            ("verification failed. maximum(1000, exclusive: false)", "at most 1000"),
            ("verification failed. maxLength(255)", "at most 255 characters"),
            ("something else", "something else"),
        ] {
            assert_eq!(in_plain_words(reason), expected);
        }
    }
}
