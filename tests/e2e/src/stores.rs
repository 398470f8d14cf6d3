//! A fresh store of every kind.

use staticreg_test_support::postgres::{Durability, Postgres};
use tempfile::TempDir;

/// Where stores are made.
#[derive(Debug)]
pub struct Stores {
    /// The cluster of the stores in PostgreSQL.
    pub postgres: Postgres,
    folder: TempDir,
}

/// A fresh store.
#[derive(Clone, Debug)]
pub struct Store {
    /// `memory`, `sqlite` or `postgresql`.
    pub name: &'static str,
    /// The value of `STATICREG_DB_URL`; empty for memory.
    pub url: String,
}

impl Stores {
    /// Starts a private PostgreSQL, and makes room for files.
    #[must_use]
    pub fn start() -> Self {
        Self {
            postgres: Postgres::start(Durability::Volatile),
            folder: tempfile::tempdir().expect("a folder for files"),
        }
    }

    /// A store in memory, one in a file called after `name`, and one in PostgreSQL.
    #[must_use]
    pub fn each(&self, name: &str) -> [Store; 3] {
        let file = self.folder.path().join(name);
        [
            Store { name: "memory", url: String::new() },
            Store { name: "sqlite", url: format!("sqlite://{}.db", file.display()) },
            Store { name: "postgresql", url: self.postgres.new_database() },
        ]
    }
}
