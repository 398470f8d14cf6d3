//! Every manifest pull event with a tag counts, HEAD or GET.

use chrono::{DateTime, Utc};

use super::Counting;
use crate::{
    ManifestAccess, PullEvent,
    rules::{Scope, SkipReason},
};

/// Counts each access by tag as a pull, and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tagged;

impl Counting for Tagged {
    fn scope(&self) -> Scope {
        Scope::TaggedPulls
    }

    fn count(&mut self, access: &ManifestAccess, _now: DateTime<Utc>) -> Result<PullEvent, SkipReason> {
        PullEvent::by_tag(access).ok_or(SkipReason::NoTag)
    }
}
