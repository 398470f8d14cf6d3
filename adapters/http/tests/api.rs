//! The webhook, the query API and the errors, in process. Mostly the store is a mock: here it matters what is asked of it
//! and what becomes of its answers and failures.

mod support;

use chrono::{DateTime, NaiveDate, Utc};
use poem::{
    http::{Method, StatusCode},
    test::TestResponse,
};
use serde_json::{Value, json};
use staticreg_domain::{
    Architecture,
    metrics::{
        AccessKind, BreakdownRow, DateRange, Dimension, Filter, MetricsError, MetricsRow, MockMetricsRepository, Order,
        Page, Recording, Slice, Summary, Totals,
    },
};
use staticreg_memory::MemoryMetrics;
use support::{DIGEST, event, notification, server, text};

const WEBHOOK: &str = "/api/webhook/registry";

/// Posts a notification as the registry does.
async fn post(store: MockMetricsRepository, events: &[Value]) -> TestResponse {
    server(store).post(WEBHOOK).body_json(&notification(events)).send().await
}

/// Posts any body as JSON.
async fn post_body(body: impl Into<poem::Body>) -> TestResponse {
    // A mock without expectations fails when anything is recorded.
    server(MockMetricsRepository::new()).post(WEBHOOK).content_type("application/json").body(body).send().await
}

async fn body(response: TestResponse) -> Value {
    serde_json::from_str(&text(response).await).expect("JSON")
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect(text)
}

fn date(text: &str) -> NaiveDate {
    text.parse().expect(text)
}

fn away() -> MetricsError {
    MetricsError::Unavailable("password=secret at 10.0.0.1".into())
}

/// A store that takes everything.
fn taking_store() -> MockMetricsRepository {
    let mut store = MockMetricsRepository::new();
    store.expect_record().returning(|batch, _| Ok(vec![Recording::Counted; batch.len()]));
    store
}

