//! The program: its command line, its log, its start and stop, and what it answers to bad input over a real socket.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use staticreg_e2e::{
    Staticreg,
    client::{Connection, NOTIFICATION, WEBHOOK, post, request},
    events::{DIGEST, next_number, notification, pull},
    eventually, on_each_release,
};
use staticreg_test_support::postgres::{Durability, Postgres, Release, Stop};

/// How long what happens at once may take on a busy machine.
const SOON: Duration = Duration::from_mins(2);

/// A notification that waits to be stored is soon given up: with it a test need not wait long for an answer 503.
const SHORT_PATIENCE: (&str, &str) = ("STATICREG_METRICS_PATIENCE", "3s");

fn one_pull() -> Value {
    notification(&[pull(next_number())])
}

// The command line.

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
    assert_eq!(Staticreg::run(&["help", "serve"], &[]).stdout.matches("[default: ").count(), 25);
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

// The log.

/// A line of the text format without its time.
fn without_time(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').expect("a time comes first");
    assert!(time.len() == "2026-11-21T21:52:06.092311Z".len() && time.ends_with('Z'), "{line}");
    rest.trim_start()
}

fn has_line(server: &Staticreg, expected: &str) {
    server.wait_for_line(expected, SOON);
    let log = server.log();
    assert!(log.lines().any(|line| without_time(line) == expected), "no line is just `{expected}`:\n{log}");
}

fn the_log_lines_people_look_for_are_written_to_the_letter(release: Release) {
    let memory = Staticreg::start(&[]);
    has_line(&memory, "WARN STATICREG_DB_URL environment variable is not set. Database functions will be disabled.");
    let number = next_number();
    assert_eq!(memory.post(&notification(&[pull(number)])).status, 200);
    has_line(&memory, "INFO Webhook processing completed totalEvents=1 eventsProcessed=1 eventsSkipped=0");
    let repository = pull(number)["target"]["repository"].as_str().expect("text").to_owned();
    has_line(
        &memory,
        &format!("INFO Pull metrics updated repository={repository} tag=v1 digest={DIGEST} architecture=arm64"),
    );
    assert_eq!(memory.post(&json!({"events": [{"action": "push"}]})).status, 200);
    let mut push = pull(next_number());
    push["action"] = json!("push");
    push["target"]["repository"] = json!("team/app");
    assert_eq!(memory.post(&notification(&[push])).status, 200);
    has_line(&memory, &format!("INFO Push recorded repository=team/app tag=v1 digest={DIGEST}"));
    assert!(!memory.log().contains("Skipping event"), "{}", memory.log());
    assert!(!memory.log().contains("eventsProcessed=0"), "what does not count has no line: {}", memory.log());

    let warning = Staticreg::start_at("127.0.0.1:0", &[("STATICREG_LOG_LEVEL", "warning,staticreg=info")]);
    has_line(&warning, "WARN STATICREG_DB_URL environment variable is not set. Database functions will be disabled.");

    let debugging = Staticreg::start(&[("STATICREG_LOG_LEVEL", "debug")]);
    let mut skipped = pull(number);
    skipped["target"]["tag"] = json!("new\nline");
    let long = json!({"action": "ä".repeat(10_000)});
    assert_eq!(debugging.post(&notification(&[skipped, json!({"action": "delete"}), long])).status, 200);
    has_line(
        &debugging,
        &format!(
            r#"DEBUG Skipping event: reason=invalid_tag action="pull" repository="{repository}" tag="new\nline" digest="{DIGEST}""#
        ),
    );
    has_line(&debugging, r#"DEBUG Skipping event: reason=not_a_pull action="delete""#);
    has_line(&debugging, "DEBUG Webhook processing completed totalEvents=3 eventsProcessed=0 eventsSkipped=3");
    assert!(!debugging.log().contains("Skipping pull event save"), "{}", debugging.log());
    assert_eq!(debugging.post(&notification(&[pull(number)])).status, 200);
    has_line(&debugging, "DEBUG Skipping pull event save: Database pool is not active.");
    assert_eq!(debugging.pulls(), 1, "counted all the same");
    has_line(&debugging, &format!("DEBUG Skipping event: reason=not_a_pull action=\"{}\"", "ä".repeat(128)));

    let postgres = Postgres::shared_of(release);
    let stored = Staticreg::start(&[("STATICREG_DB_URL", &postgres.new_database())]);
    has_line(&stored, "INFO PostgreSQL connection pool successfully initialized.");
    has_line(&stored, "INFO Database schema initialized successfully.");
}

#[test]
fn many_pulls_are_summed_up_in_one_line_a_second_and_none_is_left_out() {
    const PULLS: usize = 500;
    let mut server = Staticreg::start(&[]);
    for events in (0..PULLS).map(|_| pull(next_number())).collect::<Vec<_>>().chunks(50) {
        assert_eq!(server.post(&notification(events)).status, 200);
    }
    assert!(server.terminate().success());
    let log = server.log();
    let of_their_own = log.lines().filter(|line| line.contains("INFO Pull metrics updated")).count();
    let summed_up = |line: &str| {
        let (_, rest) = line.split_once("summed up notifications=")?;
        rest.split_once(" pulls=")?.1.split(' ').next()?.parse::<usize>().ok()
    };
    let summed_up: usize = log.lines().filter_map(summed_up).sum();
    assert_eq!(of_their_own + summed_up, PULLS, "{log}");
    assert!(summed_up > 0, "{log}");
}

/// Lines of the log that are far more than fit where they wait: each event that is no pull has one, at debug.
fn flood(server: &Staticreg) {
    let events = vec![json!({"action": "x".repeat(100)}); 10_000];
    let body = notification(&events).to_string();
    for _ in 0..3 {
        let answer = server.connect().request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], body.as_bytes());
        assert_eq!(answer.expect("an answer").status, 200);
    }
}

