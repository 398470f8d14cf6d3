//! What API tokens let in.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use staticreg_application::api_tokens::{FollowTokens, KnownTokens};
use staticreg_domain::{
    api_token::{ApiToken, MockApiTokens, Scopes, TokenHash},
    clock::MockClock,
    metrics::MetricsError,
};
use staticreg_http::access::{
    AccessOptions, ApiTokens, ProxyHeader, Readers, RefusalReason, SignInReason, Tokens, Users,
};

use crate::{Answer, INSIDE, OUTSIDE, RIGHT, Server, USERS, networks, request, signatures, signed_in};

pub(crate) const FOR_READING: (&str, &str) = ("authorization", "Bearer srt_reading");
pub(crate) const FOR_POSTING: (&str, &str) = ("authorization", "Bearer srt_posting");
pub(crate) const FOR_RUNNING: (&str, &str) = ("authorization", "Bearer srt_running");
pub(crate) const FOR_METRICS: (&str, &str) = ("authorization", "Bearer srt_metrics");
/// Those that let in no more had every scope.
pub(crate) const EXPIRED: (&str, &str) = ("authorization", "Bearer srt_expired");
pub(crate) const REVOKED: (&str, &str) = ("authorization", "Bearer srt_revoked");
pub(crate) const UNKNOWN: (&str, &str) = ("authorization", "Bearer srt_unknown");

const CHALLENGE: Option<&str> = Some("Basic realm=\"staticreg\", charset=\"UTF-8\", Bearer realm=\"staticreg\"");

fn at(hour: u32) -> DateTime<Utc> {
    format!("2026-11-21T{hour:02}:00:00Z").parse().expect("a time")
}

fn token(secret: &str, scopes: &str) -> ApiToken {
    ApiToken {
        name: secret.parse().expect("a name"),
        hash: TokenHash(Sha256::digest(secret).into()),
        scopes: scopes.parse::<Scopes>().expect(scopes),
        created_at: at(9),
        expires_at: Some(at(13)),
        ended_at: None,
        last_used_at: None,
    }
}

/// Those that are known at noon when a store answers so.
async fn known(answer: Result<Vec<ApiToken>, MetricsError>) -> ApiTokens {
    let mut clock = MockClock::new();
    clock.expect_now().returning(|| at(12));
    let mut store = MockApiTokens::new();
    store.expect_not_ended_by().return_once(|_| answer);
    let known = KnownTokens::new(Arc::new(clock));
    FollowTokens::new(Arc::new(store), known.clone()).read().await;
    ApiTokens::new(known)
}

/// One of each kind.
pub(crate) async fn api_tokens() -> ApiTokens {
    let all = "read,post,metrics,running";
    known(Ok(vec![
        token("srt_reading", "read"),
        token("srt_posting", "post"),
        token("srt_metrics", "metrics"),
        token("srt_running", "running"),
        ApiToken { expires_at: Some(at(11)), ..token("srt_expired", all) },
        ApiToken { ended_at: Some(at(11)), ..token("srt_revoked", all) },
    ]))
    .await
}

/// Where nothing lets read but a token.
async fn by_token() -> AccessOptions {
    let api_tokens = Some(api_tokens().await);
    AccessOptions { api_tokens, read: Readers::SignedIn, badges: Readers::SignedIn, ..AccessOptions::default() }
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[tokio::test]
async fn a_token_alone_lets_read_as_bearer_or_as_the_password_of_any_name() {
    let server = Server::start(by_token().await).await;
    let nobody = server.get("/api/v1/summary", &[]).await;
    assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, CHALLENGE));
    for authorization in ["Bearer srt_reading", &basic("any:srt_reading"), &basic(":srt_reading")] {
        for path in ["/", "/api/v1/summary", "/badge/demo/app.svg"] {
            let answer = server.get(path, &[("authorization", authorization)]).await;
            assert_eq!(answer.status, 200, "{path} {authorization}");
            assert!(answer.header("cache-control").expect("one").starts_with("private"), "{}", answer.text);
        }
    }
    for authorization in ["srt_reading", "Bearer reading", "Bearer srt_readin", &basic("srt_reading:")] {
        assert_eq!(server.get("/", &[("authorization", authorization)]).await.status, 401, "{authorization}");
    }
    let twice = server.get("/", &[FOR_READING, FOR_READING]).await;
    assert_eq!(twice.status, 401, "others on the way may look at another than we do");
}

