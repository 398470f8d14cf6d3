//! How manifest accesses become counts.

mod classified;
mod tagged;

pub use classified::Classified;
pub use tagged::Tagged;

use chrono::{DateTime, Utc};

use crate::{
    Digest, ManifestAccess, RepositoryName,
    manifest_access::IndexChild,
    metrics::PullEvent,
    rules::{Scope, SkipReason},
};

/// A way to count. Accesses come in the order of their arrival, which need not be that of their timestamps.
pub trait Counting: Send {
    /// Which events the rules should let through.
    fn scope(&self) -> Scope;

    /// What the access changes, or why it changes nothing and does not count. `now` is the time of arrival.
    ///
    /// The same access given again, while it is remembered, gives the same answer, whatever came between.
    fn count(&mut self, access: &ManifestAccess, now: DateTime<Utc>) -> Result<PullEvent, SkipReason>;

    /// Takes note of an index's children, asked from the registry; answers the corrections that follow for what was
    /// counted before they were known. They must be recorded like any event; the same call does not give them again.
    fn learn(&mut self, index: &Digest, children: &[IndexChild]) -> Vec<PullEvent>;

    /// The indexes seen since the last call whose children's platforms nobody told, each with a repository that holds
    /// it. What the registry says of them goes to [`Counting::learn`]; that it says nothing does no harm.
    fn wanted(&mut self) -> Vec<(RepositoryName, Digest)> {
        Vec::new()
    }
}
