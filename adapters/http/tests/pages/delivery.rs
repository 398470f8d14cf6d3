//! Headers, errors, compression and what browsers keep.

use std::sync::Arc;

use poem::http::{Method, StatusCode};
use staticreg_domain::metrics::MockMetricsRepository;
use staticreg_memory::MemoryMetrics;

use crate::site;

const PAGES: [&str; 5] = ["/", "/repo/library/nginx", "/repo/library/nginx?tag=latest", "/insights", "/no/such/page"];

#[tokio::test(start_paused = true)]
async fn every_page_has_a_strict_policy_and_nothing_inline() {
    let site = site::sample().await;
    for path in PAGES {
        let answer = site.get(path).await;
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        for inline in [" style=", "<style", " onclick=", "javascript:", "http-equiv"] {
            assert!(!answer.body.contains(inline), "{path}: {inline}");
        }
        assert!(answer.body.contains(r#"href="/docs""#), "{path} links to the API");
    }
}

#[tokio::test(start_paused = true)]
async fn swagger_ui_is_a_page_of_this_site_that_runs_no_script_but_its_own() {
    let site = site::sample().await;
    let answer = site.page("/docs").await;
    assert!(answer.body.trim_start().starts_with("<!doctype html>\n<html lang=\"en\">"));
    assert!(answer.body.contains("<title>API · staticreg</title>") && !answer.body.contains("<title>Swagger UI"));
    assert!(answer.body.contains(r#"<a href="/docs" aria-current="page">API</a>"#));
    assert!(answer.body.contains("supportedSubmitMethods: ['get']"), "what posts can be tried");
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self' 'sha256-") && !policy.contains("script-src 'unsafe")
    );
    assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
}

#[tokio::test(start_paused = true)]
async fn the_assets_are_there_and_kept_for_ever() {
    let site = site::sample().await;
    let body = site.page("/").await.body;
    let assets: Vec<&str> = body
        .split('"')
        .filter(|value| value.starts_with("/assets/"))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(assets.len(), 4, "{assets:?}");
    for path in assets {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable", "{path}");
    }
    assert_eq!(site.get("/assets/style.0000000000000000.css").await.status, StatusCode::NOT_FOUND);
    let icon = site.get("/favicon.ico").await;
    assert_eq!(icon.status, StatusCode::FOUND);
    assert!(icon.header("location").starts_with("/assets/icon."));
}

#[tokio::test(start_paused = true)]
async fn what_a_browser_has_is_not_sent_again() {
    let site = site::sample().await;
    for path in [
        "/",
        "/insights",
        "/badge/library/nginx.svg",
        "/chart/library/nginx.svg",
        "/docs",
        "/openapi.json",
        "/openapi.yaml",
    ] {
        let tag = site.get(path).await.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        let head = site.ask(Method::HEAD, path, &[]).await;
        assert_eq!((head.status, head.header("etag")), (StatusCode::OK, tag.as_str()), "{path}");
        for known in [tag.as_str(), &format!("\"x\", {tag}"), "*"] {
            let again = site.ask(Method::GET, path, &[("if-none-match", known)]).await;
            assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path}");
            assert_eq!(again.header("etag"), tag, "{path}");
            assert!(!again.header("cache-control").is_empty(), "{path}");
        }
        let other = site.ask(Method::GET, path, &[("if-none-match", "W/\"0\"")]).await;
        assert_eq!(other.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_and_lists_are_compressed_for_those_who_accept_it() {
    let site = site::sample().await;
    for path in ["/", "/insights", "/openapi.json", "/docs", "/api/v1/metrics?limit=100"] {
        let plain = site.ask(Method::GET, path, &[]).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        assert!(plain.headers.get_all("vary").iter().any(|value| value == "Accept-Encoding"), "{path}");
        let gzip = site.ask(Method::GET, path, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(gzip.header("content-encoding"), "gzip", "{path}");
        assert!(gzip.size < plain.size / 2, "{path}");
    }
    let small = site.ask(Method::GET, "/healthz", &[("accept-encoding", "gzip")]).await;
    assert_eq!(small.header("content-encoding"), "");
}

#[tokio::test(start_paused = true)]
async fn people_get_pages_and_programs_get_problems() {
    let site = site::sample().await;
    let page = site.get("/no/such/page").await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::NOT_FOUND, "text/html; charset=utf-8"));
    assert!(page.text().contains("There is nothing at /no/such/page."), "{}", page.text());
    let problem = site.ask(Method::GET, "/no/such/page", &[]).await;
    assert_eq!(problem.header("content-type"), "application/problem+json");
    for path in ["/api/v1/nothing", "/api/v1/pulls?limit=0", "/api/webhook/registry"] {
        assert_eq!(site.get(path).await.header("content-type"), "application/problem+json", "{path}");
    }
    let post = site.ask(Method::POST, "/insights", &[("accept", "text/html")]).await;
    assert_eq!((post.status, post.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_inside_is_a_page_that_tells_no_inside() {
    let mut store = MockMetricsRepository::new();
    store.expect_check().returning(|| panic!("the inside"));
    let site = site::with(Arc::new(store), None).await;
    let answer = site.get("/healthz/db").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::INTERNAL_SERVER_ERROR, "text/html; charset=utf-8")
    );
    assert!(answer.text().contains("Something failed on our side") && !answer.body.contains("the inside"));
}

#[tokio::test(start_paused = true)]
async fn the_webhook_is_answered_as_it_always_was() {
    let site = site::with(Arc::new(MemoryMetrics::new(1)), None).await;
    let answer =
        site.ask(Method::POST, "/api/webhook/registry", &[("accept-encoding", "gzip"), ("accept", "text/html")]).await;
    assert_eq!(answer.header("content-encoding"), "");
    assert_eq!(answer.header("x-frame-options"), "");
    assert_eq!(answer.header("content-type"), "application/problem+json");
}
