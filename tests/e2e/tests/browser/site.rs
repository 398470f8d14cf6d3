//! The server in this process, on a sample registry and its pulls.

use std::{sync::Arc, time::Duration};

use staticreg_application::{
    ask_metrics::AskMetrics,
    catalog::{ReadImage, RefreshCatalog, RefreshOptions},
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
use staticreg_http::{
    BodyLimits, BuildInfo, Registry, Services,
    access::Access,
    server::{self, ServerOptions},
};
use staticreg_memory::{MemoryMetrics, MemoryRunning};
use staticreg_test_support::sample::{FixedClock, SampleRegistry, digest, fill, now};
use tokio::{net::TcpListener, task::JoinHandle};

/// Has an image signed and told about, and be described.
fn sign(sample: &mut SampleRegistry) {
    let index = digest("shop/cart:main-9f31c2a index");
    for (seed, artifact_type) in [
        ("signature", "application/vnd.cncf.notary.signature"),
        ("provenance", "application/vnd.in-toto.provenance+dsse"),
        ("sbom", "application/spdx+json"),
    ] {
        let referrer = sample.add_artifact(seed, "application/vnd.oci.empty.v1+json");
        sample.refer(&index, referrer, artifact_type);
    }
    sample.configure("shop/cart:main-9f31c2a amd64", |configuration| {
        let description = "Keeps what people mean to buy until they do: prices, stock and vouchers are looked at anew.";
        let label = "org.opencontainers.image.description".to_owned();
        configuration.labels.insert(label, description.to_owned());
    });
}

/// A server on a free port, stopped when dropped.
pub(crate) struct Site {
    address: String,
    server: JoinHandle<()>,
}

impl Site {
    /// With a registry, which holds a Helm chart too, and pulls.
    pub(crate) async fn start() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(FixedClock(now()));
        let mut sample = SampleRegistry::new();
        let chart = sample.add_artifact("charts/webapp", "application/vnd.cncf.helm.config.v1+json");
        sample.point("charts/webapp", "1.4.2", chart);
        sign(&mut sample);
        let catalog: Arc<dyn RegistryCatalog> = Arc::new(sample);
        let refresh = RefreshCatalog::new(Arc::clone(&catalog), Arc::clone(&clock), RefreshOptions::default());
        refresh.refresh_once().await.expect("the registry is read");
        let registry = Registry {
            host: "registry.example.com".to_owned(),
            snapshots: refresh.snapshots(),
            images: ReadImage::new(catalog),
        };
        let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(1_000_000));
        fill(&store).await;
        Self::serve(store, clock, Some(registry)).await
    }

    /// With nothing at all.
    pub(crate) async fn start_empty() -> Self {
        Self::serve(Arc::new(MemoryMetrics::new(1)), Arc::new(FixedClock(now())), None).await
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    async fn serve(store: Arc<dyn MetricsRepository>, clock: Arc<dyn Clock>, registry: Option<Registry>) -> Self {
        let options = RecorderOptions {
            batch_size: 1,
            buffer_size: 1,
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
        let endpoint = staticreg_http::endpoint(Services {
            receive: Arc::new(receive),
            clean_up: CleanUp::new(ask.clone(), snapshots, running.clone()),
            hear: HearRunning::new(running, clock),
            ask,
            check: CheckStore::new(store),
            spooling: None,
            store: "memory",
            body_limits: BodyLimits { size: 1_000_000, time: Duration::from_secs(1) },
            registry,
            access: Access::default(),
            exposition: None,
            pool: None,
            build: BuildInfo::default(),
            public_name: None,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("its address"));
        let options = ServerOptions {
            max_connections: 100,
            header_timeout: Duration::from_mins(1),
            write_timeout: Duration::from_mins(1),
            stop_timeout: Duration::ZERO,
        };
        let server = tokio::spawn(async move {
            server::serve(listener, endpoint, &options, std::future::pending()).await.expect("it serves");
        });
        Self { address, server }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}
