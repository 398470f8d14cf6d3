//! `ApiTokens` and `ApiTokenAdmin` in a database: the same statements on both, which sea-query makes.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Order, Query as Build, SelectStatement, UpdateStatement, Value};
use staticreg_domain::{
    api_token::{ApiToken, ApiTokenAdmin, ApiTokens, Creation, Scopes, TokenHash, TokenName},
    error::describe,
    metrics::MetricsError,
};

use crate::{
    SqlMetrics,
    query::{Dialect, Query, Row, corrupt, parse},
};

const TABLE: &str = "api_token";

/// In the order in which rows are read.
const COLUMNS: [&str; 7] = ["hash", "name", "scopes", "created_at", "expires_at", "ended_at", "last_used_at"];

#[async_trait]
impl ApiTokens for SqlMetrics {
    async fn not_ended_by(&self, moment: DateTime<Utc>) -> Result<Vec<ApiToken>, MetricsError> {
        let moment = self.dialect().time(moment);
        let is_later = |column: &'static str| Expr::col(column).is_null().or(Expr::col(column).gt(moment.clone()));
        let mut those = Build::select();
        those.columns(COLUMNS).from(TABLE).and_where(is_later("ended_at")).and_where(is_later("expires_at"));
        self.read(&those).await
    }

    async fn note_use(&self, hash: &TokenHash, at: DateTime<Utc>) -> Result<(), MetricsError> {
        let at = self.dialect().time(at);
        let mut note = Build::update();
        note.table(TABLE).value("last_used_at", at.clone()).and_where(Expr::col("hash").eq(hash_value(hash)));
        note.and_where(Expr::col("last_used_at").is_null().or(Expr::col("last_used_at").lt(at)));
        self.change(&note).await.map(drop)
    }
}

#[async_trait]
impl ApiTokenAdmin for SqlMetrics {
    async fn create(&self, token: &ApiToken) -> Result<Creation, MetricsError> {
        // Each is right by itself, so they need no transaction.
        self.change(&release_name(self.dialect(), token)).await?;
        let ApiToken { hash, name, scopes, created_at, expires_at, ended_at, last_used_at } = token;
        let time = |at: &Option<DateTime<Utc>>| self.dialect().time_if_any(*at).into();
        let row: [Expr; COLUMNS.len()] = [
            hash_value(hash).into(),
            name.as_str().into(),
            scopes.to_string().into(),
            self.dialect().time(*created_at).into(),
            time(expires_at),
            time(ended_at),
            time(last_used_at),
        ];
        let mut insert = Build::insert();
        insert.into_table(TABLE).columns(COLUMNS).on_conflict(OnConflict::new().do_nothing().to_owned());
        insert.values_panic(row);
        let created = self.database.change(Query::new(self.dialect(), &insert)).await?;
        Ok(if created == 0 { Creation::NameTaken } else { Creation::Created })
    }

    async fn list(&self) -> Result<Vec<ApiToken>, MetricsError> {
        let mut all = Build::select();
        all.columns(COLUMNS).from(TABLE).order_by("created_at", Order::Desc).order_by("name", Order::Asc);
        self.read(&all).await
    }

    async fn revoke(&self, name: &TokenName, now: DateTime<Utc>) -> Result<bool, MetricsError> {
        let now = self.dialect().time(now);
        let mut revoke = Build::update();
        revoke.table(TABLE).value("ended_at", now.clone());
        revoke.and_where(Expr::col("name").eq(name.as_str())).and_where(Expr::col("ended_at").is_null());
        revoke.and_where(Expr::col("expires_at").is_null().or(Expr::col("expires_at").gt(now)));
        Ok(self.change(&revoke).await? > 0)
    }
}

impl SqlMetrics {
    /// The tokens of the rows that are some.
    async fn read(&self, select: &SelectStatement) -> Result<Vec<ApiToken>, MetricsError> {
        let rows = self.database.ask(Query::new(self.dialect(), select)).await?;
        let told = |error: &MetricsError| tracing::debug!("A row of {TABLE} is no token: {}", describe(error));
        Ok(rows.iter().filter_map(|row| token(row).inspect_err(told).ok()).collect())
    }

    async fn change(&self, update: &UpdateStatement) -> Result<u64, MetricsError> {
        self.database.change(Query::new(self.dialect(), update)).await
    }
}

/// Ends the token of the same name that has expired.
fn release_name(dialect: Dialect, token: &ApiToken) -> UpdateStatement {
    let now = dialect.time(token.created_at);
    let mut release = Build::update();
    release.table(TABLE).value("ended_at", now.clone());
    release.and_where(Expr::col("name").eq(token.name.as_str())).and_where(Expr::col("ended_at").is_null());
    release.and_where(Expr::col("expires_at").lte(now));
    release
}

fn hash_value(hash: &TokenHash) -> Value {
    hash.0.to_vec().into()
}

fn token(row: &Row) -> Result<ApiToken, MetricsError> {
    let hash = row.bytes(0)?.try_into().map_err(|_| corrupt("a hash of a token is not 32 bytes long"))?;
    Ok(ApiToken {
        hash: TokenHash(hash),
        name: parse(&row.text(1)?)?,
        scopes: Scopes::known(&row.text(2)?),
        created_at: row.time(3)?,
        expires_at: row.time_if_any(4)?,
        ended_at: row.time_if_any(5)?,
        last_used_at: row.time_if_any(6)?,
    })
}
