//! Lists: what each is declared by, and its pages as JSON or CSV.

use poem::{FromRequest, IntoResponse, Request, RequestBody, Response, http::header};
use poem_openapi::{
    ApiResponse, Object,
    payload::Json,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{ParseFromJSON, ToJSON, Type},
};
use serde::Serialize;
use staticreg_domain::metrics::{Breakdown, BreakdownRow, Dimension, Filter, Listed, Measures, Order, Page, Slice};

use super::cursor;
use crate::problem::{Problem, QuestionError};

/// How many items a page has when `limit` is not given.
const DEFAULT_LIMIT: u32 = 100;

/// An item of a list as the API shows it.
pub(crate) trait Item: Serialize + Type + ToJSON + ParseFromJSON + Send + Sync {
    /// The columns of the CSV, in the order of the members.
    const COLUMNS: &'static [&'static str];
}

/// A list of the API, declared: what is asked of the counts. Each row becomes an item.
#[derive(Clone, Debug)]
pub(crate) struct Declaration {
    /// What the counts are told apart by.
    pub(crate) by: Vec<Dimension>,
    /// What is told beside the count.
    pub(crate) measures: Measures,
    /// The order of the items.
    pub(crate) order: Order,
}

impl Declaration {
    /// The question that `limit` and `cursor` ask.
    pub(crate) fn breakdown(self, filter: Filter, paging: Paging<'_>) -> Result<Breakdown, QuestionError> {
        let Self { by, measures, order } = self;
        let mut breakdown = Breakdown { by, measures, filter, order, page: Page::first(paging.limit()) };
        breakdown.page.after = paging.after(|cursor| cursor::position(cursor, &breakdown))?;
        Ok(breakdown)
    }
}

/// The page that `limit` and `cursor` ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paging<'a> {
    pub(crate) limit: Option<u32>,
    pub(crate) cursor: Option<&'a str>,
}

impl Paging<'_> {
    pub(crate) fn limit(self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// The place to read on after, or that the cursor is none of this list's.
    pub(crate) fn after<P>(self, position: impl FnOnce(&str) -> Option<P>) -> Result<Option<P>, QuestionError> {
        let refused = || QuestionError::parameter("cursor", "not a `next_cursor` of this list; start without one");
        self.cursor.map(|cursor| position(cursor).ok_or_else(refused)).transpose()
    }
}

/// A page of a list.
#[derive(Object)]
struct List<T: Type + ToJSON + ParseFromJSON + Send + Sync> {
    /// The items, in the list's order.
    items: Vec<T>,
    /// Give it as `cursor` to read on; null after the last item.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

/// The format a client asks for by its `Accept` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
}

impl<'a> FromRequest<'a> for Format {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self::of_accept(accept))
    }
}

impl Format {
    /// CSV when it is asked for and JSON is not asked for more.
    fn of_accept(accept: &str) -> Self {
        let (mut json, mut csv) = (0.0_f32, 0.0_f32);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            match name.as_str() {
                "text/csv" => csv = quality,
                "application/json" | "application/*" => json = json.max(quality),
                _ => {}
            }
        }
        if csv > json { Self::Csv } else { Self::Json }
    }
}

/// A page in the format the client asked for.
pub(crate) enum ListAnswer<T: Item> {
    Json(Vec<T>, Option<String>),
    Csv(Vec<T>, Option<String>),
}

impl<T: Item> ListAnswer<T> {
    /// The rows of a breakdown.
    pub(crate) fn of_rows(
        breakdown: &Breakdown,
        rows: Slice<BreakdownRow>,
        format: Format,
        item: impl FnMut(BreakdownRow) -> Option<T>,
    ) -> Result<Self, QuestionError> {
        let last = rows.items.last().filter(|_| rows.more);
        let next_cursor = last.and_then(|row| cursor::after(&row.position(), breakdown));
        Ok(Self::new(rows.items(item)?.items, next_cursor, format))
    }

    pub(crate) fn new(items: Vec<T>, next_cursor: Option<String>, format: Format) -> Self {
        match format {
            Format::Json => Self::Json(items, next_cursor),
            Format::Csv => Self::Csv(items, next_cursor),
        }
    }
}

const CSV: &str = "text/csv; charset=utf-8";
const NEXT_CURSOR: &str = "Next-Cursor";

impl<T: Item> IntoResponse for ListAnswer<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Json(items, next_cursor) => {
                Json(List { items, next_cursor }).into_response().with_header(header::VARY, "Accept").into_response()
            }
            Self::Csv(items, next_cursor) => match csv(&items) {
                Ok(text) => {
                    let response = Response::builder().content_type(CSV).header(header::VARY, "Accept");
                    match next_cursor {
                        Some(cursor) => response.header(NEXT_CURSOR, cursor).body(text),
                        None => response.body(text),
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "A list could not be written as CSV");
                    Problem::internal().into_response()
                }
            },
        }
    }
}

/// RFC 4180, with a header line also when there are no items.
fn csv<T: Item>(items: &[T]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).terminator(csv::Terminator::CRLF).from_writer(vec![]);
    writer.write_record(T::COLUMNS)?;
    for item in items {
        writer.serialize(item)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

impl<T: Item> ApiResponse for ListAnswer<T> {
    fn meta() -> MetaResponses {
        let content = vec![
            MetaMediaType { content_type: "application/json", schema: List::<T>::schema_ref() },
            MetaMediaType { content_type: "text/csv", schema: String::schema_ref() },
        ];
        let next_cursor = MetaHeader {
            name: NEXT_CURSOR.to_owned(),
            description: Some("With CSV: give it as `cursor` to read on; missing after the last item.".to_owned()),
            required: false,
            deprecated: false,
            schema: String::schema_ref(),
        };
        let response = MetaResponse {
            description: "A page of the list. With `Accept: text/csv` the items as CSV.",
            status: Some(200),
            status_range: None,
            content,
            headers: vec![next_cursor],
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        List::<T>::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_answered_when_asked_for() {
        for (accept, expected) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("application/json", Format::Json),
            ("text/csv", Format::Csv),
            ("TEXT/CSV; charset=utf-8", Format::Csv),
            ("application/json, text/csv;q=0.5", Format::Json),
            ("text/csv, application/json;q=0.5", Format::Csv),
            ("text/csv;q=0", Format::Json),
            ("text/html,*/*;q=0.8", Format::Json),
        ] {
            assert_eq!(Format::of_accept(accept), expected, "{accept}");
        }
    }
}
