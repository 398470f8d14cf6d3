//! What each flag and each variable of the Go staticreg does.

use std::time::Duration;

use crate::{
    arguments,
    settings::{InvalidSettings, LogFormat, Secret, Settings, Sources, TlsMode},
};

/// The sources of a start, as a shell would give them.
fn sources(arguments: &[&str], variables: &[(&str, &str)]) -> Sources {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    arguments::sources_of(arguments, variables)
}

fn read(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
    let given = sources(arguments, variables).read().map_err(|InvalidSettings(sentence)| sentence)?;
    given.settings().map_err(|unusable| given.sentence(&unusable))
}

fn settings(arguments: &[&str], variables: &[(&str, &str)]) -> Settings {
    read(arguments, variables).expect("settings")
}

fn db_url(variables: &[(&str, &str)]) -> Option<String> {
    settings(&[], variables).db.url.as_ref().map(|url| url.expose().to_owned())
}

fn taken_over(arguments: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    sources(arguments, variables).read().expect("readable").taken_over()
}

const HOST: (&str, &str) = ("STATICREG_DB_HOST", "db.example");
const USER: (&str, &str) = ("STATICREG_DB_USER", "staticreg");
const NAME: (&str, &str) = ("STATICREG_DB_NAME", "counts");

#[test]
fn its_manifest_starts() {
    let arguments = ["serve", "--cache-duration", "1m", "--tls-enable", "--json-logging"];
    let variables = [
        ("STATICREG_REGISTRY_HOSTNAME", "registry.example"),
        ("STATICREG_REGISTRY_USER", "reader"),
        ("STATICREG_REGISTRY_PASSWORD", "s3cret"),
        HOST,
        ("STATICREG_DB_PORT", "5432"),
        USER,
        ("STATICREG_DB_PASSWORD", "s3cret"),
        NAME,
        ("STATICREG_DB_MIN_CONNS", "2"),
        ("STATICREG_METRICS_FLUSH_INTERVAL", "10s"),
    ];
    let settings = settings(&arguments, &variables);
    assert_eq!((settings.registry.tls, settings.log.format), (TlsMode::On, LogFormat::Json));
    assert_eq!(settings.registry.hostname.as_deref(), Some("registry.example"));
    assert_eq!(
        settings.db.url.as_ref().map(Secret::expose),
        Some("postgres://staticreg:s3cret@/counts?host=db.example&port=5432&sslmode=require")
    );
    let sources = sources(&arguments, &variables);
    assert_eq!(sources.warnings().collect::<Vec<_>>(), [""; 0]);
    assert_eq!(
        sources.read().expect("readable").taken_over().as_deref(),
        Some(
            "Taken over from the Go staticreg: --tls-enable, --json-logging, STATICREG_DB_HOST and its like. Without \
             meaning here: STATICREG_DB_MIN_CONNS, --cache-duration."
        )
    );
}

#[test]
fn each_flag_means_a_setting() {
    let given = [
        "--registry=registry.example:5000",
        "--user",
        "reader",
        "--password",
        "s3cret",
        "--skip-tls-verify",
        "--verbose",
        "--bind-addr",
        "0.0.0.0:9000",
        "--refresh-interval",
        "1h30m",
        "--requests-per-second",
        "5",
    ];
    let Settings { registry, http, log, .. } = settings(&given, &[]);
    assert_eq!(registry.hostname.as_deref(), Some("registry.example:5000"));
    assert_eq!(registry.user.as_deref(), Some("reader"));
    assert_eq!(registry.password.as_ref().map(Secret::expose), Some("s3cret"));
    assert!(registry.skip_tls_verify);
    assert_eq!(registry.refresh_interval, Duration::from_mins(90));
    assert_eq!(registry.requests_per_second.map(std::num::NonZeroU32::get), Some(5));
    assert_eq!(http.bind_addr.to_string(), "0.0.0.0:9000");
    assert_eq!(format!("{:?}", log.level), format!("{:?}", settings(&["--log-level", "debug"], &[]).log.level));

    let warnings: Vec<_> = sources(&given, &[]).warnings().collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("--password tells a password to every user of this machine"), "{warnings:?}");
    assert!(!format!("{warnings:?} {:?}", taken_over(&given, &[])).contains("s3cret"));
}

