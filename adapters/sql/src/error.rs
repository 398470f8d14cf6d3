//! What an error of the driver means for who asked. Classified here, once; nothing above looks at a driver's error.

use std::{fmt, time::Duration};

use sea_orm::{DbErr, RuntimeErr, sqlx};
use staticreg_domain::metrics::MetricsError;
use tokio::time::timeout;

/// What went wrong, by the driver's error.
pub(crate) fn classify(error: sqlx::Error) -> MetricsError {
    use sqlx::Error as E;
    match &error {
        E::Database(cause) => match meaning(cause.as_ref()) {
            Meaning::Unavailable => MetricsError::Unavailable(Reason::from(error).into()),
            Meaning::Refused => MetricsError::Refused(Reason::from(error).into()),
            Meaning::Corrupt => MetricsError::Corrupt(Reason::from(error).into()),
        },
        E::Encode(_) | E::InvalidArgument(_) => MetricsError::Refused(error.into()),
        E::ColumnDecode { .. }
        | E::Decode(_)
        | E::ColumnNotFound(_)
        | E::ColumnIndexOutOfBounds { .. }
        | E::TypeNotFound { .. }
        | E::RowNotFound => MetricsError::Corrupt(error.into()),
        // Everything else is the way to the database: sockets, TLS, the pool, a driver's worker.
        _ => MetricsError::Unavailable(Reason::from(error).into()),
    }
}

/// Why the database cannot be used, in its own words, and what to do where it stays so until somebody does it. Without
/// what helps only those who work on the database or the driver: lines of their source, names of error types.
#[derive(Debug)]
pub struct Reason {
    words: String,
    remedy: Option<&'static str>,
}

impl Reason {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), remedy: None }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        self.remedy.map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl std::error::Error for Reason {}

impl From<sqlx::Error> for Reason {
    fn from(error: sqlx::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&sqlx::Error> for Reason {
    fn from(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(cause) => {
                let is_postgres = cause.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some();
                let code = cause.code().unwrap_or_default();
                let remedy = if is_postgres { remedy(&code, cause.message(), cause.constraint()) } else { None };
                Self { words: cause.message().to_owned(), remedy }
            }
            sqlx::Error::Configuration(cause) => Self::new(cause.to_string()),
            other => {
                let words = other.to_string();
                Self { remedy: remedy_of_tls(&words), words }
            }
        }
    }
}

impl From<DbErr> for Reason {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => Self::from(&**cause),
            other => Self::new(other.to_string()),
        }
    }
}

/// The constraint of the schema that an event may break: it takes back what is not there.
const ABOVE_ZERO: &str = "counts_are_above_zero";

/// What SQLite says of the same schema's range of a count.
const COUNT_RANGE: &str = "BETWEEN -2147483648 AND 2147483647";

const FOREIGN: &str =
    "a constraint or a trigger that is not staticreg's keeps events from being stored: change it or remove it";

const SETTING: &str = "correct the setting in the `options` of the URL";

/// What helps, by PostgreSQL's code; `PgBouncer` has but one, so there the words tell.
fn remedy(code: &str, message: &str, constraint: Option<&str>) -> Option<&'static str> {
    /// The classes of constraints that fail, and of what a trigger raises.
    const CONSTRAINTS: &str = "23";
    const RAISED: &str = "P0001";
    Some(match code {
        // A key that is there already may be staticreg's own, with a sequence that is behind.
        "23505" => return None,
        RAISED => FOREIGN,
        _ if code.starts_with(CONSTRAINTS) && constraint.is_some_and(|name| name != ABOVE_ZERO) => FOREIGN,
        "3D000" => "create it with CREATE DATABASE, or correct the name in the URL",
        "42704" if message.starts_with("unrecognized configuration parameter") => SETTING,
        "22023" if message.contains("parameter") => SETTING,
        "28P01" => "correct the user or the password in the URL",
        "28000" if message.starts_with("role ") => {
            "create it with CREATE ROLE ... LOGIN, or correct the user in the URL"
        }
        "28000" => "let the user in by pg_hba.conf, or correct user, database and sslmode in the URL",
        "42501" if message.starts_with("must be owner") || message.starts_with("permission denied for schema") => {
            "let the owner of schema and tables apply sql/event_schema.sql, then grant the user of the URL what README.md \
             lists; or let the user make tables (GRANT CREATE ON SCHEMA) and own those that are there (ALTER TABLE ... \
             OWNER TO)"
        }
        "42501" => "grant the right to the user of the URL",
        "3F000" => "name a schema that is there, or grant the user the right to make one",
        "25006" => "connect to the primary, and look for default_transaction_read_only",
        "08P01" if message.contains("unsupported startup parameter") => {
            "add it to ignore_startup_parameters in pgbouncer.ini"
        }
        "08P01" if message.contains("no such database") => "name it in pgbouncer.ini, or correct the URL",
        "08P01" if message.contains("no such user") => "name it in PgBouncer's auth_file, or correct the URL",
        _ => return None,
    })
}