#[tokio::test]
async fn a_token_for_something_else_is_told_so_to_who_reads() {
    let server = Server::start(by_token().await).await;
    for token in [FOR_POSTING, FOR_METRICS] {
        let refused = server.get("/api/v1/summary", &[token]).await;
        assert_eq!((refused.status, refused.header("content-type")), (403, Some("application/problem+json")));
        assert!(refused.text.contains(r#""detail":"The API token lacks the scope `read`.""#), "{}", refused.text);
    }
}

#[tokio::test]
async fn why_a_token_does_not_let_in_is_counted_and_not_told_to_who_posts() {
    let server = Server::start(AccessOptions { signatures: Some(signatures()), ..by_token().await }).await;
    let mut told = Vec::new();
    for (token, refused, sign_in) in [
        (FOR_METRICS, RefusalReason::TokenScope, SignInReason::TokenScope),
        (EXPIRED, RefusalReason::ExpiredToken, SignInReason::ExpiredToken),
        (REVOKED, RefusalReason::RevokedToken, SignInReason::RevokedToken),
        (UNKNOWN, RefusalReason::WrongToken, SignInReason::WrongToken),
    ] {
        let answer = server.post(INSIDE, &[token]).await;
        assert_eq!((answer.status, server.refused(refused)), (401, 1), "{token:?}");
        told.push(body_of(&answer));
        server.get("/", &[token]).await;
        assert!(server.refused_sign_ins().contains(&(sign_in, 1)), "{token:?}");
    }
    assert!(told.iter().all(|body| *body == told[0] && !body.contains("oken")), "{told:?}");
    assert_eq!((server.access.refused().total, server.access.refused_sign_ins().total), (4, 4));
}

fn body_of(answer: &Answer) -> String {
    answer.text.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

#[tokio::test]
async fn a_token_lets_post_beside_signatures_and_is_then_asked_for() {
    let server = Server::start(AccessOptions { signatures: Some(signatures()), ..by_token().await }).await;
    assert_eq!(server.post(OUTSIDE, &[FOR_POSTING]).await.status, 200);
    assert_eq!(server.post(OUTSIDE, &[("authorization", &basic("any:srt_posting"))]).await.status, 200);
    let nobody = server.post(OUTSIDE, &[]).await;
    assert_eq!((nobody.status, nobody.header("www-authenticate").is_some()), (401, true));
    assert_eq!(server.post(OUTSIDE, &[FOR_POSTING, FOR_POSTING]).await.status, 401);
    // Where the webhook's own are none, an API token is the only one that lets in.
    let server = Server::start(AccessOptions { tokens: Some(Tokens::new([])), ..by_token().await }).await;
    assert_eq!((server.post(INSIDE, &[FOR_POSTING]).await.status, server.post(INSIDE, &[]).await.status), (200, 401));
    // A network must fit as well.
    let inside = AccessOptions { networks: Some(networks("127.0.0.1")), ..by_token().await };
    assert_eq!(Server::start(inside).await.post(OUTSIDE, &[FOR_POSTING]).await.status, 403);
}

#[tokio::test]
async fn wrong_tokens_are_slowed_by_address_and_right_ones_are_not() {
    let server = Server::start(by_token().await).await;
    for _ in 0..5 {
        assert_eq!(server.get("/", &[UNKNOWN]).await.status, 401);
    }
    let slowed = server.get("/", &[UNKNOWN]).await;
    assert!(slowed.status == 429 && slowed.header("retry-after").is_some(), "{}", slowed.text);
    assert_eq!(server.get("/", &[FOR_READING]).await.status, 200);
    // They were right once.
    for token in [EXPIRED, REVOKED] {
        for _ in 0..10 {
            assert_eq!(server.get("/", &[token]).await.status, 401);
        }
    }
    assert_eq!(server.send(OUTSIDE, &request("GET", "/", &[UNKNOWN], "")).await.status, 401);
    assert!(server.refused_sign_ins().contains(&(SignInReason::TooManyGuesses, 1)));
}

/// A browser must not ask for a password where people sign in at a proxy.
#[tokio::test]
async fn where_a_proxy_alone_asks_people_to_sign_in_nobody_is_asked_for_a_password() {
    let proxy_header = Some(ProxyHeader::parse("Remote-User").expect("a header"));
    let server = Server::start(AccessOptions { proxy_header, ..by_token().await }).await;
    for shown in [&[][..], &[UNKNOWN]] {
        let refused = server.get("/", shown).await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (403, None), "{shown:?}");
    }
    assert_eq!(server.get("/", &[FOR_READING]).await.status, 200);
}

#[tokio::test]
async fn a_password_may_look_like_a_token() {
    let bob = bcrypt::hash("srt_of-bob", 4).expect("a hash");
    let users = Users::parse(&format!("{USERS}\nbob:{bob}")).expect("users");
    let server = Server::start(AccessOptions { users: Some(users), ..by_token().await }).await;
    for (pair, expected) in [
        ("bob:srt_of-bob", 200),
        ("alice:r1ght", 200),
        ("alice:srt_reading", 200),
        ("alice:srt_of-bob", 401),
        ("bob:srt_revoked", 401),
    ] {
        let answer = server.get("/", &[("authorization", &basic(pair))]).await;
        assert_eq!(answer.status, expected, "{pair}");
    }
    assert_eq!(server.refused_sign_ins(), [(SignInReason::WrongPassword, 1), (SignInReason::RevokedToken, 1)]);
}

#[tokio::test]
async fn until_tokens_could_be_read_nobody_is_told_that_one_is_wrong() {
    let unread = known(Err(MetricsError::Unavailable("away".into()))).await;
    let server = Server::start(AccessOptions { api_tokens: Some(unread), ..signed_in() }).await;
    let answer = server.get("/", &[FOR_READING]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text);
    assert_eq!(server.get("/", &[RIGHT]).await.status, 200);
    assert_eq!(server.get("/", &[("authorization", "Bearer other")]).await.status, 401);
    let posted = server.post(INSIDE, &[FOR_POSTING]).await;
    assert_eq!((posted.status, posted.header("retry-after")), (503, Some("1")), "{}", posted.text);
    assert_eq!(server.refused(RefusalReason::UnreadTokens), 1);
    // A password that looks like a token is one all the same.
    let bob = bcrypt::hash("srt_of-bob", 4).expect("a hash");
    let users = Users::parse(&format!("bob:{bob}")).expect("users");
    let unread = known(Err(MetricsError::Unavailable("away".into()))).await;
    let options = AccessOptions { api_tokens: Some(unread), users: Some(users), ..signed_in() };
    let server = Server::start(options).await;
    for (pair, expected) in [("bob:srt_of-bob", 200), ("bob:srt_other", 503), ("nobody:srt_of-bob", 503)] {
        let answer = server.get("/", &[("authorization", &basic(pair))]).await;
        assert_eq!(answer.status, expected, "{pair}");
    }
}

#[tokio::test]
async fn the_status_page_names_the_tokens_that_let_a_registry_post() {
    let options = AccessOptions { signatures: Some(signatures()), read: Readers::Anyone, ..by_token().await };
    let page = Server::start(options).await.get("/status", &[]).await.text;
    assert!(page.contains("[Bearer TOKEN]   # the API token srt_posting\n"), "{page}");
    let open = AccessOptions { read: Readers::Anyone, ..by_token().await };
    let page = Server::start(open).await.get("/status", &[]).await.text;
    assert!(!page.contains("Authorization"), "no token is asked for: {page}");
}

/// Whoever runs images is elsewhere than the registry.
#[tokio::test]
async fn a_token_for_what_runs_lets_in_from_anywhere_but_a_page_of_another_site() {
    let networks = Some(networks("127.0.0.2"));
    let server = Server::start(AccessOptions { networks, ..by_token().await }).await;
    assert_eq!(server.tell(INSIDE, &[]).await.status, 403);
    assert_eq!(server.tell(INSIDE, &[FOR_RUNNING]).await.status, 200);
    assert_eq!(server.tell(INSIDE, &[FOR_POSTING]).await.status, 403);
    let of_a_page = [FOR_RUNNING, ("origin", "https://elsewhere.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(server.tell(INSIDE, &of_a_page).await.status, 403);
}
