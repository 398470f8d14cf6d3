//! What an image pull is: the types, the counting rules and the ports.
//!
//! Pure: no I/O, no framework and no clock of its own. The words are those of the OCI distribution and image
//! specifications; a *registry event* is what Distribution posts, a *pull* is what the [`rules`] make of it.
//!
//! A question about the counts is a [`metrics::Breakdown`], which is data; a new way to count is a module in
//! [`counting`]; a new reason to leave an event out is a variant of [`rules::SkipReason`].

pub mod api_token;
pub mod architecture;
pub mod catalog;
pub mod clock;
pub mod connection_pool;
pub mod counting;
pub mod digest;
pub mod error;
pub mod event_id;
pub mod journal;
pub mod manifest_access;
pub mod media_type;
pub mod metrics;
pub mod new_names;
pub mod platform;
pub mod pull_event;
pub mod registry_event;
pub mod repository_name;
pub mod rules;
pub mod running;
#[cfg(test)]
mod seed;
pub mod spool;
pub mod tag;
pub mod version_order;

pub use architecture::Architecture;
pub use clock::Clock;
pub use digest::Digest;
pub use event_id::EventId;
pub use manifest_access::{Action, Client, ManifestAccess};
pub use media_type::ManifestKind;
pub use platform::Platform;
pub use pull_event::PullEvent;
pub use registry_event::RegistryEvent;
pub use repository_name::RepositoryName;
pub use tag::Tag;
