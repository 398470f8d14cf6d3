//! What clients do with images, as the events that the registry posts of it, and what a person would count.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::events::access;

/// Pulls and other accesses by kind, tag and architecture, as [`COUNTS`] lists them.
pub type Counts = BTreeMap<String, u64>;

/// Asks a database for its [`Counts`].
pub const COUNTS: &str = "\
    SELECT kind || ' ' || tag || ' ' || architecture, sum(count) FROM ( \
        SELECT 'pull_by_tag' AS kind, tag, architecture, pull_count AS count FROM container_pull_metrics \
        UNION ALL \
        SELECT kind, tag, architecture, event_count FROM container_access_metrics \
    ) AS counts GROUP BY 1 ORDER BY 1";

/// Reads what a database answered to [`COUNTS`].
#[must_use]
pub fn counts(answer: &str) -> Counts {
    let count = |line: &str| {
        let (what, count) = line.split_once('|').unwrap_or_else(|| panic!("no count: {line}"));
        (what.to_owned(), count.parse().unwrap_or_else(|error| panic!("{line}: {error}")))
    };
    answer.lines().map(count).collect()
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Its images, which the registry tells in its events.
const IMAGES: [(&str, &str); 2] = [("a", "amd64"), ("b", "arm64")];

/// Method, by which tag, and which manifest: `1` is the index, `a` and `b` its images, `c` one of no index.
type Step = (&'static str, Option<&'static str>, &'static str);

/// What clients do, and what is counted of it, each once.
const OPERATIONS: [(&[Step], &str); 7] = [
    (&[("HEAD", Some("v1"), "1"), ("GET", None, "1"), ("GET", None, "a")], "pull_by_tag v1 amd64"),
    (&[("HEAD", Some("v1"), "1")], "version_check v1 not-specified"),
    (&[("HEAD", Some("v2"), "1"), ("GET", None, "b")], "pull_by_tag v2 arm64"),
    (&[("GET", None, "c")], "pull_by_digest  not-specified"),
    (&[("GET", Some("v3"), "c")], "pull_by_tag v3 not-specified"),
    (&[("GET", Some("v1"), "1"), ("GET", None, "b")], "pull_by_tag v1 arm64"),
    (&[("HEAD", None, "1"), ("GET", None, "1"), ("GET", None, "a")], "pull_by_digest  amd64"),
];

/// Something a client does. The same number is the same client, doing the same.
#[derive(Clone, Copy, Debug)]
pub struct Operation(u64);

impl Operation {
    /// The operation of a number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// What the registry posts of it.
    pub fn events(self) -> impl Iterator<Item = Value> {
        (0..).zip(self.what().0).map(move |(place, step)| self.event(place, *step))
    }

    /// Adds what is counted of it.
    pub fn count(self, counts: &mut Counts) {
        *counts.entry(self.what().1.to_owned()).or_default() += 1;
    }

    fn what(self) -> (&'static [Step], &'static str) {
        OPERATIONS[usize::try_from(self.0).unwrap_or_default() % OPERATIONS.len()]
    }

    fn event(self, place: u64, (method, tag, manifest): Step) -> Value {
        let Self(number) = self;
        let mut event = access(number * 8 + place, method, &format!("team/app-{}", number % 20), tag);
        let digest = |name: &str| format!("sha256:{name:0>64}");
        let target = &mut event["target"];
        target["digest"] = digest(manifest).into();
        if manifest == "1" {
            target["mediaType"] = INDEX.into();
            target["references"] = IMAGES
                .map(|(name, architecture)| {
                    json!({"digest": digest(name), "platform": {"os": "linux", "architecture": architecture}})
                })
                .to_vec()
                .into();
        }
        event["timestamp"] = format!("2026-01-15T12:{:02}:{:02}.{place}Z", number / 60 % 60, number % 60).into();
        let [.., a, b, c] = number.to_be_bytes();
        event["request"]["addr"] = format!("10.{a}.{b}.{c}:4711").into();
        event["request"]["useragent"] = "containerd/2.3.4".into();
        event
    }
}
