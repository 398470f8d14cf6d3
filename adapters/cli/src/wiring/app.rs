//! All that answers: the use cases over their adapters, and the tasks that run them.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures_util::{FutureExt as _, future::try_join_all};
use staticreg_application::{
    ask_metrics::AskMetrics,
    check_store::CheckStore,
    clean_up::CleanUp,
    hear_running::HearRunning,
    receive_notification::ReceiveNotification,
    recording::{ForgetOld, Recorder, RecorderOptions, Retain, Retention, Spooling},
    telemetry::{Family, Sample},
};
use staticreg_domain::{
    Clock,
    counting::{Classified, Counting, Tagged},
    rules::Rules,
};
use staticreg_http::{
    BodyLimits, BuildInfo, Endpoints, Services, WebhookListener,
    access::{Access, Hosts},
    server::{self, Listener, ServerOptions},
};
use staticreg_telemetry::PrometheusText;

use super::{registry, store::Store};
use crate::{
    Failure,
    lifecycle::Lifecycle,
    line_writer,
    settings::{self, CountingMode, Http, Metrics, Settings},
};

/// What whoever builds a release tells the compiler.
const BUILD: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    commit: match option_env!("STATICREG_BUILD_COMMIT") {
        Some(commit) => commit,
        None => "",
    },
    time: match option_env!("STATICREG_BUILD_TIME") {
        Some(time) => time,
        None => "",
    },
};

/// How long a client may take none of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most connections at once of those who watch the server, when they have a listener of their own.
const MAX_WATCHERS: usize = 64;

/// What the use cases stand on.
pub(super) struct Adapters {
    pub(super) store: Store,
    pub(super) spooling: Option<Arc<Spooling>>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Where requests come from.
pub(super) struct Listeners {
    pub(super) main: Listener,
    /// The webhook's own, when it has one.
    pub(super) webhook: Option<(Listener, WebhookListener)>,
    /// Telemetry's own, when it has one, and what the server is called there.
    pub(super) telemetry: Option<(Listener, Hosts)>,
}

/// The use cases, as the way in needs them. The program, the OpenAPI document and tests assemble them alike.
pub(super) struct App {
    services: Services,
}

impl App {
    /// Puts the use cases together; what runs beside the requests is the lifecycle's.
    pub(super) fn assemble(
        settings: &Settings,
        adapters: Adapters,
        access: Access,
        lifecycle: &mut Lifecycle,
    ) -> Result<Self, Failure> {
        let Adapters { store: Store { metrics, tokens: _, running, pool, name }, spooling, clock } = adapters;
        let options = recorder_options(&settings.metrics);
        let (registry, index_children) = registry::open(&settings.registry, &clock)?.unzip();
        let counting = counting(&settings.metrics);
        let mut rules = Rules::new(counting.scope(), settings.metrics.ignored_user_agents.clone());
        if let Some(max_age) = settings.metrics.max_age {
            rules = rules.with_max_age(TimeDelta::from_std(max_age)?);
        }
        let (recorder, writer) = Recorder::new(
            Arc::clone(&metrics),
            counting,
            index_children,
            spooling.clone(),
            Arc::clone(&clock),
            options,
        );
        let recorder = recorder.telling_repositories(settings.telemetry.repositories);
        if let Some(replay) = writer.replay() {
            lifecycle.spawn_background("stores spooled events", replay.run());
        }
        lifecycle.spawn_essential("stores events", writer.run());
        let forget = ForgetOld {
            store: Arc::clone(&metrics),
            recorder: recorder.clone(),
            spooling: spooling.clone(),
            clock: Arc::clone(&clock),
            window: settings.metrics.dedupe_window,
        };
        lifecycle.spawn_background("forgets old event ids", forget.run());
        let retention = retention(&settings.retention);
        if retention.ends() {
            let (store, recorder, spooling) = (Arc::clone(&metrics), recorder.clone(), spooling.clone());
            let retain = Retain { store, recorder, spooling, clock: Arc::clone(&clock), retention };
            lifecycle.spawn_background("folds and removes old counts", retain.run());
        }
        let registry = registry.map(|registry| registry.follow(&recorder, lifecycle));
        let (registry, catalog_changes) = registry.unzip();
        let receive = Arc::new(
            ReceiveNotification::new(rules, recorder, catalog_changes, Arc::clone(&clock))
                .with_max_new_names(settings.metrics.max_new_names_per_day),
        );
        let (activity, served) = (receive.activity(), lifecycle.served());
        lifecycle.spawn_essential("logs what was received", async move { activity.run(served).await });
        let ask = AskMetrics::new(metrics.clone(), Arc::clone(&clock));
        let snapshots = registry.as_ref().map(|registry| registry.snapshots.clone());
        let services = Services {
            receive,
            clean_up: CleanUp::new(ask.clone(), snapshots, Arc::clone(&running)),
            hear: HearRunning::new(running, clock),
            ask,
            check: CheckStore::new(metrics),
            spooling,
            store: name,
            body_limits: BodyLimits { size: settings.webhook.max_body.bytes(), time: settings.http.body_timeout },
            registry,
            access,
            pool,
            exposition: Some(Arc::new(PrometheusText::new(Box::new(told)))),
            build: BUILD,
            public_name: settings.registry.public_name.clone(),
        };
        Ok(Self { services })
    }

