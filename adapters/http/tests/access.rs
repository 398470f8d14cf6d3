//! Who may do what, over real connections: the address of whoever sends matters.

#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "other tests need the rest of it")]
mod support;

use std::{fmt::Write as _, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use staticreg_domain::clock::MockClock;
use staticreg_http::{
    access::{
        Access, AccessOptions, Hosts, Networks, ProxyHeader, Readers, RefusalReason, SignInReason, Signatures, Tokens,
        Users,
    },
    server::{self, ServerOptions},
};
use staticreg_memory::MemoryMetrics;
use support::{event, notification};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    time::timeout,
};

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_mins(2);

const WEBHOOK: &str = "/api/webhook/registry";

/// Where those are who may post.
const INSIDE: &str = "127.0.0.1:0";

/// All of 127.0.0.0/8 is this machine.
const OUTSIDE: &str = "127.9.9.9:0";

const TOKEN: &str = "r1ght";
const SECRET: &str = "It's a Secret to Everybody";

/// A server that ends with the runtime of its test.
struct Server {
    address: SocketAddr,
    access: Access,
}

/// What was answered.
struct Answer {
    status: u16,
    text: String,
}

impl Server {
    async fn start(options: AccessOptions) -> Self {
        let access = Access::new(options);
        let endpoint = support::endpoint(MemoryMetrics::new(100), access.clone());
        let listener = server::listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let options = ServerOptions {
            max_connections: 100,
            header_timeout: SOON,
            write_timeout: SOON,
            stop_timeout: Duration::ZERO,
        };
        tokio::spawn(async move { server::serve(listener, endpoint, &options, std::future::pending()).await });
        Self { address, access }
    }

    /// Sends a request as it stands, from an address, and reads all that comes.
    async fn send(&self, from: &str, request: &str) -> Answer {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(from.parse().expect(from)).expect(from);
        let mut stream = socket.connect(self.address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut text = String::new();
        // What was not read is cut off with the connection, after the answer.
        timeout(SOON, stream.read_to_string(&mut text)).await.expect("an end").ok();
        let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text:?}"));
        Answer { status, text }
    }

    /// Posts a notification of one pull.
    async fn post(&self, from: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(from, &post(headers, &body())).await
    }

    /// The status of a GET.
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(INSIDE, &request("GET", path, headers, "")).await
    }

    fn refused(&self, reason: RefusalReason) -> u64 {
        self.access.refused().by_reason.iter().find(|(known, _)| *known == reason).expect("a reason").1
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.text.split_once("\r\n\r\n")?;
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn body() -> String {
    notification(&[event(1)]).to_string()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").expect("memory takes all");
    }
    format!("{request}content-length: {}\r\n\r\n{body}", body.len())
}

fn post(headers: &[(&str, &str)], body: &str) -> String {
    let headers = [&[("content-type", "application/json"), ("host", "staticreg:8093")], headers].concat();
    request("POST", WEBHOOK, &headers, body)
}

