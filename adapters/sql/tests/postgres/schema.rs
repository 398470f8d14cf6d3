//! The schema: how it is made, by whom, and taken over.

use staticreg_contract::events::{digest, expected, pull, pulls_of, record};
use staticreg_sql::{Options, SqlMetrics};
use staticreg_test_support::postgres::Postgres;

use crate::{open, options};

/// The file that a person applies.
const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/event_schema.sql");

#[tokio::test(flavor = "multi_thread")]
async fn migrations_and_psql_make_the_same_schema() {
    const COLUMNS: &str = "SELECT table_name, ordinal_position, column_name, data_type, collation_name, is_nullable, \
         column_default FROM information_schema.columns WHERE table_schema = 'public' \
         AND table_name <> 'seaql_migrations' ORDER BY 1, 2";
    const INDEXES: &str =
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'seaql_migrations' ORDER BY 1";
    const SETTINGS: &str = "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace \
         AND relkind = 'r' AND relname <> 'seaql_migrations' ORDER BY 1";
    const TRIGGERS: &str = "SELECT tgrelid::regclass, tgname, pg_get_triggerdef(pg_trigger.oid), \
         pg_get_functiondef(tgfoid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2";
    let cluster = Postgres::shared();
    let (migrated, by_hand) = (cluster.new_database(), cluster.new_database());
    open(&migrated).await;
    cluster.psql_file(&by_hand, SCHEMA_FILE.as_ref());
    for question in [COLUMNS, INDEXES, SETTINGS, TRIGGERS] {
        let answer = cluster.psql(&migrated, question);
        assert!(answer.contains("container_pull_metrics"), "{answer}");
        assert_eq!(answer, cluster.psql(&by_hand, question));
    }
    // A server takes over what was made by hand.
    let store = open(&by_hand).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_table_has_its_promised_columns() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    open(&url).await;
    let columns = cluster.psql(
        &url,
        "SELECT column_name, data_type, column_default, is_nullable FROM information_schema.columns \
         WHERE table_name = 'container_pull_metrics' ORDER BY ordinal_position",
    );
    assert_eq!(
        columns.lines().collect::<Vec<_>>(),
        [
            "id|bigint|nextval('container_pull_metrics_id_seq'::regclass)|NO",
            "pull_date|date||NO",
            "repo_name|text||NO",
            "tag|text||NO",
            "digest|text||NO",
            "architecture|text||NO",
            "pull_count|integer|1|NO",
            "created_at|timestamp with time zone|now()|NO",
            "updated_at|timestamp with time zone|now()|NO",
        ]
    );
    let indexes = cluster.psql(
        &url,
        "SELECT regexp_replace(indexdef, '^.* USING ', '') FROM pg_indexes \
         WHERE tablename = 'container_pull_metrics' ORDER BY 1",
    );
    assert_eq!(
        indexes.lines().collect::<Vec<_>>(),
        [
            "btree (architecture, pull_date DESC)",
            "btree (digest)",
            "btree (id)",
            "btree (pull_date DESC)",
            "btree (pull_date, repo_name, tag, digest, architecture)",
            "btree (repo_name, architecture, pull_date DESC)",
            "btree (repo_name, pull_date DESC)",
            "btree (tag, pull_date DESC)",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_the_go_program_is_taken_over_with_its_rows() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    cluster.psql(&url, include_str!("../go_schema.sql"));
    let insert = format!(
        "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count) VALUES \
         ('2026-11-20', 'app', 'v1', '{}', 'amd64', 41), ('2025-01-01', 'old', 'v0', '{}', 'not-specified', 7)",
        digest(1),
        digest(2)
    );
    cluster.psql(&url, &insert);
    let store = open(&url).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 42), ("2025-01-01 old:v0", 7)]));
    assert_eq!(cluster.psql(&url, "SELECT count(*) FROM container_pull_metrics"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_wait_for_each_other() {
    let cluster = Postgres::shared();
    for schema in [None, Some("pulls")] {
        let url = cluster.new_database();
        let schema = schema.map(|name| name.parse().expect(name));
        let options = Options { schema, ..options(&url) };
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let options = options.clone();
                tokio::spawn(async move { SqlMetrics::open(&options).await })
            })
            .collect();
        for start in starts {
            start.await.expect("ends").expect("opens");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_made_and_kept_apart() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let mut stores = Vec::new();
    for name in ["one", "Two"] {
        let options = Options { schema: name.parse().ok(), ..options(&url) };
        let store = SqlMetrics::open(&options).await.expect("opens");
        record(&store, &[pull(&format!("app:{name}"), "2026-11-20T10:00:00Z")]).await;
        stores.push((name, store));
    }
    for (name, store) in stores {
        assert_eq!(pulls_of(&store).await, expected(&[(&format!("2026-11-20 app:{name}"), 1)]));
    }
    let tables = "SELECT schemaname, count(*) FROM pg_tables WHERE tablename LIKE 'container%' GROUP BY 1 ORDER BY 1";
    assert_eq!(cluster.psql(&url, tables), "Two|2\none|2");
}
