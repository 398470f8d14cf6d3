//! A fresh store of every kind.

use std::sync::atomic::{AtomicU32, Ordering};

use staticreg_test_support::postgres::{Durability, Postgres};
use tempfile::TempDir;

/// Where stores are made.
#[derive(Debug)]
pub struct Stores {
    _postgres: Postgres,
    database: String,
    folder: TempDir,
    made: AtomicU32,
}

/// A fresh store.
#[derive(Clone, Debug)]
pub struct Store {
    /// `memory`, `sqlite` or `postgresql`.
    pub name: &'static str,
    url: String,
    schema: String,
}

impl Stores {
    /// Starts a private PostgreSQL, and makes room for files.
    #[must_use]
    pub fn start() -> Self {
        let postgres = Postgres::start(Durability::Volatile);
        Self {
            database: postgres.new_database(),
            _postgres: postgres,
            folder: tempfile::tempdir().expect("a folder for files"),
            made: AtomicU32::new(0),
        }
    }

    /// A store in memory, one in a file, and one in a schema of PostgreSQL.
    #[must_use]
    pub fn each(&self) -> [Store; 3] {
        let name = format!("store{}", self.made.fetch_add(1, Ordering::Relaxed));
        let file = self.folder.path().join(&name);
        [
            Store { name: "memory", url: String::new(), schema: String::new() },
            Store { name: "sqlite", url: format!("sqlite://{}.db", file.display()), schema: String::new() },
            Store { name: "postgresql", url: self.database.clone(), schema: name },
        ]
    }
}

impl Store {
    /// What tells a server to use it, however slow its disk is just now; an empty variable is as good as none.
    #[must_use]
    pub fn environment(&self) -> [(&str, &str); 3] {
        [("STATICREG_DB_URL", &self.url), ("STATICREG_DB_SCHEMA", &self.schema), ("STATICREG_METRICS_PATIENCE", "10s")]
    }
}
