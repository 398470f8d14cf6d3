//! Authentication and redirects.

use serde_json::json as value;
use staticreg_domain::{
    catalog::{Reference, RegistryCatalog},
    error::describe,
};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{header, method, path, query_param, query_param_is_missing},
};

use crate::{ALICE, Answering, alice, anonymous, authorizations, digest_of, json, kind, name, tag};

/// A registry that wants `Bearer TOKEN` from a token server.
async fn bearer_registry(realm: &str, token: &str) -> MockServer {
    let server = MockServer::start().await;
    let (realm, expected) = (realm.to_owned(), format!("Bearer {token}"));
    let answer = move |request: &Request| {
        if request.headers.get("authorization").is_some_and(|value| value == expected.as_str()) {
            return json(r#"{"repositories": ["a"], "tags": ["v1"]}"#);
        }
        let scope = match request.url.path() {
            "/v2/_catalog" => "registry:catalog:*".to_owned(),
            other => format!("repository:{}:pull", other.split('/').nth(2).unwrap()),
        };
        ResponseTemplate::new(401).insert_header(
            "www-authenticate",
            format!(r#"Bearer realm="{realm}",service="registry",scope="{scope}""#).as_str(),
        )
    };
    Mock::given(method("GET")).respond_with(Answering(answer)).mount(&server).await;
    server
}

fn token(token: &str, expires_in: u64) -> ResponseTemplate {
    json(value!({ "token": token, "expires_in": expires_in }).to_string())
}

#[tokio::test]
async fn basic_credentials_are_sent_when_asked_for_and_then_at_once() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", ALICE)).respond_with(json(r#"{"tags": ["v1"]}"#)).mount(&server).await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", r#"Basic realm="x""#))
        .mount(&server)
        .await;
    let catalog = alice(&server);
    for _ in 0..2 {
        assert_eq!(catalog.tags(&name("a")).await.unwrap().tags, [tag("v1")]);
    }
    assert_eq!(*authorizations(&server).await, ["", ALICE, ALICE]);
    assert_eq!(kind(anonymous(&server).tags(&name("a")).await), "denied");
}

#[tokio::test]
async fn a_refused_password_is_not_tried_over_and_over() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", r#"Basic realm="x""#))
        .mount(&server)
        .await;
    let catalog = alice(&server);
    assert_eq!(kind(catalog.tags(&name("a")).await), "denied");
    assert_eq!(*authorizations(&server).await, ["", ALICE]);
    assert_eq!(kind(catalog.tags(&name("a")).await), "denied");
    assert_eq!(*authorizations(&server).await, ["", ALICE, ALICE]);
}

#[tokio::test]
async fn an_anonymous_token_is_fetched_once_per_scope() {
    let tokens = MockServer::start().await;
    let registry = bearer_registry(&format!("{}/token?account=x", tokens.uri()), "t0ken").await;
    for scope in ["registry:catalog:*", "repository:a:pull", "repository:b:pull"] {
        Mock::given(path("/token"))
            .and(query_param("account", "x"))
            .and(query_param("service", "registry"))
            .and(query_param("scope", scope))
            .respond_with(token("t0ken", 300))
            .expect(1)
            .mount(&tokens)
            .await;
    }
    let catalog = anonymous(&registry);
    for _ in 0..2 {
        assert_eq!(catalog.repositories(None).await.unwrap().repositories, [name("a")]);
        assert_eq!(catalog.tags(&name("a")).await.unwrap().tags, [tag("v1")]);
        assert_eq!(catalog.tags(&name("b")).await.unwrap().tags, [tag("v1")]);
    }
    assert!(authorizations(&tokens).await.iter().all(String::is_empty));
    // Once it is known what the registry asks for, no request is wasted on a refusal.
    let sent = authorizations(&registry).await;
    assert_eq!((sent.len(), sent.iter().filter(|sent| sent.is_empty()).count()), (7, 1));
}

