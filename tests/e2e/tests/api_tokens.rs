//! API tokens: made by the real program, used at the running server, revoked.

use std::{process::ExitStatus, time::Duration};

use staticreg_e2e::{
    Staticreg,
    client::{NOTIFICATION, WEBHOOK},
    events::{next_number, notification, pull},
    eventually,
    stores::{Store, Stores},
};
use staticreg_test_support::postgres::{Durability, Postgres, Stop};
use tempfile::TempDir;

/// How long what comes by itself may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

fn environment(store: &Store) -> Vec<(&str, &str)> {
    [&store.environment()[..], &SIGNED_IN].concat()
}

const SIGNED_IN: [(&str, &str); 2] = [("STATICREG_ACCESS_READ", "signed_in"), ("STATICREG_WEBHOOK_TOKENS", "other")];

/// Makes a token, and takes it as a script would.
fn create(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let ended = Staticreg::run(&[&["token", "create"], arguments].concat(), environment);
    assert!(ended.status.success(), "{ended:?}");
    let token = ended.stdout.strip_suffix('\n').expect("a line");
    assert!(token.starts_with("srt_") && token.len() == 47 && !token.contains('\n'), "{}", token.len());
    assert!(!ended.stderr.contains("srt_"), "{}", ended.stderr);
    token.to_owned()
}

fn revoke(name: &str, environment: &[(&str, &str)]) -> ExitStatus {
    Staticreg::run(&["token", "revoke", name], environment).status
}

fn list(environment: &[(&str, &str)]) -> String {
    let ended = Staticreg::run(&["token", "list"], environment);
    assert!(ended.status.success(), "{ended:?}");
    assert!(!ended.stdout.contains("srt_"), "{}", ended.stdout);
    ended.stdout
}

/// The words of a token's line in the list.
fn line(name: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let listed = list(environment);
    let line = listed.lines().find(|line| line.starts_with(&format!("{name} "))).expect("its line");
    line.split_whitespace().map(str::to_owned).collect()
}

fn read(server: &Staticreg, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    server.connect().request("GET", "/api/v1/summary", &[("authorization", &bearer)], b"").expect("an answer").status
}

fn post(server: &Staticreg, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", NOTIFICATION), ("authorization", &*bearer)];
    let body = notification(&[pull(next_number())]).to_string();
    server.connect().request("POST", WEBHOOK, &headers, body.as_bytes()).expect("an answer").status
}

#[test]
fn a_token_lets_in_until_it_is_revoked_on_every_database() {
    let stores = Stores::start();
    for store in stores.each().filter(|store| store.kind != "memory") {
        let environment = environment(&store);
        let reader = create(&["reader", "--expires", "90d"], &environment);
        let mut server = Staticreg::start(&environment);
        server.wait_for_store();
        eventually("the token lets in", LIMIT, || (read(&server, &reader) == 200).then_some(()));
        assert_eq!((server.get("/").status, post(&server, &reader)), (401, 401), "{}", store.name);

        // While it runs.
        let poster = create(&["poster", "--scope", "post"], &environment);
        eventually("the new one is known", LIMIT, || (post(&server, &poster) == 200).then_some(()));
        assert_eq!(read(&server, &poster), 403, "{}", store.name);
        eventually("both uses are noted", LIMIT, || {
            let is_noted = |name| line(name, &environment)[5] != "never";
            (is_noted("reader") && is_noted("poster")).then_some(())
        });

        let again = Staticreg::run(&["token", "create", "reader"], &environment);
        assert!(!again.status.success() && again.stdout.is_empty(), "{again:?}");
        assert!(again.stderr.contains("A living token is called reader already."), "{again:?}");

        assert!(revoke("reader", &environment).success());
        eventually("it lets in no more", LIMIT, || (read(&server, &reader) == 401).then_some(()));
        assert!(!revoke("reader", &environment).success(), "it is revoked");
        let another = create(&["reader"], &environment);
        assert!(server.terminate().success());
        server.restart();
        eventually("the living ones let in", LIMIT, || (read(&server, &another) == 200).then_some(()));
        assert_eq!((post(&server, &poster), read(&server, &reader)), (200, 401), "{}", store.name);
        assert_eq!(line("poster", &environment)[1..3], ["post", "living"]);
        assert_eq!(list(&environment).matches("  revoked  ").count(), 1);
        server.wait_for_line("A sign-in was refused: its API token is revoked", LIMIT);
        assert!(!server.log().contains("srt_"), "{}", server.log());
    }
}

