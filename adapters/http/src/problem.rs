//! Errors as `application/problem+json` (RFC 9457).

use std::{fmt::Display, time::Duration};

use poem::{
    IntoResponse, Response,
    http::{StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object,
    payload::Json,
    types::{Example, ToJSON},
};
use staticreg_domain::metrics::MetricsError;

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
    /// What went wrong, in a word for programs: `unknown_parameter`, `invalid_parameter`, `no_registry`, `registry_not_read`,
    /// `unknown_repository`, `unknown_tag`, `no_image`, `registry_unavailable`, or the title as one word, such as
    /// `not_found`. Later versions may add more.
    code: String,
    /// The parameter that is wrong, where one is.
    #[oai(skip_serializing_if_is_none)]
    parameter: Option<String>,
}

impl Example for Problem {
    fn example() -> Self {
        Self::of_parameter("limit", "at least 1")
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            kind: "about:blank".to_owned(),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: title.to_ascii_lowercase().replace([' ', '-'], "_"),
            parameter: None,
        }
    }

    /// The value of a parameter is wrong.
    pub(crate) fn of_parameter(name: &str, reason: impl Display) -> Self {
        Self {
            code: "invalid_parameter".to_owned(),
            parameter: Some(name.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, format!("parameter `{name}`: {reason}"))
        }
    }

    /// There is no such parameter.
    pub(crate) fn of_unknown_parameter(name: &str, hint: impl Display) -> Self {
        Self { code: "unknown_parameter".to_owned(), ..Self::of_parameter(name, hint) }
    }

    /// The same with a code of its own.
    pub(crate) fn with_code(self, code: &str) -> Self {
        Self { code: code.to_owned(), ..self }
    }

    /// The same of a parameter.
    pub(crate) fn about(self, parameter: &str) -> Self {
        Self { parameter: Some(parameter.to_owned()), ..self }
    }

    /// The HTTP status code.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// As it is answered.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        self.to_json().unwrap_or_default()
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
    /// A parameter is wrong, or there is no Host header, or several; the detail names it.
    #[oai(status = 400, content_type = "application/problem+json")]
    BadRequest(Json<Problem>),
    /// Only who is signed in may read here, and the user, the password or the token is wrong or missing.
    #[oai(status = 401, content_type = "application/problem+json")]
    Unauthorized(
        Json<Problem>,
        /// How to sign in.
        #[oai(header = "WWW-Authenticate")]
        String,
    ),
    /// Only who is signed in may read here, by way of a proxy; or the token lets its holder do something else.
    #[oai(status = 403, content_type = "application/problem+json")]
    Forbidden(Json<Problem>),
    /// The server does not answer to the name that the request calls it by; the detail names the setting.
    #[oai(status = 421, content_type = "application/problem+json")]
    Misdirected(Json<Problem>),
    /// Too many requests came from this address, or too many wrong passwords or tokens; the next is looked at later.
    #[oai(status = 429, content_type = "application/problem+json")]
    TooManyRequests(
        Json<Problem>,
        /// How long to wait before trying again, in seconds.
        #[oai(header = "Retry-After")]
        u32,
    ),
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
    pub(crate) fn parameter(name: &str, reason: impl Display) -> Self {
        Self::BadRequest(Json(Problem::of_parameter(name, reason)))
    }

    /// One of each, as they are answered, for the document.
    pub(crate) fn examples() -> Vec<Problem> {
        let by_the_gate = [
            unauthorized(true),
            other_scope(),
            unknown_name("counts.example.com"),
            too_many_requests(Duration::from_secs(1)),
        ];
        let by_the_gate = by_the_gate.iter().filter_map(|response| response.extensions().get().cloned());
        [Problem::example(), Problem::internal(), store_away()].into_iter().chain(by_the_gate).collect()
    }
}

fn store_away() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The store of pull metrics is unavailable; try again.")
}

impl From<MetricsError> for QuestionError {
    fn from(error: MetricsError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "A question could not be answered");
        match error {
            MetricsError::Unavailable(_) => Self::Unavailable(Json(store_away()), RETRY_AFTER_SECONDS),
            MetricsError::Refused(_) | MetricsError::Corrupt(_) => Self::Internal(Json(Problem::internal())),
        }
    }
}

/// What somebody may show who is not signed in (RFC 7617).
const CHALLENGE: &str = "Basic realm=\"staticreg\", charset=\"UTF-8\"";

/// The same where tokens let in (RFC 6750). A browser asks for a name and a password.
// Basic comes first: Chromium looks at the first scheme of a line only.
const CHALLENGE_FOR_TOKENS: &str = "Basic realm=\"staticreg\", charset=\"UTF-8\", Bearer realm=\"staticreg\"";

/// The answer to who calls the server by a name that is none of its own.
pub(crate) fn unknown_name(name: &str) -> Response {
    let detail = format!(
        "This server does not answer to the name {name}. If it is called so, behind a proxy for one, add the name to \
         STATICREG_HTTP_ALLOWED_HOSTS and start it again."
    );
    marked(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail), QuestionError::Misdirected)
}

/// The answer to who shows no user's name and password, nor a token where tokens let in.
pub(crate) fn unauthorized(takes_tokens: bool) -> Response {
    let (challenge, detail) = if takes_tokens {
        (CHALLENGE_FOR_TOKENS, "Sign in to read here, with a user's name and password, or with an API token.")
    } else {
        (CHALLENGE, "Sign in to read here, with a user's name and password.")
    };
    let problem = Problem::new(StatusCode::UNAUTHORIZED, detail);
    marked(problem, |problem| QuestionError::Unauthorized(problem, challenge.to_owned()))
}

/// The answer to who shows a token that is not for reading.
pub(crate) fn other_scope() -> Response {
    let detail = "The API token lacks the scope `read`.";
    marked(Problem::new(StatusCode::FORBIDDEN, detail), QuestionError::Forbidden)
}

/// The answer to who did not sign in where a proxy asks for it.
pub(crate) fn not_signed_in() -> Response {
    let detail = "Only who is signed in may read here. Come by way of the proxy that asks for it.";
    marked(Problem::new(StatusCode::FORBIDDEN, detail), QuestionError::Forbidden)
}

/// The answer to who showed too many wrong passwords or tokens.
pub(crate) fn too_many_guesses(wait: Duration) -> Response {
    too_many("Too many passwords or tokens were wrong. Try again later.", wait)
}

/// The answer to who asks too often.
pub(crate) fn too_many_requests(wait: Duration) -> Response {
    too_many("Too many requests come from this address. Try again later, and less often.", wait)
}

fn too_many(detail: &str, wait: Duration) -> Response {
    let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
    marked(problem, |problem| QuestionError::TooManyRequests(problem, seconds))
}

/// An error that may be one of a page too: a browser is not shown JSON.
fn marked(problem: Problem, error: impl FnOnce(Json<Problem>) -> QuestionError) -> Response {
    let mut response = error(Json(problem.clone())).into_response();
    response.extensions_mut().insert(problem);
    response
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
}
