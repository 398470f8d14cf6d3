//! Wires the adapters to the use cases and serves.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use staticreg_application::{
    ask_metrics::AskMetrics,
    catalog::{IndexChildren, ReadImage, RefreshCatalog, RefreshOptions},
    check_store::CheckStore,
    correct_architectures::CorrectArchitectures,
    forget_ids::ForgetIds,
    receive_notification::{Followers, ReceiveNotification},
    recorder::{Recorder, RecorderOptions},
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
use staticreg_registry::{HttpRegistryCatalog, InvalidOptions, RegistryOptions, Tls};

use crate::{
    Failure,
    lifecycle::Lifecycle,
    settings::{CountingMode, Metrics, Registry, Settings, TlsMode, Unusable},
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
    let mut lifecycle = Lifecycle::until_signal()?;
    let bind_addr = &settings.http.bind_addr;
    let deaf = |error| Unusable::new("http.bind_addr", format!("cannot listen on {bind_addr}: {error}"));
    let listener = server::listen(bind_addr.resolve().map_err(deaf)?.as_slice()).await.map_err(deaf)?;
    let address = listener.local_addr()?;

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Store { metrics, name } = match store {
        Some(store) => store,
        None => store::open(&settings.db, settings.metrics.memory_rows.get(), &mut lifecycle).await?,
    };
    let spooling = store::open_spool(&settings.spool).await?;
    let (recorder, writer) =
        Recorder::new(Arc::clone(&metrics), spooling.clone(), Arc::clone(&clock), recorder_options(&settings.metrics));
    lifecycle.spawn_essential("stores events", writer.run());
    let forget = ForgetIds {
        store: Arc::clone(&metrics),
        recorder: recorder.clone(),
        spooling: spooling.clone(),
        clock: Arc::clone(&clock),
        window: settings.metrics.dedupe_window,
    };
    lifecycle.spawn_background("forgets old event ids", forget.run());
    if let Some(spooling) = spooling.clone() {
        let (store, clock, trouble) = (Arc::clone(&metrics), Arc::clone(&clock), recorder.trouble());
        lifecycle.spawn_background("stores spooled events", async move {
            spooling.replay(store, clock, trouble).await;
        });
    }

    let counting = counting(&settings.metrics);
    let (followers, registry) = follow_registry(&settings.registry, &counting, &recorder, &clock, &mut lifecycle)?;
    let receive = Arc::new(ReceiveNotification::new(
        counting,
        settings.metrics.ignored_user_agents.clone(),
        recorder,
        followers,
        Arc::clone(&clock),
    ));
    let (activity, served) = (receive.activity(), lifecycle.served());
    lifecycle.spawn_essential("logs what was received", async move { activity.run(served).await });
    let services = Services {
        receive,
        ask: AskMetrics::new(metrics.clone(), clock),
        check: CheckStore::new(metrics),
        spooling,
        store: name,
        body_limits: BodyLimits { size: settings.webhook.max_body.bytes(), time: settings.http.body_timeout },
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
    let serving = server::serve(listener, staticreg_http::endpoint(services), &options, lifecycle.stopping());
    let time_left = lifecycle.serve(serving).await?;
    // The writer ends after the last request, so not now when one was not finished.
    if lifecycle.finish(time_left).await? {
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
        ask: AskMetrics::new(store.clone(), clock),
        check: CheckStore::new(store),
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

/// Reads the registry in the background, when there is one, and asks it for indexes until all is served.
fn follow_registry(
    settings: &Registry,
    counting: &Arc<Mutex<dyn Counting>>,
    recorder: &Recorder,
    clock: &Arc<dyn Clock>,
    lifecycle: &mut Lifecycle,
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
    .map_err(|error| match error {
        InvalidOptions::Text => Unusable::new("registry.user", error),
        _ => Unusable::new("registry.hostname", error),
    })?;
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
    lifecycle.spawn_background("reads the registry", refresh.run());
    let (counting, recorder, served) = (Arc::clone(counting), recorder.clone(), lifecycle.served());
    let correct = CorrectArchitectures { lookups, counting, recorder };
    lifecycle.spawn_essential("asks the registry for platforms", correct.run(served));
    Ok((followers, Some(shown)))
}

#[cfg(test)]
mod tests {
    use staticreg_domain::metrics::MockMetricsRepository;

    use super::*;
    use crate::settings::Sources;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_ends_the_server() {
        let mut store = MockMetricsRepository::new();
        store.expect_forget_ids().returning(|_, _| panic!("no ids"));
        let variables = vec![("STATICREG_HTTP_BIND_ADDR".to_owned(), "127.0.0.1:0".into())];
        let settings = Sources { variables, ..Sources::default() }.read().unwrap().settings().unwrap();
        let ended = serve(settings, Some(Store { metrics: Arc::new(store), name: "mock" })).await;
        let Err(Failure::Other(told)) = ended else { panic!("it did not fail") };
        let words = "the part of the program that forgets old event ids has failed (it panicked: no ids).";
        assert!(told.starts_with(words), "{told}");
    }
}
