//! Replays what real clients made a real registry send; see `tests/fixtures/events/README.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use chrono::{DateTime, Utc};
use staticreg_domain::{
    Architecture, Digest, ManifestAccess, Platform,
    counting::{Classified, Counting, CountingMemory, Tagged},
    manifest_access::IndexChild,
    metrics::{AccessKind, CountKey},
    rules::Rules,
};

use crate::{
    posted::{Posted, read, recording, root},
    support::Store,
};

/// The lines around the table in the documentation.
const BEGIN: &str = "<!-- recordings: begin -->\n";
const END: &str = "<!-- recordings: end -->\n";

fn table(name: &str) -> Vec<Vec<String>> {
    let text = read(&format!("tests/fixtures/events/{name}"));
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// What the registry says of the indexes in it.
fn indexes() -> BTreeMap<Digest, Vec<IndexChild>> {
    let mut indexes: BTreeMap<Digest, Vec<IndexChild>> = BTreeMap::new();
    for row in table("indexes.tsv") {
        let (os, architecture) = row[2].split_once('/').expect("os/architecture");
        let child =
            IndexChild { digest: row[1].parse().expect("a digest"), platform: Platform::new(os, architecture, None) };
        indexes.entry(row[0].parse().expect("a digest")).or_default().push(child);
    }
    indexes
}

/// How events come, and whether they are stored.
#[derive(Clone, Copy, Debug)]
enum Delivery {
    /// Each once.
    Plain,
    /// Each twice in a row.
    Twice,
    /// All, then all again.
    AllAgain,
    /// The store fails with the batch of so many events that begins at this place; the events come again.
    FailsAt(usize, usize),
    /// The same, but the batch was stored.
    AnswerLostAt(usize, usize),
}

/// Replays events on a fresh state; with `indexes`, those wanted are asked from the registry after each batch.
fn replay(
    events: &[Posted],
    mut counting: impl Counting,
    indexes: Option<&BTreeMap<Digest, Vec<IndexChild>>>,
    delivery: Delivery,
) -> Store {
    let rules = Rules::new(counting.scope(), Vec::new());
    let mut accesses: Vec<(ManifestAccess, DateTime<Utc>)> =
        events.iter().filter_map(|(event, at)| Some((rules.admit(event, *at).ok()?, *at))).collect();
    match delivery {
        Delivery::Twice => accesses = accesses.iter().flat_map(|access| [access.clone(), access.clone()]).collect(),
        Delivery::AllAgain => accesses.extend(accesses.clone()),
        Delivery::Plain | Delivery::FailsAt(..) | Delivery::AnswerLostAt(..) => {}
    }
    let mut store = Store::default();
    let mut place = 0;
    while place < accesses.len() {
        let (size, tries, stored_at_first) = match delivery {
            Delivery::FailsAt(at, size) if at == place => (size, 2, false),
            Delivery::AnswerLostAt(at, size) if at == place => (size, 2, true),
            _ => (1, 1, true),
        };
        let batch = &accesses[place..accesses.len().min(place + size)];
        let now = batch.last().map_or(DateTime::UNIX_EPOCH, |(_, at)| *at);
        for attempt in 1..=tries {
            counting.memory().into_iter().for_each(CountingMemory::begin_trial);
            let mut count = |(access, at): &(ManifestAccess, DateTime<Utc>)| {
                let mut access = access.clone();
                counting.memory().into_iter().for_each(|memory| memory.prepare(&mut access, *at));
                counting.count(&access, *at).ok()
            };
            let counted: Vec<_> = batch.iter().filter_map(&mut count).collect();
            let is_stored = attempt == tries || stored_at_first;
            if is_stored {
                store.record(&counted);
            }
            if let Some(memory) = counting.memory() {
                if is_stored { memory.settle(now) } else { memory.take_back() }
            }
        }
        place += size;
        for (_, index) in counting.memory().into_iter().flat_map(CountingMemory::wanted).collect::<Vec<_>>() {
            if let (Some(children), Some(memory)) = (indexes.and_then(|indexes| indexes.get(&index)), counting.memory())
            {
                store.record(&memory.learn(&index, children, now));
            }
        }
    }
    store
}

fn deliveries(events: usize) -> Vec<Delivery> {
    let mut deliveries = vec![Delivery::Plain, Delivery::Twice, Delivery::AllAgain];
    for at in 0..events {
        for size in [1, 2, events] {
            deliveries.extend([Delivery::FailsAt(at, size), Delivery::AnswerLostAt(at, size)]);
        }
    }
    deliveries
}

/// A row of `classified.tsv`, or the same seen in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Counts {
    /// Pulls by tag, pulls by digest, version checks, pushes.
    totals: [i64; 4],
    /// Repository and tag, and digest, of the pulls by tag.
    pulled: BTreeSet<(String, String)>,
    /// The architecture of each pull by tag.
    architectures: Vec<String>,
}

