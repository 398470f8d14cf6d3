//! What recording must do.
#![expect(missing_docs, reason = "a rule's name says what must hold")]

use std::{collections::BTreeMap, sync::Arc};

use staticreg_domain::metrics::{
    AccessKind, DateRange, Filter, MetricsError, MetricsRepository, MetricsRow, PullEvent, Recording,
};

use crate::{
    Subject,
    events::{Access, date, expected, new_id, now, pull, pulls_of, record, rows_of, time},
    lists,
};

/// How often two batches meet.
const ROUNDS: usize = 40;

pub async fn an_event_counts_once_in_its_row(Subject { store, .. }: Subject) {
    let access = pull("library/nginx:1.27", "2026-11-20T23:59:59.123456789Z").on("arm64").of_digest(7);
    record(&*store, std::slice::from_ref(&access)).await;
    let row = MetricsRow {
        date: date("2026-11-20"),
        repository: "library/nginx".parse().expect("a name"),
        tag: "1.27".parse().ok(),
        digest: access.key.digest,
        architecture: access.key.architecture,
        kind: AccessKind::PullByTag,
        count: 1,
        created_at: time("2026-11-20T23:59:59.123456Z"),
        updated_at: time("2026-11-20T23:59:59.123456Z"),
    };
    assert_eq!(rows_of(&*store, AccessKind::PullByTag).await, [row]);
}

pub async fn an_event_given_again_changes_nothing(Subject { store, second, .. }: Subject) {
    let event = pull("app:v1", "2026-11-20T10:00:00Z").event();
    let batch = std::slice::from_ref(&event);
    assert_eq!(store.record(batch, now()).await.expect("records"), [Recording::Counted]);
    assert_eq!(store.record(batch, now()).await.expect("records"), [Recording::Duplicate]);
    assert_eq!(second.record(batch, now()).await.expect("records"), [Recording::Duplicate]);
    let other_content = pull("other:v2", "2026-11-19T10:00:00Z").event_with(event.id);
    assert_eq!(store.record(&[other_content], now()).await.expect("records"), [Recording::Duplicate]);
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-20 app:v1", 1)]));
}

pub async fn of_an_id_twice_in_a_batch_the_first_event_counts(Subject { store, .. }: Subject) {
    let first = pull("app:first", "2026-11-20T10:00:00Z").event();
    let second = pull("app:second", "2026-11-20T09:00:00Z").event_with(first.id);
    let other = pull("app:other", "2026-11-20T10:00:00Z").event();
    let batch = [first.clone(), second, other, first];
    let recorded = store.record(&batch, now()).await.expect("records");
    assert_eq!(recorded, [Recording::Counted, Recording::Duplicate, Recording::Counted, Recording::Duplicate]);
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-20 app:first", 1), ("2026-11-20 app:other", 1)]));
}

pub async fn the_new_events_of_a_batch_count_beside_known_ones(Subject { store, .. }: Subject) {
    let known: Vec<_> = (0..5).map(|hour| pull("app:v1", &format!("2026-11-20T0{hour}:00:00Z")).event()).collect();
    store.record(&known, now()).await.expect("records");

    let mut moving = pull("app:v1", "2026-11-20T06:00:00Z").times(-1).event();
    moving.changes.push(pull("app:v1", "2026-11-20T06:00:00Z").on("arm64").change());
    let new = [
        pull("app:v1", "2026-11-20T07:00:00Z").event(),
        pull("app:v1", "2026-11-20T08:00:00Z").event(),
        pull("app:v1", "2026-11-20T08:30:00Z").of_kind(AccessKind::Push).event(),
        pull("web:v1", "2026-11-20T05:00:00Z").event(),
        moving,
    ];
    let mut batch = Vec::new();
    let mut outcome = Vec::new();
    for (known, new) in known.iter().zip(&new) {
        batch.extend([known.clone(), new.clone(), new.clone()]);
        outcome.extend([Recording::Duplicate, Recording::Counted, Recording::Duplicate]);
    }
    assert_eq!(store.record(&batch, now()).await.expect("records"), outcome);

    let rows: Vec<_> = rows_of(&*store, AccessKind::PullByTag)
        .await
        .into_iter()
        .map(|row| {
            (row.repository.to_string(), row.architecture.to_string(), row.count, row.created_at, row.updated_at)
        })
        .collect();
    let row = |repository: &str, architecture: &str, count, created, updated| {
        (repository.to_owned(), architecture.to_owned(), count, time(created), time(updated))
    };
    assert_eq!(
        rows,
        [
            row("app", "amd64", 6, "2026-11-20T00:00:00Z", "2026-11-20T08:00:00Z"),
            row("app", "arm64", 1, "2026-11-20T06:00:00Z", "2026-11-20T06:00:00Z"),
            row("web", "amd64", 1, "2026-11-20T05:00:00Z", "2026-11-20T05:00:00Z"),
        ]
    );
    assert_eq!(rows_of(&*store, AccessKind::Push).await.len(), 1);
}

