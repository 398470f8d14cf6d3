//! Lists: what each is declared by, and its pages as JSON or CSV.

use chrono::NaiveDate;
use poem::{
    FromRequest, IntoResponse, Request, RequestBody, Response,
    http::{HeaderMap, header},
};
use poem_openapi::{
    ApiResponse, Enum, Object,
    payload::Json,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{MaybeUndefined, ParseFromJSON, ToJSON, Type},
};
use serde::{Serialize, Serializer};
use staticreg_application::ask_metrics::{AskMetrics, Counted};
use staticreg_domain::metrics::{
    Breakdown, BreakdownRow, DateRange, Dimension, Filter, Growth, Listed, Measures, Order, OrderedBy, Page, Slice,
};

use super::cursor::{self, Question};
use crate::{accept, csv, problem::QuestionError};

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

/// What the items of a list are sorted by.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
pub(crate) enum Sort {
    /// The count; the most first.
    Count,
    /// The name; by its bytes.
    Name,
    /// The latest access; the latest first.
    LastAt,
    /// The change; what grew most first, and before all what was not there before. Needs `compare=previous`.
    Change,
}

/// With what counts are compared.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
pub(crate) enum Compare {
    /// With those of as many days, the last of them the day before.
    Previous,
}

/// Which way the items of a list are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(crate) enum Direction {
    /// The least first.
    Asc,
    /// The greatest first.
    Desc,
}

impl Declaration {
    /// The same list, sorted as asked for.
    pub(crate) fn sorted(mut self, sort: Option<Sort>, direction: Option<Direction>) -> Self {
        let by = match sort {
            None => self.order.by(),
            Some(Sort::Count) => OrderedBy::Count,
            Some(Sort::Name) => OrderedBy::Key,
            Some(Sort::LastAt) => OrderedBy::Last,
            Some(Sort::Change) => OrderedBy::Growth,
        };
        let falls = direction.map_or(by != OrderedBy::Key, |direction| direction == Direction::Desc);
        self.measures.last |= by == OrderedBy::Last;
        self.order = match (by, falls) {
            (OrderedBy::Key, false) => Order::Key,
            (OrderedBy::Key, true) => Order::LastKeyFirst,
            (OrderedBy::Count, true) => Order::MostFirst,
            (OrderedBy::Count, false) => Order::FewestFirst,
            (OrderedBy::Last, true) => Order::LatestFirst,
            (OrderedBy::Last, false) => Order::EarliestFirst,
            (OrderedBy::Growth, true) => Order::MostGrownFirst,
            (OrderedBy::Growth, false) => Order::LeastGrownFirst,
        };
        self
    }

    /// The same list with the counts of as many days before some dates, when these are asked for. The store finds both in
    /// one look at its counts, and so holds a number more for each row, however they are sorted.
    pub(crate) async fn compared(
        mut self,
        compare: Option<Compare>,
        dates: DateRange,
        ask: &AskMetrics,
    ) -> Result<Self, QuestionError> {
        match compare {
            Some(Compare::Previous) => {
                // Of months that are kept as such all days are counted, before as well.
                let before = ask.counted(dates.previous()).await?.dates;
                self.measures.previous_from = Some(before.from());
            }
            None if self.order.by() == OrderedBy::Growth => {
                return Err(QuestionError::parameter("sort", "`change` needs `compare=previous`"));
            }
            None => {}
        }
        Ok(self)
    }

    /// The question that `limit` and `cursor` ask.
    pub(crate) fn breakdown(self, filter: Filter, paging: Paging<'_>) -> Result<Breakdown, QuestionError> {
        let Self { by, measures, order } = self;
        let mut breakdown = Breakdown { by, measures, filter, order, page: Page::first(paging.limit()) };
        breakdown.page.after = paging.after(|cursor| cursor::position(paging.question, cursor, &breakdown))?;
        Ok(breakdown)
    }
}

/// The page that `limit` and `cursor` ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paging<'a> {
    pub(crate) limit: Option<u32>,
    pub(crate) cursor: Option<&'a str>,
    pub(crate) question: Question,
}

impl Paging<'_> {
    pub(crate) fn limit(self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// The place to read on after, or that the cursor is none of this list's.
    pub(crate) fn after<P>(self, position: impl FnOnce(&str) -> Option<P>) -> Result<Option<P>, QuestionError> {
        let refused = || QuestionError::parameter("cursor", "not a `next_cursor` of this question; start without one");
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
    /// What of the dates is kept by month; missing when all is kept by day.
    #[oai(skip_serializing_if_is_none)]
    granularity: Option<Granularity>,
    /// The days before that counts are compared with; only with `compare=previous`.
    #[oai(skip_serializing_if_is_none)]
    compared: Option<Compared>,
}

/// The days before: as many, and whole months of what is kept by month.
#[derive(Debug, Object)]
struct Compared {
    /// The first date.
    from: NaiveDate,
    /// The last date.
    to: NaiveDate,
}

impl From<DateRange> for Compared {
    fn from(dates: DateRange) -> Self {
        Self { from: dates.from(), to: dates.to() }
    }
}

/// By how much a count changed, in per cent; null where there was none before, and missing where nothing is compared.
pub(crate) fn change(count: u64, previous: Option<u64>) -> MaybeUndefined<f64> {
    match previous {
        Some(previous) => MaybeUndefined::from_opt_null(Growth::new(count, previous).per_cent()),
        None => MaybeUndefined::Undefined,
    }
}

/// What may be missing, in CSV: then it is empty.
pub(crate) fn cell<T: Serialize, S: Serializer>(value: &MaybeUndefined<T>, serializer: S) -> Result<S::Ok, S::Error> {
    value.value().serialize(serializer)
}

/// What of the dates of a list is kept by month, and which dates are counted: of a month that is kept as such all days.
#[derive(Debug, Object)]
struct Granularity {
    /// Days before this one are kept by month: what was counted in such a month has the date of its first day.
    months_before: NaiveDate,
    /// The first date that is counted.
    from: NaiveDate,
    /// The last date that is counted.
    to: NaiveDate,
}

impl Granularity {
    fn of(Counted { dates, months_before }: Counted) -> Option<Self> {
        Some(Self { months_before: months_before?, from: dates.from(), to: dates.to() })
    }
}

/// The format a client asks for by its `Accept` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
}

