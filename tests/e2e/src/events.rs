//! Events as the registry posts them: made up in its shape, and recorded from real clients.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};

/// The digest of the image that made-up events pull.
pub const DIGEST: &str = "sha256:8bfa990430b3f57834ed6b54c3786189eb0ff2233cbe8fd0ddd0ca5423d04924";

/// A manifest's media type.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Repositories that made-up events pull from.
const REPOSITORIES: u64 = 40;

/// A number that no other event of this process has.
#[must_use]
pub fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An envelope of events.
#[must_use]
pub fn notification(events: &[Value]) -> Value {
    json!({ "events": events })
}

/// A pull by tag: the same number is the same event.
#[must_use]
pub fn pull(number: u64) -> Value {
    access(number, "GET", &format!("load/app-{:02}", number % REPOSITORIES), Some("v1"))
}

/// An access of a manifest, with a method, by tag or by digest.
#[must_use]
pub fn access(number: u64, method: &str, repository: &str, tag: Option<&str>) -> Value {
    let second = number % 60;
    let mut event = json!({
        "id": format!("00000000-0000-4000-8000-{number:012x}"),
        "timestamp": format!("2026-01-15T12:00:{second:02}.123456789Z"),
        "action": "pull",
        "target": {
            "mediaType": MANIFEST, "size": 758, "length": 758, "digest": DIGEST, "repository": repository,
            "url": format!("http://127.0.0.1:5000/v2/{repository}/manifests/{DIGEST}"),
        },
        "request": {
            "id": format!("00000000-0000-4000-9000-{number:012x}"),
            "addr": "10.1.2.3:4711", "host": "127.0.0.1:5000", "method": method,
            "useragent": "docker/28.2.2 go/go1.24 kernel/6.18.0 os/linux arch/arm64",
        },
        "actor": {},
        "source": {"addr": "registry:5000", "instanceID": "f08cb177-4d5e-45af-ad6f-01ac97f0f772"},
    });
    if let Some(tag) = tag {
        event["target"]["tag"] = tag.into();
    }
    event
}

/// A recording, as the notifications that were posted.
#[must_use]
pub fn recording(name: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{name}: {error}"));
    read(name).lines().map(|line| parse(line)["body"].take()).collect()
}

/// The rows of a table beside the recordings, without its head.
#[must_use]
pub fn table(name: &str) -> Vec<Vec<String>> {
    read(name).lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/events").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
