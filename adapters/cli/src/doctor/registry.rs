//! The registry that the pages show: whether it can be read.

use staticreg_domain::{Clock as _, catalog::RegistryCatalog as _, error::describe};

use super::Report;
use crate::{
    settings::{Given, Registry},
    wiring::{registry, system_clock::SystemClock},
};

pub(super) async fn look(report: &mut Report, given: &Given, settings: &Registry) {
    report.section("Registry");
    let Some(hostname) = &settings.hostname else {
        return report.doubtful("pages show counts only: STATICREG_REGISTRY_HOSTNAME is not set");
    };
    let catalog = match registry::connect(settings, hostname) {
        Ok(catalog) => catalog,
        Err(failure) => return report.wrong(failure.sentence(given)),
    };
    match catalog.clock().await {
        Ok(clock) => {
            report.fine(format_args!("{hostname} answers"));
            if let Some(clock) = clock {
                report.clock("its", clock - SystemClock.now());
            }
        }
        Err(error) => return report.wrong(format_args!("{hostname}: {}", describe(&error))),
    }
    match catalog.repositories(None).await {
        Ok(_) => report.fine("its list of repositories can be read"),
        Err(error) => report.wrong(format_args!("its repositories cannot be read: {}", describe(&error))),
    }
}
