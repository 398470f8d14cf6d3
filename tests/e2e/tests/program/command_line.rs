//! The command line and the settings.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use serde_json::Value;
use staticreg_e2e::{
    Staticreg,
    client::{NOTIFICATION, WEBHOOK},
    eventually, on_each_release,
};
use staticreg_test_support::postgres::{Postgres, Release};

use crate::SOON;

#[test]
fn help_lists_commands_flags_and_variables() {
    let ended = Staticreg::run(&["--help"], &[]);
    assert!(ended.status.success());
    for word in [
        "openapi",
        "migrate",
        "serve",
        "--config <FILE>",
        "--db-url <URL>",
        "STATICREG_DB_URL",
        "--registry-password-file <FILE>",
        "--metrics-patience <DURATION>",
        "--http-bind-addr <HOST:PORT>",
        "[default: 127.0.0.1:8093]",
    ] {
        assert!(ended.stdout.contains(word), "{word}:\n{}", ended.stdout);
    }
    assert_eq!(Staticreg::run(&["help", "serve"], &[]).stdout.matches("[default: ").count(), 28);
    // Whatever the environment holds.
    let secrets = [("STATICREG_DB_URL", "postgres://u:geheim@db/counts"), ("STATICREG_REGISTRY_PASSWORD", "geheim")];
    let ended = Staticreg::run(&["--help"], &secrets);
    assert!(!format!("{ended:?}").contains("geheim"), "{ended:?}");
}

#[test]
fn config_prints_a_file_that_can_be_used() {
    let printed = Staticreg::run(&["config"], &[]).stdout;
    assert!(printed.contains("\n[http]\n") && printed.contains("\n#bind_addr = \"127.0.0.1:8093\"\n"), "{printed}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("staticreg.toml");
    fs::write(&file, printed.replace("#max_body = \"16MiB\"", "max_body = \"1KiB\"")).expect("written");
    let server = Staticreg::start(&[("STATICREG_CONFIG", file.to_str().expect("text"))]);
    let answer = server.connect().request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], &[b' '; 2_000]);
    assert_eq!(answer.expect("an answer").status, 413);
}

#[test]
fn openapi_prints_the_document_that_the_server_serves() {
    let ended = Staticreg::run(&["openapi"], &[]);
    assert!(ended.status.success());
    let printed: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(printed, Staticreg::start(&[]).get_json("/openapi.json"));
}

fn migrate_makes_the_schema_and_may_be_repeated(release: Release) {
    let postgres = Postgres::shared_of(release);
    let url = postgres.new_database();
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = format!("sqlite://{}", folder.path().join("counts.db").display());
    for url in [&url, &url, &sqlite, &sqlite] {
        let ended = Staticreg::run(&["migrate"], &[("STATICREG_DB_URL", url)]);
        assert!(ended.status.success(), "{ended:?}");
        assert!(ended.stdout.contains("INFO Database schema initialized successfully."), "{ended:?}");
    }
    assert_eq!(postgres.psql(&url, "SELECT count(*) FROM container_pull_metrics"), "0");
}