fn sign(body: &str) -> String {
    let code = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key").chain_update(body).finalize();
    code.into_bytes().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn signatures() -> Signatures {
    Signatures::new([SECRET], Arc::new(MockClock::new())).expect("a secret")
}

fn networks(text: &str) -> Networks {
    Networks::parse([text]).expect(text)
}

#[tokio::test]
async fn with_nothing_configured_everybody_may() {
    let server = Server::start(AccessOptions::default()).await;
    assert_eq!(server.post(OUTSIDE, &[]).await.status, 200);
    assert_eq!(server.post(OUTSIDE, &[("authorization", "Bearer any")]).await.status, 200);
    assert_eq!(server.get("/api/v1/summary", &[("host", "any.example")]).await.status, 200);
    assert_eq!(server.access.refused().total, 0);
}

#[tokio::test]
async fn networks_must_fit_and_one_of_token_and_signature() {
    let server = Server::start(AccessOptions {
        tokens: Some(Tokens::new(["other", TOKEN])),
        signatures: Some(signatures()),
        networks: Some(networks("127.0.0.1")),
        ..AccessOptions::default()
    })
    .await;
    let right_token = format!("Bearer {TOKEN}");
    let right_signature = sign(&body());
    let wrong_signature = sign("other");
    for from in [INSIDE, OUTSIDE] {
        for token in [None, Some("Bearer wrong"), Some(&*right_token)] {
            for signature in [None, Some(&*wrong_signature), Some(&*right_signature)] {
                let headers =
                    [token.map(|token| ("authorization", token)), signature.map(|it| ("x-hub-signature-256", it))];
                let headers: Vec<_> = headers.into_iter().flatten().collect();
                let answer = server.post(from, &headers).await;
                let has_proof = token == Some(&*right_token) || signature == Some(&*right_signature);
                let expected = match (from, has_proof) {
                    (OUTSIDE, _) => 403,
                    (_, false) => 401,
                    (_, true) => 200,
                };
                assert_eq!(answer.status, expected, "{from} {headers:?}: {}", answer.text);
            }
        }
    }
    assert_eq!(server.refused(RefusalReason::Network), 9);
    assert_eq!(server.refused(RefusalReason::NoProof), 1);
    assert_eq!(server.refused(RefusalReason::WrongToken), 1);
    assert_eq!(server.refused(RefusalReason::WrongSignature), 2);
    assert_eq!(server.access.refused().total, 13);
}

#[tokio::test]
async fn each_alone_decides_alone() {
    let by_network =
        Server::start(AccessOptions { networks: Some(networks("127.9.0.0/16")), ..AccessOptions::default() }).await;
    assert_eq!(by_network.post(OUTSIDE, &[]).await.status, 200);
    assert_eq!(by_network.post(INSIDE, &[]).await.status, 403);

    let by_token =
        Server::start(AccessOptions { tokens: Some(Tokens::new([TOKEN])), ..AccessOptions::default() }).await;
    // printf 'registry:r1ght' | base64
    assert_eq!(by_token.post(OUTSIDE, &[("authorization", "basic  cmVnaXN0cnk6cjFnaHQ=")]).await.status, 200);
    assert_eq!(by_token.post(OUTSIDE, &[("x-hub-signature-256", &sign(&body()))]).await.status, 401);

    let by_signature =
        Server::start(AccessOptions { signatures: Some(signatures()), ..AccessOptions::default() }).await;
    assert_eq!(by_signature.post(OUTSIDE, &[("x-registry-signature-256", &sign(&body()))]).await.status, 200);
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(by_signature.post(OUTSIDE, &[("authorization", &bearer)]).await.status, 403);
}

#[tokio::test]
async fn an_empty_list_lets_nobody_in() {
    let nobody = Server::start(AccessOptions { tokens: Some(Tokens::new([])), ..AccessOptions::default() }).await;
    for authorization in ["Bearer ", "Bearer x", "Basic Og=="] {
        assert_eq!(nobody.post(INSIDE, &[("authorization", authorization)]).await.status, 401);
    }
    let nobody = Server::start(AccessOptions { networks: Some(Networks::default()), ..AccessOptions::default() }).await;
    assert_eq!(nobody.post(INSIDE, &[]).await.status, 403);
}

#[tokio::test]
async fn a_token_that_changes_is_in_force_at_once() {
    let tokens = Tokens::new([TOKEN]);
    let server = Server::start(AccessOptions { tokens: Some(tokens.clone()), ..AccessOptions::default() }).await;
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(server.post(INSIDE, &[("authorization", &bearer)]).await.status, 200);
    assert!(tokens.replace(["another"]));
    assert_eq!(server.post(INSIDE, &[("authorization", &bearer)]).await.status, 401);
    assert_eq!(server.post(INSIDE, &[("authorization", "Bearer another")]).await.status, 200);
}

#[tokio::test]
async fn two_authorization_headers_are_refused() {
    let tokens = Some(Tokens::new([TOKEN]));
    let server =
        Server::start(AccessOptions { tokens, signatures: Some(signatures()), ..AccessOptions::default() }).await;
    let (bearer, signature) = (format!("Bearer {TOKEN}"), sign(&body()));
    let headers = [("authorization", &*bearer), ("authorization", &*bearer), ("x-hub-signature-256", &*signature)];
    assert_eq!(server.post(INSIDE, &headers).await.status, 401);
    assert_eq!(server.refused(RefusalReason::SeveralTokens), 1);
}

#[tokio::test]
async fn a_refusal_is_a_problem_that_tells_nothing() {
    let tokens = Some(Tokens::new([TOKEN]));
    let networks = Some(networks("127.0.0.1"));
    let server = Server::start(AccessOptions { tokens, networks, ..AccessOptions::default() }).await;
    let (unknown, wrong) =
        (server.post(INSIDE, &[]).await, server.post(INSIDE, &[("authorization", "Bearer x")]).await);
    for answer in [&unknown, &wrong] {
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"staticreg\", Basic realm=\"staticreg\""));
    }
    let told = |answer: &Answer| answer.text.split_once("\r\n\r\n").expect("a body").1.to_owned();
    assert_eq!(told(&unknown), told(&wrong));
    let outside = server.post(OUTSIDE, &[]).await;
    assert_eq!((outside.status, outside.header("content-type")), (403, Some("application/problem+json")));
    assert!(outside.text.contains(r#""detail":"This request may not post here.""#), "{}", outside.text);
}

#[tokio::test]
async fn the_webhook_is_asked_for_a_token_however_its_path_is_written() {
    let tokens = Some(Tokens::new([TOKEN]));
    let server = Server::start(AccessOptions { tokens, ..AccessOptions::default() }).await;
    let headers = [("content-type", "application/json"), ("host", "staticreg:8093")];
    for (path, status) in [
        (WEBHOOK, 401),
        ("/api/webhook/registry/", 401),
        ("/api/webhook/registry//", 401),
        ("/api/webhook/registry?x=y", 401),
        ("http://staticreg:8093/api/webhook/registry", 401),
        ("//api/webhook/registry", 404),
        ("/api//webhook/registry", 404),
        ("/api/./webhook/registry", 404),
        ("/api/x/../webhook/registry", 404),
        ("/api/webhook/%72egistry", 404),
        ("/%61pi/webhook/registry", 404),
        ("/healthz/../api/webhook/registry", 404),
        ("/API/webhook/registry", 404),
    ] {
        let answer = server.send(INSIDE, &request("POST", path, &headers, &body())).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_body_is_not_read_before_token_and_network() {
    let tokens = Some(Tokens::new([TOKEN]));
    let server = Server::start(AccessOptions { tokens, ..AccessOptions::default() }).await;
    // No byte of it follows.
    let head = format!("POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
    let answer = server.send(INSIDE, &format!("{head}content-length: 1000000000\r\n\r\n")).await;
    assert_eq!(answer.status, 401);
    let bearer = format!("{head}authorization: Bearer {TOKEN}\r\ncontent-length: 1000000000\r\n\r\n");
    assert_eq!(server.send(INSIDE, &bearer).await.status, 413);
}

#[tokio::test]
async fn a_signed_body_has_the_same_limits() {
    let server = Server::start(AccessOptions { signatures: Some(signatures()), ..AccessOptions::default() }).await;
    let padded = |length: usize| body() + &" ".repeat(length - body().len());
    for (length, status) in [(support::MAX_BODY, 200), (support::MAX_BODY + 1, 413)] {
        let body = padded(length);
        let signature = sign(&body);
        let answer = server.send(INSIDE, &post(&[("x-hub-signature-256", &signature)], &body)).await;
        assert_eq!(answer.status, status, "{length}: {}", answer.text);
    }
    // Signed as it came, not as it is understood.
    let answer = server.send(INSIDE, &post(&[("x-hub-signature-256", &sign(&body()))], &padded(1000))).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_trusted_proxy_tells_who_posts() {
    let options = |proxies: &str| AccessOptions {
        networks: Some(networks("192.0.2.0/24")),
        trusted_proxies: Networks::parse(proxies.split_whitespace()).expect(proxies),
        ..AccessOptions::default()
    };
    let trusting = Server::start(options("127.0.0.1")).await;
    for (header, status) in [
        (("x-forwarded-for", "192.0.2.7"), 200),
        (("x-forwarded-for", "192.0.2.7, 203.0.113.9"), 403),
        (("forwarded", "for=\"192.0.2.7:4711\""), 200),
        (("forwarded", "for=unknown"), 403),
    ] {
        assert_eq!(trusting.post(INSIDE, &[header]).await.status, status, "{header:?}");
        assert_eq!(trusting.post(OUTSIDE, &[header]).await.status, 403, "{header:?}");
    }
    assert_eq!(trusting.refused(RefusalReason::UnknownAddress), 1);
    let never = Server::start(options("")).await;
    assert_eq!(never.post(INSIDE, &[("x-forwarded-for", "192.0.2.7")]).await.status, 403);
}

#[tokio::test]
async fn a_page_of_another_site_never_posts() {
    let tokens = Some(Tokens::new([TOKEN]));
    let bearer = format!("Bearer {TOKEN}");
    for (options, authorization) in
        [(AccessOptions::default(), "Bearer x"), (AccessOptions { tokens, ..AccessOptions::default() }, &*bearer)]
    {
        let server = Server::start(options).await;
        for header in [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
            let answer = server.post(INSIDE, &[("authorization", authorization), header]).await;
            assert_eq!(answer.status, 403, "{header:?}");
        }
        assert_eq!(server.refused(RefusalReason::AnotherSite), 3);
        // The documentation's page of this server may.
        let host = server.address.to_string();
        let headers = [("content-type", "application/json"), ("host", &host), ("authorization", authorization)];
        let origin = format!("http://{host}");
        let own = [&headers[..], &[("origin", &origin), ("sec-fetch-site", "same-origin")]].concat();
        assert_eq!(server.send(INSIDE, &request("POST", WEBHOOK, &own, &body())).await.status, 200);
    }
}

#[tokio::test]
async fn a_server_answers_to_its_own_names_only_but_the_webhook_to_any() {
    let hosts = Hosts::only(["counts.example.com".to_owned()]);
    let server = Server::start(AccessOptions { hosts, ..AccessOptions::default() }).await;
    for path in ["/api/v1/summary", "/", "/docs", "/healthz", "/openapi.json", "/nothing"] {
        let refused = server.get(path, &[("host", "evil.example")]).await;
        assert_eq!(refused.status, 421, "{path}");
        assert!(refused.text.contains("STATICREG_HTTP_ALLOWED_HOSTS"), "{path}: {}", refused.text);
        for headers in [&[][..], &[("host", "localhost"), ("host", "localhost")], &[("host", "a b")]] {
            assert_eq!(server.get(path, headers).await.status, 400, "{path} {headers:?}");
        }
        for host in ["127.0.0.1:8093", "localhost", "Counts.Example.com"] {
            let status = server.get(path, &[("host", host)]).await.status;
            assert_eq!(status, if path == "/nothing" { 404 } else { 200 }, "{path} {host}");
        }
    }
    let page = server.get("/", &[("host", "evil.example"), ("accept", "text/html")]).await;
    assert_eq!((page.status, page.header("content-type")), (421, Some("text/plain; charset=utf-8")), "{}", page.text);

    assert_eq!(server.post(INSIDE, &[]).await.status, 200);
    let nameless = request("POST", WEBHOOK, &[("content-type", "application/json")], &body());
    assert_eq!(server.send(INSIDE, &nameless).await.status, 200);
    let asked = server.get(WEBHOOK, &[("host", "staticreg:8093")]).await;
    assert!(asked.status == 405 && asked.text.contains("This is the webhook"), "{}", asked.text);
}

/// What a reader shows: `alice:r1ght` and `alice:wrong`, by `base64`.
const RIGHT: (&str, &str) = ("authorization", "Basic YWxpY2U6cjFnaHQ=");
const WRONG: (&str, &str) = ("authorization", "Basic YWxpY2U6d3Jvbmc=");

/// Alice, whose password is `r1ght`; made by Python's bcrypt.
const USERS: &str = "alice:$2b$04$KbQiZ0X0Jm4eJm5kC0dL1u5OxZBXa9w0hfY/zSdHqkXN/6Vkvw.Ii";

/// Who may post; no reader.
const TOKEN_SHOWN: (&str, &str) = ("authorization", "Bearer p0ster");

fn signed_in() -> AccessOptions {
    AccessOptions {
        tokens: Some(Tokens::new(["p0ster"])),
        read: Readers::SignedIn,
        badges: Readers::SignedIn,
        users: Some(Users::parse(USERS).expect("a user")),
        ..AccessOptions::default()
    }
}

/// What each route answers to nobody, to a wrong password and to a right one: where anyone may read, and where only who
/// is signed in may. To post, the right one is a token.
const MATRIX: [(&str, &str, [u16; 3], [u16; 3]); 21] = [
    ("/", "/", [200; 3], [401, 401, 200]),
    ("/repo/*name", "/repo/demo/app", [404; 3], [401, 401, 404]),
    ("/insights", "/insights", [200; 3], [401, 401, 200]),
    ("/badge/*name", "/badge/demo/app.svg", [200; 3], [401, 401, 200]),
    ("/export/:table", "/export/repositories.csv", [200; 3], [401, 401, 200]),
    ("/assets/*file", "/assets/none", [404; 3], [401, 401, 404]),
    ("/favicon.ico", "/favicon.ico", [302; 3], [401, 401, 302]),
    ("/openapi.json", "/openapi.json", [200; 3], [401, 401, 200]),
    ("/openapi.yaml", "/openapi.yaml", [200; 3], [401, 401, 200]),
    ("/docs", "/docs", [200; 3], [401, 401, 200]),
    ("/api/v1/summary", "/api/v1/summary", [200; 3], [401, 401, 200]),
    ("/api/v1/pulls", "/api/v1/pulls", [200; 3], [401, 401, 200]),
    ("/api/v1/repositories", "/api/v1/repositories", [200; 3], [401, 401, 200]),
    ("/api/v1/images", "/api/v1/images", [200; 3], [401, 401, 200]),
    ("/api/v1/architectures", "/api/v1/architectures", [200; 3], [401, 401, 200]),
    ("/api/v1/tags", "/api/v1/tags?repository=demo/app", [200; 3], [401, 401, 200]),
    ("/api/v1/digests", "/api/v1/digests?repository=demo/app&tag=v1", [200; 3], [401, 401, 200]),
    ("/api/v1/metrics", "/api/v1/metrics", [200; 3], [401, 401, 200]),
    (WEBHOOK, WEBHOOK, [401, 401, 200], [401, 401, 200]),
    ("/healthz", "/healthz", [200; 3], [200; 3]),
    ("/healthz/db", "/healthz/db", [200; 3], [200; 3]),
];

#[tokio::test]
async fn every_route_answers_as_the_matrix_says() {
    let mut routes = staticreg_http::paths(support::services(MemoryMetrics::new(100), Access::default()));
    let mut rows: Vec<_> = MATRIX.iter().map(|(route, ..)| (*route).to_owned()).collect();
    routes.sort_unstable();
    rows.sort_unstable();
    assert_eq!(routes, rows, "every route has a row in MATRIX, and every row a route");
    for (route, path, anyone, only_signed_in) in MATRIX {
        // One for each route: guesses of passwords are slowed.
        let open = AccessOptions { read: Readers::Anyone, badges: Readers::Anyone, ..signed_in() };
        for (options, expected) in [(open, anyone), (signed_in(), only_signed_in)] {
            let read = options.read;
            let server = Server::start(options).await;
            let right = if route == WEBHOOK { TOKEN_SHOWN } else { RIGHT };
            for (shown, expected) in [None, Some(WRONG), Some(right)].into_iter().zip(expected) {
                let headers: Vec<_> = shown.into_iter().collect();
                let answer = if route == WEBHOOK {
                    server.post(INSIDE, &headers).await
                } else {
                    server.get(path, &headers).await
                };
                assert_eq!(answer.status, expected, "{read:?} {path} {shown:?}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn a_path_that_is_no_route_is_for_those_who_may_read() {
    let server = Server::start(signed_in()).await;
    for path in
        ["/nothing", "/api", "/api/v1", "/api/v1/nothing", "/badge", "/badges", "/healthzz", "//", "/docs/x", "/*"]
    {
        assert_eq!(server.get(path, &[]).await.status, 401, "{path}");
        assert_eq!(server.get(path, &[RIGHT]).await.status, 404, "{path}");
    }
    for path in ["/api/v1/summary/", "/insights//", "/%61pi/v1/summary", "/badge/../api/v1/summary", "/x/../insights"] {
        assert_eq!(server.get(path, &[]).await.status, 401, "{path}");
    }
    for method in ["HEAD", "POST", "OPTIONS", "PUT", "TRACE"] {
        let answer = server.send(INSIDE, &request(method, "/api/v1/summary", &[], "")).await;
        assert_eq!(answer.status, 401, "{method}");
    }
}

#[tokio::test]
async fn who_may_read_may_not_post_and_who_may_post_may_not_read() {
    let server = Server::start(signed_in()).await;
    assert_eq!(server.post(INSIDE, &[RIGHT]).await.status, 401);
    assert_eq!(server.get("/api/v1/summary", &[TOKEN_SHOWN]).await.status, 401);
    // printf 'alice:p0ster' | base64
    assert_eq!(server.get("/", &[("authorization", "Basic YWxpY2U6cDBzdGVy")]).await.status, 401);
}

#[tokio::test]
async fn badges_may_be_for_others_than_the_rest() {
    let for_all = Server::start(AccessOptions { badges: Readers::Anyone, ..signed_in() }).await;
    let badge = for_all.get("/badge/demo/app.svg", &[]).await;
    assert_eq!((badge.status, for_all.get("/insights", &[]).await.status), (200, 401));
    assert!(badge.header("cache-control").expect("kept").starts_with("public"), "{}", badge.text);
    let for_few = Server::start(AccessOptions { read: Readers::Anyone, ..signed_in() }).await;
    assert_eq!(for_few.get("/badge/demo/app.svg", &[]).await.status, 401);
    assert_eq!(for_few.get("/insights", &[]).await.status, 200);
    // Nobody on the way may keep it for others, and no page of another site may read it.
    assert!(badge.header("access-control-allow-origin").is_some(), "{}", badge.text);
    let badge = for_few.get("/badge/demo/app.svg", &[RIGHT]).await;
    assert_eq!(badge.header("access-control-allow-origin"), None, "{}", badge.text);
    assert!(badge.header("cache-control").expect("kept").starts_with("private"), "{}", badge.text);
    let summary = for_all.get("/api/v1/summary", &[RIGHT]).await;
    assert_eq!(summary.header("cache-control"), Some("private"), "{}", summary.text);
    let page = for_all.get("/insights", &[RIGHT]).await;
    assert_eq!(page.header("cache-control"), Some("private, no-cache"), "{}", page.text);
}

#[tokio::test]
async fn who_is_not_signed_in_is_asked_to() {
    let server = Server::start(signed_in()).await;
    let challenge = Some("Basic realm=\"staticreg\", charset=\"UTF-8\"");
    for (path, accept, content_type) in [
        ("/api/v1/summary", "application/json", "application/problem+json"),
        ("/api/v1/summary", "text/html", "application/problem+json"),
        ("/insights", "text/html", "text/plain; charset=utf-8"),
        ("/insights", "application/json", "application/problem+json"),
    ] {
        let (nobody, wrong) =
            (server.get(path, &[("accept", accept)]).await, server.get(path, &[("accept", accept), WRONG]).await);
        for answer in [&nobody, &wrong] {
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, challenge), "{path}");
            assert_eq!(answer.header("content-type"), Some(content_type), "{path}");
        }
        let told = |answer: &Answer| answer.text.split_once("\r\n\r\n").expect("a body").1.to_owned();
        assert_eq!(told(&nobody), told(&wrong));
    }
}

#[tokio::test]
async fn wrong_passwords_are_slowed_by_address() {
    let options = AccessOptions { trusted_proxies: networks("127.0.0.1"), ..signed_in() };
    let server = Server::start(options).await;
    for _ in 0..5 {
        assert_eq!(server.get("/insights", &[WRONG]).await.status, 401);
    }
    for shown in [WRONG, RIGHT] {
        let slowed = server.get("/api/v1/summary", &[shown]).await;
        assert_eq!((slowed.status, slowed.header("content-type")), (429, Some("application/problem+json")));
        let seconds: u64 = slowed.header("retry-after").expect("when").parse().expect("seconds");
        assert!((1..=10).contains(&seconds), "{seconds}");
    }
    // Another that the proxy tells of, and another that comes itself.
    assert_eq!(server.get("/insights", &[RIGHT, ("x-forwarded-for", "192.0.2.7")]).await.status, 200);
    let right = request("GET", "/insights", &[RIGHT, ("x-forwarded-for", "127.0.0.1")], "");
    assert_eq!(server.send(OUTSIDE, &right).await.status, 200);
}

#[tokio::test]
async fn a_trusted_proxy_names_who_is_signed_in_and_nobody_else_does() {
    let options = || AccessOptions {
        read: Readers::SignedIn,
        trusted_proxies: networks("127.0.0.1"),
        proxy_header: Some(ProxyHeader::parse("Remote-User").expect("a header")),
        ..AccessOptions::default()
    };
    let server = Server::start(options()).await;
    let alice = ("remote-user", "alice");
    let get = |headers: &[(&str, &str)]| request("GET", "/api/v1/summary", headers, "");
    for (headers, expected) in [
        (&[][..], 403),
        (&[alice], 200),
        (&[("REMOTE-USER", "alice")], 200),
        (&[("remote-user", "")], 403),
        (&[alice, ("remote-user", "mallory")], 403),
        (&[("remote_user", "alice")], 403),
        (&[("x-remote-user", "alice")], 403),
        (&[alice, ("x-forwarded-for", "203.0.113.9")], 200),
    ] {
        assert_eq!(server.send(INSIDE, &get(headers)).await.status, expected, "{headers:?}");
        let claimed = [headers, &[("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=127.0.0.1")]].concat();
        assert_eq!(server.send(OUTSIDE, &get(&claimed)).await.status, 403, "{headers:?}");
    }
    let refused = server.send(INSIDE, &get(&[("accept", "text/html")])).await;
    assert_eq!(refused.header("www-authenticate"), None, "no password lets in");
    // Both ways.
    let server = Server::start(AccessOptions { users: Some(Users::parse(USERS).expect("a user")), ..options() }).await;
    assert_eq!(server.send(INSIDE, &get(&[alice])).await.status, 200);
    assert_eq!(server.send(OUTSIDE, &get(&[alice])).await.status, 401);
    assert_eq!(server.send(OUTSIDE, &get(&[RIGHT])).await.status, 200);
}

#[tokio::test]
async fn sign_ins_that_are_refused_are_counted_and_who_shows_nothing_has_not_tried() {
    let server = Server::start(AccessOptions {
        trusted_proxies: networks("127.0.0.1"),
        proxy_header: Some(ProxyHeader::parse("Remote-User").expect("a header")),
        ..signed_in()
    })
    .await;
    assert_eq!(server.get("/insights", &[]).await.status, 401);
    assert_eq!(server.get("/insights", &[RIGHT]).await.status, 200);
    assert_eq!(server.get("/healthz", &[WRONG]).await.status, 200);
    assert_eq!(server.access.refused_sign_ins().total, 0);
    for _ in 0..5 {
        assert_eq!(server.get("/insights", &[WRONG]).await.status, 401);
    }
    for _ in 0..3 {
        assert_eq!(server.get("/insights", &[RIGHT]).await.status, 429);
    }
    assert_eq!(server.get("/insights", &[TOKEN_SHOWN]).await.status, 401);
    let named = request("GET", "/insights", &[("remote-user", "alice")], "");
    assert_eq!(server.send(OUTSIDE, &named).await.status, 401);
    let refused = server.access.refused_sign_ins();
    let expected = [
        (SignInReason::WrongPassword, 5),
        (SignInReason::TooManyGuesses, 3),
        (SignInReason::NoPassword, 1),
        (SignInReason::UntrustedProxy, 1),
    ];
    assert_eq!((refused.total, &refused.by_reason[..]), (10, &expected[..]));
    let last = refused.last.expect("one");
    assert_eq!(last.peer.expect("known").ip().to_string(), "127.9.9.9");
    assert_eq!(server.access.refused().total, 0);
}

#[tokio::test]
async fn an_address_that_asks_too_often_waits_and_others_do_not() {
    let server = Server::start(AccessOptions {
        requests_per_second: Some(NonZeroU32::MIN),
        trusted_proxies: networks("127.0.0.1"),
        ..AccessOptions::default()
    })
    .await;
    let from = |address| [("x-forwarded-for", address)];
    for path in ["/api/v1/summary", "/insights", "/badge/demo/app.svg"] {
        // Ten at once, and however many more the machine is slow.
        let answer = loop {
            let answer = server.get(path, &from("192.0.2.7")).await;
            if answer.status != 200 {
                break answer;
            }
        };
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{path}: {}", answer.text);
    }
    assert_eq!(server.get("/api/v1/summary", &from("192.0.2.8")).await.status, 200);
    // A client that makes the proxy's word useless is not taken for the proxy, which is this machine.
    let hidden = [("x-forwarded-for", "192.0.2.9"), ("forwarded", "for=unknown")];
    let until_slowed = async { while server.get("/insights", &hidden).await.status != 429 {} };
    timeout(SOON, until_slowed).await.expect("it is slowed too");
    for _ in 0..30 {
        assert_eq!(server.get("/healthz", &from("192.0.2.7")).await.status, 200);
        assert_eq!(server.post(INSIDE, &from("192.0.2.7")).await.status, 200);
        assert_eq!(server.get("/api/v1/summary", &[]).await.status, 200, "this machine");
    }
}