#[test]
fn an_output_that_nobody_reads_holds_nothing_up_and_the_dropped_lines_are_told() {
    let (mut server, output) = Staticreg::start_into_pipe(&[("STATICREG_LOG_LEVEL", "debug")]);
    flood(&server);
    assert_eq!(server.post(&one_pull()).status, 200);
    assert_eq!(server.pulls(), 1);

    let (line, read) = mpsc::channel();
    thread::spawn(move || output.lines().for_each(|read| line.send(read.expect("text")).expect("somebody waits")));
    let mut lines = Vec::new();
    let told = loop {
        let next = read.recv_timeout(SOON).expect("the drop is told");
        lines.push(next.clone());
        if next.contains("WARN Log lines were dropped") {
            break next;
        }
    };
    assert!(server.terminate().success());
    lines.extend(read);
    let dropped: usize = told.rsplit_once("lines=").expect("a number").1.parse().expect("a number");
    let written = lines.iter().filter(|line| line.contains("DEBUG Skipping event:")).count();
    assert!(dropped > 0 && written > 0, "{told}");
    assert!((30_000..30_100).contains(&(written + dropped)), "{written} written, {dropped} dropped");
}

#[test]
fn a_stop_ends_though_nobody_reads_the_output() {
    let (mut server, _output) = Staticreg::start_into_pipe(&[("STATICREG_LOG_LEVEL", "debug")]);
    flood(&server);
    assert!(server.terminate().success());
}

#[test]
fn an_error_at_start_ends_the_program_though_nobody_reads_what_it_says() {
    let (_reader, mut writer) = std::io::pipe().expect("a pipe");
    // What fits into a pipe.
    writer.write_all(&vec![b'x'; 64 * 1024]).expect("room");
    let ended = Staticreg::run_into(writer, &[("STATICREG_LOG_FORMAT", "red")]);
    assert_eq!(ended.code(), Some(1));
}

// The clocks.

