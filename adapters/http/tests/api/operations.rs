//! Health, and the document.

use std::time::Duration;

use poem::http::StatusCode;
use serde_json::{Value, json};
use staticreg_domain::{
    metrics::{MockMetricsRepository, Recording, Summary},
    rules::SkipReason,
};
use staticreg_memory::MemoryMetrics;

use crate::{
    WEBHOOK, away, body,
    support::{event, notification, server, text},
    taking_store,
};

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
    let skipped = document["components"]["schemas"]["Receipt"]["properties"]["skipped"]["description"].to_string();
    for reason in SkipReason::ALL {
        assert!(skipped.contains(&format!("`{}`", reason.as_str())), "{skipped} does not name {reason:?}");
    }
    let response = server.get("/openapi.yaml").send().await;
    response.assert_content_type("application/yaml");
    assert!(text(response).await.starts_with("openapi: "));
    let response = server.get("/docs").send().await;
    response.assert_status_is_ok();
    assert!(text(response).await.contains("SwaggerUIBundle"));
}

/// The responses of every operation of a document: the operation's id, the status, and what is said of the answer.
fn responses(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let operations = document["paths"].as_object().into_iter().flatten().filter_map(|(_, item)| item.as_object());
    operations.flatten().flat_map(|(_, operation)| {
        let id = operation["operationId"].as_str().expect("an id");
        let responses = operation["responses"].as_object().expect("responses");
        responses.iter().map(move |(status, response)| (id, status.as_str(), response))
    })
}

#[tokio::test(start_paused = true)]
async fn every_error_has_an_example() {
    let server = server(MockMetricsRepository::new());
    let document = body(server.get("/openapi.json").send().await).await;
    let mut found = 0;
    for (id, status, response) in responses(&document) {
        let content = &response["content"]["application/problem+json"];
        if content.is_object() {
            let example = &content["example"];
            assert_eq!(example["status"].to_string(), status, "{id}");
            assert!(
                example["code"].is_string() && example["detail"].as_str().is_some_and(|text| !text.is_empty()),
                "{id}"
            );
            found += 1;
        }
    }
    assert!(found > 100, "{found}");
}

#[tokio::test(start_paused = true)]
async fn examples_of_errors_are_what_is_answered() {
    let mut store = MockMetricsRepository::new();
    store.expect_summary().returning(|_| Err(away()));
    let server = server(store);
    let document = body(server.get("/openapi.json").send().await).await;
    let example = |id: &str, status: &str| {
        let response = responses(&document).find(|response| (response.0, response.1) == (id, status)).expect(id).2;
        response["content"]["application/problem+json"]["example"].clone()
    };
    for (path, id, status) in [
        ("/api/v1/images?limit=0", "list_images", "400"),
        ("/api/v1/registry/images", "list_registry_images", "404"),
        ("/api/v1/summary", "get_summary", "503"),
    ] {
        assert_eq!(body(server.get(path).send().await).await, example(id, status), "{path}");
    }
    for (content_type, sent, status) in [("text/html", "", "415"), ("application/json", "{", "400")] {
        let request = server.post(WEBHOOK).content_type(content_type).body(sent);
        assert_eq!(body(request.send().await).await, example("receive_notification", status), "{content_type}");
    }
    let request = server.post("/api/v1/running?source=a%20b").body_json(&json!({"images": []}));
    assert_eq!(body(request.send().await).await, example("tell_running", "400"));
}

#[tokio::test(start_paused = true)]
async fn the_notification_of_the_document_has_the_receipt_of_the_document() {
    let server = server(MemoryMetrics::new(100));
    let document = body(server.get("/openapi.json").send().await).await;
    let posted = &document["paths"][WEBHOOK]["post"]["requestBody"]["content"]["application/json"]["example"];
    let response = server.post(WEBHOOK).body_json(posted).send().await;
    response.assert_status_is_ok();
    assert_eq!(body(response).await, document["components"]["schemas"]["Receipt"]["example"]);
}

