//! Made-up days of hosts that do what real clients do: the right counts are known by construction.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{collection::vec, prelude::*, sample::select};
use staticreg_domain::{
    ManifestAccess,
    counting::{Classified, Counting as _, CountingMemory as _},
};

use crate::{
    day::{Deed, HOSTS, OPERATIONS, PAUSES, day},
    hosts::{ALL_OPERATIONS, ARCHITECTURES, CLIENTS, Client, Counts, Day, TAGS},
    seed::cases,
    support::Store,
};

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed =
        (select(ALL_OPERATIONS.to_vec()), 0..2_usize, 0..TAGS.len(), 0..ARCHITECTURES.len(), select(PAUSES.to_vec()));
    vec(
        (deed, 0..24_usize).prop_map(|((what, repository, tag, platform, pause), choice)| {
            (what, repository, tag, platform, pause, choice)
        }),
        1..=OPERATIONS,
    )
}

fn days() -> impl Strategy<Value = Vec<(Client, Vec<Deed>)>> {
    vec((select(CLIENTS.to_vec()), deeds()), HOSTS)
}

fn counted(accesses: impl IntoIterator<Item = (DateTime<Utc>, ManifestAccess)>) -> Counts {
    let mut counting = Classified::default();
    let mut store = Store::default();
    for (now, mut access) in accesses {
        counting.prepare(&mut access, now);
        store.record(&counting.count(&access, now).into_iter().collect::<Vec<_>>());
    }
    let mut counts = Counts::new();
    for (key, count) in store.counts() {
        let tag = key.tag.map_or("-".to_owned(), |tag| tag.to_string());
        let line = format!("{} {}:{tag} {}", key.kind, key.repository, key.architecture);
        *counts.entry(line).or_default() += count;
    }
    counts
}

/// The counts that differ, with the right and the wrong number.
fn differences(counted: &Counts, right: &Counts) -> Vec<String> {
    let lines: BTreeSet<_> = counted.keys().chain(right.keys()).collect();
    let numbers = |line| (right.get(line).copied().unwrap_or_default(), counted.get(line).copied().unwrap_or_default());
    let differing =
        lines.into_iter().map(|line| (line, numbers(line))).filter(|(_, (right, counted))| right != counted);
    differing.map(|(line, (right, counted))| format!("{line}: {counted} instead of {right}")).collect()
}

proptest! {
    #![proptest_config(cases(256))]

    /// Of one host, so that a failure is small.
    #[test]
    fn what_a_host_does_is_counted_exactly(client in select(CLIENTS.to_vec()), deeds in deeds()) {
        let Day { accesses, counts } = day(&[(client, deeds)]);
        let counted = counted(accesses.into_iter().map(|access| (access.at, access)));
        prop_assert_eq!(differences(&counted, &counts), Vec::<String>::new());
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_day_is_counted_exactly(hosts in days(), delays in vec(0..3_000_i64, 97), twice in vec(any::<bool>(), 89)) {
        let Day { accesses, counts } = day(&hosts);
        let in_order = accesses.iter().map(|access| (access.at, access.clone()));
        prop_assert_eq!(differences(&counted(in_order), &counts), Vec::<String>::new(), "in order");
        let delayed = |(access, delay): (&ManifestAccess, &i64)| {
            (access.at + TimeDelta::milliseconds(*delay), access.clone())
        };
        let mut late: Vec<_> = accesses.iter().zip(delays.iter().cycle()).map(delayed).collect();
        // The registry sends some once more.
        let again = late.clone().into_iter().zip(twice.iter().cycle()).filter(|(_, twice)| **twice);
        late.extend(again.map(|((at, access), _)| (at + TimeDelta::seconds(5), access)).collect::<Vec<_>>());
        late.sort_by_key(|(at, _)| *at);
        prop_assert_eq!(differences(&counted(late), &counts), Vec::<String>::new(), "with late events");
    }
}
