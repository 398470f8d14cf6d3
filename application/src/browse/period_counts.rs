//! The counts of every repository over some dates: their sums alone, small enough for 20,000 of them.

use std::collections::BTreeMap;

use staticreg_domain::{
    RepositoryName,
    metrics::{DateRange, Dimension, Filter, Measures, MetricsError},
};

use super::{items, statistics::Daily};
use crate::ask_metrics::AskMetrics;

/// How many items are asked for at once: all, mostly, as a store may walk over all of its counts for each part.
const PAGE: u32 = 250_000;

/// What was counted over some dates.
#[derive(Clone, Debug)]
pub struct PeriodCounts {
    repositories: BTreeMap<RepositoryName, u64>,
    daily: Daily,
}

impl PeriodCounts {
    pub(super) async fn read(ask: &AskMetrics, filter: Filter) -> Result<Self, MetricsError> {
        let daily = Daily::read(ask, &filter, None).await?;
        let mut repositories = BTreeMap::new();
        let breakdown = items::most_first(vec![Dimension::Repository], Measures::COUNT, filter, PAGE);
        ask.every_row(breakdown, |row| {
            repositories.insert(row.key.repository?, row.count);
            Some(())
        })
        .await?;
        Ok(Self { repositories, daily })
    }

    /// The dates.
    #[must_use]
    pub fn dates(&self) -> DateRange {
        self.daily.range
    }

    /// What was counted each day, of all repositories together.
    #[must_use]
    pub fn daily(&self) -> &Daily {
        &self.daily
    }

    /// What was counted of every repository of which anything was.
    pub(super) fn repositories(&self) -> &BTreeMap<RepositoryName, u64> {
        &self.repositories
    }

    /// What was counted of all of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.repositories.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::metrics::AccessKind;

    use super::*;
    use crate::browse::{
        Browse, Compared, CountQuestion, ListingQuestion, ListingRow, Overview, Sort, testing::CountingStore,
    };

    #[tokio::test]
    async fn it_holds_the_sums_of_its_dates_alone() {
        let counted = CountingStore::new();
        for (date, image, count) in
            [("2026-11-19", "a:1", 1), ("2026-11-20", "a:1", 2), ("2026-11-20", "a:2", 4), ("2026-11-21", "b:1", 8)]
        {
            counted.pulls(date, image, count).await;
        }
        counted.count(AccessKind::VersionCheck, "2026-11-20", "a:1", &"a".repeat(64), 16).await;
        let dates = DateRange::days_until("2026-11-21".parse().unwrap(), 2);
        let question = CountQuestion::of_dates(dates);
        let period = PeriodCounts::read(&counted.ask, question.filter(dates)).await.unwrap();
        let counts = |period: &PeriodCounts| -> Vec<(String, u64)> {
            period.repositories().iter().map(|(name, count)| (name.to_string(), *count)).collect()
        };
        assert_eq!((counts(&period), period.total()), (vec![("a".to_owned(), 6), ("b".to_owned(), 8)], 14));
        assert_eq!(period.daily().series[0].days, [6, 8]);
        let checks = CountQuestion { kind: AccessKind::VersionCheck, ..question };
        let period = PeriodCounts::read(&counted.ask, checks.filter(dates)).await.unwrap();
        assert_eq!((counts(&period), period.total()), (vec![("a".to_owned(), 16)], 16));
    }

    fn question() -> ListingQuestion {
        ListingQuestion { per_page: 10, ..ListingQuestion::default() }
    }

    #[tokio::test]
    async fn what_is_listed_and_sorted_are_the_counts_of_the_dates_and_their_growth() {
        let counted = CountingStore::new();
        for (date, image, count) in [
            ("2026-11-21", "falls:1", 1),
            ("2026-11-14", "falls:1", 9),
            ("2026-11-20", "grows:1", 5),
            ("2026-11-12", "grows:1", 2),
            ("2026-11-19", "new:1", 2),
            ("2026-11-14", "gone:1", 3),
            ("2026-07-01", "old:1", 7),
        ] {
            counted.pulls(date, image, count).await;
        }
        let browse = Browse::new(counted.ask.clone(), None);
        let of = async |from: &str, to: &str| {
            let dates = DateRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap();
            let before = browse.period_before(dates).await.unwrap();
            browse.overview_of(&CountQuestion { before, ..CountQuestion::of_dates(dates) }).await
        };
        let rows = |overview: &Overview, sort| -> Vec<(String, u64, Option<u64>)> {
            let listing = overview.listing(&ListingQuestion { sort, ..question() });
            let row = |row: ListingRow| {
                let counted = row.counted.unwrap();
                (row.name.to_string(), counted.count, counted.before)
            };
            listing.rows.into_iter().map(row).collect()
        };
        let row = |name: &str, count, before| (name.to_owned(), count, before);
        let week = of("2026-11-15", "2026-11-21").await;
        let expected = [
            row("grows", 5, Some(2)),
            row("new", 2, Some(0)),
            row("old", 0, Some(0)),
            row("gone", 0, Some(3)),
            row("falls", 1, Some(9)),
        ];
        assert_eq!(rows(&week, Sort::Change), expected);
        assert_eq!(week.counted(), Some(Compared { count: 8, before: Some(14) }));
        assert!(week.period.is_none(), "the last days are known");
        assert_eq!(week.listing(&question()).rows[0].days, [0, 0, 0, 0, 0, 5, 0]);
        // Further back the sums alone are asked for, and nothing is compared with days that were not watched.
        let further = of("2026-07-01", "2026-11-14").await;
        for sort in [Sort::Pulls, Sort::Change] {
            assert_eq!(rows(&further, sort)[..2], [row("falls", 9, None), row("old", 7, None)]);
        }
        assert_eq!(
            (further.counted(), further.listing(&question()).rows[0].days.len()),
            (Some(Compared { count: 21, before: None }), 0)
        );
        assert_eq!(further.daily().unwrap().series[0].days.len(), 137);
    }

    #[tokio::test]
    async fn of_another_kind_those_are_listed_that_were_accessed_so() {
        let counted = CountingStore::new();
        counted.pulls("2026-11-20", "a:1", 5).await;
        counted.count(AccessKind::PullByDigest, "2026-11-20", "b", &"b".repeat(64), 3).await;
        let browse = Browse::new(counted.ask.clone(), None);
        let dates = DateRange::days_until(counted.ask.today(), 7);
        let asked = CountQuestion { kind: AccessKind::PullByDigest, ..CountQuestion::of_dates(dates) };
        let rows = browse.overview_of(&asked).await.listing(&question()).rows;
        let rows: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.counted.unwrap().count)).collect();
        assert_eq!(rows, [("b", 3), ("a", 0)]);
    }
}
