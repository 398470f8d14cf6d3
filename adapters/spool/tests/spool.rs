//! The spool keeps events in order, once each, across restarts.

use staticreg_domain::{
    Action, Client, ManifestAccess, ManifestKind,
    spool::{EventSpool, SpoolError, SpoolPosition},
};
use staticreg_spool::SqliteSpool;
use uuid::Uuid;

fn event(number: u128) -> ManifestAccess {
    ManifestAccess {
        id: Uuid::from_u128(number).into(),
        at: "2026-11-21T20:00:00.123456789Z".parse().expect("a time"),
        arrived_at: None,
        action: if number.is_multiple_of(2) { Action::Get } else { Action::Head },
        manifest: ManifestKind::Image,
        repository: "demo/app".parse().expect("a name"),
        tag: if number.is_multiple_of(2) { "v1".parse().ok() } else { None },
        digest: format!("sha256:{number:064x}").parse().expect("a digest"),
        architecture: "amd64".parse().expect("never fails"),
        client: Client::new("10.0.0.1", "containerd/2.3.4"),
        children: Vec::new(),
    }
}

fn events(numbers: impl IntoIterator<Item = u128>) -> Vec<ManifestAccess> {
    numbers.into_iter().map(event).collect()
}

async fn waiting(spool: &SqliteSpool) -> Vec<ManifestAccess> {
    spool.oldest(SpoolPosition::default(), 100).await.expect("reads").into_iter().map(|(_, event)| event).collect()
}

#[tokio::test]
async fn events_wait_in_their_order_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spool.db");
    let spool = SqliteSpool::open(&file, 100).await.unwrap();
    spool.append(&events([3, 1, 2])).await.unwrap();
    spool.append(&events([5, 4])).await.unwrap();
    drop(spool);
    let spool = SqliteSpool::open(&file, 100).await.unwrap();
    assert_eq!(spool.waiting().await.unwrap(), 5);
    assert_eq!(waiting(&spool).await, events([3, 1, 2, 5, 4]));
}

#[tokio::test]
async fn an_event_that_waits_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = SqliteSpool::open(&folder.path().join("spool.db"), 100).await.unwrap();
    spool.append(&events([1, 2, 1])).await.unwrap();
    spool.append(&events([2, 3])).await.unwrap();
    assert_eq!(waiting(&spool).await, events([1, 2, 3]));
    assert_eq!(spool.waiting().await.unwrap(), 3);
}

#[tokio::test]
async fn what_was_replayed_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let spool = SqliteSpool::open(&folder.path().join("spool.db"), 100).await.unwrap();
    spool.append(&events(1..=5)).await.unwrap();
    let oldest = spool.oldest(SpoolPosition::default(), 2).await.unwrap();
    assert_eq!(oldest.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), events([1, 2]));
    let behind = spool.oldest(oldest[1].0, 2).await.unwrap();
    assert_eq!(behind.into_iter().map(|(_, event)| event).collect::<Vec<_>>(), events([3, 4]), "still there, not read");
    spool.remove_through(oldest[1].0).await.unwrap();
    assert_eq!(waiting(&spool).await, events(3..=5));
    assert_eq!(spool.waiting().await.unwrap(), 3);
}

#[tokio::test]
async fn a_full_spool_takes_nothing_of_a_batch_and_has_room_again_later() {
    let folder = tempfile::tempdir().unwrap();
    let spool = SqliteSpool::open(&folder.path().join("spool.db"), 3).await.unwrap();
    spool.append(&events(1..=2)).await.unwrap();
    assert!(matches!(spool.append(&events(3..=4)).await, Err(SpoolError::Full)));
    assert_eq!(spool.waiting().await.unwrap(), 2);
    let (last, _) = spool.oldest(SpoolPosition::default(), 2).await.unwrap().pop().unwrap();
    spool.remove_through(last).await.unwrap();
    spool.append(&events(3..=4)).await.unwrap();
    assert_eq!(waiting(&spool).await, events(3..=4));
}

#[tokio::test]
async fn what_another_process_took_waits_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spool.db");
    let spool = SqliteSpool::open(&file, 100).await.unwrap();
    spool.append(&events(1..=3)).await.unwrap();
    assert_eq!(spool.waiting().await.unwrap(), 3);
    let other = SqliteSpool::open(&file, 100).await.unwrap();
    let (last, _) = other.oldest(SpoolPosition::default(), 3).await.unwrap().pop().unwrap();
    other.remove_through(last).await.unwrap();
    assert!(spool.oldest(SpoolPosition::default(), 3).await.unwrap().is_empty());
    assert_eq!(spool.waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn a_spool_of_before_with_events_in_it_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spool.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut before = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let create = "CREATE TABLE spooled_event (position INTEGER PRIMARY KEY, id TEXT, at INTEGER, changes TEXT)";
    sqlx::query(create).execute(&mut before).await.unwrap();
    assert!(SqliteSpool::open(&file, 100).await.is_ok(), "nothing waits in it");
    sqlx::query(create).execute(&mut before).await.unwrap();
    sqlx::query("INSERT INTO spooled_event (id) VALUES ('x')").execute(&mut before).await.unwrap();
    let Err(SpoolError::Unavailable(reason)) = SqliteSpool::open(&file, 100).await else { panic!("it opens") };
    assert!(reason.to_string().contains("1 events of an earlier version"), "{reason}");
}
