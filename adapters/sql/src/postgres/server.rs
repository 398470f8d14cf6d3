//! How a connection is made.

use std::{io, path::Path, sync::Arc, time::Duration};

use sea_orm::sqlx::{
    self, ConnectOptions, Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::timeout;

use super::{
    settings::{self, COMMON, Settings},
    url::ServerLocation,
};
use crate::{OpenError, Options, SchemaName, error::Reason};

/// How long to wait for a connection, at least.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A PostgreSQL, and what is set on every connection to it.
#[derive(Clone)]
pub(super) struct Server {
    ways: Arc<[PgConnectOptions]>,
    schema: Option<SchemaName>,
    settings: Settings,
    /// How long a step on the way to a connection may take.
    patience: Duration,
}

impl Server {
    /// Looks whether what is needed to connect is there.
    pub(super) fn new(place: &ServerLocation, options: &Options) -> Result<Self, OpenError> {
        choose_tls_provider();
        for (parameter, file) in &place.files {
            look_at(parameter, file).map_err(|reason| {
                OpenError::Connect(Reason::new(format!("`{parameter}`, {}: {reason}", file.display())))
            })?;
        }
        let named = |way: &PgConnectOptions| {
            // What PgBouncer would refuse: staticreg reads no floating-point number.
            let way = way.clone().disable_statement_logging().extra_float_digits(None);
            if way.get_application_name().is_none() { way.application_name("staticreg") } else { way }
        };
        let mut server = Self {
            ways: place.ways.iter().map(named).collect(),
            schema: None,
            settings: place.settings.clone(),
            patience: options.answer_timeout.max(CONNECT_TIMEOUT),
        };
        server.set(COMMON);
        if let Some(schema) = &options.schema {
            server.use_schema(schema.clone());
        }
        Ok(server)
    }

    /// Finds tables in this schema from now on, and nowhere else.
    pub(super) fn use_schema(&mut self, schema: SchemaName) {
        // In quotes, as case matters to the table of schemas.
        self.set([("search_path", format!("\"{}\"", schema.as_str()))]);
        self.schema = Some(schema);
    }

    /// The same server, with more settings.
    pub(super) fn with(&self, settings: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let mut server = self.clone();
        server.set(settings);
        server
    }

    fn set(&mut self, settings: impl IntoIterator<Item = (&'static str, impl Into<String>)>) {
        self.settings.extend(settings.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
    }

    pub(super) fn schema(&self) -> Option<&SchemaName> {
        self.schema.as_ref()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A connection with its settings, in the schema asked for.
    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        let (mut connection, _) = self.connect_bare().await?;
        settings::apply(&mut connection, &self.settings).await?;
        if let Some(schema) = &self.schema {
            const CURRENT: &str = "SELECT current_schema() IS NOT DISTINCT FROM $1";
            let used: bool =
                sqlx::query_scalar(CURRENT).bind(schema.as_str()).persistent(false).fetch_one(&mut connection).await?;
            if !used {
                return Err(sqlx::Error::Configuration(Box::new(WrongSchema(schema.clone()))));
            }
        }
        Ok(connection)
    }

    /// A connection as the server makes it, and the way it was made.
    pub(super) async fn connect_bare(&self) -> sqlx::Result<(PgConnection, &PgConnectOptions)> {
        let mut ways = self.ways.iter().peekable();
        loop {
            let way = ways.next().expect("there is a way, and the last one ends this");
            match PgConnection::connect_with(way).await {
                Ok(connection) => return Ok((connection, way)),
                Err(error) if ways.peek().is_some() && is_about_tls(&error, way.get_ssl_mode()) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Refuses a pooler that gives each transaction another connection: settings and prepared statements of one client
    /// would be another's. Connected to such a pooler, one client's transaction takes the connection that the other's
    /// question just had, or gets in its way. Nor is one good that has a single connection, which one client keeps.
    pub(super) async fn refuse_unfit_pooler(&self) -> Result<(), OpenError> {
        /// Other clients of the pooler may get between.
        const ROUNDS: usize = 3;
        const BACKEND: &str = "SELECT pg_backend_pid()";
        // Idle for a moment, which the database may forbid.
        const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; SELECT pg_backend_pid()";
        let connect = async || {
            let (mut connection, _) = self.connect_bare().await?;
            // A pooler lets clients in before it has a connection for them.
            backend(&mut connection, BACKEND).await?;
            Ok(connection)
        };
        let mut one = self.in_time(connect()).await?;
        let mut other = match self.in_time(connect()).await {
            Err(OpenError::TimedOut) if self.in_time(backend(&mut one, BACKEND)).await.is_ok() => {
                return Err(OpenError::OneConnection);
            }
            other => other?,
        };
        let look = async {
            for _ in 0..ROUNDS {
                let before = backend(&mut one, BACKEND).await?;
                let taken = backend(&mut other, BEGIN).await? == before || backend(&mut one, BACKEND).await? != before;
                sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
                if taken {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let shared = match timeout(self.patience, look).await.map_err(|_| OpenError::TimedOut)? {
            // What PgBouncer says to BEGIN.
            Err(sqlx::Error::Database(error)) if error.message().contains("statement pooling") => true,
            looked => looked.map_err(|error| OpenError::Connect(error.into()))?,
        };
        drop(timeout(self.patience, async { (one.close().await, other.close().await) }).await);
        if shared { Err(OpenError::TransactionPooling) } else { Ok(()) }
    }

    /// What a step on the way to a connection comes to, in time.
    pub(super) async fn in_time<T>(&self, step: impl Future<Output = sqlx::Result<T>>) -> Result<T, OpenError> {
        let done = timeout(self.patience, step).await.map_err(|_| OpenError::TimedOut)?;
        done.map_err(|error| OpenError::Connect(error.into()))
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }
}

/// The process of the server that answers, as the last statement asks for it.
async fn backend(connection: &mut PgConnection, statements: &'static str) -> sqlx::Result<i32> {
    use sqlx::Row as _;
    // Prepares nothing, which a pooler might mix up.
    let row = sqlx::raw_sql(statements).fetch_one(connection).await?;
    row.try_get(0)
}

/// Whether the other of two ways, with TLS instead of without or the other way round, may go better. A wrong password
/// is no reason to send it in the clear.
fn is_about_tls(error: &sqlx::Error, tried: PgSslMode) -> bool {
    /// What `pg_hba.conf` refuses.
    const NOT_LET_IN: &str = "28000";
    match error {
        sqlx::Error::Database(error) => {
            matches!(tried, PgSslMode::Disable) || error.code().is_some_and(|code| code == NOT_LET_IN)
        }
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => {
            matches!(tried, PgSslMode::Prefer)
                && matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                )
        }
        _ => false,
    }
}

/// Whether a file of TLS can be what it is given for: the driver names no file.
fn look_at(parameter: &str, file: &Path) -> Result<(), String> {
    let content = std::fs::read(file).map_err(|error| error.to_string())?;
    let content = String::from_utf8_lossy(&content);
    let holds = |what: &str| content.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains(what));
    match parameter {
        "sslkey" if holds("ENCRYPTED PRIVATE KEY") || content.contains("Proc-Type: 4,ENCRYPTED") => {
            Err("the key is encrypted, and nobody can be asked for its passphrase".to_owned())
        }
        "sslkey" if !holds("PRIVATE KEY") => Err("it holds no private key in PEM".to_owned()),
        "sslrootcert" | "sslcert" if !holds("CERTIFICATE") => Err("it holds no certificate in PEM".to_owned()),
        _ => Ok(()),
    }
}

/// Decides which implementation of TLS checks certificates. Where several are built in, none is taken by itself, and
/// the driver panics.
fn choose_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// The session is in another schema than the one asked for.
#[derive(Debug, thiserror::Error)]
#[error("the schema {} cannot be used: grant the user USAGE on it", .0.as_str())]
pub(super) struct WrongSchema(SchemaName);
