//! Chooses and opens the store, and the spool.

use std::{sync::Arc, time::Duration};

use staticreg_application::recording::Spooling;
use staticreg_domain::{
    api_token::{ApiTokenAdmin, ApiTokens},
    clock::Clock,
    connection_pool::ConnectionPool,
    error::describe,
    metrics::MetricsRepository,
    running::RunningImages,
};
use staticreg_memory::{MemoryMetrics, MemoryRunning};
use staticreg_rollup::Rollup;
use staticreg_spool::SqliteSpool;
use staticreg_sql::{DatabaseUrl, OpenError, Options, SqlMetrics};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::late_store::LateStore;
use crate::{
    Failure,
    lifecycle::Lifecycle,
    progress,
    settings::{Db, Secret, Size, Spool, Unusable},
};

/// The pause before a database that is away at start is tried again: at first, and at most.
const CONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// How long a start waits for the database before it serves without.
const HEAD_START: Duration = Duration::from_secs(1);

/// The store of pull metrics and its name.
pub(crate) struct Store {
    pub(crate) metrics: Arc<dyn MetricsRepository>,
    /// Where API tokens are kept: in a database only, which other processes share.
    pub(crate) tokens: Option<Arc<dyn ApiTokens>>,
    /// Where it is kept what runs.
    pub(crate) running: Arc<dyn RunningImages>,
    /// The connections to the database.
    pub(crate) pool: Option<Arc<dyn ConnectionPool>>,
    pub(crate) name: &'static str,
}

/// What a database keeps.
pub(crate) struct Database {
    pub(crate) metrics: Arc<dyn MetricsRepository>,
    pub(crate) tokens: Arc<dyn ApiTokens>,
    pub(crate) running: Arc<dyn RunningImages>,
    pub(crate) pool: Arc<dyn ConnectionPool>,
}

impl Store {
    /// A store without a database.
    pub(crate) fn without_database(metrics: Arc<dyn MetricsRepository>, name: &'static str) -> Self {
        Self { metrics, tokens: None, running: Arc::new(MemoryRunning::default()), pool: None, name }
    }
}

impl Database {
    /// A database with sums of its counts in memory, when there is memory for them.
    fn new(store: SqlMetrics, options: &Options, memory: Size, clock: Arc<dyn Clock>) -> Self {
        let store = Arc::new(store);
        let (tokens, running, pool) = (Arc::clone(&store), Arc::clone(&store), Arc::clone(&store));
        let metrics: Arc<dyn MetricsRepository> = match memory.bytes() {
            0 => store,
            memory => {
                let question_timeout = options.question_timeout;
                Arc::new(Rollup::new(store, clock, staticreg_rollup::Options { memory, question_timeout }))
            }
        };
        Self { metrics, tokens, running, pool }
    }
}

/// Opens the configured store; memory, of so many rows, when none is. A PostgreSQL that is away is tried again in the
/// background until it is there.
pub(crate) async fn open(
    db: &Db,
    memory_rows: usize,
    clock: Arc<dyn Clock>,
    lifecycle: &mut Lifecycle,
) -> Result<Store, Failure> {
    let Some(url) = &db.url else {
        tracing::warn!("STATICREG_DB_URL environment variable is not set. Database functions will be disabled.");
        tracing::warn!(
            "Counting in memory: the counts are gone when the program ends. Set STATICREG_DB_URL to keep them."
        );
        return Ok(Store::without_database(Arc::new(MemoryMetrics::new(memory_rows)), "memory"));
    };
    let options = options(db, url)?;
    if options.url.product() == "SQLite" {
        let metrics = SqlMetrics::open(&options).await.map_err(|error| Unusable::new("db.url", error))?;
        tracing::info!("Database schema initialized successfully.");
        let Database { metrics, tokens, running, pool } = Database::new(metrics, &options, db.rollup_memory, clock);
        return Ok(Store { metrics, tokens: Some(tokens), running, pool: Some(pool), name: "sqlite" });
    }
    let store = Arc::new(LateStore::default());
    let (trying, tried) = oneshot::channel();
    let connecting = connect(Arc::clone(&store), options, db.rollup_memory, clock, trying);
    lifecycle.spawn_passing("connects to the database", connecting);
    // Mostly it is there at once. One that does not answer, or takes long to change its schema, must not keep the
    // webhook from answering.
    let _: Result<Result<(), _>, _> = timeout(HEAD_START, tried).await;
    let (metrics, tokens, running) = (Arc::clone(&store) as _, Some(Arc::clone(&store) as _), Arc::clone(&store) as _);
    Ok(Store { metrics, tokens, running, pool: Some(store), name: "postgresql" })
}