#[tokio::test(start_paused = true)]
async fn both_forms_of_the_document_say_the_same_in_the_same_order() {
    let server = server(MockMetricsRepository::new());
    let json = text(server.get("/openapi.json").send().await).await;
    let yaml = text(server.get("/openapi.yaml").send().await).await;
    let json: serde_yaml::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(serde_yaml::from_str::<serde_yaml::Value>(&yaml).expect("YAML"), json);
    let members: Vec<_> = json.as_mapping().expect("members").keys().filter_map(|name| name.as_str()).collect();
    assert_eq!(members, ["openapi", "security", "info", "servers", "tags", "paths", "components"]);
    let docs = text(server.get("/docs").send().await).await;
    assert!(docs.contains("/badge/{repository}.svg"), "Swagger UI shows the whole document");
}

#[tokio::test(start_paused = true)]
async fn the_summary_and_the_home_page_show_the_balance() {
    let server = server(MemoryMetrics::new(100));
    let mut layer = event(2);
    layer["target"]["mediaType"] = "application/octet-stream".into();
    server.post(WEBHOOK).body_json(&notification(&[event(1), layer])).send().await.assert_status_is_ok();
    let summary = body(server.get("/api/v1/summary").send().await).await;
    let expected = json!({"received": 2, "counted": 1, "skipped": 1, "duplicate": 0, "refused": 0, "waiting": 0});
    assert_eq!(summary["balance"], expected);
    let home = text(server.get("/").send().await).await;
    assert!(home.contains("2 events received since the start of this server: 1 counted, 1 skipped."), "{home}");
}

#[tokio::test(start_paused = true)]
async fn metrics_are_told_in_both_formats() {
    let server = server(taking_store());
    let mut layer = event(2);
    layer["target"]["mediaType"] = "application/octet-stream".into();
    server.post(WEBHOOK).body_json(&notification(&[event(1), layer])).send().await.assert_status_is_ok();
    server.get("/made/up").send().await.assert_status(StatusCode::NOT_FOUND);
    let response = server.get("/metrics").send().await;
    response.assert_header("content-type", "text/plain; version=0.0.4; charset=utf-8");
    let told = text(response).await;
    for line in [
        "staticreg_balance_events{state=\"received\"} 2",
        "staticreg_events_total{outcome=\"counted\",reason=\"\"} 1",
        "staticreg_events_total{outcome=\"skipped\",reason=\"not_a_manifest\"} 1",
        "staticreg_pulls_total{kind=\"pull_by_tag\"} 1",
        "staticreg_webhook_requests_total{result=\"stored\"} 1",
        "staticreg_ack_duration_seconds_count 1",
        "staticreg_batch_events_sum 1",
        "staticreg_store_up 1",
        "staticreg_pending_events 0",
        "staticreg_last_event_timestamp_seconds 1795291200",
        "staticreg_http_request_duration_seconds_count{route=\"/api/webhook/registry\",method=\"POST\",status=\"200\"} 1",
        "staticreg_http_request_duration_seconds_count{route=\"other\",method=\"GET\",status=\"404\"} 1",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}\n{told}");
    }
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let response = server.get("/metrics").header("accept", accept).send().await;
    response.assert_header("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text(response).await.ends_with("# EOF\n"));
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_how_long_the_oldest_event_waits() {
    let mut store = MockMetricsRepository::new();
    store.expect_record().returning(|_, _| Err(away()));
    let server = server(store);
    let told = async |line: &str| {
        let told = text(server.get("/metrics").send().await).await;
        assert!(told.lines().any(|told| told == line), "{line}\n{told}");
    };
    let (answer, ()) = tokio::join!(server.post(WEBHOOK).body_json(&notification(&[event(1)])).send(), async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        told("staticreg_oldest_pending_seconds 2").await;
        told("staticreg_store_up 0").await;
    });
    answer.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::sleep(Duration::from_secs(2)).await;
    told("staticreg_oldest_pending_seconds 0").await;
    told("staticreg_webhook_requests_total{result=\"unavailable\"} 1").await;
}
