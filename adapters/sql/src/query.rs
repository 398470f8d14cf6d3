//! What the questions are made of: columns, values and conditions as sea-query has them, and the rows of an answer.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};
use sea_orm::{
    QueryResult, TryGetable,
    sea_query::{
        CaseStatement, Expr, ExprTrait, Func, PostgresQueryBuilder, Query as Build, QueryStatementWriter,
        SelectStatement, SqliteQueryBuilder, UnionType, Value,
    },
    sqlx::{Row as _, postgres::PgRow},
};
use sea_query_sqlx::SqlxValues;
use staticreg_domain::{
    Architecture, Digest, RepositoryName, Tag,
    metrics::{AccessKind, BoxError, Dimension, Filter, Folded, Folder, KeyRef, MetricsError, NamePart},
};

use crate::{error::classify, question::architectures::OddNames};

/// What differs between the databases in a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// A column of text that is compared or ordered: by its bytes. SQLite does so by itself.
    pub(crate) fn by_bytes(self, column: &'static str) -> Expr {
        match self {
            Self::Postgres => Expr::cust_with_expr("$1 COLLATE \"C\"", Expr::col(column)),
            Self::Sqlite => Expr::col(column),
        }
    }

    /// A date to compare with: SQLite stores text.
    pub(crate) fn date(self, date: NaiveDate) -> Value {
        match self {
            Self::Postgres => storable(date).into(),
            Self::Sqlite => date_text(storable(date)).into(),
        }
    }

    /// A time to compare with.
    pub(crate) fn time(self, time: DateTime<Utc>) -> Value {
        match self {
            Self::Postgres => storable_time(time).into(),
            Self::Sqlite => time_text(storable_time(time)).into(),
        }
    }

    /// A time that may be missing.
    pub(crate) fn time_if_any(self, time: Option<DateTime<Utc>>) -> Value {
        match (time, self) {
            (Some(time), _) => self.time(time),
            (None, Self::Postgres) => None::<DateTime<Utc>>.into(),
            (None, Self::Sqlite) => None::<String>.into(),
        }
    }

    /// The time of a group that is compared with others, as it is read: people may have written it in another form, or
    /// beyond what both databases can compare.
    pub(crate) fn comparable(self, time: Expr) -> Expr {
        match self {
            Self::Postgres => {
                let ends = [first_time(), last_time()].map(|end| Expr::value(self.time(end)));
                let [first, last] = ends;
                Expr::cust_with_exprs("least(greatest($1, $2), $3)", [time, first, last])
            }
            Self::Sqlite => {
                const WRITTEN: &str = "CASE WHEN ? LIKE '____-__-__T%Z' THEN ? \
                    ELSE coalesce(strftime('%Y-%m-%dT%H:%M:%f000Z', ?), ?) END";
                Expr::cust_with_exprs(WRITTEN, [time.clone(), time.clone(), time.clone(), time])
            }
        }
    }

    /// The part of a key that a column is compared with.
    pub(crate) fn part(self, dimension: Dimension, key: &KeyRef<'_>) -> Value {
        match (dimension, key.date) {
            (Dimension::Date, date) => self.date(date.unwrap_or_default()),
            (_, _) => key.text(dimension).into(),
        }
    }

    /// The column of a dimension as it is compared and ordered.
    pub(crate) fn ordered(self, dimension: Dimension) -> Expr {
        match dimension {
            Dimension::Date => Expr::col(column(dimension)),
            _ => self.by_bytes(column(dimension)),
        }
    }

    /// Whether a repository lies in a folder: its name is between all that begin with a path and a slash.
    fn is_in(self, folder: &Folder) -> Expr {
        let prefix = folder.prefix();
        // The character behind a slash.
        let end = format!("{}0", prefix.trim_end_matches('/'));
        let name = || self.by_bytes("repo_name");
        name().gte(prefix).and(name().lt(end))
    }

    /// Whether a repository's name has a part, in capitals or not.
    fn has_part(self, part: &NamePart) -> Expr {
        let position = match self {
            Self::Postgres => "strpos",
            Self::Sqlite => "instr",
        };
        // Lower-cased by its bytes: what other letters are in capitals, a server's language may say.
        let name = Func::lower(self.by_bytes("repo_name"));
        Expr::expr(Func::cust(position).arg(name).arg(part.as_str())).gt(0)
    }

    /// Whether the columns of some dimensions, at least one, are behind a key's parts; before them, where the order falls.
    pub(crate) fn is_behind(self, dimensions: &[Dimension], key: &KeyRef<'_>, falls: bool) -> Expr {
        let (columns, parts) = match dimensions {
            [dimension] => (self.ordered(*dimension), self.part(*dimension, key).into()),
            _ => (
                Expr::tuple(dimensions.iter().map(|dimension| self.ordered(*dimension))),
                Expr::tuple(dimensions.iter().map(|dimension| self.part(*dimension, key).into())),
            ),
        };
        if falls { columns.lt(parts) } else { columns.gt(parts) }
    }
}

