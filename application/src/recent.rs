//! The last notifications, for the person who runs the server: few, cut short, and without who sent them.
//!
//! The addresses and user agents of events are those of the registry's users. They are not kept here, so no page can show
//! them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use staticreg_domain::{PullEvent, RegistryEvent, metrics::AccessKind};
use tokio::time::Instant;

use crate::{receive_notification::Receipt, recording::RecordError};

/// How many are kept.
pub const KEPT: usize = 50;

/// The most bytes of a text that are kept; all of it is whatever the sender wrote.
const MAX_TEXT: usize = 128;

/// The seconds over which events are counted.
const SECONDS: usize = 60;

/// The repository of the notification that `staticreg doctor` posts, which is not the registry's.
pub const DOCTOR_REPOSITORY: &str = "staticreg/doctor";

/// A notification, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentNotification {
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// How many events it held; none when it could not be read.
    pub events: usize,
    /// What the first of them is about.
    pub first: Option<About>,
    /// What became of it.
    pub verdict: Verdict,
}

/// What an event says it is about: any text, cut short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// What happened, such as `pull`.
    pub action: Option<String>,
    /// To what repository.
    pub repository: Option<String>,
    /// By which tag.
    pub tag: Option<String>,
    /// To what content, when no tag is told.
    pub digest: Option<String>,
}

/// What became of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered 200; and what its events added to the counts, by kind.
    Taken(Receipt, BTreeMap<AccessKind, usize>),
    /// It was answered 503.
    TurnedAway(RecordError),
    /// It was no notification; why. No part of it, which may tell anything.
    Unreadable(&'static str),
}

/// The last notifications. Clones keep the same ones.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    notifications: VecDeque<RecentNotification>,
    /// When the registry posted last.
    posted_at: Option<DateTime<Utc>>,
    rate: Rate,
}

/// What was received lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lately {
    /// The last notifications, the newest first.
    pub notifications: Vec<RecentNotification>,
    /// When the registry posted last, since the start of the server.
    pub posted_at: Option<DateTime<Utc>>,
    /// How many events came within the last minute.
    pub events_in_a_minute: u64,
}

impl Recent {
    /// The last ones.
    #[must_use]
    pub fn read(&self) -> Lately {
        let mut state = self.0.lock();
        Lately {
            notifications: state.notifications.iter().rev().cloned().collect(),
            posted_at: state.posted_at,
            events_in_a_minute: state.rate.in_a_minute(),
        }
    }

    /// A body arrived that is no notification.
    pub(crate) fn unreadable(&self, at: DateTime<Utc>, why: &'static str) {
        self.add(RecentNotification { at, events: 0, first: None, verdict: Verdict::Unreadable(why) });
    }

    /// A notification arrived, and this became of it.
    pub(crate) fn received(&self, notification: RecentNotification) {
        if !notification.is_of_doctor() {
            self.0.lock().posted_at = Some(notification.at);
        }
        self.add(notification);
    }

    fn add(&self, notification: RecentNotification) {
        let mut state = self.0.lock();
        state.rate.add(notification.events as u64);
        if state.notifications.len() >= KEPT {
            state.notifications.pop_front();
        }
        state.notifications.push_back(notification);
    }
}

impl RecentNotification {
    fn is_of_doctor(&self) -> bool {
        self.first.as_ref().and_then(|first| first.repository.as_deref()) == Some(DOCTOR_REPOSITORY)
    }
}

impl About {
    pub(crate) fn from_event(event: &RegistryEvent) -> Self {
        let RegistryEvent { action, repository, tag, digest, .. } = event;
        let cut = |text: &Option<_>| text.as_deref().map(self::cut);
        Self { action: cut(action), repository: cut(repository), tag: cut(tag), digest: cut(digest) }
    }
}

/// What events added to the counts, by kind.
pub(crate) fn add_to(added: &mut BTreeMap<AccessKind, usize>, event: &PullEvent) {
    for kind in AccessKind::ALL {
        let more = event.added(kind).count();
        if more > 0 {
            *added.entry(kind).or_default() += more;
        }
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

/// Events by second.
#[derive(Debug)]
struct Rate {
    began: Instant,
    /// The second of the newest count, from when it began.
    newest: u64,
    counts: [u64; SECONDS],
}

impl Default for Rate {
    fn default() -> Self {
        Self { began: Instant::now(), newest: 0, counts: [0; SECONDS] }
    }
}

impl Rate {
    fn add(&mut self, events: u64) {
        let place = self.advance();
        self.counts[place] += events;
    }

    fn in_a_minute(&mut self) -> u64 {
        self.advance();
        self.counts.iter().sum()
    }

    /// The place of now; what is older than a minute is forgotten.
    fn advance(&mut self) -> usize {
        let now = self.began.elapsed().as_secs();
        let place = |second: u64| usize::try_from(second % SECONDS as u64).unwrap_or_default();
        for second in (self.newest + 1..=now).rev().take(SECONDS) {
            self.counts[place(second)] = 0;
        }
        self.newest = now;
        place(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    fn notification(repository: &str) -> RecentNotification {
        let event = RegistryEvent { repository: Some(repository.to_owned()), ..RegistryEvent::default() };
        let first = Some(About::from_event(&event));
        let verdict = Verdict::TurnedAway(RecordError::Busy);
        RecentNotification { at: DateTime::UNIX_EPOCH, events: 1, first, verdict }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_ones_are_kept_cut_short_the_newest_first() {
        let recent = Recent::default();
        (0..KEPT + 5).for_each(|number| recent.received(notification(&format!("app{number}"))));
        recent.unreadable(DateTime::UNIX_EPOCH, "too long");
        let kept = recent.read().notifications;
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].verdict, Verdict::Unreadable("too long"));
        assert_eq!(kept[1], notification(&format!("app{}", KEPT + 4)));
        assert_eq!(kept[KEPT - 1], notification("app6"));
        let long = notification(&format!("a{}", "ü".repeat(MAX_TEXT)));
        assert_eq!(long.first.unwrap().repository.unwrap().len(), MAX_TEXT - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_doctor_is_not_the_registry_nor_is_who_posts_anything() {
        let recent = Recent::default();
        recent.received(notification(DOCTOR_REPOSITORY));
        recent.unreadable(DateTime::UNIX_EPOCH, "no notification");
        assert_eq!((recent.read().posted_at, recent.read().notifications.len()), (None, 2));
        recent.received(notification("app"));
        assert_eq!(recent.read().posted_at, Some(DateTime::UNIX_EPOCH));
    }

    #[tokio::test(start_paused = true)]
    async fn events_count_for_a_minute() {
        let recent = Recent::default();
        recent.received(notification("app"));
        advance(Duration::from_secs(30)).await;
        recent.received(notification("app"));
        recent.received(notification("app"));
        assert_eq!(recent.read().events_in_a_minute, 3);
        advance(Duration::from_secs(30)).await;
        assert_eq!(recent.read().events_in_a_minute, 2);
        advance(Duration::from_hours(1)).await;
        assert_eq!(recent.read().events_in_a_minute, 0);
        recent.received(notification("app"));
        assert_eq!(recent.read().events_in_a_minute, 1);
    }
}
