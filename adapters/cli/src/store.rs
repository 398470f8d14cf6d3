//! Chooses and opens the store.

use std::{sync::Arc, time::Duration};

use staticreg_application::spooling::Spooling;
use staticreg_domain::metrics::MetricsRepository;
use staticreg_memory::MemoryMetrics;
use tokio::time::sleep;

use crate::{
    Failure,
    late_store::LateStore,
    settings::{Db, Spool},
};

/// The pause before a database that is away at start is tried again: at first, and at most.
const CONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// The store of pull metrics and its name.
pub(crate) struct Store {
    pub(crate) metrics: Arc<dyn MetricsRepository>,
    pub(crate) name: &'static str,
}

pub(crate) async fn open(_db: &Db, rows: usize) -> Result<Store, Failure> {
    Ok(Store { metrics: Arc::new(MemoryMetrics::new(rows)), name: "memory" })
}
pub(crate) async fn open_spool(_: &Spool) -> Result<Option<Arc<Spooling>>, Failure> {
    Ok(None)
}
pub(crate) async fn migrate(_: &Db) -> Result<(), Failure> {
    Ok(())
}