    /// The OpenAPI document, as JSON.
    pub(super) fn openapi_document(self) -> String {
        staticreg_http::openapi_json(self.services)
    }

    /// Answers until the lifecycle stops, then finishes what was accepted.
    pub(super) async fn serve(
        self,
        listeners: Listeners,
        settings: &Http,
        mut lifecycle: Lifecycle,
    ) -> Result<(), Failure> {
        let options = ServerOptions {
            max_connections: settings.max_connections.get(),
            header_timeout: settings.header_timeout,
            write_timeout: WRITE_TIMEOUT,
            stop_timeout: settings.stop_timeout,
        };
        let few = ServerOptions { max_connections: options.max_connections.min(MAX_WATCHERS), ..options.clone() };
        let Listeners { main, webhook, telemetry } = listeners;
        tracing::info!("Listening on {}", main.url()?);
        let (webhook, webhook_routes) = webhook.unzip();
        let (telemetry, telemetry_names) = telemetry.unzip();
        let Endpoints { main: all_else, webhook: of_webhook, telemetry: of_telemetry } =
            staticreg_http::endpoints(self.services, webhook_routes, telemetry_names);
        let mut serving = vec![server::serve(main, all_else, &options, lifecycle.stopping()).boxed()];
        if let Some((listener, routes)) = webhook.zip(of_webhook) {
            tracing::info!("Listening for notifications on {}", listener.url()?);
            serving.push(server::serve(listener, routes, &options, lifecycle.stopping()).boxed());
        }
        if let Some((listener, routes)) = telemetry.zip(of_telemetry) {
            tracing::info!("Listening for those who watch on {}", listener.url()?);
            serving.push(server::serve(listener, routes, &few, lifecycle.stopping()).boxed());
        }
        let time_left = lifecycle.serve(try_join_all(serving)).await?.into_iter().min().unwrap_or_default();
        // The writer ends after the last request, so not now when one was not finished.
        if lifecycle.finish(time_left).await? {
            tracing::info!("Stopped; everything accepted was finished");
        } else {
            tracing::warn!("Stopped before everything accepted was finished; the registry sends it again");
        }
        Ok(())
    }
}

/// What only the program knows of itself.
fn told() -> Vec<Family> {
    let labels = [("version", BUILD.version), ("commit", BUILD.commit)];
    vec![
        Family::gauge(
            "staticreg_build_info",
            "What the program was built from; always 1.",
            vec![Sample::labelled(labels, 1_u64)],
        ),
        Family::counter(
            "staticreg_log_lines_dropped",
            "Log lines that nobody took in time.",
            vec![Sample::plain(line_writer::dropped())],
        ),
    ]
}

fn retention(settings: &settings::Retention) -> Retention {
    let days = |span: Duration| u32::try_from(span.as_secs().div_ceil(24 * 60 * 60)).unwrap_or(u32::MAX);
    Retention {
        daily_days: settings.daily.map(days),
        total_days: settings.total.map(days),
        drops_digests: !settings.digests,
    }
}

fn recorder_options(metrics: &Metrics) -> RecorderOptions {
    RecorderOptions {
        batch_size: metrics.batch_size.get(),
        buffer_size: metrics.buffer_size.get(),
        flush_interval: flush_interval(metrics),
        patience: metrics.patience,
    }
}

/// None when it would use up the patience: all would be answered 503, and nothing is gained by it.
fn flush_interval(metrics: &Metrics) -> Duration {
    let (interval, patience) = (metrics.flush_interval, metrics.patience);
    if interval < patience {
        return interval;
    }
    tracing::info!(
        "STATICREG_METRICS_FLUSH_INTERVAL, {interval:?}, has no effect: a notification is answered once it is stored, and \
         waits for {patience:?} at most (STATICREG_METRICS_PATIENCE)."
    );
    Duration::ZERO
}

fn counting(metrics: &Metrics) -> Box<dyn Counting> {
    match metrics.counting {
        CountingMode::Classified => Box::new(Classified::new(metrics.correlation_entries.get())),
        CountingMode::Tagged => Box::new(Tagged),
    }
}
