//! Recordings of newer clients, and small cases: what a person would count, whatever the order of arrival.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use staticreg_domain::{
    ManifestAccess, ManifestKind,
    counting::{Classified, Counting, CountingMemory as _},
    metrics::CountKey,
    rules::Rules,
};

use crate::{
    posted::{self, recording},
    seed,
    small_cases::{CONTAINERD, REFERRERS, SMALL, accesses},
    support::{Store, digest, start},
};

/// Counts as lines: kind, repository, tag, architecture, count. Where a `*` is expected, any architecture is right.
fn lines(store: &Store, any_architecture: &BTreeSet<String>) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for (CountKey { kind, repository, tag, architecture, .. }, count) in store.counts() {
        let tag = tag.map_or("-".to_owned(), |tag| tag.to_string());
        let what = format!("{kind} {repository}:{tag}");
        let architecture = if any_architecture.contains(&what) { "*".to_owned() } else { architecture.to_string() };
        *counts.entry(format!("{what} {architecture}")).or_default() += count;
    }
    counts.into_iter().map(|(what, count)| format!("{what} {count}")).collect()
}

/// Counts accesses in the order they are given, each stored at once, all at the same moment.
fn counted<'a>(accesses: impl IntoIterator<Item = &'a ManifestAccess>, expected: &[&str]) -> BTreeSet<String> {
    let mut counting = Classified::default();
    let mut store = Store::default();
    for access in accesses {
        store.record(&counting.count(access, start()).into_iter().collect::<Vec<_>>());
    }
    let any = expected.iter().filter_map(|line| Some(line.split_once(" *")?.0.to_owned())).collect();
    lines(&store, &any)
}

fn expected_lines(expected: &[&str]) -> BTreeSet<String> {
    expected.iter().map(|line| (*line).to_owned()).collect()
}

/// The orders of so many things: all when they are few, else each thing early, late, and swapped with its neighbour.
fn orders(length: usize) -> Vec<Vec<usize>> {
    const FEW: usize = 6;
    let in_order: Vec<usize> = (0..length).collect();
    if length <= FEW {
        return permutations(&in_order);
    }
    let mut orders = vec![in_order.clone(), in_order.iter().rev().copied().collect()];
    for from in 0..length {
        for to in 0..length {
            let mut order = in_order.clone();
            let moved = order.remove(from);
            order.insert(to, moved);
            orders.push(order);
        }
    }
    orders
}

fn permutations(things: &[usize]) -> Vec<Vec<usize>> {
    let Some((last, rest)) = things.split_last() else { return vec![Vec::new()] };
    let with_last = |order: Vec<usize>| {
        (0..=order.len()).map(move |place| [&order[..place], &[*last], &order[place..]].concat()).collect::<Vec<_>>()
    };
    permutations(rest).into_iter().flat_map(with_last).collect()
}

/// Whatever the order, and however often each comes, the counts are these.
#[track_caller]
fn assert_counts_in_any_order(name: &str, accesses: &[ManifestAccess], expected: &[&str]) {
    for order in orders(accesses.len()) {
        let once: Vec<_> = order.iter().map(|place| &accesses[*place]).collect();
        assert_eq!(counted(once.iter().copied(), expected), expected_lines(expected), "{name}: {order:?}");
        let again = once.iter().flat_map(|access| [*access, *access]).chain(once.iter().copied());
        assert_eq!(counted(again, expected), expected_lines(expected), "{name}: {order:?}, each three times");
    }
}

/// The recordings that are one story, and what to count in it.
const RECORDINGS: [(&[&str], &[&str]); 9] = [
    (
        &["docker29-script-pulls-amd64-then-arm64-of-one-tag"],
        &["pull_by_tag dk/two4:1 amd64 1", "pull_by_tag dk/two4:1 arm64 1"],
    ),
    (
        &["ctr-1.6-amd64-then-arm64-of-one-tag-20-s-later"],
        &["pull_by_tag gd/e:1 amd64 1", "pull_by_tag gd/e:1 arm64 1"],
    ),
    (
        &["docker29-pull-index-by-tag-then-the-arm64-child-by-its-digest"],
        &["pull_by_tag dd/a:1 amd64 1", "pull_by_digest dd/a:- * 1"],
    ),
    (
        &["buildkit-fresh-runner-imports-the-cache-all-cached-pushes"],
        &["pull_by_tag bk/base:1 amd64 1", "pull_by_tag bk/tools:1 * 1", "push bk/out:2 * 1"],
    ),
    (
        &["two-hosts-behind-one-address-interleaved-amd64-and-arm64"],
        &["pull_by_tag dd/d:1 amd64 1", "pull_by_tag dd/d:1 arm64 1"],
    ),
    (
        &["crane-digest-loop-as-an-image-updater-3-tags-twice", "crane-validate-remote-v2"],
        &[
            "version_check day/app:v1 * 2",
            "version_check day/app:v2 * 2",
            "version_check day/app:slim * 2",
            "pull_by_tag day/app:v2 * 1",
        ],
    ),
    (&["docker29-no-platform-for-this-host"], &["pull_by_tag dk/noamd:1 not-specified 1"]),
    (
        &["ctr-1.6-second-tag-whose-index-shares-the-image"],
        &["pull_by_tag gd/share:v1 amd64 1", "pull_by_tag gd/share:v2 amd64 1"],
    ),
    (&["podman5.8-pull-multi-first"], &["pull_by_tag ci/app:2 amd64 1"]),
];