#[tokio::test]
async fn the_token_server_gets_the_password_and_the_registry_the_token() {
    let tokens = MockServer::start().await;
    let registry = bearer_registry(&format!("{}/token", tokens.uri()), "t0ken").await;
    let answer = json(r#"{"access_token": "t0ken"}"#);
    Mock::given(header("authorization", ALICE)).respond_with(answer).mount(&tokens).await;
    assert_eq!(alice(&registry).tags(&name("a")).await.unwrap().tags, [tag("v1")]);
    assert_eq!(*authorizations(&registry).await, ["", "Bearer t0ken"]);
    assert_eq!(kind(anonymous(&registry).tags(&name("a")).await), "malformed");
}

#[tokio::test]
async fn an_ended_token_is_replaced() {
    let tokens = MockServer::start().await;
    let registry = bearer_registry(&format!("{}/token", tokens.uri()), "t0ken").await;
    // At first one that ends at once, then one that the registry takes back, then a good one.
    for (text, expires_in) in [("t0ken", 1), ("old", 300)] {
        Mock::given(path("/token")).respond_with(token(text, expires_in)).up_to_n_times(1).mount(&tokens).await;
    }
    Mock::given(path("/token")).respond_with(token("t0ken", 300)).expect(1).mount(&tokens).await;
    let catalog = anonymous(&registry);
    for _ in 0..3 {
        assert_eq!(catalog.tags(&name("a")).await.unwrap().tags, [tag("v1")]);
    }
    let (good, old) = ("Bearer t0ken", "Bearer old");
    assert_eq!(*authorizations(&registry).await, ["", good, old, good, good]);
}

#[tokio::test]
async fn a_challenge_without_scope_is_answered_with_the_scope_that_is_needed() {
    for challenge in [
        r#"Bearer realm="{}",service="",scope="""#,
        "Bearer realm={}",
        r#"Negotiate, Basic realm="x", Bearer realm="{}""#,
        r#"  bearer  Realm = "{}" ,"#,
    ] {
        let tokens = MockServer::start().await;
        Mock::given(path("/token"))
            .and(query_param("scope", "repository:a:pull"))
            .and(query_param_is_missing("service"))
            .respond_with(json(r#"{"token": "", "access_token": "t0ken", "expires_in": "-1"}"#))
            .expect(1)
            .mount(&tokens)
            .await;
        let registry = MockServer::start().await;
        Mock::given(header("authorization", "Bearer t0ken"))
            .respond_with(json(r#"{"tags": ["v1"]}"#))
            .mount(&registry)
            .await;
        let challenge = challenge.replace("{}", &format!("{}/token", tokens.uri()));
        let refusal = ResponseTemplate::new(401).insert_header("www-authenticate", challenge.as_str());
        Mock::given(method("GET")).respond_with(refusal).mount(&registry).await;
        let catalog = anonymous(&registry);
        for _ in 0..2 {
            assert_eq!(catalog.tags(&name("a")).await.unwrap().tags, [tag("v1")], "{challenge}");
        }
    }
}

#[tokio::test]
async fn several_scopes_of_a_challenge_are_asked_for_each() {
    let tokens = MockServer::start().await;
    let registry = MockServer::start().await;
    Mock::given(header("authorization", "Bearer t0ken"))
        .respond_with(json(r#"{"tags": ["v1"]}"#))
        .mount(&registry)
        .await;
    let challenge = format!(r#"Bearer realm="{}/token",scope="repository:a:pull repository:b:pull""#, tokens.uri());
    let refusal = ResponseTemplate::new(401).insert_header("www-authenticate", challenge.as_str());
    Mock::given(method("GET")).respond_with(refusal).mount(&registry).await;
    Mock::given(path("/token")).respond_with(token("t0ken", 300)).mount(&tokens).await;
    anonymous(&registry).tags(&name("a")).await.unwrap();
    let asked = tokens.received_requests().await.unwrap();
    assert_eq!(asked[0].url.query(), Some("scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull"));
}

#[tokio::test]
async fn the_server_that_failed_is_named_and_no_secret() {
    let tokens = MockServer::start().await;
    let realm = format!("{}/token", tokens.uri());
    let registry = bearer_registry(&format!("{realm}?key=s3cret"), "t0ken").await;
    for (answer, told) in [
        (ResponseTemplate::new(401), "the registry refuses access: {}: it refuses the user or password"),
        (ResponseTemplate::new(403), "the registry refuses access: {}: the answer is 403 Forbidden"),
        (ResponseTemplate::new(501), "the registry is unavailable: {}: the answer is 501 Not Implemented"),
        (json("{}"), "the registry's answer is not understood: {}: it answers without a token"),
        (json("<html>"), "the registry's answer is not understood: {}: expected value at line 1 column 1"),
    ] {
        tokens.reset().await;
        Mock::given(path("/token")).respond_with(answer).mount(&tokens).await;
        let error = alice(&registry).tags(&name("a")).await.unwrap_err();
        assert_eq!(describe(&error), told.replace("{}", &realm));
    }
    let broken = MockServer::start().await;
    Mock::given(method("GET")).respond_with(json("<html>")).mount(&broken).await;
    let told = describe(&anonymous(&broken).repositories(None).await.unwrap_err());
    assert!(told.contains(&format!(": {}/v2/_catalog: expected value", broken.uri())), "{told}");
}

#[tokio::test]
async fn the_password_is_kept_from_another_host_without_tls() {
    let registry = bearer_registry("http://auth.example/token", "t0ken").await;
    assert_eq!(kind(alice(&registry).tags(&name("a")).await), "denied");
}

#[tokio::test]
async fn failures_of_the_token_server_are_told_apart() {
    for (answer, expected) in [
        (ResponseTemplate::new(401), "denied"),
        (ResponseTemplate::new(403), "denied"),
        (ResponseTemplate::new(500), "unavailable"),
        (json("garbage"), "malformed"),
        (json("{}"), "malformed"),
        (json(r#"{"token": ""}"#), "malformed"),
        (json(r#"{"token": "a\nb"}"#), "malformed"),
        (json(value!({ "token": "x".repeat(70_000) }).to_string()), "malformed"),
        (token("wrong", 300), "denied"),
    ] {
        let tokens = MockServer::start().await;
        let registry = bearer_registry(&format!("{}/token", tokens.uri()), "t0ken").await;
        Mock::given(path("/token")).respond_with(answer).mount(&tokens).await;
        assert_eq!(kind(alice(&registry).tags(&name("a")).await), expected);
    }
}

#[tokio::test]
async fn a_redirect_to_an_object_store_is_followed_without_the_authorization() {
    let body = "{}";
    let blob = digest_of(body);
    let store = MockServer::start().await;
    Mock::given(path("/bucket/blob")).and(query_param("signature", "x")).respond_with(json(body)).mount(&store).await;
    let registry = MockServer::start().await;
    let location = format!("{}/bucket/blob?signature=x", store.uri());
    Mock::given(header("authorization", ALICE))
        .respond_with(ResponseTemplate::new(307).insert_header("location", location.as_str()))
        .mount(&registry)
        .await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", r#"Basic realm="x""#))
        .mount(&registry)
        .await;
    alice(&registry).configuration(&name("a"), &blob).await.unwrap();
    assert_eq!(*authorizations(&registry).await, ["", ALICE]);
    assert_eq!(*authorizations(&store).await, [""]);
}

#[tokio::test]
async fn only_the_redirects_of_blobs_are_followed() {
    let elsewhere = MockServer::start().await;
    let page = json(r#"{"repositories": ["evil"], "tags": ["evil"]}"#);
    Mock::given(method("GET")).respond_with(page).mount(&elsewhere).await;
    for status in [301, 302, 303, 307, 308] {
        for location in [elsewhere.uri(), "/v2/again".to_owned()] {
            let registry = MockServer::start().await;
            let redirect = ResponseTemplate::new(status).insert_header("location", location.as_str());
            Mock::given(path("/v2/again")).respond_with(json(r#"{"tags": ["evil"]}"#)).mount(&registry).await;
            Mock::given(wiremock::matchers::any()).respond_with(redirect).mount(&registry).await;
            let (catalog, reference) = (anonymous(&registry), Reference::Tag(tag("v1")));
            assert_eq!(kind(catalog.repositories(None).await), "malformed");
            assert_eq!(kind(catalog.tags(&name("a")).await), "malformed");
            assert_eq!(kind(catalog.resolve(&name("a"), &tag("v1")).await), "malformed");
            let error = catalog.manifest(&name("a"), &reference).await.unwrap_err();
            let told = describe(&error);
            assert!(told.contains(&format!("{}/v2/a/manifests/v1: the answer is {status}", registry.uri())), "{told}");
        }
    }
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_redirect_of_the_token_server_is_not_followed() {
    let tokens = MockServer::start().await;
    let registry = bearer_registry(&format!("{}/token", tokens.uri()), "t0ken").await;
    let redirect = ResponseTemplate::new(302).insert_header("location", "/login");
    Mock::given(path("/token")).respond_with(redirect).mount(&tokens).await;
    Mock::given(path("/login")).respond_with(token("t0ken", 300)).expect(0).mount(&tokens).await;
    assert_eq!(kind(alice(&registry).tags(&name("a")).await), "malformed");
}

#[tokio::test]
async fn a_host_the_registry_redirects_to_gets_no_password_by_asking_for_it() {
    let store = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", r#"Basic realm="x""#))
        .mount(&store)
        .await;
    let registry = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(307).insert_header("location", store.uri().as_str()))
        .mount(&registry)
        .await;
    assert_eq!(kind(alice(&registry).configuration(&name("a"), &digest_of("{}")).await), "denied");
    assert_eq!(*authorizations(&store).await, [""]);
}

#[tokio::test]
async fn redirects_without_end_are_malformed() {
    let registry = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(307).insert_header("location", "/v2/again"))
        .mount(&registry)
        .await;
    assert_eq!(kind(anonymous(&registry).configuration(&name("a"), &digest_of("{}")).await), "malformed");
    assert_eq!(registry.received_requests().await.unwrap().len(), 6);
}
