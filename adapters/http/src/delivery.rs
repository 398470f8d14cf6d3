//! How answers reach a client: compressed when that helps, errors as pages to people, with headers that keep browsers
//! from guessing.

use std::io::Cursor;

use async_compression::{Level, tokio::bufread::GzipEncoder};
use poem::{
    Body, IntoResponse, Request, Response,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};

use crate::{
    accept,
    pages::{self, Site},
    problem::{PROBLEM_JSON, Problem},
};

/// Smaller bodies gain nothing from being compressed.
const WORTH_COMPRESSING: usize = 1024;

/// What a client likes.
pub(crate) struct Client {
    page: bool,
    gzip: bool,
}

impl Client {
    pub(crate) fn from_request(request: &Request) -> Self {
        let path = request.uri().path();
        let is_api = path == "/api" || path.starts_with("/api/");
        let accepts = |header, name| accept::quality(request.headers(), header, &[name]) > 0.0;
        Self { page: !is_api && accepts(&header::ACCEPT, "text/html"), gzip: accepts(&header::ACCEPT_ENCODING, "gzip") }
    }

    /// The answer as this client likes it.
    pub(crate) async fn deliver(&self, mut response: Response, site: &Site) -> Response {
        if self.page
            && let Some(problem) = response.extensions().get::<Problem>()
        {
            let (status, detail) = (response.status(), problem.detail().to_owned());
            if is_of_gate(status) {
                // Not a page: its style is for those who may read.
                response = response.set_content_type("text/plain; charset=utf-8");
                response.set_body(detail + "\n");
            } else {
                let mut page = pages::of_status(site, status, &detail);
                for name in [header::ALLOW, header::RETRY_AFTER] {
                    let value = response.headers().get(&name).cloned();
                    page.headers_mut().extend(value.map(|value| (name, value)));
                }
                response = page;
            }
        }
        secure(response.headers_mut());
        if is_json(&response) {
            response = with_line_break(response).await;
        }
        if is_compressible(&response) { self.compress(response).await } else { response }
    }

    async fn compress(&self, mut response: Response) -> Response {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        let Ok(body) = response.take_body().into_bytes().await else {
            return Problem::internal().into_response();
        };
        if self.gzip && body.len() >= WORTH_COMPRESSING {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            // Piece by piece, as it is sent.
            let encoder = GzipEncoder::with_quality(Cursor::new(body), Level::Fastest);
            response.set_body(Body::from_async_read(encoder));
        } else {
            response.set_body(body);
        }
        response
    }
}

/// Whether a status is what the gate before the pages answers with.
fn is_of_gate(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::MISDIRECTED_REQUEST
            | StatusCode::TOO_MANY_REQUESTS
    )
}

fn is_json(response: &Response) -> bool {
    response.content_type().is_some_and(|found| found.starts_with("application/json") || found == PROBLEM_JSON)
}

/// With a line break at the end, so that a terminal's next line is its own.
async fn with_line_break(mut response: Response) -> Response {
    let Ok(mut body) = response.take_body().into_vec().await else {
        return Problem::internal().into_response();
    };
    if !body.is_empty() && !body.ends_with(b"\n") {
        body.push(b'\n');
    }
    response.set_body(body);
    response
}

/// Text that is sent in full.
fn is_compressible(response: &Response) -> bool {
    const TYPES: [&str; 4] = ["application/json", "application/yaml", "image/svg+xml", "text/"];
    response.status() == StatusCode::OK
        && !response.headers().contains_key(header::CONTENT_ENCODING)
        && response.content_type().is_some_and(|found| TYPES.iter().any(|wanted| found.starts_with(wanted)))
}

/// Headers that keep browsers from guessing and telling.
fn secure(headers: &mut HeaderMap) {
    const HEADERS: [(&str, &str); 3] =
        [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")];
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
