//! Wires the adapters to the use cases and serves.

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use staticreg_application::{
    ask_metrics::AskMetrics,
    catalog::{IndexChildren, ReadImage, RefreshCatalog, RefreshOptions},
    correct_architectures::CorrectArchitectures,
    forget_ids::ForgetIds,
    receive_notification::{Followers, ReceiveNotification},
    recorder::{Recorder, RecorderOptions},
    spooling::Spooling,
};
use staticreg_domain::{
    Clock,
    catalog::RegistryCatalog,
    counting::{Classified, Counting, Tagged},
    metrics::MetricsRepository,
    rules::OWN_PRODUCT,
};
use staticreg_http::{
    BodyLimits, Services,
    server::{self, ServerOptions},
};
use staticreg_memory::MemoryMetrics;
use staticreg_registry::{HttpRegistryCatalog, RegistryOptions, Tls};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::{
    Failure,
    settings::{CountingMode, Metrics, Registry, Settings, TlsMode},
    store::{self, Store},
    system_clock::SystemClock,
};

/// How long one request to the registry may take.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take none of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until SIGTERM or SIGINT, then finishes what was accepted.
pub(crate) async fn serve(settings: Settings, store: Option<Store>) -> Result<(), Failure> {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "The limit of open files could not be raised");
    }
    let stop = stop_signal()?;
    let bind_addr = &settings.http.bind_addr;
    let listener = server::listen(bind_addr)
        .await
        .map_err(|error| format!("STATICREG_HTTP_BIND_ADDR: cannot listen on {bind_addr}: {error}."))?;
    let address = listener.local_addr()?;

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Store { metrics, name } = match store {
        Some(store) => store,
        None => store::open(&settings.db, settings.metrics.memory_rows.get()).await?,
    };
    let spooling = store::open_spool(&settings.spool).await?;
    let (recorder, writer) =
        Recorder::new(Arc::clone(&metrics), spooling.clone(), Arc::clone(&clock), recorder_options(&settings.metrics));
    let writer = tokio::spawn(writer.run());
    let forget = ForgetIds {
        store: Arc::clone(&metrics),
        recorder: recorder.clone(),
        spooling: spooling.clone(),
        clock: Arc::clone(&clock),
        window: settings.metrics.dedupe_window,
    };
    let background = [replay(spooling.clone(), &metrics, &clock), tokio::spawn(forget.run())];

    let counting = counting(&settings.metrics);
    let (serving, served) = oneshot::channel::<Infallible>();
    let served = async { drop(served.await) };
    let (followers, registry) = follow_registry(&settings.registry, &counting, &recorder, &clock, served)?;
    let services = Services {
        receive: Arc::new(ReceiveNotification::new(
            counting,
            settings.metrics.ignored_user_agents.clone(),
            recorder,
            followers,
            Arc::clone(&clock),
        )),
        ask: AskMetrics::new(metrics, clock),
        spooling,
        store: name,
        body_limits: BodyLimits { size: settings.webhook.max_body, time: settings.http.body_timeout },
        registry,
        public_name: settings.registry.public_name,
    };
    let options = ServerOptions {
        max_connections: settings.http.max_connections.get(),
        header_timeout: settings.http.header_timeout,
        write_timeout: WRITE_TIMEOUT,
        stop_timeout: settings.http.stop_timeout,
    };
    tracing::info!("Listening on http://{address}");
    let time_left = server::serve(listener, staticreg_http::endpoint(services), &options, stop).await?;
    for task in background {
        task.abort();
    }
    drop(serving);
    // The writer ends after the last request, so not now when one was not finished.
    if timeout(time_left, writer).await.is_ok() {
        tracing::info!("Stopped; everything accepted was finished");
    } else {
        tracing::warn!("Stopped before everything accepted was finished; the registry sends it again");
    }
    Ok(())
}