#[test]
fn a_registry_whose_clock_is_ahead_is_counted_on_the_servers_date_and_told() {
    for counting in ["classified", "tagged"] {
        let server = Staticreg::start(&[("STATICREG_METRICS_COUNTING", counting)]);
        assert_eq!(server.get_json("/api/v1/summary")["clock_skew_seconds"], Value::Null);
        assert_eq!(server.get_json("/healthz/db")["clock_skew_seconds"], Value::Null);
        let mut ahead = pull(next_number());
        ahead["timestamp"] = json!("2999-01-15T12:00:00Z");
        let notification = notification(&[ahead]);
        for member in ["events_processed", "events_duplicate"] {
            let receipt = server.post(&notification).json();
            assert_eq!(receipt[member], 1, "{receipt}");
        }
        let summary = server.get_json("/api/v1/summary");
        assert_eq!((&summary["pulls_today"], &summary["pulls_total"]), (&json!(1), &json!(1)), "{summary}");
        assert!(summary["last_pulled_at"].as_str().expect("a time") < "2999", "{summary}");
        let century = 100 * 365 * 24 * 3600;
        assert!(summary["clock_skew_seconds"].as_i64().expect("a number") > century, "{summary}");
        let health = server.get_json("/healthz/db");
        assert!(health["clock_skew_seconds"].as_i64().expect("a number") > century, "{health}");

        let warning = server.line("WARN The registry's clock is more than a day ahead", SOON);
        let date = server.get_json("/api/v1/pulls")["items"][0]["date"].as_str().expect("a date").to_owned();
        assert!(warning.contains("registry=2999-01-15 12:00:00 UTC") && warning.contains(&format!("server={date} ")));
        assert_eq!(server.log().matches("clock is more than").count(), 1, "once a minute");
    }
}

#[test]
fn a_leap_second_is_told_as_a_time_that_every_client_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = format!("sqlite://{}", folder.path().join("counts.db").display());
    for environment in [&[][..], &[("STATICREG_DB_URL", &*sqlite)]] {
        let server = Staticreg::start(environment);
        let mut event = pull(next_number());
        event["timestamp"] = json!("2016-12-31T23:59:60.5Z");
        assert_eq!(server.post(&notification(&[event])).json()["events_processed"], 1);
        let last = server.get_json("/api/v1/summary")["last_pulled_at"].as_str().expect("a time").to_owned();
        assert!(last.starts_with("2016-12-31T23:59:59.999999"), "{last}");
        let csv = server.connect().request("GET", "/api/v1/metrics?from=2016-12-31", &[("accept", "text/csv")], b"");
        let csv = csv.expect("an answer").body;
        assert!(csv.contains("2016-12-31T23:59:59.999999") && !csv.contains(":60"), "{csv}");
    }
}

