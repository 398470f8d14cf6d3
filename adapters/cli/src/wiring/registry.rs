//! The registry, when there is one.

use std::{sync::Arc, time::Duration};

use staticreg_application::{
    catalog::{CatalogChanges, ReadImage, RefreshCatalog, RefreshOptions},
    platforms::{CorrectArchitectures, IndexChildren, IndexLookups},
    recording::{AskForIndex, Recorder},
};
use staticreg_domain::{Clock, Digest, RepositoryName, catalog::RegistryCatalog, rules::OWN_PRODUCT};
use staticreg_registry::{HttpRegistryCatalog, InvalidOptions, RegistryOptions, Tls};

use crate::{
    Failure,
    lifecycle::Lifecycle,
    settings::{Registry, TlsMode, Unusable},
};

/// How long one request to the registry may take.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(10);

/// The configured registry.
pub(super) struct ConfiguredRegistry {
    host: String,
    catalog: Arc<dyn RegistryCatalog>,
    refresh: RefreshCatalog,
    lookups: IndexLookups,
}

/// The registry, when there is one, and what has it asked for indexes.
pub(super) fn open(
    settings: &Registry,
    clock: &Arc<dyn Clock>,
) -> Result<Option<(ConfiguredRegistry, AskForIndex)>, Failure> {
    let Some(hostname) = &settings.hostname else { return Ok(None) };
    if settings.password.is_some() && settings.user.is_none() {
        tracing::warn!("The registry's password is not used: it needs a user (STATICREG_REGISTRY_USER).");
    }
    let catalog: Arc<dyn RegistryCatalog> = Arc::new(connect(settings, hostname)?);
    let options = RefreshOptions { concurrency: settings.concurrency.get(), interval: settings.refresh_interval };
    let refresh = RefreshCatalog::new(Arc::clone(&catalog), Arc::clone(clock), options);
    let (children, lookups) = IndexChildren::new(Arc::clone(&catalog));
    let ask = Box::new(move |repository: &RepositoryName, index: &Digest| children.ask(repository, index));
    Ok(Some((ConfiguredRegistry { host: hostname.clone(), catalog, refresh, lookups }, ask)))
}

impl ConfiguredRegistry {
    /// Reads the registry in the background, and asks it for indexes until all is served. Answers what is shown of it,
    /// and what has changed repositories read again.
    pub(super) fn follow(
        self,
        recorder: &Recorder,
        lifecycle: &mut Lifecycle,
    ) -> (staticreg_http::Registry, CatalogChanges) {
        let Self { host, catalog, refresh, lookups } = self;
        let shown = staticreg_http::Registry { host, snapshots: refresh.snapshots(), images: ReadImage::new(catalog) };
        let changes = refresh.changes();
        lifecycle.spawn_background("reads the registry", refresh.run());
        let (recorder, served) = (recorder.clone(), lifecycle.served());
        let correct = CorrectArchitectures { lookups, recorder };
        lifecycle.spawn_essential("asks the registry for platforms", correct.run(served));
        (shown, changes)
    }
}

pub(crate) fn connect(settings: &Registry, hostname: &str) -> Result<HttpRegistryCatalog, Failure> {
    let options = RegistryOptions {
        hostname: hostname.to_owned(),
        user: settings.user.clone(),
        password: settings.password.as_ref().map(|password| password.expose().to_owned()),
        tls: match settings.tls {
            TlsMode::Auto => Tls::Auto,
            TlsMode::On => Tls::On,
            TlsMode::Off => Tls::Off,
        },
        skip_tls_verify: settings.skip_tls_verify,
        requests_per_second: settings.requests_per_second,
        timeout: REGISTRY_TIMEOUT,
        user_agent: format!("{OWN_PRODUCT}{}", env!("CARGO_PKG_VERSION")),
    };
    HttpRegistryCatalog::new(&options).map_err(|error| {
        match error {
            InvalidOptions::Text => Unusable::new("registry.user", error),
            _ => Unusable::new("registry.hostname", error),
        }
        .into()
    })
}
