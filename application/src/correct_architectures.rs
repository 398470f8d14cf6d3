//! Corrects the architecture of pulls once the registry has told an index's platforms.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use staticreg_domain::{counting::Counting, metrics::CountedEvent};
use tokio::{sync::mpsc, time::sleep};

use crate::{catalog::IndexLookups, recorder::Recorder};

/// The pause before corrections that could not be stored are tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The use case, running in the background: no count waits for it.
pub struct CorrectArchitectures {
    /// Asks the registry.
    pub lookups: IndexLookups,
    /// Knows which pulls to correct.
    pub counting: Arc<Mutex<dyn Counting>>,
    /// Takes the corrections.
    pub recorder: Recorder,
}

impl CorrectArchitectures {
    /// Asks and corrects for as long as somebody wants to know of indexes.
    pub async fn run(self) {
        let Self { lookups, counting, recorder } = self;
        let (found, corrections) = mpsc::unbounded_channel();
        let looking = lookups.run(move |_repository, index, children| {
            let corrections = counting.lock().unwrap_or_else(PoisonError::into_inner).learn(index, children);
            if !corrections.is_empty() {
                // Fails only when recording has ended, and then so does this.
                let _ = found.send(corrections);
            }
        });
        tokio::join!(looking, record(corrections, recorder));
    }
}

async fn record(mut corrections: mpsc::UnboundedReceiver<Vec<CountedEvent>>, recorder: Recorder) {
    while let Some(events) = corrections.recv().await {
        while recorder.record(events.clone()).await.is_err() {
            sleep(RETRY_PAUSE).await;
        }
    }
}
