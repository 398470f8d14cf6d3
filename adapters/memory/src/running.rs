//! What runs, in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;
use staticreg_domain::{
    metrics::MetricsError,
    running::{Running, RunningImages, SourceName},
};

/// What every source told last, until the program ends.
#[derive(Debug, Default)]
pub struct MemoryRunning(Mutex<BTreeMap<SourceName, Running>>);

#[async_trait]
impl RunningImages for MemoryRunning {
    async fn replace(&self, told: &Running) -> Result<(), MetricsError> {
        self.0.lock().insert(told.source.clone(), told.clone());
        Ok(())
    }

    async fn sources(&self) -> Result<Vec<SourceName>, MetricsError> {
        Ok(self.0.lock().keys().cloned().collect())
    }

    async fn all(&self) -> Result<Vec<Running>, MetricsError> {
        Ok(self.0.lock().values().cloned().collect())
    }
}
