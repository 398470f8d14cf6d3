//! Event ids.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::RegistryEvent;

/// The id that makes recording idempotent: an event with an id that was recorded changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// The namespace of derived ids (RFC 9562, version 5), drawn once for staticreg.
    const NAMESPACE: Uuid = Uuid::from_u128(0x5bb1_27a4_c2e5_4d0d_9a3f_6c0d_71e8_42b9);

    /// The event's own id when it is a UUID; else one derived from the event's content, so that a repeated event has
    /// the same.
    #[must_use]
    pub fn from_event(event: &RegistryEvent) -> Self {
        event.id.as_deref().and_then(|id| Uuid::parse_str(id).ok()).map_or_else(|| Self::derived_from(event), Self)
    }

    /// The id of what this event causes later, told apart by `what`.
    #[must_use]
    pub fn derive(self, what: &str) -> Self {
        Self(Uuid::new_v5(&self.0, what.as_bytes()))
    }

    /// The id as a UUID.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }

    fn derived_from(event: &RegistryEvent) -> Self {
        let members = [
            &event.id,
            &event.timestamp,
            &event.action,
            &event.media_type,
            &event.repository,
            &event.tag,
            &event.digest,
            &event.request_id,
            &event.client_address,
            &event.method,
            &event.user_agent,
        ];
        // Debug quotes and escapes, so two different events never give the same text.
        Self(Uuid::new_v5(&Self::NAMESPACE, format!("{members:?}").as_bytes()))
    }
}

/// What a repeat of an event carries too: stores keep old ids by their timestamps, which takes less room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventStamp {
    /// The event's id.
    pub id: EventId,
    /// The registry's timestamp of it.
    pub timestamp: DateTime<Utc>,
}

impl EventStamp {
    /// An id is archived no sooner than so long after it was recorded.
    pub const ARCHIVED_AFTER: TimeDelta = TimeDelta::hours(2);

    /// An event that is not older than this was not archived, even if the clocks of two servers differ.
    const AT_HAND: TimeDelta = TimeDelta::hours(1);

    /// How far ahead of the clock a timestamp is believed.
    const AHEAD: TimeDelta = TimeDelta::days(8);

    /// Whether the id may be archived, if the event was recorded before.
    #[must_use]
    pub fn may_be_archived(&self, now: DateTime<Utc>) -> bool {
        now - self.timestamp > Self::AT_HAND
    }

    /// When the event is taken to be recorded: not before it happened, by the registry's clock. So what may be archived
    /// shows in the timestamp alone, which a repeat carries too.
    #[must_use]
    pub fn recorded_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.timestamp.clamp(now, now + Self::AHEAD)
    }
}

impl From<Uuid> for EventId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, tag: &str) -> RegistryEvent {
        RegistryEvent { id: id.map(str::to_owned), tag: Some(tag.to_owned()), ..RegistryEvent::default() }
    }

    #[test]
    fn a_uuid_is_kept() {
        let id = "cfad55b0-11a6-4883-94b1-0880c16ae39e";
        assert_eq!(EventId::from_event(&event(Some(id), "v1")).to_string(), id);
    }

    #[test]
    fn without_a_uuid_equal_content_has_an_equal_id() {
        for id in [None, Some(""), Some("17")] {
            assert_eq!(EventId::from_event(&event(id, "v1")), EventId::from_event(&event(id, "v1")), "{id:?}");
            assert_ne!(EventId::from_event(&event(id, "v1")), EventId::from_event(&event(id, "v2")), "{id:?}");
        }
        assert_ne!(EventId::from_event(&event(Some("17"), "v1")), EventId::from_event(&event(Some("18"), "v1")));
    }
}
