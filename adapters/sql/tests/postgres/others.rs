//! Rows and tables that others write or change.

use staticreg_contract::{
    by_hand,
    events::{digest, expected, now, pull, pulls_of, record},
    journal, lists,
};
use staticreg_domain::metrics::{DateRange, Filter, MetricsError, MetricsRepository, Recording};
use staticreg_test_support::postgres::Postgres;

use crate::{events, open, record_in_the_end, sum};

#[tokio::test(flavor = "multi_thread")]
async fn events_outlive_what_others_demand_of_the_tables() {
    let cluster = Postgres::shared();
    for (obstacle, remedy) in [
        ("ADD CONSTRAINT no_tag CHECK (length(tag) > 128)", "DROP CONSTRAINT no_tag"),
        ("ALTER COLUMN tag TYPE varchar(1)", "ALTER COLUMN tag TYPE text"),
        ("ADD CONSTRAINT one UNIQUE (repo_name)", "DROP CONSTRAINT one"),
    ] {
        let url = cluster.new_database();
        let store = open(&url).await;
        cluster.psql(&url, &format!("ALTER TABLE container_pull_metrics {obstacle}"));
        let batch = [pull("app:v1", "2026-11-20T10:00:00Z").event(), pull("app:v2", "2026-11-20T10:00:00Z").event()];
        for _ in 0..2 {
            let given = store.record(&batch, now()).await;
            assert!(matches!(given, Err(MetricsError::Unavailable(_))), "{obstacle}: {given:?}");
        }
        cluster.psql(&url, &format!("ALTER TABLE container_pull_metrics {remedy}"));
        record_in_the_end(&store, &batch).await;
        assert_eq!(sum(&store).await, 2, "{obstacle}");
    }
}

/// Applies the first versions of the schema alone.
fn schema_until(cluster: &Postgres, url: &str, last: &str) {
    const STEPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migration/sql/postgres/schema.sql");
    let schema = std::fs::read_to_string(STEPS).expect("the file");
    for name in schema.lines().filter_map(|line| line.strip_prefix("\\ir ")).take_while(|name| *name <= last) {
        cluster.psql_file(url, &std::path::Path::new(STEPS).with_file_name(name));
    }
}

/// A row of `app:v1` on 2026-11-20.
fn row(architecture: &str, count: i32, created: &str, updated: &str) -> String {
    format!(
        "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, \
         updated_at) VALUES ('2026-11-20', 'app', 'v1', '{}', '{architecture}', {count}, '2026-11-20T{created}Z', \
         '2026-11-20T{updated}Z')",
        digest(1)
    )
}

const ROWS: &str = "SELECT architecture, pull_count, created_at AT TIME ZONE 'UTC', updated_at AT TIME ZONE 'UTC' \
    FROM container_pull_metrics ORDER BY architecture";

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_an_earlier_version_are_taken_over_without_zeros_and_unknown_architectures() {
    let cluster = Postgres::shared();
    for go in [false, true] {
        let url = cluster.new_database();
        if go {
            cluster.psql(&url, include_str!("../go_schema.sql"));
        } else {
            schema_until(cluster, &url, "0005~");
        }
        for insert in [
            row("unknown", 3, "05:00", "12:00"),
            row("not-specified", 4, "08:00", "09:00"),
            row("Unknown", 5, "04:00", "08:00"),
            row("", 1, "08:00", "13:00"),
            row("ARM64", 6, "08:00", "08:00"),
            row("amd64", 0, "08:00", "08:00"),
            row("s390x", -1, "08:00", "08:00"),
        ] {
            cluster.psql(&url, &insert);
        }
        let store = open(&url).await;
        assert_eq!(
            cluster.psql(&url, ROWS),
            "arm64|6|2026-11-20 08:00:00|2026-11-20 08:00:00\nnot-specified|13|2026-11-20 04:00:00|2026-11-20 13:00:00"
        );
        assert_eq!(sum(&store).await, 19);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_program_writes_on_and_its_unknown_architecture_is_not_specified() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url).await;
    let upsert = |architecture: &str, hour: u32| {
        row(architecture, 1, &format!("{hour:02}:00"), &format!("{hour:02}:00"))
            + " ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET \
               pull_count = container_pull_metrics.pull_count + 1, updated_at = excluded.updated_at"
    };
    cluster.psql(&url, &upsert("unknown", 8));
    record(&store, &[pull("app:v1", "2026-11-20T09:00:00Z").on("not-specified")]).await;
    cluster.psql(&url, &upsert("unknown", 10));
    cluster.psql(&url, &upsert("amd64", 10));
    cluster.psql(&url, &upsert("amd64", 11));
    let filter = Filter::of_dates(DateRange::EVER);
    let architectures = async || lists::lines(&store, lists::ARCHITECTURES, &filter).await;
    assert_eq!(architectures().await, ["not-specified 3 1", "amd64 2 1"]);
    // Rows brought in, and changed, by hand.
    cluster.psql(&url, &row("unknown", 10, "07:00", "07:00"));
    cluster.psql(&url, "UPDATE container_pull_metrics SET architecture = 'unknown' WHERE architecture = 'amd64'");
    assert_eq!(architectures().await, ["not-specified 15 1"]);
    assert_eq!(cluster.psql(&url, ROWS), "not-specified|15|2026-11-20 07:00:00|2026-11-20 11:00:00");
}

#[tokio::test(flavor = "multi_thread")]
async fn architectures_in_other_words_are_the_same() {
    let cluster = Postgres::shared();
    for go in [false, true] {
        let url = cluster.new_database();
        if go {
            cluster.psql(&url, include_str!("../go_schema.sql"));
        }
        let write = async |statements: Vec<String>| drop(cluster.psql(&url, &statements.join(";")));
        by_hand::architectures_are_the_same_in_other_words(&open(&url).await, write).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_journal_that_are_written_by_hand_do_no_harm() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let write = async |statements: Vec<String>| drop(cluster.psql(&url, &statements.join(";")));
    journal::rows_written_by_hand_do_no_harm(&open(&url).await, write).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_brought_in_with_their_ids_make_events_wait_until_the_sequence_is_set() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url).await;
    cluster.psql(
        &url,
        &format!(
            "INSERT INTO container_pull_metrics (id, pull_date, repo_name, tag, digest, architecture) \
             SELECT id, '2026-11-19', 'old', 'v' || id, '{}', 'amd64' FROM generate_series(1, 9) AS given (id)",
            digest(1)
        ),
    );
    let batch = events(1);
    for _ in 0..2 {
        assert!(matches!(store.record(&batch, now()).await, Err(MetricsError::Unavailable(_))));
    }
    // As README tells.
    cluster.psql(
        &url,
        "select setval(pg_get_serial_sequence('container_pull_metrics', 'id'), max(id)) from container_pull_metrics",
    );
    assert_eq!(store.record(&batch, now()).await.expect("records"), [Recording::Counted]);
    assert_eq!(sum(&store).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_another_program_made_are_counted_on() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    cluster.psql(&url, "DELETE FROM container_pull_metrics");
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    cluster.psql(&url, "UPDATE container_pull_metrics SET pull_count = 10");
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 11)]));
}
