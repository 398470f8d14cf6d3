//! PostgreSQL 15 or newer.

pub(crate) mod fold;
mod ids;
mod journal;
pub(crate) mod keywords;
mod record;
mod schema;
mod server;
mod settings;
pub(crate) mod url;

use std::{fmt, sync::Once, time::Duration};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, PgConnection, postgres::PgRow};
use staticreg_domain::{
    connection_pool::PoolStats,
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPart, JournalPosition, TakeTurn},
    metrics::{Folded, MetricsError, PullEvent, Recording},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use self::{
    record::{Care, New},
    server::Server,
    url::ServerLocation,
};
use crate::{
    OpenError, Options,
    batch::Batch,
    connections::Connections,
    error::{classify, within},
    fold::{Part, TABLES},
    journal::is_conflict,
    query::{Query, Row},
};

/// How long a connection that is used again may take to say that it is alive, at most.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the connection that records may be unused before it is asked whether it is alive: while it is used often,
/// that would be a round trip for each batch.
const UNUSED: Duration = Duration::from_secs(1);

/// The pull metrics in a PostgreSQL database.
pub(crate) struct PostgresMetrics {
    writer: Writer,
    readers: Readers,
    answer_timeout: Duration,
    question_timeout: Duration,
}

/// The connections that answer questions.
struct Readers {
    server: Server,
    connections: Connections<PgConnection>,
}

/// The connection that records.
struct Writer {
    server: Server,
    state: Mutex<WriterState>,
}

#[derive(Default)]
struct WriterState {
    /// None when it is in use, and after a failure. A connection is put back only when it gave its answer: one whose
    /// call failed, timed out or was given up is closed. With when it gave its last answer.
    connection: Option<(PgConnection, Instant)>,
    care: Care,
}

/// Without the password.
impl fmt::Debug for PostgresMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresMetrics").finish_non_exhaustive()
    }
}

impl PostgresMetrics {
    pub(crate) async fn open(place: &ServerLocation, options: &Options) -> Result<Self, OpenError> {
        let mut server = Server::new(place, options)?;
        server.refuse_unfit_pooler().await?;
        if options.schema.is_none()
            && let Some(schema) = schema::of_go_staticreg(&server).await?
        {
            // Once, however often a database that is away is tried.
            static TOLD: Once = Once::new();
            TOLD.call_once(|| {
                tracing::info!("The schema `{}`, which the Go staticreg made, is used.", schema.as_str());
            });
            server.use_schema(schema);
        }
        if options.migrate {
            Box::pin(schema::migrate(&server, options.teller())).await?;
        }

        let writer = Writer {
            server: server.with([
                ("statement_timeout", milliseconds(options.answer_timeout)),
                // A server that is gone or frozen in its turn does not keep the others from theirs.
                ("idle_in_transaction_session_timeout", milliseconds(options.answer_timeout)),
                // Planned once. What a generic plan guesses of arrays is too small for nested loops.
                ("plan_cache_mode", "force_generic_plan".to_owned()),
                ("enable_nestloop", "off".to_owned()),
                // So that the triggers need not.
                ("staticreg.notes_days", "on".to_owned()),
            ]),
            state: Mutex::default(),
        };
        // At once, so that what does not allow it is told when the store is opened.
        let connection = writer.server.in_time(writer.server.connect()).await?;
        writer.state.lock().await.connection = Some((connection, Instant::now()));
        let readers = Readers {
            server: server.with([
                ("statement_timeout", milliseconds(options.question_timeout)),
                // Ids are archived in a turn too.
                ("idle_in_transaction_session_timeout", milliseconds(options.question_timeout)),
                // A range of dates tells the plan; only a custom plan knows it.
                ("plan_cache_mode", "force_custom_plan".to_owned()),
            ]),
            connections: Connections::new(options.readers(), options.answer_timeout),
        };
        let Options { answer_timeout, question_timeout, .. } = *options;
        Ok(Self { writer, readers, answer_timeout, question_timeout })
    }

