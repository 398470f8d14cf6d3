//! No secret shows: every one of them holds a word that is looked for in all that the program says.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use staticreg_e2e::{
    Staticreg,
    client::{NOTIFICATION, WEBHOOK},
    events::{next_number, notification, pull},
};
use staticreg_test_support::postgres::Postgres;

const README: &str = include_str!("../../../README.md");

/// How long what comes by itself may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// In every secret, and in what is shown in the place of one.
const CANARY: &str = "kanarie";

/// What a user's file holds: the hash of `kanarie-user`, made by Python's bcrypt.
const HASH: &str = "$2b$04$KbQiZ0X0Jm4eJm5kC0dL1uN454egqmhymjnVjeoSR/4EA7M1excPC";

/// The settings that hold secrets, but the database's, which differs.
const SECRETS: [(&str, &str); 3] = [
    ("STATICREG_WEBHOOK_TOKENS", "kanarie-token"),
    ("STATICREG_WEBHOOK_SIGNATURE_SECRETS", "kanarie-signature"),
    ("STATICREG_REGISTRY_PASSWORD", "kanarie-registry"),
];

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

/// What must be found nowhere. Every API token begins with `srt_`, whatever is random in it.
fn forbidden() -> Vec<String> {
    let pairs = ["reader:kanarie-registry", "alice:kanarie-user", "alice:kanarie-wrong", "any:kanarie-token"];
    let (_, hash) = HASH.split_at(29);
    let encoded = pairs.iter().map(|pair| STANDARD.encode(pair).trim_end_matches('=').to_owned());
    // As far as what follows changes nothing of it.
    let of_any_token = STANDARD.encode("any:srt_")[..10].to_owned();
    encoded.chain([CANARY.to_owned(), hash.to_owned(), "srt_".to_owned(), of_any_token]).collect()
}

fn look_through(what: &str, text: &str) {
    for word in forbidden() {
        if let Some(place) = text.find(&word) {
            let line = text[..place].matches('\n').count();
            panic!("{what} tells a secret: {}", text.lines().nth(line).unwrap_or_default());
        }
    }
}

/// A registry that asks for the password, and has a fault once it is shown.
fn registry() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for connection in listener.incoming() {
            answer(&connection.expect("a connection"));
        }
    });
    address
}

fn answer(mut connection: &TcpStream) {
    let head: Vec<_> =
        BufReader::new(connection).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let shown = format!("authorization: {}", basic("reader:kanarie-registry")).to_ascii_lowercase();
    let is_reader = head.iter().any(|line| line.to_ascii_lowercase() == shown);
    let (status, header) = if is_reader {
        ("500 Internal Server Error", "")
    } else {
        ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"registry\"\r\n")
    };
    let answer = format!("HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n");
    // Who asked may be gone.
    let _ = connection.write_all(answer.as_bytes());
}

/// An API token for everything, which only the standard output of the command tells.
fn api_token(environment: &[(&str, &str)]) -> String {
    let run = |arguments: &[&str]| {
        let ended = Staticreg::run(&[&["token"], arguments].concat(), environment);
        assert!(ended.status.success(), "{ended:?}");
        look_through(&arguments.join(" "), &ended.stderr);
        ended.stdout
    };
    let token = run(&["create", "ci", "--scope", "read,post"]).trim_end().to_owned();
    assert!(token.starts_with("srt_"), "{token}");
    run(&["create", "another"]);
    look_through("token revoke", &run(&["revoke", "another"]));
    look_through("token list", &run(&["list"]));
    token
}

