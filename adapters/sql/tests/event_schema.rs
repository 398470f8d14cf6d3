//! The schema that a person applies: `psql -d staticreg -f sql/event_schema.sql`.

use std::{fs, path::Path, process::Command};

use staticreg_contract::events::{digest, expected, pull, pulls_of, record};
use staticreg_sql::{Options, SqlMetrics};
use staticreg_test_support::postgres::{Postgres, Release};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/event_schema.sql");

async fn open(url: &str) -> SqlMetrics {
    SqlMetrics::open(&Options::new(url.parse().expect("a URL"))).await.expect("opens")
}

#[test]
fn it_is_made_of_the_files_that_the_program_applies() {
    let script = Command::new(Path::new(WORKSPACE).join("scripts/event-schema")).output().expect("bash runs");
    assert!(script.status.success(), "{script:?}");
    let made = String::from_utf8(script.stdout).expect("text");
    let kept = fs::read_to_string(FILE).expect("is there");
    assert!(made == kept, "sql/event_schema.sql is not up to date: run `make schema`");
    let mut files: Vec<_> = fs::read_dir(Path::new(WORKSPACE).join("migration/sql/postgres"))
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .filter(|file| !file.ends_with("schema.sql"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut rest = kept.as_str();
    for file in files {
        let step = fs::read_to_string(&file).expect("text");
        let (_, after) = rest.split_once(&step).unwrap_or_else(|| panic!("{} is not there in order", file.display()));
        rest = after;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_be_applied_twice_and_the_program_counts_on() {
    for release in Release::ALL {
        let cluster = Postgres::shared_of(release);
        let url = cluster.new_database();
        cluster.psql_file(&url, FILE.as_ref());
        record(&open(&url).await, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
        cluster.psql_file(&url, FILE.as_ref());
        let store = open(&url).await;
        record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
        assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 2)]), "{release:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_the_table_of_the_go_program_over_with_its_rows() {
    for release in Release::ALL {
        let cluster = Postgres::shared_of(release);
        let url = cluster.new_database();
        cluster.psql(&url, include_str!("go_schema.sql"));
        let insert = format!(
            "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count) \
             VALUES ('2026-11-20', 'app', 'v1', '{}', 'amd64', 41)",
            digest(1)
        );
        cluster.psql(&url, &insert);
        cluster.psql_file(&url, FILE.as_ref());
        cluster.psql_file(&url, FILE.as_ref());
        let store = open(&url).await;
        record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
        assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 42)]), "{release:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_it_is_applied_the_program_needs_no_right_to_make_tables() {
    for release in Release::ALL {
        let cluster = Postgres::shared_of(release);
        let url = cluster.new_database();
        cluster.psql_file(&url, FILE.as_ref());
        cluster.psql(
            &url,
            "CREATE ROLE guest LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest; \
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO guest; REVOKE CREATE ON SCHEMA public FROM PUBLIC, guest",
        );
        let store = open(&url.replace("postgres@", "guest@")).await;
        record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
        assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 1)]), "{release:?}");
    }
}
