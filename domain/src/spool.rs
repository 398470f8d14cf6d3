//! The port to the place where events wait while the store is away.

use async_trait::async_trait;

use crate::{ManifestAccess, metrics::BoxError};

/// Why the spool could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It holds as many events as it may.
    #[error("the spool is full")]
    Full,
    /// It cannot be written or read now: a full disk, for one.
    #[error("the spool is unavailable")]
    Unavailable(#[source] BoxError),
}

/// Where an event stands in the spool; a later event stands higher, and every event above the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpoolPosition(pub i64);

/// Keeps accesses durably, in order, until the store takes them: they are counted then, with all that came in between.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait EventSpool: Send + Sync {
    /// Writes a batch durably, all or nothing. An event whose id waits already is not written again.
    async fn append(&self, batch: &[ManifestAccess]) -> Result<(), SpoolError>;

    /// The events behind a place that wait longest, in the order they were written.
    async fn oldest(
        &self,
        after: SpoolPosition,
        at_most: u32,
    ) -> Result<Vec<(SpoolPosition, ManifestAccess)>, SpoolError>;

    /// Removes every event up to a place, that one included. This may fail while the events can still be read.
    async fn remove_through(&self, position: SpoolPosition) -> Result<(), SpoolError>;

    /// How many events it holds.
    async fn waiting(&self) -> Result<u64, SpoolError>;
}