#[test]
fn json_log_lines_hold_the_same_words() {
    let server = Staticreg::start(&[("STATICREG_LOG_FORMAT", "json")]);
    assert_eq!(server.post(&one_pull()).status, 200);
    server.wait_for_line("Webhook processing completed", SOON);
    server.wait_for_line("Pull metrics updated", SOON);
    let lines: Vec<Value> =
        server.log().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let line = |message: &str| {
        lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{message}: {lines:#?}"))
    };
    let completed = line("Webhook processing completed");
    assert_eq!(completed["level"], "INFO");
    assert_eq!(
        (&completed["totalEvents"], &completed["eventsProcessed"], &completed["eventsSkipped"]),
        (&json!(1), &json!(1), &json!(0))
    );
    let updated = line("Pull metrics updated");
    assert_eq!((&updated["tag"], &updated["digest"]), (&json!("v1"), &json!(DIGEST)));
    line("STATICREG_DB_URL environment variable is not set. Database functions will be disabled.");
}

fn no_secret_is_ever_in_the_log(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database().replace("postgres@", "postgres:geheim@");
    let registry = TcpListener::bind("127.0.0.1:0").expect("a port");
    let registry = registry.local_addr().expect("its address").to_string();
    let mut server = Staticreg::start(&[
        ("STATICREG_DB_URL", &url),
        ("STATICREG_REGISTRY_HOSTNAME", &registry),
        ("STATICREG_REGISTRY_USER", "reader"),
        ("STATICREG_REGISTRY_PASSWORD", "verschwiegen"),
        ("STATICREG_LOG_LEVEL", "trace"),
        SHORT_PATIENCE,
    ]);
    server.wait_for_store();
    eventually("an event is stored", SOON, || (server.post(&one_pull()).status == 200).then_some(()));
    postgres.stop(Stop::Immediate);
    assert_eq!(server.post(&one_pull()).status, 503);
    assert_eq!(server.get("/healthz/db").status, 503);
    assert_eq!(server.get("/api/v1/summary").status, 503);
    server.terminate();
    let log = server.log();
    assert!(log.contains(" TRACE ") || log.contains(" DEBUG "), "{log}");
    // Also not as basic authentication has it: base64 of reader:verschwiegen.
    for secret in ["geheim", "verschwiegen", "cmVhZGVyOnZlcnNjaHdpZWdlbg"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_misspelt_variable_is_told_and_does_no_harm() {
    let server = Staticreg::start(&[("STATICREG_DATABASE_URL", "sqlite://x")]);
    server.wait_for_line("WARN STATICREG_DATABASE_URL is no setting of staticreg", SOON);
    assert_eq!(server.get("/healthz").status, 200);
}

// Start and stop.

fn a_database_that_is_away_at_start_is_waited_for_while_the_registry_keeps_its_events(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database();
    postgres.stop(Stop::Fast);
    let server = Staticreg::start(&[("STATICREG_DB_URL", &url), ("STATICREG_LOG_LEVEL", "debug"), SHORT_PATIENCE]);
    let unable = server.line("WARN Unable to create connection pool: ", SOON);
    assert!(unable.ends_with(". Database functions will be disabled."), "{unable}");

    let event = one_pull();
    let answer = server.post(&event);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{answer:?}");
    assert!(!answer.problem().is_empty());
    has_line(&server, "DEBUG Skipping pull event save: Database pool is not active.");
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/healthz/db").status, 503);

    postgres.start_again();
    eventually("the event is stored", SOON, || (server.post(&event).status == 200).then_some(()));
    has_line(&server, "INFO PostgreSQL connection pool successfully initialized.");
    has_line(&server, "INFO Database schema initialized successfully.");
    server.wait_for_store();
    assert_eq!(server.pulls(), 1);
}

fn a_database_that_is_frozen_at_start_keeps_nobody_waiting(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database();
    postgres.freeze();
    // It listens and answers while the database does neither.
    let server = Staticreg::start(&[("STATICREG_DB_URL", &url), SHORT_PATIENCE]);
    let event = one_pull();
    assert_eq!(server.post(&event).status, 503);
    postgres.thaw();
    eventually("the event is stored", SOON, || (server.post(&event).status == 200).then_some(()));
    assert_eq!(server.pulls(), 1);
}

/// A signal comes while one request waits for the database and one is half sent.
fn finishes_what_was_accepted(signal: Signal, release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database();
    // Longer than it takes a busy machine to come to the thaw.
    let mut server = Staticreg::start(&[
        ("STATICREG_DB_URL", &url),
        ("STATICREG_METRICS_PATIENCE", "2m"),
        ("STATICREG_HTTP_STOP_TIMEOUT", "2m"),
    ]);
    assert_eq!(server.post(&one_pull()).status, 200);

    postgres.freeze();
    let mut waiting = server.connect();
    waiting.write(&post(&one_pull())).expect("sent");
    let mut half_sent = server.connect();
    let rest = post(&one_pull());
    let (head, rest) = rest.split_at(rest.len() - 100);
    half_sent.write(head).expect("sent");
    waiting.wait_until_read();
    half_sent.wait_until_read();

    server.signal(signal);
    server.wait_for_line("INFO Stopping", SOON);
    postgres.thaw();
    half_sent.write(rest).expect("sent");
    assert_eq!(waiting.answer().expect("an answer").status, 200);
    assert_eq!(half_sent.answer().expect("an answer").status, 200);
    assert!(server.wait().success());
    has_line(&server, "INFO Stopped; everything accepted was finished");
    assert_eq!(postgres.psql(&url, "SELECT sum(pull_count) FROM container_pull_metrics"), "3");
}

fn sigterm_finishes_what_was_accepted(release: Release) {
    finishes_what_was_accepted(Signal::TERM, release);
}

/// What differs from the test above is the signal, whichever PostgreSQL there is.
#[test]
fn sigint_finishes_what_was_accepted() {
    finishes_what_was_accepted(Signal::INT, Release::Eighteen);
}

#[test]
fn a_stop_waits_for_nobody_longer_than_it_may() {
    const LIMIT: Duration = Duration::from_secs(4);
    let mut server = Staticreg::start(&[("STATICREG_HTTP_STOP_TIMEOUT", "4s")]);
    let mut idle = server.connect();
    let mut stalled = server.connect();
    stalled.write(&post(&one_pull())[..200]).expect("sent");
    stalled.wait_until_read();
    let began = Instant::now();
    assert!(server.terminate().success());
    assert!(began.elapsed() >= LIMIT.mul_f32(0.9), "it waits for what may still be sent: {:?}", began.elapsed());
    server.wait_for_line("WARN Stopped before everything accepted was finished", SOON);
    assert!(idle.is_closed_within(SOON) && stalled.is_closed_within(SOON));
}

#[test]
fn a_stop_without_work_is_at_once() {
    // Longer than this test waits: a connection that is kept holds no stop up.
    let mut server =
        Staticreg::start(&[("STATICREG_HTTP_STOP_TIMEOUT", "30m"), ("STATICREG_HTTP_HEADER_TIMEOUT", "30m")]);
    let mut connection = server.connect();
    assert_eq!(connection.post(&one_pull()).expect("an answer").status, 200);
    assert!(server.terminate().success());
}

// Bad input over a real socket.

#[test]
fn bad_input_is_told_apart() {
    let server = Staticreg::start(&[]);
    let mut connection = server.connect();
    for (content_type, body, status, detail) in [
        (NOTIFICATION, "", 400, "The body is no notification"),
        (NOTIFICATION, "{", 400, "line 1 column 1"),
        (NOTIFICATION, "[]", 400, "The body is no notification"),
        (NOTIFICATION, "{\"events\": {}}", 400, "The body is no notification"),
        (NOTIFICATION, "{\"event\": []}", 400, "events"),
        (NOTIFICATION, "null", 400, "The body is no notification"),
        (NOTIFICATION, "\u{0}\u{1}", 400, "The body is no notification"),
        ("text/plain", "{\"events\": []}", 415, "application/json"),
        ("", "{\"events\": []}", 415, "application/json"),
    ] {
        let answer = connection.request("POST", WEBHOOK, &[("content-type", content_type)], body.as_bytes());
        let answer = answer.expect("an answer, on the same connection");
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.problem().contains(detail), "{body}: {answer:?}");
    }
    for content_type in ["application/json", "application/json; charset=utf-8", "application/cloudevents+json"] {
        let answer = connection.request("POST", WEBHOOK, &[("content-type", content_type)], b"{\"events\": []}");
        assert_eq!(answer.expect("an answer").json()["total_events"], 0);
    }
    assert_eq!(server.pulls(), 0);
}

#[test]
fn one_odd_event_does_not_spoil_its_envelope() {
    let server = Staticreg::start(&[]);
    let mut with = Vec::new();
    let mut odd = |change: &dyn Fn(&mut Value)| {
        let mut event = pull(next_number());
        change(&mut event);
        with.push(event);
    };
    odd(&|_| ());
    odd(&|event| *event = Value::Null);
    odd(&|event| *event = json!("event"));
    odd(&|event| *event = json!({}));
    odd(&|event| event["action"] = json!("dance"));
    odd(&|event| event["target"] = Value::Null);
    odd(&|event| event["target"]["mediaType"] = json!(7));
    odd(&|event| event["target"]["repository"] = json!("a\u{0}b"));
    odd(&|event| event["target"]["repository"] = json!("a/".repeat(200) + "b"));
    odd(&|event| event["target"]["tag"] = json!("x".repeat(10_000)));
    odd(&|event| event["target"]["digest"] = json!("sha256:short"));
    odd(&|event| event["timestamp"] = json!("10000-01-01T00:00:00Z"));
    odd(&|event| event["timestamp"] = json!("0001-01-01T00:00:00Z"));
    odd(&|event| event["timestamp"] = json!(1_768_478_400));
    odd(&|event| event["request"]["useragent"] = json!("staticreg/0.1"));
    odd(&|event| event["request"] = json!([]));
    odd(&|event| event["id"] = json!("no uuid"));
    let answer = server.post(&notification(&with));
    let receipt = answer.json();
    assert_eq!(
        receipt,
        json!({
            "total_events": 17, "events_processed": 3, "events_skipped": 14, "events_duplicate": 0,
            "events_spooled": 0,
            "skipped": {
                "not_a_pull": 4, "not_a_manifest": 2, "invalid_repository": 2, "invalid_tag": 1,
                "invalid_digest": 1, "invalid_timestamp": 3, "own_request": 1,
            },
        })
    );
    assert_eq!(server.pulls(), 3);
}

#[test]
fn a_body_that_is_too_large_is_read_no_further() {
    const LIMIT: usize = 64 * 1024;
    let server = Staticreg::start(&[("STATICREG_WEBHOOK_MAX_BODY", "64KiB")]);
    let head =
        |how: &str| format!("POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\ncontent-type: {NOTIFICATION}\r\n{how}\r\n\r\n");

    // The length is told: nothing of the body is waited for.
    let mut connection = server.connect();
    connection.write(head(&format!("content-length: {}", LIMIT + 1)).as_bytes()).expect("sent");
    let answer = connection.answer().expect("an answer before the body");
    assert_eq!(answer.status, 413);
    assert!(answer.problem().contains("65536"), "{answer:?}");

    // In chunks: the answer comes once the limit is passed.
    let mut connection = server.connect();
    connection.write(head("transfer-encoding: chunked").as_bytes()).expect("sent");
    let chunk = [format!("{LIMIT:x}\r\n").as_bytes(), &vec![b' '; LIMIT], b"\r\n"].concat();
    connection.write(&chunk).expect("sent");
    connection.write(b"1\r\n \r\n").expect("sent");
    assert_eq!(connection.answer().expect("an answer without the end").status, 413);

    // And a body without end is not taken: what is written beyond fits the sockets' buffers.
    let mut connection = server.connect();
    connection.write(head("transfer-encoding: chunked").as_bytes()).expect("sent");
    let chunks = (0..1_000).take_while(|_| connection.write(&chunk).is_ok()).count();
    assert!(chunks * LIMIT < 16 * 1024 * 1024, "{chunks} chunks were taken");

    assert_eq!(server.post(&one_pull()).status, 200);
}

#[test]
fn a_notification_of_too_many_events_is_told_so() {
    let server = Staticreg::start(&[]);
    let body = format!("{{\"events\":[0{}]}}", ",0".repeat(8_000_000));
    let answer = server.connect().request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], body.as_bytes());
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.problem().contains("more than 32768 events"), "{answer:?}");
}

