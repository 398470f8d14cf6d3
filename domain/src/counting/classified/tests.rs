//! The memory is bounded: in time, in number, and in what is known.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::*;
use crate::{Architecture, Client, Platform, metrics::Change};

fn start() -> DateTime<Utc> {
    "2026-11-21T20:00:00Z".parse().expect("a time")
}

fn digest(n: usize) -> Digest {
    format!("sha256:{n:064x}").parse().expect("a digest")
}

fn client() -> Client {
    Client::new("10.0.0.7", "containerd/2.3.4")
}

/// A HEAD of an index by tag: it stands in every chain.
fn head(n: usize, at: DateTime<Utc>) -> ManifestAccess {
    ManifestAccess {
        id: EventId::from(Uuid::from_u128(n as u128)),
        at,
        arrived_at: None,
        action: Action::Head,
        manifest: ManifestKind::Index,
        repository: format!("team/{n}").parse().expect("a name"),
        tag: Some("v1".parse().expect("a tag")),
        digest: digest(n),
        architecture: Architecture::not_specified(),
        client: client(),
        children: Vec::new(),
    }
}

#[test]
fn what_arrived_too_long_ago_is_forgotten() {
    let mut counting = Classified::new(1_000);
    for n in 0..1_000 {
        counting.count(&head(n, start()), start()).expect("it counts");
    }
    assert_eq!(counting.memory.sizes(), [1_000, 1_000, 1_000, 1_000]);
    let later = start() + Classified::MEMORY + TimeDelta::seconds(1);
    for n in 1_000..1_020 {
        counting.count(&head(n, later), later).expect("it counts");
    }
    assert_eq!(counting.memory.sizes(), [20, 20, 20, 20]);
}

#[test]
fn what_came_first_makes_room() {
    let full = || {
        let mut counting = Classified::new(100);
        for n in 0..1_000 {
            counting.count(&head(n, start()), start()).expect("it counts");
            assert!(counting.remembered() <= 100);
        }
        assert_eq!(counting.memory.sizes(), [100, 100, 100, 100]);
        counting
    };
    let changes_of_get = |n: usize| {
        let get = ManifestAccess { id: EventId::from(Uuid::from_u128(5_000)), action: Action::Get, ..head(n, start()) };
        full().count(&get, start()).expect("it counts").changes.len()
    };
    assert_eq!(changes_of_get(901), 2, "the hundredth from the end is remembered");
    assert_eq!(changes_of_get(899), 1, "the one before is not");
}

/// The accesses of one client in one repository.
fn of_one_trail(access: ManifestAccess) -> ManifestAccess {
    ManifestAccess { repository: "library/nginx".parse().expect("a name"), ..access }
}

#[test]
fn a_busy_trail_keeps_no_more_than_what_is_remembered() {
    let mut counting = Classified::new(100);
    for n in 0..3_000 {
        let at = start() + TimeDelta::seconds(i64::try_from(n).expect("few"));
        counting.count(&of_one_trail(head(n, at)), at).expect("it counts");
        let trail = counting.hashes.of((client(), "library/nginx"));
        let trail = counting.memory.trail_mut(trail).expect("it is there");
        assert!(trail.sizes().iter().all(|size| *size <= 300), "{:?}", trail.sizes());
    }
}

#[test]
fn what_belonged_to_what_is_forgotten_stays_what_it_was() {
    let mut counting = Classified::new(3);
    let at = |seconds| start() + TimeDelta::seconds(seconds);
    let get = |n, at| {
        let id = EventId::from(Uuid::from_u128(5_000 + n as u128));
        of_one_trail(ManifestAccess { id, tag: None, action: Action::Get, ..head(n, at) })
    };
    counting.count(&of_one_trail(head(1, at(0))), at(0)).expect("it counts");
    assert_eq!(counting.count(&get(1, at(1)), at(1)).expect("it counts").changes.len(), 2);
    counting.count(&of_one_trail(head(2, at(10))), at(10)).expect("it counts");
    counting.count(&of_one_trail(head(3, at(11))), at(11)).expect("it counts");
    let late = counting.count(&of_one_trail(head(4, at(0))), at(12)).expect("it counts");
    assert_eq!(late.changes.len(), 1, "the pull is not read again without the HEAD it had: {:?}", late.changes);
}

#[test]
fn unused_keys_are_dropped() {
    let mut counting = Classified::new(10);
    for n in 0..50_000 {
        counting.count(&head(n, start()), start()).expect("it counts");
        assert!(counting.keys.len() <= 8_192 + 20, "{}", counting.keys.len());
    }
}

