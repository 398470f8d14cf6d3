//! Whatever the order of clients, however often events come and whichever batches fail: the counts are the same.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::{collection::vec, prelude::*, sample::select};
use staticreg_domain::{
    Action, Architecture, EventId, ManifestAccess, ManifestKind,
    counting::{Classified, Counting, CountingMemory as _},
    metrics::{AccessKind, CountKey},
};
use uuid::Uuid;

use crate::{
    seed::cases,
    support::{Store, children, digest, start},
};

/// An index of every image, `index-N`, lists these with the image's number.
const PLATFORMS: [(&str, &str); 3] = [("amd", "linux/amd64"), ("arm", "linux/arm64"), ("att", "unknown/unknown")];

/// What a client may do, as real ones do it: method, by tag or not, which manifest.
type Step = (Action, bool, &'static str);

const HABITS: [&[Step]; 12] = [
    // docker, CRI: first, again, of one platform with a cached index, by digest.
    &[(Action::Head, true, "index"), (Action::Get, false, "index"), (Action::Get, false, "amd")],
    &[(Action::Head, true, "index")],
    &[(Action::Head, true, "index"), (Action::Get, false, "arm")],
    &[(Action::Head, false, "index"), (Action::Get, false, "index"), (Action::Get, false, "arm")],
    // ctr: all platforms and attestations.
    &[
        (Action::Head, true, "index"),
        (Action::Get, false, "index"),
        (Action::Get, false, "att"),
        (Action::Get, false, "arm"),
        (Action::Get, false, "amd"),
    ],
    // BuildKit, for two platforms.
    &[
        (Action::Head, true, "index"),
        (Action::Head, true, "index"),
        (Action::Get, false, "index"),
        (Action::Get, false, "arm"),
        (Action::Get, false, "amd"),
    ],
    // podman, skopeo, crane.
    &[(Action::Get, true, "index"), (Action::Get, false, "amd")],
    &[(Action::Get, true, "index")],
    // Single images.
    &[(Action::Head, true, "single"), (Action::Get, false, "single")],
    &[(Action::Get, true, "single")],
    &[(Action::Get, false, "single")],
    &[(Action::Push, true, "pushed"), (Action::Push, false, "pushed")],
];

/// One thing a client does: the habit, which of two images, and after how many milliseconds.
type Deed = (usize, usize, i64);

#[derive(Clone, Debug)]
struct Client {
    user_agent: &'static str,
    deeds: Vec<Deed>,
}

fn clients() -> impl Strategy<Value = Vec<Client>> {
    let agents = vec!["docker/28.2.2 os/linux arch/amd64", "containerd/2.3.4"];
    let deeds = vec((0..HABITS.len(), 0..2_usize, select(vec![1_i64, 500, 4_000, 30_000, 61_000])), 1..6);
    let client = (select(agents), deeds).prop_map(|(user_agent, deeds)| Client { user_agent, deeds });
    vec(client, 1..5)
}

/// Clients that wait between their deeds, so that none looks like part of another: what may be an index's child is
/// another question once its children are known.
fn apart(mut clients: Vec<Client>) -> Vec<Client> {
    clients.iter_mut().flat_map(|client| &mut client.deeds).for_each(|deed| deed.2 = 61_000);
    clients
}

fn client_of(host: &str, user_agent: &str) -> staticreg_domain::Client {
    staticreg_domain::Client::new(host, user_agent)
}

/// The events of each client, in its order. With `references` every event tells the index's children.
fn events_of(clients: &[Client], references: bool) -> Vec<Vec<ManifestAccess>> {
    let mut ids = 0_u128;
    let mut events = Vec::new();
    for (number, client) in clients.iter().enumerate() {
        // Midnight lies among the events.
        let mut at = start() + TimeDelta::minutes(238);
        let mut own = Vec::new();
        for (habit, image, pause) in &client.deeds {
            at += TimeDelta::milliseconds(*pause);
            for (action, by_tag, what) in HABITS[*habit] {
                at += TimeDelta::milliseconds(3);
                ids += 1;
                let is_index = *what == "index";
                // Single images have repositories of their own: one fetched by digest right after an index of
                // unknown children would be taken for a child.
                let repository = match *what {
                    "single" => format!("single/{image}"),
                    "pushed" => format!("pushed/{number}"),
                    _ => format!("multi/{image}"),
                };
                own.push(ManifestAccess {
                    id: EventId::from(Uuid::from_u128(ids)),
                    at,
                    arrived_at: None,
                    action: *action,
                    manifest: if is_index { ManifestKind::Index } else { ManifestKind::Image },
                    repository: repository.parse().expect("a name"),
                    tag: by_tag.then(|| "v1".parse().expect("a tag")),
                    digest: digest(&format!("{what}-{image}")),
                    architecture: Architecture::of_user_agent(client.user_agent),
                    client: client_of(&format!("10.0.0.{number}"), client.user_agent),
                    children: if is_index && references { list(*image) } else { Vec::new() },
                });
            }
        }
        events.push(own);
    }
    events
}

fn list(image: usize) -> Vec<staticreg_domain::manifest_access::IndexChild> {
    let named: Vec<_> = PLATFORMS.iter().map(|(name, platform)| (format!("{name}-{image}"), *platform)).collect();
    children(&named.iter().map(|(name, platform)| (name.as_str(), *platform)).collect::<Vec<_>>())
}

/// When the platforms come to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    Never,
    FromTheStart,
    InEveryEvent,
}

