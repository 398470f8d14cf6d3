//! What a database is, for whoever looks after it.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, Query as Build};
use sea_orm_migration::MigratorTrait as _;
use staticreg_domain::{
    api_token::ApiTokens as _,
    metrics::{DateRange, MetricsError, MetricsRepository as _, VersionedMetrics as _},
};
use staticreg_migration::Migrator;

use crate::{
    SqlMetrics,
    query::{Dialect, Query},
};

/// A database, looked at.
#[derive(Debug)]
pub struct Examination {
    /// The product and its version: `PostgreSQL 15.18`.
    pub product: String,
    /// The time there; none when it runs in this process.
    pub clock: Option<DateTime<Utc>>,
    /// The changes of the schema that it lacks, by name.
    pub missing_changes: Vec<String>,
    /// Whether the triggers that note changes are there.
    pub is_watched: bool,
    /// Whether it takes batches: nobody locks it, and the user has the rights.
    pub takes_batches: Result<(), MetricsError>,
    /// Whether its API tokens can be read.
    pub tells_tokens: Result<(), MetricsError>,
    /// How what goes to it is kept from others.
    pub secrecy: Secrecy,
}

/// How what goes to a database, and comes from it, is kept from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// It does not leave the machine.
    Local,
    /// It is encrypted, by this version of TLS.
    Tls(String),
    /// It is not.
    None,
}

impl SqlMetrics {
    /// Looks at the database; changes nothing.
    pub async fn examine(&self) -> Result<Examination, MetricsError> {
        let (name, version) = match self.dialect() {
            Dialect::Postgres => ("PostgreSQL", "current_setting('server_version')"),
            Dialect::Sqlite => ("SQLite", "sqlite_version()"),
        };
        let version = self.ask_for(version).await?.text(0)?;
        let clock = match self.dialect() {
            Dialect::Postgres => Some(self.ask_for("clock_timestamp()").await?.time(0)?),
            Dialect::Sqlite => None,
        };
        let mut applied = Build::select();
        applied.column("version").from("seaql_migrations");
        let applied = self.database.ask(Query::new(self.dialect(), &applied)).await?;
        let applied: Vec<_> = applied.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
        let known = Migrator::migrations().into_iter().map(|change| change.name().to_owned());
        let missing_changes: Vec<_> = known.filter(|name| !applied.contains(name)).collect();
        let is_watched = missing_changes.is_empty() && self.versions(DateRange::EVER, None).await?.is_some();
        let takes_batches = self.check().await;
        let tells_tokens = self.not_ended_by(DateTime::UNIX_EPOCH).await.map(drop);
        let secrecy = self.secrecy().await?;
        let product = format!("{name} {version}");
        Ok(Examination { product, clock, missing_changes, is_watched, takes_batches, tells_tokens, secrecy })
    }

    async fn secrecy(&self) -> Result<Secrecy, MetricsError> {
        /// A socket has no address, and a connection within the machine the same one at both ends.
        const OF_CONNECTION: &str = "coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), \
            CASE WHEN inet_client_addr() IS NULL OR inet_client_addr() = inet_server_addr() THEN 'local' ELSE '' END)";
        if self.dialect() == Dialect::Sqlite {
            return Ok(Secrecy::Local);
        }
        let told = self.ask_for(OF_CONNECTION).await?.text(0)?;
        Ok(match &*told {
            "local" => Secrecy::Local,
            "" => Secrecy::None,
            _ => Secrecy::Tls(told),
        })
    }

    /// What is computed, in one row.
    async fn ask_for(&self, expression: &'static str) -> Result<crate::query::Row, MetricsError> {
        let mut select = Build::select();
        select.expr(Expr::cust(expression));
        let mut rows = self.database.ask(Query::new(self.dialect(), &select)).await?;
        rows.pop().ok_or_else(|| crate::query::corrupt("no row"))
    }
}
