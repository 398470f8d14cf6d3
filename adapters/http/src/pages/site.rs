//! What the pages are made of.

use staticreg_application::browse::Browse;

use super::assets::Assets;
use crate::access::Access;

/// What the pages need.
pub(crate) struct Site {
    pub(super) browse: Browse,
    pub(super) registry: Option<crate::Registry>,
    public_name: Option<String>,
    /// What was refused is told to people.
    pub(super) access: Access,
    pub(super) assets: Assets,
}

impl Site {
    pub(crate) fn new(
        browse: Browse,
        registry: Option<crate::Registry>,
        public_name: Option<String>,
        access: Access,
    ) -> Self {
        Self { browse, registry, public_name, access, assets: Assets::new() }
    }

    pub(super) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.browse.ask().now()
    }

    /// Whether the registry was read to its end: only then can a page tell what it does not hold.
    pub(super) fn is_registry_read(&self) -> bool {
        self.browse.snapshot().is_some_and(|snapshot| snapshot.status().read_at.is_some())
    }

    /// What stands before a repository's name in a command.
    pub(super) fn host(&self) -> &str {
        let name = self.public_name.as_ref().or(self.registry.as_ref().map(|registry| &registry.host));
        name.map_or("REGISTRY", String::as_str)
    }
}
