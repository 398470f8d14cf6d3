//! A server with a registry and pulls of its own, at a time that stands still.

use std::{sync::Arc, time::Duration};

use poem::{
    Endpoint, Response,
    http::{HeaderMap, Method, StatusCode},
    test::TestClient,
};
use staticreg_application::{
    ask_metrics::AskMetrics,
    catalog::{CatalogSnapshot, CatalogSnapshots, ReadFault, ReadImage, ReadStatus, RefreshCatalog, RefreshOptions},
    check_store::CheckStore,
    clean_up::CleanUp,
    hear_running::HearRunning,
    receive_notification::ReceiveNotification,
    recording::{Recorder, RecorderOptions},
};
use staticreg_domain::{
    Clock,
    catalog::RegistryCatalog,
    counting::Tagged,
    metrics::MetricsRepository,
    rules::{Rules, Scope},
};
use staticreg_http::{BodyLimits, BuildInfo, Registry, Services, access::Access};
use staticreg_memory::{MemoryMetrics, MemoryRunning};
use staticreg_test_support::sample::{self, FixedClock, SampleRegistry};

/// A server in this process.
pub(crate) struct Site<E>(TestClient<E>);

/// What a browser gets.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// Bytes of the body.
    pub(crate) size: usize,
}

impl Answer {
    /// The value of a header; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
    }

    /// The body without tags, and with single spaces: what people read.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut inside = false;
        for c in self.body.chars() {
            match c {
                '<' => inside = true,
                '>' => {
                    inside = false;
                    text.push(' ');
                }
                c if !inside => text.push(c),
                _ => {}
            }
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The sample registry and its pulls.
pub(crate) async fn sample() -> Site<impl Endpoint<Output = Response>> {
    let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(1_000_000));
    sample::fill(&store).await;
    with(store, Some(SampleRegistry::new())).await
}

/// The sample's pulls, and a registry that never answered.
pub(crate) async fn sample_with_a_registry_that_never_answered() -> Site<impl Endpoint<Output = Response>> {
    let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(1_000_000));
    sample::fill(&store).await;
    let fault = Some(ReadFault { text: "The registry does not answer.".into(), at: sample::now() });
    let snapshot = CatalogSnapshot::new(1, Vec::new(), ReadStatus { read_at: None, progress: None, fault });
    let images = ReadImage::new(Arc::new(SampleRegistry::default()));
    of(store, Some(Registry { host: "r".to_owned(), snapshots: CatalogSnapshots::fixed(snapshot), images }))
}

/// A store, and a registry that was read to its end.
pub(crate) async fn with(
    store: Arc<dyn MetricsRepository>,
    registry: Option<SampleRegistry>,
) -> Site<impl Endpoint<Output = Response>> {
    let mut shown = None;
    if let Some(held) = registry {
        shown = Some(self::registry(held).await);
    }
    of(store, shown)
}

/// A registry that was read to its end.
pub(crate) async fn registry(registry: SampleRegistry) -> Registry {
    let catalog: Arc<dyn RegistryCatalog> = Arc::new(registry);
    let clock = Arc::new(FixedClock(sample::now()));
    let refresh = RefreshCatalog::new(Arc::clone(&catalog), clock, RefreshOptions::default());
    refresh.refresh_once().await.expect("the registry is read");
    Registry {
        host: "registry.example.com".to_owned(),
        snapshots: refresh.snapshots(),
        images: ReadImage::new(catalog),
    }
}

/// A store, and any snapshot of a registry.
pub(crate) fn of(
    store: Arc<dyn MetricsRepository>,
    registry: Option<Registry>,
) -> Site<impl Endpoint<Output = Response>> {
    called(store, registry, None)
}

/// The same, where the registry's users call it so.
pub(crate) fn called(
    store: Arc<dyn MetricsRepository>,
    registry: Option<Registry>,
    public_name: Option<&str>,
) -> Site<impl Endpoint<Output = Response>> {
    made(store, registry, public_name, Access::default())
}

/// A store without a registry, where not everybody may do everything.
pub(crate) fn guarded(store: Arc<dyn MetricsRepository>, access: Access) -> Site<impl Endpoint<Output = Response>> {
    made(store, None, None, access)
}

fn made(
    store: Arc<dyn MetricsRepository>,
    registry: Option<Registry>,
    public_name: Option<&str>,
    access: Access,
) -> Site<impl Endpoint<Output = Response>> {
    let clock: Arc<dyn Clock> = Arc::new(FixedClock(sample::now()));
    let options = RecorderOptions {
        batch_size: 100,
        buffer_size: 100,
        flush_interval: Duration::ZERO,
        patience: Duration::from_secs(1),
    };
    let (recorder, writer) =
        Recorder::new(Arc::clone(&store), Box::new(Tagged), None, None, Arc::clone(&clock), options);
    tokio::spawn(writer.run());
    let receive =
        ReceiveNotification::new(Rules::new(Scope::TaggedPulls, Vec::new()), recorder, None, Arc::clone(&clock));
    let ask = AskMetrics::new(store.clone(), clock.clone());
    let snapshots = registry.as_ref().map(|registry| registry.snapshots.clone());
    let running = Arc::new(MemoryRunning::default());
    Site(TestClient::new(staticreg_http::endpoint(Services {
        receive: Arc::new(receive),
        clean_up: CleanUp::new(ask.clone(), snapshots, running.clone()),
        hear: HearRunning::new(running, clock),
        ask,
        check: CheckStore::new(store),
        spooling: None,
        store: "memory",
        body_limits: BodyLimits { size: 64 * 1024, time: Duration::from_secs(5) },
        registry,
        access,
        exposition: None,
        pool: None,
        build: BuildInfo::default(),
        public_name: public_name.map(str::to_owned),
    })))
}

impl<E: Endpoint> Site<E> {
    /// As a browser asks.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]).await
    }

    /// Posts a body as the registry does, and answers the status.
    pub(crate) async fn post(&self, body: &str) -> StatusCode {
        let request = self.0.post("/api/webhook/registry").content_type("application/json");
        request.body(body.to_owned()).send().await.0.status()
    }

    /// Posts what runs, and answers the status and the body.
    pub(crate) async fn tell(&self, query: &str, content_type: &str, body: &str) -> (StatusCode, String) {
        let request = self.0.post(format!("/api/v1/running{query}")).content_type(content_type);
        let response = request.body(body.to_owned()).send().await.0;
        (response.status(), response.into_body().into_string().await.expect("text"))
    }

    /// The page at a path, which must be there.
    pub(crate) async fn page(&self, path: &str) -> Answer {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
        answer
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.0.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.0;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().into_vec().await.expect("a body");
        Answer { status, headers, size: body.len(), body: String::from_utf8_lossy(&body).into_owned() }
    }
}