/// Asks for everything, with everything that may be shown, and looks through the answers.
fn ask(server: &Staticreg, token: &str) {
    let right = basic("alice:kanarie-user");
    let shown = [
        None,
        Some(right.clone()),
        Some(basic("alice:kanarie-wrong")),
        Some(basic("any:kanarie-token")),
        Some("Bearer kanarie-token".to_owned()),
        Some("Bearer kanarie-wrong".to_owned()),
        Some("kanarie-wrong".to_owned()),
        Some(format!("Bearer {token}")),
        Some(basic(&format!("any:{token}"))),
        Some("Bearer srt_wrong".to_owned()),
    ];
    let body = notification(&[pull(next_number())]).to_string();
    for authorization in &shown {
        let authorization = authorization.as_deref().map(|value| ("authorization", value));
        let headers: Vec<_> = authorization.into_iter().collect();
        let signed = [&headers[..], &[("content-type", NOTIFICATION), ("x-hub-signature-256", "sha256=00")]].concat();
        let posted = [&headers[..], &[("content-type", NOTIFICATION)]].concat();
        let paths =
            ["/", "/insights", "/docs", "/openapi.json", "/openapi.yaml", "/nothing", "/healthz", "/healthz/db"];
        let api = ["/api/v1/summary", "/api/v1/images", "/api/v1/images?limit=0", "/badge/a.svg"];
        let gets = paths.iter().chain(&api).map(|path| ("GET", *path, &headers[..], ""));
        let posts = [
            ("POST", WEBHOOK, &posted[..], &*body),
            ("POST", WEBHOOK, &signed, &body),
            ("POST", WEBHOOK, &posted, "{"),
        ];
        for (method, path, headers, body) in gets.chain(posts) {
            let answer = server.connect().request(method, path, headers, body.as_bytes()).expect("an answer");
            look_through(path, &format!("{answer:?}"));
        }
    }
}

#[test]
fn every_secret_there_is_is_looked_for() {
    let listed: BTreeSet<_> = README
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("_FILE` | | A file that holds "))
        .map(|(name, _)| name)
        .collect();
    let known = SECRETS.iter().map(|(name, _)| *name).chain(["STATICREG_DB_URL"]);
    assert_eq!(listed, known.collect(), "a setting that holds a secret belongs into SECRETS");
}

#[test]
fn no_log_answer_or_list_of_processes_tells_a_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users");
    fs::write(&users, format!("alice:{HASH}\n")).expect("written");
    let registry = registry().to_string();
    let database = Postgres::shared().new_database().replacen('@', ":kanarie-db@", 1);
    // Nobody listens there.
    let silent = tokio::net::TcpSocket::new_v4().expect("a socket");
    silent.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let away = format!("postgres://u:kanarie-db@{}/counts", silent.local_addr().expect("its address"));
    for (database, format) in [(&database, "text"), (&away, "json")] {
        let environment = [
            &SECRETS[..],
            &[
                ("STATICREG_DB_URL", database),
                ("STATICREG_REGISTRY_HOSTNAME", &registry),
                ("STATICREG_REGISTRY_USER", "reader"),
                ("STATICREG_REGISTRY_TLS", "off"),
                ("STATICREG_ACCESS_READ", "signed_in"),
                ("STATICREG_ACCESS_USERS_FILE", users.to_str().expect("text")),
                ("STATICREG_METRICS_PATIENCE", "100ms"),
                ("STATICREG_LOG_LEVEL", "trace"),
                ("STATICREG_LOG_FORMAT", format),
            ],
        ]
        .concat();
        let token = if database == &away { "srt_away".to_owned() } else { api_token(&environment) };
        let mut server = Staticreg::start(&environment);
        server.wait_for_line("Unable to read the registry", LIMIT);
        ask(&server, &token);
        // A file that becomes malformed is told.
        fs::write(&users, format!("alice:{HASH}\nbob:kanarie-user\n")).expect("written");
        server.wait_for_line("cannot be used: line 2", LIMIT);
        fs::write(&users, format!("alice:{HASH}\n")).expect("written");
        let about = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", server.id())).expect("a process");
        look_through("the list of processes", &about("cmdline"));
        let limits = about("limits");
        let core: Vec<_> = limits.lines().find(|line| line.contains("core")).expect("one").split_whitespace().collect();
        assert_eq!(core[4..6], ["0", "0"], "a core dump would hold all of them: {limits}");
        assert!(server.terminate().success());
        let log = server.log();
        assert!(log.contains("TRACE"), "{}", log.len());
        look_through("the log", &log);
    }
}

#[test]
fn no_document_tells_a_secret() {
    let environment = [&SECRETS[..], &[("STATICREG_DB_URL", "postgres://u:kanarie-db@db/counts")]].concat();
    for arguments in [&["config"][..], &["openapi"], &["--help"], &["--version"], &["migrate"], &["serve", "--nothing"]]
    {
        let ended = Staticreg::run(arguments, &environment);
        look_through(&arguments.join(" "), &[ended.stdout, ended.stderr].concat());
    }
}
