//! What the journal must do.
#![expect(missing_docs, reason = "a rule's name says what must hold")]

use std::sync::Arc;

use chrono::TimeDelta;
use staticreg_domain::{
    Digest, EventId, ManifestAccess, ManifestKind, PullEvent,
    event_id::EventStamp,
    journal::{Appended, JOURNAL_WINDOW, JournalBatch, JournalEntry, JournalPosition, TakeTurn, Turn},
    manifest_access::{Action, Client, IndexChild},
    metrics::{AccessKind, MetricsError, MetricsRepository, Recording},
};
use uuid::Uuid;

use crate::{
    Subject,
    events::{digest, expected, new_id, now, pull, pulls_of, record, rows_of, time},
};

/// How many batches each of two servers stores while they meet.
const ROUNDS: usize = 40;

/// Takes a turn with one batch, and keeps what it was told.
struct Once {
    events: Vec<PullEvent>,
    told: Option<Turn>,
}

impl TakeTurn for Once {
    fn take_turn(&mut self, turn: Turn) -> Option<JournalBatch> {
        let batch = (!self.events.is_empty()).then(|| batch(turn.end, self.events.clone()));
        self.told = Some(turn);
        batch
    }
}

fn batch(behind: JournalPosition, events: Vec<PullEvent>) -> JournalBatch {
    let entries = events.iter().map(|event| JournalEntry::Access(access(event.id))).collect();
    JournalBatch { behind, id: Uuid::new_v4(), entries, events }
}

fn access(id: EventId) -> ManifestAccess {
    ManifestAccess {
        id,
        at: time("2026-11-20T10:00:00.123456789Z"),
        arrived_at: None,
        action: Action::Get,
        manifest: ManifestKind::Index,
        repository: "team/app".parse().expect("a name"),
        tag: "v1".parse().ok(),
        digest: number(1),
        architecture: "amd64".parse().expect("an architecture"),
        client: Client::new("192.0.2.1", "docker/28"),
        children: vec![IndexChild { digest: number(2), platform: None }],
    }
}

fn number(number: u64) -> Digest {
    digest(number).parse().expect("a digest")
}

fn one() -> Vec<PullEvent> {
    vec![pull("app:v1", "2026-11-20T10:00:00Z").event()]
}

async fn in_turn(
    store: &dyn MetricsRepository,
    behind: Option<JournalPosition>,
    ids: &[EventId],
    events: Vec<PullEvent>,
) -> (Appended, Turn) {
    let stamp = |id: &EventId| EventStamp { id: *id, timestamp: time("2026-11-20T10:00:00Z") };
    let stamps: Vec<_> = ids.iter().map(stamp).collect();
    let mut turn = Once { events, told: None };
    let appended = store.append_in_turn(behind, &stamps, &mut turn, now()).await.expect("appends");
    (appended, turn.told.expect("took its turn"))
}

/// Where the journal ends.
async fn end(store: &dyn MetricsRepository) -> JournalPosition {
    in_turn(store, None, &[], Vec::new()).await.1.end
}

async fn append(store: &dyn MetricsRepository, batch: &JournalBatch) -> Appended {
    store.append(batch, now()).await.expect("appends")
}

pub async fn a_batch_is_stored_behind_the_last_row_or_not_at_all(Subject { store, second, .. }: Subject) {
    let first = batch(end(&*store).await, one());
    assert_eq!(append(&*store, &first).await, Appended::Stored);
    assert_eq!(end(&*second).await, first.position());

    let late = batch(first.behind, one());
    assert_eq!(append(&*second, &late).await, Appended::Conflict);
    let of_another_history = JournalPosition { batch: Uuid::new_v4(), ..first.position() };
    assert_eq!(append(&*store, &batch(of_another_history, one())).await, Appended::Conflict);
    let too_far = JournalPosition { number: first.position().number + 1, batch: first.id };
    assert_eq!(append(&*store, &batch(too_far, one())).await, Appended::Conflict);

    assert_eq!(
        (end(&*store).await, pulls_of(&*store).await),
        (first.position(), expected(&[("2026-11-20 app:v1", 1)]))
    );
    let next = JournalBatch { behind: first.position(), ..late };
    assert_eq!(append(&*second, &next).await, Appended::Stored);
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-20 app:v1", 2)]));
}

