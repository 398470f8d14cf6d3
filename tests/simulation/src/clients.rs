//! What clients do at a registry.

use chrono::{DateTime, TimeDelta, Utc};
use staticreg_domain::{
    Action, Architecture, Client, Digest, ManifestAccess, ManifestKind, Platform, manifest_access::IndexChild,
};
use uuid::Uuid;

use crate::Pace;

/// What is done to which manifest, by tag or by digest.
type Step = (Action, bool, &'static str);

/// What real clients do, one operation each: docker, of one platform with a cached index, by digest, all platforms,
/// `BuildKit`, podman, single images, a push.
const OPERATIONS: [&[Step]; 11] = [
    &[(Action::Head, true, "index"), (Action::Get, false, "index"), (Action::Get, false, "amd")],
    &[(Action::Head, true, "index")],
    &[(Action::Head, true, "index"), (Action::Get, false, "arm")],
    &[(Action::Head, false, "index"), (Action::Get, false, "index"), (Action::Get, false, "arm")],
    &[
        (Action::Head, true, "index"),
        (Action::Get, false, "index"),
        (Action::Get, false, "attestation"),
        (Action::Get, false, "arm"),
        (Action::Get, false, "amd"),
    ],
    &[
        (Action::Head, true, "index"),
        (Action::Head, true, "index"),
        (Action::Get, false, "index"),
        (Action::Get, false, "arm"),
        (Action::Get, false, "amd"),
    ],
    &[(Action::Get, true, "index"), (Action::Get, false, "amd")],
    &[(Action::Get, true, "index")],
    &[(Action::Head, true, "single"), (Action::Get, false, "single")],
    &[(Action::Get, true, "single")],
    &[(Action::Push, true, "index")],
];

/// How many milliseconds a host waits between two operations.
const PAUSES: [i64; 7] = [1, 300, 1_500, 9_000, 20_000, 59_000, 61_000];
const LONG_PAUSES: [i64; 10] = [300, 1_500, 20_000, 50_000, 61_000, 300_000, 850_000, 880_000, 905_000, 1_000_000];

const AGENTS: [&str; 2] = ["docker/28.2.2 os/linux arch/amd64", "containerd/2.3.4"];

/// How many images there are, of one repository.
pub(crate) const IMAGES: usize = 2;

/// What the index of an image lists.
pub(crate) fn children(image: usize) -> Vec<IndexChild> {
    [("amd", "amd64"), ("arm", "arm64"), ("attestation", "unknown")]
        .map(|(name, architecture)| IndexChild {
            digest: digest(name, image),
            platform: Platform::new("linux", architecture, None),
        })
        .to_vec()
}

/// The digest of one of an image's manifests.
pub(crate) fn digest(name: &str, image: usize) -> Digest {
    let hex = name.bytes().fold(String::new(), |hex, letter| format!("{hex}{letter:02x}"));
    format!("sha256:{hex:0<63}{image}").parse().expect("a digest")
}

/// What several hosts do in a few minutes, in order. Some events tell the children of an index.
pub(crate) fn accesses(random: &mut fastrand::Rng, start: DateTime<Utc>, pace: Pace) -> Vec<ManifestAccess> {
    let mut accesses = Vec::new();
    for host in 0..random.usize(1..4) {
        let mut at = start + TimeDelta::milliseconds(random.i64(0..5_000));
        let user_agent = AGENTS[random.usize(0..AGENTS.len())];
        let tells = random.bool();
        for _ in 0..random.usize(1..12) {
            let pauses: &[i64] = if pace == Pace::Busy { &PAUSES } else { &LONG_PAUSES };
            at += TimeDelta::milliseconds(pauses[random.usize(0..pauses.len())]);
            let image = random.usize(0..IMAGES);
            for (action, by_tag, what) in OPERATIONS[random.usize(0..OPERATIONS.len())] {
                at += TimeDelta::milliseconds(random.i64(0..60));
                let is_index = *what == "index";
                accesses.push(ManifestAccess {
                    id: Uuid::from_u128(random.u128(..)).into(),
                    at,
                    arrived_at: None,
                    action: *action,
                    manifest: if is_index { ManifestKind::Index } else { ManifestKind::Image },
                    repository: "team/app".parse().expect("a name"),
                    tag: by_tag.then(|| "v1".parse().expect("a tag")),
                    digest: digest(what, image),
                    architecture: Architecture::of_user_agent(user_agent),
                    client: Client::new(&format!("10.0.0.{host}"), user_agent),
                    children: if is_index && tells { children(image) } else { Vec::new() },
                });
            }
        }
    }
    accesses.sort_by_key(|access| access.at);
    accesses
}
