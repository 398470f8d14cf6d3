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
    let address = ([127, 0, 0, 1], server.address().port()).into();
    let mut connection = Connection::open(address).expect("a connection");
    let request = format!("GET /insights HTTP/1.1\r\nhost: {host}\r\n\r\n");
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
fn what_cannot_be_used_ends_the_start_and_tells_no_secret() {
    for (name, value, reason) in [
        (
            "STATICREG_WEBHOOK_SIGNATURE_SECRETS",
            "whsec_geheim!",
            "one begins with whsec_, and what follows is no base64",
        ),
        ("STATICREG_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8,10.0.0", "`10.0.0` is no network"),
        ("STATICREG_HTTP_TRUSTED_PROXIES", "proxy.example", "`proxy.example` is no network"),
        ("STATICREG_HTTP_ALLOWED_HOSTS", "https://counts.example.com", "is no name; leave out scheme and port"),
        ("STATICREG_WEBHOOK_TOKENS_FILE", "/nowhere/tokens", "the file /nowhere/tokens cannot be read"),
    ] {
        let ended = Staticreg::run(&[], &[("STATICREG_HTTP_BIND_ADDR", "127.0.0.1:0"), (name, value)]);
        let said = [ended.stdout, ended.stderr].concat();
        assert!(!ended.status.success() && said.contains(&format!("staticreg: {name}: ")), "{said}");
        assert!(said.contains(reason) && !said.contains("geheim"), "{said}");
    }
}
