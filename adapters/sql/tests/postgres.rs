//! What is PostgreSQL's own: the schema, faults, and two servers on one database.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sea_orm::sqlx::{Connection, Executor, PgConnection};
use staticreg_contract::{
    by_hand,
    events::{Access, date, digest, expected, now, pull, pulls_of, record, rows_of},
    lists,
};
use staticreg_domain::metrics::{
    AccessKind, DateRange, Filter, GroupKey, MetricsError, MetricsReader, MetricsRepository, Page, Position, PullEvent,
    Recording,
};
use staticreg_sql::{OpenError, Options, SqlMetrics};
use staticreg_test_support::postgres::{Durability, Postgres, Stop};
use tokio::{net::TcpSocket, time::sleep};

/// The file that a person applies.
const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/event_schema.sql");

/// Longer than a busy machine keeps anybody waiting. Those who wait for each other in a circle are told after a second.
const LONG: Duration = Duration::from_mins(2);

fn options(url: &str) -> Options {
    Options { answer_timeout: LONG, question_timeout: LONG, ..Options::new(url.parse().expect("a URL")) }
}

/// Opens with limits that may be too short for a busy machine.
async fn open_in_the_end(options: &Options) -> SqlMetrics {
    in_the_end(async || SqlMetrics::open(options).await).await
}

/// Tries what a busy machine may be too late for until it is done.
async fn in_the_end<T, E: std::fmt::Debug>(attempt: impl AsyncFn() -> Result<T, E>) -> T {
    let started = Instant::now();
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => assert!(started.elapsed() < LONG, "{error:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn open(url: &str) -> SqlMetrics {
    SqlMetrics::open(&options(url)).await.expect("opens")
}

fn events(count: usize) -> Vec<PullEvent> {
    (0..count).map(|number| pull(&format!("app{}:v1", number % 5), "2026-11-20T10:00:00Z").event()).collect()
}

/// Gives a batch again until it is stored, as the recorder does.
async fn record_in_the_end(store: &SqlMetrics, batch: &[PullEvent]) {
    loop {
        match store.record(batch, now()).await {
            Ok(_) => return,
            Err(MetricsError::Unavailable(_)) => sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("neither stored nor unavailable: {error:?}"),
        }
    }
}

async fn sum(store: &SqlMetrics) -> u64 {
    lists::sum(store, lists::REPOSITORIES, &Filter::of_dates(DateRange::EVER)).await
}

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
    cluster.psql(&url, include_str!("go_schema.sql"));
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

/// The block of SQL in README.md that makes a role.
fn readme_sql(role: &str) -> &'static str {
    let mut blocks =
        include_str!("../../../README.md").split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains(&format!("create role {role} "))).expect("README.md tells")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_readme_tells_suffice_to_run() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    open(&url).await;
    cluster.psql(&url, readme_sql("staticreg_server"));
    cluster.psql(&url, readme_sql("reader"));
    let store = open(&url.replace("postgres@", "staticreg_server@")).await;
    store.check().await.expect("can be written");
    let access = pull("app:v1", "2026-11-20T10:00:00Z");
    let check = access.clone().of_kind(AccessKind::VersionCheck);
    record(&store, &[access.clone(), check.clone()]).await;
    record(&store, &[access.clone().times(-1), check.times(-1)]).await;
    record(&store, std::slice::from_ref(&access)).await;
    let event = access.event();
    for recorded in [Recording::Counted, Recording::Duplicate] {
        assert_eq!(store.record(std::slice::from_ref(&event), now()).await.expect("records"), [recorded]);
    }
    assert_eq!(store.forget_ids(now() + Duration::from_secs(1), 10).await.expect("forgets"), 6);
    assert_eq!(store.summary(date("2026-11-20")).await.expect("answers").totals(AccessKind::PullByTag).today, 2);
    assert_eq!((pulls_of(&store).await, sum(&store).await), (expected(&[("2026-11-20 app:v1", 2)]), 2));

    let reader = url.replace("postgres@", "reader@");
    let rows = "SELECT count(*) FROM container_pull_metrics CROSS JOIN container_access_metrics";
    assert_eq!(cluster.psql(&reader, rows), "0");

    cluster.psql(&url, "REVOKE INSERT ON recorded_event FROM staticreg_server");
    assert!(matches!(store.check().await, Err(MetricsError::Unavailable(_))));
    assert!(matches!(store.record(&events(1), now()).await, Err(MetricsError::Unavailable(_))));

    cluster.psql(&url, "REVOKE SELECT ON seaql_migrations FROM staticreg_server");
    let refused = SqlMetrics::open(&options(&url.replace("postgres@", "staticreg_server@"))).await;
    let told = refused.expect_err("what it may not read").to_string();
    assert!(told.contains("seaql_migrations; grant SELECT on it"), "{told}");
}

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