/// Opens the configured spool.
pub(crate) async fn open_spool(spool: &Spool) -> Result<Option<Arc<Spooling>>, Failure> {
    let Some(file) = &spool.file else { return Ok(None) };
    let failure =
        |error| Unusable::new("spool.file", format!("{} cannot be used: {}", file.display(), describe(&error)));
    let spool = SqliteSpool::open(file, spool.max_events.get()).await.map_err(failure)?;
    let spooling = Spooling::new(Arc::new(spool)).await.map_err(failure)?;
    if spooling.waiting() > 0 {
        tracing::info!(events = spooling.waiting(), "Events wait in the spool");
    }
    Ok(Some(Arc::new(spooling)))
}

/// Brings the configured database's schema up to date.
pub(crate) async fn migrate(db: &Db) -> Result<(), Failure> {
    let options = options_of(db, "STATICREG_DB_URL is not set: there is no database to migrate.")?;
    open_database(&Options { on_upgrade: progress::of_upgrade(), ..options }).await?;
    tracing::info!("Database schema initialized successfully.");
    Ok(())
}

/// Where the configured database keeps API tokens; `migrate` makes that place.
pub(crate) async fn api_tokens(db: &Db, migrate: bool) -> Result<impl ApiTokenAdmin + use<>, Failure> {
    const WITHOUT: &str = "STATICREG_DB_URL is not set. API tokens are kept in a database: a server that keeps its counts in \
                           memory shares them with no other process.";
    open_database(&Options { migrate, ..options_of(db, WITHOUT)? }).await
}

/// The configured database; nothing is made or changed.
pub(crate) async fn open_as_it_is(db: &Db) -> Result<SqlMetrics, Failure> {
    open_database(&Options { migrate: false, ..options_of(db, "STATICREG_DB_URL is not set.")? }).await
}

/// The configured database, with its schema up to date.
pub(crate) async fn open_and_migrate(db: &Db) -> Result<SqlMetrics, Failure> {
    let options = options_of(db, "STATICREG_DB_URL is not set.")?;
    open_database(&Options { on_upgrade: progress::of_upgrade(), ..options }).await
}

async fn open_database(options: &Options) -> Result<SqlMetrics, Failure> {
    Ok(SqlMetrics::open(options).await.map_err(|error| Unusable::new("db.url", error))?)
}

/// The options of the configured database; without one, what is said then.
fn options_of(db: &Db, without: &'static str) -> Result<Options, Failure> {
    options(db, db.url.as_ref().ok_or(without)?)
}

fn options(db: &Db, url: &Secret) -> Result<Options, Failure> {
    let url: DatabaseUrl = url.expose().parse().map_err(|error| Unusable::new("db.url", error))?;
    for name in url.unknown_parameters() {
        tracing::warn!("The parameter `{name}` of the database's URL is not known and changes nothing.");
    }
    Ok(Options { schema: db.schema.clone(), max_connections: db.max_conns, ..Options::new(url) })
}

/// Tries until it succeeds; drops `trying` after the first try. Each reason is told once: most stay until somebody does
/// something.
async fn connect(
    store: Arc<LateStore>,
    options: Options,
    rollup_memory: Size,
    clock: Arc<dyn Clock>,
    trying: oneshot::Sender<()>,
) -> Result<(), Failure> {
    let (mut trying, mut told, mut pause) = (Some(trying), String::new(), CONNECT_PAUSE.0);
    loop {
        let error = match SqlMetrics::open(&options).await {
            Ok(metrics) => {
                arrived(&store, Database::new(metrics, &options, rollup_memory, clock));
                return Ok(());
            }
            // It stays so until somebody decides. To go on would be to begin anew.
            Err(error @ OpenError::CountsElsewhere { .. }) => return Err(Unusable::new("db.schema", error).into()),
            Err(error) => error,
        };
        let reason = error.to_string();
        if reason == told {
            tracing::debug!("The database still cannot be used: {reason}");
        } else if let OpenError::Migrate(_) = error {
            tracing::warn!("The database cannot be used: {reason}. {WHAT_HAPPENS}");
        } else {
            tracing::warn!("Unable to create connection pool: {reason}. Database functions will be disabled.");
            tracing::warn!("{WHAT_HAPPENS}");
        }
        told = reason;
        drop(trying.take());
        sleep(pause).await;
        pause = (pause * 2).min(CONNECT_PAUSE.1);
    }
}

/// Between a failure to connect and the next try that succeeds.
const WHAT_HAPPENS: &str = "Trying again until the database can be used. Until then pulls wait in the spool, if there \
                            is one; else the registry is told to send them again. Questions are answered 503.";

fn arrived(store: &LateStore, database: Database) {
    store.arrive(database);
    tracing::info!("PostgreSQL connection pool successfully initialized.");
    tracing::info!("Database schema initialized successfully.");
}
