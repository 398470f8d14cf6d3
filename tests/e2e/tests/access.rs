//! Who may post and who may read, with the real program and a real registry.

use std::{fs, path::Path, process::Command, time::Duration};

use staticreg_e2e::{
    Staticreg,
    client::{Connection, NOTIFICATION, WEBHOOK},
    events::{next_number, notification, pull},
    eventually,
};
use staticreg_test_support::registry::{Image, Registry, RegistryOptions};

/// How long what comes by itself may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

const TOKEN: &str = "geheim-1";
const NEXT_TOKEN: &str = "geheim-2";

/// The status of a notification of one new pull.
fn post(server: &Staticreg, headers: &[(&str, &str)]) -> u16 {
    let headers = [&[("content-type", NOTIFICATION)], headers].concat();
    let body = notification(&[pull(next_number())]).to_string();
    let answer = server.connect().request("POST", WEBHOOK, &headers, body.as_bytes());
    answer.expect("an answer").status
}

/// Puts another file in the place of one, as Kubernetes and editors do.
fn replace(file: &Path, content: &str) {
    let next = file.with_extension("next");
    fs::write(&next, content).expect("written");
    fs::rename(next, file).expect("moved");
}

#[test]
fn a_registry_with_the_token_is_counted_and_the_token_can_be_changed_without_a_gap() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tokens");
    replace(&file, &format!("{TOKEN}\n"));
    let server = Staticreg::start(&[("STATICREG_WEBHOOK_TOKENS_FILE", file.to_str().expect("text"))]);
    // printf 'registry:geheim-1' | base64
    let authorization = Some("Basic cmVnaXN0cnk6Z2VoZWltLTE=".to_owned());
    let registry = Registry::start(&server.url(WEBHOOK), &RegistryOptions { authorization, ..Default::default() });
    registry.push(&Image::single("one"), "library/app:v1");
    registry.pull("library/app:v1");
    eventually("the registry's pull is counted", LIMIT, || (server.pulls() == 1).then_some(()));

    let (old, new) = (format!("Bearer {TOKEN}"), format!("Bearer {NEXT_TOKEN}"));
    let is = |header: &str, expected: u16| (post(&server, &[("authorization", header)]) == expected).then_some(());
    assert_eq!((post(&server, &[]), is(&new, 401)), (401, Some(())));
    replace(&file, &format!("{TOKEN}\n{NEXT_TOKEN}\n"));
    eventually("both are let in", LIMIT, || is(&new, 200).and(is(&old, 200)));
    fs::remove_file(&file).expect("removed");
    server.wait_for_line("stays in force", LIMIT);
    assert_eq!(is(&old, 200), Some(()));
    replace(&file, &format!("{NEXT_TOKEN}\n"));
    eventually("the old one is not", LIMIT, || is(&old, 401));
    assert_eq!(is(&new, 200), Some(()));
    replace(&file, "");
    eventually("nobody is", LIMIT, || is(&new, 401));
    server.wait_for_line("A POST to the webhook was refused: it had neither a token nor a signature", LIMIT);
    assert!(!server.log().contains("geheim"), "{}", server.log());
}

#[test]
fn a_server_that_anybody_reaches_says_so() {
    const WORDS: &str = "can post notifications";
    let warns = |address: &str, environment: &[(&str, &str)]| {
        let server = Staticreg::start_at(address, environment);
        server.log().contains(WORDS)
    };
    assert!(warns("0.0.0.0:0", &[]));
    assert!(!warns("127.0.0.1:0", &[]));
    assert!(!warns("0.0.0.0:0", &[("STATICREG_WEBHOOK_TOKENS", TOKEN)]));
    assert!(!warns("0.0.0.0:0", &[("STATICREG_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8, ::1")]));
}

/// The status of a page, asked for by some name.
fn get(server: &Staticreg, host: &str) -> u16 {
    get_at(server.address().port(), "/insights", host)
}

fn get_at(port: u16, path: &str, host: &str) -> u16 {
    let mut connection = Connection::open(([127, 0, 0, 1], port).into()).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    connection.write(request.as_bytes()).expect("sent");
    connection.answer().expect("an answer").status
}