#[test]
fn what_is_wrong_ends_the_start_with_one_clear_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let unknown_key = file("unknown.toml", "[metrics]\nbatchsize = 1\n");
    let no_toml = file("no.toml", "[metrics\n");
    let no_database = file("no.db", "This is no database, whatever its name says. ".repeat(100).as_str());
    let no_spool = no_database.clone();
    let no_url = file("url", "mysql://root:geheim@db/counts\n");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("its address").to_string();
    let no_database = format!("sqlite://{no_database}");

    for (name, value, expected) in [
        (
            "STATICREG_METRICS_BATCH_SIZE",
            "0",
            "STATICREG_METRICS_BATCH_SIZE: must be a whole number from 1 to 100000, such as 2000, not `0`.",
        ),
        ("STATICREG_METRICS_PATIENCE", "soon", "STATICREG_METRICS_PATIENCE"),
        ("STATICREG_METRICS_COUNTING", "all", "STATICREG_METRICS_COUNTING"),
        (
            "STATICREG_METRICS_PATIENCE",
            "999999999999h",
            "STATICREG_METRICS_PATIENCE: must be a duration from 1ms to 1h",
        ),
        ("STATICREG_HTTP_MAX_CONNECTIONS", "18446744073709551615", "STATICREG_HTTP_MAX_CONNECTIONS: must be"),
        ("STATICREG_METRICS_BUFFER_SIZE", "18446744073709551615", "STATICREG_METRICS_BUFFER_SIZE: must be"),
        ("STATICREG_LOG_LEVEL", "much=too=much", "STATICREG_LOG_LEVEL"),
        ("STATICREG_LOG_LEVEL", "inof", "STATICREG_LOG_LEVEL: must be off, error, warn, info"),
        ("STATICREG_LOG_LEVEL", "info,staticreg_sqll=debug", "`staticreg_sqll` is neither a level nor a crate"),
        ("STATICREG_DB_URL_FILE", "/nowhere/url", "STATICREG_DB_URL_FILE: the file /nowhere/url cannot be read"),
        ("STATICREG_DB_URL_FILE", &no_url, "STATICREG_DB_URL_FILE: a database URL starts with"),
        ("STATICREG_REGISTRY_HOSTNAME", "no host", "STATICREG_REGISTRY_HOSTNAME"),
        ("STATICREG_CONFIG", &unknown_key, "unknown.toml: there is no setting `metrics.batchsize`"),
        ("STATICREG_CONFIG", &no_toml, "no.toml"),
        ("STATICREG_CONFIG", "/nowhere/staticreg.toml", "/nowhere/staticreg.toml cannot be read"),
        ("STATICREG_HTTP_BIND_ADDR", &taken, &format!("cannot listen on {taken}")),
        ("STATICREG_HTTP_BIND_ADDR", "nonsense", "the port is missing: nonsense:8093"),
        ("STATICREG_HTTP_BIND_ADDR", "::1:8093", "an IPv6 address stands in brackets: [::1]:8093"),
        ("STATICREG_DB_URL", "sqlite:///nowhere/counts.db", "STATICREG_DB_URL: cannot connect"),
        ("STATICREG_DB_URL", "sqlite://:memory:", "STATICREG_DB_URL: not an SQLite URL"),
        ("STATICREG_DB_URL", &no_database, "STATICREG_DB_URL"),
        ("STATICREG_DB_URL", "mysql://root:geheim@db/counts", "starts with postgres://, postgresql:// or sqlite://"),
        ("STATICREG_DB_URL", "postgres://u:geheim@db:port/counts", "not a PostgreSQL URL"),
        ("STATICREG_SPOOL_FILE", "/nowhere/spool.db", "STATICREG_SPOOL_FILE: /nowhere/spool.db cannot be used"),
        ("STATICREG_SPOOL_FILE", &no_spool, "file is not a database"),
    ] {
        let ended = Staticreg::run(&[], &[("STATICREG_HTTP_BIND_ADDR", "127.0.0.1:0"), (name, value)]);
        assert!(!ended.status.success(), "{name}={value}");
        let sentence = ended.stderr.trim_end();
        assert!(sentence.starts_with("staticreg: ") && sentence.ends_with('.'), "{name}={value}: {sentence}");
        assert!(sentence.contains(expected) && !sentence.contains('\n'), "{name}={value}: {sentence}");
        let parts: Vec<&str> = sentence.trim_end_matches('.').split(": ").collect();
        let told_once = parts.iter().collect::<BTreeSet<_>>().len() == parts.len();
        assert!(told_once, "{name}={value}: {sentence}");
        assert!(!format!("{ended:?}").contains("geheim"), "{ended:?}");
    }
}

