//! Group commit: what is waiting, of all requests, is recorded in one batch.
//!
//! Requests hand their events over and wait for the answer, which comes when, and only when, the events are stored.
//! One writer takes all that is waiting; while it records, the next batch gathers. When idle, an event is recorded at
//! once.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use staticreg_domain::{
    Clock,
    error::describe,
    metrics::{CountedEvent, MetricsError, MetricsRepository, Recording},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep, timeout},
};

use crate::spooling::Spooling;

/// How long after a failure the store is taken to be failing still when nobody gave it anything since: a registry tries
/// again far sooner.
const FAILING: Duration = Duration::from_mins(1);

/// The pause before the store is tried again: at first, and at most.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// The most events of a small submission. A registry's has one.
const SMALL: usize = 16;

/// The part of the buffer that is kept for small submissions, whatever comes in large ones.
const KEPT_PART: usize = 4;

/// How the recorder gathers and waits.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// The most events recorded in one call of the store.
    pub batch_size: usize,
    /// The most events that may wait.
    pub buffer_size: usize,
    /// How long to wait for more events before a batch is recorded; zero records at once.
    pub flush_interval: Duration,
    /// How long a request waits for its events to be stored.
    pub patience: Duration,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Its changes are stored.
    Counted,
    /// It was recorded before and changed nothing.
    Duplicate,
    /// It waits in the spool, durably.
    Spooled,
    /// The store refuses this very event, now and for ever.
    Refused,
}

/// Why events could not be recorded. Some of them may be stored all the same; to give them again is always right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// As many events as may wait are waiting.
    #[error("too many events are waiting to be stored")]
    Busy,
    /// The store did not take them in time.
    #[error("the store is unavailable")]
    Unavailable,
}

/// Takes events to be recorded. Clones share one writer, which ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Recorder {
    submissions: mpsc::UnboundedSender<Submission>,
    room: Room,
    patience: Duration,
    trouble: Trouble,
}

#[derive(Debug)]
struct Submission {
    /// What is still to be recorded.
    events: Vec<CountedEvent>,
    /// What became of the events before those.
    recorded: Vec<Recorded>,
    answer: oneshot::Sender<Vec<Recorded>>,
    /// Frees its room in the buffer when the submission is answered or given up.
    _room: Taken,
}

impl Recorder {
    /// A recorder and its writer, to be run until it ends.
    #[must_use]
    pub fn new(
        store: Arc<dyn MetricsRepository>,
        spooling: Option<Arc<Spooling>>,
        clock: Arc<dyn Clock>,
        options: RecorderOptions,
    ) -> (Self, Writer) {
        let (submissions, inbox) = mpsc::unbounded_channel();
        let trouble = Trouble::default();
        let recorder = Self {
            submissions,
            room: Room::new(options.buffer_size),
            patience: options.patience,
            trouble: trouble.clone(),
        };
        let batches = Batches { store, clock, trouble };
        let size = BatchSize::at_most(options.batch_size);
        (recorder, Writer { inbox, waiting: VecDeque::new(), batches, size, spooling, options })
    }

    /// Records events; answers when they are stored, with what became of each.
    pub async fn record(&self, events: Vec<CountedEvent>) -> Result<Vec<Recorded>, RecordError> {
        let room = self.room.take(events.len())?;
        let (answer, answered) = oneshot::channel();
        let submission = Submission { events, recorded: Vec::new(), answer, _room: room };
        self.submissions.send(submission).map_err(|_| RecordError::Unavailable)?;
        match timeout(self.patience, answered).await {
            Ok(Ok(recorded)) => Ok(recorded),
            Ok(Err(_)) | Err(_) => Err(RecordError::Unavailable),
        }
    }

    /// Whether the store took everything it was given for so long.
    #[must_use]
    pub fn is_untroubled_for(&self, span: Duration) -> bool {
        self.trouble.is_over_for(span)
    }

    /// What trouble there is with the store.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }
}

/// The room in the buffer, in events.
#[derive(Clone, Debug)]
struct Room {
    all: Part,
    /// What large submissions may take of it.
    large: Part,
}

#[derive(Clone, Debug)]
struct Part {
    free: Arc<Semaphore>,
    size: usize,
}

/// Room that a submission has taken; a large one counts in both parts.
#[derive(Debug)]
struct Taken {
    _all: OwnedSemaphorePermit,
    _large: Option<OwnedSemaphorePermit>,
}