#[test]
fn a_token_expires_by_itself() {
    let stores = Stores::start();
    let store = stores.each().find(|store| store.kind == "sqlite").expect("one");
    let environment = environment(&store);
    let server = Staticreg::start(&environment);
    let token = create(&["soon", "--expires", "20s"], &environment);
    eventually("it lets in", LIMIT, || (read(&server, &token) == 200).then_some(()));
    eventually("it lets in no more", LIMIT, || (read(&server, &token) == 401).then_some(()));
    assert_eq!(line("soon", &environment)[2], "expired");
    create(&["soon"], &environment);
}

#[test]
fn tokens_stay_in_force_while_the_database_is_away() {
    let postgres = Postgres::start(Durability::Volatile);
    let url = postgres.new_database();
    let environment = [&[("STATICREG_DB_URL", &*url)][..], &SIGNED_IN].concat();
    let token = create(&["ci"], &environment);
    postgres.stop(Stop::Fast);
    let server = Staticreg::start(&environment);
    assert_eq!(read(&server, &token), 503);
    postgres.start_again();
    // Answered by the summary, so the database is back as well.
    eventually("it lets in", LIMIT, || (read(&server, &token) == 200).then_some(()));
    let told = || server.log().matches("The API tokens cannot be read").count();
    let before = told();
    postgres.stop(Stop::Fast);
    eventually("that is told", LIMIT, || (told() == before + 1).then_some(()));
    // A further look, which tells nothing.
    std::thread::sleep(Duration::from_secs(5));
    let bearer = format!("Bearer {token}");
    let document = server.connect().request("GET", "/openapi.json", &[("authorization", &bearer)], b"");
    assert_eq!((document.expect("an answer").status, told()), (200, before + 1), "{}", server.log());
    postgres.start_again();
    server.wait_for_line("The API tokens can be read again.", LIMIT);
    assert!(revoke("ci", &environment).success());
    eventually("it lets in no more", LIMIT, || (read(&server, &token) == 401).then_some(()));
}

/// Whatever else is wrong, a token can be revoked; and to look at tokens changes nothing.
#[test]
fn tokens_can_be_listed_and_revoked_without_another_setting_and_make_no_database() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("counts.db");
    let url = format!("sqlite://{}", file.display());
    let environment = [("STATICREG_DB_URL", &*url), ("STATICREG_HTTP_BIND_ADDR", "no address")];
    for arguments in [&["token", "list"][..], &["token", "revoke", "ci"]] {
        let ended = Staticreg::run(arguments, &environment);
        assert!(!ended.status.success() && !file.exists(), "{ended:?}");
        assert!(ended.stderr.contains(file.to_str().expect("text")), "{ended:?}");
    }
    create(&["ci"], &environment);
    assert!(revoke("ci", &environment).success());
    assert_eq!(line("ci", &environment)[2], "revoked");
}

/// Written by a later version, or by hand.
#[test]
fn a_row_that_is_no_token_keeps_no_other_from_being_revoked() {
    let postgres = Postgres::shared();
    let url = postgres.new_database();
    let environment = [&[("STATICREG_DB_URL", &*url)][..], &SIGNED_IN].concat();
    let token = create(&["ci"], &environment);
    let server = Staticreg::start(&environment);
    eventually("it lets in", LIMIT, || (read(&server, &token) == 200).then_some(()));
    postgres.psql(
        &url,
        "INSERT INTO api_token VALUES ('\\x00', 'short', 'read', now()), \
         (decode(repeat('01', 32), 'hex'), 'no name', 'read', now()), \
         (decode(repeat('02', 32), 'hex'), 'later', 'admin', now())",
    );
    assert!(revoke("ci", &environment).success());
    eventually("it lets in no more", LIMIT, || (read(&server, &token) == 401).then_some(()));
    assert_eq!(list(&environment).lines().count(), 3, "its head, and two tokens");
}

#[test]
fn without_a_database_there_are_no_tokens() {
    for arguments in [&["token", "create", "ci"][..], &["token", "list"], &["token", "revoke", "ci"]] {
        let ended = Staticreg::run(arguments, &[]);
        assert!(!ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
        let sentence = "staticreg: STATICREG_DB_URL is not set. API tokens are kept in a database";
        assert!(ended.stderr.starts_with(sentence), "{ended:?}");
    }
}

#[test]
fn what_is_wrong_in_the_command_is_told() {
    for (arguments, words) in [
        (&["token"][..], "Usage: staticreg token"),
        (&["token", "create"], "NAME"),
        (&["token", "create", "a b"], "a name is of 1 to 64 letters"),
        (&["token", "create", "ci", "--expires", "soon"], "a duration is from 1s to 3650d"),
        (&["token", "create", "ci", "--expires", "-1d"], "a duration is from 1s to 3650d"),
        (&["token", "create", "ci", "--scope", "write"], "scopes are read, post, metrics and running"),
        (&["token", "list", "--db-url", "mysql://x"], "starts with postgres://"),
    ] {
        let ended = Staticreg::run(arguments, &[]);
        assert!(!ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
}
