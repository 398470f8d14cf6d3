//! Pull events: what counts.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    EventId, ManifestAccess,
    event_id::EventStamp,
    metrics::{AccessKind, Change, CountKey},
};

/// A registry event that counts, and what it changes in the counts; no change when it is part of a pull that is counted
/// already. Every way of [`crate::counting`] makes these of manifest accesses, and only these are recorded.
///
/// Mostly it is a pull. Look-ups and pushes that are counted beside the pulls come as the same, told apart by
/// [`CountKey::kind`], as do corrections of what was counted before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullEvent {
    /// The event's id.
    pub id: EventId,
    /// When the event counts; see [`ManifestAccess::counted_at`].
    pub at: DateTime<Utc>,
    /// The registry's timestamp, which a repeat carries too.
    pub timestamp: DateTime<Utc>,
    /// The changes, at most one of each key.
    pub changes: Vec<Change>,
}

impl PullEvent {
    /// An access that changes so much.
    #[must_use]
    pub fn new(access: &ManifestAccess, changes: Vec<Change>) -> Self {
        Self { id: access.id, at: access.counted_at(), timestamp: access.at, changes }
    }

    /// The event as its repeats have it.
    #[must_use]
    pub fn stamp(&self) -> EventStamp {
        EventStamp { id: self.id, timestamp: self.timestamp }
    }

    /// The access as a pull by its tag; none when it names no tag.
    #[must_use]
    pub fn by_tag(access: &ManifestAccess) -> Option<Self> {
        let key = CountKey {
            kind: AccessKind::PullByTag,
            date: access.counted_at().date_naive(),
            repository: access.repository.clone(),
            tag: Some(access.tag.clone()?),
            digest: access.digest.clone(),
            architecture: access.architecture.clone(),
        };
        Some(Self::new(access, vec![Change { key: Arc::new(key), delta: 1 }]))
    }

    /// Whether it takes something from a count.
    #[must_use]
    pub fn takes(&self) -> bool {
        self.changes.iter().any(|change| change.delta < 0)
    }

    /// What is left of it where a count it takes something from is not there: what it adds in other kinds. Within a kind
    /// it would only have moved what is not there. None when it takes nothing.
    #[must_use]
    pub fn without_taking(&self) -> Option<Self> {
        let is_taken_from = |kind| self.changes.iter().any(|change| change.delta < 0 && change.key.kind == kind);
        if !self.takes() {
            return None;
        }
        let changes = self.changes.iter().filter(|change| !is_taken_from(change.key.kind)).cloned().collect();
        Some(Self { changes, ..*self })
    }

    /// The counts of a kind that the event adds to, one for each access that came with it: a pull that only moves, to
    /// another architecture, adds none.
    pub fn added(&self, kind: AccessKind) -> impl Iterator<Item = &CountKey> {
        let of_kind = self.changes.iter().filter(move |change| change.key.kind == kind);
        let sum: i32 = of_kind.clone().map(|change| change.delta).sum();
        let more = of_kind.filter(|change| change.delta > 0).map(|change| &*change.key);
        more.take(usize::try_from(sum).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn change(kind: AccessKind, architecture: &str, delta: i32) -> Change {
        let key = CountKey {
            kind,
            date: NaiveDate::MIN,
            repository: "app".parse().expect("a name"),
            tag: None,
            digest: format!("sha256:{:064x}", 1).parse().expect("a digest"),
            architecture: architecture.parse().expect("never fails"),
        };
        Change { key: Arc::new(key), delta }
    }

    #[test]
    fn without_taking_a_pull_is_left_and_a_move_is_not() {
        let of = |changes: &[Change]| PullEvent {
            id: uuid::Uuid::nil().into(),
            at: DateTime::UNIX_EPOCH,
            timestamp: DateTime::UNIX_EPOCH,
            changes: changes.to_vec(),
        };
        let pull = change(AccessKind::PullByTag, "arm64", 1);
        let check = change(AccessKind::VersionCheck, "arm64", -1);
        assert_eq!(of(&[check, pull.clone()]).without_taking(), Some(of(std::slice::from_ref(&pull))));
        let moved = change(AccessKind::PullByTag, "amd64", -1);
        assert_eq!(of(&[moved, pull.clone()]).without_taking(), Some(of(&[])));
        assert_eq!(of(&[pull]).without_taking(), None);
    }
}