#[test]
fn tls_is_as_it_was_there() {
    for (given, expected) in [
        (&["--registry", "r.example"][..], TlsMode::Off),
        (&["--registry", "r.example", "--tls-enable"], TlsMode::On),
        (&["--tls-enable=false"], TlsMode::Off),
        (&["--tls-enable=T"], TlsMode::On),
        (&["--json-logging"], TlsMode::Off),
        (&["--json-logging", "--registry-tls", "on"], TlsMode::On),
        (&["--verbose", "--bind-addr", ":0"], TlsMode::Auto),
        (&["--registry-hostname", "r.example"], TlsMode::Auto),
    ] {
        assert_eq!(settings(given, &[]).registry.tls, expected, "{given:?}");
    }
    assert_eq!(settings(&[], &[("REGISTRY_HOSTNAME", "r.example")]).registry.tls, TlsMode::Off);
    let named = ("STATICREG_REGISTRY_HOSTNAME", "r.example");
    assert_eq!(settings(&[], &[named]).registry.tls, TlsMode::Auto);
    // A start of variables alone is one of the Go program where one of its own is given.
    assert_eq!(settings(&[], &[named, HOST, USER, NAME]).registry.tls, TlsMode::Off);
    assert_eq!(settings(&["--tls-enable"], &[named, HOST, USER, NAME]).registry.tls, TlsMode::On);
    assert_eq!(settings(&[], &[named, ("STATICREG_DB_PORT", "tcp://10.0.0.9:5432")]).registry.tls, TlsMode::Auto);
    assert_eq!(
        taken_over(&[], &[named, HOST, USER, NAME]).as_deref(),
        Some(
            "Taken over from the Go staticreg: STATICREG_DB_HOST and its like. Without --tls-enable the registry is read \
             in plain HTTP."
        )
    );
    assert_eq!(
        taken_over(&["--json-logging"], &[]).as_deref(),
        Some(
            "Taken over from the Go staticreg: --json-logging. The registry is localhost:5000, for no other is \
              named. Without --tls-enable the registry is read in plain HTTP."
        )
    );
    assert_eq!(read(&["--tls-enable=yes"], &[]).expect_err("no"), "--tls-enable: must be true or false.");
}

#[test]
fn the_registry_is_the_one_that_it_reads_when_none_is_named() {
    let hostname = |arguments, variables| settings(arguments, variables).registry.hostname;
    assert_eq!(hostname(&["--tls-enable"], &[]).as_deref(), Some("localhost:5000"));
    let named = [("STATICREG_REGISTRY_HOSTNAME", "r.example")];
    assert_eq!(hostname(&["--tls-enable"], &named).as_deref(), Some("r.example"));
    assert_eq!(hostname(&["--verbose"], &[]), None);
}

#[test]
fn what_has_no_meaning_here_is_taken_and_told() {
    let given = [
        "--tls-enable",
        "--ignored-user-agent",
        "kube-probe",
        "--ignored-user-agent",
        "monitor",
        "--cache-duration",
        "0",
        "--wave-server-url",
        "https://wave.example",
    ];
    settings(&given, &[("WAVE_SERVER_URL", "https://wave.example")]);
    let told = taken_over(&given, &[("STATICREG_DB_MAX_CONN_IDLE_TIME", "30m")]);
    assert_eq!(
        told.as_deref(),
        Some(
            "Taken over from the Go staticreg: --tls-enable. The registry is localhost:5000, for no other is named. \
             Without meaning here: STATICREG_DB_MAX_CONN_IDLE_TIME, \
             --ignored-user-agent (STATICREG_METRICS_IGNORED_USER_AGENTS leaves clients out of the counts), \
             --cache-duration, --wave-server-url."
        )
    );
    assert_eq!(taken_over(&["serve"], &[("PORT", "9000")]), None);
}

#[test]
fn a_database_of_parts_is_one_url() {
    let parts = |more: &[(&'static str, &'static str)]| [&[HOST, USER, NAME], more].concat();
    assert_eq!(db_url(&parts(&[])).as_deref(), Some("postgres://staticreg@/counts?host=db.example&sslmode=require"));
    let odd = [("STATICREG_DB_PASSWORD", "p@ss/w:rd?#%&é"), ("STATICREG_DB_SSLMODE", "disable")];
    assert_eq!(
        db_url(&parts(&odd)).as_deref(),
        Some("postgres://staticreg:p%40ss%2Fw%3Ard%3F%23%25%26%C3%A9@/counts?host=db.example&sslmode=disable")
    );
    for host in ["::1", "[::1]", "/var/run/postgresql"] {
        let url = db_url(&[("STATICREG_DB_HOST", host), USER, NAME]).expect("a URL");
        url.parse::<staticreg_sql::DatabaseUrl>().expect(host);
    }
    // One URL is enough.
    assert_eq!(db_url(&parts(&[("STATICREG_DB_URL", "sqlite://x")])).as_deref(), Some("sqlite://x"));
    assert_eq!(db_url(&parts(&[("DATABASE_URL", "sqlite://x")])), db_url(&parts(&[])));
    // A service called `staticreg-db` names no port of another database.
    assert_eq!(db_url(&parts(&[("STATICREG_DB_PORT", "tcp://10.0.0.9:5432")])), db_url(&parts(&[])));
}

#[test]
fn a_database_that_is_meant_is_never_memory() {
    for (given, sentence) in [
        (&[HOST][..], "STATICREG_DB_HOST names a database, which needs STATICREG_DB_USER and STATICREG_DB_NAME too."),
        (
            &[("STATICREG_DB_SSLMODE", "require")],
            "STATICREG_DB_SSLMODE names a database, which needs STATICREG_DB_HOST and STATICREG_DB_USER and STATICREG_DB_NAME too.",
        ),
        (
            &[("STATICREG_DB_SCHEMA", "pulls")],
            "STATICREG_DB_SCHEMA: names a schema, and no database is named: set STATICREG_DB_URL too.",
        ),
        (&[HOST, USER], "STATICREG_DB_HOST names a database, which needs STATICREG_DB_NAME too."),
        (
            &[("STATICREG_DB_PASSWORD", "s3cret"), USER, NAME],
            "STATICREG_DB_USER names a database, which needs STATICREG_DB_HOST too.",
        ),
    ] {
        assert_eq!(read(&[], given).expect_err("no database"), sentence);
    }
    assert_eq!(db_url(&[("DATABASE_URL", "sqlite://x")]).as_deref(), Some("sqlite://x"));
}