#[test]
fn on_loopback_it_answers_to_its_own_names_only() {
    let output = Command::new("uname").arg("--nodename").output().expect("every Linux has uname");
    let own = String::from_utf8(output.stdout).expect("text").trim().to_owned();
    let server = Staticreg::start(&[]);
    for (host, status) in
        [("127.0.0.1", 200), ("[::1]:8093", 200), ("localhost", 200), (&own, 200), ("evil.example", 421)]
    {
        assert_eq!(get(&server, host), status, "{host}");
    }
    let server = Staticreg::start(&[("STATICREG_HTTP_ALLOWED_HOSTS", "counts.example.com")]);
    assert_eq!((get(&server, "counts.example.com:443"), get(&server, "evil.example")), (200, 421));
    // Where others reach it anyway, every name is as good as another until some are given.
    let everywhere = Staticreg::start_at("0.0.0.0:0", &[]);
    assert_eq!(get(&everywhere, "evil.example"), 200);
    let named = Staticreg::start_at("0.0.0.0:0", &[("STATICREG_HTTP_ALLOWED_HOSTS", "counts.example.com")]);
    assert_eq!((get(&named, "counts.example.com"), get(&named, "evil.example")), (200, 421));
}

#[test]
fn each_listener_answers_to_the_names_of_its_own_address() {
    for (main, webhook, statuses) in
        [("127.0.0.1:0", "0.0.0.0:0", (421, 200)), ("0.0.0.0:0", "127.0.0.1:0", (200, 421))]
    {
        let server = Staticreg::start_at(main, &[("STATICREG_WEBHOOK_BIND_ADDR", webhook)]);
        let line = server.line("Listening for notifications on http://", LIMIT);
        let port = line.rsplit_once(':').expect("a port").1.trim().parse().expect("a port");
        let asked = |port| get_at(port, "/healthz", "evil.example");
        assert_eq!((asked(server.address().port()), asked(port)), statuses, "{main} {webhook}");
        let warns = server.log().contains("can post notifications");
        assert_eq!(warns, webhook.starts_with("0.0.0.0"), "{}", server.log());
    }
}

#[test]
fn what_cannot_be_used_ends_the_start_and_tells_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let (malformed, empty) = (file("malformed", "# readers\nalice:geheim\n"), file("empty", "# nobody\n"));
    for (variables, name, reason) in [
        (
            &[("STATICREG_WEBHOOK_SIGNATURE_SECRETS", "whsec_geheim!")][..],
            "STATICREG_WEBHOOK_SIGNATURE_SECRETS",
            "one begins with whsec_, and what follows is no base64",
        ),
        (
            &[("STATICREG_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8,10.0.0")],
            "STATICREG_WEBHOOK_ALLOWED_NETWORKS",
            "`10.0.0` is no network",
        ),
        (
            &[("STATICREG_HTTP_TRUSTED_PROXIES", "proxy.example")],
            "STATICREG_HTTP_TRUSTED_PROXIES",
            "`proxy.example` is no network",
        ),
        (
            &[("STATICREG_HTTP_ALLOWED_HOSTS", "https://counts.example.com")],
            "STATICREG_HTTP_ALLOWED_HOSTS",
            "is no name; leave out scheme and port",
        ),
        (
            &[("STATICREG_WEBHOOK_TOKENS_FILE", "/nowhere/tokens")],
            "STATICREG_WEBHOOK_TOKENS_FILE",
            "the file /nowhere/tokens cannot be read",
        ),
        (&[("STATICREG_ACCESS_READ", "some")], "STATICREG_ACCESS_READ", "must be anyone or signed_in, not `some`"),
        (
            &[("STATICREG_ACCESS_READ", "signed_in")],
            "STATICREG_ACCESS_READ",
            "is `signed_in`, but nobody can sign in: set STATICREG_ACCESS_USERS_FILE, or",
        ),
        (&[("STATICREG_ACCESS_BADGES", "signed_in")], "STATICREG_ACCESS_BADGES", "but nobody can sign in"),
        (
            &[("STATICREG_ACCESS_USERS_FILE", "/nowhere/users")],
            "STATICREG_ACCESS_USERS_FILE",
            "the file /nowhere/users cannot be read",
        ),
        (
            &[("STATICREG_ACCESS_USERS_FILE", &*malformed)],
            "STATICREG_ACCESS_USERS_FILE",
            "cannot be used: line 2: its hash is neither bcrypt nor argon2id",
        ),
        (
            &[("STATICREG_ACCESS_USERS_FILE", &*empty), ("STATICREG_ACCESS_READ", "signed_in")],
            "STATICREG_ACCESS_USERS_FILE",
            "holds no user; `htpasswd -B` adds one",
        ),
        (
            &[("STATICREG_ACCESS_PROXY_HEADER", "Remote-User")],
            "STATICREG_ACCESS_PROXY_HEADER",
            "needs http.trusted_proxies (STATICREG_HTTP_TRUSTED_PROXIES) too",
        ),
        (
            &[("STATICREG_ACCESS_PROXY_HEADER", "Authorization")],
            "STATICREG_ACCESS_PROXY_HEADER",
            "clients send this header who have not signed in",
        ),
    ] {
        let environment = [variables, &[("STATICREG_HTTP_BIND_ADDR", "127.0.0.1:0")]].concat();
        let ended = Staticreg::run(&[], &environment);
        let said = [ended.stdout, ended.stderr].concat();
        assert!(!ended.status.success() && said.contains(&format!("staticreg: {name}: ")), "{said}");
        assert!(said.contains(reason) && !said.contains("geheim"), "{said}");
    }
}