#[test]
fn large_bodies_are_held_only_so_many_at_once_and_small_ones_always_pass() {
    let server = Staticreg::start(&[("STATICREG_HTTP_BODY_TIMEOUT", "30m")]);
    let mut empty = b"{\"events\": []}".to_vec();
    empty.resize(16 << 20, b' ');
    let whole = request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], &empty);
    let (most, rest) = whole.split_at(whole.len() - 1);
    let mut large: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for connection in &mut large {
        connection.write(most).expect("sent");
    }
    large.iter().for_each(Connection::wait_until_read);

    // Only so much that it finds no room, the four having left 32 KiB and a byte each: who still writes when the answer
    // comes may not read it.
    let other = request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], &empty);
    let mut connection = server.connect();
    connection.write(&other[..other.len() - empty.len() + 5 * ((32 << 10) + 1)]).expect("sent");
    let refused = connection.answer().expect("an answer");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("1"), "{refused:?}");
    assert!(refused.problem().contains("send this again"), "{refused:?}");
    assert_eq!(server.post(&one_pull()).json()["events_processed"], 1);

    for connection in &mut large {
        connection.write(rest).expect("sent");
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
    let again = server.connect().request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], &empty);
    assert_eq!(again.expect("an answer").status, 200);
}

#[test]
fn a_body_of_just_the_limit_is_taken_whole_and_in_chunks() {
    let server = Staticreg::start(&[("STATICREG_WEBHOOK_MAX_BODY", "4096")]);
    let mut body = one_pull().to_string().into_bytes();
    body.resize(4096, b' ');
    let mut connection = server.connect();
    let whole = connection.request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], &body).expect("an answer");
    assert_eq!(whole.json()["events_processed"], 1, "{whole:?}");
    let head = format!(
        "POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\ncontent-type: {NOTIFICATION}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    connection.write(head.as_bytes()).expect("sent");
    for part in body.chunks(1000) {
        connection.write(format!("{:x}\r\n", part.len()).as_bytes()).expect("sent");
        connection.write(part).expect("sent");
        connection.write(b"\r\n").expect("sent");
    }
    connection.write(b"0\r\n\r\n").expect("sent");
    assert_eq!(connection.answer().expect("an answer").json()["events_duplicate"], 1);
}

