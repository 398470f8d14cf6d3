//! The webhook: what it takes, and what it answers.

use poem::{http::StatusCode, test::TestResponse};
use serde_json::{Value, json};
use staticreg_domain::metrics::{MockMetricsRepository, Recording};

use crate::{
    WEBHOOK, away, body,
    support::{MAX_BODY, event, notification, server},
    taking_store,
};

/// Posts a notification as the registry does.
async fn post(store: MockMetricsRepository, events: &[Value]) -> TestResponse {
    server(store).post(WEBHOOK).body_json(&notification(events)).send().await
}

/// Posts any body as JSON.
async fn post_body(body: impl Into<poem::Body>) -> TestResponse {
    // A mock without expectations fails when anything is recorded.
    server(MockMetricsRepository::new()).post(WEBHOOK).content_type("application/json").body(body).send().await
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
    let response = post_body(" ".repeat(MAX_BODY + 1)).await;
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
               "detail": "The events cannot be stored now; send them again.", "code": "service_unavailable"})
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
