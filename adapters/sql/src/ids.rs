//! Ids of recorded events: the recent ones a row each, the old ones packed by when their events happened, which is in
//! order of time and a seventh of the room. The recent ones are unique by their table's key, the old ones because who
//! stores an event that may be among them looks there first, while nobody archives.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use staticreg_domain::event_id::EventStamp;
use uuid::Uuid;

/// The length of a UUID.
const ID: usize = 16;

/// Ids of events that happened within so many seconds are in one place.
const BUCKET_SECONDS: i64 = 10;

/// Where the id of an event with this timestamp is archived.
pub(crate) fn bucket(timestamp: DateTime<Utc>) -> i64 {
    timestamp.timestamp().div_euclid(BUCKET_SECONDS)
}

/// Where to look for those events that may be archived.
pub(crate) fn buckets_of<'a>(events: impl IntoIterator<Item = &'a EventStamp>, now: DateTime<Utc>) -> Vec<i64> {
    let old = events.into_iter().filter(|event| event.may_be_archived(now));
    old.map(|event| bucket(event.timestamp)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Those of the events whose ids are among packed ones.
pub(crate) fn among<'a>(events: impl IntoIterator<Item = &'a EventStamp>, packed: &[Vec<u8>]) -> HashSet<Uuid> {
    let packed: HashSet<_> = packed.iter().flat_map(|ids| ids.as_chunks::<ID>().0).collect();
    let ids = events.into_iter().map(|event| event.id.as_uuid());
    ids.filter(|id| packed.contains(id.as_bytes())).collect()
}