/// The column of a dimension in [`counts`].
pub(crate) fn column(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Date => "day",
        Dimension::Folder => "folder",
        Dimension::Repository => "repo_name",
        Dimension::Tag => "tag",
        Dimension::Digest => "digest",
        Dimension::Architecture => "architecture",
        Dimension::Kind => "kind",
    }
}

/// A count to compare with.
pub(crate) fn number(count: u64) -> Value {
    // No sum of the table is larger, so the answer is the same.
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).expect("is a date");
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("is a date");

/// The nearest date that both databases can compare; no count is beyond.
fn storable(date: NaiveDate) -> NaiveDate {
    date.clamp(FIRST_DAY, LAST_DAY)
}

fn first_time() -> DateTime<Utc> {
    FIRST_DAY.and_time(NaiveTime::MIN).and_utc()
}

/// As exact as PostgreSQL keeps it.
fn last_time() -> DateTime<Utc> {
    LAST_DAY.and_time(NaiveTime::MIN).and_utc() + TimeDelta::days(1) - TimeDelta::microseconds(1)
}

/// The nearest time on such a date.
fn storable_time(time: DateTime<Utc>) -> DateTime<Utc> {
    time.clamp(first_time(), last_time())
}

/// A tag as it is stored: empty when the access named none.
pub(crate) fn tag_text(tag: Option<&Tag>) -> &str {
    tag.map_or("", Tag::as_str)
}

const YEAR_2000: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).expect("is a date");

/// A date or time of PostgreSQL as it sends it: what people write may be beyond all that the driver can make of it,
/// `infinity` first of all, and then the driver panics.
fn since_2000(row: &PgRow, column: usize) -> Result<Option<i64>, MetricsError> {
    row.try_get_unchecked(column).map_err(classify)
}

/// A date of PostgreSQL, in days since the year 2000.
fn date_since_2000(days: i64) -> NaiveDate {
    let date = TimeDelta::try_days(days).and_then(|days| YEAR_2000.checked_add_signed(days));
    match date {
        // What is kept by month begins with the year 0.
        Some(date) if date >= Folded::NOTHING.days_before => Ord::min(date, LAST_DAY),
        None if days > 0 => LAST_DAY,
        _ => FIRST_DAY,
    }
}

/// A time of PostgreSQL, in microseconds since the year 2000.
fn time_since_2000(microseconds: i64) -> DateTime<Utc> {
    let time = YEAR_2000.and_time(NaiveTime::MIN).and_utc().checked_add_signed(TimeDelta::microseconds(microseconds));
    time.unwrap_or(if microseconds < 0 { first_time() } else { last_time() }).clamp(first_time(), last_time())
}

/// A time that staticreg wrote to SQLite, or a person in one of SQLite's own forms, which are UTC.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    const FORMS: [&str; 4] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let parsed = text.parse().ok();
    let of_sqlite = || FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let day = || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN));
    parsed.or_else(|| of_sqlite().or_else(day).map(|time| time.and_utc()))
}

/// A date as SQLite stores it.
pub(crate) fn date_text(date: NaiveDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

/// A time as SQLite stores it: as many digits always, so that text sorts by time.
pub(crate) fn time_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A statement's text and the values to bind.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) values: SqlxValues,
}

impl Query {
    pub(crate) fn new(dialect: Dialect, statement: &impl QueryStatementWriter) -> Self {
        let (text, values) = match dialect {
            Dialect::Postgres => statement.build(PostgresQueryBuilder),
            Dialect::Sqlite => statement.build(SqliteQueryBuilder),
        };
        Self { text, values: SqlxValues(values) }
    }
}

/// `SELECT` without columns from the counts that show and pass the filter, of some kinds: with `day`, the key's columns,
/// `n` and both times; with `kind` when there are several kinds, and with `folder` when that is asked for. Odd names of
/// architectures are mended.
pub(crate) fn counts(
    dialect: Dialect,
    filter: &Filter,
    kinds: &[AccessKind],
    tells_folder: bool,
    odd_names: &OddNames,
) -> SelectStatement {
    let tables = Tables { dialect, filter, tells_folder, odd_names };
    let source = match kinds {
        [AccessKind::PullByTag] => tables.pulls(Names::AsTheyAre),
        [kind] => tables.accesses(Names::AsTheyAre, &[*kind]),
        kinds => tables.of_several_kinds(kinds),
    };
    Build::select().from_subquery(source, "c").take()
}

