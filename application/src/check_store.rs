//! Checks whether the store takes events.

use std::sync::Arc;

use staticreg_domain::metrics::{MetricsError, MetricsRepository};

/// Asks the store that is recorded in.
#[derive(Clone)]
pub struct CheckStore(Arc<dyn MetricsRepository>);

impl CheckStore {
    /// Checks the given store.
    #[must_use]
    pub fn new(store: Arc<dyn MetricsRepository>) -> Self {
        Self(store)
    }

    /// Whether the store can take events now.
    pub async fn check(&self) -> Result<(), MetricsError> {
        self.0.check().await
    }
}
