//! Databases of the Go staticreg are taken over as they are, and it may write on.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _};

use staticreg_contract::events::{digest, pull, pulls_of, record};
use staticreg_domain::metrics::{DateRange, Filter, Listed as _, MetricsReader as _, MetricsRepository as _, Page};
use staticreg_sql::{OpenError, Options, SqlMetrics};
use staticreg_test_support::postgres::Postgres;

use crate::{open, options};

/// Its table as each generation made it, with its own names of indexes and constraints.
const FIRST: &str = "
    CREATE TABLE container_pull_metrics (
        id SERIAL PRIMARY KEY, pull_date DATE NOT NULL, repo_name VARCHAR(255) NOT NULL, tag VARCHAR(255) NOT NULL,
        architecture VARCHAR(50) NOT NULL, pull_count INTEGER NOT NULL DEFAULT 1,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        UNIQUE (pull_date, repo_name, tag, architecture)
    );
    CREATE INDEX idx_pull_date ON container_pull_metrics (pull_date DESC);
    INSERT INTO container_pull_metrics (pull_date, repo_name, tag, architecture, pull_count)
        VALUES ('2025-01-01', 'old', 'v0', 'amd64', 7), ('2025-01-01', 'old', 'v0', 'unknown', 2)";
const SECOND: &str = include_str!("../go_schema.sql");

/// Its version table, which says who made a schema.
const GOOSE: &str = "CREATE TABLE goose_db_version (id integer PRIMARY KEY, version_id bigint NOT NULL)";

/// What it does with each pull.
fn upsert(schema: &str, tag: &str, architecture: &str) -> String {
    format!(
        "INSERT INTO {schema}.container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count, \
         created_at, updated_at) VALUES ('2026-11-20', 'app', '{tag}', '{}', '{architecture}', 1, now(), now()) \
         ON CONFLICT (pull_date, repo_name, tag, digest, architecture) DO UPDATE SET \
         pull_count = container_pull_metrics.pull_count + 1, updated_at = excluded.updated_at",
        digest(1)
    )
}

/// The counts of each tag and day, whatever their digest and architecture.
async fn counts(store: &SqlMetrics) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (tag, count) in pulls_of(store).await {
        *counts.entry(tag).or_default() += count;
    }
    counts
}

fn expected<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(tag, count)| (tag.to_owned(), count)).into()
}

