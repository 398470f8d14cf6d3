//! What real clients did, and days whose counts are known by construction: the same counts on several servers, and on
//! servers that are killed and started anew before every single access.

#[path = "../../../domain/tests/counting/day.rs"]
mod day;
#[path = "../../../domain/tests/counting/hosts.rs"]
mod hosts;
#[path = "../../../domain/tests/counting/posted.rs"]
mod posted;
#[path = "../../../domain/tests/counting/support.rs"]
#[expect(dead_code, reason = "some of it is for the domain's own tests")]
mod support;

use std::{collections::BTreeMap, env, fs};

use staticreg_domain::{
    ManifestAccess,
    counting::{Classified, Counting as _},
    metrics::AccessKind,
    rules::Rules,
};
use staticreg_simulation::{Counts, Kills, Pace, Setting, play_accesses};

/// How many days are made up.
const DAYS: u64 = 3;

/// Each access goes to one of two servers.
const TWO: Setting = Setting {
    servers: 2,
    faults: 0,
    kills: Kills::Never,
    fail_over: false,
    asks: false,
    remembered: 10_000,
    pace: Pace::Busy,
};
/// The same, and no server knows more than what it reads at its start.
const JUST_STARTED: Setting = Setting { kills: Kills::BeforeEachAccess, ..TWO };
const SETTINGS: [Setting; 3] = [TWO, JUST_STARTED, Setting { servers: 3, faults: 10, kills: Kills::AtRandom, ..TWO }];

fn seed() -> u64 {
    let seed = env::var("SIMULATE_SEED").ok().filter(|text| !text.is_empty());
    let seed = seed.map_or_else(|| fastrand::u64(..u64::MAX / 2), |text| text.parse().expect("SIMULATE_SEED"));
    println!("SIMULATE_SEED={seed}");
    seed
}

fn accesses(folder: &str, name: &str) -> Vec<ManifestAccess> {
    let rules = Rules::new(Classified::default().scope(), Vec::new());
    let posted = posted::recording(folder, name);
    let mut accesses: Vec<_> = posted.iter().filter_map(|(event, at)| rules.admit(event, *at).ok()).collect();
    accesses.sort_by_key(|access| access.at);
    accesses
}

fn totals(counts: &Counts) -> BTreeMap<AccessKind, i64> {
    let mut totals = BTreeMap::new();
    for (key, count) in counts {
        *totals.entry(key.kind).or_default() += count;
    }
    totals
}

#[test]
fn every_recording_counts_the_same_on_several_servers_and_across_restarts() {
    let seed = seed();
    let table = posted::read("tests/fixtures/events/classified.tsv");
    let mut count = 0;
    for row in table.lines().skip(1) {
        let columns: Vec<_> = row.split('\t').collect();
        let kinds = [AccessKind::PullByTag, AccessKind::PullByDigest, AccessKind::VersionCheck, AccessKind::Push];
        let right =
            kinds.into_iter().zip(&columns[1..]).map(|(kind, number)| (kind, number.parse().expect("a number")));
        let right: BTreeMap<_, _> = right.filter(|(_, number)| *number > 0).collect();
        for setting in SETTINGS {
            let counts = play_accesses(fastrand::Rng::with_seed(seed), setting, accesses("events", columns[0]));
            let counts = counts.unwrap_or_else(|wrong| panic!("{}, {setting:?}:\n{wrong}", columns[0]));
            assert_eq!(totals(&counts), right, "{}, {setting:?}", columns[0]);
        }
        count += 1;
    }
    assert!(count > 300, "{count} recordings");
}

/// Their counts, tag by tag, are in the domain's tests; here they are those of reading them in order.
#[test]
fn newer_recordings_count_the_same_on_several_servers_and_across_restarts() {
    let seed = seed();
    let folder = posted::root().join("tests/fixtures/counting");
    let mut count = 0;
    for file in fs::read_dir(folder).expect("the folder is there") {
        let name = file.expect("it can be read").file_name().into_string().expect("text");
        let Some(recording) = name.strip_suffix(".jsonl") else { continue };
        for setting in SETTINGS {
            let counts = play_accesses(fastrand::Rng::with_seed(seed), setting, accesses("counting", &name));
            let counts = counts.unwrap_or_else(|wrong| panic!("{recording}, {setting:?}:\n{wrong}"));
            assert!(!counts.is_empty(), "{recording}");
        }
        count += 1;
    }
    assert!(count >= 10, "{count} recordings");
}

#[test]
fn made_up_days_are_counted_exactly_on_several_servers_and_across_restarts() {
    let seed = seed();
    for number in 0..DAYS {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number));
        let hosts: Vec<_> = (0..day::HOSTS).map(|_| host(&mut random)).collect();
        let hosts::Day { accesses, counts: right } = day::day(&hosts);
        for setting in SETTINGS {
            let counts = play_accesses(random.fork(), setting, accesses.clone());
            let counts = counts.unwrap_or_else(|wrong| panic!("day {number}, {setting:?}:\n{wrong}"));
            let mut lines = hosts::Counts::new();
            for (key, count) in counts {
                let tag = key.tag.map_or("-".to_owned(), |tag| tag.to_string());
                let line = format!("{} {}:{tag} {}", key.kind, key.repository, key.architecture);
                *lines.entry(line).or_default() += count;
            }
            assert_eq!(lines, right, "day {number}, {setting:?}");
        }
    }
}

/// What one host does on a day.
fn host(random: &mut fastrand::Rng) -> (hosts::Client, Vec<day::Deed>) {
    let deeds = (0..day::OPERATIONS).map(|_| {
        (
            hosts::ALL_OPERATIONS[random.usize(..hosts::ALL_OPERATIONS.len())],
            random.usize(..2),
            random.usize(..hosts::TAGS.len()),
            random.usize(..hosts::ARCHITECTURES.len()),
            day::PAUSES[random.usize(..day::PAUSES.len())],
            random.usize(..24),
        )
    });
    let deeds = deeds.collect();
    (hosts::CLIENTS[random.usize(..hosts::CLIENTS.len())], deeds)
}
