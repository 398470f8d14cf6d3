//! Builds the text of a question from constant pieces; whatever is not constant is bound.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use sea_orm::{QueryResult, TryGetable};
use staticreg_domain::{
    Architecture, Digest, RepositoryName, Tag,
    metrics::{AccessKind, BoxError, DateRange, Filter, MetricsError},
};

/// What differs between the databases in a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// After text that is compared or ordered: by its bytes. SQLite does so by itself.
    fn by_bytes(self) -> &'static str {
        match self {
            Self::Postgres => " COLLATE \"C\"",
            Self::Sqlite => "",
        }
    }
}

/// A value to bind.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Date(NaiveDate),
    Time(DateTime<Utc>),
    Text(String),
    Number(i64),
}

impl From<NaiveDate> for Value {
    fn from(date: NaiveDate) -> Self {
        Self::Date(storable(date))
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Time(storable_time(time))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&RepositoryName> for Value {
    fn from(name: &RepositoryName) -> Self {
        name.as_str().into()
    }
}

impl From<&Option<Tag>> for Value {
    fn from(tag: &Option<Tag>) -> Self {
        tag_text(tag.as_ref()).into()
    }
}

impl From<&Digest> for Value {
    fn from(digest: &Digest) -> Self {
        digest.as_str().into()
    }
}

impl From<&Architecture> for Value {
    fn from(architecture: &Architecture) -> Self {
        architecture.as_str().into()
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        // No sum of the table is larger, so the answer is the same.
        Self::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).expect("is a date");
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("is a date");

/// The nearest date that both databases can compare; no count is beyond.
fn storable(date: NaiveDate) -> NaiveDate {
    date.clamp(FIRST_DAY, LAST_DAY)
}

/// The time on the nearest such date.
fn storable_time(time: DateTime<Utc>) -> DateTime<Utc> {
    storable(time.date_naive()).and_time(time.time()).and_utc()
}

/// A tag as it is stored: empty when the access named none.
pub(crate) fn tag_text(tag: Option<&Tag>) -> &str {
    tag.map_or("", Tag::as_str)
}

/// A date as SQLite stores it.
pub(crate) fn date_text(date: NaiveDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

/// A time as SQLite stores it: as many digits always, so that text sorts by time.
pub(crate) fn time_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A question's text and the values to bind.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) dialect: Dialect,
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Query {
    pub(crate) fn new(dialect: Dialect, text: &'static str) -> Self {
        Self { dialect, text: text.to_owned(), values: Vec::new() }
    }

    pub(crate) fn text(mut self, piece: &'static str) -> Self {
        self.text.push_str(piece);
        self
    }

    /// Text that was compared or named last goes by its bytes.
    pub(crate) fn by_bytes(self) -> Self {
        let piece = self.dialect.by_bytes();
        self.text(piece)
    }

    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// `c`, the counts of a kind that show and pass the filter: with `day`, the key's columns, `n` and both times.
    pub(crate) fn over(self, filter: &Filter) -> Self {
        let Filter { dates, kind, repository, tag, digest, architecture } = filter;
        self.over_kind(*kind)
            .between(*dates)
            .and_equal(" AND repo_name = ", repository.as_ref().map(RepositoryName::as_str))
            .and_equal(" AND tag = ", tag.as_ref().map(Tag::as_str))
            .and_equal(" AND digest = ", digest.as_ref().map(Digest::as_str))
            .and_equal(" AND architecture = ", architecture.as_ref().map(Architecture::as_str))
    }

    fn over_kind(self, kind: AccessKind) -> Self {
        match kind {
            AccessKind::PullByTag => self.text(
                " FROM (SELECT pull_date AS day, repo_name, tag, digest, architecture, pull_count AS n, created_at, \
                 updated_at FROM container_pull_metrics WHERE pull_count > 0) AS c WHERE",
            ),
            AccessKind::PullByDigest | AccessKind::VersionCheck | AccessKind::Push => self
                .text(
                    " FROM (SELECT event_date AS day, repo_name, tag, digest, architecture, event_count AS n, \
                     created_at, updated_at FROM container_access_metrics WHERE event_count > 0 AND kind = ",
                )
                .bind(kind.as_str())
                .text(") AS c WHERE"),
        }
    }

    fn between(self, dates: DateRange) -> Self {
        self.text(" day BETWEEN ").bind(dates.from()).text(" AND ").bind(dates.to())
    }

    fn and_equal(self, column: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(column).bind(value),
            None => self,
        }
    }

    /// One row more than are wanted, which tells whether more follow.
    pub(crate) fn limit(self, limit: u32) -> Self {
        self.text(" LIMIT ").bind(u64::from(limit) + 1)
    }
}

/// A row of an answer; columns are read by their place.
pub(crate) struct Row {
    dialect: Dialect,
    row: QueryResult,
}

impl Row {
    pub(crate) fn new(dialect: Dialect, row: impl Into<QueryResult>) -> Self {
        Self { dialect, row: row.into() }
    }

    fn get<T: TryGetable>(&self, column: usize) -> Result<T, MetricsError> {
        self.row.try_get_by_index(column).map_err(corrupt)
    }

    pub(crate) fn text(&self, column: usize) -> Result<String, MetricsError> {
        self.get(column)
    }

    pub(crate) fn number(&self, column: usize) -> Result<i64, MetricsError> {
        self.get(column)
    }

    pub(crate) fn number_if_any(&self, column: usize) -> Result<Option<i64>, MetricsError> {
        self.get(column)
    }

    pub(crate) fn count(&self, column: usize) -> Result<u64, MetricsError> {
        u64::try_from(self.number(column)?).map_err(corrupt)
    }

    pub(crate) fn date(&self, column: usize) -> Result<NaiveDate, MetricsError> {
        match self.dialect {
            Dialect::Postgres => self.get(column),
            Dialect::Sqlite => self.text(column)?.parse().map_err(corrupt),
        }
    }

    pub(crate) fn time(&self, column: usize) -> Result<DateTime<Utc>, MetricsError> {
        self.time_if_any(column)?.ok_or_else(|| corrupt("a time is missing"))
    }

    pub(crate) fn time_if_any(&self, column: usize) -> Result<Option<DateTime<Utc>>, MetricsError> {
        match self.dialect {
            Dialect::Postgres => self.get(column),
            Dialect::Sqlite => {
                let text: Option<String> = self.get(column)?;
                text.map(|text| text.parse().map_err(corrupt)).transpose()
            }
        }
    }

    pub(crate) fn repository(&self, column: usize) -> Result<RepositoryName, MetricsError> {
        parse(&self.text(column)?)
    }

    pub(crate) fn tag(&self, column: usize) -> Result<Option<Tag>, MetricsError> {
        parse_tag(&self.text(column)?)
    }

    pub(crate) fn digest(&self, column: usize) -> Result<Digest, MetricsError> {
        parse(&self.text(column)?)
    }

    pub(crate) fn architecture(&self, column: usize) -> Result<Architecture, MetricsError> {
        parse(&self.text(column)?)
    }
}

/// A name as it is stored.
pub(crate) fn parse<T>(text: &str) -> Result<T, MetricsError>
where
    T: FromStr<Err: Into<BoxError>>,
{
    text.parse().map_err(corrupt)
}

/// A tag as it is stored: empty when the access named none.
pub(crate) fn parse_tag(text: &str) -> Result<Option<Tag>, MetricsError> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

pub(crate) fn corrupt(cause: impl Into<BoxError>) -> MetricsError {
    MetricsError::Corrupt(cause.into())
}
