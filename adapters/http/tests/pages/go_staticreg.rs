//! The paths of the Go staticreg.

use std::sync::Arc;

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use staticreg_memory::MemoryMetrics;

use crate::site::{self, Answer};

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), "application/json", "{}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn its_pages_lead_on() {
    let site = site::sample().await;
    for (path, expected) in [
        ("/browse", "/"),
        ("/browse/", "/"),
        ("/browse/platform", "/?folder=platform"),
        ("/browse/data/warehouse/", "/?folder=data/warehouse"),
        ("/browse/a%26b%22%0d%0ax", "/?folder=a%26b%22%0D%0Ax"),
        ("/search?q=gate%20way", "/?q=gate%20way"),
        ("/search", "/"),
    ] {
        let answer = site.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::MOVED_PERMANENTLY, expected), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn its_search_finds_repositories_by_their_names() {
    let site = site::sample().await;
    let found = json_of(&site.get("/api/search?q=gateway").await);
    let result = &found["results"][0];
    assert_eq!((&result["name"], &result["path"]), (&json!("gateway"), &json!("/repo/platform/gateway")), "{found}");
    assert!(result["lastUpdatedAt"].as_str().is_some_and(|at| at.starts_with("2026-")), "{found}");
    assert_eq!(json_of(&site.get("/api/search?q=no-such-name").await), json!({ "results": [] }));
    assert_eq!(json_of(&site.get("/api/search?q=").await)["results"].as_array().map(Vec::len), Some(22));
}

#[tokio::test(start_paused = true)]
async fn its_counters_and_documents_are_under_their_names() {
    let site = site::of(Arc::new(MemoryMetrics::new(1_000)), None);
    let counters = json_of(&site.get("/metrics/webhook").await);
    assert_eq!(
        counters,
        json!({
            "events_received": 0, "events_dropped": 0, "events_flushed": 0, "batches_flushed": 0,
            "current_queue_size": 0,
        })
    );
    let no_pool = site.get("/metrics/db").await;
    assert_eq!(no_pool.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(json_of(&no_pool)["error"].is_string());
    let service = json_of(&site.get("/service-info").await);
    for member in ["version", "commitId", "buildTime"] {
        assert!(service[member].is_string(), "{service}");
    }
    let robots = site.get("/robots.txt").await;
    assert_eq!(robots.body, "User-agent: *\nDisallow: /\n");
    assert!(robots.header("content-type").starts_with("text/plain"));
    assert_eq!(site.ask(Method::POST, "/metrics/webhook", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
}