fn counting(knowledge: Knowledge) -> Classified {
    let mut counting = Classified::default();
    if knowledge == Knowledge::FromTheStart {
        for image in 0..2 {
            counting.learn(&digest(&format!("index-{image}")), &list(image), start());
        }
    }
    counting
}

/// One event after the other, client after client, each stored at once.
fn plain(events: &[Vec<ManifestAccess>], knowledge: Knowledge) -> BTreeMap<CountKey, i64> {
    let mut counting = counting(knowledge);
    let mut store = Store::default();
    for mut access in events.iter().flatten().cloned() {
        let now = access.at;
        counting.prepare(&mut access, now);
        store.record(&counting.count(&access, access.at).into_iter().collect::<Vec<_>>());
    }
    store.counts()
}

/// Shuffles the clients' events together, each client's in its order.
fn interleaved(events: &[Vec<ManifestAccess>], choices: &[usize]) -> Vec<ManifestAccess> {
    let mut rest: Vec<_> = events.iter().map(|own| own.iter().peekable()).collect();
    let mut choices = choices.iter().copied().cycle();
    let mut mixed = Vec::new();
    loop {
        rest.retain_mut(|own| own.peek().is_some());
        if rest.is_empty() {
            return mixed;
        }
        let place = choices.next().unwrap_or_default() % rest.len();
        mixed.extend(rest[place].next().cloned());
    }
}

/// How a batch fares: its size, how often it fails before it is stored, and how many of the events before it come once
/// more.
type Fate = (usize, usize, usize);

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    vec((1..8_usize, 0..4_usize, 0..10_usize), 1..20)
}

/// Delivers in batches that fail and come again. Arrival has nothing to do with the timestamps.
fn delivered(mixed: &[ManifestAccess], knowledge: Knowledge, fates: &[Fate]) -> BTreeMap<CountKey, i64> {
    let mut counting = counting(knowledge);
    let mut store = Store::default();
    let mut now = start() + TimeDelta::hours(9);
    let mut fates = fates.iter().cycle();
    let mut place = 0;
    while place < mixed.len() {
        let (size, failures, before) = *fates.next().unwrap_or(&(1, 0, 0));
        let end = mixed.len().min(place + size);
        let batch = [&mixed[place.saturating_sub(before)..place], &mixed[place..end]].concat();
        for attempt in 0..=failures {
            now += TimeDelta::milliseconds(200);
            counting.begin_trial();
            let mut count = |access: &ManifestAccess| {
                let mut access = access.clone();
                counting.prepare(&mut access, now);
                counting.count(&access, now).ok()
            };
            let counted: Vec<_> = batch.iter().filter_map(&mut count).collect();
            if attempt == failures {
                store.record(&counted);
                counting.settle(now);
            } else {
                counting.take_back();
            }
        }
        place = end;
    }
    store.counts()
}

fn knowledge() -> impl Strategy<Value = Knowledge> {
    select(vec![Knowledge::Never, Knowledge::FromTheStart, Knowledge::InEveryEvent])
}