#[test]
fn a_body_that_takes_too_long_is_given_up() {
    let server = Staticreg::start(&[("STATICREG_HTTP_BODY_TIMEOUT", "1s")]);
    let mut connection = server.connect();
    let whole = post(&one_pull());
    let began = Instant::now();
    connection.write(&whole[..whole.len() - 1]).expect("sent");
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(!answer.problem().is_empty());
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(connection.is_closed_within(SOON), "the rest of the body would be taken for a request");
    assert_eq!(server.pulls(), 0);
}

#[test]
fn a_head_that_takes_too_long_is_given_up() {
    let server = Staticreg::start(&[("STATICREG_HTTP_HEADER_TIMEOUT", "1s")]);
    let mut slow = server.connect();
    slow.write(b"POST /api/webhook/registry HTTP/1.1\r\nhost: ").expect("sent");
    let mut idle = server.connect();
    assert!(slow.is_closed_within(SOON) && idle.is_closed_within(SOON));
}

#[test]
fn a_connection_is_used_again_and_requests_may_follow_at_once() {
    let server = Staticreg::start(&[]);
    let mut connection = server.connect();
    for _ in 0..20 {
        assert_eq!(connection.post(&one_pull()).expect("an answer").status, 200);
    }
    let both = [post(&one_pull()), post(&one_pull()), request("GET", "/api/v1/summary", &[], b"")].concat();
    connection.write(&both).expect("sent");
    for _ in 0..2 {
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
    assert_eq!(connection.answer().expect("an answer").json()["pulls_total"], 22);
}

#[test]
fn head_gives_the_headers_of_get_and_no_body() {
    let server = Staticreg::start(&[]);
    for path in ["/docs", "/openapi.json"] {
        let page = server.get(path);
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        write!(stream, "HEAD {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
        for name in ["etag", "content-length", "content-type"] {
            let header = format!("\r\n{name}: {}\r\n", page.header(name).expect(name));
            assert!(answer.contains(&header), "{header} {answer}");
        }
    }
}

#[test]
fn what_is_no_http_gets_no_more_than_an_error() {
    let server = Staticreg::start(&[]);
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut connection = server.connect();
        connection.write(garbage).expect("sent");
        if let Ok(answer) = connection.answer() {
            assert!((400..600).contains(&answer.status), "{answer:?}");
        }
        assert!(connection.is_closed_within(SOON));
    }
    let mut connection = server.connect();
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1024 * 1024));
    // The server may close before everything is written.
    let _ = connection.write(long.as_bytes());
    if let Ok(answer) = connection.answer() {
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    assert_eq!(server.post(&one_pull()).status, 200);
}