    pub(crate) async fn record(
        &self,
        events: &[PullEvent],
        now: DateTime<Utc>,
    ) -> Result<Vec<Recording>, MetricsError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let given = Batch::new(events)?;
        if given.stamps.iter().any(|event| event.may_be_archived(now)) || Folded::may_matter_to(events, now) {
            return self.writing(async |connection, _| record_some_old(connection, &given, events, now).await).await;
        }
        let record = async |connection: &mut PgConnection, care: &mut Care| {
            record::record(connection, care, &given, now).await.map_err(classify)
        };
        Ok(match self.writing(record).await? {
            New::All => given.all_recorded(),
            some @ New::Only(_) => given.recorded(|id| some.has(id)),
        })
    }

    pub(crate) async fn append(&self, batch: &JournalBatch, now: DateTime<Utc>) -> Result<Appended, MetricsError> {
        self.writing(async |connection, care| {
            if !Folded::may_matter_to(&batch.events, now) {
                let made_ready = Batch::new(&batch.events)?;
                return record::append(connection, care, &made_ready, batch, now).await.map_err(classify);
            }
            let mut transaction = connection.begin().await.map_err(classify)?;
            let appended = append_some_old(&mut transaction, care, batch, now).await;
            end(transaction, appended).await
        })
        .await
    }

    pub(crate) async fn append_in_turn(
        &self,
        behind: Option<JournalPosition>,
        events: &[EventStamp],
        batch: &mut dyn TakeTurn,
        now: DateTime<Utc>,
    ) -> Result<Appended, MetricsError> {
        self.writing(async |connection, care| {
            let mut transaction = connection.begin().await.map_err(classify)?;
            let appended = in_turn(&mut transaction, care, behind, events, batch, now).await;
            end(transaction, appended).await
        })
        .await
    }

    pub(crate) async fn journal(
        &self,
        behind: Option<JournalPosition>,
        at_most: u32,
    ) -> Result<JournalPart, MetricsError> {
        let read = self.reading(async |connection| journal::read(connection, behind, at_most.into()).await).await?;
        Ok(read.part())
    }

    pub(crate) async fn forget_journal(&self, older_than: TimeDelta, at_most: u32) -> Result<u64, MetricsError> {
        #[expect(clippy::cast_precision_loss, reason = "a few minutes")]
        let seconds = older_than.num_seconds() as f64;
        self.reading(async |connection| {
            let forget = sqlx::query(journal::FORGET).bind(seconds).bind(i64::from(at_most));
            Ok(forget.execute(connection).await?.rows_affected())
        })
        .await
    }

    pub(crate) async fn fold_changes(&self, at_most: u32) -> Result<u64, MetricsError> {
        // The table's trigger gives the days new versions.
        const FOLD: &str =
            "DELETE FROM day_change WHERE id = ANY (ARRAY(SELECT id FROM day_change ORDER BY id LIMIT $1))";
        self.reading(async |connection| {
            Ok(sqlx::query(FOLD).bind(i64::from(at_most)).execute(connection).await?.rows_affected())
        })
        .await
    }

    /// A connection of its own for what takes longer than any question.
    pub(crate) async fn connect_for_long(&self) -> Result<PgConnection, MetricsError> {
        const NO_LIMITS: &str = "SELECT set_config('statement_timeout', '0', false), \
             set_config('idle_in_transaction_session_timeout', '0', false)";
        let connect = async {
            let mut connection = self.readers.server.connect().await?;
            sqlx::query(NO_LIMITS).execute(&mut connection).await?;
            Ok(connection)
        };
        within(self.question_timeout, async { connect.await.map_err(classify) }).await
    }

    pub(crate) async fn keep_by_month(&self, folded: Folded) -> Result<(), MetricsError> {
        self.reading(async |connection| {
            let mut transaction = connection.begin().await?;
            fold::keep_by_month(&mut transaction, folded).await?;
            transaction.commit().await
        })
        .await
    }

    pub(crate) async fn fold_day(&self, day: NaiveDate, at_most: u32) -> Result<u64, MetricsError> {
        self.reading(async |connection| {
            let mut transaction = connection.begin().await?;
            let folded = fold::lock(&mut transaction).await?;
            // Late events wait for the lock: it is given back where somebody holds a month's row.
            sqlx::query("SET LOCAL lock_timeout = '100ms'").execute(&mut *transaction).await?;
            let mut rows = 0;
            if let Some(part) = Part::of_day(folded, day, at_most) {
                for table in TABLES {
                    rows += fold::fold_part(&mut transaction, table, &part).await?;
                }
            }
            transaction.commit().await?;
            Ok(rows)
        })
        .await
    }

    /// The connections that answer questions; the one that records is beside them.
    pub(crate) fn pool(&self) -> PoolStats {
        self.readers.connections.stats()
    }

    pub(crate) async fn check(&self) -> Result<(), MetricsError> {
        const TAKES_BATCHES: &str = "SELECT NOT pg_is_in_recovery() \
             AND NOT current_setting('transaction_read_only')::boolean \
             AND has_table_privilege('recorded_event', 'INSERT') \
             AND has_table_privilege('recorded_event_archive', 'INSERT') \
             AND has_table_privilege('container_pull_metrics', 'INSERT') \
             AND has_table_privilege('container_access_metrics', 'INSERT') \
             AND has_table_privilege('day_version', 'INSERT') \
             AND has_table_privilege('access_journal', 'INSERT') \
             AND has_table_privilege('kept_by_month', 'SELECT')";
        let takes_batches: bool = self
            .writing(async |connection, _| {
                sqlx::query_scalar(TAKES_BATCHES).fetch_one(connection).await.map_err(classify)
            })
            .await?;
        if takes_batches { Ok(()) } else { Err(MetricsError::Unavailable("the database cannot be written".into())) }
    }

    pub(crate) async fn forget_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        self.reading(async |connection| ids::forget(connection, recorded_before, at_most).await).await
    }

    pub(crate) async fn archive_ids(&self, recorded_before: DateTime<Utc>, at_most: u32) -> Result<u64, MetricsError> {
        self.reading(async |connection| {
            let mut transaction = connection.begin().await?;
            journal::wait_for_turn(&mut transaction).await?;
            let archived = ids::archive(&mut transaction, recorded_before, at_most).await?;
            transaction.commit().await?;
            Ok(archived)
        })
        .await
    }

    pub(crate) async fn ask(&self, query: Query) -> Result<Vec<Row>, MetricsError> {
        let rows = self.reading(async move |connection| fetch(connection, query).await).await?;
        Ok(rows.into_iter().map(Row::new).collect())
    }

    pub(crate) async fn change(&self, query: Query) -> Result<u64, MetricsError> {
        self.reading(async move |connection| {
            let Query { text, values } = query;
            // As in `fetch`.
            Ok(sqlx::query_with(AssertSqlSafe(text), values).execute(connection).await?.rows_affected())
        })
        .await
    }

    /// Runs a call on the connection that records, within the time to answer.
    async fn writing<T>(
        &self,
        call: impl AsyncFnOnce(&mut PgConnection, &mut Care) -> Result<T, MetricsError>,
    ) -> Result<T, MetricsError> {
        within(self.answer_timeout, async {
            let mut state = self.writer.state.lock().await;
            let kept = match state.connection.take() {
                Some((mut connection, used)) if used.elapsed() >= UNUSED => {
                    self.is_alive(&mut connection).await.then_some(connection)
                }
                kept => kept.map(|(connection, _)| connection),
            };
            let mut connection = if let Some(connection) = kept {
                connection
            } else {
                state.care.connect_anew();
                self.writer.server.connect().await.map_err(classify)?
            };
            let answer = call(&mut connection, &mut state.care).await;
            if matches!(answer, Ok(_) | Err(MetricsError::Refused(_))) {
                state.connection = Some((connection, Instant::now()));
            }
            answer
        })
        .await
    }

    /// Runs a call on one of the other connections, within the time of a question.
    async fn reading<T>(
        &self,
        call: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, MetricsError> {
        let Readers { server, connections } = &self.readers;
        let answer = connections.run(
            async |connection| self.is_alive(connection).await,
            async || server.connect().await.map_err(classify),
            async |connection| call(connection).await.map_err(classify),
        );
        within(self.question_timeout, answer).await
    }

    /// Whether a connection still has a peer.
    async fn is_alive(&self, connection: &mut PgConnection) -> bool {
        // So that there is time for another one.
        let limit = ALIVE_TIMEOUT.min(self.answer_timeout / 2);
        matches!(timeout(limit, connection.ping()).await, Ok(Ok(())))
    }
}