impl Counts {
    fn expected(row: &[String], platforms_known: bool) -> Self {
        let number = |column: usize| row[column].parse().expect("a number");
        let list = &row[if platforms_known { 8 } else { 7 }];
        let mut architectures: Vec<_> =
            list.split(',').filter(|architecture| *architecture != "-").map(str::to_owned).collect();
        architectures.sort();
        let pulled = (row[5] != "-").then(|| (row[5].clone(), row[6].clone())).into_iter().collect();
        Self { totals: [number(1), number(2), number(3), number(4)], pulled, architectures }
    }

    fn of(store: &Store) -> Self {
        let kinds = [AccessKind::PullByTag, AccessKind::PullByDigest, AccessKind::VersionCheck, AccessKind::Push];
        let mut pulled = BTreeSet::new();
        let mut architectures = Vec::new();
        for (key, count) in store.counts() {
            let CountKey { kind: AccessKind::PullByTag, repository, tag: Some(tag), digest, architecture, .. } = key
            else {
                continue;
            };
            pulled.insert((format!("{repository}:{tag}"), digest.to_string()));
            architectures.extend((0..count).map(|_| architecture.to_string()));
        }
        architectures.sort();
        Self { totals: kinds.map(|kind| store.total(kind)), pulled, architectures }
    }
}

#[test]
fn every_recording_has_its_expected_counts() {
    let folder = root().join("tests/fixtures/events");
    let recordings: BTreeSet<String> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|file| file.expect("it can be read").file_name().into_string().expect("UTF-8"))
        .filter(|name| PathBuf::from(name).extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    assert!(recordings.len() > 300, "{} recordings", recordings.len());
    for list in ["classified.tsv", "tagged.tsv"] {
        let named: BTreeSet<String> = table(list).into_iter().map(|row| row[0].clone()).collect();
        assert_eq!(named, recordings, "{list}");
    }
}

#[test]
fn counting_by_tag_counts_each_recording_as_written_down() {
    for row in table("tagged.tsv") {
        let events = recording("events", &row[0]);
        for delivery in deliveries(events.len()) {
            let store = replay(&events, Tagged, None, delivery);
            assert_eq!(store.total(AccessKind::PullByTag).to_string(), row[1], "{} {delivery:?}", row[0]);
        }
    }
}

