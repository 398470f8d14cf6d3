//! The configuration: defaults, then a TOML file, then the environment, then flags; the later wins.
//!
//! A setting is declared once, in [`declared`]: flag, variable, template and the README's table come from there. A new
//! type of values implements [`value::Value`].

mod address;
mod declare;
mod declared;
pub(crate) mod go_staticreg;
mod log_filter;
#[cfg(test)]
mod readme;
mod secret;
mod service_link;
mod sources;
mod template;
#[cfg(test)]
mod tests;
mod value;

use std::time::Duration;

use declared::SETTINGS;
use staticreg_domain::metrics::Folded;
use staticreg_http::access::{Networks, Readers};

pub(crate) use address::ListenAddress;
pub(crate) use declare::{Setting, wrapped};
pub(crate) use declared::{Access, Db, Http, Log, Metrics, Registry, Retention, Settings, Spool, Webhook};
pub(crate) use secret::{Secret, SecretList, text_of_file};
pub(crate) use sources::{CONFIG_VARIABLE, Given, InvalidSettings, Sources, Unusable};
pub(crate) use template::template;
pub(crate) use value::{CountingMode, LogFormat, Size, TlsMode};

impl Settings {
    /// What no setting says alone.
    fn check(&self) -> Result<(), Unusable> {
        if self.registry.user.as_ref().is_some_and(|user| user.contains(':')) {
            return Err(Unusable::new(
                "registry.user",
                "holds a colon, which Basic authentication cannot carry (RFC 7617)",
            ));
        }
        // A database was meant: no reason to count in memory.
        if self.db.schema.is_some() && self.db.url.is_none() {
            return Err(Unusable::new(
                "db.schema",
                "names a schema, and no database is named: set STATICREG_DB_URL too",
            ));
        }
        self.http.check()?;
        self.retention.check()?;
        self.access.check(&self.http, &self.db)?;
        if let Some(name) = &self.registry.public_name
            && !is_registry_name(name)
        {
            return Err(Unusable::new("registry.public_name", "expected HOST or HOST:PORT, without https://"));
        }
        Ok(())
    }
}

impl Http {
    fn check(&self) -> Result<(), Unusable> {
        let needs = |key, other: &str| Err(Unusable::new(key, format!("needs http.{other} too")));
        match (&self.tls_cert, &self.tls_key, &self.tls_client_ca) {
            (Some(_), None, _) => needs("http.tls_cert", "tls_key (STATICREG_HTTP_TLS_KEY)"),
            (None, Some(_), _) => needs("http.tls_key", "tls_cert (STATICREG_HTTP_TLS_CERT)"),
            (None, None, Some(_)) => needs("http.tls_client_ca", "tls_cert (STATICREG_HTTP_TLS_CERT)"),
            _ => Ok(()),
        }
    }
}

impl Retention {
    fn check(&self) -> Result<(), Unusable> {
        let least = Duration::from_hours(24) * Folded::MIN_DAILY_DAYS;
        for (key, span) in [("retention.daily", self.daily), ("retention.total", self.total)] {
            if span.is_some_and(|span| span < least) {
                let why = "counts of the last two months may still change; expected 62d or more";
                return Err(Unusable::new(key, why));
            }
        }
        match (self.daily, self.total) {
            (Some(daily), Some(total)) if total < daily => Err(Unusable::new(
                "retention.total",
                "is shorter than retention.daily (STATICREG_RETENTION_DAILY): counts would go before they are kept by month",
            )),
            (None, _) if !self.digests => Err(Unusable::new(
                "retention.digests",
                "needs retention.daily (STATICREG_RETENTION_DAILY) too: only counts that are kept by month lose digests",
            )),
            _ => Ok(()),
        }
    }
}

impl Access {
    fn check(&self, http: &Http, db: &Db) -> Result<(), Unusable> {
        if self.proxy_header.is_some() && http.trusted_proxies == Networks::default() {
            return Err(Unusable::new(
                "access.proxy_header",
                "needs http.trusted_proxies (STATICREG_HTTP_TRUSTED_PROXIES) too: which proxy is believed",
            ));
        }
        let asks = |key, readers| (readers == Some(Readers::SignedIn)).then_some(key);
        let asks = asks("access.read", Some(self.read)).or_else(|| asks("access.badges", self.badges));
        // In a database there may be API tokens.
        let can_sign_in = self.users_file.is_some() || self.proxy_header.is_some() || db.url.is_some();
        match asks {
            Some(key) if !can_sign_in => Err(Unusable::new(
                key,
                "is `signed_in`, but nobody can sign in: set STATICREG_ACCESS_USERS_FILE, or STATICREG_ACCESS_PROXY_HEADER, \
                 or STATICREG_DB_URL, where `staticreg token create` keeps tokens",
            )),
            _ => Ok(()),
        }
    }

    /// Who may see badges and charts.
    pub(crate) fn badge_readers(&self) -> Readers {
        self.badges.unwrap_or(self.read)
    }
}

/// Whether it may stand before a repository's name in a command, which people copy into a shell.
fn is_registry_name(name: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-:[]".contains(&c));
    !name.starts_with('-') && name.split('/').all(is_part)
}
