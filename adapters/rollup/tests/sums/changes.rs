//! Changes that others make by hand or with programs of their own are never hidden.

use sea_orm::sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};
use staticreg_contract::events::{pull, record};
use staticreg_domain::metrics::MetricsRepository as _;
use staticreg_test_support::postgres::Postgres;

use crate::{ROOM, kept_now, open, pulls};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_that_someone_changes_by_hand_hide_no_change() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url, ROOM).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    assert_eq!(pulls(&store).await, "app 1, 1");
    cluster.psql(&url, "CREATE TABLE saved AS SELECT * FROM day_version");
    for (number, change) in [
        "UPDATE day_version AS kept SET version = saved.version FROM saved WHERE kept.day = saved.day",
        "DELETE FROM day_version",
        "DELETE FROM day_version; INSERT INTO day_version SELECT * FROM saved ON CONFLICT (kind, day) DO UPDATE SET \
         version = excluded.version",
        "TRUNCATE day_version",
        "TRUNCATE day_version; DELETE FROM day_version",
        "DELETE FROM day_change",
        "TRUNCATE day_change",
        "TRUNCATE day_version, day_change",
    ]
    .into_iter()
    .enumerate()
    {
        let count = number + 2;
        cluster.psql(&url, &format!("UPDATE container_pull_metrics SET pull_count = {count}; {change}"));
        assert_eq!(pulls(&store).await, format!("app {count}, {count}"), "{change}");
        assert_eq!(pulls(&open(&url, ROOM).await).await, format!("app {count}, {count}"), "{change}, after a start");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_of_what_has_no_name_hide_no_others() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url, ROOM).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    let insert = "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count) \
                  VALUES ('2026-11-20', 'a b', 'v1', 'no', 'amd64', 5), ('2026-11-20', 'App', 'v1', 'a:b', 'amd64', 2)";
    cluster.psql(&url, insert);
    pulls(&store).await;
    assert_eq!(kept_now(cluster, &url, &store, 1).await, 3);
    assert_eq!(pulls(&store).await, "App 2, app 1, 3");
}

/// Notes that are folded while nobody looks hide nothing, and the sums in memory answer again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_by_others_are_seen_before_and_after_their_notes_are_folded() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url, ROOM).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    let notes = || cluster.psql(&url, "SELECT count(*) FROM day_change");
    for count in [2, 4, 6] {
        cluster.psql(&url, COUNT);
        assert_eq!((pulls(&store).await, notes()), (format!("app {count}, {count}"), "1".to_owned()));
        cluster.psql(&url, COUNT);
        assert_eq!([store.fold_changes(1).await, store.fold_changes(9).await].map(Result::unwrap), [1, 1]);
        let seen = format!("app {0}, {0}", count + 1);
        assert_eq!((pulls(&store).await, notes()), (seen.clone(), "0".to_owned()));
        assert_eq!(store.fold_changes(9).await.expect("there is nothing"), 0);
        record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
        cluster.psql(&url, "UPDATE container_pull_metrics SET pull_count = pull_count - 1");
        assert_eq!(pulls(&store).await, seen);
        assert_eq!(store.fold_changes(9).await.expect("folds"), 1);
        assert_eq!(pulls(&store).await, seen);
        assert_eq!(kept_now(cluster, &url, &store, 1).await, count + 1, "the sums in memory answer");
    }
    // A day that nobody but another program has counted, and one that a count is moved to.
    cluster.psql(&url, "UPDATE container_pull_metrics SET pull_date = '2026-11-19'");
    assert_eq!(pulls(&store).await, "app 7, 7");
    assert!(store.fold_changes(9).await.expect("folds") > 0);
    assert_eq!(pulls(&store).await, "app 7, 7");
}

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migration/sql/postgres/schema.sql");

/// Counts up by one.
const COUNT: &str = "UPDATE container_pull_metrics SET pull_count = pull_count + 1";

/// What becomes of a table by hand, what changes counts then, and whether the schema applied again brings the sums back.
const WITHOUT_TRIGGERS: &[(&str, &str, bool)] = &[
    ("SELECT 1", "SET session_replication_role = replica; COUNT", true),
    ("SELECT 1", "ALTER TABLE ONE DISABLE TRIGGER USER; COUNT; ALTER TABLE ONE ENABLE TRIGGER USER", true),
    ("ALTER TABLE ONE DISABLE TRIGGER USER", "COUNT", true),
    ("DROP TRIGGER note_updated ON ONE", "COUNT", true),
    (
        "SELECT 1",
        "CREATE TABLE new (LIKE ONE INCLUDING ALL); INSERT INTO new SELECT * FROM ONE; \
      ALTER SEQUENCE ONE_id_seq OWNED BY new.id; DROP TABLE ONE; ALTER TABLE new RENAME TO ONE; COUNT",
        true,
    ),
    (
        "ALTER TABLE ONE RENAME TO whole; CREATE TABLE ONE (LIKE whole INCLUDING DEFAULTS, \
         UNIQUE (pull_date, repo_name, tag, digest, architecture)) PARTITION BY RANGE (pull_date); \
         CREATE TABLE the_rest PARTITION OF ONE DEFAULT; INSERT INTO ONE SELECT * FROM whole",
        "COUNT",
        false,
    ),
    ("CREATE TABLE child () INHERITS (ONE)", "INSERT INTO child SELECT * FROM ONLY ONE", false),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_no_trigger_tells_are_seen_all_the_same() {
    let cluster = Postgres::shared();
    for (once, change, comes_back) in WITHOUT_TRIGGERS {
        let url = cluster.new_database();
        let psql = |sql: &str| {
            cluster.psql(&url, &sql.replace("COUNT", COUNT).replace("ONE", "container_pull_metrics"));
        };
        let store = open(&url, ROOM).await;
        record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
        assert_eq!(pulls(&store).await, "app 1, 1");
        psql(once);
        for count in 2..4 {
            psql(change);
            assert_eq!(pulls(&store).await, format!("app {count}, {count}"), "{once}, {change}");
        }
        record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
        assert_eq!(pulls(&store).await, "app 4, 4", "{once}, {change}");
        if *comes_back {
            cluster.psql_file(&url, SCHEMA_FILE.as_ref());
            assert_eq!(pulls(&store).await, "app 4, 4", "{once}, {change}");
            assert_eq!(kept_now(cluster, &url, &store, 1).await, 4, "{once}, {change}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_changes_that_no_trigger_tells_are_seen_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("counts.db").display());
    let store = open(&url, ROOM).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    assert_eq!(pulls(&store).await, "app 1, 1");
    let mut connection = SqliteConnection::connect(&url).await.expect("connects");
    for (number, change) in [
        COUNT.to_owned(),
        format!("DROP TRIGGER note_updated_pull; {COUNT}"),
        COUNT.to_owned(),
        format!("DELETE FROM day_version; {COUNT}"),
        format!("DROP TRIGGER keep_deleted_day; DELETE FROM day_version; {COUNT}"),
    ]
    .into_iter()
    .enumerate()
    {
        connection.execute(AssertSqlSafe(change.as_str())).await.expect("changes");
        assert_eq!(pulls(&store).await, format!("app {0}, {0}", number + 2), "{change}");
    }
}