impl Room {
    fn new(size: usize) -> Self {
        Self { all: Part::new(size), large: Part::new(size - size / KEPT_PART) }
    }

    fn take(&self, events: usize) -> Result<Taken, RecordError> {
        if events <= SMALL {
            return Ok(Taken { _all: self.all.take(events)?, _large: None });
        }
        // More events than find room are let in when no other large submission waits, else they could never be recorded.
        let events = events.min(self.large.size);
        let large = self.large.take(events)?;
        Ok(Taken { _all: self.all.take(events)?, _large: Some(large) })
    }
}

impl Part {
    fn new(size: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(size)), size }
    }

    fn take(&self, events: usize) -> Result<OwnedSemaphorePermit, RecordError> {
        let events = u32::try_from(events.min(self.size)).map_err(|_| RecordError::Busy)?;
        Arc::clone(&self.free).try_acquire_many_owned(events).map_err(|_| RecordError::Busy)
    }
}

/// Whether the store takes what it is given, and when it last did not.
#[derive(Clone, Debug)]
pub struct Trouble(Arc<Mutex<Last>>);

#[derive(Debug)]
struct Last {
    failure: Instant,
    /// Whether nothing was taken since.
    failing: bool,
}

impl Default for Trouble {
    /// A start counts as trouble that is over: what was before is not known.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Last { failure: Instant::now(), failing: false })))
    }
}

impl Trouble {
    /// Whether the store did not take the last batch, whatever it says of itself.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let last = self.last();
        last.failing && last.failure.elapsed() < FAILING
    }

    fn failed(&self) {
        *self.last() = Last { failure: Instant::now(), failing: true };
    }

    fn succeeded(&self) {
        self.last().failing = false;
    }

    fn is_over_for(&self, span: Duration) -> bool {
        self.last().failure.elapsed() >= span
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gathers and records batches.
pub struct Writer {
    inbox: mpsc::UnboundedReceiver<Submission>,
    waiting: VecDeque<Submission>,
    batches: Batches,
    size: BatchSize,
    spooling: Option<Arc<Spooling>>,
    options: RecorderOptions,
}

/// How many events are recorded at once: fewer after a failure, as a store that is slow may take a few in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSize {
    now: usize,
    most: usize,
}

impl BatchSize {
    pub(crate) fn at_most(most: usize) -> Self {
        Self { now: most, most }
    }

    pub(crate) fn now(self) -> usize {
        self.now
    }

    pub(crate) fn grow(&mut self) {
        self.now = (self.now * 2).min(self.most);
    }

    pub(crate) fn shrink(&mut self) {
        self.now = (self.now / 2).max(1);
    }
}

