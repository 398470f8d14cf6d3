//! Counts on their way out of a database and into one: every row as it stands, in no order, however many there are.
//!
//! What goes in goes in as a whole or not at all, by `COPY` on PostgreSQL and by statements of many rows on SQLite.

use std::slice;

use chrono::{Months, NaiveDate};
use futures_util::TryStreamExt as _;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, PgConnection, SqliteConnection, SqliteTransaction};
use serde_json::json;
use staticreg_domain::{
    Digest, RepositoryName,
    metrics::{AccessKind, Folded, MetricsError, MetricsRow, first_of_month},
};

use crate::{
    Database, SqlMetrics,
    error::classify,
    fold::{self, TABLES, Table},
    postgres, query,
    query::{Query, Row},
    sqlite,
};

/// How many rows go into an SQLite file by one statement.
const ROWS: usize = 1_000;

/// How many bytes go to PostgreSQL at once, about.
const BYTES: usize = 64 * 1024;

/// A count that is carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedRow {
    /// The row.
    pub row: MetricsRow,
    /// Whether it is of a whole month; its date is the first of it then.
    pub of_month: bool,
}

/// Why rows were not taken over: none was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError<E> {
    /// A row cannot be read.
    #[error(transparent)]
    Row(E),
    /// Some rows are of months whose days the database keeps: these would become months too, for good.
    #[error("the database keeps days from {first_day} on, and rows are of months before {months_before}")]
    KeepsDays {
        /// The first day that no row of a month holds.
        months_before: NaiveDate,
        /// The first day that the database has counts of.
        first_day: NaiveDate,
    },
    /// A row's key would count more than there is room for.
    #[error("row {number}: with the rows of its key before it, more than a count may be")]
    TooMany {
        /// The row's number.
        number: u64,
    },
    /// There are counts in the database already.
    #[error("the database holds counts already")]
    HoldsCounts,
    /// The database.
    #[error(transparent)]
    Store(#[from] MetricsError),
}

/// How many rows were carried out, and how many not, as their names are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Carried out.
    pub rows: u64,
    /// Left out.
    pub nameless: u64,
}

/// Why not all rows were carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError<E> {
    /// A row was not taken.
    #[error(transparent)]
    Row(E),
    /// The database.
    #[error(transparent)]
    Store(#[from] MetricsError),
}

impl SqlMetrics {
    /// How many rows there are.
    pub async fn count_rows(&self) -> Result<u64, MetricsError> {
        let [pulls, accesses] = TABLES.map(|table| format!("(SELECT count(*) FROM {})", table.name));
        let sum = Query { text: format!("SELECT {pulls} + {accesses}"), values: fold::no_values() };
        let rows = self.database.ask(sum).await?;
        rows.first().ok_or_else(|| query::corrupt("no row"))?.count(0)
    }

    /// Gives every row to `each`, as of one moment.
    pub async fn export<E>(
        &self,
        mut each: impl FnMut(CarriedRow) -> Result<(), E>,
    ) -> Result<Exported, ExportError<E>> {
        let folded = staticreg_domain::metrics::MetricsReader::folded(self).await?;
        let mut exported = Exported::default();
        let mut take = |row: &Row| {
            match carried(row, folded)? {
                Some(row) => {
                    each(row).map_err(ExportError::Row)?;
                    exported.rows += 1;
                }
                None => exported.nameless += 1,
            }
            Ok::<_, ExportError<E>>(())
        };
        match &self.database {
            Database::Postgres(postgres) => {
                let mut connection = postgres.connect_for_long().await?;
                let mut rows = sqlx::query(AssertSqlSafe(every_row())).fetch(&mut connection);
                while let Some(row) = rows.try_next().await.map_err(classify)? {
                    take(&Row::new(row))?;
                }
            }
            Database::Sqlite(sqlite) => {
                let mut used = sqlite.connect().await?;
                let mut rows = sqlx::query(AssertSqlSafe(every_row())).fetch(used.as_mut());
                while let Some(row) = rows.try_next().await.map_err(classify)? {
                    take(&Row::new(row))?;
                }
            }
        }
        Ok(exported)
    }

