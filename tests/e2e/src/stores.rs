//! A fresh store of every kind.

use std::sync::atomic::{AtomicU32, Ordering};

use staticreg_test_support::postgres::{Postgres, Release};
use tempfile::TempDir;

/// Numbers the schemas, which are of one database.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Where stores are made.
#[derive(Debug)]
pub struct Stores {
    folder: TempDir,
}

/// A fresh store.
#[derive(Clone, Debug)]
pub struct Store {
    /// What it is called here.
    pub name: &'static str,
    /// What the program calls it.
    pub kind: &'static str,
    url: String,
    schema: String,
}

impl Stores {
    /// Makes room for files; the stores in PostgreSQL are in the clusters that the tests share.
    #[must_use]
    pub fn start() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for files") }
    }

    /// A store in memory, one in a file, and one in a schema of each PostgreSQL.
    pub fn each(&self) -> impl Iterator<Item = Store> {
        let name = format!("store{}", MADE.fetch_add(1, Ordering::Relaxed));
        let file = self.folder.path().join(&name);
        let none = String::new();
        let memory = Store { name: "memory", kind: "memory", url: none.clone(), schema: none.clone() };
        let sqlite = format!("sqlite://{}.db", file.display());
        let sqlite = Store { name: "SQLite", kind: "sqlite", url: sqlite, schema: none };
        let postgresql = Release::ALL.into_iter().map(move |release| Store {
            name: match release {
                Release::Packaged => "packaged PostgreSQL",
                Release::Eighteen => "PostgreSQL 18",
            },
            kind: "postgresql",
            url: Postgres::shared_of(release).url("postgres"),
            schema: name.clone(),
        });
        [memory, sqlite].into_iter().chain(postgresql)
    }
}

impl Store {
    /// What tells a server to use it; an empty variable is as good as none.
    #[must_use]
    pub fn environment(&self) -> [(&str, &str); 2] {
        [("STATICREG_DB_URL", &self.url), ("STATICREG_DB_SCHEMA", &self.schema)]
    }
}