/// What helps when TLS fails, by the words of its library.
fn remedy_of_tls(words: &str) -> Option<&'static str> {
    const REMEDIES: [(&str, &str); 4] = [
        (
            "server does not support TLS",
            "let it, or set sslmode=disable in the URL (STATICREG_DB_SSLMODE=disable where the URL is made of parts)",
        ),
        ("UnsupportedCertVersion", "make the certificate anew as X.509 version 3, with the host in its subjectAltName"),
        (
            "NotValidForName",
            "name the host in the subjectAltName of the server's certificate, or use sslmode=verify-ca",
        ),
        ("UnknownIssuer", "name the file of the authority's certificate with `sslrootcert`"),
    ];
    REMEDIES.into_iter().find(|(word, _)| words.contains(word)).map(|(_, remedy)| remedy)
}

/// Nothing was heard from the database in time.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer in time")]
struct NoAnswer;

pub(crate) fn no_answer() -> MetricsError {
    MetricsError::Unavailable(Box::new(NoAnswer))
}

/// The call's answer, when it comes in time.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, MetricsError>>,
) -> Result<T, MetricsError> {
    timeout(limit, call).await.unwrap_or_else(|_| Err(no_answer()))
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Unavailable,
    Refused,
    Corrupt,
}

fn meaning(error: &dyn sqlx::error::DatabaseError) -> Meaning {
    let code = error.code().unwrap_or_default();
    if let Some(postgres) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        // A trigger that cannot compute is no fault of an event; one that says so by a constraint's name may tell of one.
        let is_in_function = postgres.r#where().is_some_and(|context| context.contains("function"));
        let is_computing = is_in_function && code.starts_with("22");
        if is_computing { Meaning::Unavailable } else { of_sqlstate(&code, error.constraint()) }
    } else {
        // The driver gives SQLite's extended result code in decimal.
        code.parse().map_or(Meaning::Unavailable, |code| of_sqlite(code, error.message()))
    }
}

/// By the code (PostgreSQL, appendix A): refused is what the schema itself can never take, a count out of its column's
/// range and one below zero. The rest is a state that may pass, and an event must outlive it: lost connections,
/// resources, shutdown, read-only, deadlocks, a table or partition not there yet, a sequence that is behind or at its end,
/// and what others demand of the tables by constraints, triggers or narrower columns.
fn of_sqlstate(code: &str, constraint: Option<&str>) -> Meaning {
    const OUT_OF_RANGE: &str = "22003";
    const CHECK: &str = "23514";
    match code {
        OUT_OF_RANGE => Meaning::Refused,
        CHECK if constraint == Some(ABOVE_ZERO) => Meaning::Refused,
        "XX001" | "XX002" => Meaning::Corrupt,
        _ => Meaning::Unavailable,
    }
}

/// By the primary result code, the low byte of the extended one; of constraints only the range of a count is refused.
fn of_sqlite(extended: i32, message: &str) -> Meaning {
    const CORRUPT: i32 = 11;
    const NOT_A_DATABASE: i32 = 26;
    const CHECK: i32 = 275;
    match extended & 0xff {
        CORRUPT | NOT_A_DATABASE => Meaning::Corrupt,
        _ if extended == CHECK && message.ends_with(COUNT_RANGE) => Meaning::Refused,
        // Busy, locked, full, read-only, unreadable, and what others demand of the tables.
        _ => Meaning::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_schema_itself_can_never_take_is_refused() {
        assert_eq!(of_sqlstate("23514", Some("counts_are_above_zero")), Meaning::Refused);
        assert_eq!(of_sqlstate("23514", Some("somebody_else_s")), Meaning::Unavailable);
        assert_eq!(of_sqlstate("23505", Some("container_pull_metrics_pkey")), Meaning::Unavailable);
        for (code, expected) in [
            ("22003", Meaning::Refused),
            ("22001", Meaning::Unavailable), // a column that somebody made narrower
            ("54000", Meaning::Unavailable),
            ("08006", Meaning::Unavailable),
            ("2200H", Meaning::Unavailable),
            ("23502", Meaning::Unavailable),
            ("23514", Meaning::Unavailable), // no partition
            ("25006", Meaning::Unavailable),
            ("40P01", Meaning::Unavailable),
            ("42P01", Meaning::Unavailable),
            ("53100", Meaning::Unavailable),
            ("57014", Meaning::Unavailable),
            ("57P01", Meaning::Unavailable),
            ("58030", Meaning::Unavailable),
            ("XX002", Meaning::Corrupt),
            ("", Meaning::Unavailable),
        ] {
            assert_eq!(of_sqlstate(code, None), expected, "{code}");
        }
        let range = "CHECK constraint failed: pull_count BETWEEN -2147483648 AND 2147483647";
        for (code, message, expected) in [
            (275, range, Meaning::Refused), // SQLITE_CONSTRAINT_CHECK
            (275, "CHECK constraint failed: short_names", Meaning::Unavailable),
            (1555, "", Meaning::Unavailable), // SQLITE_CONSTRAINT_PRIMARYKEY
            (1811, "", Meaning::Unavailable), // SQLITE_CONSTRAINT_TRIGGER
            (5, "", Meaning::Unavailable),
            (261, "", Meaning::Unavailable), // SQLITE_BUSY_RECOVERY
            (13, "", Meaning::Unavailable),
            (778, "", Meaning::Unavailable), // SQLITE_IOERR_WRITE
            (11, "", Meaning::Corrupt),
        ] {
            assert_eq!(of_sqlite(code, message), expected, "{code} {message}");
        }
    }
}
