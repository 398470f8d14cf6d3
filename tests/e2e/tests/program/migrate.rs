//! What is told of a change of the schema that takes long.

use std::{fs, thread};

use staticreg_e2e::{Staticreg, eventually};
use staticreg_test_support::postgres::Postgres;

use super::SOON;

/// A table of the Go staticreg with some rows.
const TABLE: &str = "\
    CREATE TABLE container_pull_metrics (
        id BIGSERIAL PRIMARY KEY, pull_date DATE NOT NULL, repo_name TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,
        architecture TEXT NOT NULL, pull_count INTEGER NOT NULL DEFAULT 1, created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        updated_at TIMESTAMPTZ NOT NULL DEFAULT now(), UNIQUE (pull_date, repo_name, tag, digest, architecture)
    );
    INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture)
        SELECT current_date, 'app' || n, 'v1', 'sha256:' || repeat('0', 64), 'amd64' FROM generate_series(1, 3000) AS n;
    ANALYZE container_pull_metrics";

/// Runs with that table locked; given are its database, the process that holds the lock, and what ends it.
fn with_locked_table(test: impl FnOnce(&str, &str, &dyn Fn())) {
    const HOLD: &str = "BEGIN; LOCK TABLE container_pull_metrics IN ROW EXCLUSIVE MODE; SELECT pg_sleep(600)";
    const HELD: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    let postgres = Postgres::shared();
    let url = postgres.new_database();
    postgres.psql(&url, TABLE);
    thread::scope(|scope| {
        let holding = scope.spawn(|| postgres.psql(&url, HOLD));
        let holder = eventually("the lock", SOON, || Some(postgres.psql(&url, HELD)).filter(|pid| !pid.is_empty()));
        test(&url, &holder, &|| {
            postgres.psql(&url, &format!("SELECT pg_terminate_backend({holder})"));
        });
        holding.join().expect_err("it was ended");
    });
}

#[test]
fn a_change_that_takes_long_tells_what_it_is_at() {
    with_locked_table(|url, holder, end| {
        let server = Staticreg::start(&[("STATICREG_DB_URL", url)]);
        server.wait_for_line("changes, to a database with about 3000 rows of pulls, ", SOON);
        server.wait_for_line("Change 1 of ", SOON);
        let waits =
            format!("0001_container_pull_metrics: it waits for a lock that process {holder} of the database holds");
        server.wait_for_line(&waits, SOON);
        end();
        server.wait_for_store();
        assert_eq!(server.pulls(), 3_000);
    });
}

#[test]
fn a_terminal_shows_what_a_change_is_at_until_it_is_over() {
    with_locked_table(|url, holder, end| {
        let folder = tempfile::tempdir().expect("a folder");
        let shown = folder.path().join("shown");
        let mut program = Staticreg::start_in_terminal(&shown, &["migrate"], &[("STATICREG_DB_URL", url)]);
        let screen = || fs::read_to_string(&shown).unwrap_or_default();
        let waits = format!("it waits for a lock that process {holder} of the database holds\x1b[?7h");
        eventually("the line", SOON, || screen().contains(&waits).then_some(()));
        end();
        assert!(program.wait().expect("ends").success(), "{}", screen());
        let screen = screen();
        let (_, rest) = screen.rsplit_once(&waits).expect("it was shown");
        assert!(rest.starts_with("\r\x1b[K"), "the line is gone: {rest:?}");
        assert!(rest.contains("Database schema initialized successfully."), "{rest:?}");
    });
}

#[test]
fn a_new_schema_is_told_in_a_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("counts.db").display());
    let ended = Staticreg::run(&["migrate"], &[("STATICREG_DB_URL", &url)]);
    let lines: Vec<_> =
        ended.stdout.lines().filter_map(|line| line.split_once(" INFO ")).map(|(_, words)| words).collect();
    assert_eq!(lines, ["Making the schema", "Database schema initialized successfully."], "{ended:?}");
}
