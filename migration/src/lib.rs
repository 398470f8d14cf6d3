//! The schema, as migrations.
//!
//! Each version is one file of SQL per database in `sql/`, so that the schema is the same whether the program or a
//! person with `psql` or `sqlite3` applies it. To change the schema, add the next files there, name them in
//! [`STEPS`] and in both `schema.sql`, and run `make schema`; a version that was released never changes. Each may be
//! applied to a database that has it already.

use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

/// A version of the schema.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

macro_rules! steps {
    ($($name:literal),* $(,)?) => {
        &[$(Step {
            name: $name,
            postgres: include_str!(concat!("../sql/postgres/", $name, ".sql")),
            sqlite: include_str!(concat!("../sql/sqlite/", $name, ".sql")),
        }),*]
    };
}

/// Every version, in order.
const STEPS: &[Step] = steps![
    "0001_container_pull_metrics",
    "0002_container_access_metrics",
    "0003_recorded_event",
    "0004_day_version",
    "0005_question_indexes",
    "0006_random_versions",
    "0007_no_empty_counts",
    "0008_one_name_for_no_architecture",
    "0009_access_journal",
    "0010_recorded_event_archive",
    "0011_api_token",
    "0012_unknown_digests",
    "0013_day_change",
    "0014_kept_by_month",
    "0015_day_sums",
    "0016_running_images",
];

/// Brings the schema up to date. It takes no lock: who calls it sees to it that nobody else migrates meanwhile.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        STEPS.iter().map(|step| Box::new(*step) as Box<dyn MigrationTrait>).collect()
    }
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = match manager.get_database_backend() {
            DbBackend::Postgres => self.postgres,
            DbBackend::Sqlite => self.sqlite,
            other => return Err(DbErr::Custom(format!("there is no schema for {other:?}"))),
        };
        manager.get_connection().execute_unprepared(sql).await?;
        Ok(())
    }
}