pub async fn a_batch_of_a_recorded_id_is_not_stored(Subject { store, second, .. }: Subject) {
    let [recorded, appended, new] = [(); 3].map(|()| pull("app:v1", "2026-11-20T10:00:00Z").event());
    store.record(std::slice::from_ref(&recorded), now()).await.expect("records");
    let first = batch(end(&*store).await, vec![appended.clone()]);
    assert_eq!(append(&*store, &first).await, Appended::Stored);
    for known in [recorded, appended] {
        assert_eq!(
            append(&*second, &batch(first.position(), vec![new.clone(), known.clone()])).await,
            Appended::Conflict
        );
        assert_eq!(store.record(&[known], now()).await.expect("records"), [Recording::Duplicate]);
    }
    assert_eq!(
        (end(&*store).await, pulls_of(&*store).await),
        (first.position(), expected(&[("2026-11-20 app:v1", 2)]))
    );
    assert_eq!(store.record(&[new], now()).await.expect("records"), [Recording::Counted]);
}

pub async fn a_refused_batch_leaves_no_row(Subject { store, .. }: Subject) {
    let before = end(&*store).await;
    let kept = pull("app:v1", "2026-11-20T10:00:00Z");
    let refused = batch(before, vec![kept.event(), pull("app:v2", "2026-11-20T10:00:00Z").times(-1).event()]);
    assert!(matches!(store.append(&refused, now()).await, Err(MetricsError::Refused(_))));
    let mut turn = Once { events: refused.events, told: None };
    let answer = store.append_in_turn(None, &[], &mut turn, now()).await;
    assert!(matches!(answer, Err(MetricsError::Refused(_))));
    assert_eq!((end(&*store).await, pulls_of(&*store).await), (before, vec![]));
}

pub async fn a_count_that_a_batch_takes_back_is_gone(Subject { store, second, .. }: Subject) {
    let check = pull("app:v1", "2026-11-20T10:00:00Z").of_kind(AccessKind::VersionCheck);
    record(&*store, std::slice::from_ref(&check)).await;
    let mut events = one();
    events[0].changes.push(check.times(-1).change());
    assert_eq!(append(&*store, &batch(end(&*store).await, events)).await, Appended::Stored);
    assert_eq!(rows_of(&*second, AccessKind::VersionCheck).await, []);
    assert_eq!(pulls_of(&*second).await, expected(&[("2026-11-20 app:v1", 1)]));
}

pub async fn a_turn_tells_the_end_and_which_ids_are_recorded(Subject { store, second, .. }: Subject) {
    let (recorded, unknown) = (one(), new_id());
    let id = recorded[0].id;
    let (appended, turn) = in_turn(&*store, None, &[id, unknown], recorded).await;
    assert_eq!((appended, turn.recorded.len()), (Appended::Stored, 0));
    let (_, next) = in_turn(&*second, None, &[id, unknown], Vec::new()).await;
    assert_eq!((next.end.number, next.recorded.into_iter().collect::<Vec<_>>()), (turn.end.number + 1, vec![id]));
}

pub async fn servers_in_turn_store_every_batch_at_the_first_try(Subject { store, second, .. }: Subject) {
    let first = end(&*store).await.number;
    let servers = [store, second].map(|store| {
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                assert_eq!(in_turn(&*store, None, &[], one()).await.0, Appended::Stored);
            }
            store
        })
    });
    let [store, second] = servers;
    let (store, _) = (store.await.expect("no panic"), second.await.expect("no panic"));
    let batches = 2 * ROUNDS;
    assert_eq!(end(&*store).await.number - first, i64::try_from(batches).expect("few"));
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-20 app:v1", batches as u64)]));
}

pub async fn a_server_that_takes_no_turn_meets_one_that_does(Subject { store, second, .. }: Subject) {
    let alone = Arc::clone(&store);
    let alone = tokio::spawn(async move {
        let mut behind = end(&*alone).await;
        for _ in 0..ROUNDS {
            let mut next = batch(behind, one());
            while append(&*alone, &next).await == Appended::Conflict {
                next.behind = end(&*alone).await;
            }
            behind = next.position();
        }
    });
    let mut met = 0;
    for _ in 0..ROUNDS {
        let events = one();
        while in_turn(&*second, None, &[], events.clone()).await.0 == Appended::Conflict {
            met += 1;
        }
    }
    alone.await.expect("no panic");
    println!("{met} turns met a batch without one");
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-11-20 app:v1", 2 * ROUNDS as u64)]));
}

