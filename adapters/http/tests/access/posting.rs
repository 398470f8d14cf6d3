//! Who may post.

use staticreg_http::access::{AccessOptions, Networks, RefusalReason, Tokens};

use crate::{
    Answer, INSIDE, OUTSIDE, Server, TOKEN, WEBHOOK, body, networks, post, request, sign, signatures, support,
};

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
