//! The questions, answered by walking over the counts.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    Architecture, Digest, RepositoryName, Tag,
    metrics::{
        AccessKind, ArchitecturePulls, DateRange, DayPulls, DigestPulls, Filter, ImagePulls, Listed, MetricsRow, Page,
        PullGroup, RepositoryPulls, Slice, Summary, TagPulls,
    },
};

use crate::counts::Counts;

/// The days of the summary's spans.
const WEEK: u32 = 7;
const MONTH: u32 = 30;

pub(crate) fn summary(counts: &Counts, today: NaiveDate) -> Summary {
    let (week, month) = (DateRange::days_until(today, WEEK), DateRange::days_until(today, MONTH));
    let mut summary = Summary::default();
    let mut repositories = HashSet::new();
    for (key, count, row) in counts.all() {
        let totals = match key.kind {
            AccessKind::PullByTag => &mut summary.pulls_by_tag,
            AccessKind::PullByDigest => &mut summary.pulls_by_digest,
            AccessKind::VersionCheck => &mut summary.version_checks,
            AccessKind::Push => &mut summary.pushes,
        };
        add(&mut totals.today, count, key.date == today);
        add(&mut totals.last_7_days, count, week.contains(key.date));
        add(&mut totals.last_30_days, count, month.contains(key.date));
        add(&mut totals.all, count, true);
        if key.kind == AccessKind::PullByTag {
            repositories.insert(&key.repository);
            summary.last_pulled_at = summary.last_pulled_at.max(Some(row.updated_at));
        }
    }
    summary.repositories = repositories.len() as u64;
    summary
}

fn add(total: &mut u64, count: u64, belongs: bool) {
    if belongs {
        *total += count;
    }
}

pub(crate) fn pulls(
    counts: &Counts,
    filter: &Filter,
    group: Option<PullGroup>,
    page: &Page<DayPulls>,
) -> Slice<DayPulls> {
    let mut days: BTreeMap<(NaiveDate, Option<&str>), u64> = BTreeMap::new();
    for (key, count, _) in counts.matching(filter) {
        let group = group.map(|group| match group {
            PullGroup::Architecture => key.architecture.as_str(),
            PullGroup::Repository => key.repository.as_str(),
            PullGroup::Tag => key.tag.as_ref().map_or("", Tag::as_str),
        });
        *days.entry((key.date, group)).or_default() += count;
    }
    let items =
        days.into_iter().map(|((date, group), pulls)| DayPulls { date, group: group.map(str::to_owned), pulls });
    slice(items.collect(), page, |position| position)
}

pub(crate) fn repositories(counts: &Counts, filter: &Filter, page: &Page<RepositoryPulls>) -> Slice<RepositoryPulls> {
    let mut groups: HashMap<&RepositoryName, (Group, HashSet<&Tag>)> = HashMap::new();
    for (key, count, row) in counts.matching(filter) {
        let (group, tags) = groups.entry(&key.repository).or_default();
        group.add(count, row.updated_at);
        tags.extend(&key.tag);
    }
    let items = groups.into_iter().map(|(repository, (group, tags))| RepositoryPulls {
        repository: repository.clone(),
        pulls: group.pulls,
        tags: tags.len() as u64,
        last_pulled_at: group.last,
    });
    slice(items.collect(), page, |(first, name)| (Reverse(first), name))
}

pub(crate) fn images(counts: &Counts, filter: &Filter, page: &Page<ImagePulls>) -> Slice<ImagePulls> {
    let mut groups: HashMap<(&RepositoryName, &Option<Tag>), Group> = HashMap::new();
    for (key, count, row) in counts.matching(filter) {
        groups.entry((&key.repository, &key.tag)).or_default().add(count, row.updated_at);
    }
    let items = groups.into_iter().map(|((repository, tag), group)| ImagePulls {
        repository: repository.clone(),
        tag: tag.clone(),
        pulls: group.pulls,
        last_pulled_at: group.last,
    });
    slice(items.collect(), page, |(pulls, first, second)| (Reverse(pulls), first, second))
}

