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