#[test]
fn classifying_counts_each_recording_as_written_down() {
    let indexes = indexes();
    let mut wrong = Vec::new();
    for row in table("classified.tsv") {
        let events = recording("events", &row[0]);
        for known in [None, Some(&indexes)] {
            let expected = Counts::expected(&row, known.is_some());
            for delivery in deliveries(events.len()) {
                let counts = Counts::of(&replay(&events, Classified::default(), known, delivery));
                if counts != expected {
                    wrong.push(format!("{} {delivery:?}\n  expected {expected:?}\n  counted  {counts:?}", row[0]));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The platforms are told by the registry in time: what is known from the start counts the same.
#[test]
fn platforms_known_before_count_as_those_learnt_between() {
    let indexes = indexes();
    for row in table("classified.tsv") {
        let mut counting = Classified::default();
        for (index, children) in &indexes {
            assert_eq!(counting.learn(index, children, DateTime::UNIX_EPOCH), []);
        }
        let store = replay(&recording("events", &row[0]), counting, None, Delivery::Plain);
        let counts = Counts::of(&store);
        let expected = Counts::expected(&row, true);
        assert_eq!((counts.totals, &counts.pulled), (expected.totals, &expected.pulled), "{}", row[0]);
        // A single manifest's platform is known then too, from the index that lists it.
        for (key, _) in store.counts().into_iter().filter(|(key, _)| key.kind == AccessKind::PullByTag) {
            if !indexes.contains_key(&key.digest) {
                let told = indexes.values().flatten().find(|child| child.digest == key.digest);
                let told = told.and_then(|child| child.platform.as_ref()).map(|platform| &platform.architecture);
                assert!(told.is_none_or(|told| *told == key.architecture), "{} {key:?}", row[0]);
            }
        }
        if counts.pulled.iter().all(|(_, digest)| indexes.contains_key(&digest.parse().expect("a digest"))) {
            assert_eq!(counts.architectures, expected.architectures, "{}", row[0]);
        }
    }
}

#[test]
fn the_documentation_shows_what_the_recordings_count() {
    const PAGE: &str = "docs/counting.md";
    let page = read(PAGE);
    let (before, rest) = page.split_once(BEGIN).expect("the line where the table begins");
    let (_, after) = rest.split_once(END).expect("the line where the table ends");
    let fresh = format!("{before}{BEGIN}{}{END}{after}", markdown());
    if env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(root().join(PAGE), fresh).expect("the page can be written");
    } else {
        assert!(fresh == page, "{PAGE} is stale: run with UPDATE_DOCS=1 to write the table anew");
    }
}

/// `SETTING__CLIENT__OPERATION.jsonl`, as people read it.
fn client_and_operation(name: &str) -> (String, String) {
    let parts: Vec<_> = name.trim_end_matches(".jsonl").split("__").collect();
    let (setting, client, operation) = match parts[..] {
        [client, operation] => ("", client, operation),
        ["auth", client, operation] => (", with a password", client, operation),
        ["refs", client, operation] => (", references in events", client, operation),
        ["proxy", _, operation] => {
            let (client, operation) = operation.split_once('-').expect("client and operation");
            (", through a cache", client, operation)
        }
        _ => panic!("{name} is not named after client and operation"),
    };
    (format!("{client}{setting}"), operation.to_owned())
}

/// The table of the documentation. Operations of a client that count the same share a row.
fn markdown() -> String {
    let indexes = indexes();
    let mut rows: Vec<(String, Counts, Counts, String, Vec<String>)> = Vec::new();
    for row in table("classified.tsv") {
        let events = recording("events", &row[0]);
        let count = |known| Counts::of(&replay(&events, Classified::default(), known, Delivery::Plain));
        let (plain, known) = (count(None), count(Some(&indexes)));
        let (client, operation) = client_and_operation(&row[0]);
        let same = |(of, a, b, note, _): &&mut (String, Counts, Counts, String, Vec<String>)| {
            let shown = |counts: &Counts| (counts.totals, counts.architectures.clone());
            *of == client && shown(a) == shown(&plain) && shown(b) == shown(&known) && *note == row[9]
        };
        match rows.iter_mut().find(same) {
            Some(row) => row.4.push(operation),
            None => rows.push((client, plain, known, row[9].clone(), vec![operation])),
        }
    }
    let mut text = "| client | operation | pulls by tag | pulls by digest | version checks | pushes | architecture by \
                    user agent | by platform | |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    for (client, plain, known, note, operations) in rows {
        write!(text, "| {client} | {} |", operations.join(", ")).expect("a String takes all");
        for total in plain.totals {
            write!(text, " {} |", if total == 0 { String::new() } else { total.to_string() }).expect("as above");
        }
        for counts in [&plain, &known] {
            let told = counts.architectures.iter().filter(|name| *name != Architecture::NOT_SPECIFIED);
            let told: Vec<_> = told.map(String::as_str).collect();
            write!(text, " {} |", told.join(", ")).expect("as above");
        }
        writeln!(text, " {} |", if note == "-" { "" } else { &note }).expect("as above");
    }
    while text.contains("|  |") {
        text = text.replace("|  |", "| |");
    }
    text
}