#[test]
fn wrong_questions_paths_and_methods_are_told_as_problems() {
    let server = Staticreg::start(&[]);
    for (question, parameter) in [
        ("pulls?from=2026-13-01", "from"),
        ("pulls?from=2026-02-02&to=2026-02-01", "from"),
        ("images?limit=0", "limit"),
        ("images?limit=10000", "limit"),
        ("images?kind=guess", "kind"),
        ("pulls?group_by=mood", "group_by"),
        ("images?cursor=%21", "cursor"),
    ] {
        let answer = server.get(&format!("/api/v1/{question}"));
        assert_eq!(answer.status, 400, "{question}: {answer:?}");
        assert!(answer.problem().contains(parameter), "{question}: {answer:?}");
    }
    for (method, path, status) in [
        ("GET", "/api/nothing", 404),
        ("GET", "/api/v1/", 404),
        ("POST", "/api/v1/images", 405),
        ("DELETE", WEBHOOK, 405),
        ("PUT", WEBHOOK, 405),
        ("GET", WEBHOOK, 405),
        ("GET", "/api/webhook/registry/", 405),
    ] {
        let answer = server.connect().request(method, path, &[], b"").expect("an answer");
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(!answer.problem().is_empty());
    }
    assert!(server.get(WEBHOOK).problem().contains("webhook"));
    let slash = server.connect().request(
        "POST",
        "/api/webhook/registry/",
        &[("content-type", NOTIFICATION)],
        one_pull().to_string().as_bytes(),
    );
    assert_eq!(slash.expect("an answer").json()["events_processed"], 1);
}

on_each_release![
    migrate_makes_the_schema_and_may_be_repeated,
    the_log_lines_people_look_for_are_written_to_the_letter,
    no_secret_is_ever_in_the_log,
    a_database_that_is_away_at_start_is_waited_for_while_the_registry_keeps_its_events,
    a_database_that_is_frozen_at_start_keeps_nobody_waiting,
    sigterm_finishes_what_was_accepted,
];
