//! Clean up: which tags of the registry may go, and what keeps the others. Nothing is deleted here.
//!
//! What is on the list may be deleted by somebody, so in doubt a tag is kept. [`rules`] says what keeps one.

mod counted;
mod in_use;
mod report;
mod rules;
#[cfg(test)]
mod tests;

pub use in_use::{SILENT_AFTER, SourceHeard};
pub use report::{Cleanup, CleanupItem, Freed, Keeper, Place, Verdict};

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use regex::bytes::{Regex, RegexBuilder};
use staticreg_domain::{
    Tag,
    metrics::{Folder, MetricsError},
    running::RunningImages,
};
use tokio::time::{Instant, sleep};

use crate::{
    aside::aside,
    ask_metrics::AskMetrics,
    browse::{Shown, answer_cache::AnswerCache},
    catalog::{CatalogSnapshot, CatalogSnapshots},
};
use counted::Counted;
use in_use::InUse;

/// How many answers of a kind are kept.
const KEPT_COUNTED: usize = 2;
const KEPT_REPORTS: usize = 4;

/// How old counts may be: most take long to add up.
const COUNTED_NEW: Duration = Duration::from_mins(10);

/// How old they may be while newer ones are added up.
const COUNTED_MAX_AGE: TimeDelta = TimeDelta::minutes(20);

/// How old that which runs may be.
const IN_USE_NEW: Duration = Duration::from_secs(2);
const IN_USE_MAX_AGE: TimeDelta = TimeDelta::minutes(1);

/// The pause before an answer that is too old is asked for again.
const AGAIN: Duration = Duration::from_millis(20);

/// The most memory that a pattern may take, in bytes.
const PATTERN_SIZE: usize = 256 * 1024;

/// What may go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CleanupQuestion {
    /// For how many days nobody used it.
    pub unused_days: u32,
    /// How many of the newest images of each repository stay in any case.
    pub keep_latest: u32,
    /// The tags that stay in any case.
    pub keep_tags: Option<TagPattern>,
    /// Only what is in this folder, at any depth.
    pub folder: Option<Folder>,
    /// Which tags are listed.
    pub listed: Listed,
}

impl CleanupQuestion {
    /// For how many days a tag is unused that may go, when nobody says.
    pub const UNUSED_DAYS: u32 = 90;
    /// The most days that can be asked for.
    pub const MAX_UNUSED_DAYS: u32 = 3_660;
    /// How many of the newest images stay, when nobody says.
    pub const KEEP_LATEST: u32 = 10;
    /// The most of them that can be asked for.
    pub const MAX_KEEP_LATEST: u32 = 10_000;
}

impl Default for CleanupQuestion {
    fn default() -> Self {
        let (unused_days, keep_latest) = (Self::UNUSED_DAYS, Self::KEEP_LATEST);
        Self { unused_days, keep_latest, keep_tags: None, folder: None, listed: Listed::Candidates }
    }
}

/// Which tags are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listed {
    /// Those that may go.
    Candidates,
    /// Those that stay, each with what keeps it.
    Kept,
}

/// A regular expression for tags. It is looked for anywhere in a tag.
#[derive(Clone, Debug)]
pub struct TagPattern(Regex);

/// The text is no regular expression, or too large a one; in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a regular expression, or too large a one")]
pub struct InvalidTagPattern;

impl TagPattern {
    /// The most characters of a pattern.
    pub const MAX_LENGTH: usize = 256;

    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, InvalidTagPattern> {
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidTagPattern);
        }
        // Tags are ASCII.
        let mut builder = RegexBuilder::new(text);
        builder.unicode(false).size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE);
        builder.build().map(Self).map_err(|_| InvalidTagPattern)
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    fn fits(&self, tag: &Tag) -> bool {
        self.0.is_match(tag.as_str().as_bytes())
    }
}

impl PartialEq for TagPattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for TagPattern {}

impl Hash for TagPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// Why a list cannot be given now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotYet {
    /// It is being worked out.
    InWork,
    /// The store does not answer.
    StoreAway,
}

/// The use case. Clones share what is kept.
#[derive(Clone)]
pub struct CleanUp(Arc<Inner>);

struct Inner {
    ask: AskMetrics,
    catalog: Option<CatalogSnapshots>,
    running: Arc<dyn RunningImages>,
    counted: AnswerCache<u32, Counted>,
    in_use: AnswerCache<(), InUse>,
    /// By what they are made of: the question, when its counts were asked for, and what was heard last.
    reports: AnswerCache<(CleanupQuestion, DateTime<Utc>, in_use::Stamp), Cleanup>,
}

impl CleanUp {
    /// Asks the counts, the registry when there is a snapshot of it, and what runs.
    #[must_use]
    pub fn new(ask: AskMetrics, catalog: Option<CatalogSnapshots>, running: Arc<dyn RunningImages>) -> Self {
        Self(Arc::new(Inner {
            catalog,
            running,
            counted: AnswerCache::new(KEPT_COUNTED, COUNTED_NEW, ask.clock.clone()),
            in_use: AnswerCache::new(1, IN_USE_NEW, ask.clock.clone()),
            reports: AnswerCache::new(KEPT_REPORTS, COUNTED_NEW, ask.clock.clone()),
            ask,
        }))
    }

    /// What may go, or what stays; asked for so long at most.
    pub async fn list(&self, question: CleanupQuestion, patience: Duration) -> Result<Arc<Cleanup>, NotYet> {
        let until = Instant::now() + patience;
        let (counted, counted_at) = self
            .newest(COUNTED_MAX_AGE, until, || {
                let (ask, days) = (self.0.ask.clone(), question.unused_days);
                // The snapshot before the counts: what is in it was pushed before, and that is counted then.
                let snapshot = self.snapshot();
                self.0.counted.show(days, move |_| async move { Counted::read(&ask, snapshot, days).await })
            })
            .await?;
        let (in_use, _) = self
            .newest(IN_USE_MAX_AGE, until, || {
                let running = self.0.running.clone();
                self.0.in_use.show((), |_| async move { running.all().await.map(InUse::new) })
            })
            .await?;
        let key = (question.clone(), counted_at, in_use.stamp());
        let (report, _) = self
            .newest(TimeDelta::MAX, until, || {
                let (question, counted, in_use) = (question.clone(), counted.clone(), in_use.clone());
                let read = |_| async move {
                    Ok::<_, MetricsError>(aside(move || report::of(question, &counted, counted_at, &in_use)).await)
                };
                self.0.reports.show(key.clone(), read)
            })
            .await?;
        Ok(report)
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.0.ask.now()
    }

    fn snapshot(&self) -> Option<Arc<CatalogSnapshot>> {
        self.0.catalog.as_ref().map(CatalogSnapshots::snapshot)
    }

    /// An answer that is not too old, and when it was asked for: an old one might name what is used by now.
    async fn newest<V, F>(
        &self,
        max_age: TimeDelta,
        until: Instant,
        show: impl Fn() -> F,
    ) -> Result<(Arc<V>, DateTime<Utc>), NotYet>
    where
        F: Future<Output = Shown<V>>,
    {
        loop {
            let Shown { value, at, away } = show().await;
            match value.filter(|_| self.now() - at <= max_age) {
                Some(value) => return Ok((value, at)),
                None if away => return Err(NotYet::StoreAway),
                None if Instant::now() >= until => return Err(NotYet::InWork),
                // A clock that was put forward makes an answer old that is new to the cache.
                None => sleep(AGAIN).await,
            }
        }
    }
}