    /// Takes rows over, all or none, each with a number that tells it; rows of one key are added up. Where there are counts already the rows are added to
    /// these when they are to be merged, and refused otherwise.
    pub async fn import<E>(
        &self,
        rows: impl Iterator<Item = Result<(u64, CarriedRow), E>>,
        merge: bool,
    ) -> Result<u64, ImportError<E>> {
        let mut rows = Counting { rows, taken: 0, folded: Folded::NOTHING };
        match &self.database {
            Database::Postgres(postgres) => {
                let mut connection = postgres.connect_for_long().await?;
                into_postgres(&mut connection, &mut rows, merge).await?;
            }
            Database::Sqlite(sqlite) => {
                let mut used = sqlite.connect().await?;
                into_sqlite(used.as_mut(), &mut rows, merge).await?;
            }
        }
        Ok(rows.taken)
    }
}

/// Both tables in one statement, so that they are of one moment.
fn every_row() -> String {
    let of = |Table { name, date, count, names }: &Table| {
        let kind = if names.contains(&"kind") { "kind" } else { "'pull_by_tag'" };
        format!(
            "SELECT {date}, {kind}, repo_name, tag, digest, architecture, CAST({count} AS bigint), created_at, updated_at \
             FROM {name} WHERE {count} > 0"
        )
    };
    TABLES.map(of).join(" UNION ALL ")
}

/// None when one of its names is none.
fn carried(row: &Row, folded: Folded) -> Result<Option<CarriedRow>, MetricsError> {
    let (kind, repository, tag, digest) = (row.text(1)?, row.text(2)?, row.text(3)?, row.text(4)?);
    let tag = if tag.is_empty() { Ok(None) } else { tag.parse().map(Some) };
    let (Some(kind), Ok(repository), Ok(tag), Ok(digest)) =
        (AccessKind::named(&kind), RepositoryName::as_stored(&repository), tag, Digest::as_stored(&digest))
    else {
        return Ok(None);
    };
    let date = row.date(0)?;
    let of_month = date < folded.days_before && date == first_of_month(date);
    let (architecture, count) = (row.architecture(5)?, row.count(6)?);
    let (created_at, updated_at) = (row.time(7)?, row.time(8)?);
    let row = MetricsRow { date, repository, tag, digest, architecture, kind, count, created_at, updated_at };
    Ok(Some(CarriedRow { row, of_month }))
}

/// Rows to take over, and what was seen of them.
struct Counting<I> {
    rows: I,
    taken: u64,
    /// What must be kept by month, as some rows are of months.
    folded: Folded,
}

impl<I: Iterator<Item = Result<(u64, CarriedRow), E>>, E> Iterator for Counting<I> {
    type Item = Result<(u64, MetricsRow), E>;

    fn next(&mut self) -> Option<Self::Item> {
        let carried = self.rows.next()?;
        Some(carried.map(|(number, CarriedRow { row, of_month })| {
            self.taken += 1;
            if of_month {
                let next = first_of_month(row.date).checked_add_months(Months::new(1)).unwrap_or(row.date);
                self.folded = self.folded.or(Folded { days_before: next, ..Folded::NOTHING });
            }
            (number, row)
        }))
    }
}

impl<I> Counting<I> {
    /// What the rows make months of must not be days of the database's own.
    fn check_months<E>(&self, first_day: Option<NaiveDate>) -> Result<(), ImportError<E>> {
        let months_before = self.folded.days_before;
        match first_day {
            Some(first_day) if first_day < months_before => Err(ImportError::KeepsDays { months_before, first_day }),
            _ => Ok(()),
        }
    }
}

/// The first day with counts that is not kept by month.
const FIRST_DAY: &str = "SELECT min(day) FROM ( \
     SELECT min(pull_date) AS day FROM container_pull_metrics WHERE pull_date >= $1 \
     UNION ALL SELECT min(event_date) FROM container_access_metrics WHERE event_date >= $1) AS days";

const HOLDS_COUNTS: &str = "SELECT CAST(EXISTS (SELECT 1 FROM container_pull_metrics) \
     OR EXISTS (SELECT 1 FROM container_access_metrics) AS integer)";

