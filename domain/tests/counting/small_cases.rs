//! The small cases: what a client does, and what a person would count of it.

use chrono::TimeDelta;
use staticreg_domain::{Action, Architecture, EventId, ManifestAccess, ManifestKind, manifest_access::IndexChild};
use uuid::Uuid;

use crate::support::{children, digest, start};

/// What each manifest of the small cases lists: `I` and `J` are indexes, `L` one that has no image for amd64, `X` a
/// referrers index, `Y` an attached index.
pub(crate) fn list(manifest: &str) -> Option<Vec<IndexChild>> {
    match manifest {
        "I" => Some(children(&[("A", "linux/amd64"), ("R", "linux/arm64"), ("T", "unknown/unknown")])),
        "J" => Some(children(&[("A", "linux/amd64"), ("S", "linux/arm64")])),
        "L" => Some(children(&[("R", "linux/arm64"), ("T", "unknown/unknown")])),
        "V" => Some(children(&[("V6", "linux/arm"), ("V7", "linux/arm")])),
        "X" => Some(children(&[("B", "unknown/unknown"), ("Y", "unknown/unknown")])),
        "Y" => Some(children(&[("C", "unknown/unknown")])),
        _ => None,
    }
}

const DOCKER: &str = "docker/29.7.2 os/linux arch/amd64";
pub(crate) const CONTAINERD: &str = "containerd/v2.3.4";
/// A referrers tag.
pub(crate) const REFERRERS: &str = "sha256-4900000000000000000000000000000000000000000000000000000000000000";