/// The hash of `r1ght`, made by Python's bcrypt.
const HASH: &str = "$2b$04$KbQiZ0X0Jm4eJm5kC0dL1u5OxZBXa9w0hfY/zSdHqkXN/6Vkvw.Ii";

/// `alice:r1ght` and `bob:r1ght`, by `base64`.
const ALICE: &str = "Basic YWxpY2U6cjFnaHQ=";
const BOB: &str = "Basic Ym9iOnIxZ2h0";

#[test]
fn users_sign_in_by_a_file_that_may_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users");
    replace(&file, &format!("alice:{HASH}\n"));
    let server = Staticreg::start(&[
        ("STATICREG_ACCESS_READ", "signed_in"),
        ("STATICREG_ACCESS_USERS_FILE", file.to_str().expect("text")),
    ]);
    let is = |authorization: &str, expected: u16| {
        let headers = [("authorization", authorization)];
        let answer = server.connect().request("GET", "/api/v1/summary", &headers, b"").expect("an answer");
        (answer.status == expected).then_some(())
    };
    assert_eq!((is(ALICE, 200), is(BOB, 401), server.get("/").status), (Some(()), Some(()), 401));
    // Neither the registry nor the health check of the image signs in.
    assert_eq!((post(&server, &[]), server.get("/healthz/db").status), (200, 200));
    let port = server.address().port().to_string();
    assert!(Staticreg::run(&["health", "--http-bind-addr", &port], &[]).status.success());

    replace(&file, &format!("bob:{HASH}\nalice:{HASH}\n"));
    eventually("bob is let in", LIMIT, || is(BOB, 200));
    fs::remove_file(&file).expect("removed");
    server.wait_for_line("cannot be used: No such file or directory (os error 2). What it held before stays", LIMIT);
    assert_eq!(is(ALICE, 200).and(is(BOB, 200)), Some(()));
    replace(&file, &format!("bob:{HASH}\nalice:r1ght\n"));
    // A further look, which tells nothing.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(is(ALICE, 200).and(is(BOB, 200)), Some(()));
    replace(&file, &format!("bob:{HASH}\n"));
    eventually("alice is not let in", LIMIT, || is(ALICE, 401));
    assert_eq!(is(BOB, 200), Some(()));
    let log = server.log();
    assert_eq!(log.matches("cannot be used").count(), 1, "{log}");
    assert!(!log.contains("r1ght") && !log.contains("$2b$"), "{log}");
}

#[test]
fn what_changes_nothing_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users");
    fs::write(&file, format!("alice:{HASH}\n")).expect("written");
    let server = Staticreg::start(&[("STATICREG_ACCESS_USERS_FILE", file.to_str().expect("text"))]);
    server.wait_for_line("Nobody is asked to sign in, for anyone may read.", LIMIT);
    assert_eq!(server.get("/").status, 200);
}