#[tokio::test(start_paused = true)]
async fn a_notification_is_answered_with_a_receipt() {
    let mut store = MockMetricsRepository::new();
    store.expect_record().returning(|batch, _| {
        assert_eq!(batch.len(), 2);
        Ok(vec![Recording::Counted, Recording::Duplicate])
    });
    let blob = json!({"action": "pull", "target": {"mediaType": "application/octet-stream"}});
    let response = post(store, &[event(1), blob, event(2)]).await;
    response.assert_status_is_ok();
    assert_eq!(
        body(response).await,
        json!({"total_events": 3, "events_processed": 1, "events_skipped": 1, "events_duplicate": 1,
               "events_spooled": 0, "skipped": {"not_a_manifest": 1}})
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_envelope_is_welcome() {
    let response = post(MockMetricsRepository::new(), &[]).await;
    response.assert_status_is_ok();
    assert_eq!(
        body(response).await,
        json!({"total_events": 0, "events_processed": 0, "events_skipped": 0, "events_duplicate": 0,
               "events_spooled": 0, "skipped": {}})
    );
}

#[tokio::test(start_paused = true)]
async fn odd_events_are_skipped_with_their_reason_and_the_good_ones_recorded() {
    let spoiled = |pointer: &str, value: Value| {
        let mut event = event(7);
        *event.pointer_mut(pointer).expect(pointer) = value;
        event
    };
    let events = [
        event(1),
        json!(42),
        json!(null),
        json!({}),
        spoiled("/action", json!("fly")),
        spoiled("/timestamp", json!("0001-01-01T00:00:00Z")),
        spoiled("/timestamp", json!(17)),
        spoiled("/target/repository", json!("a\u{0}b")),
        spoiled("/target/tag", json!("t".repeat(10_240))),
        spoiled("/target/tag", json!(["v1"])),
        spoiled("/target/digest", json!(null)),
        spoiled("/target", json!("x")),
    ];
    let response = post(taking_store(), &events).await;
    response.assert_status_is_ok();
    assert_eq!(
        body(response).await,
        json!({"total_events": 12, "events_processed": 1, "events_skipped": 11, "events_duplicate": 0,
               "events_spooled": 0,
               "skipped": {"not_a_pull": 4, "invalid_timestamp": 2, "invalid_repository": 1, "invalid_tag": 2,
                           "invalid_digest": 1, "not_a_manifest": 1}})
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_notification_is_refused_and_nothing_recorded() {
    for (sent, told) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{\"events\":[{]}", "line 1 column 13"),
        ("[]", "invalid"),
        ("{}", "missing field `events`"),
    ] {
        let response = post_body(sent).await;
        response.assert_status(StatusCode::BAD_REQUEST);
        response.assert_content_type("application/problem+json");
        let problem = body(response).await;
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.starts_with("The body is no notification: ") && detail.contains(told), "{sent}: {detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_json_is_read() {
    for content_type in ["text/plain", "application/xml", ""] {
        let server = server(MockMetricsRepository::new());
        let response = server.post(WEBHOOK).content_type(content_type).body("{}").send().await;
        response.assert_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        response.assert_content_type("application/problem+json");
    }
    for content_type in ["application/json; charset=utf-8", "application/vnd.docker.distribution.events.v2+json"] {
        let body = notification(&[event(1)]).to_string();
        let server = server(taking_store());
        let response = server.post(WEBHOOK).content_type(content_type).body(body).send().await;
        response.assert_status_is_ok();
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_refused() {
    let response = post_body(" ".repeat(support::MAX_BODY + 1)).await;
    response.assert_status(StatusCode::PAYLOAD_TOO_LARGE);
    response.assert_content_type("application/problem+json");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_makes_the_registry_try_again() {
    let mut store = MockMetricsRepository::new();
    store.expect_record().returning(|_, _| Err(away()));
    let response = post(store, &[event(1)]).await;
    response.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    response.assert_header("retry-after", "1");
    let told = body(response).await;
    assert_eq!(
        told,
        json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
               "detail": "The events cannot be stored now; send them again."})
    );
}

#[tokio::test(start_paused = true)]
async fn people_who_open_the_webhook_are_told_what_it_is() {
    for path in ["/api/webhook/registry", "/api/webhook/registry/"] {
        let response = server(MockMetricsRepository::new()).get(path).send().await;
        response.assert_status(StatusCode::METHOD_NOT_ALLOWED);
        response.assert_header("allow", "POST");
        let told = body(response).await;
        assert!(told["detail"].as_str().expect("a detail").starts_with("This is the webhook"), "{told}");
    }
    let server = server(taking_store());
    let response = server.post(format!("{WEBHOOK}/")).body_json(&notification(&[event(1)])).send().await;
    response.assert_status_is_ok();
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_and_wrong_methods_are_problems() {
    for (method, path, status) in [
        (Method::GET, "/api/v1/nothing", StatusCode::NOT_FOUND),
        (Method::GET, "/api", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v1", StatusCode::NOT_FOUND),
        (Method::POST, "/api/v1/summary", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "/api/v1/images", StatusCode::METHOD_NOT_ALLOWED),
        (Method::PUT, "/api/webhook/registry", StatusCode::METHOD_NOT_ALLOWED),
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
        ("pulls?interval=year", "interval"),
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
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_architecture_is_one_that_nobody_told() {
    for name in ["unknown", "Unknown", "not-specified"] {
        let mut store = MockMetricsRepository::new();
        store.expect_breakdown().returning(|list| {
            assert_eq!(list.filter.architecture, Some(Architecture::not_specified()));
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

#[tokio::test(start_paused = true)]
async fn health_tells_whether_the_store_takes_events() {
    let response = server(MockMetricsRepository::new()).get("/healthz").send().await;
    response.assert_status_is_ok();
    assert_eq!(body(response).await, json!({"status": "ok"}));

    let mut store = MockMetricsRepository::new();
    store.expect_check().returning(|| Ok(()));
    let response = server(store).get("/healthz/db").send().await;
    response.assert_status_is_ok();
    assert_eq!(
        body(response).await,
        json!({"status": "ok", "store": "mock", "events_spooled": 0, "clock_skew_seconds": null})
    );

    let mut store = MockMetricsRepository::new();
    store.expect_check().returning(|| Err(away()));
    let response = server(store).get("/healthz/db").send().await;
    response.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    assert!(!text(response).await.contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn the_store_is_not_well_while_it_takes_no_batch_whatever_it_says() {
    let mut store = MockMetricsRepository::new();
    store.expect_check().returning(|| Ok(()));
    let mut is_away = true;
    store.expect_record().returning(move |batch, _| {
        // The last event finds the store well.
        is_away &= batch[0].id.to_string() != event(2)["id"];
        if is_away { Err(away()) } else { Ok(vec![Recording::Counted; batch.len()]) }
    });
    let server = server(store);
    let post = |number| server.post(WEBHOOK).body_json(&notification(&[event(number)])).send();
    post(1).await.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    let response = server.get("/healthz/db").send().await;
    response.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    response.assert_header("retry-after", "1");
    let detail = "The store (mock) did not take the last events; the log says why. 0 events are spooled.";
    assert_eq!(body(response).await["detail"], detail);
    post(2).await.assert_status_is_ok();
    server.get("/healthz/db").send().await.assert_status_is_ok();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_shows_in_the_summary_and_in_the_store_s_health() {
    let mut store = taking_store();
    store.expect_check().returning(|| Ok(()));
    store.expect_summary().returning(|_| Ok(Summary::default()));
    let server = server(store);
    let mut ahead = event(1);
    ahead["timestamp"] = "2026-11-23T20:00:00Z".into();
    let response = server.post(WEBHOOK).body_json(&notification(&[event(2), ahead])).send().await;
    assert_eq!(body(response).await["events_processed"], 2);
    for path in ["/api/v1/summary", "/healthz/db"] {
        let response = server.get(path).send().await;
        response.assert_status_is_ok();
        assert_eq!(body(response).await["clock_skew_seconds"], 2 * 24 * 3600, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_summary_shows_every_kind() {
    let mut store = MockMetricsRepository::new();
    store.expect_summary().returning(|today| {
        assert_eq!(today, date("2026-11-21"));
        let totals = |n| Totals { today: n, last_7_days: n + 1, last_30_days: n + 2, all: n + 3 };
        Ok(Summary {
            by_kind: AccessKind::ALL.into_iter().zip([1, 10, 20, 30].map(totals)).collect(),
            repositories: 5,
            last_pulled_at: Some(time("2026-11-21T19:00:00.5Z")),
        })
    });
    let response = server(store).get("/api/v1/summary").send().await;
    response.assert_status_is_ok();
    insta::assert_json_snapshot!(body(response).await);
}

/// The filter of `days=7`, `repository`, `tag`, `digest`, `architecture` and `kind`.
fn narrow_filter() -> Filter {
    Filter {
        dates: DateRange::new(date("2026-11-15"), date("2026-11-21")).expect("a range"),
        kind: AccessKind::PullByDigest,
        repository: Some("demo/app".parse().expect("a name")),
        tag: Some("v1".parse().expect("a tag")),
        digest: Some(DIGEST.parse().expect("a digest")),
        architecture: "amd64".parse().ok(),
    }
}

fn narrow_query() -> String {
    format!("days=7&repository=demo/app&tag=v1&digest={DIGEST}&architecture=amd64&kind=pull_by_digest&limit=2")
}

#[tokio::test(start_paused = true)]
async fn every_list_passes_its_filters_on_and_shows_its_items() {
    let at = time("2026-11-21T19:00:00.123456Z");
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(move |list| {
        let mut row = BreakdownRow { count: 3, ..BreakdownRow::default() };
        let asked = (list.measures.distinct, list.measures.first, list.measures.last, list.order);
        let expected = match list.by.as_slice() {
            [Dimension::Date, Dimension::Architecture] => {
                row.key.date = Some(date("2026-11-20"));
                row.key.architecture = "amd64".parse().ok();
                (None, false, false, Order::Key)
            }
            [Dimension::Repository] => {
                row.key.repository = "demo/app".parse().ok();
                (Some(Dimension::Tag), false, true, Order::MostFirst)
            }
            [Dimension::Repository, Dimension::Tag] => {
                row.key.repository = "demo/app".parse().ok();
                (None, false, true, Order::MostFirst)
            }
            [Dimension::Architecture] => {
                row.key.architecture = "arm64".parse().ok();
                (Some(Dimension::Repository), false, false, Order::MostFirst)
            }
            [Dimension::Tag, Dimension::Architecture] => {
                row.key.tag = "v1".parse().ok();
                row.key.architecture = "arm64".parse().ok();
                (None, false, true, Order::MostFirst)
            }
            [Dimension::Digest] => {
                row.key.digest = DIGEST.parse().ok();
                (None, true, true, Order::LatestFirst)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!((asked, &list.filter, &list.page), (expected, &narrow_filter(), &Page::first(2)));
        row.distinct = list.measures.distinct.map(|_| 1);
        row.first_on = list.measures.first.then(|| date("2026-11-15"));
        row.last_at = list.measures.last.then_some(at);
        Ok(Slice { items: vec![row], more: false })
    });
    store.expect_rows().returning(move |filter, page| {
        assert_eq!((filter, page), (&narrow_filter(), &Page::first(2)));
        Ok(Slice { items: vec![row(at)], more: false })
    });
    let server = server(store);
    for list in ["pulls", "repositories", "images", "architectures", "tags", "digests", "metrics"] {
        let group = if list == "pulls" { "&group_by=architecture" } else { "" };
        let response = server.get(format!("/api/v1/{list}?{}{group}", narrow_query())).send().await;
        response.assert_status_is_ok();
        insta::assert_json_snapshot!(list, body(response).await);
        let response =
            server.get(format!("/api/v1/{list}?{}{group}", narrow_query())).header("accept", "text/csv").send().await;
        response.assert_content_type("text/csv; charset=utf-8");
        insta::assert_snapshot!(format!("{list}_csv"), text(response).await);
    }
}

fn row(at: DateTime<Utc>) -> MetricsRow {
    let Ok(architecture) = "amd64".parse();
    MetricsRow {
        date: date("2026-11-21"),
        repository: "demo/app".parse().expect("a name"),
        tag: "v1".parse().ok(),
        digest: DIGEST.parse().expect("a digest"),
        architecture,
        kind: AccessKind::PullByTag,
        count: 3,
        created_at: at,
        updated_at: at,
    }
}

#[tokio::test(start_paused = true)]
async fn without_dates_the_last_30_days_are_asked_for() {
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(|list| {
        let dates = DateRange::new(date("2026-10-23"), date("2026-11-21")).expect("a range");
        assert_eq!((&list.filter, &list.page), (&Filter::of_dates(dates), &Page::first(100)));
        Ok(Slice { items: Vec::new(), more: false })
    });
    let response = server(store).get("/api/v1/images").send().await;
    response.assert_status_is_ok();
    assert_eq!(body(response).await, json!({"items": [], "next_cursor": null}));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_reads_on_where_the_page_before_ended() {
    let at = time("2026-11-21T19:00:00Z");
    let mut store = MockMetricsRepository::new();
    store.expect_rows().returning(move |_, page| {
        let more = page.after.is_none();
        if let Some(after) = &page.after {
            let row = row(at);
            assert_eq!(*after, (row.date, row.repository, row.tag, row.digest, row.architecture));
        }
        Ok(Slice { items: vec![row(at)], more })
    });
    let server = server(store);
    let first = body(server.get("/api/v1/metrics").send().await).await;
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let second = body(server.get("/api/v1/metrics").query("cursor", &cursor).send().await).await;
    assert_eq!(second["next_cursor"], Value::Null);

    let csv = server.get("/api/v1/metrics").header("accept", "text/csv").send().await;
    csv.assert_header("next-cursor", cursor);
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_a_csv_with_its_header_alone() {
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(|_| Ok(Slice { items: Vec::new(), more: false }));
    let response = server(store).get("/api/v1/architectures").header("accept", "text/csv").send().await;
    assert_eq!(text(response).await, "architecture,pulls,repositories\r\n");
}

#[tokio::test(start_paused = true)]
async fn the_document_is_served_in_both_forms_and_as_a_page() {
    let server = server(MockMetricsRepository::new());
    let document = body(server.get("/openapi.json").send().await).await;
    for (path, method, operation) in [
        ("/api/webhook/registry", "post", "receive_notification"),
        ("/api/v1/summary", "get", "get_summary"),
        ("/api/v1/pulls", "get", "list_pulls"),
        ("/healthz/db", "get", "get_store_health"),
    ] {
        assert_eq!(document["paths"][path][method]["operationId"], operation);
    }
    let response = server.get("/openapi.yaml").send().await;
    response.assert_content_type("application/yaml");
    assert!(text(response).await.starts_with("openapi: "));
    let response = server.get("/docs").send().await;
    response.assert_status_is_ok();
    assert!(text(response).await.contains("SwaggerUIBundle"));
}

/// Every page of a list, an item each.
async fn page_by_page<E: poem::Endpoint<Output = poem::Response>>(
    server: &poem::test::TestClient<E>,
    query: &str,
) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = body(server.get(format!("/api/v1/{query}&limit=1{cursor}")).send().await).await;
        items.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[tokio::test]
async fn pulls_are_counted_by_week_and_by_month() {
    let server = server(MemoryMetrics::new(100));
    let pulls = [
        ("2026-09-30", "a"),
        ("2026-10-31", "a"),
        ("2026-11-01", "a"),
        ("2026-11-02", "b"),
        ("2026-11-08", "a"),
        ("2026-11-08", "b"),
        ("2026-11-16", "a"),
    ];
    let event = |(number, (day, repository)): (u32, (&str, &str))| {
        let mut event = event(number);
        event["timestamp"] = format!("{day}T10:00:00Z").into();
        event["target"]["repository"] = repository.into();
        event
    };
    let events: Vec<_> = (0..).zip(pulls).map(event).collect();
    server.post(WEBHOOK).body_json(&notification(&events)).send().await.assert_status_is_ok();
    let dated = |items: &[(&str, u64)]| -> Vec<Value> {
        items.iter().map(|(date, pulls)| json!({"date": date, "pulls": pulls})).collect()
    };
    let grouped = |items: &[(&str, &str, u64)]| -> Vec<Value> {
        let item = |(date, name, pulls): &(&str, &str, u64)| json!({"date": date, "repository": name, "pulls": pulls});
        items.iter().map(item).collect()
    };
    for (query, expected) in [
        ("interval=day&from=2026-11-02", dated(&[("2026-11-02", 1), ("2026-11-08", 2), ("2026-11-16", 1)])),
        ("interval=week&from=2026-10-31", dated(&[("2026-10-26", 2), ("2026-11-02", 3), ("2026-11-16", 1)])),
        ("interval=month&from=2026-09-01", dated(&[("2026-09-01", 1), ("2026-10-01", 1), ("2026-11-01", 5)])),
        ("interval=month&from=2026-11-08&to=2026-11-15", dated(&[("2026-11-01", 2)])),
        ("interval=month&from=2026-09-01&repository=b", dated(&[("2026-11-01", 2)])),
        (
            "interval=week&from=2026-10-31&group_by=repository",
            grouped(&[("2026-10-26", "a", 2), ("2026-11-02", "a", 1), ("2026-11-02", "b", 2), ("2026-11-16", "a", 1)]),
        ),
        (
            "interval=month&from=2026-10-01&group_by=repository",
            grouped(&[("2026-10-01", "a", 1), ("2026-11-01", "a", 3), ("2026-11-01", "b", 2)]),
        ),
    ] {
        let whole = body(server.get(format!("/api/v1/pulls?{query}")).send().await).await;
        assert_eq!(whole, json!({"items": expected, "next_cursor": null}), "{query}");
        assert_eq!(page_by_page(&server, &format!("pulls?{query}")).await, expected, "{query}");
    }
}
