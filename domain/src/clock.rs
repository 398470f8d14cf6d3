//! The port to the time of day.

use chrono::{DateTime, Utc};

/// Tells the time, so that tests can choose it.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> DateTime<Utc>;
}
