//! The recorder and its writer on stores that answer in every way.

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use parking_lot::Mutex;
use staticreg_domain::{
    Clock, EventId,
    clock::MockClock,
    metrics::{AccessKind, BoxError, Change, CountKey, MetricsError, MockMetricsRepository, PullEvent, Recording},
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::*;

/// What the store was given, call by call.
type Calls = Arc<Mutex<Vec<Vec<EventId>>>>;

fn event(number: u128) -> PullEvent {
    PullEvent { id: Uuid::from_u128(number).into(), at: DateTime::UNIX_EPOCH, changes: Vec::new() }
}

fn events(numbers: std::ops::Range<u128>) -> Vec<PullEvent> {
    numbers.map(event).collect()
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
    let (recorder, writer) = Recorder::new(Arc::new(store), None, clock(), options);
    (recorder, writer, calls)
}

fn sizes(calls: &Calls) -> Vec<usize> {
    calls.lock().iter().map(Vec::len).collect()
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
    let (recorder, writer, calls) = recorder(options(), |_, batch| if batch.len() > 1 { Err(away()) } else { Ok(()) });
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
    calls.lock().clear();
    recorder.record(events(1..2)).await.unwrap();
    assert_eq!(*calls.lock(), [vec![event(1).id]]);
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
        let refused = batch.iter().any(|event| event.id == super::tests::event(7).id);
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
    sleep(Duration::from_hours(24)).await;
    assert!(trouble.is_failing(), "nothing was taken since");
    is_there.store(true, std::sync::atomic::Ordering::Relaxed);
    recorder.record(events(1..2)).await.unwrap();
    assert!(!trouble.is_failing());
}

#[tokio::test(start_paused = true)]
async fn only_the_event_the_store_refuses_is_left_out() {
    let options = RecorderOptions { batch_size: 8, ..options() };
    let (recorder, writer, _) = recorder(options, |_, batch| {
        let refused = batch.iter().any(|event| event.id == super::tests::event(2).id);
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
    let takes = PullEvent { changes: vec![Change { key: Arc::new(key), delta: -1 }], ..event(1) };
    assert_eq!(recorder.record(vec![event(0), takes]).await, Ok(vec![Recorded::Counted; 2]));
    assert_eq!(sizes(&calls), [2, 1, 1, 1]);
}
