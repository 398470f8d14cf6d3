//! How PostgreSQL is reached: by URL, with TLS, through a pooler, and when what answered falls silent.

use std::time::{Duration, Instant};

use sea_orm::sqlx::{Connection, Executor, PgConnection};
use staticreg_contract::{
    events::{expected, pull, pulls_of, record},
    lists,
};
use staticreg_domain::metrics::{DateRange, Filter, MetricsReader, MetricsRepository};
use staticreg_sql::{OpenError, Options, SqlMetrics};
use staticreg_test_support::{pgbouncer::PgBouncer, postgres::Postgres, proxy::Proxy, tls::TlsPostgres};
use tokio::time::sleep;

/// Longer than a busy machine keeps anybody waiting.
const LONG: Duration = Duration::from_mins(2);

fn options(url: &str) -> Options {
    Options { answer_timeout: LONG, question_timeout: LONG, ..Options::new(url.parse().expect("a URL")) }
}

async fn open(url: &str) -> Result<SqlMetrics, OpenError> {
    SqlMetrics::open(&options(url)).await
}

async fn one_pull(store: &SqlMetrics) {
    record(store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    assert_eq!(pulls_of(store).await, expected(&[("2026-11-20 app:v1", 1)]));
}

async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < LONG, "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

// By URL.

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_url_leads_to_the_database() {
    let cluster = Postgres::shared();
    let database = cluster.new_database().rsplit('/').next().expect("a name").to_owned();
    let folder = cluster.psql("postgres", "SHOW unix_socket_directories");
    let encoded = folder.replace('/', "%2F");
    let port = cluster.port();
    let proxy = Proxy::start("[::1]:0", ([127, 0, 0, 1], port).into());
    let ipv6 = proxy.address().port();
    for url in [
        format!("postgres://postgres@/{database}?host={folder}&port={port}"),
        format!("postgresql://postgres@/{database}?host={encoded}&port={port}"),
        format!("postgres://postgres@{encoded}:{port}/{database}"),
        format!("postgresql:///{database}?host={folder}&port={port}&user=postgres"),
        format!("postgresql://?host={folder}&port={port}&user=postgres&dbname={database}"),
        format!("postgres://postgres@:{port}/{database}?host={folder}&sslmode=require"),
        format!("postgres://postgres@[::1]:{ipv6}/{database}"),
        format!("postgres://postgres@[0:0::1]:{ipv6}/{database}?sslmode=disable"),
        format!("postgres://postgres@localhost:{port}/{database}?hostaddr=127.0.0.1"),
        format!("postgres://p%6fstgres:any%40%2f%3F@127.0.0.1:{port}/{database}?connect_timeout=5"),
    ] {
        let store = open(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        store.check().await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_url_are_the_session_s() {
    let cluster = Postgres::shared();
    for parameter in ["options=-c%20search_path%3Dpulls", "options[search_path]=pulls", "search_path=pulls"] {
        let url = cluster.new_database();
        cluster.psql(&url, "CREATE SCHEMA pulls");
        one_pull(&open(&format!("{url}?{parameter}")).await.expect(parameter)).await;
        assert_eq!(cluster.psql(&url, "SELECT count(*) FROM pulls.container_pull_metrics"), "1", "{parameter}");
    }
}

// With TLS.

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_of_tls_does_what_libpq_does() {
    let tls = TlsPostgres::start();
    let database = tls.cluster.new_database().rsplit('/').next().expect("a name").to_owned();
    let port = tls.cluster.port();
    let authority = format!("sslrootcert={}", tls.authority().display());
    let other = format!("sslrootcert={}", tls.other_authority().display());
    let (certificate, key) = tls.client();
    let client = format!("sslcert={}&sslkey={}", certificate.display(), key.display());
    let system = "sslrootcert=system".to_owned();
    let none = String::new();
    // The connections that there are then: with TLS, without, or none at all.
    for (user, host, mode, files, expected) in [
        ("plain_only", "localhost", "disable", &none, "f"),
        ("plain_only", "localhost", "allow", &none, "f"),
        ("plain_only", "localhost", "prefer", &none, "f"),
        ("plain_only", "localhost", "require", &none, ""),
        ("tls_only", "localhost", "disable", &none, ""),
        ("tls_only", "localhost", "allow", &none, "t"),
        ("tls_only", "localhost", "prefer", &none, "t"),
        ("tls_only", "localhost", "require", &none, "t"),
        ("tls_only", "localhost", "require", &authority, "t"),
        ("tls_only", "localhost", "require", &other, ""),
        ("tls_only", "localhost", "verify-ca", &authority, "t"),
        ("tls_only", "127.0.0.1", "verify-ca", &authority, "t"),
        ("tls_only", "localhost", "verify-ca", &other, ""),
        ("tls_only", "localhost", "verify-ca", &none, ""),
        ("tls_only", "localhost", "verify-full", &authority, "t"),
        ("tls_only", "127.0.0.1", "verify-full", &authority, ""),
        ("tls_only", "localhost", "verify-full", &other, ""),
        ("tls_only", "localhost", "verify-full", &system, ""),
        ("certificate", "localhost", "require", &none, ""),
        ("certificate", "localhost", "require", &client, "t"),
        ("certificate", "localhost", "verify-ca", &format!("{authority}&{client}"), "t"),
        ("certificate", "localhost", "verify-full", &format!("{authority}&{client}"), "t"),
    ] {
        let url = format!("postgres://{user}@{host}:{port}/{database}?sslmode={mode}&{files}");
        let store = open(&url).await;
        let used = format!(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = '{user}' \
             AND datname = '{database}'"
        );
        if expected.is_empty() {
            assert!(matches!(store, Err(OpenError::Connect(_))), "{url}: {store:?}");
        } else {
            let store = store.unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(tls.cluster.psql(&database, &used), expected, "{url}");
            drop(store);
        }
        until("the connections of before are gone", || tls.cluster.psql(&database, &used).is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_there_is_named() {
    let url = format!("{}?sslmode=verify-ca&sslrootcert=/nowhere/authority.crt", Postgres::shared().new_database());
    let error = open(&url).await.expect_err("no certificate").to_string();
    assert!(error.contains("`sslrootcert`, /nowhere/authority.crt: No such file"), "{error}");
}

#[tokio::test]
async fn a_file_of_tls_that_holds_something_else_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    };
    let certificate = file("a.crt", "-----BEGIN CERTIFICATE-----\n");
    let encrypted = file("e.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
    let old = file("o.key", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n");
    let text = file("text", "authority.crt\n");
    for (parameters, told) in [
        (format!("sslrootcert={text}"), format!("`sslrootcert`, {text}: it holds no certificate in PEM")),
        (format!("sslcert={text}&sslkey={encrypted}"), format!("`sslcert`, {text}: it holds no certificate in PEM")),
        (format!("sslcert={certificate}&sslkey={text}"), format!("`sslkey`, {text}: it holds no private key in PEM")),
        (format!("sslcert={certificate}&sslkey={encrypted}"), format!("`sslkey`, {encrypted}: the key is encrypted")),
        (format!("sslcert={certificate}&sslkey={old}"), format!("`sslkey`, {old}: the key is encrypted")),
    ] {
        let error = open(&format!("postgres://u@127.0.0.1:1/d?{parameters}")).await.expect_err(&told).to_string();
        assert!(error.contains(&told), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_the_database_refuses_is_told_with_what_to_do() {
    for options in ["options=-c%20nosuch%3Dx", "options=-c%20work_mem%3Dmuch", "options[work_mem]=much"] {
        let url = format!("{}?{options}", Postgres::shared().new_database());
        let error = open(&url).await.expect_err(options).to_string();
        assert!(error.contains("parameter") && error.contains("correct the setting in the `options`"), "{error}");
    }
}

// Through a pooler.

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_of_sessions_the_schema_asked_for_is_the_one_used() {
    let cluster = Postgres::shared();
    for settings in [
        &["pool_mode = session"][..],
        // What people set so that drivers which ask for more can connect: the pooler drops it.
        &["pool_mode = session", "ignore_startup_parameters = extra_float_digits, options, search_path"],
        // It leaves what the client before prepared.
        &["pool_mode = session", "server_reset_query =", "default_pool_size = 3"],
    ] {
        let url = cluster.new_database();
        let pooler = PgBouncer::start(cluster, settings);
        let options = Options { schema: "pulls".parse().ok(), ..options(&pooler.url(&url)) };
        let store = SqlMetrics::open(&options).await.expect("opens");
        one_pull(&store).await;
        let tables = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN \
                      ('container_pull_metrics', 'recorded_event', 'seaql_migrations')";
        assert_eq!(cluster.psql(&url, tables), "pulls");
        assert_eq!(cluster.psql(&url, "SELECT sum(pull_count) FROM pulls.container_pull_metrics"), "1");
        // What was left in the pooler serves the next.
        drop(store);
        for _ in 0..3 {
            let again = SqlMetrics::open(&options).await.expect("opens again");
            assert_eq!(pulls_of(&again).await, expected(&[("2026-11-20 app:v1", 1)]));
        }
        let store = SqlMetrics::open(&options).await.expect("opens again");
        assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 1)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_transactions_is_refused_with_what_to_set() {
    let cluster = Postgres::shared();
    for settings in [
        &["pool_mode = transaction"][..],
        &["pool_mode = transaction", "default_pool_size = 1"],
        &["pool_mode = transaction", "min_pool_size = 5", "server_round_robin = 1"],
        &["pool_mode = transaction", "ignore_startup_parameters = extra_float_digits, options"],
        &["pool_mode = statement"],
    ] {
        let url = cluster.new_database();
        let mut pooler = PgBouncer::start(cluster, settings);
        for _ in 0..3 {
            let mut refused = open(&pooler.url(&url)).await;
            // Now and then Debian's PgBouncer ends by itself.
            if !pooler.is_running() {
                pooler = PgBouncer::start(cluster, settings);
                refused = open(&pooler.url(&url)).await;
            }
            assert!(matches!(refused, Err(OpenError::TransactionPooling)), "{settings:?}: {refused:?}");
        }
        assert_eq!(cluster.psql(&url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_with_one_connection_is_refused_with_what_to_set() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let started = Instant::now();
    loop {
        // Now and then Debian's PgBouncer ends by itself.
        let pooler = PgBouncer::start(cluster, &["pool_mode = session", "default_pool_size = 1"]);
        // With the usual limits, which end what would wait for ever.
        let refused = SqlMetrics::open(&Options::new(pooler.url(&url).parse().expect("a URL"))).await;
        if matches!(refused, Err(OpenError::OneConnection)) {
            break;
        }
        assert!(refused.is_err() && started.elapsed() < LONG, "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_the_user_may_not_use_is_not_another_one() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let options = |url: &str| Options { schema: "pulls".parse().ok(), ..options(url) };
    SqlMetrics::open(&options(&url)).await.expect("opens");
    cluster.psql(&url, "CREATE ROLE stranger LOGIN");
    let refused = SqlMetrics::open(&options(&url.replace("postgres@", "stranger@"))).await.expect_err("no right");
    let words = refused.to_string();
    assert!(words.contains("grant") || words.contains("GRANT"), "{words}");
    assert_eq!(cluster.psql(&url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
}

// With limits that the database has.

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_database_or_the_user_end_no_change_of_the_schema() {
    /// Held by the server that changes the schema.
    const LOCK: &str = "SELECT pg_advisory_lock(5278241790334716213)";
    const WAITS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                         AND wait_event = 'advisory' AND query_start < clock_timestamp() - interval '400 ms'";
    let cluster = Postgres::shared();
    for whose in ["DATABASE %", "ROLE limited_% IN DATABASE %"] {
        let url = cluster.new_database();
        let name = url.rsplit('/').next().expect("a name");
        let whose = whose.replace('%', name);
        cluster.psql(&url, &format!("CREATE ROLE limited_{name} SUPERUSER LOGIN"));
        let mut holder = PgConnection::connect(&url).await.expect("connects");
        holder.execute(LOCK).await.expect("locks");
        for limit in [
            "statement_timeout = '200ms'",
            "lock_timeout = '200ms'",
            "idle_in_transaction_session_timeout = '1ms'",
            "default_transaction_isolation = 'serializable'",
        ] {
            cluster.psql(&url, &format!("ALTER {whose} SET {limit}"));
        }
        let limited = options(&url.replace("postgres@", &format!("limited_{name}@")));
        let opening = tokio::spawn(async move { SqlMetrics::open(&limited).await });
        until("it waits for longer than the limits", || {
            assert!(!opening.is_finished(), "it was ended");
            cluster.psql(&url, &format!("SET statement_timeout = 0; {WAITS}")) == "1"
        })
        .await;
        holder.execute("SELECT pg_advisory_unlock_all()").await.expect("unlocks");
        let store = opening.await.expect("ends").expect("opens");
        one_pull(&store).await;
        drop(store);
    }
}

// When nothing is heard any more.

fn through(proxy: &Proxy, url: &str) -> String {
    format!("postgres://postgres@{}/{}", proxy.address(), url.rsplit('/').next().expect("a name"))
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_fell_silent_take_no_place() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let proxy = Proxy::start("127.0.0.1:0", ([127, 0, 0, 1], cluster.port()).into());
    // One for questions.
    let options = Options { max_connections: 2.try_into().expect("not zero"), ..options(&through(&proxy, &url)) };
    let store = SqlMetrics::open(&options).await.expect("opens");
    one_pull(&store).await;
    for _ in 0..3 {
        proxy.silence();
        // The one left from before is found silent, and another is made.
        assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 1)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_fell_silent_while_nothing_came_records_nothing() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let proxy = Proxy::start("127.0.0.1:0", ([127, 0, 0, 1], cluster.port()).into());
    let store = SqlMetrics::open(&options(&through(&proxy, &url))).await.expect("opens");
    let pulls = [pull("app:v1", "2026-11-20T10:00:00Z")];
    for _ in 0..2 {
        record(&store, &pulls).await;
        // So long that it is asked whether it is alive.
        tokio::time::sleep(Duration::from_secs(1)).await;
        proxy.silence();
        // By another one, long before an answer is late.
        record(&store, &pulls).await;
    }
    assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 4)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_given_up_half_way_take_no_place() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let proxy = Proxy::start("127.0.0.1:0", ([127, 0, 0, 1], cluster.port()).into());
    let options = Options { max_connections: 3.try_into().expect("not zero"), ..options(&through(&proxy, &url)) };
    let store = std::sync::Arc::new(SqlMetrics::open(&options).await.expect("opens"));
    one_pull(&store).await;
    let mut holder = PgConnection::connect(&url).await.expect("connects");
    for falls_silent in [false, true] {
        for _ in 0..3 {
            let mut lock = holder.begin().await.expect("begins");
            lock.execute("LOCK TABLE container_pull_metrics").await.expect("locks");
            let asking = std::sync::Arc::clone(&store);
            let question = tokio::spawn(async move {
                let filter = Filter::of_dates(DateRange::EVER);
                asking.breakdown(&lists::breakdown(lists::REPOSITORIES, &filter, 1)).await
            });
            let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                         AND application_name = 'staticreg' AND wait_event_type = 'Lock' AND state = 'active'";
            until("the question waits", || cluster.psql(&url, waits) != "0").await;
            if falls_silent {
                proxy.silence();
            }
            question.abort();
            assert!(question.await.is_err_and(|error| error.is_cancelled()));
            lock.rollback().await.expect("unlocks");
            until("the question is gone", || cluster.psql(&url, waits) == "0").await;
        }
        assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-20 app:v1", 1)]));
    }
}