impl Writer {
    /// Records until every [`Recorder`] is gone and all that was waiting is answered or given up.
    pub async fn run(mut self) {
        let mut pause = RETRY_PAUSE.0;
        while self.gather().await {
            let batch = self.next_batch();
            if batch.is_empty() {
                continue;
            }
            let mut recorded = Vec::with_capacity(batch.events.len());
            if self.store(&batch, &mut recorded).await.is_ok() {
                pause = RETRY_PAUSE.0;
                self.size.grow();
                answer(batch, recorded);
            } else {
                self.size.shrink();
                self.put_back(batch, recorded);
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_PAUSE.1);
            }
        }
    }

    /// Waits until something is waiting; false when nothing will come any more.
    async fn gather(&mut self) -> bool {
        if self.waiting.is_empty() {
            match self.inbox.recv().await {
                Some(first) => self.waiting.push_back(first),
                None => return false,
            }
            if !self.options.flush_interval.is_zero() {
                sleep(self.options.flush_interval).await;
            }
        }
        while let Ok(next) = self.inbox.try_recv() {
            self.waiting.push_back(next);
        }
        true
    }

    /// Takes as many submissions as a batch may hold, at least one, leaving out those whose requests have gone.
    fn next_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        while let Some(mut submission) = self.waiting.pop_front() {
            if submission.answer.is_closed() {
                continue;
            }
            if !batch.events.is_empty() && batch.events.len() + submission.events.len() > self.size.now() {
                self.waiting.push_front(submission);
                break;
            }
            let events = std::mem::take(&mut submission.events);
            batch.submissions.push((submission, events.len()));
            batch.events.extend(events);
        }
        batch
    }

    /// Stores a batch and adds what became of each event, also when it does not come to the end.
    async fn store(&self, batch: &Batch, recorded: &mut Vec<Recorded>) -> Result<(), Unstored> {
        for chunk in batch.events.chunks(self.size.now()) {
            self.store_or_spool(chunk, recorded).await?;
        }
        Ok(())
    }

    async fn store_or_spool(&self, events: &[CountedEvent], recorded: &mut Vec<Recorded>) -> Result<(), Unstored> {
        let Some(spooling) = &self.spooling else {
            return self.batches.record(events, recorded).await;
        };
        let store_first = !spooling.is_active();
        let before = recorded.len();
        if store_first && self.batches.record(events, recorded).await.is_ok() {
            return Ok(());
        }
        let rest = &events[recorded.len() - before..];
        match spooling.spool(rest).await {
            Ok(()) => {
                recorded.resize(before + events.len(), Recorded::Spooled);
                Ok(())
            }
            Err(_) if store_first => Err(Unstored),
            // A spool that takes nothing must not keep events from a store that may be back.
            Err(_) => self.batches.record(rest, recorded).await,
        }
    }

    /// What was recorded is not given to the store again: it would call it a duplicate.
    fn put_back(&mut self, batch: Batch, recorded: Vec<Recorded>) {
        let Batch { submissions, events } = batch;
        let mut rest = events.into_iter().skip(recorded.len());
        let mut recorded = recorded.into_iter();
        let mut restored = VecDeque::with_capacity(submissions.len() + self.waiting.len());
        for (mut submission, count) in submissions {
            let before = submission.recorded.len();
            submission.recorded.extend(recorded.by_ref().take(count));
            let done = submission.recorded.len() - before;
            submission.events = rest.by_ref().take(count - done).collect();
            if done == count {
                submission.answer();
            } else {
                restored.push_back(submission);
            }
        }
        restored.append(&mut self.waiting);
        self.waiting = restored;
    }
}

/// Submissions that are recorded together: how many of the events are whose.
#[derive(Default)]
struct Batch {
    submissions: Vec<(Submission, usize)>,
    events: Vec<CountedEvent>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.submissions.is_empty()
    }
}

fn answer(batch: Batch, recorded: Vec<Recorded>) {
    let mut recorded = recorded.into_iter();
    for (mut submission, count) in batch.submissions {
        submission.recorded.extend(recorded.by_ref().take(count));
        submission.answer();
    }
}

impl Submission {
    fn answer(self) {
        // The request may have gone in the meantime; its events are stored all the same.
        let _ = self.answer.send(self.recorded);
    }
}

/// The store did not take the events; it may take them later.
#[derive(Debug)]
pub(crate) struct Unstored;

/// Records batches, leaving out the events the store refuses.
pub(crate) struct Batches {
    pub(crate) store: Arc<dyn MetricsRepository>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) trouble: Trouble,
}

impl Batches {
    /// Records a batch; when the store refuses it for its data, its halves, until the culprits are found. Of an event
    /// that takes back what is not there (counts were removed by hand, or the store is an older state) the rest counts.
    /// Adds what became of each event, also when it does not come to the end.
    pub(crate) async fn record(&self, events: &[CountedEvent], recorded: &mut Vec<Recorded>) -> Result<(), Unstored> {
        let mut parts = vec![Cow::Borrowed(events)];
        while let Some(part) = parts.pop() {
            match self.store.record(&part, self.clock.now()).await {
                Ok(recordings) => {
                    self.trouble.succeeded();
                    recorded.extend(recordings.into_iter().map(Recorded::from));
                }
                Err(MetricsError::Refused(reason)) => {
                    if let Cow::Borrowed(several @ [_, _, ..]) = part {
                        let (first, second) = several.split_at(several.len() / 2);
                        parts.extend([Cow::Borrowed(second), Cow::Borrowed(first)]);
                    } else if let Some(rest) = part.first().and_then(CountedEvent::without_taking) {
                        tracing::warn!(event = %rest.id, reason, "What an event takes back may be gone; the rest counts");
                        parts.push(Cow::Owned(vec![rest]));
                    } else if let Some(event) = part.first() {
                        tracing::error!(event = %event.id, reason, "The store refuses an event; it is skipped");
                        recorded.push(Recorded::Refused);
                    }
                }
                Err(error @ (MetricsError::Unavailable(_) | MetricsError::Corrupt(_))) => {
                    self.trouble.failed();
                    tracing::warn!(events = part.len(), error = describe(&error), "The store does not take events");
                    return Err(Unstored);
                }
            }
        }
        Ok(())
    }
}

