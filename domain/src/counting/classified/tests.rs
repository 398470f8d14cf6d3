//! The memory is bounded: in time, in number, and in what is known.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::*;
use crate::{Architecture, EventId, Platform};

fn start() -> DateTime<Utc> {
    "2026-11-21T20:00:00Z".parse().expect("a time")
}

fn digest(n: usize) -> Digest {
    format!("sha256:{n:064x}").parse().expect("a digest")
}

/// A HEAD of an index by tag: it stands in every chain.
fn head(n: usize, at: DateTime<Utc>) -> ManifestAccess {
    ManifestAccess {
        id: EventId::from(Uuid::from_u128(n as u128)),
        at,
        action: Action::Head,
        manifest: ManifestKind::Index,
        repository: format!("team/{n}").parse().expect("a name"),
        tag: Some("v1".parse().expect("a tag")),
        digest: digest(n),
        architecture: Architecture::not_specified(),
        client_host: "10.0.0.7".to_owned(),
        user_agent: "containerd/2.3.4".to_owned(),
        children: Vec::new(),
    }
}

#[test]
fn after_the_window_little_is_left() {
    let mut counting = Classified::new(1_000);
    for n in 0..1_000 {
        counting.count(&head(n, start()), start()).expect("it counts");
    }
    assert_eq!(counting.memory.sizes(), [1_000, 1_000, 3_000]);
    let later = start() + Classified::WINDOW + TimeDelta::seconds(1);
    for n in 1_000..1_020 {
        counting.count(&head(n, later), later).expect("it counts");
    }
    assert_eq!(counting.memory.sizes(), [20, 20, 60]);
}

#[test]
fn what_came_first_makes_room() {
    let mut counting = Classified::new(100);
    for n in 0..1_000 {
        counting.count(&head(n, start()), start()).expect("it counts");
        assert!(counting.remembered() <= 100);
    }
    assert_eq!(counting.memory.sizes(), [100, 100, 300]);
    let changes_of_get = |counting: &mut Classified, n: usize| {
        let get = ManifestAccess { id: EventId::from(Uuid::from_u128(5_000)), action: Action::Get, ..head(n, start()) };
        counting.count(&get, start()).expect("it counts").changes.len()
    };
    assert_eq!(changes_of_get(&mut counting, 901), 2, "the hundredth from the end is remembered");
    let mut counting = Classified::new(100);
    for n in 0..1_000 {
        counting.count(&head(n, start()), start()).expect("it counts");
    }
    assert_eq!(changes_of_get(&mut counting, 899), 1, "the one before is not");
}

#[test]
fn used_look_ups_leave_their_chains() {
    let mut counting = Classified::new(1_000);
    for n in 0..100 {
        let head = head(n, start());
        let get = ManifestAccess { id: EventId::from(Uuid::from_u128(5_000 + n as u128)), action: Action::Get, ..head };
        counting.count(&self::head(n, start()), start()).expect("it counts");
        counting.count(&get, start()).expect("it counts");
    }
    assert_eq!(counting.memory.sizes(), [200, 200, 100], "a chain is left for the root");
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
        counting.learn(&digest(n), &children);
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
fn an_index_of_too_many_children_is_one_of_unknown_children() {
    let mut counting = Classified::new(10);
    let children: Vec<_> = (0..1_001).map(|n| IndexChild { digest: digest(10 + n), platform: None }).collect();
    counting.learn(&digest(1), &children);
    assert_eq!(counting.known.sizes()[0], 0);
}

#[test]
fn the_search_for_a_look_up_ends_soon() {
    let mut counting = Classified::new(200_000);
    let day_ahead = start() + TimeDelta::days(1);
    for n in 0..1_000 {
        let odd = ManifestAccess { id: EventId::from(Uuid::from_u128(n)), ..head(1, day_ahead) };
        counting.count(&odd, start()).expect("it counts");
    }
    let chain = counting.hashes.of((counting.hashes.of(("10.0.0.7", "containerd/2.3.4", "team/1")), "v1"));
    assert_eq!(counting.memory.chain(chain).count(), 64);
}
