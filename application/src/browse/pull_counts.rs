//! The counts of all repositories: for each repository the last 30 days and the last pull, small enough for 20,000 of them.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Days, NaiveDate, Utc};
use staticreg_domain::{
    RepositoryName,
    metrics::{AccessKind, DateRange, Filter, MetricsError, Totals},
};
use tokio::time::Instant;

use super::{
    items::{self, RepositoryPulls},
    last_days,
};
use crate::{aside::aside, ask_metrics::AskMetrics};

/// How many days they show.
pub const DAYS: usize = 30;

/// How many items are asked for at once: all, mostly, as a store may walk over all of its counts for each part.
const PAGE: u32 = 250_000;

/// All of it is read anew when that takes at most one part in so many of the time since it was.
const WHOLE_SHARE: u32 = 100;

/// The pulls of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryCounts {
    /// Per day of the last [`DAYS`], the latest last.
    pub days: [u32; DAYS],
    /// Ever.
    pub all: u64,
    /// How many tags were ever pulled.
    pub tags: u64,
    /// The last pull.
    pub last_pulled_at: Option<DateTime<Utc>>,
}

impl RepositoryCounts {
    /// The sum of the days.
    #[must_use]
    pub fn last_30_days(&self) -> u64 {
        self.days.iter().copied().map(u64::from).sum()
    }
}

/// The pulls of every repository, as of a moment.
#[derive(Clone, Debug)]
pub struct PullCounts {
    today: NaiveDate,
    counts: BTreeMap<RepositoryName, RepositoryCounts>,
    /// The last push to each repository that was ever pushed to, as of when all of it was read.
    pushed: BTreeMap<RepositoryName, DateTime<Utc>>,
    /// When all of it was read, and how long that took.
    whole: (Instant, Duration),
}

impl PullCounts {
    /// The totals.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let days = self.days();
        let last = |span: usize| days.iter().rev().take(span).sum();
        let all = self.counts.values().map(|counts| counts.all).sum();
        Totals { today: last(1), last_7_days: last(7), last_30_days: last(DAYS), all }
    }

    /// The last day.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.today
    }

    /// The pulls of a repository; none when it was never pulled from.
    #[must_use]
    pub fn repository(&self, name: &RepositoryName) -> Option<&RepositoryCounts> {
        self.counts.get(name)
    }

    /// The last push to every repository to which there was one while it was watched.
    pub(super) fn pushed(&self) -> &BTreeMap<RepositoryName, DateTime<Utc>> {
        &self.pushed
    }

    /// Every repository that was ever pulled from.
    #[must_use]
    pub fn repositories(&self) -> &BTreeMap<RepositoryName, RepositoryCounts> {
        &self.counts
    }

    /// Pulls per day of the last [`DAYS`], the latest last.
    #[must_use]
    pub fn days(&self) -> [u64; DAYS] {
        let mut days = [0; DAYS];
        for counts in self.counts.values() {
            for (sum, count) in days.iter_mut().zip(counts.days) {
                *sum += u64::from(count);
            }
        }
        days
    }

    /// Which of the days are among some dates.
    #[must_use]
    pub fn days_in(&self, dates: DateRange) -> Range<usize> {
        let place = |date: NaiveDate| usize::try_from((date - self.first()).num_days()).unwrap_or_default().min(DAYS);
        place(dates.from())..dates.to().succ_opt().map_or(DAYS, place)
    }

    /// The first day.
    fn first(&self) -> NaiveDate {
        first_day(self.today)
    }

    /// Newer counts. Only the days whose totals changed are read, unless all of it is due.
    pub(super) async fn read(ask: &AskMetrics, before: Option<Arc<Self>>) -> Result<Self, MetricsError> {
        let started = Instant::now();
        let today = ask.today();
        let range = last_days(today);
        let mut totals = [0_u64; DAYS];
        ask.every_row(items::daily(None, Filter::of_dates(range), PAGE), |day| {
            if let Some(total) = index(day.key.date?, range.from()).and_then(|index| totals.get_mut(index)) {
                *total = day.count;
            }
            Some(())
        })
        .await?;
        let due = before.as_ref().is_none_or(|before| before.whole.0.elapsed() >= before.whole.1 * WHOLE_SHARE);
        let all = if due { Some(repositories(ask, DateRange::EVER).await?) } else { None };
        let pushed = if due { Some(pushes(ask).await?) } else { None };
        let (mut pull_counts, known) = aside(move || {
            let pull_counts = match (before, all) {
                (Some(before), None) => before.moved_to(today),
                (before, all) => Self::whole(before.as_deref(), all.unwrap_or_default(), today, started),
            };
            let days = pull_counts.days();
            (pull_counts, days)
        })
        .await;
        if let Some(pushed) = pushed {
            pull_counts.pushed = pushed;
        }
        for (index, (total, known)) in totals.into_iter().zip(known).enumerate() {
            if total != known {
                let date = pull_counts.first() + Days::new(index as u64);
                let found = repositories(ask, DateRange::days_until(date, 1)).await?;
                pull_counts = aside(move || pull_counts.with_day(index, found, !due)).await;
            }
        }
        if due {
            pull_counts.whole.1 = started.elapsed();
        }
        Ok(pull_counts)
    }

    /// Counts of what all repositories have; most days have not changed.
    fn whole(before: Option<&Self>, all: Vec<RepositoryPulls>, today: NaiveDate, started: Instant) -> Self {
        let counts = all.into_iter().map(|item| {
            let RepositoryPulls { repository, pulls, tags, last_pulled_at } = item;
            let counts =
                RepositoryCounts { all: pulls, tags, last_pulled_at: Some(last_pulled_at), ..Default::default() };
            (repository, counts)
        });
        let mut counts: BTreeMap<_, _> = counts.collect();
        for (name, known) in before.map(|before| before.moved_to(today).counts).unwrap_or_default() {
            if let Some(counts) = counts.get_mut(&name) {
                counts.days = known.days;
            }
        }
        Self { today, counts, pushed: BTreeMap::new(), whole: (started, Duration::ZERO) }
    }

    /// The same with another last day; what is no longer among the days goes.
    fn moved_to(&self, today: NaiveDate) -> Self {
        let mut moved = self.clone();
        let (old, new) = (self.first(), first_day(today));
        moved.today = today;
        if old != new {
            for counts in moved.counts.values_mut() {
                let days = std::mem::take(&mut counts.days);
                for (date, count) in old.iter_days().zip(days) {
                    if let Some(day) = index(date, new).and_then(|index| counts.days.get_mut(index)) {
                        *day = count;
                    }
                }
            }
        }
        moved
    }

    /// The same with what was found of one day; `add` keeps the totals of all days right, when these were not just read.
    fn with_day(mut self, index: usize, found: Vec<RepositoryPulls>, add: bool) -> Self {
        let mut found: HashMap<_, _> = found.into_iter().map(|item| (item.repository.clone(), item)).collect();
        for (name, counts) in &mut self.counts {
            let new = found.remove(name);
            let pulls = new.as_ref().map_or(0, |new| u32::try_from(new.pulls).unwrap_or(u32::MAX));
            let old = std::mem::replace(&mut counts.days[index], pulls);
            if add {
                counts.all = counts.all.saturating_add(u64::from(pulls)).saturating_sub(u64::from(old));
            }
            if let Some(new) = new {
                counts.tags = counts.tags.max(new.tags);
                counts.last_pulled_at = counts.last_pulled_at.max(Some(new.last_pulled_at));
            }
        }
        for (name, new) in found {
            let mut counts = RepositoryCounts {
                all: new.pulls,
                tags: new.tags,
                last_pulled_at: Some(new.last_pulled_at),
                ..RepositoryCounts::default()
            };
            counts.days[index] = u32::try_from(new.pulls).unwrap_or(u32::MAX);
            self.counts.insert(name, counts);
        }
        // Counts that were taken back were never there.
        self.counts.retain(|_, counts| counts.all > 0);
        self
    }
}