async fn into_postgres<I: Iterator<Item = Result<(u64, CarriedRow), E>>, E>(
    connection: &mut PgConnection,
    rows: &mut Counting<I>,
    merge: bool,
) -> Result<(), ImportError<E>> {
    const IMPORTED: &str = "CREATE TEMPORARY TABLE imported (number bigint, day date, kind text COLLATE \"C\", repo_name text COLLATE \"C\", \
         tag text COLLATE \"C\", digest text COLLATE \"C\", architecture text COLLATE \"C\", n bigint, \
         created_at timestamptz, updated_at timestamptz) ON COMMIT DROP";
    let mut transaction = connection.begin().await.map_err(classify)?;
    // Nobody folds meanwhile.
    let folded = postgres::fold::lock(&mut transaction).await.map_err(classify)?;
    let holds_counts: i32 = sqlx::query_scalar(HOLDS_COUNTS).fetch_one(&mut *transaction).await.map_err(classify)?;
    if holds_counts != 0 && !merge {
        return Err(ImportError::HoldsCounts);
    }
    sqlx::query(IMPORTED).execute(&mut *transaction).await.map_err(classify)?;

    let mut copy = transaction.copy_in_raw("COPY imported FROM STDIN").await.map_err(classify)?;
    let mut lines = Vec::with_capacity(2 * BYTES);
    for row in &mut *rows {
        let (number, row) = match row {
            Ok(row) => row,
            Err(error) => {
                // What was copied goes with the transaction, whatever becomes of this.
                drop(copy.abort("a row cannot be read").await);
                return Err(ImportError::Row(error));
            }
        };
        line(&mut lines, number, &row);
        if lines.len() >= BYTES {
            copy.send(&*lines).await.map_err(classify)?;
            lines.clear();
        }
    }
    copy.send(&*lines).await.map_err(classify)?;
    copy.finish().await.map_err(classify)?;
    let first_day = sqlx::query(FIRST_DAY).bind(folded.days_before).fetch_one(&mut *transaction).await;
    let first_day = Row::new(first_day.map_err(classify)?).date_if_any(0)?;
    rows.check_months(first_day)?;

    for Table { name, date, count, names } in TABLES {
        let columns = names.join(", ");
        let of_kind = if names.contains(&"kind") { "<>" } else { "=" };
        let add = format!(
            "INSERT INTO {name} AS kept ({date}, {columns}, {count}, created_at, updated_at) \
             SELECT day, {columns}, sum(n)::integer, min(created_at), max(updated_at) FROM imported \
             WHERE kind {of_kind} 'pull_by_tag' GROUP BY day, {columns} ORDER BY day, {columns} \
             ON CONFLICT ({date}, {columns}) DO UPDATE SET {count} = kept.{count} + excluded.{count}, \
                created_at = least(kept.created_at, excluded.created_at), \
                updated_at = greatest(kept.updated_at, excluded.updated_at)"
        );
        let mut attempt = transaction.begin().await.map_err(classify)?;
        let Err(error) = sqlx::query(AssertSqlSafe(add)).execute(&mut *attempt).await else {
            attempt.commit().await.map_err(classify)?;
            continue;
        };
        attempt.rollback().await.map_err(classify)?;
        let [of_kept, of_imported] = ["kept", "imported"]
            .map(|of| names.iter().map(|name| format!("{of}.{name}")).collect::<Vec<_>>().join(", "));
        let too_many = format!(
            "SELECT min(number) FROM ( \
                SELECT number, sum(n) OVER (PARTITION BY day, {columns} ORDER BY number) + coalesce(( \
                    SELECT kept.{count} FROM {name} AS kept WHERE kept.{date} = day AND ({of_kept}) = ({of_imported})), 0) AS count \
                FROM imported WHERE kind {of_kind} 'pull_by_tag') AS running \
             WHERE count > 2147483647"
        );
        let too_many: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(too_many)).fetch_one(&mut *transaction).await.map_err(classify)?;
        return Err(match too_many {
            Some(number) => ImportError::TooMany { number: number.unsigned_abs() },
            None => ImportError::Store(classify(error)),
        });
    }
    if rows.folded != Folded::NOTHING {
        postgres::fold::keep_by_month(&mut transaction, rows.folded).await.map_err(classify)?;
    }
    transaction.commit().await.map_err(classify)?;
    Ok(())
}

/// A line of `COPY`. No name has what would have to be escaped in it, and no text is null.
fn line(lines: &mut Vec<u8>, number: u64, row: &MetricsRow) {
    let MetricsRow { date, repository, tag, digest, architecture, kind, count, created_at, updated_at } = row;
    let [created_at, updated_at] = [created_at, updated_at].map(|time| query::time_text(*time));
    let tag = query::tag_text(tag.as_ref());
    let text = format!(
        "{number}\t{}\t{kind}\t{repository}\t{tag}\t{digest}\t{architecture}\t{count}\t{created_at}\t{updated_at}\n",
        query::date_text(*date)
    );
    lines.extend_from_slice(text.as_bytes());
}