pub(crate) fn architectures(
    counts: &Counts,
    filter: &Filter,
    page: &Page<ArchitecturePulls>,
) -> Slice<ArchitecturePulls> {
    let mut groups: HashMap<&Architecture, (u64, HashSet<&RepositoryName>)> = HashMap::new();
    for (key, count, _) in counts.matching(filter) {
        let (pulls, repositories) = groups.entry(&key.architecture).or_default();
        *pulls += count;
        repositories.insert(&key.repository);
    }
    let items = groups.into_iter().map(|(architecture, (pulls, repositories))| ArchitecturePulls {
        architecture: architecture.clone(),
        pulls,
        repositories: repositories.len() as u64,
    });
    slice(items.collect(), page, |(first, name)| (Reverse(first), name))
}

pub(crate) fn tags(counts: &Counts, filter: &Filter, page: &Page<TagPulls>) -> Slice<TagPulls> {
    let mut groups: HashMap<(&Option<Tag>, &Architecture), Group> = HashMap::new();
    for (key, count, row) in counts.matching(filter) {
        groups.entry((&key.tag, &key.architecture)).or_default().add(count, row.updated_at);
    }
    let items = groups.into_iter().map(|((tag, architecture), group)| TagPulls {
        tag: tag.clone(),
        architecture: architecture.clone(),
        pulls: group.pulls,
        last_pulled_at: group.last,
    });
    slice(items.collect(), page, |(pulls, first, second)| (Reverse(pulls), first, second))
}

pub(crate) fn digests(counts: &Counts, filter: &Filter, page: &Page<DigestPulls>) -> Slice<DigestPulls> {
    let mut groups: HashMap<&Digest, (Group, NaiveDate)> = HashMap::new();
    for (key, count, row) in counts.matching(filter) {
        let (group, first) = groups.entry(&key.digest).or_insert_with(|| (Group::default(), key.date));
        group.add(count, row.updated_at);
        *first = key.date.min(*first);
    }
    let items = groups.into_iter().map(|(digest, (group, first_pulled_on))| DigestPulls {
        digest: digest.clone(),
        pulls: group.pulls,
        first_pulled_on,
        last_pulled_at: group.last,
    });
    slice(items.collect(), page, |(first, name)| (Reverse(first), name))
}

pub(crate) fn rows(counts: &Counts, filter: &Filter, page: &Page<MetricsRow>) -> Slice<MetricsRow> {
    let items = counts.matching(filter).map(|(key, count, row)| MetricsRow {
        date: key.date,
        repository: key.repository.clone(),
        tag: key.tag.clone(),
        digest: key.digest.clone(),
        architecture: key.architecture.clone(),
        kind: key.kind,
        count,
        created_at: row.created_at,
        updated_at: row.updated_at,
    });
    slice(items.collect(), page, |(date, repository, tag, digest, architecture)| {
        (Reverse(date), repository, tag, digest, architecture)
    })
}

/// The counts of what belongs together.
#[derive(Default)]
struct Group {
    pulls: u64,
    last: DateTime<Utc>,
}

impl Group {
    fn add(&mut self, count: u64, updated_at: DateTime<Utc>) {
        self.last = if self.pulls == 0 { updated_at } else { self.last.max(updated_at) };
        self.pulls += count;
    }
}

/// The page of a list whose items' positions stand for these places in its order.
fn slice<T: Listed, P: Ord>(items: Vec<T>, page: &Page<T>, place: impl Fn(T::Position) -> P) -> Slice<T> {
    let after = page.after.clone().map(&place);
    let placed = items.into_iter().map(|item| (place(item.position()), item)).collect();
    let Slice { items, more } = Slice::of_all(placed, after.as_ref(), page.limit);
    Slice { items: items.into_iter().map(|(_, item)| item).collect(), more }
}
