//! The registry, when there is one.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use staticreg_application::{
    catalog::{ReadImage, RefreshCatalog, RefreshOptions},
    platforms::{CorrectArchitectures, IndexChildren},
    receive_notification::Followers,
    recording::Recorder,
};
use staticreg_domain::{Clock, catalog::RegistryCatalog, counting::Counting, rules::OWN_PRODUCT};
use staticreg_registry::{HttpRegistryCatalog, InvalidOptions, RegistryOptions, Tls};

use crate::{
    Failure,
    lifecycle::Lifecycle,
    settings::{Registry, TlsMode, Unusable},
};

/// How long one request to the registry may take.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the registry in the background, when there is one, and asks it for indexes until all is served.
pub(super) fn follow(
    settings: &Registry,
    counting: &Arc<Mutex<dyn Counting>>,
    recorder: &Recorder,
    clock: &Arc<dyn Clock>,
    lifecycle: &mut Lifecycle,
) -> Result<(Followers, Option<staticreg_http::Registry>), Failure> {
    let Some(hostname) = &settings.hostname else { return Ok((Followers::default(), None)) };
    let catalog: Arc<dyn RegistryCatalog> = Arc::new(open(settings, hostname)?);
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

fn open(settings: &Registry, hostname: &str) -> Result<HttpRegistryCatalog, Failure> {
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
