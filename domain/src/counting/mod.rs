//! How manifest accesses become counts.

mod classified;
mod tagged;

pub use classified::Classified;
pub use tagged::Tagged;

use chrono::{DateTime, Utc};

use crate::{
    Digest, EventId, ManifestAccess, RepositoryName,
    manifest_access::IndexChild,
    metrics::PullEvent,
    rules::{Scope, SkipReason},
};

/// A way to count. Accesses come in the order of their arrival, which need not be that of their timestamps.
pub trait Counting: Send {
    /// Which events the rules should let through.
    fn scope(&self) -> Scope;

    /// What the access changes, or why it changes nothing and does not count. `now` is the time of arrival. An access
    /// that is remembered changes nothing when it comes again.
    fn count(&mut self, access: &ManifestAccess, now: DateTime<Utc>) -> Result<PullEvent, SkipReason>;

    /// What makes a count depend on others than its own access; none when each counts for itself.
    fn memory(&mut self) -> Option<&mut dyn CountingMemory> {
        None
    }
}

/// What a way to count remembers of earlier accesses, and can be told of them. All servers that share a store remember
/// the same, by the store's journal.
pub trait CountingMemory: Counting {
    /// Whether an access with this id is remembered.
    fn knows(&self, id: EventId) -> bool;

    /// Has the access tell as much of an index's children as those need who are told of this access alone.
    fn prepare(&mut self, access: &mut ManifestAccess, now: DateTime<Utc>);

    /// Takes note of an index's children, asked from the registry; answers the corrections that follow for what was
    /// counted before they were known. The same call does not give them again.
    fn learn(&mut self, index: &Digest, children: &[IndexChild], now: DateTime<Utc>) -> Vec<PullEvent>;

    /// The indexes seen since the last call whose children's platforms nobody told, each with a repository that holds
    /// it. What the registry says of them goes to [`CountingMemory::learn`]; that it says nothing does no harm.
    fn wanted(&mut self) -> Vec<(RepositoryName, Digest)>;

    /// From here on all is on trial, until it is settled or taken back.
    fn begin_trial(&mut self);

    /// What was read on trial stays. Only now is forgotten what has become too old or too much at `now`.
    fn settle(&mut self, now: DateTime<Utc>);

    /// What was read on trial leaves no trace, as if it had not come.
    fn take_back(&mut self);

    /// Forgets everything.
    fn clear(&mut self);
}
