//! A deployment of the Go staticreg, with another image and nothing else changed.

use serde_json::json;
use staticreg_e2e::{
    Staticreg,
    events::{next_number, notification, pull},
};
use staticreg_test_support::postgres::{Durability, Postgres};

use crate::{SOON, one_pull};

/// Its tables in its schema, with a count.
const TABLES: &str = "
    CREATE SCHEMA staticreg;
    CREATE TABLE staticreg.goose_db_version (id integer PRIMARY KEY, version_id bigint NOT NULL);
    CREATE TABLE staticreg.container_pull_metrics (
        id BIGSERIAL PRIMARY KEY, pull_date DATE NOT NULL, repo_name TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,
        architecture TEXT NOT NULL, pull_count INTEGER NOT NULL DEFAULT 1, created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        updated_at TIMESTAMPTZ NOT NULL DEFAULT now(), UNIQUE (pull_date, repo_name, tag, digest, architecture)
    );
    INSERT INTO staticreg.container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count)
        VALUES (current_date, 'demo/app', 'v0', 'sha256:' || repeat('0', 64), 'unknown', 41)";

/// What the image's command is in its manifest.
const COMMAND: [&str; 6] = ["/staticreg", "serve", "--cache-duration", "1m", "--tls-enable", "--json-logging"];

#[test]
fn its_manifest_runs_and_its_counts_go_on() {
    let postgres = Postgres::start(Durability::Volatile);
    postgres.psql("postgres", "CREATE ROLE counter LOGIN PASSWORD 'p@ss/word'");
    postgres.psql("postgres", "CREATE DATABASE counts OWNER counter");
    let port = postgres.port().to_string();
    postgres.psql(&format!("postgres://counter@127.0.0.1:{port}/counts"), TABLES);
    let environment = [
        ("STATICREG_DB_HOST", "127.0.0.1"),
        ("STATICREG_DB_PORT", &port),
        ("STATICREG_DB_USER", "counter"),
        ("STATICREG_DB_PASSWORD", "p@ss/word"),
        ("STATICREG_DB_NAME", "counts"),
        ("STATICREG_DB_SSLMODE", "disable"),
        ("STATICREG_DB_MIN_CONNS", "2"),
        ("STATICREG_METRICS_FLUSH_INTERVAL", "5s"),
        ("STATICREG_METRICS_PATIENCE", "3s"),
    ];
    let server = Staticreg::start_with(&COMMAND, &environment);
    server.wait_for_store();
    assert_eq!(server.pulls(), 41);
    let event = notification(&[pull(next_number()), pull(next_number())]);
    while server.post(&event).status != 200 {}
    assert_eq!(server.pulls(), 43);

    let counters = server.get_json("/metrics/webhook");
    assert!(counters["events_flushed"].as_u64() >= Some(2), "{counters}");
    assert_eq!(counters["current_queue_size"], json!(0));
    let pool = server.get_json("/metrics/db");
    assert!(pool["max_conns"].as_u64() > Some(1) && pool["acquire_count"].as_u64() > Some(0), "{pool}");

    let told = server.line("Taken over from the Go staticreg: ", SOON);
    let has_all = ["STATICREG_DB_HOST", "--tls-enable", "STATICREG_DB_MIN_CONNS, --cache-duration."];
    assert!(told.starts_with('{') && has_all.iter().all(|words| told.contains(words)), "{told}");
    server.wait_for_line("STATICREG_METRICS_FLUSH_INTERVAL, 5s, has no effect", SOON);
    assert!(!server.log().contains("word"), "no part of the password: {}", server.log());
}

#[test]
fn counts_of_somebody_else_end_the_start() {
    let postgres = Postgres::shared();
    let url = postgres.new_database();
    postgres.psql(&url, TABLES);
    postgres.psql(&url, "DROP TABLE staticreg.goose_db_version");
    let ended = Staticreg::run(&[], &[("STATICREG_DB_URL", &url), ("STATICREG_HTTP_BIND_ADDR", "127.0.0.1:0")]);
    let sentence = "STATICREG_DB_SCHEMA: the schema `staticreg` holds counts (container_pull_metrics) and `public`, the \
                    user's own, none; set STATICREG_DB_SCHEMA to `staticreg` to count on there";
    assert!(!ended.status.success() && ended.stderr.contains(sentence), "{ended:?}");
}

#[test]
fn a_database_in_parts_is_never_memory() {
    let ended = Staticreg::run(&["serve"], &[("STATICREG_DB_HOST", "127.0.0.1"), ("STATICREG_DB_USER", "counter")]);
    let sentence = "staticreg: STATICREG_DB_HOST names a database, which needs STATICREG_DB_NAME too.";
    assert!(!ended.status.success() && ended.stderr.starts_with(sentence), "{ended:?}");
}

#[test]
fn its_port_is_listened_on_everywhere() {
    let server = Staticreg::start_at("", &[("PORT", "0")]);
    assert!(server.address().ip().is_unspecified());
    assert_eq!(server.post(&one_pull()).status, 200);
}
