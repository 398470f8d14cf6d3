//! Wires the adapters to the use cases: [`app`] is all that answers, over [`store`] and, when there is one, [`registry`].

mod access;
mod api_tokens;
mod app;
mod late_store;
pub(crate) mod registry;
pub(crate) mod store;
pub(crate) mod system_clock;
mod tls;
mod watch;

use std::sync::Arc;

use staticreg_domain::Clock;
use staticreg_http::{
    access::Access,
    server::{self, Listener, Tls},
};
use staticreg_memory::MemoryMetrics;
use tokio::net::TcpListener;

use crate::{
    Failure,
    lifecycle::Lifecycle,
    settings::{ListenAddress, Settings, Sources, Unusable},
};
use access::{Addresses, Names};
use app::{Adapters, App, Listeners};
use store::Store;
use system_clock::SystemClock;

/// Serves until SIGTERM or SIGINT, then finishes what was accepted.
pub(crate) async fn serve(mut settings: Settings, store: Option<Store>) -> Result<(), Failure> {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "The limit of open files could not be raised");
    }
    // What is in memory holds secrets; no crash leaves them in a file.
    if let Err(error) = rlimit::setrlimit(rlimit::Resource::CORE, 0, 0) {
        tracing::warn!(%error, "A crash may leave a core dump, with secrets in it");
    }
    let mut lifecycle = Lifecycle::until_signal()?;
    let main = listen(&settings.http.bind_addr, "http.bind_addr").await?;
    let webhook = listen_apart(settings.webhook.bind_addr.as_ref(), "webhook.bind_addr").await?;
    let telemetry = listen_apart(settings.telemetry.bind_addr.as_ref(), "telemetry.bind_addr").await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = match store {
        Some(store) => store,
        None => {
            store::open(&settings.db, settings.metrics.memory_rows.get(), Arc::clone(&clock), &mut lifecycle).await?
        }
    };
    let spooling = store::open_spool(&settings.spool).await?;
    let api_tokens = match &store.tokens {
        Some(kept) => Some(api_tokens::follow(Arc::clone(kept), &clock, &mut lifecycle).await),
        None => None,
    };
    let tls = tls::open(&settings, &clock, &mut lifecycle)?;
    let address = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
    let addresses =
        Addresses { main: main.local_addr()?, webhook: address(&webhook)?, telemetry: address(&telemetry)? };
    let (access, names) = access::open(&mut settings, addresses, api_tokens, &clock, &mut lifecycle)?;
    let Names { webhook: webhook_names, telemetry: telemetry_names } = names;
    let webhook = webhook.map(|listener| {
        // Registries have no certificate to show.
        Listener::with_tls(listener, tls.as_ref().map(Tls::without_client_certificates))
    });
    let telemetry = telemetry.map(|listener| Listener::with_tls(listener, tls.clone()));
    let listeners = Listeners {
        main: Listener::with_tls(main, tls),
        webhook: webhook.zip(webhook_names),
        telemetry: telemetry.zip(telemetry_names),
    };
    let adapters = Adapters { store, spooling, clock };
    App::assemble(&settings, adapters, access, &mut lifecycle)?.serve(listeners, &settings.http, lifecycle).await
}

async fn listen(address: &ListenAddress, key: &'static str) -> Result<TcpListener, Unusable> {
    let deaf = |error| Unusable::new(key, format!("cannot listen on {address}: {error}"));
    server::listen(address.resolve().map_err(deaf)?.as_slice()).await.map_err(deaf)
}

async fn listen_apart(address: Option<&ListenAddress>, key: &'static str) -> Result<Option<TcpListener>, Unusable> {
    match address {
        Some(address) => listen(address, key).await.map(Some),
        None => Ok(None),
    }
}

/// The OpenAPI document of the server without settings, as JSON.
pub(crate) fn openapi_document() -> Result<String, Failure> {
    let settings = Sources::default().read()?.settings()?;
    let store = Store::without_database(Arc::new(MemoryMetrics::new(1)), "memory");
    let adapters = Adapters { store, spooling: None, clock: Arc::new(SystemClock) };
    // The tasks of the use cases end with it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _within = runtime.enter();
    Ok(App::assemble(&settings, adapters, Access::default(), &mut Lifecycle::new())?.openapi_document())
}

#[cfg(test)]
mod tests {
    use staticreg_domain::metrics::MockMetricsRepository;

    use super::*;
    use crate::settings::Sources;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_ends_the_server() {
        let mut store = MockMetricsRepository::new();
        store.expect_forget_journal().returning(|_, _| Ok(0));
        store.expect_archive_ids().returning(|_, _| Ok(0));
        store.expect_fold_changes().returning(|_| Ok(0));
        store.expect_forget_ids().returning(|_, _| panic!("no ids"));
        let variables = vec![("STATICREG_HTTP_BIND_ADDR".to_owned(), "127.0.0.1:0".into())];
        let settings = Sources { variables, ..Sources::default() }.read().unwrap().settings().unwrap();
        let ended = serve(settings, Some(Store::without_database(Arc::new(store), "mock"))).await;
        let Err(Failure::Other(told)) = ended else { panic!("it did not fail") };
        let words = "the part of the program that forgets old event ids has failed (it panicked: no ids).";
        assert!(told.starts_with(words), "{told}");
    }
}
