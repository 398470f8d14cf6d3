//! The page for the person who runs the server.

use std::sync::Arc;

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use staticreg_domain::metrics::{MetricsError, MockMetricsRepository};
use staticreg_http::access::{Access, AccessOptions, Tokens};
use staticreg_memory::MemoryMetrics;
use staticreg_test_support::sample::SampleRegistry;

use crate::site;

const ADDRESS: &str = "203.0.113.77";
const USER_AGENT: &str = "nobodys-business/1.0";

fn event(number: u32, repository: &str, media_type: &str) -> Value {
    json!({
        "id": format!("{number:08x}-0000-4000-8000-000000000000"),
        "timestamp": "2026-11-21T19:59:59.5Z",
        "action": "pull",
        "target": {
            "mediaType": media_type, "repository": repository, "tag": "v1",
            "digest": format!("sha256:{}", "0".repeat(64)),
        },
        "request": {"addr": format!("{ADDRESS}:4711"), "method": "GET", "useragent": USER_AGENT},
    })
}

fn pull(number: u32) -> Value {
    event(number, "demo/app", "application/vnd.oci.image.manifest.v1+json")
}

fn layer(repository: &str) -> Value {
    event(99, repository, "application/octet-stream")
}

fn body(events: &[Value]) -> String {
    json!({ "events": events }).to_string()
}

fn empty_store() -> Arc<MemoryMetrics> {
    Arc::new(MemoryMetrics::new(100))
}

/// What is told of one notification.
fn rows(page: &str) -> Vec<&str> {
    let (_, rows) = page.split_once("Arrived ").expect("a table");
    let (rows, _) = rows.split_once(" Have a registry post here").expect("its end");
    rows.split_inclusive("just now").map(str::trim).filter(|row| !row.is_empty()).collect()
}

#[tokio::test]
async fn before_the_first_notification_it_says_what_to_put_into_the_registry() {
    let site = site::with(empty_store(), Some(SampleRegistry::new())).await;
    let headers = [("host", "counts.example.com:8093"), ("accept", "text/html")];
    let page = site.ask(Method::GET, "/status", &headers).await;
    let text = page.text();
    for words in [
        "Waiting for the first notification since the start.",
        "None arrived since the start.",
        "includereferences: true endpoints: - name: staticreg url: http://counts.example.com:8093/api/webhook/registry \
         timeout: 5s",
        "Counts are in memory, and gone when the server ends, until STATICREG_DB_URL is set.",
        "Registry Read ",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(!text.contains("Authorization") && !page.body.contains("class=\"posting good\""), "{text}");
    let headers = [("host", "evil.example\"><script>"), ("accept", "text/html")];
    let page = site.ask(Method::GET, "/status", &headers).await;
    assert!(!page.body.contains("evil"), "a name that is none is not shown: {}", page.body);
}

#[tokio::test]
async fn it_tells_what_became_of_the_last_notifications_and_not_whose_they_were() {
    let site = site::of(empty_store(), None);
    assert_eq!(site.post(&body(&[pull(1)])).await, StatusCode::OK);
    assert_eq!(site.post(&body(&[pull(1)])).await, StatusCode::OK);
    assert_eq!(site.post(&body(&[pull(2), layer("demo/app"), pull(3)])).await, StatusCode::OK);
    assert_eq!(site.post(&body(&[layer("<script>alert(1)</script>")])).await, StatusCode::OK);
    assert_eq!(site.post(&format!("{{\"events\": \"{ADDRESS}\"}}")).await, StatusCode::BAD_REQUEST);
    let page = site.page("/status").await;
    assert!(!page.body.contains("<script>alert"), "{}", page.body);
    assert!(!page.body.contains(ADDRESS) && !page.body.contains(USER_AGENT), "{}", page.body);
    assert!(page.body.contains("class=\"posting good\""), "{}", page.body);
    let text = page.text();
    let told = rows(&text);
    assert_eq!(told[0], "no event not understood its body is no notification just now");
    assert!(told[1].starts_with("pull &#60;script&#62;") && told[1].contains("skipped not a manifest"), "{told:?}");
    assert_eq!(
        told[2..],
        [
            "pull demo/app:v1 and 2 more events counted 2 × pull by tag, not a manifest just now",
            "pull demo/app:v1 repeated recorded before just now",
            "pull demo/app:v1 counted pull by tag just now",
        ]
    );
    assert!(text.contains("The registry posts its notifications here."), "{text}");
    assert!(text.contains("Events 6 in the last minute"), "{text}");
    assert!(
        text.contains("6 events received since the start of this server: 3 counted, 2 skipped, 1 repeated."),
        "{text}"
    );
}

#[tokio::test]
async fn what_turns_text_round_or_is_not_seen_is_shown_by_its_number() {
    let site = site::of(empty_store(), None);
    let odd = "demo\u{202e}ppa\u{2066}\u{0}\u{1b}[31m\u{200b}";
    assert_eq!(site.post(&body(&[layer(odd)])).await, StatusCode::OK);
    let page = site.page("/status").await;
    let shown = "demo\\u{202e}ppa\\u{2066}\\0\\u{1b}[31m\\u{200b}:v1";
    assert!(page.body.contains(shown), "{}", page.body);
    assert!(!page.body.contains(['\u{202e}', '\u{2066}', '\0', '\u{1b}', '\u{200b}']), "{}", page.body);
}

#[tokio::test]
async fn it_tells_that_the_store_takes_nothing() {
    let mut store = MockMetricsRepository::new();
    store.expect_record().returning(|_, _| Err(MetricsError::Unavailable("secret words of a database".into())));
    let site = site::of(Arc::new(store), None);
    assert_eq!(site.post(&body(&[pull(1)])).await, StatusCode::SERVICE_UNAVAILABLE);
    let page = site.page("/status").await.text();
    assert_eq!(rows(&page), ["pull demo/app:v1 503 not stored in time just now"]);
    assert!(page.contains("did not take the last events; the log says why. The registry keeps them."), "{page}");
    assert!(!page.contains("secret words"), "{page}");
}

#[tokio::test]
async fn it_names_the_token_that_is_asked_for_and_tells_none() {
    let options = AccessOptions { tokens: Some(Tokens::new(["t0p-secret"])), ..AccessOptions::default() };
    let site = site::guarded(empty_store(), Access::new(options));
    assert_eq!(site.post(&body(&[pull(1)])).await, StatusCode::UNAUTHORIZED);
    let page = site.page("/status").await.text();
    let header = "headers: Authorization: [Bearer TOKEN] # one of STATICREG_WEBHOOK_TOKENS timeout: 5s";
    assert!(page.contains(header) && !page.contains("t0p-secret"), "{page}");
    assert!(page.contains("Refused since the start: 1 POST to the webhook."), "{page}");
    assert!(page.contains("Waiting for the first notification"), "what is refused is none: {page}");
}