impl<'a> FromRequest<'a> for Format {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self::from_headers(request.headers()))
    }
}

impl Format {
    /// CSV when it is asked for and JSON is not asked for more.
    fn from_headers(headers: &HeaderMap) -> Self {
        let quality = |names: &[&str]| accept::quality(headers, &header::ACCEPT, names);
        let (json, csv) = (quality(&["application/json", "application/*"]), quality(&["text/csv"]));
        if csv > json { Self::Csv } else { Self::Json }
    }
}

/// A page in the format the client asked for.
pub(crate) struct ListAnswer<T: Item> {
    items: Vec<T>,
    next_cursor: Option<String>,
    counted: Option<Counted>,
    compared: Option<DateRange>,
    format: Format,
}

impl<T: Item> ListAnswer<T> {
    /// The rows of a breakdown.
    pub(crate) fn of_rows(
        breakdown: &Breakdown,
        rows: Slice<BreakdownRow>,
        question: Question,
        format: Format,
        item: impl FnMut(BreakdownRow) -> Option<T>,
    ) -> Result<Self, QuestionError> {
        let last = rows.items.last().filter(|_| rows.more);
        let next_cursor = last.and_then(|row| cursor::after(question, &row.position(), breakdown));
        Ok(Self::new(rows.items(item)?.items, next_cursor, format).compared_with(breakdown.previous_dates()))
    }

    pub(crate) fn new(items: Vec<T>, next_cursor: Option<String>, format: Format) -> Self {
        Self { items, next_cursor, counted: None, compared: None, format }
    }

    /// Tells the days before that counts are compared with.
    pub(crate) fn compared_with(self, compared: Option<DateRange>) -> Self {
        Self { compared, ..self }
    }

    /// Tells what is kept by month.
    pub(crate) fn of(self, counted: Counted) -> Self {
        Self { counted: Some(counted), ..self }
    }
}

pub(crate) const NEXT_CURSOR: &str = "Next-Cursor";

/// Tells the days before that counts are compared with.
const COMPARED: &str = "Compared";

/// A page of a list as CSV, with its headers; with a line of names also when there are no items.
pub(crate) fn as_csv<T: Item, const N: usize>(items: &[T], headers: [(&str, Option<String>); N]) -> Response {
    let mut response = Response::builder().header(header::VARY, "Accept");
    for (name, value) in headers {
        if let Some(value) = value {
            response = response.header(name, value);
        }
    }
    csv::answer(response, |writer| {
        writer.write_record(T::COLUMNS)?;
        items.iter().try_for_each(|item| writer.serialize(item))
    })
}

/// A page of a list as the document has it: as this JSON or as CSV, with the cursor and other headers.
pub(crate) fn page_meta<List: Type>(others: impl IntoIterator<Item = MetaHeader>) -> MetaResponses {
    let content = vec![
        MetaMediaType { content_type: "application/json", schema: List::schema_ref() },
        MetaMediaType { content_type: "text/csv", schema: String::schema_ref() },
    ];
    let next_cursor = header_meta(NEXT_CURSOR, "Give it as `cursor` to read on; missing after the last item.");
    let response = MetaResponse {
        description: "A page of the list.",
        status: Some(200),
        status_range: None,
        content,
        headers: std::iter::once(next_cursor).chain(others).collect(),
    };
    MetaResponses { responses: vec![response] }
}

pub(crate) fn header_meta(name: &str, description: &str) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: false,
        deprecated: false,
        schema: String::schema_ref(),
    }
}

impl<T: Item> IntoResponse for ListAnswer<T> {
    fn into_response(self) -> Response {
        let Self { items, next_cursor, counted, compared, format } = self;
        match format {
            Format::Json => {
                let granularity = counted.and_then(Granularity::of);
                let list = List { items, next_cursor, granularity, compared: compared.map(Compared::from) };
                Json(list).into_response().with_header(header::VARY, "Accept").into_response()
            }
            Format::Csv => {
                let granularity = counted.and_then(csv::granularity);
                let compared = compared.map(|dates| format!("from={}; to={}", dates.from(), dates.to()));
                as_csv(&items, [(NEXT_CURSOR, next_cursor), (csv::GRANULARITY, granularity), (COMPARED, compared)])
            }
        }
    }
}

impl<T: Item> ApiResponse for ListAnswer<T> {
    fn meta() -> MetaResponses {
        let granularity = header_meta(
            csv::GRANULARITY,
            "What of the dates is kept by month, as `months_before=DATE; from=DATE; to=DATE`; missing when all \
             is kept by day.",
        );
        let compared = header_meta(
            COMPARED,
            "The days before that counts are compared with, as `from=DATE; to=DATE`; only with `compare=previous`.",
        );
        page_meta::<List<T>>([granularity, compared])
    }

    fn register(registry: &mut Registry) {
        List::<T>::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

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
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Format::from_headers(&headers), expected, "{accept}");
        }
    }
}
