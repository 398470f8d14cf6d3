//! Who may read, by which of the server's names and how often.

use std::num::NonZeroU32;

use staticreg_http::access::{AccessOptions, Hosts, ProxyHeader, Readers, SignInReason, Users};
use tokio::time::timeout;

use crate::{
    Answer, INSIDE, OUTSIDE, RIGHT, SOON, Server, TOKEN_SHOWN, USERS, WEBHOOK, WRONG, body, networks, request,
    signed_in,
};

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
    // A slash at the end changes nothing, nor does the name in the first line (RFC 9112, 3.2.2).
    for target in ["/insights/", "http://evil.example/insights/", "http://evil.example/insights"] {
        let host = if target.starts_with('/') { "evil.example" } else { "localhost" };
        assert_eq!(server.get(target, &[("host", host)]).await.status, 421, "{target}");
    }
    let page = server.get("/", &[("host", "evil.example"), ("accept", "text/html")]).await;
    assert_eq!((page.status, page.header("content-type")), (421, Some("text/plain; charset=utf-8")), "{}", page.text);

    assert_eq!(server.post(INSIDE, &[]).await.status, 200);
    let nameless = request("POST", WEBHOOK, &[("content-type", "application/json")], &body());
    assert_eq!(server.send(INSIDE, &nameless).await.status, 200);
    let asked = server.get(WEBHOOK, &[("host", "staticreg:8093")]).await;
    assert!(asked.status == 405 && asked.text.contains("This is the webhook"), "{}", asked.text);
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
    assert_eq!(summary.header("cache-control"), Some("private, no-cache"), "{}", summary.text);
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
    assert_eq!((refused.total, &server.refused_sign_ins()[..]), (10, &expected[..]));
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