/// Every repository that was pulled from.
async fn repositories(ask: &AskMetrics, dates: DateRange) -> Result<Vec<RepositoryPulls>, MetricsError> {
    let mut all = Vec::new();
    ask.every_row(RepositoryPulls::asked(Filter::of_dates(dates), PAGE), |row| {
        all.push(RepositoryPulls::from_row(row)?);
        Some(())
    })
    .await?;
    Ok(all)
}

/// The last push to every repository.
async fn pushes(ask: &AskMetrics) -> Result<BTreeMap<RepositoryName, DateTime<Utc>>, MetricsError> {
    let mut all = BTreeMap::new();
    let filter = Filter { kind: AccessKind::Push.into(), ..Filter::of_dates(DateRange::EVER) };
    ask.every_row(items::last_of_repositories(filter, PAGE), |row| {
        all.insert(row.key.repository?, row.last_at?);
        Some(())
    })
    .await?;
    Ok(all)
}

fn first_day(today: NaiveDate) -> NaiveDate {
    today - Days::new(DAYS as u64 - 1)
}

/// Which of the days a date is.
fn index(date: NaiveDate, first: NaiveDate) -> Option<usize> {
    usize::try_from((date - first).num_days()).ok().filter(|index| *index < DAYS)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::browse::testing::CountingStore;

    fn counts(pull_counts: &PullCounts) -> BTreeMap<&str, &RepositoryCounts> {
        pull_counts.repositories().iter().map(|(name, counts)| (name.as_str(), counts)).collect()
    }

    /// Counts of which only the changes will be read.
    async fn first(counted: &CountingStore) -> PullCounts {
        let mut pull_counts = PullCounts::read(&counted.ask, None).await.unwrap();
        pull_counts.whole = (Instant::now(), Duration::from_mins(1));
        counted.store.asked.store(0, Ordering::Relaxed);
        pull_counts
    }

    #[tokio::test]
    async fn it_holds_the_days_the_totals_and_the_last_pull() {
        let counted = CountingStore::new();
        for (date, count) in [("2026-11-21", 1), ("2026-10-23", 2), ("2026-10-22", 4)] {
            counted.pulls(date, "a/b:1", count).await;
        }
        let pull_counts = PullCounts::read(&counted.ask, None).await.unwrap();
        let counts = pull_counts.repository(&"a/b".parse().unwrap()).unwrap();
        assert_eq!((counts.days[29], counts.days[0], counts.last_30_days(), counts.all), (1, 2, 3, 7));
        assert_eq!(counts.last_pulled_at, Some("2026-11-21T10:00:00Z".parse().unwrap()));
        assert_eq!(pull_counts.totals(), Totals { today: 1, last_7_days: 1, last_30_days: 3, all: 7 });
        for (from, to, expected) in [
            ("2026-10-23", "2026-11-21", 0..30),
            ("2026-11-20", "2026-11-20", 28..29),
            ("2026-11-21", "2026-11-22", 29..30),
            ("2026-10-01", "2026-10-02", 0..0),
        ] {
            let dates = DateRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap();
            assert_eq!(pull_counts.days_in(dates), expected, "{from}");
        }
    }

    #[tokio::test]
    async fn it_tells_the_last_push_also_of_what_nobody_pulled() {
        let counted = CountingStore::new();
        for (date, image) in [("2026-11-02", "a:1"), ("2026-11-05", "a:2"), ("2026-01-01", "b:1")] {
            counted.count(AccessKind::Push, date, image, &"b".repeat(64), 1).await;
        }
        counted.pulls("2026-11-20", "a:1", 1).await;
        counted.pulls("2026-11-20", "c:1", 1).await;
        let pull_counts = PullCounts::read(&counted.ask, None).await.unwrap();
        let pushed = |name: &str| {
            let name: RepositoryName = name.parse().unwrap();
            pull_counts.pushed().get(&name).map(|at| at.date_naive().to_string())
        };
        assert_eq!(["a", "b", "c"].map(pushed), [Some("2026-11-05".to_owned()), Some("2026-01-01".to_owned()), None]);
        assert_eq!(pull_counts.repositories().len(), 2, "a push is no pull");
        let again = PullCounts::read(&counted.ask, Some(Arc::new(pull_counts.clone()))).await.unwrap();
        assert_eq!(again.pushed, pull_counts.pushed);
    }

    #[tokio::test]
    async fn reading_what_changed_ends_where_reading_all_does() {
        let counted = CountingStore::new();
        for (date, image, count) in
            [("2026-11-21", "a:1", 3), ("2026-11-20", "a:2", 5), ("2026-11-20", "b:1", 7), ("2026-10-01", "c:1", 9)]
        {
            counted.pulls(date, image, count).await;
        }
        let mut pull_counts = first(&counted).await;
        for (date, image, count) in [
            ("2026-11-21", "a:1", 1),
            ("2026-11-21", "d:1", 2),
            ("2026-11-20", "b:1", -7),
            ("2026-11-05", "c:1", 4),
            ("2026-11-21", "a:1", -1),
        ] {
            counted.pulls(date, image, count).await;
            pull_counts = PullCounts::read(&counted.ask, Some(Arc::new(pull_counts))).await.unwrap();
        }
        let all = PullCounts::read(&counted.ask, None).await.unwrap();
        assert_eq!(counts(&pull_counts), counts(&all));
    }

    #[tokio::test]
    async fn only_days_that_changed_are_read_again() {
        let counted = CountingStore::new();
        for day in 1..=21 {
            counted.pulls(&format!("2026-11-{day:02}"), "a:1", 1).await;
        }
        let pull_counts = first(&counted).await;
        let pull_counts = PullCounts::read(&counted.ask, Some(Arc::new(pull_counts))).await.unwrap();
        assert_eq!(counted.store.asked.load(Ordering::Relaxed), 0);
        counted.pulls("2026-11-21", "a:1", 1).await;
        counted.pulls("2026-11-03", "a:1", 1).await;
        let pull_counts = PullCounts::read(&counted.ask, Some(Arc::new(pull_counts))).await.unwrap();
        assert_eq!(counted.store.asked.load(Ordering::Relaxed), 2);
        assert_eq!(pull_counts.days().iter().sum::<u64>(), 23);
    }

    #[tokio::test]
    async fn the_days_move_at_midnight() {
        let counted = CountingStore::new();
        for (date, count) in [("2026-11-21", 1), ("2026-10-23", 2)] {
            counted.pulls(date, "a:1", count).await;
        }
        let pull_counts = first(&counted).await;
        *counted.clock.0.lock() = "2026-11-23T00:00:01Z".parse().unwrap();
        let pull_counts = PullCounts::read(&counted.ask, Some(Arc::new(pull_counts))).await.unwrap();
        let counts = pull_counts.repository(&"a".parse().unwrap()).unwrap();
        assert_eq!((counts.days[27], counts.last_30_days(), counts.all), (1, 1, 3));
        assert_eq!(counted.store.asked.load(Ordering::Relaxed), 0, "nothing changed but the date");
    }
}
