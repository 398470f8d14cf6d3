//! Every manifest pull event with a tag counts, HEAD or GET.

use chrono::{DateTime, Utc};

use super::Counting;
use crate::{
    Digest, ManifestAccess, PullEvent,
    manifest_access::IndexChild,
    metrics::CountedEvent,
    rules::{Scope, SkipReason},
};

/// Counts each access by tag as a pull, and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tagged;

impl Counting for Tagged {
    fn scope(&self) -> Scope {
        Scope::TaggedPulls
    }

    fn count(&mut self, access: &ManifestAccess, _now: DateTime<Utc>) -> Result<CountedEvent, SkipReason> {
        PullEvent::by_tag(access).map(CountedEvent::from).ok_or(SkipReason::NoTag)
    }

    fn learn(&mut self, _index: &Digest, _children: &[IndexChild]) -> Vec<CountedEvent> {
        Vec::new()
    }
}