/// The accesses of recordings that the rules let through.
fn recorded(names: &[&str]) -> Vec<ManifestAccess> {
    let rules = Rules::new(Classified::default().scope(), Vec::new());
    let events = names.iter().flat_map(|name| recording("counting", &format!("{name}.jsonl")));
    events.filter_map(|(event, at)| rules.admit(&event, at).ok()).collect()
}

#[test]
fn newer_clients_are_counted_as_a_person_would_in_any_order() {
    for (names, expected) in RECORDINGS {
        assert_counts_in_any_order(&names.join(", "), &recorded(names), expected);
    }
}

#[test]
fn every_recording_of_newer_clients_is_counted() {
    let folder = posted::root().join("tests/fixtures/counting");
    let files = std::fs::read_dir(folder).expect("the folder is there").filter_map(|file| {
        let name = file.expect("it can be read").file_name().into_string().expect("UTF-8");
        name.strip_suffix(".jsonl").map(str::to_owned)
    });
    let counted = RECORDINGS.iter().flat_map(|(names, _)| names.iter().map(|name| (*name).to_owned()));
    assert_eq!(files.collect::<BTreeSet<_>>(), counted.collect());
}

#[test]
fn small_cases_are_counted_as_a_person_would_in_any_order() {
    for (name, user_agent, events, expected) in SMALL {
        assert_counts_in_any_order(name, &accesses(user_agent, events, true), expected);
    }
}

/// The registry is asked for each index at some time, and tells.
#[test]
fn small_cases_count_the_same_when_the_lists_are_asked_for() {
    for (name, user_agent, events, expected) in SMALL {
        let accesses = accesses(user_agent, events, false);
        for answered_after in 0..=accesses.len() {
            for order in orders(accesses.len()).into_iter().step_by(7) {
                let mut counting = Classified::default();
                let mut store = Store::default();
                let mut wanted = Vec::new();
                for (place, access) in order.iter().map(|place| &accesses[*place]).enumerate() {
                    store.record(&counting.count(access, start()).into_iter().collect::<Vec<_>>());
                    wanted.extend(counting.wanted());
                    if place + 1 >= answered_after || place + 1 == accesses.len() {
                        for (_, index) in wanted.drain(..) {
                            let list = ["I", "J", "L", "V", "X", "Y"].into_iter().find(|name| digest(name) == index);
                            store.record(&counting.learn(
                                &index,
                                &list.and_then(crate::small_cases::list).expect("an index"),
                                start(),
                            ));
                        }
                    }
                }
                let any = BTreeSet::new();
                assert_eq!(lines(&store, &any), expected_lines(expected), "{name}: {order:?}, {answered_after}");
            }
        }
    }
}

#[test]
fn an_attachment_is_never_guessed() {
    let mut attachment = accesses(CONTAINERD, &[(0, "GET", REFERRERS, "X"), (50, "GET", "@", "B")], false);
    let expected = &["pull_by_digest team/app:- not-specified 1"];
    assert_eq!(counted(&attachment, expected), expected_lines(expected));
    attachment[1].manifest = ManifestKind::Index;
    assert_eq!(counted(&attachment, expected), expected_lines(expected));
}

proptest! {
    #![proptest_config(seed::cases(256))]

    /// With more accesses than all orders can be tried of.
    #[test]
    fn larger_recordings_count_the_same_in_any_order(
        (story, order) in (0..RECORDINGS.len()).prop_flat_map(|story| {
            let length = recorded(RECORDINGS[story].0).len();
            (Just(story), Just((0..length).collect::<Vec<_>>()).prop_shuffle())
        })
    ) {
        let (names, expected) = RECORDINGS[story];
        let accesses = recorded(names);
        prop_assert_eq!(counted(order.iter().map(|place| &accesses[*place]), expected), expected_lines(expected));
    }

    #[test]
    fn larger_cases_count_the_same_in_any_order(
        (case, order) in (0..SMALL.len()).prop_flat_map(|case| {
            (Just(case), Just((0..SMALL[case].2.len()).collect::<Vec<_>>()).prop_shuffle())
        })
    ) {
        let (_, user_agent, events, expected) = SMALL[case];
        let accesses = accesses(user_agent, events, true);
        prop_assert_eq!(counted(order.iter().map(|place| &accesses[*place]), expected), expected_lines(expected));
    }
}
