//! Recordings: what a registry posted, as files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use staticreg_domain::{RegistryEvent, registry_event::RegistryReference};

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find(|folder| folder.join("Cargo.lock").is_file()).expect("a project has a Cargo.lock").to_owned()
}

/// A file of the project.
pub(crate) fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An event as it was posted, and when it arrived.
pub(crate) type Posted = (RegistryEvent, DateTime<Utc>);

/// A recording in a folder of `tests/fixtures`.
pub(crate) fn recording(folder: &str, name: &str) -> Vec<Posted> {
    let text = read(&format!("tests/fixtures/{folder}/{name}"));
    let posts = text.lines().map(|line| serde_json::from_str::<Value>(line).expect(name));
    posts
        .flat_map(|post| {
            let at = post["received_at"].as_str().and_then(|at| at.parse().ok()).expect("a time of arrival");
            let events = post["body"]["events"].as_array().expect("events").clone();
            events.into_iter().map(move |event| (event_of(&event), at))
        })
        .collect()
}

fn event_of(event: &Value) -> RegistryEvent {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (target, request) = (&event["target"], &event["request"]);
    let reference = |reference: &Value| RegistryReference {
        media_type: text(&reference["mediaType"]),
        digest: text(&reference["digest"]),
        os: text(&reference["platform"]["os"]),
        architecture: text(&reference["platform"]["architecture"]),
        variant: text(&reference["platform"]["variant"]),
    };
    RegistryEvent {
        id: text(&event["id"]),
        timestamp: text(&event["timestamp"]),
        action: text(&event["action"]),
        media_type: text(&target["mediaType"]),
        repository: text(&target["repository"]),
        tag: text(&target["tag"]),
        digest: text(&target["digest"]),
        references: target["references"].as_array().map(|all| all.iter().map(reference).collect()).unwrap_or_default(),
        request_id: text(&request["id"]),
        client_address: text(&request["addr"]),
        method: text(&request["method"]),
        user_agent: text(&request["useragent"]),
    }
}