impl From<Recording> for Recorded {
    fn from(recording: Recording) -> Self {
        match recording {
            Recording::Counted => Self::Counted,
            Recording::Duplicate => Self::Duplicate,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use staticreg_domain::{
        EventId,
        clock::MockClock,
        metrics::{AccessKind, BoxError, Change, CountKey, MockMetricsRepository},
    };
    use uuid::Uuid;

    use super::*;

    /// What the store was given, call by call.
    type Calls = Arc<Mutex<Vec<Vec<EventId>>>>;

    fn event(number: u128) -> CountedEvent {
        CountedEvent { id: Uuid::from_u128(number).into(), at: DateTime::UNIX_EPOCH, changes: Vec::new() }
    }

    fn events(numbers: std::ops::Range<u128>) -> Vec<CountedEvent> {
        numbers.map(event).collect()
    }

    fn options() -> RecorderOptions {
        RecorderOptions {
            batch_size: 4,
            buffer_size: 8,
            flush_interval: Duration::ZERO,
            patience: Duration::from_secs(3),
        }
    }

    fn away() -> MetricsError {
        MetricsError::Unavailable("away".into())
    }

    fn clock() -> Arc<dyn Clock> {
        let mut clock = MockClock::new();
        clock.expect_now().return_const(DateTime::UNIX_EPOCH);
        Arc::new(clock)
    }

    /// A recorder on a store that answers each call with `answer`, and the calls.
    fn recorder(
        options: RecorderOptions,
        answer: impl Fn(usize, &[CountedEvent]) -> Result<(), MetricsError> + Send + Sync + 'static,
    ) -> (Recorder, Writer, Calls) {
        let calls = Calls::default();
        let seen = Arc::clone(&calls);
        let mut store = MockMetricsRepository::new();
        store.expect_record().returning(move |batch, _now| {
            let mut seen = seen.lock().unwrap();
            seen.push(batch.iter().map(|event| event.id).collect());
            answer(seen.len(), batch).map(|()| vec![Recording::Counted; batch.len()])
        });
        let (recorder, writer) = Recorder::new(Arc::new(store), None, clock(), options);
        (recorder, writer, calls)
    }

    fn sizes(calls: &Calls) -> Vec<usize> {
        calls.lock().unwrap().iter().map(Vec::len).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_recorded_together_and_each_request_gets_its_own_answer() {
        let (recorder, writer, calls) = recorder(options(), |_, _| Ok(()));
        let requests = (0..3).map(|n| recorder.record(events(n * 2..n * 2 + 2)));
        let requests = futures_util::future::join_all(requests);
        let (answers, ()) = tokio::join!(requests, async {
            // The writer starts when all three wait.
            tokio::task::yield_now().await;
            tokio::spawn(writer.run());
        });
        for answer in answers {
            assert_eq!(answer, Ok(vec![Recorded::Counted; 2]));
        }
        assert_eq!(sizes(&calls), [4, 2], "at most batch_size events at once");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_recorded_at_once_when_nothing_waits() {
        let (recorder, writer, _) = recorder(options(), |_, _| Ok(()));
        tokio::spawn(writer.run());
        let start = Instant::now();
        recorder.record(events(0..1)).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_interval_lets_events_gather() {
        let options = RecorderOptions { flush_interval: Duration::from_millis(20), ..options() };
        let (recorder, writer, calls) = recorder(options, |_, _| Ok(()));
        tokio::spawn(writer.run());
        let later = async {
            sleep(Duration::from_millis(10)).await;
            recorder.record(events(1..2)).await
        };
        let (first, second) = tokio::join!(recorder.record(events(0..1)), later);
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(sizes(&calls), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_is_tried_again_within_the_patience() {
        let (recorder, writer, calls) = recorder(options(), |call, _| if call < 4 { Err(away()) } else { Ok(()) });
        tokio::spawn(writer.run());
        assert_eq!(recorder.record(events(0..1)).await, Ok(vec![Recorded::Counted]));
        assert_eq!(sizes(&calls), [1, 1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_too_slow_for_many_events_is_given_few() {
        let (recorder, writer, calls) =
            recorder(options(), |_, batch| if batch.len() > 1 { Err(away()) } else { Ok(()) });
        let requests = futures_util::future::join_all((0..4).map(|n| recorder.record(events(n..n + 1))));
        let (answers, ()) = tokio::join!(requests, async {
            tokio::task::yield_now().await;
            tokio::spawn(writer.run());
        });
        assert_eq!(answers, vec![Ok(vec![Recorded::Counted]); 4]);
        assert_eq!(sizes(&calls)[..3], [4, 2, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_what_nobody_waits_for_is_not_recorded() {
        let store_is_back = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let back = Arc::clone(&store_is_back);
        let (recorder, writer, calls) =
            recorder(
                options(),
                move |_, _| {
                    if back.load(std::sync::atomic::Ordering::Relaxed) { Ok(()) } else { Err(away()) }
                },
            );
        tokio::spawn(writer.run());
        let start = Instant::now();
        assert_eq!(recorder.record(events(0..1)).await, Err(RecordError::Unavailable));
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        store_is_back.store(true, std::sync::atomic::Ordering::Relaxed);
        calls.lock().unwrap().clear();
        recorder.record(events(1..2)).await.unwrap();
        assert_eq!(*calls.lock().unwrap(), [vec![event(1).id]]);
        assert!(!recorder.is_untroubled_for(Duration::from_secs(5)));
        sleep(Duration::from_secs(10)).await;
        assert!(recorder.is_untroubled_for(Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn more_events_than_may_wait_are_turned_away_at_once() {
        let (recorder, writer, _) = recorder(options(), |_, _| Ok(()));
        let waiting = tokio::spawn({
            let recorder = recorder.clone();
            async move { recorder.record(events(0..8)).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(recorder.record(events(8..9)).await, Err(RecordError::Busy));
        tokio::spawn(writer.run());
        assert!(waiting.await.unwrap().is_ok());
        assert!(recorder.record(events(8..9)).await.is_ok(), "there is room again");
    }

    #[tokio::test(start_paused = true)]
    async fn large_notifications_leave_room_for_small_ones() {
        const LARGE: u128 = 30;
        let options = RecorderOptions { buffer_size: 100, batch_size: 100, ..options() };
        let (recorder, writer, _) = recorder(options, |_, _| Ok(()));
        let waiting = |numbers: std::ops::Range<u128>| {
            let recorder = recorder.clone();
            tokio::spawn(async move { recorder.record(events(numbers)).await })
        };
        let large: Vec<_> = (0..6).map(|n| waiting(n * LARGE..(n + 1) * LARGE)).collect();
        tokio::task::yield_now().await;
        let small: Vec<_> = (0..40).map(|n| waiting(1_000 + n..1_001 + n)).collect();
        tokio::task::yield_now().await;
        tokio::spawn(writer.run());
        let mut let_in = 0;
        for large in large {
            let_in += usize::from(large.await.unwrap() != Err(RecordError::Busy));
        }
        assert_eq!(let_in, 2, "three quarters are for them");
        for small in small {
            assert_eq!(small.await.unwrap(), Ok(vec![Recorded::Counted]));
        }
        assert_eq!(recorder.record(events(0..500)).await, Ok(vec![Recorded::Counted; 500]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_notification_larger_than_the_buffer_is_recorded_in_parts() {
        let (recorder, writer, calls) = recorder(options(), |_, _| Ok(()));
        tokio::spawn(writer.run());
        assert_eq!(recorder.record(events(0..10)).await, Ok(vec![Recorded::Counted; 10]));
        assert_eq!(sizes(&calls), [4, 4, 2]);
    }

    /// A store that fails at the calls for which `fails` says so, and tells duplicates as a real one does.
    fn remembering(
        options: RecorderOptions,
        fails: impl Fn(usize, &[CountedEvent]) -> Option<MetricsError> + Send + Sync + 'static,
    ) -> (Recorder, Writer) {
        let (mut calls, mut ids) = (0, std::collections::HashSet::new());
        let mut store = MockMetricsRepository::new();
        store.expect_record().returning(move |batch, _now| {
            calls += 1;
            if let Some(error) = fails(calls, batch) {
                return Err(error);
            }
            let recording = |new| if new { Recording::Counted } else { Recording::Duplicate };
            Ok(batch.iter().map(|event| recording(ids.insert(event.id))).collect())
        });
        Recorder::new(Arc::new(store), None, clock(), options)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_stored_before_a_failure_is_no_duplicate_after_it() {
        for failing in 1..=3 {
            let (recorder, writer) = remembering(options(), move |call, _| (call == failing).then(away));
            tokio::spawn(writer.run());
            assert_eq!(recorder.record(events(0..10)).await, Ok(vec![Recorded::Counted; 10]), "call {failing}");
            let mut expected = vec![Recorded::Duplicate; 10];
            expected.push(Recorded::Counted);
            assert_eq!(recorder.record(events(0..11)).await, Ok(expected), "it does tell duplicates");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_stored_before_a_failure_among_refused_events_is_no_duplicate_after_it() {
        let options = RecorderOptions { batch_size: 8, ..options() };
        let (recorder, writer) = remembering(options, |call, batch| {
            let refused = batch.iter().any(|event| event.id == self::event(7).id);
            match call {
                _ if refused => Some(MetricsError::Refused(BoxError::from("bad"))),
                4 => Some(away()),
                _ => None,
            }
        });
        let first = recorder.record(events(0..2));
        let second = recorder.record(events(2..8));
        let ((first, second), ()) = tokio::join!(async { tokio::join!(first, second) }, async {
            tokio::task::yield_now().await;
            tokio::spawn(writer.run());
        });
        assert_eq!(first, Ok(vec![Recorded::Counted; 2]));
        let mut expected = vec![Recorded::Counted; 6];
        expected[5] = Recorded::Refused;
        assert_eq!(second, Ok(expected));
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_is_failing_from_a_failed_batch_to_the_next_that_it_takes() {
        let is_there = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let there = Arc::clone(&is_there);
        let (recorder, writer, _) =
            recorder(
                options(),
                move |_, _| {
                    if there.load(std::sync::atomic::Ordering::Relaxed) { Ok(()) } else { Err(away()) }
                },
            );
        tokio::spawn(writer.run());
        let trouble = recorder.trouble();
        assert!(!trouble.is_failing(), "at the start");
        recorder.record(events(0..1)).await.unwrap();
        assert!(!trouble.is_failing());
        is_there.store(false, std::sync::atomic::Ordering::Relaxed);
        recorder.record(events(1..2)).await.unwrap_err();
        assert!(trouble.is_failing());
        sleep(Duration::from_secs(30)).await;
        assert!(trouble.is_failing(), "nothing was taken since");
        is_there.store(true, std::sync::atomic::Ordering::Relaxed);
        recorder.record(events(1..2)).await.unwrap();
        assert!(!trouble.is_failing());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_event_the_store_refuses_is_left_out() {
        let options = RecorderOptions { batch_size: 8, ..options() };
        let (recorder, writer, _) = recorder(options, |_, batch| {
            let refused = batch.iter().any(|event| event.id == self::event(2).id);
            if refused { Err(MetricsError::Refused(BoxError::from("bad"))) } else { Ok(()) }
        });
        tokio::spawn(writer.run());
        let mut expected = vec![Recorded::Counted; 7];
        expected[2] = Recorded::Refused;
        assert_eq!(recorder.record(events(0..7)).await, Ok(expected));
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_event_that_takes_back_what_is_not_there_the_rest_counts() {
        let (recorder, writer, calls) = recorder(options(), |_, batch| {
            let takes = batch.iter().flat_map(|event| &event.changes).any(|change| change.delta < 0);
            if takes { Err(MetricsError::Refused(BoxError::from("not there"))) } else { Ok(()) }
        });
        tokio::spawn(writer.run());
        let key = CountKey {
            kind: AccessKind::VersionCheck,
            date: DateTime::UNIX_EPOCH.date_naive(),
            repository: "app".parse().unwrap(),
            tag: "v1".parse().ok(),
            digest: format!("sha256:{:064x}", 1).parse().unwrap(),
            architecture: "amd64".parse().unwrap(),
        };
        let takes = CountedEvent { changes: vec![Change { key: Arc::new(key), delta: -1 }], ..event(1) };
        assert_eq!(recorder.record(vec![event(0), takes]).await, Ok(vec![Recorded::Counted; 2]));
        assert_eq!(sizes(&calls), [2, 1, 1, 1]);
    }
}
