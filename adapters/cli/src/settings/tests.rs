//! Where values come from, and what is said of wrong ones.

use std::{io::Write as _, path::Path, time::Duration};

use staticreg_http::access::Networks;

use super::*;

fn variables(pairs: &[(&str, &str)]) -> Sources {
    let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    Sources { variables, ..Sources::default() }
}

fn flags(pairs: &[(&'static str, &str)]) -> Sources {
    let flags = pairs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    Sources { flags, ..Sources::default() }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "{text}").expect("written");
    file
}

fn in_file(file: &tempfile::NamedTempFile) -> Sources {
    Sources { file: Some(file.path().to_owned()), ..Sources::default() }
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn read(sources: &Sources) -> Result<Settings, String> {
    let given = sources.read().map_err(|InvalidSettings(sentence)| sentence)?;
    given.settings().map_err(|unusable| given.sentence(&unusable))
}

fn settings(sources: &Sources) -> Settings {
    read(sources).expect("settings")
}

/// The one sentence that ends the start.
fn error(sources: &Sources) -> String {
    let sentence = read(sources).expect_err("an error");
    assert!(sentence.ends_with('.') && !sentence.contains('\n'), "{sentence}");
    sentence
}

#[test]
fn the_defaults_are_complete() {
    let settings = settings(&Sources::default());
    assert_eq!(settings.http.bind_addr.to_string(), "127.0.0.1:8093");
    assert_eq!(settings.webhook.max_body.bytes(), 16 * 1024 * 1024);
    assert_eq!(settings.metrics.patience, Duration::from_secs(3));
    assert_eq!(settings.metrics.flush_interval, Duration::ZERO);
    assert_eq!(settings.metrics.ignored_user_agents, [""; 0]);
    assert_eq!(settings.db.url, None);
}

#[test]
fn flags_win_over_variables_over_the_file_over_the_defaults() {
    let file = file("[metrics]\nbatch_size = 1\nbuffer_size = 2\npatience = \"1s\"");
    let sources = Sources {
        flags: vec![("metrics.batch_size", "30".to_owned())],
        file: Some(file.path().to_owned()),
        ..variables(&[("STATICREG_METRICS_BATCH_SIZE", "10"), ("STATICREG_METRICS_BUFFER_SIZE", "20")])
    };
    let metrics = settings(&sources).metrics;
    assert_eq!((metrics.batch_size.get(), metrics.buffer_size.get()), (30, 20));
    assert_eq!(metrics.patience, Duration::from_secs(1));
    assert_eq!(metrics.memory_rows.get(), 1_000_000);
}

#[test]
fn texts_are_taken_as_they_are() {
    let settings = settings(&variables(&[
        ("STATICREG_REGISTRY_USER", "true"),
        ("STATICREG_REGISTRY_PASSWORD", " 0012345"),
        ("STATICREG_DB_URL", "postgres://u:[p]@h/d?x=1"),
        ("STATICREG_METRICS_IGNORED_USER_AGENTS", "trivy, Renovate,"),
    ]));
    assert_eq!(settings.registry.user.as_deref(), Some("true"));
    assert_eq!(settings.registry.password.as_ref().map(Secret::expose), Some(" 0012345"));
    assert_eq!(settings.db.url.as_ref().map(Secret::expose), Some("postgres://u:[p]@h/d?x=1"));
    assert_eq!(settings.metrics.ignored_user_agents, ["trivy", "Renovate"]);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("0012345") && !shown.contains("[p]"), "{shown}");
}

#[test]
fn the_file_may_quote_a_number_or_not_and_list_words() {
    let file = file(
        "[registry]\nuser = \"u\"\npassword = 12345\nskip_tls_verify = \"true\"\n\
         [metrics]\nbatch_size = \"7\"\nbuffer_size = 1_000\nignored_user_agents = [\"a,b\", \"c\"]",
    );
    let settings = settings(&in_file(&file));
    assert_eq!(settings.registry.password.as_ref().map(Secret::expose), Some("12345"));
    assert!(settings.registry.skip_tls_verify);
    assert_eq!((settings.metrics.batch_size.get(), settings.metrics.buffer_size.get()), (7, 1_000));
    assert_eq!(settings.metrics.ignored_user_agents, ["a,b", "c"]);
}

#[test]
fn a_wrong_value_is_told_in_one_sentence_with_its_variable() {
    let whole = "must be a whole number from 1 to 100000, such as 2000, not";
    for (name, value, reason) in [
        ("STATICREG_METRICS_BATCH_SIZE", "0", format!("{whole} `0`")),
        ("STATICREG_METRICS_BATCH_SIZE", "-1", format!("{whole} `-1`")),
        ("STATICREG_METRICS_BATCH_SIZE", "1.5", format!("{whole} `1.5`")),
        ("STATICREG_METRICS_BATCH_SIZE", "many", format!("{whole} `many`")),
        ("STATICREG_METRICS_BATCH_SIZE", "100001", format!("{whole} `100001`")),
        ("STATICREG_METRICS_BATCH_SIZE", " ", format!("{whole} empty")),
        ("STATICREG_HTTP_MAX_CONNECTIONS", "18446744073709551615", "not `18446744073709551615`".to_owned()),
        ("STATICREG_METRICS_BUFFER_SIZE", "18446744073709551615", "not `18446744073709551615`".to_owned()),
        ("STATICREG_DB_MAX_CONNS", "5000000000", "a whole number from 1 to 10000".to_owned()),
        ("STATICREG_SPOOL_MAX_EVENTS", "0", "a whole number from 1 to".to_owned()),
        ("STATICREG_WEBHOOK_MAX_BODY", "0", "a size from 1KiB to 1GiB, such as 16MiB, not `0`".to_owned()),
        ("STATICREG_WEBHOOK_MAX_BODY", "big", "a size from 1KiB to 1GiB, such as 16MiB, not `big`".to_owned()),
        ("STATICREG_METRICS_PATIENCE", "soon", "a duration from 1ms to 1h, such as 3s, not `soon`".to_owned()),
        ("STATICREG_METRICS_PATIENCE", "0", "a duration from 1ms to 1h, such as 3s, not `0`".to_owned()),
        ("STATICREG_METRICS_PATIENCE", "3", "such as 3s, not `3`; 3s would be seconds".to_owned()),
        ("STATICREG_METRICS_PATIENCE", "999999999999h", "not `999999999999h`".to_owned()),
        ("STATICREG_METRICS_DEDUPE_WINDOW", "500000000y", "not `500000000y`".to_owned()),
        ("STATICREG_REGISTRY_REFRESH_INTERVAL", "0s", "a duration from 1s to 365d".to_owned()),
        ("STATICREG_REGISTRY_USER", "a:b", "holds a colon".to_owned()),
        ("STATICREG_REGISTRY_PUBLIC_NAME", "-v", "expected HOST or HOST:PORT".to_owned()),
        ("STATICREG_METRICS_COUNTING", "all", "must be classified or tagged, not `all`".to_owned()),
        ("STATICREG_LOG_FORMAT", "xml", "must be text or json, not `xml`".to_owned()),
        ("STATICREG_LOG_LEVEL", "inof", "not `inof`; `inof` is neither a level nor".to_owned()),
        ("STATICREG_REGISTRY_SKIP_TLS_VERIFY", "perhaps", "must be true or false, not `perhaps`".to_owned()),
        ("STATICREG_REGISTRY_TLS", "maybe", "must be auto or on or off, not `maybe`".to_owned()),
        ("STATICREG_HTTP_BIND_ADDR", "::1:8093", "an IPv6 address stands in brackets: [::1]:8093".to_owned()),
        ("STATICREG_DB_SCHEMA", "a\nb", "not `a\\nb`; not a schema name".to_owned()),
        ("STATICREG_REGISTRY_PUBLIC_NAME", "https://registry.example", "without https://".to_owned()),
        ("STATICREG_HTTP_TRUSTED_PROXIES", "10.0.0.0/8,x", "not `10.0.0.0/8,x`; `x` is no network".to_owned()),
        ("STATICREG_HTTP_ALLOWED_HOSTS", "a:80", "`a:80` is no name; leave out scheme and port".to_owned()),
        ("STATICREG_HTTP_TLS_CERT", "a", "needs http.tls_key (STATICREG_HTTP_TLS_KEY) too".to_owned()),
        ("STATICREG_HTTP_TLS_KEY", "a", "needs http.tls_cert (STATICREG_HTTP_TLS_CERT) too".to_owned()),
        ("STATICREG_HTTP_TLS_CLIENT_CA", "a", "needs http.tls_cert (STATICREG_HTTP_TLS_CERT) too".to_owned()),
    ] {
        let told = error(&variables(&[(name, value)]));
        assert!(told.starts_with(&format!("{name}: ")) && told.contains(&reason), "{told}");
    }
}

#[test]
fn what_is_wrong_is_named_as_it_was_given() {
    assert!(error(&flags(&[("metrics.batch_size", "0")])).starts_with("--metrics-batch-size: must be"));
    assert!(error(&flags(&[("http.bind_addr", "")])).starts_with("--http-bind-addr: must be"));
    let file = file("[metrics]\nbatch_size = [1]");
    let told = error(&in_file(&file));
    assert!(told.starts_with(&format!("{}: metrics.batch_size: must be", shown(file.path()))), "{told}");
    assert!(told.ends_with("not a list."), "{told}");
    let both = Sources { flags: vec![("metrics.batch_size", "0".to_owned())], ..in_file(&file) };
    assert!(error(&both).starts_with("--metrics-batch-size: "));

    let given = flags(&[("db.url", "sqlite://x")]).read().expect("settings");
    assert_eq!(given.sentence(&Unusable::new("db.url", "no")), "--db-url: no.");
    assert_eq!(given.sentence(&Unusable::new("http.bind_addr", "no")), "STATICREG_HTTP_BIND_ADDR: no.");
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let (url, password) = (file("sqlite://x\n"), file("s3 cret\r\n"));
    let configuration = file(&format!("[registry]\nuser = \"u\"\npassword_file = \"{}\"", shown(password.path())));
    let sources = Sources {
        file: Some(configuration.path().to_owned()),
        ..variables(&[("STATICREG_DB_URL_FILE", shown(url.path()))])
    };
    let settings = settings(&sources);
    assert_eq!(settings.db.url.as_ref().map(Secret::expose), Some("sqlite://x"));
    assert_eq!(settings.registry.password.as_ref().map(Secret::expose), Some("s3 cret"));
    assert!(!format!("{settings:?}").contains("s3 cret"));

    let given = sources.read().expect("settings");
    assert_eq!(given.sentence(&Unusable::new("db.url", "no")), "STATICREG_DB_URL_FILE: no.");
}

#[test]
fn a_secret_and_its_file_win_by_their_place_and_are_never_given_together() {
    let url = file("sqlite://held");
    let named = shown(url.path());
    let by_flag =
        Sources { flags: vec![("db.url_file", named.to_owned())], ..variables(&[("STATICREG_DB_URL", "sqlite://x")]) };
    assert_eq!(settings(&by_flag).db.url.as_ref().map(Secret::expose), Some("sqlite://held"));
    let by_variable = Sources { file: Some("/nowhere".into()), ..variables(&[("STATICREG_DB_URL", "sqlite://x")]) };
    assert!(error(&by_variable).contains("/nowhere"), "a configuration file must be there");
    let configuration = file(&format!("[db]\nurl_file = \"{named}\""));
    let over_the_file =
        Sources { file: Some(configuration.path().to_owned()), ..variables(&[("STATICREG_DB_URL", "sqlite://x")]) };
    assert_eq!(settings(&over_the_file).db.url.as_ref().map(Secret::expose), Some("sqlite://x"));

    let both = variables(&[("STATICREG_DB_URL", "sqlite://x"), ("STATICREG_DB_URL_FILE", named)]);
    assert_eq!(error(&both), "STATICREG_DB_URL and STATICREG_DB_URL_FILE: both are given, keep one.");
    let both = flags(&[("registry.password", "s3cret"), ("registry.password_file", named)]);
    assert_eq!(error(&both), "--registry-password and --registry-password-file: both are given, keep one.");
    let both = file(&format!("[db]\nurl = \"sqlite://x\"\nurl_file = \"{named}\""));
    let told = error(&in_file(&both));
    assert!(told.contains("db.url and ") && told.contains("db.url_file: both are given"), "{told}");
}

fn exposed(list: Option<&SecretList>) -> Option<Vec<&str>> {
    list.map(|list| list.expose().collect())
}

#[test]
fn a_list_of_secrets_stands_in_a_variable_by_comma_or_in_a_file_one_a_line() {
    let by_variable = settings(&variables(&[("STATICREG_WEBHOOK_TOKENS", "one, two,,")])).webhook;
    assert_eq!(exposed(by_variable.tokens.as_ref()), Some(vec!["one", "two"]));
    assert_eq!((by_variable.tokens.and_then(|list| list.file), by_variable.signature_secrets), (None, None));

    let lines = file("one,two\n\n three\r\n");
    let by_file = settings(&variables(&[("STATICREG_WEBHOOK_SIGNATURE_SECRETS_FILE", shown(lines.path()))])).webhook;
    let list = by_file.signature_secrets.as_ref();
    assert_eq!(exposed(list), Some(vec!["one,two", "three"]));
    assert_eq!(list.and_then(|list| list.file.as_deref()), Some(lines.path()));
    assert!(!format!("{by_file:?}").contains("three"));

    let both =
        variables(&[("STATICREG_WEBHOOK_TOKENS", "one"), ("STATICREG_WEBHOOK_TOKENS_FILE", shown(lines.path()))]);
    assert_eq!(error(&both), "STATICREG_WEBHOOK_TOKENS and STATICREG_WEBHOOK_TOKENS_FILE: both are given, keep one.");
}

#[test]
fn a_list_that_is_given_and_empty_is_not_the_same_as_none() {
    let empty = file("\n");
    for sources in [
        variables(&[("STATICREG_WEBHOOK_TOKENS", ",")]),
        variables(&[("STATICREG_WEBHOOK_TOKENS_FILE", shown(empty.path()))]),
        flags(&[("webhook.tokens", "")]),
        in_file(&file("[webhook]\ntokens = []")),
        in_file(&file("[webhook]\ntokens = \"\"")),
    ] {
        assert_eq!(exposed(settings(&sources).webhook.tokens.as_ref()), Some(vec![]));
    }
    assert_eq!(settings(&variables(&[("STATICREG_WEBHOOK_TOKENS", "")])).webhook.tokens, None);
    let networks = |sources: &Sources| settings(sources).webhook.allowed_networks;
    assert_eq!(networks(&Sources::default()), None);
    assert_eq!(networks(&variables(&[("STATICREG_WEBHOOK_ALLOWED_NETWORKS", ",")])), Some(Networks::default()));
}

#[test]
fn networks_and_names_are_lists() {
    let sources = variables(&[
        ("STATICREG_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8, ::1"),
        ("STATICREG_HTTP_ALLOWED_HOSTS", "a.example,b"),
    ]);
    let configuration = file("[http]\ntrusted_proxies = [\"192.0.2.1\"]");
    let settings = settings(&Sources { file: Some(configuration.path().to_owned()), ..sources });
    let networks = |texts: &[&str]| Networks::parse(texts.iter().copied()).expect("networks");
    assert_eq!(settings.webhook.allowed_networks, Some(networks(&["10.0.0.0/8", "::1"])));
    assert_eq!(settings.http.trusted_proxies, networks(&["192.0.2.1"]));
    assert_eq!(settings.http.allowed_hosts.0, ["a.example", "b"]);
}

#[test]
fn a_file_of_a_secret_that_cannot_be_read_is_told() {
    for path in ["/nowhere/secret", "/", "/dev/null"] {
        let told = error(&variables(&[("STATICREG_REGISTRY_PASSWORD_FILE", path)]));
        let start = format!("STATICREG_REGISTRY_PASSWORD_FILE: the file {path} cannot be read: ");
        assert!(told.starts_with(&start), "{told}");
    }
}

#[test]
fn an_unknown_key_of_the_file_is_an_error() {
    for (text, name) in [
        ("[metrics]\nbatchsize = 1", "metrics.batchsize"),
        ("[metric]\nx = 1", "metric"),
        ("bind_addr = \":1\"", "bind_addr"),
        ("http = 1", "http"),
        ("[http]\nbind_addr_file = \"x\"", "http.bind_addr_file"),
    ] {
        let told = error(&in_file(&file(text)));
        assert!(told.ends_with(&format!(": there is no setting `{name}`.")), "{told}");
    }
}

#[test]
fn a_file_that_cannot_be_read_or_parsed_is_an_error() {
    let missing = Sources { file: Some("/nowhere/staticreg.toml".into()), ..Sources::default() };
    assert!(error(&missing).starts_with("The configuration file /nowhere/staticreg.toml cannot be read"));
    for (text, line) in
        [("[registry]\npassword = \"verschwiegen", 2), ("[http]\n\nport =", 3), ("[a]\n[a]", 2), ("=", 1)]
    {
        let broken = file(text);
        let told = error(&in_file(&broken));
        assert!(told.starts_with(&format!("{}: line {line}: ", shown(broken.path()))), "{told}");
        assert!(!told.contains("verschwiegen"), "{told}");
    }
}

#[test]
fn no_wrong_secret_shows() {
    let broken = file("[db]\nurl = [\"verschwiegen\"]");
    let told = error(&in_file(&broken));
    assert!(told.ends_with("db.url: must be a text."), "{told}");
}

#[test]
fn what_stops_nothing_is_a_warning() {
    let sources = Sources {
        flags: vec![
            ("db.url", "postgres://u:verschwiegen@h/d".to_owned()),
            ("registry.password", "verschwiegen".to_owned()),
            ("registry.user", "u".to_owned()),
        ],
        // The second is of a service of Kubernetes, the last of nobody.
        ..variables(&[
            ("STATICREG_PROT", "8093"),
            ("STATICREG_PORT", "tcp://10.0.0.1:8093"),
            ("STATICREG_LOG_LEVEL", "debug"),
            ("PATH", ""),
        ])
    };
    let warnings: Vec<_> = sources.warnings().collect();
    assert_eq!(warnings[0], "STATICREG_PROT is no setting of staticreg and changes nothing.");
    for (warning, flag, variable) in [
        (
            &warnings[1],
            "--db-url tells a password",
            "Set STATICREG_DB_URL, or name a file that holds it with STATICREG_DB_URL_FILE.",
        ),
        (&warnings[2], "--registry-password tells a password", "with STATICREG_REGISTRY_PASSWORD_FILE."),
    ] {
        assert!(warning.starts_with(flag) && warning.ends_with(variable), "{warning}");
        assert!(!warning.contains("verschwiegen"), "{warning}");
    }
    assert_eq!(warnings.len(), 3);
    read(&sources).expect("settings");
    assert_eq!(flags(&[("db.url", "sqlite://counts.db")]).warnings().count(), 0);
}

#[test]
fn an_empty_variable_that_keeps_nobody_out_is_told() {
    let given =
        [("STATICREG_WEBHOOK_TOKENS", ""), ("STATICREG_WEBHOOK_SIGNATURE_SECRETS_FILE", ""), ("STATICREG_DB_URL", "")];
    let told: Vec<_> = variables(&given).warnings().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("STATICREG_WEBHOOK_TOKENS is set and empty"), "{told:?}");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    assert_eq!(settings(&variables(&[("STATICREG_DB_URL", "")])).db.url, None);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_told() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = std::ffi::OsString::from_vec(vec![b's', 0xff]);
    let sources = Sources { variables: vec![("STATICREG_DB_URL".to_owned(), value)], ..Sources::default() };
    assert_eq!(error(&sources), "STATICREG_DB_URL: must be UTF-8 text.");
}

#[test]
fn counts_are_kept_by_day_for_two_months_at_least() {
    let kept = settings(&variables(&[("STATICREG_RETENTION_DAILY", "400d"), ("STATICREG_RETENTION_TOTAL", "400d")]));
    assert_eq!(kept.retention.daily, Some(Duration::from_hours(24 * 400)));
    assert!(kept.retention.digests);
    for (given, told) in [
        (&[("STATICREG_RETENTION_DAILY", "61d")][..], "STATICREG_RETENTION_DAILY: counts of the last two months"),
        (&[("STATICREG_RETENTION_TOTAL", "30d")], "STATICREG_RETENTION_TOTAL: counts of the last two months"),
        (
            &[("STATICREG_RETENTION_DAILY", "400d"), ("STATICREG_RETENTION_TOTAL", "399d")],
            "STATICREG_RETENTION_TOTAL: is shorter than retention.daily",
        ),
        (&[("STATICREG_RETENTION_DIGESTS", "false")], "STATICREG_RETENTION_DIGESTS: needs retention.daily"),
    ] {
        let error = error(&variables(given));
        assert!(error.starts_with(told), "{error}");
    }
}