pub async fn a_refused_batch_leaves_nothing(Subject { store, .. }: Subject) {
    let full = pull("full:v1", "2026-11-20T10:00:00Z").times(i32::MAX);
    record(&*store, &[full]).await;
    let before = pulls_of(&*store).await;

    let good = [pull("app:v1", "2026-11-20T10:00:00Z").event(), pull("zoo:v1", "2026-11-20T10:00:00Z").event()];
    let one_too_many = pull("full:v1", "2026-11-20T11:00:00Z").event();
    let batch = [good[0].clone(), one_too_many.clone(), good[1].clone()];
    for _ in 0..2 {
        let refused = store.record(&batch, now()).await;
        assert!(matches!(refused, Err(MetricsError::Refused(_))), "{refused:?}");
        assert_eq!(pulls_of(&*store).await, before);
    }

    assert_eq!(store.record(&good, now()).await.expect("records"), [Recording::Counted; 2], "no id was remembered");
    let alone = store.record(&[one_too_many], now()).await;
    assert!(matches!(alone, Err(MetricsError::Refused(_))), "{alone:?}");
}

pub async fn a_sum_out_of_range_is_refused(Subject { store, .. }: Subject) {
    for delta in [i32::MAX, i32::MIN] {
        let access = pull("app:v1", "2026-11-20T10:00:00Z").times(delta);
        let refused = store.record(&[access.event(), access.event()], now()).await;
        assert!(matches!(refused, Err(MetricsError::Refused(_))), "{refused:?}");
    }
    assert_eq!(pulls_of(&*store).await, []);
}

pub async fn batches_at_once_in_opposite_orders_are_summed_exactly(Subject { store, second, .. }: Subject) {
    let accesses: Vec<_> = (0..20)
        .map(|number| {
            let kind = if number % 4 == 0 { AccessKind::VersionCheck } else { AccessKind::PullByTag };
            pull(&format!("app{number}:v1"), "2026-11-20T10:00:00Z").of_kind(kind)
        })
        .collect();
    let rounds = |store: Arc<dyn MetricsRepository>, accesses: Vec<Access>| async move {
        for _ in 0..ROUNDS {
            let events: Vec<_> = accesses.iter().map(Access::event).collect();
            store.record(&events, now()).await.expect("neither refuses nor gives up");
        }
    };
    let backwards: Vec<_> = accesses.iter().rev().cloned().collect();
    let tasks = [
        tokio::spawn(rounds(Arc::clone(&store), accesses.clone())),
        tokio::spawn(rounds(Arc::clone(&second), backwards.clone())),
        tokio::spawn(rounds(Arc::clone(&store), backwards)),
    ];
    let per_key = (tasks.len() * ROUNDS) as u64;
    for task in tasks {
        task.await.expect("a task that ends");
    }
    let mut rows = rows_of(&*store, AccessKind::PullByTag).await;
    rows.extend(rows_of(&*store, AccessKind::VersionCheck).await);
    assert_eq!(rows.len(), accesses.len());
    assert!(rows.iter().all(|row| row.count == per_key), "{rows:?}");
}