/// What lies right in a folder, of the name of a repository.
fn folder_entry(dialect: Dialect, folder: Option<&Folder>, name: impl Fn() -> Expr) -> Expr {
    let above = folder.map_or(0, |folder| folder.prefix().len());
    // Names are ASCII, so their bytes are their characters, and short.
    let above = || Expr::val(i32::try_from(above).unwrap_or(i32::MAX));
    let position = match dialect {
        Dialect::Postgres => "strpos",
        Dialect::Sqlite => "instr",
    };
    let below = || Func::cust("substr").arg(name()).arg(above().add(1));
    let slash = || Func::cust(position).arg(below()).arg("/");
    let path = Func::cust("substr").arg(name()).arg(1).arg(above().add(slash()));
    CaseStatement::new().case(Expr::expr(slash()).gt(0), path).finally(name()).into()
}

/// So much of what somebody wrote is told.
const MAX_TOLD: usize = 64;

const NAMES: [&str; 3] = ["repo_name", "tag", "digest"];
const ARCHITECTURE: &str = "architecture";
const TIMES: [&str; 2] = ["created_at", "updated_at"];

/// How names are read.
#[derive(Clone, Copy)]
enum Names {
    AsTheyAre,
    /// By their bytes: a table of the Go program has them in another order, and no database groups by what has two.
    ByBytes,
}

/// The tables of counts, of which a filter lets some pass. Conditions stand with each table, so that its indexes serve.
struct Tables<'a> {
    dialect: Dialect,
    filter: &'a Filter,
    tells_folder: bool,
    odd_names: &'a OddNames,
}

impl Tables<'_> {
    fn pulls(&self, names: Names) -> SelectStatement {
        self.counts("container_pull_metrics", "pull_date", "pull_count", names)
    }

    fn accesses(&self, names: Names, kinds: &[AccessKind]) -> SelectStatement {
        let mut counts = self.counts("container_access_metrics", "event_date", "event_count", names);
        counts.and_where_option(any_of(Expr::col("kind"), kinds.iter().map(|kind| kind.as_str())));
        counts
    }

    fn of_several_kinds(&self, kinds: &[AccessKind]) -> SelectStatement {
        let others: Vec<AccessKind> = kinds.iter().copied().filter(|kind| *kind != AccessKind::PullByTag).collect();
        let mut accesses = self.accesses(Names::ByBytes, &others);
        accesses.expr_as(self.dialect.by_bytes("kind"), "kind");
        if others.len() == kinds.len() {
            return accesses;
        }
        let by_tag = match self.dialect {
            Dialect::Postgres => Expr::cust("CAST('pull_by_tag' AS text) COLLATE \"C\""),
            Dialect::Sqlite => Expr::cust("'pull_by_tag'"),
        };
        self.pulls(Names::ByBytes).expr_as(by_tag, "kind").union(UnionType::All, accesses).take()
    }

    fn counts(&self, table: &'static str, date: &'static str, count: &'static str, names: Names) -> SelectStatement {
        let Filter { dates, kind: _, folder, part, repository, tag, digest, architecture } = self.filter;
        let dialect = self.dialect;
        let read = |name: &'static str| match names {
            Names::AsTheyAre => Expr::col(name),
            Names::ByBytes => dialect.by_bytes(name),
        };
        let mut counts = Build::select();
        counts.expr_as(Expr::col(date), "day");
        for name in NAMES {
            counts.expr_as(read(name), name);
        }
        counts.expr_as(self.odd_names.mended(read(ARCHITECTURE)), ARCHITECTURE);
        if self.tells_folder {
            counts.expr_as(folder_entry(dialect, folder.as_ref(), || dialect.by_bytes("repo_name")), "folder");
        }
        counts.expr_as(Expr::col(count), "n").columns(TIMES);
        counts
            .from(table)
            .and_where(Expr::col(count).gt(0))
            .and_where(Expr::col(date).between(dialect.date(dates.from()), dialect.date(dates.to())))
            .and_where_option(folder.as_ref().map(|folder| dialect.is_in(folder)))
            .and_where_option(part.as_ref().map(|part| dialect.has_part(part)))
            .and_where_option(any_of(Expr::col("repo_name"), repository.named().iter().map(RepositoryName::as_str)))
            .and_where_option(any_of(Expr::col("tag"), tag.named().iter().map(Tag::as_str)))
            .and_where_option(any_of(Expr::col("digest"), digest.named().iter().map(Digest::as_str)))
            .and_where_option(any_of(
                self.odd_names.mended(Expr::col(ARCHITECTURE)),
                architecture.named().iter().map(Architecture::as_str),
            ))
            .take()
    }
}