/// As a person does who has very many rows.
const PARTITION: &str = "ALTER TABLE container_pull_metrics RENAME TO whole; \
    CREATE TABLE container_pull_metrics (LIKE whole INCLUDING DEFAULTS, \
    UNIQUE (pull_date, repo_name, tag, digest, architecture)) PARTITION BY RANGE (pull_date); \
    CREATE TABLE the_rest PARTITION OF container_pull_metrics DEFAULT; \
    INSERT INTO container_pull_metrics SELECT * FROM whole";

/// Counts are taken back to 0 with triggers and without them, and are gone.
#[tokio::test(flavor = "multi_thread")]
async fn no_row_of_zero_is_left_whatever_became_of_the_triggers() {
    let cluster = Postgres::shared();
    for change in [
        "SELECT 1",
        "ALTER TABLE container_access_metrics DISABLE TRIGGER USER",
        "DROP TRIGGER remove_empty ON container_pull_metrics",
        "ALTER DATABASE DB SET session_replication_role = replica",
        PARTITION,
    ] {
        let url = cluster.new_database();
        open(&url).await;
        cluster.psql(&url, &change.replace("DB", url.rsplit('/').next().expect("a name")));
        let store = open(&url).await;
        let ways: Vec<_> =
            AccessKind::ALL.into_iter().map(|kind| pull("app:v1", "2026-11-20T10:00:00Z").of_kind(kind)).collect();
        let taken: Vec<_> = ways.iter().map(|access| access.clone().times(-1)).collect();
        let rows =
            "SELECT (SELECT count(*) FROM container_pull_metrics), (SELECT count(*) FROM container_access_metrics)";
        let event = pull("other:v1", "2026-11-20T10:00:00Z").event();
        store.record(std::slice::from_ref(&event), now()).await.expect("records");
        for known in [false, true] {
            record(&store, &ways).await;
            record(&store, &ways).await;
            record(&store, &taken).await;
            assert_eq!(cluster.psql(&url, rows), "2|3", "{change}");
            let mut batch: Vec<_> = taken.iter().map(Access::event).collect();
            batch.extend(known.then(|| event.clone()));
            store.record(&batch, now()).await.expect("records");
            assert_eq!(cluster.psql(&url, rows), "1|0", "{change}");
            for below in &taken {
                let refused = store.record(&[below.event()], now()).await;
                assert!(matches!(refused, Err(MetricsError::Refused(_))), "{change}: {refused:?}");
            }
            assert_eq!(cluster.psql(&url, rows), "1|0", "{change}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_someone_sets_to_zero_is_gone() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let store = open(&url).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z"), pull("app:v2", "2026-11-20T10:00:00Z")]).await;
    cluster.psql(&url, "UPDATE container_pull_metrics SET pull_count = 0 WHERE tag = 'v1'");
    assert_eq!(cluster.psql(&url, "SELECT tag FROM container_pull_metrics"), "v2");
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
            cluster.psql(&url, include_str!("go_schema.sql"));
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
            cluster.psql(&url, include_str!("go_schema.sql"));
        }
        let write = async |statements: Vec<String>| drop(cluster.psql(&url, &statements.join(";")));
        by_hand::architectures_are_the_same_in_other_words(&open(&url).await, write).await;
    }
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
async fn who_may_change_counts_cannot_put_a_table_in_the_place_of_the_versions() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    open(&url).await;
    cluster.psql(
        &url,
        "CREATE ROLE guest LOGIN; GRANT SELECT, INSERT ON container_pull_metrics TO guest; \
         GRANT SELECT ON day_version TO guest; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO guest",
    );
    let insert = format!(
        "CREATE TEMPORARY TABLE day_version (LIKE public.day_version INCLUDING ALL); \
         INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture) \
         VALUES ('2026-11-20', 'app', 'v1', '{}', 'amd64'); \
         SELECT count(*) FROM pg_temp.day_version",
        digest(1)
    );
    let guest = url.replace("postgres@", "guest@");
    let told = cluster.psql(&guest, &insert);
    assert!(told.ends_with('0'), "{told}");
    assert_eq!(cluster.psql(&url, "SELECT kind, day, version > 0 FROM day_version"), "pull_by_tag|2026-11-20|t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_not_be_written_is_unavailable_and_answers_questions() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    record(&open(&url).await, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    cluster.psql(
        &url,
        "ALTER ROLE postgres IN DATABASE CURRENT_DATABASE SET default_transaction_read_only = on"
            .replace("CURRENT_DATABASE", url.rsplit('/').next().expect("a name"))
            .as_str(),
    );
    let store = open(&url).await;
    assert!(matches!(store.check().await, Err(MetricsError::Unavailable(_))));
    assert!(matches!(store.record(&events(1), now()).await, Err(MetricsError::Unavailable(_))));
    assert_eq!(sum(&store).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_told_with_its_reason() {
    let cluster = Postgres::shared();
    let error = SqlMetrics::open(&options(&cluster.url("nowhere"))).await.expect_err("no such database");
    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
    assert!(error.to_string().contains("database \"nowhere\" does not exist"), "{error}");

    // Taken, so that nobody else listens there.
    let silent = TcpSocket::new_v4().expect("a socket");
    silent.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let url = format!("postgres://staticreg:secret@{}/x", silent.local_addr().expect("its address"));
    let error = SqlMetrics::open(&options(&url)).await.expect_err("nobody listens");
    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_database_is_used_again_at_once() {
    let cluster = Postgres::start(Durability::Volatile);
    let url = cluster.new_database();
    let store = open(&url).await;
    let mut recorded = 0;
    for how in [Stop::Fast, Stop::Immediate, Stop::Fast] {
        let batch = events(20);
        store.record(&batch, now()).await.expect("records");
        sum(&store).await;
        cluster.stop(how);
        let next = events(30);
        assert!(matches!(store.record(&next, now()).await, Err(MetricsError::Unavailable(_))));
        assert!(matches!(store.check().await, Err(MetricsError::Unavailable(_))));
        cluster.start_again();
        record_in_the_end(&store, &next).await;
        assert_eq!(
            store.record(&batch, now()).await.expect("records"),
            [Recording::Duplicate; 20],
            "what was answered"
        );
        recorded += 50;
        assert_eq!(sum(&store).await, recorded);
        store.check().await.expect("is back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_database_is_given_up_in_time_and_nothing_counts_twice() {
    let cluster = Postgres::start(Durability::Volatile);
    let url = cluster.new_database();
    open(&url).await.record(&events(10), now()).await.expect("records");
    let limit = Duration::from_secs(2);
    let store = open_in_the_end(&Options { answer_timeout: limit, question_timeout: limit, ..options(&url) }).await;
    let filter = Filter::of_dates(DateRange::EVER);
    in_the_end(async || store.check().await).await;

    cluster.freeze();
    let batch = events(100);
    for _ in 0..3 {
        assert!(matches!(store.record(&batch, now()).await, Err(MetricsError::Unavailable(_))));
        assert!(matches!(store.check().await, Err(MetricsError::Unavailable(_))));
        let question = lists::breakdown(lists::REPOSITORIES, &filter, 1);
        assert!(matches!(store.breakdown(&question).await, Err(MetricsError::Unavailable(_))));
    }
    cluster.thaw();

    record_in_the_end(&store, &batch).await;
    let question = lists::breakdown(lists::REPOSITORIES, &filter, 1);
    in_the_end(async || store.breakdown(&question).await).await;
    assert_eq!(sum(&open(&url).await).await, 110);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked_is_waited_for_only_so_long() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    record(&open(&url).await, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    let answer_timeout = Duration::from_secs(2);
    let store = open_in_the_end(&Options { answer_timeout, ..options(&url) }).await;

    let mut other = PgConnection::connect(&url).await.expect("connects");
    let mut holder = other.begin().await.expect("begins");
    holder.execute("LOCK TABLE container_pull_metrics").await.expect("locks");
    let batch = events(10);
    for _ in 0..4 {
        assert!(matches!(store.record(&batch, now()).await, Err(MetricsError::Unavailable(_))));
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND application_name = 'staticreg' AND wait_event_type = 'Lock'";
    // What was given up does not wait on, though the lock stays.
    while cluster.psql(&url, waiting) != "0" {
        sleep(Duration::from_millis(20)).await;
    }
    holder.rollback().await.expect("unlocks");
    record_in_the_end(&store, &batch).await;
    assert_eq!(sum(&store).await, 11);
}

/// Two servers with the same and with other events, some known and some new, meet in every way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_share_some_events_never_wait_for_each_other_in_a_circle() {
    const ROUNDS: usize = 150;
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let accesses: Vec<Access> = (0..60)
        .map(|number| {
            let kind = AccessKind::ALL[number % AccessKind::ALL.len()];
            pull(&format!("app{}:v1", number % 12), "2026-11-20T10:00:00Z").of_kind(kind)
        })
        .collect();
    let shared: Vec<Vec<PullEvent>> =
        (0..ROUNDS).map(|_| accesses.iter().map(Access::event).collect::<Vec<_>>()).collect();
    let mut servers = Vec::new();
    for server in 0..3_usize {
        let store = SqlMetrics::open(&Options { ..options(&url) }).await.expect("opens");
        let (accesses, shared) = (accesses.clone(), shared.clone());
        servers.push(tokio::spawn(async move {
            for (round, mut batch) in shared.into_iter().enumerate() {
                // Batches of new ids alone, so that both statements meet.
                if (round + server).is_multiple_of(3) {
                    batch = accesses.iter().map(Access::event).collect();
                }
                if server == 1 {
                    batch.reverse();
                }
                store.record(&batch, now()).await.expect("neither refuses nor gives up");
            }
        }));
    }
    for server in servers {
        server.await.expect("ends");
    }
    let store = open(&url).await;
    let mut counted = 0;
    for kind in AccessKind::ALL {
        counted += rows_of(&store, kind).await.iter().map(|row| row.count).sum::<u64>();
    }
    // In each round one server has events of its own and the two others share theirs.
    assert_eq!(counted, (ROUNDS * 2 * accesses.len()) as u64);
    assert_eq!(cluster.psql(&url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), "0");
}

/// Servers with nothing in common but the days: one is given new events alone, the other known ones too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_count_the_same_days_never_wait_for_each_other_in_a_circle() {
    const ROUNDS: usize = 400;
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let mut servers = Vec::new();
    for repeats in [false, true] {
        let store = SqlMetrics::open(&Options { ..options(&url) }).await.expect("opens");
        let image = if repeats { "one:v1" } else { "two:v1" };
        let accesses = AccessKind::ALL.map(|kind| pull(image, "2026-11-20T10:00:00Z").of_kind(kind));
        servers.push(tokio::spawn(async move {
            let known = accesses[0].event();
            for _ in 0..ROUNDS {
                let mut batch: Vec<_> = accesses.iter().map(Access::event).collect();
                batch.extend(repeats.then(|| known.clone()));
                store.record(&batch, now()).await.expect("neither refuses nor gives up");
            }
        }));
    }
    for server in servers {
        server.await.expect("ends");
    }
    assert_eq!(sum(&open(&url).await).await, (ROUNDS * 2 + 1) as u64);
    assert_eq!(cluster.psql(&url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn known_events_are_told_from_new_ones_whatever_came_before() {
    let url = Postgres::shared().new_database();
    let (store, other) = (open(&url).await, open(&url).await);
    let mut total = 0;
    for round in 0..4 {
        let batch = events(50);
        assert_eq!(store.record(&batch, now()).await.expect("records"), vec![Recording::Counted; 50], "round {round}");
        assert_eq!(other.record(&batch, now()).await.expect("records"), vec![Recording::Duplicate; 50]);
        let mut mixed = events(10);
        mixed.extend_from_slice(&batch[..10]);
        let recorded = other.record(&mixed, now()).await.expect("records");
        assert_eq!(recorded[..10], [Recording::Counted; 10]);
        assert_eq!(recorded[10..], [Recording::Duplicate; 10]);
        total += 60;
        assert_eq!(sum(&store).await, total);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_a_list_beyond_all_time_is_asked_for_all_the_same() {
    let store = open(&Postgres::shared().new_database()).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    let filter = Filter::of_dates(DateRange::EVER);
    for (time, found) in [(DateTime::<Utc>::MIN_UTC, 0), (DateTime::<Utc>::MAX_UTC, 1)] {
        let mut question = lists::breakdown(lists::DIGESTS, &filter, 10);
        let key = GroupKey { digest: digest(1).parse().ok(), ..GroupKey::default() };
        question.page.after = Some(Position { last_at: Some(time), key, ..Position::default() });
        assert_eq!(lists::page(&store, &question).await.items.len(), found);
    }
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

    cluster.psql(&url, "UPDATE container_pull_metrics SET repo_name = 'no such name!'");
    let filter = Filter::of_dates(DateRange::new(date("2026-11-20"), date("2026-11-20")).expect("a range"));
    let answer = store.rows(&filter, &Page::first(1)).await;
    assert!(matches!(answer, Err(MetricsError::Corrupt(_))), "{answer:?}");
}