/// The OpenAPI document, as JSON.
pub(crate) fn openapi_document() -> String {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(1));
    let options =
        RecorderOptions { batch_size: 1, buffer_size: 1, flush_interval: Duration::ZERO, patience: Duration::ZERO };
    let (recorder, _writer) = Recorder::new(Arc::clone(&store), None, Arc::clone(&clock), options);
    let counting = Arc::new(Mutex::new(Tagged));
    staticreg_http::openapi_json(Services {
        receive: Arc::new(ReceiveNotification::new(
            counting,
            Vec::new(),
            recorder,
            Followers::default(),
            Arc::clone(&clock),
        )),
        ask: AskMetrics::new(store, clock),
        spooling: None,
        store: "memory",
        body_limits: BodyLimits { size: 0, time: Duration::ZERO },
        registry: None,
        public_name: None,
    })
}

fn recorder_options(metrics: &Metrics) -> RecorderOptions {
    RecorderOptions {
        batch_size: metrics.batch_size.get(),
        buffer_size: metrics.buffer_size.get(),
        flush_interval: metrics.flush_interval,
        patience: metrics.patience,
    }
}

fn counting(metrics: &Metrics) -> Arc<Mutex<dyn Counting>> {
    match metrics.counting {
        CountingMode::Classified => Arc::new(Mutex::new(Classified::new(metrics.correlation_entries.get()))),
        CountingMode::Tagged => Arc::new(Mutex::new(Tagged)),
    }
}

/// Reads the registry in the background, when there is one, and asks it for indexes until all is `served`.
fn follow_registry(
    settings: &Registry,
    counting: &Arc<Mutex<dyn Counting>>,
    recorder: &Recorder,
    clock: &Arc<dyn Clock>,
    served: impl Future<Output = ()> + Send + 'static,
) -> Result<(Followers, Option<staticreg_http::Registry>), Failure> {
    let Some(hostname) = &settings.hostname else { return Ok((Followers::default(), None)) };
    let catalog = HttpRegistryCatalog::new(&RegistryOptions {
        hostname: hostname.clone(),
        user: settings.user.clone(),
        password: settings.password.as_ref().map(|password| password.expose().to_owned()),
        tls: match settings.tls {
            TlsMode::Auto => Tls::Auto,
            TlsMode::On => Tls::On,
            TlsMode::Off => Tls::Off,
        },
        skip_tls_verify: settings.skip_tls_verify,
        timeout: REGISTRY_TIMEOUT,
        user_agent: format!("{OWN_PRODUCT}{}", env!("CARGO_PKG_VERSION")),
    })
    .map_err(|error| format!("STATICREG_REGISTRY_HOSTNAME: {error}."))?;
    let catalog: Arc<dyn RegistryCatalog> = Arc::new(catalog);
    let options = RefreshOptions { concurrency: settings.concurrency.get(), interval: settings.refresh_interval };
    let refresh = RefreshCatalog::new(Arc::clone(&catalog), Arc::clone(clock), options);
    let shown = staticreg_http::Registry {
        host: hostname.clone(),
        view: refresh.view(),
        images: ReadImage::new(Arc::clone(&catalog)),
    };
    let (index_children, lookups) = IndexChildren::new(catalog);
    let followers = Followers { index_children: Some(index_children), catalog_changes: Some(refresh.changes()) };
    tokio::spawn(refresh.run());
    let (counting, recorder) = (Arc::clone(counting), recorder.clone());
    tokio::spawn(CorrectArchitectures { lookups, counting, recorder }.run(served));
    Ok((followers, Some(shown)))
}

fn replay(
    spooling: Option<Arc<Spooling>>,
    store: &Arc<dyn MetricsRepository>,
    clock: &Arc<dyn Clock>,
) -> JoinHandle<()> {
    let (store, clock) = (Arc::clone(store), Arc::clone(clock));
    tokio::spawn(async move {
        match spooling {
            Some(spooling) => spooling.replay(store, clock).await,
            None => pending().await,
        }
    })
}

/// Ends with the first SIGTERM or SIGINT; a second one ends the process.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("Stopping");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(1);
        });
    })
}