/// Ends a transaction as what became of its batch says.
async fn end(
    transaction: sqlx::Transaction<'_, sqlx::Postgres>,
    appended: Result<Appended, MetricsError>,
) -> Result<Appended, MetricsError> {
    match appended {
        Ok(Appended::Stored) => transaction.commit().await.map_err(classify)?,
        Ok(Appended::Conflict) | Err(MetricsError::Refused(_)) => transaction.rollback().await.map_err(classify)?,
        // The connection is closed.
        Err(_) => {}
    }
    appended
}

/// Stores a batch of which some may change counts that are kept by month.
async fn append_some_old(
    transaction: &mut PgConnection,
    care: &mut Care,
    batch: &JournalBatch,
    now: DateTime<Utc>,
) -> Result<Appended, MetricsError> {
    let events = fold::moved(transaction, &batch.events, now).await?;
    record::append(transaction, care, &Batch::new(&events)?, batch, now).await.map_err(classify)
}

/// Records events of which some may be archived, or change counts that are kept by month.
async fn record_some_old(
    connection: &mut PgConnection,
    given: &Batch<'_>,
    events: &[PullEvent],
    now: DateTime<Utc>,
) -> Result<Vec<Recording>, MetricsError> {
    let mut transaction = connection.begin().await.map_err(classify)?;
    // While nobody archives.
    journal::wait_for_turn(&mut transaction).await.map_err(classify)?;
    let archived = ids::archived(&mut transaction, &given.stamps, now).await.map_err(classify)?;
    let events = fold::moved(&mut transaction, events, now).await?;
    let others = Batch::of_those(&events, |event| !archived.contains(&event.id.as_uuid()))?;
    match record::record_within(&mut transaction, &others, now).await {
        Ok(new) => {
            transaction.commit().await.map_err(classify)?;
            Ok(given.recorded(|id| !archived.contains(id) && new.has(id)))
        }
        Err(error) => {
            transaction.rollback().await.map_err(classify)?;
            Err(classify(error))
        }
    }
}