pub async fn another_server_reads_what_was_stored(Subject { store, second, .. }: Subject) {
    let mut position = end(&*store).await;
    let begin = position;
    let mut index = batch(position, Vec::new());
    index.entries = vec![JournalEntry::Index { digest: number(3), children: access(new_id()).children }];
    let mut batches = vec![index];
    for _ in 0..4 {
        position = batches[batches.len() - 1].position();
        batches.push(batch(position, one()));
    }
    for batch in &batches {
        assert_eq!(append(&*store, batch).await, Appended::Stored);
    }

    let mut read = Vec::new();
    let mut behind = begin;
    loop {
        let part = second.journal(Some(behind), 2, now()).await.expect("reads");
        assert!(part.continues && part.rows.len() <= 2);
        let Some(last) = part.rows.last() else { break };
        behind = last.position;
        read.extend(part.rows);
    }
    let told = |position: JournalPosition, entries: &[JournalEntry]| (position, entries.to_vec());
    assert_eq!(
        read.iter().map(|row| told(row.position, &row.entries)).collect::<Vec<_>>(),
        batches.iter().map(|batch| told(batch.position(), &batch.entries)).collect::<Vec<_>>(),
    );
    assert!(read.iter().all(|row| row.age >= TimeDelta::zero() && row.age < JOURNAL_WINDOW), "{read:?}");

    let (_, turn) = in_turn(&*second, Some(batches[2].position()), &[], Vec::new()).await;
    assert!(turn.news.continues);
    let news: Vec<_> = turn.news.rows.iter().map(|row| row.position).collect();
    assert_eq!(news, [read[3].position, read[4].position]);
    assert_eq!(turn.end, read[4].position);
}

pub async fn a_history_that_was_cut_does_not_continue(Subject { store, second, .. }: Subject) {
    let kept = batch(end(&*store).await, one());
    assert_eq!(append(&*store, &kept).await, Appended::Stored);
    let positions = [
        // Others stored another batch there since.
        JournalPosition { batch: Uuid::new_v4(), ..kept.position() },
        // What was read is no longer there.
        JournalPosition { number: kept.position().number + 7, batch: Uuid::new_v4() },
    ];
    for lost in positions {
        let part = second.journal(Some(lost), 10, now()).await.expect("reads");
        assert!(!part.continues);
        assert_eq!(part.rows.last().map(|row| (row.position, &row.entries)), Some((kept.position(), &kept.entries)));
        let (_, turn) = in_turn(&*second, Some(lost), &[], Vec::new()).await;
        assert_eq!((turn.news.continues, turn.end), (false, kept.position()));
        assert_eq!(turn.news.rows.len(), part.rows.len());
    }
}

pub async fn rows_are_forgotten_oldest_first_and_never_the_last(Subject { store, second, .. }: Subject) {
    let begin = end(&*store).await;
    let mut last = begin;
    for _ in 0..5 {
        let next = batch(last, one());
        assert_eq!(append(&*store, &next).await, Appended::Stored);
        last = next.position();
    }
    // Age goes by the database's clock, or by that of the server where it has none.
    let later = now() + TimeDelta::minutes(1);
    assert_eq!(second.forget_journal(TimeDelta::hours(1), 100, later).await.expect("forgets"), 0);
    assert_eq!(second.forget_journal(TimeDelta::seconds(-1), 2, later).await.expect("forgets"), 2);
    assert!(!store.journal(Some(begin), 100, later).await.expect("reads").continues);
    assert_eq!(second.forget_journal(TimeDelta::seconds(-1), 100, later).await.expect("forgets"), 3);
    let part = store.journal(None, 100, later).await.expect("reads");
    assert_eq!(part.rows.iter().map(|row| row.position).collect::<Vec<_>>(), [last]);
    assert_eq!(append(&*store, &batch(last, one())).await, Appended::Stored);
}

/// Whoever writes by hand makes nothing wait for ever, and no event is refused for it.
///
/// # Panics
///
/// When one is.
pub async fn rows_written_by_hand_do_no_harm(store: &dyn MetricsRepository, write: impl AsyncFn(Vec<String>)) {
    let kept = batch(end(store).await, one());
    assert_eq!(append(store, &kept).await, Appended::Stored);
    write(vec!["UPDATE access_journal SET accesses = substr(accesses, 3) WHERE length(accesses) > 0".to_owned()]).await;
    let part = store.journal(None, 10, now()).await.expect("reads");
    let last = part.rows.last().expect("a row");
    assert_eq!((last.position, &*last.entries), (kept.position(), &[][..]));
    let (appended, turn) = in_turn(store, Some(kept.behind), &[], one()).await;
    assert_eq!((appended, turn.end), (Appended::Stored, kept.position()));

    write(vec!["DELETE FROM access_journal".to_owned()]).await;
    let begun = in_turn(store, Some(kept.position()), &[], one()).await;
    assert_eq!((begun.0, begun.1.news.continues), (Appended::Stored, false));

    write(vec![format!("UPDATE access_journal SET position = position + {}", i64::MAX - 1)]).await;
    let behind = end(store).await;
    assert_eq!(behind.number, i64::MAX);
    let stored = store.append(&batch(behind, one()), now()).await;
    assert!(matches!(stored, Ok(Appended::Conflict) | Err(MetricsError::Unavailable(_))), "{stored:?}");
    write(vec!["DELETE FROM access_journal".to_owned()]).await;
    assert_eq!(in_turn(store, Some(behind), &[], one()).await.0, Appended::Stored);
}