/// An access of a small case: when, in milliseconds; HEAD, GET or PUT; the tag, or `@`; the manifest.
pub(crate) type Case = (i64, &'static str, &'static str, &'static str);

pub(crate) fn accesses(user_agent: &str, events: &[Case], told: bool) -> Vec<ManifestAccess> {
    let access = |(n, (at, method, reference, manifest)): (u128, &Case)| ManifestAccess {
        // Ids in no order.
        id: EventId::from(Uuid::from_u128((n + 1) * 0x9e37_79b9_7f4a_7c15 % 1_000_003)),
        at: start() + TimeDelta::milliseconds(*at),
        arrived_at: None,
        action: match *method {
            "HEAD" => Action::Head,
            "GET" => Action::Get,
            _ => Action::Push,
        },
        manifest: if list(manifest).is_some() { ManifestKind::Index } else { ManifestKind::Image },
        repository: "team/app".parse().expect("a name"),
        tag: (*reference != "@").then(|| reference.parse().expect("a tag")),
        digest: digest(manifest),
        architecture: Architecture::of_user_agent(user_agent),
        client: staticreg_domain::Client::new("10.0.0.7", user_agent),
        children: list(manifest).filter(|_| told).unwrap_or_default(),
    };
    (0..).zip(events).map(access).collect()
}

/// The small cases: name, user agent, accesses, counts (all in team/app).
pub(crate) type Small = (&'static str, &'static str, &'static [Case], &'static [&'static str]);

pub(crate) const SMALL: &[Small] = &[
    (
        "the look-up comes late",
        CONTAINERD,
        &[(100, "GET", "@", "I"), (0, "HEAD", "v1", "I")],
        &["pull_by_tag team/app:v1 not-specified 1"],
    ),
    (
        "the index comes late",
        CONTAINERD,
        &[(0, "HEAD", "v1", "I"), (200, "GET", "@", "A"), (100, "GET", "@", "I")],
        &["pull_by_tag team/app:v1 amd64 1"],
    ),
    (
        "a look for signatures",
        CONTAINERD,
        &[(0, "HEAD", "v1", "I"), (1_000, "GET", REFERRERS, "X"), (1_100, "GET", "@", "B")],
        &["version_check team/app:v1 not-specified 1"],
    ),
    (
        "signatures looked up before they are fetched, and one that is an index",
        CONTAINERD,
        &[
            (0, "HEAD", REFERRERS, "X"),
            (50, "GET", "@", "X"),
            (100, "HEAD", "@", "B"),
            (150, "GET", "@", "B"),
            (200, "GET", "@", "Y"),
            (250, "GET", "@", "C"),
        ],
        &[],
    ),
    (
        "an attachment that was looked up by a tag of its own is pulled",
        CONTAINERD,
        &[(0, "HEAD", "sbom", "B"), (50, "GET", REFERRERS, "X"), (100, "GET", "@", "B")],
        &["pull_by_tag team/app:sbom not-specified 1"],
    ),
    (
        "an attachment fetched a minute later, or without its list, is a pull by digest",
        CONTAINERD,
        &[(0, "GET", REFERRERS, "X"), (61_000, "GET", "@", "B")],
        &["pull_by_digest team/app:- not-specified 1"],
    ),
    (
        "a pull by digest, later a look-up",
        CONTAINERD,
        &[(0, "HEAD", "@", "I"), (100, "GET", "@", "I"), (200, "GET", "@", "A"), (5_000, "HEAD", "v1", "I")],
        &["pull_by_digest team/app:- amd64 1", "version_check team/app:v1 not-specified 1"],
    ),
    (
        "two platforms of a tag, fetched by tag",
        CONTAINERD,
        &[(0, "GET", "v1", "I"), (50, "GET", "@", "A"), (3_000, "GET", "v1", "I"), (3_050, "GET", "@", "R")],
        &["pull_by_tag team/app:v1 amd64 1", "pull_by_tag team/app:v1 arm64 1"],
    ),
    (
        "a tag that shares an image with another, when the client fetches all again",
        CONTAINERD,
        &[
            (0, "GET", "v1", "I"),
            (50, "GET", "@", "A"),
            (3_000, "GET", "v1", "I"),
            (3_050, "GET", "@", "R"),
            (6_000, "GET", "v2", "J"),
            (6_050, "GET", "@", "A"),
        ],
        &["pull_by_tag team/app:v1 amd64 1", "pull_by_tag team/app:v1 arm64 1", "pull_by_tag team/app:v2 amd64 1"],
    ),
    (
        "two platforms twice",
        CONTAINERD,
        &[
            (0, "HEAD", "v1", "I"),
            (50, "GET", "@", "I"),
            (100, "GET", "@", "A"),
            (150, "HEAD", "v1", "I"),
            (200, "GET", "@", "R"),
            (1_200, "HEAD", "v1", "I"),
            (1_250, "GET", "@", "I"),
            (1_300, "GET", "@", "A"),
            (1_350, "HEAD", "v1", "I"),
            (1_400, "GET", "@", "R"),
        ],
        &["pull_by_tag team/app:v1 amd64 2", "pull_by_tag team/app:v1 arm64 2"],
    ),
    (
        "a look-up, then a pull by digest",
        CONTAINERD,
        &[(0, "HEAD", "v1", "I"), (1_000, "HEAD", "@", "I"), (1_050, "GET", "@", "I"), (1_100, "GET", "@", "A")],
        &["version_check team/app:v1 not-specified 1", "pull_by_digest team/app:- amd64 1"],
    ),
    (
        "two hosts behind one address, one up to date",
        CONTAINERD,
        &[(0, "HEAD", "v1", "I"), (50, "GET", "@", "I"), (100, "HEAD", "v1", "I"), (150, "GET", "@", "A")],
        &["pull_by_tag team/app:v1 amd64 1", "version_check team/app:v1 not-specified 1"],
    ),
    (
        "the second platform by digest",
        CONTAINERD,
        &[
            (0, "HEAD", "@", "I"),
            (50, "GET", "@", "I"),
            (100, "GET", "@", "A"),
            (20_000, "HEAD", "@", "I"),
            (20_050, "GET", "@", "R"),
        ],
        &["pull_by_digest team/app:- amd64 1", "pull_by_digest team/app:- arm64 1"],
    ),
    (
        "a platform's image by digest, its index being there",
        CONTAINERD,
        &[(0, "HEAD", "@", "I"), (50, "GET", "@", "R")],
        &["pull_by_digest team/app:- arm64 1"],
    ),
    (
        "the second platform under another tag of the index",
        CONTAINERD,
        &[
            (0, "HEAD", "v1", "I"),
            (50, "GET", "@", "I"),
            (100, "GET", "@", "A"),
            (5_000, "HEAD", "latest", "I"),
            (5_050, "GET", "@", "R"),
        ],
        &["pull_by_tag team/app:v1 amd64 1", "pull_by_tag team/app:latest arm64 1"],
    ),
    (
        "the second of two variants",
        CONTAINERD,
        &[
            (0, "HEAD", "v1", "V"),
            (50, "GET", "@", "V"),
            (100, "GET", "@", "V6"),
            (5_000, "HEAD", "v1", "V"),
            (5_050, "GET", "@", "V6"),
        ],
        &["pull_by_tag team/app:v1 arm 1", "version_check team/app:v1 not-specified 1"],
    ),
    (
        "an attestation is no second platform",
        CONTAINERD,
        &[
            (0, "HEAD", "v1", "I"),
            (50, "GET", "@", "I"),
            (100, "GET", "@", "A"),
            (150, "HEAD", "v1", "I"),
            (200, "GET", "@", "T"),
        ],
        &["pull_by_tag team/app:v1 amd64 1", "version_check team/app:v1 not-specified 1"],
    ),
    (
        "up to date, then another tag whose index lists the same image",
        CONTAINERD,
        &[
            (0, "HEAD", "v1", "I"),
            (50, "GET", "@", "I"),
            (100, "GET", "@", "R"),
            (5_000, "HEAD", "v1", "I"),
            (10_000, "HEAD", "v2", "J"),
            (10_050, "GET", "@", "J"),
            (10_100, "GET", "@", "A"),
        ],
        &[
            "pull_by_tag team/app:v1 arm64 1",
            "version_check team/app:v1 not-specified 1",
            "pull_by_tag team/app:v2 amd64 1",
        ],
    ),
    (
        "an image of an index that is there, listed by another that was pulled just before",
        CONTAINERD,
        &[(0, "GET", "v2", "J"), (50, "GET", "@", "S"), (3_000, "HEAD", "v1", "I"), (3_050, "GET", "@", "A")],
        &["pull_by_tag team/app:v2 arm64 1", "pull_by_tag team/app:v1 amd64 1"],
    ),
    (
        "tags looked up, then all manifests of one read that shares an image with another",
        CONTAINERD,
        &[
            (0, "HEAD", "v1", "I"),
            (50, "HEAD", "v2", "J"),
            (4_000, "GET", "v2", "J"),
            (4_050, "GET", "@", "S"),
            (4_100, "GET", "@", "A"),
        ],
        &[
            "version_check team/app:v1 not-specified 1",
            "version_check team/app:v2 not-specified 1",
            "pull_by_tag team/app:v2 not-specified 1",
        ],
    ),
    (
        "a second tag that shares the image, then its other platform",
        CONTAINERD,
        &[
            (0, "GET", "v1", "I"),
            (50, "GET", "@", "A"),
            (5_000, "HEAD", "v2", "J"),
            (5_050, "GET", "@", "J"),
            (10_000, "HEAD", "v2", "J"),
            (10_050, "GET", "@", "S"),
        ],
        &["pull_by_tag team/app:v1 amd64 1", "pull_by_tag team/app:v2 amd64 1", "pull_by_tag team/app:v2 arm64 1"],
    ),
    (
        "a second tag that shares the image, pulled again in full by another host, then its other platform",
        CONTAINERD,
        &[
            (0, "GET", "v1", "I"),
            (50, "GET", "@", "A"),
            (9_000, "HEAD", "v2", "J"),
            (9_050, "GET", "@", "J"),
            (62_000, "HEAD", "v2", "J"),
            (62_050, "GET", "@", "J"),
            (62_100, "GET", "@", "A"),
            (100_000, "HEAD", "v2", "J"),
            (100_050, "GET", "@", "S"),
        ],
        &["pull_by_tag team/app:v1 amd64 1", "pull_by_tag team/app:v2 amd64 2", "pull_by_tag team/app:v2 arm64 1"],
    ),
    (
        "a second tag that could share an image, but for another platform",
        DOCKER,
        &[
            (0, "HEAD", "v1", "I"),
            (50, "GET", "@", "I"),
            (100, "GET", "@", "A"),
            (5_000, "HEAD", "v2", "J"),
            (5_050, "GET", "@", "J"),
            (5_100, "GET", "@", "S"),
        ],
        &["pull_by_tag team/app:v1 amd64 1", "pull_by_tag team/app:v2 arm64 1"],
    ),
    (
        "a second tag of an image pulled by itself",
        CONTAINERD,
        &[(0, "GET", "v1-amd64", "A"), (5_000, "HEAD", "v2", "J"), (5_050, "GET", "@", "J")],
        &["pull_by_tag team/app:v1-amd64 amd64 1", "pull_by_tag team/app:v2 amd64 1"],
    ),
    (
        "no platform for the host: looked up, fetched, pushed",
        DOCKER,
        &[(0, "PUT", "v1", "L"), (1_000, "HEAD", "v1", "L"), (1_050, "GET", "@", "L"), (9_000, "HEAD", "v1", "L")],
        &[
            "push team/app:v1 not-specified 1",
            "pull_by_tag team/app:v1 not-specified 1",
            "version_check team/app:v1 not-specified 1",
        ],
    ),
    (
        "no platform for the host, but another is asked for",
        DOCKER,
        &[(0, "HEAD", "v1", "L"), (50, "GET", "@", "L"), (100, "GET", "@", "R")],
        &["pull_by_tag team/app:v1 arm64 1"],
    ),
    (
        "a look-up and a pull by tag that have nothing to do with each other",
        CONTAINERD,
        &[(0, "HEAD", "v1", "A"), (2_001, "GET", "v1", "A")],
        &["version_check team/app:v1 not-specified 1", "pull_by_tag team/app:v1 not-specified 1"],
    ),
    (
        "a look-up and a pull by tag that are one",
        CONTAINERD,
        &[(0, "HEAD", "v1", "A"), (10, "HEAD", "v2", "A"), (2_000, "GET", "v1", "A")],
        &["version_check team/app:v2 not-specified 1", "pull_by_tag team/app:v1 not-specified 1"],
    ),
    (
        "a look-up and the fetch at the same time",
        CONTAINERD,
        &[(0, "HEAD", "v1", "A"), (0, "GET", "@", "A")],
        &["pull_by_tag team/app:v1 not-specified 1"],
    ),
    (
        "a pull by digest of what was pushed by tag",
        CONTAINERD,
        &[(0, "PUT", "@", "A"), (50, "PUT", "@", "R"), (100, "PUT", "v1", "I"), (9_000, "GET", "@", "I")],
        &[
            "push team/app:- amd64 1",
            "push team/app:- arm64 1",
            "push team/app:v1 not-specified 1",
            "pull_by_digest team/app:- not-specified 1",
        ],
    ),
];
