//! The classifier: no count falls below zero, an event that comes again changes nothing, and the order in which events
//! arrive does not matter.
#![no_main]

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use libfuzzer_sys::fuzz_target;
use staticreg_domain::{
    ManifestAccess, RegistryEvent,
    counting::{Classified, Counting as _},
    metrics::CountKey,
    registry_event::RegistryReference,
    rules::{Rules, Scope},
};

/// What belongs together arrives within 15 minutes; all of it comes in less.
const SPAN_SECONDS: u32 = 600;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const PLATFORMS: [&str; 2] = ["amd64", "arm64"];

fn digest(image: u8, part: u8) -> String {
    format!("sha256:{image:02x}{part:02x}{:060}", 0)
}

/// An access of one of two clients, of one of two images, in six bytes.
fn access(number: usize, bytes: [u8; 6], start: DateTime<Utc>) -> Option<ManifestAccess> {
    let [who, what, part, tagged, seconds, millis] = bytes;
    let image = what % 2;
    let (media_type, digest_of) = match part % 4 {
        0 => (INDEX, digest(image, 0)),
        child @ 1..=2 => (IMAGE, digest(image, child)),
        _ => (IMAGE, digest(image, 9)),
    };
    let children = PLATFORMS.into_iter().zip(1..).map(|(architecture, child)| RegistryReference {
        media_type: Some(IMAGE.into()),
        digest: Some(digest(image, child)),
        os: Some("linux".into()),
        architecture: Some(architecture.into()),
        ..RegistryReference::default()
    });
    let at = start
        + TimeDelta::seconds((u32::from(seconds) * SPAN_SECONDS / 256).into())
        + TimeDelta::milliseconds(i64::from(millis));
    let event = RegistryEvent {
        id: Some(format!("00000000-0000-4000-8000-{number:012}").into()),
        timestamp: Some(at.to_rfc3339().into()),
        action: Some(if what & 0x40 != 0 { "push" } else { "pull" }.into()),
        method: Some(if what & 0x80 != 0 { "HEAD" } else { "GET" }.into()),
        media_type: Some(media_type.into()),
        repository: Some("demo/app".into()),
        tag: (tagged % 3 != 0).then(|| format!("v{}", tagged % 3).into()),
        digest: Some(digest_of.into()),
        user_agent: Some(if who & 1 == 0 { "docker/28.2.2 os/linux arch/amd64" } else { "containerd/2.3.4" }.into()),
        client_address: Some(format!("192.0.2.{}", who >> 1 & 1).into()),
        references: if media_type == INDEX { children.collect() } else { Vec::new() },
        ..RegistryEvent::default()
    };
    Rules::new(Scope::AllAccesses, Vec::new()).admit(&event, start).ok()
}

fn counts<'a>(accesses: impl Iterator<Item = &'a ManifestAccess>, now: DateTime<Utc>) -> BTreeMap<CountKey, i64> {
    let mut classifier = Classified::new(100_000);
    let (mut counts, mut ids) = (BTreeMap::new(), HashSet::new());
    for access in accesses {
        let Ok(event) = classifier.count(access, now) else { continue };
        if !ids.insert(event.id) {
            continue;
        }
        for change in &event.changes {
            *counts.entry((*change.key).clone()).or_insert(0) += i64::from(change.delta);
        }
        assert!(counts.values().all(|count| *count >= 0), "{counts:?}");
    }
    counts.retain(|_, count| *count != 0);
    counts
}

fuzz_target!(|bytes: &[u8]| {
    let start = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
    let now = start + TimeDelta::seconds(SPAN_SECONDS.into());
    let chunks = bytes.chunks_exact(6).take(24).enumerate();
    let accesses: Vec<_> =
        chunks.filter_map(|(number, chunk)| access(number, chunk.try_into().expect("six"), start)).collect();
    let given = counts(accesses.iter(), now);
    assert_eq!(given, counts(accesses.iter().rev(), now), "the other way round");
    assert_eq!(given, counts(accesses.iter().chain(&accesses), now), "all of it again");
});
