//! The recorder and its writer on stores that answer in every way.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use staticreg_domain::{
    Clock, EventId, ManifestAccess,
    clock::MockClock,
    counting::{Counting, Tagged},
    metrics::{AccessKind, BoxError, Change, CountKey, MetricsError, MockMetricsRepository, PullEvent, Recording},
    rules::{Scope, SkipReason},
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::*;

/// What the store was given, call by call.
type Calls = Arc<Mutex<Vec<Vec<EventId>>>>;

fn access(number: u128) -> ManifestAccess {
    testing::access(Uuid::from_u128(number).into())
}

fn accesses(numbers: std::ops::Range<u128>) -> Vec<ManifestAccess> {
    numbers.map(access).collect()
}

/// What becomes of accesses that count.
fn counted(numbers: std::ops::Range<u128>) -> Vec<Recorded> {
    numbers.map(|number| Recorded::Counted(PullEvent::by_tag(&access(number)).unwrap())).collect()
}

fn options() -> RecorderOptions {
    RecorderOptions { batch_size: 4, buffer_size: 8, flush_interval: Duration::ZERO, patience: Duration::from_secs(3) }
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
    answer: impl Fn(usize, &[PullEvent]) -> Result<(), MetricsError> + Send + Sync + 'static,
) -> (Recorder, Writer, Calls) {
    let calls = Calls::default();
    let seen = Arc::clone(&calls);
    let mut store = MockMetricsRepository::new();
    store.expect_record().returning(move |batch, _now| {
        let mut seen = seen.lock();
        seen.push(batch.iter().map(|event| event.id).collect());
        answer(seen.len(), batch).map(|()| vec![Recording::Counted; batch.len()])
    });
    let (recorder, writer) = Recorder::new(Arc::new(store), Box::new(Tagged), None, None, clock(), options);
    (recorder, writer, calls)
}

