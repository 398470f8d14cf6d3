//! Which database, and how it is used.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use sea_orm::sqlx::sqlite::SqliteConnectOptions;

pub use crate::postgres::url::UrlFault;
use crate::{
    postgres::{keywords, url},
    upgrade::{OnUpgrade, Teller},
};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the database is.
    pub url: DatabaseUrl,
    /// The PostgreSQL schema of the tables, created if missing; without it the user's own, mostly `public`. SQLite has
    /// no schemas.
    pub schema: Option<SchemaName>,
    /// The most connections; one is kept for recording, so there are never fewer than two.
    pub max_connections: NonZeroU32,
    /// Whether what is missing is made: the SQLite file, the schema and its changes. Without it the database is used as
    /// it is.
    pub migrate: bool,
    /// Who is told how far a change of the schema is; without one a line in the log tells every ten seconds.
    pub on_upgrade: Option<OnUpgrade>,
    /// How long to wait for a connection, and for the database to store a batch or to say that it could. Questions may
    /// take longer.
    pub answer_timeout: Duration,
    /// How long a question may take, whatever is asked of the database to answer it.
    pub question_timeout: Duration,
}

impl Options {
    const MAX_CONNECTIONS: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
    const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
    const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

    /// The usual way to use a database.
    #[must_use]
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            schema: None,
            max_connections: Self::MAX_CONNECTIONS,
            migrate: true,
            on_upgrade: None,
            answer_timeout: Self::ANSWER_TIMEOUT,
            question_timeout: Self::QUESTION_TIMEOUT,
        }
    }

    pub(crate) fn teller(&self) -> Teller {
        Teller { to: self.on_upgrade }
    }

    /// How many connections answer questions.
    pub(crate) fn readers(&self) -> u32 {
        (self.max_connections.get() - 1).max(1)
    }
}

/// The place of a database: `postgres://...`, `postgresql://...`, libpq's `host=... dbname=...` or `sqlite://FILE`. May hold a password, so it never
/// shows.
#[derive(Clone)]
pub struct DatabaseUrl(pub(crate) Location);

#[derive(Clone)]
pub(crate) enum Location {
    Postgres(Box<url::ServerLocation>),
    Sqlite(Box<SqliteConnectOptions>),
}

/// The text is no place of a database that staticreg can use. It does not repeat the text, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// It starts otherwise.
    #[error("a database URL starts with postgres://, postgresql:// or sqlite://")]
    Scheme,
    /// It is not well formed.
    #[error(
        "not a PostgreSQL URL, {0}; it is postgres://USER:PASSWORD@HOST:PORT/DATABASE, where \
         /, ?, #, @, % and & in a name or password are percent-encoded as %2F, %3F, %23, %40, %25 and %26"
    )]
    Postgres(UrlFault),
    /// It is a list of keywords, and not well formed.
    #[error(
        "not a list of keywords for PostgreSQL, {0}; it is `host=HOST user=USER password=PASSWORD dbname=DATABASE`, where a \
         value with spaces stands in single quotes, and ' and \\ in it behind a \\"
    )]
    Keywords(UrlFault),
    /// It is not well formed, or names no file.
    #[error("not an SQLite URL: sqlite://FILE; the file is created if missing")]
    Sqlite,
}

impl DatabaseUrl {
    /// The name of the kind of database.
    #[must_use]
    pub fn product(&self) -> &'static str {
        match self.0 {
            Location::Postgres(_) => "PostgreSQL",
            Location::Sqlite(_) => "SQLite",
        }
    }

    /// The names of the parameters that change nothing. They hold no secret.
    #[must_use]
    pub fn unknown_parameters(&self) -> &[String] {
        match &self.0 {
            Location::Postgres(place) => &place.unknown,
            Location::Sqlite(_) => &[],
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) {
            let place = url::parse(rest).map_err(InvalidDatabaseUrl::Postgres)?;
            Ok(Self(Location::Postgres(Box::new(place))))
        } else if let Some(rest) = url.strip_prefix("sqlite://") {
            let file = rest.split('?').next().unwrap_or_default();
            // In memory each connection would have a database of its own, gone with the connection.
            if file.is_empty() || file == ":memory:" || url.contains("mode=memory") {
                return Err(InvalidDatabaseUrl::Sqlite);
            }
            let options: SqliteConnectOptions = url.parse().map_err(|_| InvalidDatabaseUrl::Sqlite)?;
            Ok(Self(Location::Sqlite(Box::new(options))))
        } else if keywords::are_keywords(url) {
            let place = keywords::parse(url).map_err(InvalidDatabaseUrl::Keywords)?;
            Ok(Self(Location::Postgres(Box::new(place))))
        } else {
            Err(InvalidDatabaseUrl::Scheme)
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({})", self.product())
    }
}

/// The name of a PostgreSQL schema: letters, digits and `_`, not starting with a digit or `pg_`, at most 63.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaName(Box<str>);

/// The text is no name of a schema.
#[derive(Debug, thiserror::Error)]
#[error("not a schema name: letters, digits and '_', not starting with a digit or pg_, at most 63 characters")]
pub struct InvalidSchemaName;

impl SchemaName {
    const MAX_LENGTH: usize = 63;

    /// The name as text; needs no escaping inside double quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SchemaName {
    type Err = InvalidSchemaName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = (1..=Self::MAX_LENGTH).contains(&text.len())
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && !text.starts_with("pg_");
        if well_formed { Ok(Self(text.into())) } else { Err(InvalidSchemaName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_chooses_the_database() {
        for (url, product) in [
            ("postgres://staticreg:secret@db:5432/staticreg", "PostgreSQL"),
            ("postgresql:///staticreg?host=/run/postgresql", "PostgreSQL"),
            ("host=db user=staticreg dbname=staticreg", "PostgreSQL"),
            ("sqlite://counts.db", "SQLite"),
            ("sqlite:///var/lib/staticreg/counts.db", "SQLite"),
        ] {
            assert_eq!(url.parse::<DatabaseUrl>().expect(url).product(), product);
        }
        for url in [
            "",
            "mysql://db",
            "counts.db",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite://x?mode=memory",
            "sqlite::memory:",
            "postgres://db:port/x",
        ] {
            assert!(url.parse::<DatabaseUrl>().is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_never_shows() {
        let url: DatabaseUrl = "postgres://staticreg:secret@db/staticreg".parse().expect("a URL");
        assert!(!format!("{:?}", Options::new(url)).contains("secret"));
        let error = "postgres://staticreg:secret@db:port/x".parse::<DatabaseUrl>().expect_err("no port");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn schema_names_need_no_escaping() {
        for name in ["staticreg", "_x", "Metrics2"] {
            assert_eq!(name.parse::<SchemaName>().expect(name).as_str(), name);
        }
        for name in ["", "2x", "pg_x", "a b", "a\"b", "a-b", "ä", &"a".repeat(64)] {
            assert!(name.parse::<SchemaName>().is_err(), "{name:?}");
        }
    }
}