/// Whether a column is any of some texts; no condition when there are none.
fn any_of<'a>(column: Expr, mut texts: impl ExactSizeIterator<Item = &'a str>) -> Option<Expr> {
    match texts.len() {
        0 => None,
        1 => texts.next().map(|text| column.eq(text)),
        _ => Some(column.is_in(texts)),
    }
}

/// A row of an answer; columns are read by their place.
pub(crate) struct Row(QueryResult);

impl Row {
    pub(crate) fn new(row: impl Into<QueryResult>) -> Self {
        Self(row.into())
    }

    fn get<T: TryGetable>(&self, column: usize) -> Result<T, MetricsError> {
        self.0.try_get_by_index(column).map_err(corrupt)
    }

    pub(crate) fn text(&self, column: usize) -> Result<String, MetricsError> {
        self.get(column)
    }

    pub(crate) fn bytes(&self, column: usize) -> Result<Vec<u8>, MetricsError> {
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
        self.date_if_any(column)?.ok_or_else(|| corrupt("a date is missing"))
    }

    pub(crate) fn date_if_any(&self, column: usize) -> Result<Option<NaiveDate>, MetricsError> {
        if let Some(row) = self.0.try_as_pg_row() {
            return Ok(since_2000(row, column)?.map(date_since_2000));
        }
        let text: Option<String> = self.get(column)?;
        text.map(|text| text.parse().map_err(|_| self.odd(column, &text, "date such as 2026-11-01"))).transpose()
    }

    pub(crate) fn time(&self, column: usize) -> Result<DateTime<Utc>, MetricsError> {
        self.time_if_any(column)?.ok_or_else(|| corrupt("a time is missing"))
    }

    pub(crate) fn time_if_any(&self, column: usize) -> Result<Option<DateTime<Utc>>, MetricsError> {
        if let Some(row) = self.0.try_as_pg_row() {
            return Ok(since_2000(row, column)?.map(time_since_2000));
        }
        let text: Option<String> = self.get(column)?;
        let parse = |text: String| {
            parse_time(&text).ok_or_else(|| self.odd(column, &text, "time such as 2026-11-01T10:00:00.000000Z"))
        };
        text.map(parse).transpose()
    }

    /// Somebody wrote what is none of the column's values.
    fn odd(&self, column: usize, text: &str, is_no: &str) -> MetricsError {
        let names = self.0.column_names();
        let column = match names.get(column).map_or("", String::as_str) {
            "day" | "first" => "pull_date or event_date",
            name if name.contains("last\"") || name == "last" => "updated_at",
            name => name,
        };
        let text: String = text.chars().take(MAX_TOLD).collect();
        corrupt(format!("the column {column} of a table of counts or tokens holds {text:?}, which is no {is_no}"))
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

pub(crate) fn corrupt(cause: impl Into<BoxError>) -> MetricsError {
    MetricsError::Corrupt(cause.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    #[test]
    fn what_the_calendar_has_no_room_for_is_the_nearest_day_and_time() {
        for (microseconds, expected) in [
            (0, "2000-01-01T00:00:00Z"),
            (-1, "1999-12-31T23:59:59.999999Z"),
            (i64::MIN, "0001-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
            (i64::MAX / 2, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(time_since_2000(microseconds), time(expected), "{microseconds}");
        }
        for (days, expected) in [(0, "2000-01-01"), (i32::MIN, "0001-01-01"), (i32::MAX, "9999-12-31")] {
            assert_eq!(date_since_2000(days.into()).to_string(), expected);
        }
    }

    #[test]
    fn times_in_the_forms_of_sqlite_are_utc() {
        for text in
            ["2026-11-01T10:00:00.000000Z", "2026-11-01 10:00:00", "2026-11-01 10:00", "2026-11-01T10:00:00.000"]
        {
            assert_eq!(parse_time(text), Some(time("2026-11-01T10:00:00Z")), "{text}");
        }
        assert_eq!(parse_time("2026-11-01 12:00:00+02:00"), Some(time("2026-11-01T10:00:00Z")));
        assert_eq!(parse_time("2026-11-01"), Some(time("2026-11-01T00:00:00Z")));
        for text in ["", "now", "1793527200", "2026-13-01 10:00:00", "01.11.2026"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