fn sizes(calls: &Calls) -> Vec<usize> {
    calls.lock().iter().map(Vec::len).collect()
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_recorded_together_and_each_request_gets_its_own_answer() {
    let (recorder, writer, calls) = recorder(options(), |_, _| Ok(()));
    let requests = (0..3).map(|n| recorder.record(accesses(n * 2..n * 2 + 2)));
    let requests = futures_util::future::join_all(requests);
    let (answers, ()) = tokio::join!(requests, async {
        // The writer starts when all three wait.
        tokio::task::yield_now().await;
        tokio::spawn(writer.run());
    });
    for (n, answer) in (0..).zip(answers) {
        assert_eq!(answer, Ok(counted(n * 2..n * 2 + 2)));
    }
    assert_eq!(sizes(&calls), [4, 2], "at most batch_size events at once");
}

#[tokio::test(start_paused = true)]
async fn an_event_is_recorded_at_once_when_nothing_waits() {
    let (recorder, writer, _) = recorder(options(), |_, _| Ok(()));
    tokio::spawn(writer.run());
    let start = Instant::now();
    recorder.record(accesses(0..1)).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_flush_interval_lets_events_gather() {
    let options = RecorderOptions { flush_interval: Duration::from_millis(20), ..options() };
    let (recorder, writer, calls) = recorder(options, |_, _| Ok(()));
    tokio::spawn(writer.run());
    let later = async {
        sleep(Duration::from_millis(10)).await;
        recorder.record(accesses(1..2)).await
    };
    let (first, second) = tokio::join!(recorder.record(accesses(0..1)), later);
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(sizes(&calls), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_tried_again_within_the_patience() {
    let (recorder, writer, calls) = recorder(options(), |call, _| if call < 4 { Err(away()) } else { Ok(()) });
    tokio::spawn(writer.run());
    assert_eq!(recorder.record(accesses(0..1)).await, Ok(counted(0..1)));
    assert_eq!(sizes(&calls), [1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_store_too_slow_for_many_events_is_given_few() {
    let (recorder, writer, calls) = recorder(options(), |_, batch| if batch.len() > 1 { Err(away()) } else { Ok(()) });
    let requests = futures_util::future::join_all((0..4).map(|n| recorder.record(accesses(n..n + 1))));
    let (answers, ()) = tokio::join!(requests, async {
        tokio::task::yield_now().await;
        tokio::spawn(writer.run());
    });
    assert_eq!(answers, (0..4).map(|n| Ok(counted(n..n + 1))).collect::<Vec<_>>());
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
    assert_eq!(recorder.record(accesses(0..1)).await, Err(RecordError::Unavailable));
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    store_is_back.store(true, std::sync::atomic::Ordering::Relaxed);
    calls.lock().clear();
    recorder.record(accesses(1..2)).await.unwrap();
    assert_eq!(*calls.lock(), [vec![access(1).id]]);
    assert!(!recorder.is_untroubled_for(Duration::from_secs(5)));
    sleep(Duration::from_secs(10)).await;
    assert!(recorder.is_untroubled_for(Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn more_events_than_may_wait_are_turned_away_at_once() {
    let (recorder, writer, _) = recorder(options(), |_, _| Ok(()));
    let waiting = tokio::spawn({
        let recorder = recorder.clone();
        async move { recorder.record(accesses(0..8)).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(recorder.record(accesses(8..9)).await, Err(RecordError::Busy));
    tokio::spawn(writer.run());
    assert!(waiting.await.unwrap().is_ok());
    assert!(recorder.record(accesses(8..9)).await.is_ok(), "there is room again");
}

#[tokio::test(start_paused = true)]
async fn large_notifications_leave_room_for_small_ones() {
    const LARGE: u128 = 30;
    let options = RecorderOptions { buffer_size: 100, batch_size: 100, ..options() };
    let (recorder, writer, _) = recorder(options, |_, _| Ok(()));
    let waiting = |numbers: std::ops::Range<u128>| {
        let recorder = recorder.clone();
        tokio::spawn(async move { recorder.record(accesses(numbers)).await })
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
    for (n, small) in (1_000..).zip(small) {
        assert_eq!(small.await.unwrap(), Ok(counted(n..n + 1)));
    }
    assert_eq!(recorder.record(accesses(0..500)).await, Ok(counted(0..500)));
}

#[tokio::test(start_paused = true)]
async fn a_notification_larger_than_the_buffer_is_recorded_in_parts() {
    let (recorder, writer, calls) = recorder(options(), |_, _| Ok(()));
    tokio::spawn(writer.run());
    assert_eq!(recorder.record(accesses(0..10)).await, Ok(counted(0..10)));
    assert_eq!(sizes(&calls), [4, 4, 2]);
}

/// A store that fails at the calls for which `fails` says so, and tells duplicates as a real one does.
fn remembering(
    options: RecorderOptions,
    fails: impl Fn(usize, &[PullEvent]) -> Option<MetricsError> + Send + Sync + 'static,
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
    Recorder::new(Arc::new(store), Box::new(Tagged), None, None, clock(), options)
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_before_a_failure_is_no_duplicate_after_it() {
    for failing in 1..=3 {
        let (recorder, writer) = remembering(options(), move |call, _| (call == failing).then(away));
        tokio::spawn(writer.run());
        assert_eq!(recorder.record(accesses(0..10)).await, Ok(counted(0..10)), "call {failing}");
        let mut expected = vec![Recorded::Duplicate; 10];
        expected.extend(counted(10..11));
        assert_eq!(recorder.record(accesses(0..11)).await, Ok(expected), "it does tell duplicates");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_before_a_failure_among_refused_events_is_no_duplicate_after_it() {
    let options = RecorderOptions { batch_size: 8, ..options() };
    let (recorder, writer) = remembering(options, |call, batch| {
        let refused = batch.iter().any(|event| event.id == access(7).id);
        match call {
            _ if refused => Some(MetricsError::Refused(BoxError::from("bad"))),
            4 => Some(away()),
            _ => None,
        }
    });
    let first = recorder.record(accesses(0..2));
    let second = recorder.record(accesses(2..8));
    let ((first, second), ()) = tokio::join!(async { tokio::join!(first, second) }, async {
        tokio::task::yield_now().await;
        tokio::spawn(writer.run());
    });
    assert_eq!(first, Ok(counted(0..2)));
    let mut expected = counted(2..8);
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
    recorder.record(accesses(0..1)).await.unwrap();
    assert!(!trouble.is_failing());
    is_there.store(false, std::sync::atomic::Ordering::Relaxed);
    recorder.record(accesses(1..2)).await.unwrap_err();
    assert!(trouble.is_failing());
    sleep(Duration::from_hours(24)).await;
    assert!(trouble.is_failing(), "nothing was taken since");
    is_there.store(true, std::sync::atomic::Ordering::Relaxed);
    recorder.record(accesses(1..2)).await.unwrap();
    assert!(!trouble.is_failing());
}

#[tokio::test(start_paused = true)]
async fn only_the_event_the_store_refuses_is_left_out() {
    let options = RecorderOptions { batch_size: 8, ..options() };
    let (recorder, writer, _) = recorder(options, |_, batch| {
        let refused = batch.iter().any(|event| event.id == access(2).id);
        if refused { Err(MetricsError::Refused(BoxError::from("bad"))) } else { Ok(()) }
    });
    tokio::spawn(writer.run());
    let mut expected = counted(0..7);
    expected[2] = Recorded::Refused;
    assert_eq!(recorder.record(accesses(0..7)).await, Ok(expected));
}

/// Counts nothing but that an access takes a look-up from another.
struct Taking;

impl Counting for Taking {
    fn scope(&self) -> Scope {
        Scope::AllAccesses
    }

    fn count(&mut self, access: &ManifestAccess, _now: DateTime<Utc>) -> Result<PullEvent, SkipReason> {
        let pull = PullEvent::by_tag(access).ok_or(SkipReason::NoTag)?;
        let key = CountKey { kind: AccessKind::VersionCheck, ..(*pull.changes[0].key).clone() };
        Ok(PullEvent::new(access, vec![Change { key: Arc::new(key), delta: -1 }]))
    }
}

#[tokio::test(start_paused = true)]
async fn of_an_event_that_takes_back_what_is_not_there_the_rest_counts() {
    let calls = Calls::default();
    let seen = Arc::clone(&calls);
    let mut store = MockMetricsRepository::new();
    store.expect_record().returning(move |batch, _now| {
        seen.lock().push(batch.iter().map(|event| event.id).collect());
        let takes = batch.iter().flat_map(|event| &event.changes).any(|change| change.delta < 0);
        if takes {
            return Err(MetricsError::Refused(BoxError::from("not there")));
        }
        Ok(vec![Recording::Counted; batch.len()])
    });
    let (recorder, writer) = Recorder::new(Arc::new(store), Box::new(Taking), None, None, clock(), options());
    tokio::spawn(writer.run());
    let answer = recorder.record(accesses(0..2)).await.unwrap();
    assert!(answer.iter().all(|recorded| matches!(recorded, Recorded::Counted(_))), "{answer:?}");
    assert_eq!(sizes(&calls), [2, 1, 1, 1, 1]);
}

/// That received is the sum of the others.
fn balanced(recorder: &Recorder) -> Balance {
    let balance = recorder.balance();
    let Balance { received, counted, skipped, duplicate, refused, waiting } = balance;
    assert_eq!(received, counted + skipped + duplicate + refused + waiting, "{balance:?}");
    balance
}

#[tokio::test(start_paused = true)]
async fn the_balance_holds_at_every_moment_on_a_store_that_fails() {
    const REQUESTS: u64 = 60;
    let options = RecorderOptions { patience: Duration::from_millis(400), ..options() };
    let (recorder, writer) = remembering(options, |call, batch| {
        let refused = batch.iter().any(|event| event.id == access(7).id);
        match call % 5 {
            _ if refused => Some(MetricsError::Refused(BoxError::from("bad"))),
            0 => None,
            _ => Some(away()),
        }
    });
    tokio::spawn(writer.run());
    let requests: Vec<_> = (0..REQUESTS)
        .map(|number| {
            let recorder = recorder.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(number * 37 % 400)).await;
                let first = u128::from(number % 20);
                let recording = recorder.record(accesses(first..first + 3));
                if number % 4 == 0 {
                    // Its client goes away.
                    tokio::time::timeout(Duration::from_millis(60), recording).await.ok().and_then(Result::ok)
                } else {
                    recording.await.ok()
                }
            })
        })
        .collect();
    while !requests.iter().all(tokio::task::JoinHandle::is_finished) {
        balanced(&recorder);
        sleep(Duration::from_millis(1)).await;
    }
    let mut told = Vec::new();
    for request in requests {
        told.extend(request.await.expect("an end").unwrap_or_default());
    }
    sleep(Duration::from_secs(5)).await;
    let balance = balanced(&recorder);
    assert_eq!((balance.received, balance.waiting), (REQUESTS * 3, 0), "{balance:?}");
    let told = |is: fn(&Recorded) -> bool| told.iter().filter(|recorded| is(recorded)).count() as u64;
    assert!(balance.counted >= told(|recorded| matches!(recorded, Recorded::Counted(_))), "{balance:?}");
    assert!(balance.duplicate >= told(|recorded| matches!(recorded, Recorded::Duplicate)), "{balance:?}");
    assert!(balance.refused > told(|recorded| matches!(recorded, Recorded::Refused)), "some had no room: {balance:?}");
    assert!(balance.counted <= 22, "each counts once, as in the store: {balance:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_503_is_refused() {
    let (recorder, writer, _) = recorder(options(), |_, _| Err(away()));
    let full = recorder.record(accesses(0..8));
    let (full, over) = tokio::join!(full, async {
        tokio::task::yield_now().await;
        let over = recorder.record(accesses(8..9)).await;
        assert_eq!(balanced(&recorder), Balance { received: 9, refused: 1, waiting: 8, ..Balance::default() });
        tokio::spawn(writer.run());
        over
    });
    assert_eq!((full, over), (Err(RecordError::Unavailable), Err(RecordError::Busy)));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(balanced(&recorder), Balance { received: 9, refused: 9, ..Balance::default() });
}
