//! Errors are problems that tell what to do.

use poem::http::{Method, StatusCode};
use staticreg_domain::{
    Architecture,
    metrics::{MetricsError, MockMetricsRepository, Slice},
};

use crate::{
    away, body,
    support::{server, text},
};

#[tokio::test(start_paused = true)]
async fn unknown_paths_and_wrong_methods_are_problems() {
    for (method, path, status) in [
        (Method::GET, "/api/v1/nothing", StatusCode::NOT_FOUND),
        (Method::GET, "/api", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v1", StatusCode::NOT_FOUND),
        (Method::POST, "/api/v1/summary", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "/api/v1/images", StatusCode::METHOD_NOT_ALLOWED),
        (Method::PUT, "/api/webhook/registry", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/api/v1/running", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/api/webhook", StatusCode::NOT_FOUND),
        (Method::POST, "/api/webhook/registry/more", StatusCode::NOT_FOUND),
        (Method::POST, "/api/webhook/registr", StatusCode::NOT_FOUND),
        (Method::GET, "/healthz/nothing", StatusCode::NOT_FOUND),
        (Method::POST, "/healthz", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/insights", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/nothing", StatusCode::NOT_FOUND),
    ] {
        let response = server(MockMetricsRepository::new()).request(method.clone(), path).send().await;
        response.assert_status(status);
        response.assert_content_type("application/problem+json");
        let told = body(response).await;
        assert_eq!(told["status"], status.as_u16(), "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_parameter_is_named() {
    let cursor_of_another_list = "WzEsImEiXQ"; // [1,"a"]
    for (query, name) in [
        ("images?from=yesterday", "from"),
        ("images?from=2026-02-30", "from"),
        ("images?from=2026-11-02&to=2026-11-01", "from"),
        ("images?from=2026-11-22", "from"),
        ("images?from=2026-11-01&days=7", "days"),
        ("images?days=0", "days"),
        ("images?days=x", "days"),
        ("images?limit=0", "limit"),
        ("images?limit=10000", "limit"),
        ("images?limit=-1", "limit"),
        ("images?kind=all", "kind"),
        ("images?repository=A", "repository"),
        ("images?tag=.x", "tag"),
        ("images?digest=sha256:1", "digest"),
        ("images?architecture=%00", "architecture"),
        ("images?cursor=!", "cursor"),
        ("metrics?cursor=WzEsImEiXQ", "cursor"),
        (&format!("digests?repository=a&tag=b&cursor={cursor_of_another_list}"), "cursor"),
        ("pulls?group_by=digest", "group_by"),
        ("images?lmit=1", "lmit"),
        ("images.csv?lmit=1", "lmit"),
        ("summary?days=7", "days"),
        ("images?days=1&days=2", "days"),
        ("images?folder=a&folder=b", "folder"),
        ("images?folder=", "folder"),
        ("images?folder=a//b", "folder"),
        ("images?tag=a&tag=.x", "tag"),
        ("images?kind=push&kind=all", "kind"),
        (&format!("images?{}", "tag=a&".repeat(21)), "tag"),
        ("tags?repository=a&repository=b", "repository"),
        ("digests?repository=a&tag=a&tag=b", "tag"),
        ("pulls?interval=year", "interval"),
        ("pulls?fill=one", "fill"),
        ("pulls?fill=zero&group_by=tag", "fill"),
        ("images?fill=zero", "fill"),
        ("images?sort=size", "sort"),
        ("images?order=up", "order"),
        ("pulls?sort=count", "sort"),
        // ["2026-11-20","amd64"]
        ("pulls?cursor=WyIyMDI2LTExLTIwIiwiYW1kNjQiXQ", "cursor"),
        ("tags", "repository"),
        ("digests?repository=a", "tag"),
    ] {
        let response = server(MockMetricsRepository::new()).get(format!("/api/v1/{query}")).send().await;
        response.assert_status(StatusCode::BAD_REQUEST);
        response.assert_content_type("application/problem+json");
        let told = body(response).await;
        let detail = told["detail"].as_str().expect("a detail");
        assert!(detail.starts_with(&format!("parameter `{name}`")), "{query}: {detail}");
        let code = if detail.contains("is not known") { "unknown_parameter" } else { "invalid_parameter" };
        assert_eq!((&told["code"], &told["parameter"]), (&code.into(), &name.into()), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_parameter_is_told_what_is_right() {
    for (query, detail) in [
        ("images?lmit=1", "parameter `lmit`: is not known; `limit` is"),
        ("images?kind=pulls", "parameter `kind`: one of `pull_by_tag`, `pull_by_digest`, `version_check`, `push`"),
        ("pulls?interval=year", "parameter `interval`: one of `day`, `week`, `month`"),
        ("images?days=x", "parameter `days`: not a whole number"),
        ("images?days=-1", "parameter `days`: not a whole number"),
        ("images?limit=99999999999", "parameter `limit`: not a whole number"),
        ("images?from=2026-02-30", "parameter `from`: not a date such as 2026-11-21"),
        ("summary?days=7", "parameter `days`: is not known; these are: `compare`"),
        ("tags", "parameter `repository`: is missing"),
        ("tags?repository=a&repository=b", "parameter `repository`: is given more than once"),
        ("images?folder=/", "parameter `folder`: not a folder of repositories such as team-a or team-a/web"),
        (&format!("images?{}", "kind=push&".repeat(21)), "parameter `kind`: at most 20 of them"),
    ] {
        let response = server(MockMetricsRepository::new()).get(format!("/api/v1/{query}")).send().await;
        assert_eq!(body(response).await["detail"], detail, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_architecture_is_one_that_nobody_told() {
    for name in ["unknown", "Unknown", "not-specified"] {
        let mut store = MockMetricsRepository::new();
        store.expect_breakdown().returning(|list| {
            assert_eq!(list.filter.architecture.named(), [Architecture::not_specified()]);
            Ok(Slice { items: Vec::new(), more: false })
        });
        server(store).get(format!("/api/v1/images?architecture={name}")).send().await.assert_status_is_ok();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_store_tells_nothing_of_its_inside() {
    let mut store = MockMetricsRepository::new();
    store.expect_summary().returning(|_| Err(away()));
    let response = server(store).get("/api/v1/summary").send().await;
    response.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    response.assert_header("retry-after", "1");
    assert!(!text(response).await.contains("secret"));

    let mut store = MockMetricsRepository::new();
    store.expect_summary().returning(|_| Err(MetricsError::Corrupt("secret".into())));
    let response = server(store).get("/api/v1/summary").send().await;
    response.assert_status(StatusCode::INTERNAL_SERVER_ERROR);
    response.assert_content_type("application/problem+json");
    assert!(!text(response).await.contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_problem_like_any_other() {
    let mut store = MockMetricsRepository::new();
    store.expect_summary().returning(|_| panic!("secret"));
    let response = server(store).get("/api/v1/summary").send().await;
    response.assert_status(StatusCode::INTERNAL_SERVER_ERROR);
    response.assert_content_type("application/problem+json");
    assert!(!text(response).await.contains("secret"));
}