#[test]
fn migrate_without_a_database_says_what_is_missing() {
    let ended = Staticreg::run(&["migrate"], &[]);
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("STATICREG_DB_URL is not set"), "{}", ended.stderr);
    let away = Staticreg::run(&["migrate"], &[("STATICREG_DB_URL", "postgres://u:geheim@127.0.0.1:1/counts")]);
    assert!(!away.status.success() && away.stderr.contains("cannot connect"), "{away:?}");
    assert!(!format!("{away:?}").contains("geheim"), "{away:?}");
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("staticreg.toml");
    fs::write(&file, "[webhook]\nmax_body = \"1KiB\"\n[http]\nbind_addr = \"nonsense\"\n").expect("written");
    let server = Staticreg::start(&[("STATICREG_CONFIG", file.to_str().expect("text"))]);
    let long = vec![b' '; 2_000];
    let answer = server.connect().request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], &long);
    assert_eq!(answer.expect("an answer").status, 413);
    let ended = Staticreg::run(&["--http-bind-addr", "by a flag"], &[("STATICREG_HTTP_BIND_ADDR", "127.0.0.1:0")]);
    assert!(ended.stderr.contains("--http-bind-addr: must be HOST:PORT"), "{ended:?}");
    assert!(ended.stderr.contains("not `by a flag`"), "{ended:?}");
}

#[test]
fn an_address_may_be_a_port_alone() {
    for (address, listens) in [("0", "Listening on http://127.0.0.1:"), (":0", "Listening on http://[::]:")] {
        let server = Staticreg::start_at(address, &[]);
        server.wait_for_line(listens, SOON);
        let here = format!("127.0.0.1:{}", server.address().port());
        let mut connection = TcpStream::connect(&here).expect("every interface is this machine's too");
        write!(connection, "GET /healthz HTTP/1.0\r\n\r\n").expect("a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let port = format!(":{}", server.address().port());
        let health = || Staticreg::run(&["health", "--http-bind-addr", &port], &[]).status;
        eventually("it is well", SOON, || health().success().then_some(()));
    }
}

#[test]
fn a_wrong_setting_is_named_as_it_was_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("staticreg.toml");
    fs::write(&file, "[db]\nurl = \"sqlite:///nowhere/counts.db\"\n").expect("written");
    let file = file.to_str().expect("text");
    let by_file = Staticreg::run(&["migrate"], &[("STATICREG_CONFIG", file)]);
    assert!(by_file.stderr.starts_with(&format!("staticreg: {file}: db.url: ")), "{by_file:?}");
    let spool = Staticreg::run(&["--spool-file", "/nowhere/spool.db", "--http-bind-addr", "0"], &[]);
    assert!(spool.stderr.starts_with("staticreg: --spool-file: /nowhere/spool.db cannot be used"), "{spool:?}");
    let registry = Staticreg::run(&["--registry-hostname", "https://registry", "--http-bind-addr", "0"], &[]);
    assert!(registry.stderr.starts_with("staticreg: --registry-hostname: "), "{registry:?}");
}

#[test]
fn a_password_in_a_flag_is_taken_with_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let held = folder.path().join("url");
    fs::write(&held, format!("sqlite://{}\n", folder.path().join("counts.db").display())).expect("written");
    let held = held.to_str().expect("text");
    let secret = ["--registry-user", "reader", "--registry-password", "geheim"];
    let ended = Staticreg::run(&[&["migrate"], secret.as_slice()].concat(), &[("STATICREG_DB_URL_FILE", held)]);
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stdout.contains("WARN --registry-password tells a password"), "{ended:?}");
    assert!(ended.stdout.contains("STATICREG_REGISTRY_PASSWORD_FILE"), "{ended:?}");
    assert!(!format!("{ended:?}").contains("geheim"), "{ended:?}");
    assert!(folder.path().join("counts.db").exists(), "the newline is no part of the URL");

    let secret = ["migrate", "--db-url", "postgres://u:geheim@127.0.0.1:1/counts"];
    let ended = Staticreg::run(&secret, &[]);
    assert!(ended.stdout.contains("WARN --db-url tells a password"), "{ended:?}");
    assert!(!format!("{ended:?}").contains("geheim"), "{ended:?}");
}

#[test]
fn a_misspelt_variable_is_told_and_does_no_harm() {
    let server = Staticreg::start(&[("STATICREG_DATABASE_URL", "sqlite://x")]);
    server.wait_for_line("WARN STATICREG_DATABASE_URL is no setting of staticreg", SOON);
    assert_eq!(server.get("/healthz").status, 200);
}

on_each_release![migrate_makes_the_schema_and_may_be_repeated,];
