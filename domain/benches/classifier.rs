//! What classifying costs: nanoseconds per event with a full memory, and bytes per remembered event.
//!
//! Every event has an id of its own; 2,000 images of 200 repositories are pulled by 500 hosts with one user agent, by as
//! many hosts as there are pulls, and one image by a single host that pulls without end.

use std::{
    env, fs,
    hint::black_box,
    process::Command,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use staticreg_domain::{
    Action, Architecture, Client, Digest, EventId, ManifestAccess, ManifestKind, Platform, RepositoryName, Tag,
    counting::{Classified, Counting, CountingMemory as _},
    manifest_access::IndexChild,
};
use uuid::Uuid;

const USER_AGENT: &str = "docker/28.2.2 go/go1.24.3 git-commit/45873be kernel/6.18.0-generic os/linux arch/amd64 \
                          UpstreamClient(Docker-Client/28.2.2 \\(linux\\))";
const IMAGES: usize = 2_000;
const TAGS_OF_A_REPOSITORY: usize = 10;
const HOSTS: usize = 500;
const EVENTS: usize = 1_000_000;
/// The pulls that are made ahead, and repeated with new ids and times.
const PULLS_MADE: usize = 10_000;
/// Events come this fast, so the memory is full of the last five seconds.
const MICROSECONDS_PER_EVENT: i64 = 25;

struct Image {
    repository: RepositoryName,
    tag: Tag,
    index: Digest,
    child: Digest,
}

/// What is done to which manifest, by tag or by digest.
type Step = (Action, bool, ManifestKind);

/// What is measured.
struct Case {
    name: &'static str,
    /// Whether the platforms of indexes are known.
    known: bool,
    images: usize,
    hosts: usize,
    /// What a client does.
    steps: &'static [Step],
}

const CASES: [Case; 7] = [
    Case { name: "GET by tag of an image", steps: &[(Action::Get, true, ManifestKind::Image)], ..PULLS },
    Case { name: "HEAD by tag of an image", steps: &[(Action::Head, true, ManifestKind::Image)], ..PULLS },
    Case { name: "HEAD by tag of an index", steps: &[(Action::Head, true, ManifestKind::Index)], ..PULLS },
    PULLS,
    Case { name: "the same, platforms known", known: true, ..PULLS },
    Case { name: "the same, each of another host", known: true, hosts: PULLS_MADE, ..PULLS },
    Case { name: "the same, of one host and image", known: true, images: 1, hosts: 1, ..PULLS },
];

const PULLS: Case =
    Case { name: "docker pull: HEAD, GET index, GET image", known: false, images: IMAGES, hosts: HOSTS, steps: &PULL };

const PULL: [Step; 3] = [
    (Action::Head, true, ManifestKind::Index),
    (Action::Get, false, ManifestKind::Index),
    (Action::Get, false, ManifestKind::Image),
];

/// Measures each case in a process of its own, so that no memory is left from the one before.
fn main() {
    const CASE: &str = "CLASSIFIER_CASE";
    if let Some(case) = env::var(CASE).ok().and_then(|case| case.parse::<usize>().ok()) {
        measure(&CASES[case]);
        return;
    }
    println!("{EVENTS} events, {} remembered", Classified::DEFAULT_MAX_ENTRIES);
    println!("{:<44} {:>9} {:>12}", "", "ns/event", "bytes/event");
    let program = env::current_exe().expect("a program knows where it is");
    for (case, Case { name, .. }) in CASES.iter().enumerate() {
        let status = Command::new(&program).env(CASE, case.to_string()).status().expect("it runs again");
        assert!(status.success(), "{name}");
    }
}

fn measure(Case { name, known, images, hosts, steps }: &Case) {
    let images: Vec<Image> = (0..*images).map(image).collect();
    let before = resident_bytes();
    let mut counting = Classified::default();
    if *known {
        for image in &images {
            counting.learn(&image.index, &[child(image)], DateTime::UNIX_EPOCH);
        }
    }
    let start: DateTime<Utc> = "2026-11-21T20:00:00Z".parse().expect("a time");
    let mut accesses: Vec<ManifestAccess> = Vec::new();
    for n in 0..PULLS_MADE {
        let image = &images[n * 7 % images.len()];
        accesses.extend(steps.iter().map(|step| access(n % hosts, image, *step)));
    }
    let own = resident_bytes() - before;
    let mut changes = 0;
    let mut busy = Duration::ZERO;
    let mut measured = 0;
    let mut ids = 1_i64..;
    for round in 0..EVENTS / accesses.len() {
        for access in &mut accesses {
            let n = ids.next().expect("endless");
            access.at = start + TimeDelta::microseconds(n * MICROSECONDS_PER_EVENT);
            // Ids as random as UUIDs of version 4, without the cost of drawing them.
            let id = u128::from(n.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            access.id = EventId::from(Uuid::from_u128(id));
        }
        let begin = Instant::now();
        for access in &accesses {
            let counted = counting.count(black_box(access), access.at);
            changes += black_box(counted).map_or(0, |counted| counted.changes.len());
        }
        if round * accesses.len() >= Classified::DEFAULT_MAX_ENTRIES {
            busy += begin.elapsed();
            measured += accesses.len();
        }
    }
    assert!(changes > 0, "something was counted");
    let bytes = (resident_bytes() - before - own) / counting.remembered();
    println!("{name:<44} {:>9} {bytes:>12}", busy.as_nanos() / measured as u128);
}

fn image(n: usize) -> Image {
    let digest = |n: usize| format!("sha256:{n:064x}").parse().expect("a digest");
    Image {
        repository: format!("team-{}/service", n / TAGS_OF_A_REPOSITORY).parse().expect("a name"),
        tag: format!("v1.{}", n % TAGS_OF_A_REPOSITORY).parse().expect("a tag"),
        index: digest(n),
        child: digest(n + IMAGES),
    }
}

fn child(image: &Image) -> IndexChild {
    IndexChild { digest: image.child.clone(), platform: Platform::new("linux", "arm64", None) }
}

fn access(host: usize, image: &Image, (action, by_tag, manifest): Step) -> ManifestAccess {
    ManifestAccess {
        id: EventId::from(Uuid::nil()),
        at: DateTime::UNIX_EPOCH,
        arrived_at: None,
        action,
        manifest,
        repository: image.repository.clone(),
        tag: by_tag.then(|| image.tag.clone()),
        digest: if by_tag || manifest == ManifestKind::Index { image.index.clone() } else { image.child.clone() },
        architecture: Architecture::of_user_agent(USER_AGENT),
        client: Client::new(&format!("10.0.{}.{}", host / 250, host % 250), USER_AGENT),
        children: Vec::new(),
    }
}

/// The memory the process has, from Linux's `/proc`.
fn resident_bytes() -> usize {
    const PAGE: usize = 4_096;
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux tells of its processes");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second number");
    pages * PAGE
}