#[test]
fn a_whole_url_wins_wherever_it_comes_from_and_a_port_names_no_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("url");
    std::fs::write(&file, "sqlite://x\n").expect("written");
    let file = file.to_str().expect("text");
    let service = ("STATICREG_DB_PORT", "tcp://10.0.0.9:5432");
    assert_eq!(db_url(&[service]), None);
    for url in [("STATICREG_DB_URL_FILE", file), ("STATICREG_DB_URL", "sqlite://x"), ("DATABASE_URL", "sqlite://x")] {
        assert_eq!(
            db_url(&[service, url, ("STATICREG_DB_PASSWORD", "s3cret")]).as_deref(),
            Some("sqlite://x"),
            "{url:?}"
        );
    }
    let all = [HOST, USER, NAME, ("STATICREG_DB_URL_FILE", file)];
    assert_eq!(db_url(&all).as_deref(), Some("sqlite://x"));
    assert_eq!(taken_over(&[], &all), None, "nothing of it is in force");
    assert_eq!(settings(&["--db-url", "sqlite://x"], &[HOST]).db.url.as_ref().map(Secret::expose), Some("sqlite://x"));
    let told = taken_over(&[], &[("DATABASE_URL", "sqlite://x")]);
    assert_eq!(told.as_deref(), Some("Taken over from the Go staticreg: DATABASE_URL."));
}

#[test]
fn older_names_are_known_and_ours_win() {
    let older = [
        ("REGISTRY_HOSTNAME", "old.example"),
        ("REGISTRY_USER", "old"),
        ("REGISTRY_PASSWORD", "old-secret"),
        ("METRICS_BATCH_SIZE", "7"),
        ("METRICS_FLUSH_INTERVAL", "1.5s"),
        ("METRICS_BUFFER_SIZE", "9"),
        ("PORT", "9000"),
    ];
    let Settings { registry, metrics, http, .. } = settings(&[], &older);
    assert_eq!((registry.hostname.as_deref(), registry.user.as_deref()), (Some("old.example"), Some("old")));
    assert_eq!((metrics.batch_size.get(), metrics.buffer_size.get()), (7, 9));
    assert_eq!(metrics.flush_interval, Duration::from_millis(1500));
    assert_eq!(http.bind_addr.to_string(), ":9000");

    let ours = [("STATICREG_REGISTRY_HOSTNAME", "new.example"), ("STATICREG_HTTP_BIND_ADDR", "127.0.0.1:1")];
    let settings = settings(&["--registry-user", "new", "--user", "go"], &[&older[..], &ours].concat());
    assert_eq!(settings.registry.hostname.as_deref(), Some("new.example"));
    assert_eq!(settings.registry.user.as_deref(), Some("new"));
    assert_eq!(settings.http.bind_addr.to_string(), "127.0.0.1:1");
}

#[test]
fn a_flag_wins_over_a_variable_and_is_named_when_it_is_wrong() {
    let variable = [("STATICREG_HTTP_BIND_ADDR", "0.0.0.0:8093")];
    assert_eq!(settings(&["--bind-addr", ":1"], &variable).http.bind_addr.to_string(), ":1");
    let sentence = read(&["--refresh-interval", "soon"], &[]).expect_err("no duration");
    assert!(sentence.starts_with("--refresh-interval: must be a duration"), "{sentence}");
}

#[test]
fn values_that_it_takes_start_here_too() {
    settings(&[], &[("REGISTRY_HOSTNAME", "registry.example"), ("REGISTRY_PASSWORD", "s3cret")]);
    let defaults = settings(&[], &[]);
    let zeros = ["--refresh-interval", "0", "--requests-per-second", "0"];
    let none = settings(&zeros, &[("METRICS_BATCH_SIZE", "0")]);
    assert_eq!(none.registry.refresh_interval, defaults.registry.refresh_interval);
    assert_eq!(none.registry.requests_per_second, None);
    assert_eq!(none.metrics.batch_size, defaults.metrics.batch_size);
    let told = taken_over(&zeros, &[]).expect("a line");
    assert!(told.contains("--refresh-interval of zero, --requests-per-second of zero"), "{told}");
    for (given, expected) in [("500ms", 1), ("+1s", 1), ("1h30m", 5_400)] {
        let interval = settings(&["--refresh-interval", given], &[]).registry.refresh_interval;
        assert_eq!(interval, Duration::from_secs(expected), "{given}");
    }
    assert_eq!(settings(&[], &[("PORT", ":18199")]).http.bind_addr, settings(&[], &[("PORT", "18199")]).http.bind_addr);
}
