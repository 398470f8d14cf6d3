//! A cache of answers that are shown while they are renewed (stale-while-revalidate).

use std::{convert::Infallible, hash::Hash, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use staticreg_domain::{Clock, metrics::MetricsError};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// How long an answer is new at least: people who reload see what happened a moment ago.
const NEW_AT_LEAST: Duration = Duration::from_millis(500);

/// An answer stays new for this many times what it took, so that looking costs the store a tenth of its time at most.
const COST_FACTOR: u32 = 10;

/// How long people wait for a new answer, when there is an old one to show instead.
const PATIENCE: Duration = Duration::from_millis(40);

/// The same, when the old one is older than this: nobody looked for a while.
const STALE: (Duration, Duration) = (Duration::from_mins(2), Duration::from_millis(500));

/// How long people wait for the first answer.
const FIRST_PATIENCE: Duration = Duration::from_millis(800);

/// What a page shows of an answer.
#[derive(Debug)]
pub struct Shown<V> {
    /// The newest answer; none as long as there was none.
    pub value: Option<Arc<V>>,
    /// When it was asked for.
    pub at: DateTime<Utc>,
    /// Whether the store failed to give a newer one.
    pub away: bool,
}

/// The answers to the questions of a page, by what was asked. Each is asked by one task at a time, whoever looks.
pub(crate) struct AnswerCache<K, V> {
    slots: Cache<K, Arc<Mutex<Slot<V>>>>,
    /// How long an answer is new at most.
    new_at_most: Duration,
    clock: Arc<dyn Clock>,
}

struct Slot<V> {
    value: Option<Arc<V>>,
    at: DateTime<Utc>,
    away: bool,
    read: Instant,
    new_until: Instant,
    /// Closed when the task that asks has ended, however it ended.
    asking: Option<watch::Receiver<()>>,
}

impl<V> Slot<V> {
    fn shown(&self) -> Shown<V> {
        Shown { value: self.value.clone(), at: self.at, away: self.away }
    }
}

impl<K, V> AnswerCache<K, V>
where
    K: Clone + Eq + Hash,
    V: Send + Sync + 'static,
{
    /// Keeps at most so many answers, each new for so long at most.
    pub(crate) fn new(capacity: usize, new_at_most: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { slots: Cache::new(capacity), new_at_most, clock }
    }

    /// The answer, asked anew with the one before when that is no longer new. Waits a moment for it, then shows the old.
    pub(crate) async fn show<F>(&self, key: K, ask: impl FnOnce(Option<Arc<V>>) -> F) -> Shown<V>
    where
        F: Future<Output = Result<V, MetricsError>> + Send + 'static,
    {
        let slot = self.slot(&key);
        let (mut asking, patience) = {
            let mut state = slot.lock();
            if Instant::now() < state.new_until {
                return state.shown();
            }
            let running = state.asking.clone().filter(|asking| asking.has_changed().is_ok());
            let asking = running.unwrap_or_else(|| {
                let (done, asking) = watch::channel(());
                state.asking = Some(asking.clone());
                tokio::spawn(renew(slot.clone(), ask(state.value.clone()), self.clock.now(), self.new_at_most, done));
                asking
            });
            let patience = match &state.value {
                None => FIRST_PATIENCE,
                Some(_) if state.read.elapsed() > STALE.0 => STALE.1,
                Some(_) => PATIENCE,
            };
            (asking, patience)
        };
        // An error is the channel's end, which is what this waits for.
        let _ = timeout(patience, asking.changed()).await;
        slot.lock().shown()
    }

    fn slot(&self, key: &K) -> Arc<Mutex<Slot<V>>> {
        let now = Instant::now();
        let slot = Slot { value: None, at: self.clock.now(), away: false, read: now, new_until: now, asking: None };
        let Ok(slot) = self.slots.get_or_insert_with(key, || Ok::<_, Infallible>(Arc::new(Mutex::new(slot))));
        slot
    }
}

/// Puts the answer into its slot; drops `done` last, which tells those who wait.
async fn renew<V>(
    slot: Arc<Mutex<Slot<V>>>,
    answer: impl Future<Output = Result<V, MetricsError>>,
    at: DateTime<Utc>,
    new_at_most: Duration,
    done: watch::Sender<()>,
) {
    let started = Instant::now();
    let answer = answer.await;
    let took = started.elapsed();
    let mut state = slot.lock();
    match answer {
        Ok(value) => {
            state.value = Some(Arc::new(value));
            state.at = at;
            state.read = started;
            state.new_until = Instant::now() + (took * COST_FACTOR).clamp(NEW_AT_LEAST, new_at_most);
            state.away = false;
        }
        Err(error) => {
            if !state.away {
                tracing::warn!(error = &error as &dyn std::error::Error, "The pages could not ask the store");
            }
            state.new_until = Instant::now() + NEW_AT_LEAST;
            state.away = true;
        }
    }
    drop(state);
    drop(done);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use staticreg_domain::clock::MockClock;
    use tokio::time::{advance, sleep};

    use super::*;

    fn answers(capacity: usize) -> AnswerCache<u32, u32> {
        let mut clock = MockClock::new();
        clock.expect_now().returning(DateTime::default);
        AnswerCache::new(capacity, Duration::from_mins(1), Arc::new(clock))
    }

    async fn after(delay: Duration, answer: Result<u32, MetricsError>) -> Result<u32, MetricsError> {
        sleep(delay).await;
        answer
    }

    fn away() -> Result<u32, MetricsError> {
        Err(MetricsError::Unavailable("away".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_answer_is_waited_for_and_renewed_within_a_second() {
        let answers = answers(1);
        let quick = Duration::from_millis(5);
        assert_eq!(answers.show(0, |_| after(quick, Ok(1))).await.value.as_deref(), Some(&1));
        assert_eq!(answers.show(0, |_| after(quick, Ok(2))).await.value.as_deref(), Some(&1));
        advance(Duration::from_secs(1)).await;
        assert_eq!(answers.show(0, |_| after(quick, Ok(3))).await.value.as_deref(), Some(&3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_keeps_nobody_waiting_who_has_an_old_one() {
        let answers = answers(1);
        answers.show(0, |_| after(Duration::ZERO, Ok(1))).await;
        advance(Duration::from_secs(1)).await;
        let asked = Instant::now();
        assert_eq!(answers.show(0, |_| after(Duration::from_secs(9), Ok(2))).await.value.as_deref(), Some(&1));
        assert!(asked.elapsed() <= PATIENCE + Duration::from_millis(1), "{:?}", asked.elapsed());
        sleep(Duration::from_secs(9)).await;
        assert_eq!(answers.show(0, |_| after(Duration::ZERO, Ok(3))).await.value.as_deref(), Some(&2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_asked_once_however_many_look() {
        let answers = Arc::new(answers(1));
        let asked = Arc::new(AtomicU32::new(0));
        let lookers: Vec<_> = (0..8)
            .map(|_| {
                let (answers, asked) = (answers.clone(), asked.clone());
                tokio::spawn(async move {
                    let ask = move |_| {
                        asked.fetch_add(1, Ordering::Relaxed);
                        after(Duration::from_millis(20), Ok(1))
                    };
                    answers.show(0, ask).await.value
                })
            })
            .collect();
        for looker in lookers {
            assert_eq!(looker.await.unwrap().as_deref(), Some(&1));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_answer_stays_while_the_store_is_away() {
        let answers = answers(1);
        answers.show(0, |_| after(Duration::ZERO, Ok(1))).await;
        advance(Duration::from_secs(1)).await;
        let shown = answers.show(0, |_| after(Duration::ZERO, away())).await;
        assert_eq!((shown.value.as_deref(), shown.away), (Some(&1), true));
        advance(Duration::from_secs(1)).await;
        let shown = answers.show(0, |before| after(Duration::ZERO, Ok(*before.unwrap() + 1))).await;
        assert_eq!((shown.value.as_deref(), shown.away), (Some(&2), false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_panicked_is_asked_again() {
        let answers = answers(1);
        answers.show(0, |_| async { panic!("as the test wants") }).await;
        assert_eq!(answers.show(0, |_| after(Duration::ZERO, Ok(1))).await.value.as_deref(), Some(&1));
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_are_remembered_as_there_is_room_for() {
        let answers = answers(2);
        for key in 0..20 {
            answers.show(key, move |_| after(Duration::ZERO, Ok(key))).await;
            assert!(answers.slots.len() <= 2);
            assert_eq!(answers.show(key, |_| after(Duration::ZERO, Ok(99))).await.value.as_deref(), Some(&key));
        }
    }
}