#[test]
fn what_is_known_is_bounded() {
    let mut counting = Classified::new(10);
    let platform = |n: usize| Platform::new("linux", &format!("cpu{n}"), None);
    for n in 0..2_000 {
        let children: Vec<_> =
            (0..50).map(|m| IndexChild { digest: digest(100_000 + n * 50 + m), platform: platform(n) }).collect();
        counting.learn(&digest(n), &children, start());
    }
    for n in 0..40_000 {
        let push = ManifestAccess { action: Action::Push, ..head(n, start()) };
        counting.count(&push, start()).expect("it counts");
        assert!(counting.wanted.len() <= MAX_WANTED);
        if n % 2_000 == 0 {
            counting.wanted();
        }
    }
    let sizes = counting.known.sizes();
    assert!(sizes.iter().all(|size| (8_000..=32_768).contains(size)), "{sizes:?}");
}

#[test]
fn what_is_told_again_needs_no_more_room() {
    let mut counting = Classified::new(10);
    let children = |n: usize| -> Vec<_> {
        let platform = Platform::new("linux", "amd64", None);
        (0..10).map(|m| IndexChild { digest: digest(CHILD + 10 * n + m), platform: platform.clone() }).collect()
    };
    let known = |counting: &Classified, n: usize| counting.known.is_complete(counting.hashes.of(digest(n)));
    counting.learn(&digest(0), &children(0), start());
    for minute in 0..14 {
        for n in 1..300 {
            counting.learn(&digest(n), &children(n), start() + TimeDelta::minutes(minute));
        }
    }
    assert!(known(&counting, 0), "{:?}", counting.known.sizes());
    assert_eq!(counting.known.sizes(), [300 * 11, 300 * 10, 0]);
}

#[test]
fn an_index_of_too_many_children_is_one_of_unknown_children() {
    let mut counting = Classified::new(10);
    let children: Vec<_> = (0..1_001).map(|n| IndexChild { digest: digest(10 + n), platform: None }).collect();
    counting.learn(&digest(1), &children, start());
    assert_eq!(counting.known.sizes()[0], 0);
}

/// The first child of an index.
const CHILD: usize = 2_000_000;

/// What an index lists.
fn children() -> Vec<IndexChild> {
    ["amd64", "arm64"]
        .into_iter()
        .zip(CHILD..)
        .map(|(architecture, n)| IndexChild { digest: digest(n), platform: Platform::new("linux", architecture, None) })
        .collect()
}

/// One client tells what an index lists, and 50 seconds later another pulls it, which nobody needs to be told again. Then
/// that client comes back, and is taken back. Answers what is changed when it comes again.
fn changes_after_a_trial(others: usize, pause: TimeDelta) -> Vec<Change> {
    let (told, pulled, later) = (start(), start() + TimeDelta::seconds(50), start() + Classified::MEMORY + pause);
    let access = |n, action, at| ManifestAccess { id: Uuid::from_u128(n).into(), action, ..head(1, at) };
    let mut counting = Classified::new(1_000);
    let telling = ManifestAccess { children: children(), ..access(10, Action::Get, told) };
    counting.count(&telling, told).expect("it counts");
    for n in 0..others {
        counting.count(&head(1_000 + n, pulled), pulled).expect("it counts");
    }
    let index = of_one_trail(access(11, Action::Get, pulled));
    counting.count(&index, pulled).expect("it counts");
    let image = access(12, Action::Get, pulled);
    let image =
        of_one_trail(ManifestAccess { manifest: ManifestKind::Image, tag: None, digest: digest(CHILD), ..image });
    let moved = counting.count(&image, pulled).expect("it counts").changes;
    assert_eq!(moved.len(), 2, "the pull is one for amd64: {moved:?}");

    counting.count(&head(2, later), later).expect("it counts");
    let mut again = of_one_trail(access(13, Action::Head, later));
    counting.begin_trial();
    counting.prepare(&mut again, later);
    counting.count(&again, later).expect("it counts");
    counting.take_back();
    counting.prepare(&mut again, later);
    counting.count(&again, later).expect("it counts").changes
}

#[test]
fn what_is_taken_back_leaves_older_counts_as_they_were() {
    for (others, pause) in [(0, TimeDelta::seconds(20)), (500, TimeDelta::hours(1))] {
        let changes = changes_after_a_trial(others, pause);
        let kinds: Vec<_> = changes.iter().map(|change| (change.key.kind, change.delta)).collect();
        assert_eq!(kinds, [(AccessKind::VersionCheck, 1)], "{others} others, {pause}: {changes:?}");
    }
}
