//! Answers as CSV (RFC 4180), in UTF-8.

use ::csv::{Result, Terminator, Writer, WriterBuilder};
use poem::{IntoResponse, Response, ResponseBuilder};
use staticreg_application::ask_metrics::Counted;

use crate::problem::Problem;

/// The header that tells what of the dates is kept by month.
pub(crate) const GRANULARITY: &str = "Granularity";

/// What that header tells; nothing when all is kept by day.
pub(crate) fn granularity(Counted { dates, months_before }: Counted) -> Option<String> {
    let months_before = months_before?;
    Some(format!("months_before={months_before}; from={}; to={}", dates.from(), dates.to()))
}

const CONTENT_TYPE: &str = "text/csv; charset=utf-8";

/// An answer with the rows that are written, the head among them.
pub(crate) fn answer(response: ResponseBuilder, write: impl FnOnce(&mut Writer<Vec<u8>>) -> Result<()>) -> Response {
    match text(write) {
        Ok(text) => response.content_type(CONTENT_TYPE).body(text),
        Err(error) => {
            tracing::error!(%error, "A table could not be written as CSV");
            Problem::internal().into_response()
        }
    }
}

fn text(write: impl FnOnce(&mut Writer<Vec<u8>>) -> Result<()>) -> Result<Vec<u8>> {
    let mut writer = WriterBuilder::new().has_headers(false).terminator(Terminator::CRLF).from_writer(Vec::new());
    write(&mut writer)?;
    writer.into_inner().map_err(|error| error.into_error().into())
}
