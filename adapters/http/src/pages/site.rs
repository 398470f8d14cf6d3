//! What the pages are made of.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use staticreg_application::{
    browse::Browse, clean_up::CleanUp, receive_notification::ReceiveNotification, recording::Spooling,
};

use super::assets::Assets;
use crate::{BuildInfo, Services, access::Access};

/// What the pages need.
pub(crate) struct Site {
    pub(crate) browse: Browse,
    pub(super) clean_up: CleanUp,
    pub(super) registry: Option<crate::Registry>,
    public_name: Option<String>,
    /// What was received is told to people, too.
    pub(super) receive: Arc<ReceiveNotification>,
    /// What was refused is told to people.
    pub(super) access: Access,
    /// The store's name: `postgresql`, `sqlite` or `memory`.
    pub(super) store: &'static str,
    pub(super) spooling: Option<Arc<Spooling>>,
    pub(super) build: BuildInfo,
    pub(super) started_at: DateTime<Utc>,
    /// The port of the webhook's own listener, when it has one.
    webhook_port: Option<u16>,
    pub(super) assets: Assets,
}

impl Site {
    pub(crate) fn new(services: &Services, webhook_port: Option<u16>) -> Self {
        let Services { receive, ask, clean_up, spooling, store, registry, access, build, public_name, .. } =
            services.clone();
        let started_at = ask.now();
        let browse = Browse::new(ask, registry.as_ref().map(|registry| registry.snapshots.clone()));
        let assets = Assets::new();
        Self {
            browse,
            clean_up,
            registry,
            public_name,
            receive,
            access,
            store,
            spooling,
            build,
            started_at,
            webhook_port,
            assets,
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.browse.ask().now()
    }

    /// Whether the registry was read to its end: only then can a page tell what it does not hold.
    pub(super) fn is_registry_read(&self) -> bool {
        self.browse.snapshot().is_some_and(|snapshot| snapshot.status().read_at.is_some())
    }

    /// What stands before a repository's name in a command.
    pub(super) fn host(&self) -> &str {
        crate::host(self.public_name.as_ref(), self.registry.as_ref())
    }

    /// The address of the webhook, where this server is reached by an origin such as `http://localhost:8093`.
    pub(super) fn webhook(&self, origin: &str) -> String {
        let origin = match self.webhook_port {
            Some(port) => format!("{}:{port}", without_port(origin)),
            None => origin.to_owned(),
        };
        origin + crate::webhook::PATH
    }
}

fn without_port(origin: &str) -> &str {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    origin.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(origin, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_may_have_a_port() {
        for (origin, without) in [
            ("http://localhost:8093", "http://localhost"),
            ("https://counts.example.com", "https://counts.example.com"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(without_port(origin), without);
        }
    }
}