async fn both_count_on(cluster: &Postgres, url: &str, schema: &str, store: &SqlMetrics) {
    for architecture in ["amd64", "unknown", "amd64"] {
        cluster.psql(url, &upsert(schema, "go", architecture));
    }
    record(store, &[pull("app:go", "2026-11-20T10:00:00Z"), pull("app:ours", "2026-11-20T10:00:00Z")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_first_table_has_no_digest_and_keeps_every_count() {
    let cluster = Postgres::shared();
    let keys = "UNIQUE (pull_date, repo_name, tag, architecture)";
    for (id, key) in [
        ("id SERIAL PRIMARY KEY,", keys),
        ("id BIGSERIAL NOT NULL,", &keys.replace("UNIQUE", "PRIMARY KEY")),
        ("", &keys.replace("UNIQUE", "PRIMARY KEY")),
    ] {
        let url = cluster.new_database();
        cluster.psql(&url, &FIRST.replace("id SERIAL PRIMARY KEY,", id).replace(keys, key));
        let store = open(&url).await;
        assert_eq!(counts(&store).await, expected([("2025-01-01 old:v0", 9)]));
        both_count_on(cluster, &url, "public", &store).await;
        let all = expected([("2025-01-01 old:v0", 9), ("2026-11-20 app:go", 4), ("2026-11-20 app:ours", 1)]);
        assert_eq!(counts(&store).await, all, "{id} {key}");
        drop(store);
        assert_eq!(counts(&open(&url).await).await, all, "it is taken over once");
    }
}

/// It saves many counts in a transaction, in an order of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_of_it_and_a_server_never_wait_for_each_other_in_a_circle() {
    const ROUNDS: usize = 150;
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url).await;
    let transaction = ["a", "b", "c", "d"].map(|tag| upsert("public", tag, "amd64")).join(";");
    let transactions = format!("BEGIN;{transaction};COMMIT;").repeat(ROUNDS);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), transactions).expect("written");
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).expect("everybody may read it");
    let batch: Vec<_> = ["a", "b", "c", "d"].map(|tag| pull(&format!("app:{tag}"), "2026-11-20T10:00:00Z")).into();
    std::thread::scope(|scope| {
        let others = [(); 2].map(|()| scope.spawn(|| cluster.psql_file(&url, file.path())));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for _ in 0..ROUNDS {
                    record(&store, &batch).await;
                }
                store.fold_changes(1_000).await.expect("folds");
            });
        });
        for other in others {
            other.join().expect("it saved all");
        }
    });
    let each = (ROUNDS * 3) as u64;
    let all = expected([
        ("2026-11-20 app:a", each),
        ("2026-11-20 app:b", each),
        ("2026-11-20 app:c", each),
        ("2026-11-20 app:d", each),
    ]);
    assert_eq!(counts(&store).await, all);
    assert_eq!(cluster.psql(&url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_second_table_may_tell_no_digest() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    cluster.psql(&url, SECOND);
    let insert = "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count) \
                  VALUES ('2025-01-01', 'old', 'v0', '', 'amd64', 7), ('2025-01-01', 'old', 'v0', 'unknown:0', 'amd64', 1)";
    cluster.psql(&url, insert);
    let store = open(&url).await;
    both_count_on(cluster, &url, "public", &store).await;
    // It writes such rows on.
    let later = "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture) \
                 VALUES ('2025-01-01', 'old', 'v0', '', 'unknown'), ('2025-01-01', 'old', 'v1', '', 'amd64')";
    cluster.psql(&url, later);
    let old = [("2025-01-01 old:v0", 9), ("2025-01-01 old:v1", 1)];
    let all = expected([old[0], old[1], ("2026-11-20 app:go", 4), ("2026-11-20 app:ours", 1)]);
    assert_eq!(counts(&store).await, all);
}

/// Its guide tells who has much to keep to partition the table.
#[tokio::test(flavor = "multi_thread")]
async fn its_table_may_have_partitions() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    cluster.psql(
        &url,
        "CREATE TABLE container_pull_metrics (
             id BIGSERIAL, pull_date DATE NOT NULL, repo_name VARCHAR(255) NOT NULL, tag VARCHAR(255) NOT NULL,
             digest VARCHAR(255) NOT NULL, architecture VARCHAR(50) NOT NULL, pull_count INTEGER NOT NULL DEFAULT 1,
             created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
             PRIMARY KEY (id, pull_date), UNIQUE (pull_date, repo_name, tag, digest, architecture)
         ) PARTITION BY RANGE (pull_date);
         CREATE TABLE y2025 PARTITION OF container_pull_metrics FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
         CREATE TABLE y2026 PARTITION OF container_pull_metrics FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
         INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count)
             VALUES ('2025-01-01', 'old', 'v0', 'sha256:ab', 'amd64', 7), ('2026-11-20', 'old', 'v0', '', 'unknown', 2)",
    );
    let store = open(&url).await;
    both_count_on(cluster, &url, "public", &store).await;
    let all =
        [("2025-01-01 old:v0", 7), ("2026-11-20 app:go", 4), ("2026-11-20 app:ours", 1), ("2026-11-20 old:v0", 2)];
    assert_eq!(counts(&store).await, expected(all));
}

/// Events that people make up to try a webhook are stored by it as they are.
#[tokio::test(flavor = "multi_thread")]
async fn its_rows_of_odd_names_are_shown_and_none_hides_the_others() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    cluster.psql(&url, SECOND);
    let values = [
        ("Test/App", "v1", "sha256:abc"),
        ("app", "v2", "sha256:abc"),
        ("a b", "v3", "sha256:abc"),
        ("app", ".x", "no"),
    ]
    .map(|(repository, tag, digest)| format!("('2026-11-20', '{repository}', '{tag}', '{digest}', 'amd64', 5)"));
    let insert =
        "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count) VALUES";
    cluster.psql(&url, &format!("{insert} {}", values.join(",")));
    let store = open(&url).await;
    record(&store, &[pull("app:v2", "2026-11-20T10:00:00Z")]).await;
    let shown = expected([("2026-11-20 Test/App:v1", 5), ("2026-11-20 app:v2", 6)]);
    assert_eq!(counts(&store).await, shown);
    let filter = Filter::of_dates(DateRange::EVER);
    for limit in [1, 2, 10] {
        let mut page = Page::first(limit);
        let mut read = 0;
        loop {
            let slice = store.rows(&filter, &page).await.expect("an answer");
            read += slice.items.len();
            let (true, Some(last)) = (slice.more, slice.items.last()) else { break };
            page.after = Some(last.position());
        }
        assert_eq!(read, 3, "by pages of {limit}");
    }
}

