//! The errors of the framework, and what no route answers, as problems.

use poem::{
    Error, IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, ReadBodyError},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::PanicHandler,
};
use poem_openapi::error::ParseParamError;

use crate::{api::running, problem::Problem, quirks, webhook};

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
        return Problem::of_parameter(error.name, quirks::in_plain_words(&error.reason)).into_response();
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

/// A 405 with the methods that are allowed (RFC 9110, 15.5.6). People who try the webhook with a browser or curl are
/// told what it is.
fn method_not_allowed(method: &Method, uri: &Uri) -> Response {
    let (allowed, detail) = match uri.path() {
        webhook::PATH => ("POST", webhook::WHAT_IT_IS.to_owned()),
        running::PATH => ("POST", format!("{method} is not possible here; POST is.")),
        _ => ("GET, HEAD", format!("{method} is not possible here; GET is.")),
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
