//! The connections to a database, as operators ask for them.

use std::time::Duration;

/// How connections are used, and were since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// The most there may be at once.
    pub max: u64,
    /// Those in use.
    pub in_use: u64,
    /// Those that wait to be used again.
    pub idle: u64,
    /// Those that are being made.
    pub connecting: u64,
    /// How many were made.
    pub opened: u64,
    /// How many were closed because nobody needed them for long.
    pub closed_idle: u64,
    /// How often one was taken.
    pub taken: u64,
    /// How often somebody gave up waiting for one.
    pub given_up: u64,
    /// How long all waited together who took one.
    pub waited: Duration,
}

/// A pool of connections to a database.
pub trait ConnectionPool: Send + Sync {
    /// How it is used; none while there is no connection to the database.
    fn stats(&self) -> Option<PoolStats>;
}
