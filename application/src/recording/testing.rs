//! What tests of recording share.

use chrono::DateTime;
use staticreg_domain::{Action, Architecture, Client, EventId, ManifestAccess, ManifestKind};

/// A GET of `app:v1`.
pub(crate) fn access(id: EventId) -> ManifestAccess {
    ManifestAccess {
        id,
        at: DateTime::UNIX_EPOCH,
        arrived_at: None,
        action: Action::Get,
        manifest: ManifestKind::Image,
        repository: "app".parse().expect("a name"),
        tag: "v1".parse().ok(),
        digest: format!("sha256:{:064x}", 1).parse().expect("a digest"),
        architecture: Architecture::not_specified(),
        client: Client::new("10.0.0.1", ""),
        children: Vec::new(),
    }
}