pub async fn the_same_events_at_two_servers_at_once_count_once(Subject { store, second, .. }: Subject) {
    const EVENTS: usize = 50;
    for _ in 0..ROUNDS {
        let events: Vec<_> = (0..EVENTS).map(|_| pull("app:v1", "2026-11-20T10:00:00Z").event()).collect();
        let backwards: Vec<_> = events.iter().rev().cloned().collect();
        let record = |store: Arc<dyn MetricsRepository>, events: Vec<PullEvent>| async move {
            let recorded = store.record(&events, now()).await.expect("records");
            recorded.iter().filter(|recording| **recording == Recording::Counted).count()
        };
        let one = tokio::spawn(record(Arc::clone(&store), events));
        let other = tokio::spawn(record(Arc::clone(&second), backwards));
        assert_eq!(one.await.expect("ends") + other.await.expect("ends"), EVENTS);
    }
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-20 app:v1", (ROUNDS * EVENTS) as u64)]));
}

pub async fn counts_go_by_the_date_of_their_key(Subject { store, .. }: Subject) {
    record(
        &*store,
        &[
            pull("app:v1", "2026-11-20T23:59:59.999999Z"),
            pull("app:v1", "2026-11-21T00:00:00Z"),
            pull("app:v1", "2026-11-21T02:00:00+02:00").counted_on("2026-11-21"),
            pull("app:v1", "2026-11-21T01:00:00Z").counted_on("2026-11-20"),
        ],
    )
    .await;
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-21 app:v1", 2), ("2026-11-20 app:v1", 2)]));
}

