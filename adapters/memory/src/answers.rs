//! The answers to the questions: rows are filtered, summed, put in order and cut into pages.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    RepositoryName, Tag,
    metrics::{
        AccessKind, ArchitecturePulls, CountKey, DateRange, DayPulls, DigestPulls, Filter, ImagePulls, Listed,
        MetricsRow, Page, PullGroup, RepositoryPulls, Slice, Summary, TagPulls, Totals,
    },
};

use crate::{Counts, Row};

/// What is summed over some rows.
#[derive(Default)]
struct Sum<'a> {
    pulls: u64,
    first_pulled_on: NaiveDate,
    last_pulled_at: DateTime<Utc>,
    tags: BTreeSet<&'a Option<Tag>>,
    repositories: BTreeSet<&'a RepositoryName>,
}

impl<'a> Sum<'a> {
    fn add(&mut self, key: &'a CountKey, row: &Row) {
        self.first_pulled_on = if self.pulls == 0 { key.date } else { self.first_pulled_on.min(key.date) };
        self.last_pulled_at = self.last_pulled_at.max(row.updated_at);
        self.pulls += row.count.unsigned_abs();
        self.tags.insert(&key.tag);
        self.repositories.insert(&key.repository);
    }
}

impl Counts {
    /// The rows that pass, without those that count nothing.
    fn passing<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = (&'a CountKey, &'a Row)> {
        self.days
            .range(filter.dates.from()..=filter.dates.to())
            .flat_map(|(_, day)| day)
            .map(|(key, row)| (&**key, row))
            .filter(|(key, row)| row.count > 0 && passes(filter, key))
    }