/// Any access at all, of few clients and manifests, with any timestamp.
fn wild() -> impl Strategy<Value = ManifestAccess> {
    let what = (
        select(vec![Action::Head, Action::Get, Action::Push]),
        select(vec!["index", "amd", "arm", "att", "single"]),
        any::<bool>(),
        any::<bool>(),
        0..2_usize,
    );
    let shift = select(vec![0_i64, 1, 9, 11, 59, 61, 86_400, -100_000_000]);
    (what, 0..40_u128, 0..2_u8, shift).prop_map(|((action, what, by_tag, tells, image), id, host, shift)| {
        ManifestAccess {
            id: EventId::from(Uuid::from_u128(id)),
            at: start() + TimeDelta::seconds(shift),
            arrived_at: None,
            action,
            manifest: if what == "index" { ManifestKind::Index } else { ManifestKind::Image },
            repository: "library/nginx".parse().expect("a name"),
            tag: by_tag.then(|| "v1".parse().expect("a tag")),
            digest: digest(&format!("{what}-{image}")),
            architecture: Architecture::not_specified(),
            client: client_of(&format!("10.0.0.{host}"), ""),
            children: if what == "index" && tells { list(image) } else { Vec::new() },
        }
    })
}

/// Any access at all of one client to one repository, within two minutes.
fn tight() -> impl Strategy<Value = ManifestAccess> {
    let at = prop_oneof![0..3_000_i64, 0..120_000_i64, select(vec![0_i64, 1_000, 10_000, 60_000])];
    let tag = select(vec!["v1", "v2", "sha256-0000000000000000000000000000000000000000000000000000000000000000"]);
    (wild(), at, tag).prop_map(|(access, at, tag)| ManifestAccess {
        at: start() + TimeDelta::milliseconds(at),
        tag: access.tag.map(|_| tag.parse().expect("a tag")),
        client: client_of("10.0.0.1", ""),
        ..access
    })
}