pub async fn one_event_may_move_a_count(Subject { store, .. }: Subject) {
    record(&*store, &[pull("app:v1", "2026-11-20T10:00:00Z"), pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    let mut moved = pull("app:v1", "2026-11-20T10:00:01Z").times(-1).event();
    moved.changes.push(pull("app:v1", "2026-11-20T10:00:01Z").on("arm64").change());
    store.record(&[moved], now()).await.expect("records");
    let rows: Vec<_> = rows_of(&*store, AccessKind::PullByTag)
        .await
        .into_iter()
        .map(|row| (row.architecture.to_string(), row.count))
        .collect();
    assert_eq!(rows, [("amd64".to_owned(), 1), ("arm64".to_owned(), 1)]);
}

pub async fn a_count_of_zero_shows_nowhere(Subject { store, .. }: Subject) {
    let there = pull("app:v1", "2026-11-20T10:00:00Z");
    let gone =
        [pull("app:v2", "2026-11-20T11:00:00Z").of_digest(2), pull("web:v1", "2026-11-20T11:00:00Z").on("arm64")];
    record(&*store, std::slice::from_ref(&there)).await;
    record(&*store, &gone).await;
    record(&*store, &[gone[0].clone().times(-1), gone[1].clone().times(-1)]).await;
    // Taken back within one batch.
    record(&*store, &[pull("none:v1", "2026-11-20T11:00:00Z"), pull("none:v1", "2026-11-20T11:00:00Z").times(-1)])
        .await;

    let filter = Filter::of_dates(DateRange::EVER);
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-20 app:v1", 1)]));
    let lines = async |list| lists::lines(&*store, list, &filter).await;
    assert_eq!(lines(lists::REPOSITORIES).await, ["app 1 1 2026-11-20T10:00:00Z"]);
    assert_eq!(lines(lists::ARCHITECTURES).await, ["amd64 1 1"]);
    for list in lists::ALL {
        assert_eq!(lines(list).await.len(), 1, "{list:?}");
    }
    let summary = store.summary(date("2026-11-20")).await.expect("answers");
    assert_eq!((summary.totals(AccessKind::PullByTag).all, summary.repositories), (1, 1));
    assert_eq!(summary.last_pulled_at, Some(time("2026-11-20T10:00:00Z")));
}

pub async fn a_count_that_fell_to_zero_begins_anew(Subject { store, .. }: Subject) {
    for kind in AccessKind::ALL {
        let at = |hour: u32| pull("app:v1", &format!("2026-11-20T{hour:02}:00:00Z")).of_kind(kind);
        record(&*store, &[at(8), at(9), pull("other:v1", "2026-11-20T08:00:00Z").of_kind(kind)]).await;
        // At first every event is new, then one is known.
        let known = at(10).times(-1).event();
        store.record(std::slice::from_ref(&known), now()).await.expect("records");
        store.record(&[known, at(10).times(-1).event()], now()).await.expect("records");
        assert_eq!(rows_of(&*store, kind).await.len(), 1, "{kind}");
        record(&*store, &[at(11)]).await;
        let row = &rows_of(&*store, kind).await[0];
        assert_eq!((row.count, row.created_at), (1, time("2026-11-20T11:00:00Z")), "{kind}: nothing is left of before");
    }
}

pub async fn what_is_not_there_cannot_be_taken_back(Subject { store, .. }: Subject) {
    for kind in AccessKind::ALL {
        let one = pull("app:v1", "2026-11-20T10:00:00Z").of_kind(kind);
        let take = one.clone().times(-1).event();
        let beside = pull("web:v1", "2026-11-20T10:00:00Z").of_kind(kind).event();
        // Of a count that is not there, and then more than it holds; with known ids and without.
        for taken in [1, 2, 2] {
            let take = PullEvent { changes: vec![one.clone().times(-taken).change()], ..take.clone() };
            let refused = store.record(&[beside.clone(), take], now()).await;
            assert!(matches!(refused, Err(MetricsError::Refused(_))), "{kind}: {refused:?}");
            assert_eq!(rows_of(&*store, kind).await.len(), usize::from(taken > 1), "{kind}: nothing of it is stored");
            if taken == 1 {
                record(&*store, std::slice::from_ref(&one)).await;
            } else {
                let known = one.event();
                store.record(std::slice::from_ref(&known), now()).await.expect("records");
                store.record(&[known, one.clone().times(-1).event()], now()).await.expect("records");
            }
        }
        assert_eq!(store.record(&[take, beside], now()).await.expect("records"), [Recording::Counted; 2]);
        let rows: Vec<_> = rows_of(&*store, kind).await.into_iter().map(|row| row.repository.to_string()).collect();
        assert_eq!(rows, ["web"], "{kind}");
    }
}

/// One server takes counts back to zero, where they are gone, while others add to them.
pub async fn counts_that_are_taken_back_while_others_add_stay_exact(Subject { store, second, .. }: Subject) {
    let accesses: Vec<_> = (0..6)
        .map(|number| {
            let kind = if number % 2 == 0 { AccessKind::VersionCheck } else { AccessKind::PullByTag };
            pull(&format!("app{number}:v1"), "2026-11-20T10:00:00Z").of_kind(kind)
        })
        .collect();
    let rounds = |store: Arc<dyn MetricsRepository>, accesses: Vec<Access>, stay: bool| async move {
        for round in 0..3 * ROUNDS {
            let add: Vec<_> = accesses.iter().map(Access::event).collect();
            store.record(&add, now()).await.expect("neither refuses nor gives up");
            if stay && round == 0 {
                continue;
            }
            let mut take: Vec<_> = accesses.iter().map(|access| access.clone().times(-1).event()).collect();
            // With a known id and without.
            take.extend((round % 2 == 0).then(|| add[0].clone()));
            store.record(&take, now()).await.expect("neither refuses nor gives up");
        }
    };
    let backwards: Vec<_> = accesses.iter().rev().cloned().collect();
    let tasks = [
        tokio::spawn(rounds(Arc::clone(&store), accesses.clone(), false)),
        tokio::spawn(rounds(Arc::clone(&second), backwards, false)),
        tokio::spawn(rounds(Arc::clone(&second), accesses[..3].to_vec(), true)),
    ];
    for task in tasks {
        task.await.expect("a task that ends");
    }
    let mut rows = rows_of(&*store, AccessKind::PullByTag).await;
    rows.extend(rows_of(&*store, AccessKind::VersionCheck).await);
    let rows: Vec<_> = rows.iter().map(|row| (row.repository.as_str(), row.count)).collect();
    assert_eq!(rows, [("app1", 1), ("app0", 1), ("app2", 1)]);
}

pub async fn kinds_are_kept_apart(Subject { store, .. }: Subject) {
    let mut events = Vec::new();
    for (number, kind) in (1..).zip(AccessKind::ALL) {
        events.push(pull("app:v1", "2026-11-20T10:00:00Z").of_kind(kind).times(number));
        events.push(pull("app", "2026-11-20T10:00:00Z").of_kind(kind).times(10 * number));
    }
    record(&*store, &events).await;
    for (number, kind) in (1..).zip(AccessKind::ALL) {
        let rows: Vec<_> = rows_of(&*store, kind).await.into_iter().map(|row| (row.kind, row.tag, row.count)).collect();
        assert_eq!(rows, [(kind, None, 10 * number), (kind, "v1".parse().ok(), number)], "without a tag comes first");
    }
}

pub async fn an_event_that_changes_nothing_is_remembered(Subject { store, .. }: Subject) {
    let event = PullEvent { id: new_id(), at: now(), timestamp: now(), changes: Vec::new() };
    let counted = pull("app:v1", "2026-11-20T10:00:00Z").event_with(event.id);
    assert_eq!(store.record(&[event], now()).await.expect("records"), [Recording::Counted]);
    assert_eq!(store.record(&[counted], now()).await.expect("records"), [Recording::Duplicate]);
    assert_eq!(pulls_of(&*store).await, []);
}

pub async fn an_empty_batch_is_recorded(Subject { store, .. }: Subject) {
    assert_eq!(store.record(&[], now()).await.expect("records"), []);
}

pub async fn ids_are_forgotten_oldest_first_and_then_count_again(Subject { store, .. }: Subject) {
    let (early, late) = (time("2026-11-20T00:00:00Z"), time("2026-11-21T00:00:00Z"));
    let event = || pull("app:v1", "2026-11-20T10:00:00Z").event();
    let late_events = [event(), event()];
    let early_events = [event(), event(), event()];
    store.record(&late_events, late).await.expect("records");
    store.record(&early_events, early).await.expect("records");

    assert_eq!(store.forget_ids(early, 10).await.expect("forgets"), 0, "only those recorded before");
    assert_eq!(store.forget_ids(late, 2).await.expect("forgets"), 2, "at most so many");
    assert_eq!(store.record(&late_events, late).await.expect("records"), [Recording::Duplicate; 2]);
    assert_eq!(store.forget_ids(late, 10).await.expect("forgets"), 1, "only the early ones");
    assert_eq!(store.record(&early_events, early).await.expect("records"), [Recording::Counted; 3]);
    assert_eq!(store.forget_ids(late + chrono::TimeDelta::seconds(1), 10).await.expect("forgets"), 5);
    assert_eq!(store.forget_ids(late + chrono::TimeDelta::seconds(1), 10).await.expect("forgets"), 0);
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-20 app:v1", 8)]));
}

pub async fn times_are_of_the_first_batch_and_of_the_latest_access(Subject { store, .. }: Subject) {
    let times = async || {
        let rows = rows_of(&*store, AccessKind::PullByTag).await;
        (rows[0].created_at, rows[0].updated_at)
    };
    let at = |hour: u32| pull("app:v1", &format!("2026-11-20T{hour:02}:00:00Z"));
    let hours = |created: u32, updated: u32| {
        (time(&format!("2026-11-20T{created:02}:00:00Z")), time(&format!("2026-11-20T{updated:02}:00:00Z")))
    };
    record(&*store, &[at(11), at(10), at(12), at(9).times(2)]).await;
    assert_eq!(times().await, hours(9, 12));
    record(&*store, &[at(8)]).await;
    assert_eq!(times().await, hours(9, 12), "an early event that comes late");
    record(&*store, &[at(13).times(-1)]).await;
    assert_eq!(times().await, hours(9, 12), "a correction is no access");
    record(&*store, &[at(14), at(13)]).await;
    assert_eq!(times().await, hours(9, 14));
}

pub async fn a_large_batch_is_summed_by_key(Subject { store, .. }: Subject) {
    const EVENTS: usize = 2000;
    const KEYS: usize = 300;
    // The square spreads the events unevenly over the keys.
    let name = |number: usize| format!("team-{}/app-{}:v1", number * number % KEYS, number % 7);
    let accesses: Vec<_> = (0..EVENTS).map(|number| pull(&name(number), "2026-11-20T10:00:00Z")).collect();
    record(&*store, &accesses).await;
    let mut sums = BTreeMap::<_, u64>::new();
    for number in 0..EVENTS {
        *sums.entry(format!("2026-11-20 {}", name(number))).or_default() += 1;
    }
    assert_eq!(pulls_of(&*store).await.into_iter().collect::<BTreeMap<_, _>>(), sums);
}

pub async fn a_store_that_records_says_so(Subject { store, .. }: Subject) {
    store.check().await.expect("an open store");
}