async fn into_sqlite<I: Iterator<Item = Result<(u64, CarriedRow), E>>, E>(
    connection: &mut SqliteConnection,
    rows: &mut Counting<I>,
    merge: bool,
) -> Result<(), ImportError<E>> {
    let mut transaction = connection.begin_with(sqlite::BEGIN).await.map_err(classify)?;
    let holds_counts: i32 = sqlx::query_scalar(HOLDS_COUNTS).fetch_one(&mut *transaction).await.map_err(classify)?;
    if holds_counts != 0 && !merge {
        return Err(ImportError::HoldsCounts);
    }
    let folded = sqlite::fold::folded(&mut transaction).await?;
    let first_day: Option<String> = sqlx::query_scalar(FIRST_DAY)
        .bind(query::date_text(folded.days_before))
        .fetch_one(&mut *transaction)
        .await
        .map_err(classify)?;
    let first_day = first_day.map(|day| day.parse().map_err(query::corrupt)).transpose()?;
    let mut lists = [Vec::with_capacity(ROWS), Vec::with_capacity(ROWS)];
    for row in &mut *rows {
        let row = row.map_err(ImportError::Row)?;
        let list = usize::from(row.1.kind != AccessKind::PullByTag);
        lists[list].push(row);
        if lists[list].len() >= ROWS {
            add(&mut transaction, TABLES[list], &lists[list]).await?;
            lists[list].clear();
        }
    }
    rows.check_months(first_day)?;
    for (table, rows) in TABLES.into_iter().zip(&lists) {
        add(&mut transaction, table, rows).await?;
    }
    if rows.folded != Folded::NOTHING {
        sqlite::fold::keep_by_month(&mut transaction, rows.folded).await.map_err(classify)?;
    }
    transaction.commit().await.map_err(classify)?;
    Ok(())
}

/// Adds rows, or tells the first that there is no room for.
async fn add<E>(
    transaction: &mut SqliteTransaction<'_>,
    table: &Table,
    rows: &[(u64, MetricsRow)],
) -> Result<(), ImportError<E>> {
    let Err(error) = add_all(transaction, table, rows).await else { return Ok(()) };
    if is_too_many(&error) {
        for row in rows {
            if add_all(transaction, table, slice::from_ref(row)).await.is_err_and(|error| is_too_many(&error)) {
                return Err(ImportError::TooMany { number: row.0 });
            }
        }
    }
    Err(ImportError::Store(classify(error)))
}

/// All that the tables check is how much a count may be.
fn is_too_many(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_check_violation)
}

async fn add_all(
    transaction: &mut SqliteTransaction<'_>,
    table: &Table,
    rows: &[(u64, MetricsRow)],
) -> sqlx::Result<()> {
    let Table { name, date, count, names } = table;
    let columns = names.join(", ");
    let values = (1..=names.len()).map(|place| format!("value ->> {place}")).collect::<Vec<_>>().join(", ");
    let add = format!(
        "INSERT INTO {name} ({date}, {columns}, {count}, created_at, updated_at) \
         SELECT value ->> 0, {values}, value ->> 6, value ->> 7, value ->> 8 FROM json_each($1) WHERE true \
         ON CONFLICT ({date}, {columns}) DO UPDATE SET {count} = {count} + excluded.{count}, \
            created_at = min(created_at, excluded.created_at), updated_at = max(updated_at, excluded.updated_at)"
    );
    let row = |(_, row): &(u64, MetricsRow)| {
        let MetricsRow { date, repository, tag, digest, architecture, kind, count, created_at, updated_at } = row;
        json!([
            query::date_text(*date),
            repository.as_str(),
            query::tag_text(tag.as_ref()),
            digest.as_str(),
            architecture.as_str(),
            kind.as_str(),
            count,
            query::time_text(*created_at),
            query::time_text(*updated_at),
        ])
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    sqlx::query(AssertSqlSafe(add)).bind(json!(rows).to_string()).execute(&mut **transaction).await.map(drop)
}
