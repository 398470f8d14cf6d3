//! Errors as `application/problem+json` (RFC 9457).

use poem::{
    Error, IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, ReadBodyError},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::PanicHandler,
};
use poem_openapi::{
    ApiResponse, Object,
    error::ParseParamError,
    payload::Json,
    types::{Example, ToJSON},
};
use staticreg_domain::metrics::MetricsError;

use crate::webhook;

/// The media type of every error.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// How long to wait before trying again, in seconds.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 1;

/// What went wrong (RFC 9457).
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub(crate) struct Problem {
    /// A reference to the kind of problem; `about:blank` when the status says it all.
    #[oai(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The HTTP status code.
    #[oai(validator(minimum(value = "400"), maximum(value = "599")))]
    status: u16,
    /// What to do about it.
    detail: String,
}

impl Example for Problem {
    fn example() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parameter `limit`: at least 1 and at most 1000")
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
        }
    }

    /// What to do about it.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something failed inside the server; its log tells what.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::builder().status(status).content_type(PROBLEM_JSON).body(self.to_json_string());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
        }
        // A browser is shown a page instead.
        response.extensions_mut().insert(self);
        response
    }
}

/// The errors a question may end with.
#[derive(Debug, ApiResponse)]
pub(crate) enum QuestionError {
    /// A parameter is wrong; the detail names it.
    #[oai(status = 400, content_type = "application/problem+json")]
    BadRequest(Json<Problem>),
    /// Something failed inside the server.
    #[oai(status = 500, content_type = "application/problem+json")]
    Internal(Json<Problem>),
    /// The store is away; try again later.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Json<Problem>,
        /// How long to wait before trying again, in seconds.
        #[oai(header = "Retry-After")]
        u32,
    ),
}

impl QuestionError {
    /// The value of a parameter is wrong.
    pub(crate) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::BadRequest(Json(Problem::new(StatusCode::BAD_REQUEST, format!("parameter `{name}`: {reason}"))))
    }
}

impl From<MetricsError> for QuestionError {
    fn from(error: MetricsError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "A question could not be answered");
        match error {
            MetricsError::Unavailable(_) => Self::Unavailable(
                Json(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The store of pull metrics is unavailable; try again.",
                )),
                RETRY_AFTER_SECONDS,
            ),
            MetricsError::Refused(_) | MetricsError::Corrupt(_) => Self::Internal(Json(Problem::internal())),
        }
    }
}

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
    fn a_problem_that_passes_tells_when_to_try_again() {
        for (status, expected) in [(StatusCode::SERVICE_UNAVAILABLE, Some("1")), (StatusCode::NOT_FOUND, None)] {
            let response = Problem::new(status, "").into_response();
            assert_eq!(response.header(header::RETRY_AFTER), expected, "{status}");
        }
    }

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
