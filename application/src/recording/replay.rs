//! The replay of the spool.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{batches::Batches, spooling::Spooling};

/// Stores what waits in the spool.
pub struct Replay {
    pub(super) spooling: Arc<Spooling>,
    pub(super) batches: Arc<Mutex<Batches>>,
}

impl Replay {
    /// Stores what waits, for ever.
    pub async fn run(self) {
        self.spooling.replay(&self.batches).await;
    }
}
