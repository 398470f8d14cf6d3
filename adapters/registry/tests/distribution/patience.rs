//! Servers that ask for patience.

use std::time::Duration;

use staticreg_domain::catalog::RegistryCatalog;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use crate::{alice, anonymous, json, kind, name, tag, tags_of};

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn a_server_that_asks_for_patience_is_asked_again() {
    for (status, retry_after) in [
        (429, Some("0")),
        (429, Some("1")),
        (429, None),
        (500, None),
        (502, Some("0.2")),
        (503, Some("Wed, 21 Oct 2015 07:28:00 GMT")),
        (504, Some("soon")),
    ] {
        let server = MockServer::start().await;
        let busy = ResponseTemplate::new(status);
        let busy = retry_after.map_or(busy.clone(), |told| busy.insert_header("retry-after", told));
        Mock::given(method("GET")).respond_with(busy).up_to_n_times(1).mount(&server).await;
        Mock::given(method("GET")).respond_with(json(r#"{"tags": ["v1"]}"#)).mount(&server).await;
        assert_eq!(tags_of(&server, "a").await, (vec!["v1".to_owned()], None), "{status} {retry_after:?}");
        assert_eq!(requests(&server).await, 2);
    }
}

#[tokio::test]
async fn patience_ends() {
    for (status, retry_after, expected) in [
        (429, Some("0"), 3),
        (503, Some("61"), 1),
        (503, Some("99999999999999999999"), 1),
        (500, None, 2),
        (501, Some("0"), 1),
        (403, Some("0"), 1),
    ] {
        let server = MockServer::start().await;
        let busy = ResponseTemplate::new(status);
        let busy = retry_after.map_or(busy.clone(), |told| busy.insert_header("retry-after", told));
        Mock::given(method("GET")).respond_with(busy).mount(&server).await;
        let expected_kind = if status == 403 { "denied" } else { "unavailable" };
        assert_eq!(kind(anonymous(&server).tags(&name("a")).await), expected_kind);
        assert_eq!(requests(&server).await, expected, "{status} {retry_after:?}");
    }
}

#[tokio::test]
async fn a_token_server_and_an_object_store_are_asked_again_too() {
    let server = MockServer::start().await;
    let busy = || ResponseTemplate::new(503).insert_header("retry-after", "0");
    let blob = crate::digest_of("{}");
    Mock::given(path("/token")).respond_with(busy()).up_to_n_times(1).mount(&server).await;
    Mock::given(path("/token")).respond_with(json(r#"{"token": "t0ken"}"#)).mount(&server).await;
    Mock::given(path("/store")).respond_with(busy()).up_to_n_times(1).mount(&server).await;
    Mock::given(path("/store")).respond_with(json("{}")).mount(&server).await;
    Mock::given(header("authorization", "Bearer t0ken"))
        .respond_with(ResponseTemplate::new(307).insert_header("location", "/store"))
        .mount(&server)
        .await;
    let challenge = format!(r#"Bearer realm="{}/token""#, server.uri());
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", challenge.as_str()))
        .mount(&server)
        .await;
    alice(&server).configuration(&name("a"), &blob).await.unwrap();
}

#[tokio::test]
async fn a_look_up_waits_as_long_as_it_is_told() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "1");
    Mock::given(method("HEAD")).respond_with(busy).up_to_n_times(2).mount(&server).await;
    let digest = crate::digest_of("image");
    let found = ResponseTemplate::new(200).insert_header("docker-content-digest", digest.as_str());
    Mock::given(method("HEAD")).respond_with(found).mount(&server).await;
    let began = std::time::Instant::now();
    assert_eq!(anonymous(&server).resolve(&name("a"), &tag("v1")).await.unwrap(), digest);
    // No sooner; how much later is the machine's affair.
    assert!(began.elapsed() >= Duration::from_secs(2));
}
