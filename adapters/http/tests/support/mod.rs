//! A server around a mocked store, at a chosen time.

use std::{sync::Arc, time::Duration};

use poem::{
    Endpoint, Response,
    test::{TestClient, TestResponse},
};
use serde_json::{Value, json};
use staticreg_application::{
    ask_metrics::AskMetrics,
    check_store::CheckStore,
    clean_up::CleanUp,
    hear_running::HearRunning,
    receive_notification::ReceiveNotification,
    recording::{Recorder, RecorderOptions},
};
use staticreg_domain::{
    Clock,
    clock::MockClock,
    counting::Tagged,
    metrics::MetricsRepository,
    rules::{Rules, Scope},
};
use staticreg_http::{BodyLimits, BuildInfo, Services, access::Access};
use staticreg_memory::MemoryRunning;
use staticreg_telemetry::PrometheusText;

/// The digest of the events.
pub(crate) const DIGEST: &str = "sha256:8bfa990430b3f57834ed6b54c3786189eb0ff2233cbe8fd0ddd0ca5423d04924";

/// The largest body the server takes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// A server on a store, on 2026-11-21. Must be called inside a runtime.
pub(crate) fn server(store: impl MetricsRepository + 'static) -> TestClient<impl Endpoint<Output = Response>> {
    TestClient::new(endpoint(store, Access::default()))
}

/// All routes of such a server, for those who may.
pub(crate) fn endpoint(
    store: impl MetricsRepository + 'static,
    access: Access,
) -> impl Endpoint<Output = Response> + 'static {
    staticreg_http::endpoint(services(store, access))
}

/// What the routes of such a server need.
pub(crate) fn services(store: impl MetricsRepository + 'static, access: Access) -> Services {
    let store: Arc<dyn MetricsRepository> = Arc::new(store);
    let mut clock = MockClock::new();
    clock.expect_now().returning(|| "2026-11-21T20:00:00Z".parse().expect("a time"));
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let options = RecorderOptions {
        batch_size: 100,
        buffer_size: 100,
        flush_interval: Duration::ZERO,
        patience: Duration::from_secs(3),
    };
    let (recorder, writer) =
        Recorder::new(Arc::clone(&store), Box::new(Tagged), None, None, Arc::clone(&clock), options);
    tokio::spawn(writer.run());
    let ask = AskMetrics::new(store.clone(), Arc::clone(&clock));
    let running = Arc::new(MemoryRunning::default());
    Services {
        clean_up: CleanUp::new(ask.clone(), None, running.clone()),
        hear: HearRunning::new(running, clock.clone()),
        receive: Arc::new(ReceiveNotification::new(
            Rules::new(Scope::TaggedPulls, Vec::new()),
            recorder,
            None,
            Arc::clone(&clock),
        )),
        ask,
        check: CheckStore::new(store),
        spooling: None,
        store: "mock",
        body_limits: BodyLimits { size: MAX_BODY, time: Duration::from_secs(5) },
        registry: None,
        access,
        exposition: Some(Arc::new(PrometheusText::new(Box::new(Vec::new)))),
        pool: None,
        build: BuildInfo::default(),
        public_name: None,
    }
}

/// The body of an answer.
pub(crate) async fn text(response: TestResponse) -> String {
    response.0.into_body().into_string().await.expect("text")
}

/// The `number`th pull of `demo/app:v1`.
pub(crate) fn event(number: u32) -> Value {
    json!({
        "id": format!("{number:08x}-0000-4000-8000-000000000000"),
        "timestamp": "2026-11-21T19:59:59.5Z",
        "action": "pull",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "repository": "demo/app", "tag": "v1", "digest": DIGEST,
        },
        "request": {"addr": "10.0.0.1:4711", "method": "GET", "useragent": "docker/28 arch/amd64"},
    })
}

/// An envelope of events.
pub(crate) fn notification(events: &[Value]) -> Value {
    json!({ "events": events })
}