    fn sums<'a, K: Ord>(&'a self, filter: &'a Filter, group: impl Fn(&'a CountKey) -> K) -> BTreeMap<K, Sum<'a>> {
        let mut sums = BTreeMap::<K, Sum<'a>>::new();
        for (key, row) in self.passing(filter) {
            sums.entry(group(key)).or_default().add(key, row);
        }
        sums
    }

    pub(crate) fn summary(&self, today: NaiveDate) -> Summary {
        let totals = |kind| Totals {
            today: self.total(kind, DateRange::days_until(today, 1)),
            last_7_days: self.total(kind, DateRange::days_until(today, 7)),
            last_30_days: self.total(kind, DateRange::days_until(today, 30)),
            all: self.total(kind, DateRange::EVER),
        };
        let ever = Filter::of_dates(DateRange::EVER);
        let repositories: BTreeSet<_> = self.passing(&ever).map(|(key, _)| &key.repository).collect();
        Summary {
            pulls_by_tag: totals(AccessKind::PullByTag),
            pulls_by_digest: totals(AccessKind::PullByDigest),
            version_checks: totals(AccessKind::VersionCheck),
            pushes: totals(AccessKind::Push),
            repositories: repositories.len() as u64,
            last_pulled_at: self.passing(&ever).map(|(_, row)| row.updated_at).max(),
        }
    }

    fn total(&self, kind: AccessKind, dates: DateRange) -> u64 {
        let filter = Filter { kind, ..Filter::of_dates(dates) };
        self.passing(&filter).map(|(_, row)| row.count.unsigned_abs()).sum()
    }

    pub(crate) fn pulls(&self, filter: &Filter, group: Option<PullGroup>, page: &Page<DayPulls>) -> Slice<DayPulls> {
        let group_of = |key: &CountKey| match group? {
            PullGroup::Architecture => Some(key.architecture.to_string()),
            PullGroup::Repository => Some(key.repository.to_string()),
            PullGroup::Tag => Some(text(key.tag.as_ref())),
        };
        let items = self
            .sums(filter, |key| (key.date, group_of(key)))
            .into_iter()
            .map(|((date, group), sum)| DayPulls { date, group, pulls: sum.pulls });
        cut(items, page, Ord::cmp)
    }

    pub(crate) fn repositories(&self, filter: &Filter, page: &Page<RepositoryPulls>) -> Slice<RepositoryPulls> {
        let items = self.sums(filter, |key| &key.repository).into_iter().map(|(repository, sum)| RepositoryPulls {
            repository: repository.clone(),
            pulls: sum.pulls,
            tags: sum.tags.len() as u64,
            last_pulled_at: sum.last_pulled_at,
        });
        cut(items, page, |(pulls, name), (other_pulls, other_name)| {
            other_pulls.cmp(pulls).then_with(|| name.cmp(other_name))
        })
    }

    pub(crate) fn images(&self, filter: &Filter, page: &Page<ImagePulls>) -> Slice<ImagePulls> {
        let sums = self.sums(filter, |key| (&key.repository, &key.tag));
        let items = sums.into_iter().map(|((repository, tag), sum)| ImagePulls {
            repository: repository.clone(),
            tag: tag.clone(),
            pulls: sum.pulls,
            last_pulled_at: sum.last_pulled_at,
        });
        cut(items, page, |(pulls, repository, tag), (other_pulls, other_repository, other_tag)| {
            other_pulls.cmp(pulls).then_with(|| (repository, tag).cmp(&(other_repository, other_tag)))
        })
    }

    pub(crate) fn architectures(&self, filter: &Filter, page: &Page<ArchitecturePulls>) -> Slice<ArchitecturePulls> {
        let sums = self.sums(filter, |key| &key.architecture);
        let items = sums.into_iter().map(|(architecture, sum)| ArchitecturePulls {
            architecture: architecture.clone(),
            pulls: sum.pulls,
            repositories: sum.repositories.len() as u64,
        });
        cut(items, page, |(pulls, name), (other_pulls, other_name)| {
            other_pulls.cmp(pulls).then_with(|| name.cmp(other_name))
        })
    }

    pub(crate) fn tags(&self, filter: &Filter, page: &Page<TagPulls>) -> Slice<TagPulls> {
        let sums = self.sums(filter, |key| (&key.tag, &key.architecture));
        let items = sums.into_iter().map(|((tag, architecture), sum)| TagPulls {
            tag: tag.clone(),
            architecture: architecture.clone(),
            pulls: sum.pulls,
            last_pulled_at: sum.last_pulled_at,
        });
        cut(items, page, |(pulls, tag, architecture), (other_pulls, other_tag, other_architecture)| {
            other_pulls.cmp(pulls).then_with(|| (tag, architecture).cmp(&(other_tag, other_architecture)))
        })
    }

    pub(crate) fn digests(&self, filter: &Filter, page: &Page<DigestPulls>) -> Slice<DigestPulls> {
        let items = self.sums(filter, |key| &key.digest).into_iter().map(|(digest, sum)| DigestPulls {
            digest: digest.clone(),
            pulls: sum.pulls,
            first_pulled_on: sum.first_pulled_on,
            last_pulled_at: sum.last_pulled_at,
        });
        cut(items, page, |(at, digest), (other_at, other_digest)| {
            other_at.cmp(at).then_with(|| digest.cmp(other_digest))
        })
    }

    pub(crate) fn listed_rows(&self, filter: &Filter, page: &Page<MetricsRow>) -> Slice<MetricsRow> {
        let items = self.passing(filter).map(|(key, row)| {
            let CountKey { kind, date, repository, tag, digest, architecture } = key.clone();
            let Row { count, created_at, updated_at } = *row;
            let count = count.unsigned_abs();
            MetricsRow { date, repository, tag, digest, architecture, kind, count, created_at, updated_at }
        });
        cut(items, page, |one, other| {
            let later_first = other.0.cmp(&one.0);
            later_first.then_with(|| (&one.1, &one.2, &one.3, &one.4).cmp(&(&other.1, &other.2, &other.3, &other.4)))
        })
    }
}

fn passes(filter: &Filter, key: &CountKey) -> bool {
    let Filter { dates: _, kind, repository, tag, digest, architecture } = filter;
    *kind == key.kind
        && repository.as_ref().is_none_or(|repository| *repository == key.repository)
        && tag.as_ref().is_none_or(|tag| key.tag.as_ref() == Some(tag))
        && digest.as_ref().is_none_or(|digest| *digest == key.digest)
        && architecture.as_ref().is_none_or(|architecture| *architecture == key.architecture)
}

fn text(tag: Option<&Tag>) -> String {
    tag.map(ToString::to_string).unwrap_or_default()
}

/// The page of the items, in the order of their positions.
fn cut<T: Listed>(
    items: impl Iterator<Item = T>,
    page: &Page<T>,
    order: impl Fn(&T::Position, &T::Position) -> Ordering,
) -> Slice<T> {
    let mut items: Vec<(T::Position, T)> = items
        .map(|item| (item.position(), item))
        .filter(|(position, _)| page.after.as_ref().is_none_or(|after| order(position, after).is_gt()))
        .collect();
    items.sort_by(|(one, _), (other, _)| order(one, other));
    items.truncate(page.limit as usize + 1);
    Slice::of(items.into_iter().map(|(_, item)| item).collect(), page.limit)
}