/// Each access with an id of its own, in no order.
fn with_own_ids(accesses: Vec<ManifestAccess>) -> Vec<ManifestAccess> {
    let id = |n: u128| EventId::from(Uuid::from_u128((n + 1) * 7_919 % 104_729));
    (0..).zip(accesses).map(|(n, access)| ManifestAccess { id: id(n), ..access }).collect()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn order_of_clients_repetition_batches_and_failures_do_not_matter(
        clients in clients(),
        choices in vec(0..8_usize, 1..40),
        fates in fates(),
        knowledge in knowledge(),
    ) {
        let events = events_of(&clients, knowledge == Knowledge::InEveryEvent);
        let mixed = interleaved(&events, &choices);
        prop_assert_eq!(delivered(&mixed, knowledge, &fates), plain(&events, knowledge));
    }

    #[test]
    fn platforms_learnt_late_count_as_those_known_from_the_start(
        clients in clients(),
        choices in vec(0..8_usize, 1..40),
        when in vec((0..60_usize, 0..2_usize), 0..6),
    ) {
        let events = events_of(&apart(clients), false);
        let mixed = interleaved(&events, &choices);
        let mut counting = counting(Knowledge::Never);
        let mut store = Store::default();
        for (place, mut access) in mixed.into_iter().enumerate() {
            for (_, image) in when.iter().filter(|(when, _)| *when == place) {
                store.record(&counting.learn(&digest(&format!("index-{image}")), &list(*image), start()));
            }
            counting.prepare(&mut access, start());
            store.record(&counting.count(&access, start()).into_iter().collect::<Vec<_>>());
        }
        for image in 0..2 {
            store.record(&counting.learn(&digest(&format!("index-{image}")), &list(image), start()));
        }
        prop_assert_eq!(store.counts(), plain(&events, Knowledge::FromTheStart));
    }

    #[test]
    fn the_events_of_a_pull_are_one_pull_and_look_ups_are_none(clients in clients()) {
        let mut expected = [0, 0];
        for (habit, ..) in clients.iter().flat_map(|client| &client.deeds) {
            let steps = HABITS[*habit];
            let fetches = steps.iter().any(|(action, ..)| *action == Action::Get);
            let by_tag = steps.iter().any(|(_, by_tag, _)| *by_tag);
            if fetches {
                expected[usize::from(!by_tag)] += 1;
            }
        }
        for knowledge in [Knowledge::Never, Knowledge::FromTheStart] {
            let counts = plain(&events_of(&apart(clients.clone()), false), knowledge);
            let total = |kind| counts.iter().filter(|(key, _)| key.kind == kind).map(|(_, count)| count).sum::<i64>();
            prop_assert_eq!([total(AccessKind::PullByTag), total(AccessKind::PullByDigest)], expected);
        }
    }

    /// The store checks after every record that no count is negative.
    #[test]
    fn no_count_is_negative_whatever_is_sent(
        wild in vec(wild(), 0..200),
        learnt in vec((0..200_usize, 0..2_usize), 0..4),
    ) {
        let mut counting = Classified::default();
        let mut store = Store::default();
        let mut first: BTreeMap<EventId, _> = BTreeMap::new();
        let mut now = start();
        for (place, access) in wild.iter().enumerate() {
            // A repeat comes while its first is remembered.
            now += TimeDelta::milliseconds(250);
            for (_, image) in learnt.iter().filter(|(when, _)| *when == place) {
                store.record(&counting.learn(&digest(&format!("index-{image}")), &list(*image), start()));
            }
            // An id belongs to one event.
            let access = first.entry(access.id).or_insert_with(|| access.clone());
            store.record(&counting.count(access, now).into_iter().collect::<Vec<_>>());
        }
    }

    /// What is known of indexes, too, may come at any time.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        (in_order, shuffled) in vec(tight(), 0..40).prop_map(with_own_ids).prop_flat_map(|accesses| {
            (Just(accesses.clone()), Just(accesses).prop_shuffle())
        }),
        learnt in vec(0..40_usize, 2),
    ) {
        let mut in_order = in_order;
        in_order.sort_by_key(|access| (access.at, access.action != Action::Head, access.id));
        let learn = |counting: &mut Classified, store: &mut Store, image: usize| {
            store.record(&counting.learn(&digest(&format!("index-{image}")), &list(image), start()));
        };
        let count = |accesses: &[ManifestAccess], learnt: &[usize]| {
            let mut counting = Classified::default();
            let mut store = Store::default();
            for place in 0..=accesses.len() {
                for (image, when) in learnt.iter().enumerate() {
                    if place == (*when).min(accesses.len()) {
                        learn(&mut counting, &mut store, image);
                    }
                }
                if let Some(access) = accesses.get(place) {
                    store.record(&counting.count(access, start()).into_iter().collect::<Vec<_>>());
                }
            }
            store.counts()
        };
        prop_assert_eq!(count(&shuffled, &learnt), count(&in_order, &[0, 0]));
    }

    #[test]
    fn no_more_is_remembered_than_is_allowed(wild in vec(wild(), 0..200), limit in 0..20_usize) {
        let mut counting = Classified::new(limit);
        for access in &wild {
            let _ = counting.count(access, start());
            prop_assert!(counting.remembered() <= limit.max(1));
        }
    }

    /// What is on trial between settled accesses and then taken back is as if it had never come.
    #[test]
    fn what_is_taken_back_leaves_no_trace(
        (settled, tried) in (vec(tight(), 0..40), vec(tight(), 0..40)).prop_map(|(settled, tried)| {
            let count = settled.len();
            let mut all = with_own_ids([settled, tried].concat());
            let tried = all.split_off(count);
            (all, tried)
        }),
        trials in vec((0..40_usize, 0..40_usize, 1..6_usize), 0..8),
        learnt in vec((0..40_usize, any::<bool>()), 2),
    ) {
        let count = |trials: &[(usize, usize, usize)]| {
            let mut counting = Classified::default();
            let mut store = Store::default();
            for place in 0..=settled.len() {
                for (_, from, size) in trials.iter().filter(|(when, ..)| *when == place) {
                    counting.begin_trial();
                    for (image, _) in (0..).zip(&learnt).filter(|(_, (_, on_trial))| *on_trial) {
                        counting.learn(&digest(&format!("index-{image}")), &list(image), start());
                    }
                    for access in tried.iter().skip(*from).take(*size) {
                        let _ = counting.count(access, start());
                    }
                    counting.take_back();
                }
                for (image, (when, _)) in learnt.iter().enumerate() {
                    if place == (*when).min(settled.len()) {
                        store.record(&counting.learn(&digest(&format!("index-{image}")), &list(image), start()));
                    }
                }
                if let Some(access) = settled.get(place) {
                    store.record(&counting.count(access, start()).into_iter().collect::<Vec<_>>());
                }
            }
            store.counts()
        };
        prop_assert_eq!(count(&trials), count(&[]));
    }
}