/// A database whose schema `staticreg` holds its tables; the URL of a role of another name that owns it.
fn third(cluster: &Postgres) -> String {
    let url = cluster.new_database();
    let database = url.rsplit_once('/').map(|(_, rest)| rest.split('?').next().unwrap_or(rest)).expect("a database");
    let role = format!("counter_{database}");
    cluster.psql(
        &url,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT ALL ON DATABASE {database} TO {role}; GRANT ALL ON SCHEMA public TO {role}; \
             CREATE SCHEMA staticreg AUTHORIZATION {role}"
        ),
    );
    let url = url.replace("postgres@", &format!("{role}@"));
    cluster.psql(
        &url,
        &format!("SET search_path = staticreg; {GOOSE}; {SECOND}; {}", upsert("staticreg", "old", "arm64")),
    );
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn its_schema_is_used_when_nothing_else_is_asked_for() {
    let cluster = Postgres::shared();
    let url = third(cluster);
    // What its second generation left in `public`, from which it copied.
    cluster.psql(&url, &format!("{SECOND}; {}", upsert("public", "stale", "arm64")));
    for round in 1..3 {
        let store = open(&url).await;
        both_count_on(cluster, &url, "staticreg", &store).await;
        let all = [("2026-11-20 app:old", 1), ("2026-11-20 app:go", round * 4), ("2026-11-20 app:ours", round)];
        assert_eq!(counts(&store).await, expected(all));
    }
    let schemas = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'seaql_migrations'";
    assert_eq!(cluster.psql(&url, schemas), "staticreg");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_asked_for_is_used_whatever_others_hold() {
    let cluster = Postgres::shared();
    let url = third(cluster);
    for (schema, counted) in [("public", 1), ("staticreg", 2)] {
        let options = Options { schema: schema.parse().ok(), ..options(&url) };
        let store = SqlMetrics::open(&options).await.expect("opens");
        record(&store, &[pull("app:old", "2026-11-20T10:00:00Z")]).await;
        assert_eq!(counts(&store).await, expected([("2026-11-20 app:old", counted)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_in_a_schema_of_somebody_else_are_told_and_none_are_begun_beside_them() {
    let cluster = Postgres::shared();
    let url = third(cluster);
    cluster.psql(&url, "DROP TABLE staticreg.goose_db_version");
    let Err(OpenError::CountsElsewhere { other, own }) = SqlMetrics::open(&options(&url)).await else {
        panic!("counts were begun anew");
    };
    assert_eq!((&*other, &*own), ("staticreg", "public"));
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(cluster.psql(&url, tables), "0", "nothing was made");
    // Once the own schema holds some, it is the one.
    let asked = Options { schema: "public".parse().ok(), ..options(&url) };
    SqlMetrics::open(&asked).await.expect("opens");
    assert_eq!(counts(&open(&url).await).await, expected([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_that_the_user_may_not_read_are_told_too() {
    let cluster = Postgres::shared();
    let url = third(cluster);
    let stranger = url.replace("counter_", "stranger_");
    let role = stranger.split("://").nth(1).and_then(|rest| rest.split('@').next()).expect("a role");
    let owner = url.replace(&format!("{}@", role.replace("stranger_", "counter_")), "postgres@");
    cluster.psql(&owner, &format!("CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role}"));
    let opened = SqlMetrics::open(&options(&stranger)).await;
    assert!(matches!(opened, Err(OpenError::CountsElsewhere { .. })), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_schemas_that_it_may_have_made_are_named() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    for schema in ["one", "two"] {
        cluster.psql(&url, &format!("CREATE SCHEMA {schema}; SET search_path = {schema}; {GOOSE}; {SECOND}"));
    }
    let told = SqlMetrics::open(&options(&url)).await.expect_err("which is it?").to_string();
    assert!(told.contains("STATICREG_DB_SCHEMA to `one` or `two` to count on there"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_the_owner_of_its_table_is_told_what_helps() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    cluster.psql(&url, SECOND);
    cluster.psql(
        &url,
        "CREATE ROLE no_owner LOGIN; GRANT ALL ON SCHEMA public TO no_owner; \
         GRANT ALL ON container_pull_metrics TO no_owner",
    );
    let opened = SqlMetrics::open(&options(&url.replace("postgres@", "no_owner@"))).await;
    let told = opened.expect_err("it cannot be brought up to date").to_string();
    assert!(
        told.contains("must be owner of table container_pull_metrics; let the owner of schema and tables apply"),
        "{told}"
    );
}

/// It asked for none up to 0.7.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_told_with_what_to_set() {
    let url = format!("{}?sslmode=require", Postgres::shared().new_database());
    let told = SqlMetrics::open(&options(&url)).await.expect_err("there is no TLS").to_string();
    assert!(told.contains("server does not support TLS") && told.contains("STATICREG_DB_SSLMODE=disable"), "{told}");
}
