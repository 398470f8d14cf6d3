//! A client to play with, and a store that keeps the contract of recording.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use chrono::{DateTime, TimeDelta, Utc};
use staticreg_domain::{
    Action, Architecture, Client, Digest, EventId, ManifestAccess, ManifestKind, Platform,
    counting::{Classified, Counting, CountingMemory as _},
    manifest_access::IndexChild,
    metrics::{AccessKind, CountKey, PullEvent},
    rules::SkipReason,
};
use uuid::Uuid;

/// Counts by key; each event id counts once.
#[derive(Debug, Default)]
pub(crate) struct Store {
    ids: HashSet<EventId>,
    counts: BTreeMap<CountKey, i64>,
}

impl Store {
    /// Records a batch. No count may ever fall below zero.
    pub(crate) fn record(&mut self, batch: &[PullEvent]) {
        for event in batch {
            if self.ids.insert(event.id) {
                for change in &event.changes {
                    *self.counts.entry((*change.key).clone()).or_default() += i64::from(change.delta);
                }
            }
        }
        for (key, count) in &self.counts {
            assert!(*count >= 0, "{count} of {key:?}");
        }
    }

    /// The counts that are not zero.
    pub(crate) fn counts(&self) -> BTreeMap<CountKey, i64> {
        self.counts.iter().filter(|(_, count)| **count != 0).map(|(key, count)| (key.clone(), *count)).collect()
    }

    /// The sum of a kind's counts.
    pub(crate) fn total(&self, kind: AccessKind) -> i64 {
        self.counts.iter().filter(|(key, _)| key.kind == kind).map(|(_, count)| count).sum()
    }
}

/// The counts as short lines: kind, tag, first letters of the digest, architecture, count.
pub(crate) fn lines(store: &Store) -> String {
    store.counts().iter().fold(String::new(), |mut lines, (key, count)| {
        let CountKey { kind, tag, digest, architecture, .. } = key;
        let tag = tag.as_ref().map_or("-", |tag| tag.as_str());
        let digest = name_of(digest);
        writeln!(lines, "{kind} {tag} {digest} {architecture} {count}").expect("a String takes all");
        lines
    })
}

/// A digest made from a short name of letters, to be read back by [`name_of`].
pub(crate) fn digest(name: &str) -> Digest {
    let hex = name.bytes().fold(String::new(), |hex, letter| format!("{hex}{letter:02x}"));
    format!("sha256:{hex:0<64}").parse().expect("a digest")
}

fn name_of(digest: &Digest) -> String {
    let hex = &digest.as_str()["sha256:".len()..];
    let letters = (0..32).filter_map(|place| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).ok());
    letters.take_while(|letter| *letter != 0).map(char::from).collect()
}

/// Children of an index: names and `os/architecture`; `unknown/unknown` for attestations.
pub(crate) fn children(children: &[(&str, &str)]) -> Vec<IndexChild> {
    let child = |(name, platform): &(&str, &str)| {
        let (os, architecture) = platform.split_once('/').expect("os/architecture");
        IndexChild { digest: digest(name), platform: Platform::new(os, architecture, None) }
    };
    children.iter().map(child).collect()
}

pub(crate) fn start() -> DateTime<Utc> {
    "2026-11-21T20:00:00Z".parse().expect("a time")
}

/// The accesses of one client to one repository, a millisecond apart, counted and stored one by one.
pub(crate) struct Play {
    pub(crate) counting: Classified,
    pub(crate) store: Store,
    pub(crate) access: ManifestAccess,
    ids: u128,
}

impl Play {
    pub(crate) fn new() -> Self {
        let access = ManifestAccess {
            id: EventId::from(Uuid::nil()),
            at: start(),
            arrived_at: None,
            action: Action::Get,
            manifest: ManifestKind::Image,
            repository: "library/nginx".parse().expect("a name"),
            tag: None,
            digest: digest("none"),
            architecture: Architecture::not_specified(),
            client: Client::new("10.0.0.7", "containerd/2.3.4"),
            children: Vec::new(),
        };
        Self { counting: Classified::default(), store: Store::default(), access, ids: 0 }
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, seconds: i64) -> &mut Self {
        self.access.at += TimeDelta::seconds(seconds);
        self
    }

    /// The client's host says its architecture.
    pub(crate) fn user_agent(&mut self, user_agent: &str) -> &mut Self {
        self.access.client = Client::new("10.0.0.7", user_agent);
        self.access.architecture = Architecture::of_user_agent(user_agent);
        self
    }

    pub(crate) fn knows(&mut self, index: &str, list: &[(&str, &str)]) -> &mut Self {
        let corrections = self.counting.learn(&digest(index), &children(list), self.access.at);
        self.store.record(&corrections);
        self
    }

    /// `what` is `index` or `image`, and its name; `reference` a tag, or `@` for the digest.
    pub(crate) fn head(&mut self, what: &str, reference: &str) -> &mut Self {
        self.does(Action::Head, what, reference)
    }

    pub(crate) fn get(&mut self, what: &str, reference: &str) -> &mut Self {
        self.does(Action::Get, what, reference)
    }

    pub(crate) fn push(&mut self, what: &str, reference: &str) -> &mut Self {
        self.does(Action::Push, what, reference)
    }

    fn does(&mut self, action: Action, what: &str, reference: &str) -> &mut Self {
        let mut access = self.next(action, what, reference);
        let now = access.at;
        self.counting.prepare(&mut access, now);
        if let Ok(event) = self.counting.count(&access, access.at) {
            self.store.record(&[event]);
        }
        self
    }

    /// The next access, not counted yet.
    pub(crate) fn next(&mut self, action: Action, what: &str, reference: &str) -> ManifestAccess {
        let (kind, name) = what.split_once(' ').expect("a kind and a name");
        self.ids += 1;
        self.access.at += TimeDelta::milliseconds(1);
        ManifestAccess {
            id: EventId::from(Uuid::from_u128(self.ids)),
            action,
            manifest: if kind == "index" { ManifestKind::Index } else { ManifestKind::Image },
            tag: (reference != "@").then(|| reference.parse().expect("a tag")),
            digest: digest(name),
            ..self.access.clone()
        }
    }

    /// Why an access does not count.
    pub(crate) fn skipped(&mut self, action: Action, what: &str, reference: &str) -> Option<SkipReason> {
        let access = self.next(action, what, reference);
        self.counting.count(&access, access.at).err()
    }

    #[track_caller]
    pub(crate) fn shows(&mut self, expected: &[&str]) -> &mut Self {
        let mut lines: Vec<_> = lines(&self.store).lines().map(str::to_owned).collect();
        lines.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(lines, expected);
        self
    }
}
