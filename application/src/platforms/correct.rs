//! Corrects the architecture of pulls once the registry has told an index's platforms.

use std::time::Duration;

use staticreg_domain::{Digest, manifest_access::IndexChild};
use tokio::{sync::mpsc, time::sleep};

use super::IndexLookups;
use crate::recording::{Recorded, Recorder};

/// The pause before what could not be stored is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The use case, running in the background: no count waits for it.
pub struct CorrectArchitectures {
    /// Asks the registry.
    pub lookups: IndexLookups,
    /// Takes what it told.
    pub recorder: Recorder,
}

impl CorrectArchitectures {
    /// Asks and corrects until `stop`, or until nobody wants to know of indexes any more. A stop waits for no answer
    /// of the registry: what it would have told stays a guess. What it told is tried once more to be stored.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { lookups, recorder } = self;
        let (found, learnt) = mpsc::unbounded_channel();
        let looking = lookups.run(move |_repository, index, children| {
            // Fails only when recording has ended, and then so does this.
            let _ = found.send((index.clone(), children.to_vec()));
        });
        let looking = async {
            tokio::select! {
                () = looking => {}
                () = stop => {}
            }
        };
        tokio::join!(looking, record(learnt, recorder));
    }
}

async fn record(mut learnt: mpsc::UnboundedReceiver<(Digest, Vec<IndexChild>)>, recorder: Recorder) {
    while let Some((index, children)) = learnt.recv().await {
        while recorder.learn(index.clone(), children.clone()).await != Ok(Recorded::Learned) && !learnt.is_closed() {
            sleep(RETRY_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        future::pending,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use chrono::DateTime;
    use staticreg_domain::{
        Clock,
        clock::MockClock,
        counting::Classified,
        journal::{Appended, JournalPart, JournalPosition, Turn},
        metrics::{MetricsError, MockMetricsRepository},
    };
    use tokio::{sync::oneshot, task::JoinHandle, time::Instant};
    use uuid::Uuid;

    use super::*;
    use crate::{
        catalog::testing::{FakeRegistry, digest, name},
        platforms::IndexChildren,
        recording::RecorderOptions,
    };

    const PATIENCE: Duration = Duration::from_secs(3);

    struct Running {
        children: IndexChildren,
        stored: Arc<AtomicUsize>,
        /// Ends when the corrections have ended, and nobody can record any more.
        ended: JoinHandle<()>,
    }

    fn running(registry: FakeRegistry, store_away: bool, stop: impl Future<Output = ()> + Send + 'static) -> Running {
        let stored = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&stored);
        let mut store = MockMetricsRepository::new();
        store.expect_journal().returning(|_, _| Ok(JournalPart::default()));
        store.expect_turn().returning(|_, _| {
            let end = JournalPosition { number: 0, batch: Uuid::nil() };
            Ok(Turn { news: JournalPart::default(), end, recorded: HashSet::new() })
        });
        store.expect_append().returning(move |batch, _| {
            if store_away {
                return Err(MetricsError::Unavailable("away".into()));
            }
            counted.fetch_add(batch.entries.len(), Ordering::Relaxed);
            Ok(Appended::Stored)
        });
        let mut clock = MockClock::new();
        clock.expect_now().return_const(DateTime::UNIX_EPOCH);
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let options =
            RecorderOptions { batch_size: 1, buffer_size: 1, flush_interval: Duration::ZERO, patience: PATIENCE };
        let (recorder, writer) =
            Recorder::new(Arc::new(store), Box::new(Classified::new(10)), None, None, clock, options);
        let (children, lookups) = IndexChildren::new(Arc::new(registry));
        let correct = CorrectArchitectures { lookups, recorder };
        let ended = tokio::spawn(async move {
            tokio::join!(correct.run(stop), writer.run());
        });
        Running { children, stored, ended }
    }

    #[tokio::test(start_paused = true)]
    async fn corrections_are_stored_and_it_ends_when_nobody_wants_to_know() {
        let registry = FakeRegistry::default();
        registry.image(1, None);
        let Running { children, stored, ended } = running(registry, false, pending());
        children.ask(&name("a"), &digest(1));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(stored.load(Ordering::Relaxed), 1);
        drop(children);
        ended.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_no_look_up() {
        let (stop, stopped) = oneshot::channel::<()>();
        let registry = FakeRegistry::slow(Duration::from_hours(1));
        let Running { children, stored, ended } = running(registry, false, async { stopped.await.unwrap_or_default() });
        for seed in 1..10 {
            children.ask(&name("a"), &digest(seed));
        }
        sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        drop(stop);
        ended.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(stored.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_no_store_that_is_away() {
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { stopped.await.unwrap_or_default() };
        let registry = FakeRegistry::default();
        registry.image(1, None);
        let Running { children, stored: _, ended } = running(registry, true, stopped);
        children.ask(&name("a"), &digest(1));
        sleep(Duration::from_mins(1)).await;
        assert!(!ended.is_finished(), "it tries again");
        let start = Instant::now();
        drop(stop);
        ended.await.unwrap();
        assert!(start.elapsed() <= RETRY_PAUSE + PATIENCE + PATIENCE, "{:?}", start.elapsed());
    }
}
