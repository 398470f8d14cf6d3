//! Errors as pages.

use askama::Template;
use poem::{Response, http::StatusCode};

use super::{
    layout::{Layout, Section, page},
    site::Site,
};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    layout: Layout<'a>,
    status: u16,
    heading: String,
    detail: String,
    /// Repositories that may have been meant.
    similar: Vec<String>,
}

/// The page of a status.
pub(crate) fn of_status(site: &Site, status: StatusCode, detail: &str) -> Response {
    let heading = match status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::METHOD_NOT_ALLOWED => "That is not possible here",
        status if status.is_server_error() => "Something failed on our side",
        _ => "That request is not understood",
    };
    error_page(site, status, heading.to_owned(), detail.to_owned(), Vec::new())
}

/// The page of something that is not there, with what may have been meant.
pub(crate) fn not_found(site: &Site, heading: String, detail: String, similar: Vec<String>) -> Response {
    error_page(site, StatusCode::NOT_FOUND, heading, detail, similar)
}

fn error_page(site: &Site, status: StatusCode, heading: String, detail: String, similar: Vec<String>) -> Response {
    let layout = Layout::new(site, Section::None, heading.clone());
    page(&ErrorPage { layout, status: status.as_u16(), heading, detail, similar }, status)
}