async fn in_turn(
    connection: &mut PgConnection,
    care: &mut Care,
    behind: Option<JournalPosition>,
    events: &[EventStamp],
    batch: &mut dyn TakeTurn,
    now: DateTime<Utc>,
) -> Result<Appended, MetricsError> {
    journal::wait_for_turn(connection).await.map_err(classify)?;
    let mut read = journal::read(connection, behind, i64::from(u32::MAX)).await.map_err(classify)?;
    if read.rows.is_empty() {
        match journal::begin(connection).await {
            Err(error) if is_conflict(&error) => return Ok(Appended::Conflict),
            begun => begun.map_err(classify)?,
        }
        read = journal::read(connection, None, 1).await.map_err(classify)?;
    }
    let recorded = ids::recorded(connection, events, now).await.map_err(classify)?;
    let Some(batch) = batch.take_turn(read.turn(recorded)?) else { return Ok(Appended::Stored) };
    append_some_old(connection, care, &batch, now).await
}

async fn fetch(connection: &mut PgConnection, query: Query) -> sqlx::Result<Vec<PgRow>> {
    let Query { text, values } = query;
    // Made of constant pieces alone, see `Query`; whatever is not constant is bound.
    sqlx::query_with(AssertSqlSafe(text), values).fetch_all(connection).await
}

/// A span as PostgreSQL's settings have it; at least one, as zero is no limit.
fn milliseconds(span: Duration) -> String {
    span.as_millis().max(1).to_string()
}
