//! Wires the adapters to the use cases: [`app`] is all that answers, over [`store`] and, when there is one, [`registry`].

mod access;
mod api_tokens;
mod app;
mod late_store;
mod registry;
pub(crate) mod store;
pub(crate) mod system_clock;
mod watch;

use std::sync::Arc;

use staticreg_domain::Clock;
use staticreg_http::{access::Access, server};
use staticreg_memory::MemoryMetrics;

use crate::{
    Failure,
    lifecycle::Lifecycle,
    settings::{Settings, Sources, Unusable},
};
use app::{Adapters, App};
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
    let bind_addr = &settings.http.bind_addr;
    let deaf = |error| Unusable::new("http.bind_addr", format!("cannot listen on {bind_addr}: {error}"));
    let listener = server::listen(bind_addr.resolve().map_err(deaf)?.as_slice()).await.map_err(deaf)?;
    let store = match store {
        Some(store) => store,
        None => store::open(&settings.db, settings.metrics.memory_rows.get(), &mut lifecycle).await?,
    };
    let spooling = store::open_spool(&settings.spool).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let api_tokens = match &store.tokens {
        Some(kept) => Some(api_tokens::follow(Arc::clone(kept), &clock, &mut lifecycle).await),
        None => None,
    };
    let access = access::open(&mut settings, listener.local_addr()?, api_tokens, &clock, &mut lifecycle)?;
    let adapters = Adapters { store, spooling, clock };
    App::assemble(&settings, adapters, access, &mut lifecycle)?.serve(listener, &settings.http, lifecycle).await
}

/// The OpenAPI document of the server without settings, as JSON.
pub(crate) fn openapi_document() -> Result<String, Failure> {
    let settings = Sources::default().read()?.settings()?;
    let store = Store::without_tokens(Arc::new(MemoryMetrics::new(1)), "memory");
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
        store.expect_forget_ids().returning(|_, _| panic!("no ids"));
        let variables = vec![("STATICREG_HTTP_BIND_ADDR".to_owned(), "127.0.0.1:0".into())];
        let settings = Sources { variables, ..Sources::default() }.read().unwrap().settings().unwrap();
        let ended = serve(settings, Some(Store::without_tokens(Arc::new(store), "mock"))).await;
        let Err(Failure::Other(told)) = ended else { panic!("it did not fail") };
        let words = "the part of the program that forgets old event ids has failed (it panicked: no ids).";
        assert!(told.starts_with(words), "{told}");
    }
}
