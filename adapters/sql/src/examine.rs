//! What a database is, for whoever looks after it.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, Query as Build};
use sea_orm_migration::MigratorTrait as _;
use staticreg_domain::metrics::{DateRange, MetricsError, MetricsRepository as _, VersionedMetrics as _};
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
        Ok(Examination { product: format!("{name} {version}"), clock, missing_changes, is_watched, takes_batches })
    }

    /// What is computed, in one row.
    async fn ask_for(&self, expression: &'static str) -> Result<crate::query::Row, MetricsError> {
        let mut select = Build::select();
        select.expr(Expr::cust(expression));
        let mut rows = self.database.ask(Query::new(self.dialect(), &select)).await?;
        rows.pop().ok_or_else(|| crate::query::corrupt("no row"))
    }
}
