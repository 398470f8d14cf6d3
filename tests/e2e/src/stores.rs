//! A fresh store of every kind.

use std::sync::atomic::{AtomicU32, Ordering};

use staticreg_test_support::postgres::{Durability, Postgres, Release};
use tempfile::TempDir;

/// Where stores are made.
#[derive(Debug)]
pub struct Stores {
    clusters: [(&'static str, Postgres); 2],
    folder: TempDir,
    made: AtomicU32,
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
    /// Starts a private PostgreSQL of each release, and makes room for files.
    #[must_use]
    pub fn start() -> Self {
        let clusters = [("packaged PostgreSQL", Release::Packaged), ("PostgreSQL 18", Release::Eighteen)];
        Self {
            clusters: clusters.map(|(name, release)| (name, Postgres::start_of(release, Durability::Volatile))),
            folder: tempfile::tempdir().expect("a folder for files"),
            made: AtomicU32::new(0),
        }
    }

    /// A store in memory, one in a file, and one in a schema of each PostgreSQL.
    pub fn each(&self) -> impl Iterator<Item = Store> {
        let name = format!("store{}", self.made.fetch_add(1, Ordering::Relaxed));
        let file = self.folder.path().join(&name);
        let none = String::new();
        let memory = Store { name: "memory", kind: "memory", url: none.clone(), schema: none.clone() };
        let sqlite = format!("sqlite://{}.db", file.display());
        let sqlite = Store { name: "SQLite", kind: "sqlite", url: sqlite, schema: none };
        let postgresql = self.clusters.iter().map(move |(release, cluster)| Store {
            name: release,
            kind: "postgresql",
            url: cluster.url("postgres"),
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
