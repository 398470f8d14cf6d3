//! PostgreSQL 15 or newer.

mod record;
mod schema;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::sqlx::{
    self, AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow, Postgres},
};
use staticreg_domain::metrics::{CountedEvent, MetricsError, Recording};
use tokio::{sync::Mutex, time::timeout};

use self::record::{Care, New};
use crate::{
    OpenError, Options,
    batch::Batch,
    error::{classify, no_answer, within},
    query::{Dialect, Query, Row, Value},
};

/// How long a question may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The pull metrics in a PostgreSQL database.
#[derive(Debug)]
pub(crate) struct PostgresMetrics {
    writer: Writer,
    readers: PgPool,
    answer_timeout: Duration,
}

/// The connection that records. It is no pool's: a pool asks a connection twice whether it is alive, each time it is
/// used.
#[derive(Debug)]
struct Writer {
    options: PgConnectOptions,
    state: Mutex<WriterState>,
}

#[derive(Debug, Default)]
struct WriterState {
    /// None when it is in use, and after a failure. A connection is put back only when it gave its answer: one whose
    /// call failed, timed out or was given up is closed.
    connection: Option<PgConnection>,
    care: Care,
}

impl PostgresMetrics {
    pub(crate) async fn open(place: &PgConnectOptions, options: &Options) -> Result<Self, OpenError> {
        let mut base =
            place.clone().disable_statement_logging().options([("client_min_messages", "warning"), ("jit", "off")]);
        if place.get_application_name().is_none() {
            base = base.application_name("staticreg");
        }
        if let Some(schema) = &options.schema {
            // In quotes, as case matters to the table of schemas.
            base = base.options([("search_path", format!("\"{}\"", schema.as_str()))]);
        }
        schema::migrate(&base, options).await?;

        let writer = Writer {
            options: base.clone().options([
                ("statement_timeout", milliseconds(options.answer_timeout)),
                // Planned once. What a generic plan guesses of arrays is too small for nested loops.
                ("plan_cache_mode", "force_generic_plan".to_owned()),
                ("enable_nestloop", "off".to_owned()),
                // So that the triggers need not.
                ("staticreg.notes_days", "on".to_owned()),
            ]),
            state: Mutex::default(),
        };
        let readers = PgPoolOptions::new()
            .max_connections(options.readers())
            .acquire_timeout(options.answer_timeout)
            .connect_lazy_with(base.options([
                ("statement_timeout", milliseconds(QUESTION_TIMEOUT)),
                // A range of dates tells the plan; only a custom plan knows it.
                ("plan_cache_mode", "force_custom_plan".to_owned()),
            ]));
        Ok(Self { writer, readers, answer_timeout: options.answer_timeout })
    }

    pub(crate) async fn record(
        &self,
        events: &[CountedEvent],
        now: DateTime<Utc>,
    ) -> Result<Vec<Recording>, MetricsError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::of(events)?;
        let new = self.writing(async |connection, care| record::record(connection, care, &batch, now).await).await?;
        Ok(match new {
            New::All => batch.all_recorded(),
            New::Only(mut ids) => {
                ids.sort_unstable();
                batch.recorded(|id| ids.binary_search(id).is_ok())
            }
        })
    }

    pub(crate) async fn check(&self) -> Result<(), MetricsError> {
        const TAKES_BATCHES: &str = "SELECT NOT pg_is_in_recovery() \
             AND NOT current_setting('transaction_read_only')::boolean \
             AND has_table_privilege('recorded_event', 'INSERT') \
             AND has_table_privilege('container_pull_metrics', 'INSERT') \
             AND has_table_privilege('container_access_metrics', 'INSERT') \
             AND has_table_privilege('day_version', 'INSERT')";
        let takes_batches: bool =
            self.writing(async |connection, _| sqlx::query_scalar(TAKES_BATCHES).fetch_one(connection).await).await?;
        if takes_batches { Ok(()) } else { Err(MetricsError::Unavailable("the database cannot be written".into())) }
    }

    pub(crate) async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        const FORGET: &str = "DELETE FROM recorded_event WHERE ctid = ANY (ARRAY(\
             SELECT ctid FROM recorded_event WHERE recorded_at < $1 ORDER BY recorded_at LIMIT $2))";
        self.reading(async |connection| {
            let query = sqlx::query(FORGET).bind(recorded_before).bind(i64::from(at_most));
            Ok(query.execute(&mut **connection).await?.rows_affected())
        })
        .await
    }

    pub(crate) async fn ask(&self, query: Query) -> Result<Vec<Row>, MetricsError> {
        let rows = self.reading(async move |connection| fetch(connection, query).await).await?;
        Ok(rows.into_iter().map(|row| Row::new(Dialect::Postgres, row)).collect())
    }

    /// Runs a call on the connection that records, within the time to answer.
    async fn writing<T>(
        &self,
        call: impl AsyncFnOnce(&mut PgConnection, &mut Care) -> sqlx::Result<T>,
    ) -> Result<T, MetricsError> {
        within(self.answer_timeout, async {
            let mut state = self.writer.state.lock().await;
            let mut connection = if let Some(connection) = state.connection.take() {
                connection
            } else {
                state.care.connect_anew();
                PgConnection::connect_with(&self.writer.options).await.map_err(classify)?
            };
            let answer = call(&mut connection, &mut state.care).await.map_err(classify);
            if matches!(answer, Ok(_) | Err(MetricsError::Refused(_))) {
                state.connection = Some(connection);
            }
            answer
        })
        .await
    }

    /// Runs a call on one of the other connections, within the time of a question.
    async fn reading<T>(
        &self,
        call: impl AsyncFnOnce(&mut PoolConnection<Postgres>) -> sqlx::Result<T>,
    ) -> Result<T, MetricsError> {
        let mut connection = self.readers.acquire().await.map_err(classify)?;
        if let Ok(answer) = timeout(QUESTION_TIMEOUT, call(&mut connection)).await {
            return answer.map_err(classify);
        }
        // The pool would wait for the rest of the answer; the connection is closed instead.
        drop(connection.detach());
        Err(no_answer())
    }
}

async fn fetch(connection: &mut PoolConnection<Postgres>, query: Query) -> sqlx::Result<Vec<PgRow>> {
    let Query { dialect: _, text, values } = query;
    // Made of constant pieces alone, see `Query`.
    let mut statement = sqlx::query(AssertSqlSafe(text));
    for value in values {
        statement = match value {
            Value::Date(date) => statement.bind(date),
            Value::Time(time) => statement.bind(time),
            Value::Text(text) => statement.bind(text),
            Value::Number(number) => statement.bind(number),
        };
    }
    statement.fetch_all(&mut **connection).await
}

/// A span as PostgreSQL's settings have it; at least one, as zero is no limit.
fn milliseconds(span: Duration) -> String {
    span.as_millis().max(1).to_string()
}
