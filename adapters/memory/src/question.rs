//! The questions, answered by walking over a snapshot of the counts.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    Tag,
    metrics::{
        AccessKind, ArchitecturePulls, DateRange, DayPulls, DigestPulls, ImagePulls, MetricsRow, Page, PullGroup,
        RepositoryPulls, Slice, Summary, TagPulls,
    },
};

use crate::{names::Id, snapshot::Snapshot};

/// The days of the summary's spans.
const WEEK: u32 = 7;
const MONTH: u32 = 30;

pub(crate) fn summary(counts: &Snapshot, today: NaiveDate) -> Summary {
    let (week, month) = (DateRange::days_until(today, WEEK), DateRange::days_until(today, MONTH));
    let mut summary = Summary::default();
    let mut repositories = HashSet::new();
    for (date, row, count) in counts.rows() {
        let totals = match row.key.kind {
            AccessKind::PullByTag => &mut summary.pulls_by_tag,
            AccessKind::PullByDigest => &mut summary.pulls_by_digest,
            AccessKind::VersionCheck => &mut summary.version_checks,
            AccessKind::Push => &mut summary.pushes,
        };
        add(&mut totals.today, count, date == today);
        add(&mut totals.last_7_days, count, week.contains(date));
        add(&mut totals.last_30_days, count, month.contains(date));
        add(&mut totals.all, count, true);
        if row.key.kind == AccessKind::PullByTag {
            repositories.insert(row.key.repository);
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

pub(crate) fn pulls(counts: &Snapshot, group: Option<PullGroup>, page: &Page<DayPulls>) -> Slice<DayPulls> {
    let mut days: HashMap<(NaiveDate, Option<Id>), u64> = HashMap::new();
    for (date, row, count) in counts.rows() {
        let group = match group {
            Some(PullGroup::Architecture) => Some(row.key.architecture),
            Some(PullGroup::Repository) => Some(row.key.repository),
            Some(PullGroup::Tag) => row.key.tag,
            None => None,
        };
        *days.entry((date, group)).or_default() += count;
    }
    let name = |id: Option<Id>| match (group?, id) {
        (PullGroup::Architecture, Some(id)) => Some(counts.architectures.name(id).as_str()),
        (PullGroup::Repository, Some(id)) => Some(counts.repositories.name(id).as_str()),
        (PullGroup::Tag, id) => Some(counts.tag(id).map_or("", Tag::as_str)),
        (PullGroup::Architecture | PullGroup::Repository, None) => None,
    };
    let places = days.into_iter().map(|((date, id), pulls)| ((date, name(id)), pulls));
    let after = page.after.as_ref().map(|(date, group)| (*date, group.as_deref()));
    slice(places, after.as_ref(), page.limit, |((date, group), pulls)| DayPulls {
        date,
        group: group.map(str::to_owned),
        pulls,
    })
}

pub(crate) fn repositories(counts: &Snapshot, page: &Page<RepositoryPulls>) -> Slice<RepositoryPulls> {
    let mut groups: HashMap<Id, (Group, u64)> = HashMap::new();
    let mut known = HashSet::new();
    for (_, row, count) in counts.rows() {
        let (group, tags) = groups.entry(row.key.repository).or_default();
        group.add(count, row.updated_at);
        if let Some(tag) = row.key.tag
            && known.insert((row.key.repository, tag))
        {
            *tags += 1;
        }
    }
    let places = groups
        .into_iter()
        .map(|(id, (group, tags))| ((Reverse(group.pulls), counts.repositories.name(id)), (tags, group.last)));
    let after = page.after.as_ref().map(|(pulls, repository)| (Reverse(*pulls), repository));
    slice(places, after.as_ref(), page.limit, |((Reverse(pulls), repository), (tags, last_pulled_at))| {
        RepositoryPulls { repository: repository.clone(), pulls, tags, last_pulled_at }
    })
}

pub(crate) fn images(counts: &Snapshot, page: &Page<ImagePulls>) -> Slice<ImagePulls> {
    let mut groups: HashMap<(Id, Option<Id>), Group> = HashMap::new();
    for (_, row, count) in counts.rows() {
        groups.entry((row.key.repository, row.key.tag)).or_default().add(count, row.updated_at);
    }
    let places = groups.into_iter().map(|((repository, tag), group)| {
        ((Reverse(group.pulls), counts.repositories.name(repository), counts.tag(tag)), group.last)
    });
    let after = page.after.as_ref().map(|(pulls, repository, tag)| (Reverse(*pulls), repository, tag.as_ref()));
    slice(places, after.as_ref(), page.limit, |((Reverse(pulls), repository, tag), last_pulled_at)| ImagePulls {
        repository: repository.clone(),
        tag: tag.cloned(),
        pulls,
        last_pulled_at,
    })
}

pub(crate) fn architectures(counts: &Snapshot, page: &Page<ArchitecturePulls>) -> Slice<ArchitecturePulls> {
    let mut groups: HashMap<Id, (u64, HashSet<Id>)> = HashMap::new();
    for (_, row, count) in counts.rows() {
        let (pulls, repositories) = groups.entry(row.key.architecture).or_default();
        *pulls += count;
        repositories.insert(row.key.repository);
    }
    let places = groups.into_iter().map(|(id, (pulls, repositories))| {
        ((Reverse(pulls), counts.architectures.name(id)), repositories.len() as u64)
    });
    let after = page.after.as_ref().map(|(pulls, architecture)| (Reverse(*pulls), architecture));
    slice(places, after.as_ref(), page.limit, |((Reverse(pulls), architecture), repositories)| ArchitecturePulls {
        architecture: architecture.clone(),
        pulls,
        repositories,
    })
}

pub(crate) fn tags(counts: &Snapshot, page: &Page<TagPulls>) -> Slice<TagPulls> {
    let mut groups: HashMap<(Option<Id>, Id), Group> = HashMap::new();
    for (_, row, count) in counts.rows() {
        groups.entry((row.key.tag, row.key.architecture)).or_default().add(count, row.updated_at);
    }
    let places = groups.into_iter().map(|((tag, architecture), group)| {
        ((Reverse(group.pulls), counts.tag(tag), counts.architectures.name(architecture)), group.last)
    });
    let after = page.after.as_ref().map(|(pulls, tag, architecture)| (Reverse(*pulls), tag.as_ref(), architecture));
    slice(places, after.as_ref(), page.limit, |((Reverse(pulls), tag, architecture), last_pulled_at)| TagPulls {
        tag: tag.cloned(),
        architecture: architecture.clone(),
        pulls,
        last_pulled_at,
    })
}

pub(crate) fn digests(counts: &Snapshot, page: &Page<DigestPulls>) -> Slice<DigestPulls> {
    let mut groups: HashMap<Id, (Group, NaiveDate)> = HashMap::new();
    for (date, row, count) in counts.rows() {
        let (group, first) = groups.entry(row.key.digest).or_insert_with(|| (Group::default(), date));
        group.add(count, row.updated_at);
        *first = date.min(*first);
    }
    let places = groups
        .into_iter()
        .map(|(id, (group, first))| ((Reverse(group.last), counts.digests.name(id)), (group.pulls, first)));
    let after = page.after.as_ref().map(|(last, digest)| (Reverse(*last), digest));
    slice(places, after.as_ref(), page.limit, |((Reverse(last_pulled_at), digest), (pulls, first_pulled_on))| {
        DigestPulls { digest: digest.clone(), pulls, first_pulled_on, last_pulled_at }
    })
}

pub(crate) fn rows(counts: &Snapshot, page: &Page<MetricsRow>) -> Slice<MetricsRow> {
    let places = counts.rows().map(|(date, row, count)| {
        let key = &row.key;
        let repository = counts.repositories.name(key.repository);
        let digest = counts.digests.name(key.digest);
        let architecture = counts.architectures.name(key.architecture);
        ((Reverse(date), repository, counts.tag(key.tag), digest, architecture), (row, count))
    });
    let after = page.after.as_ref().map(|(date, repository, tag, digest, architecture)| {
        (Reverse(*date), repository, tag.as_ref(), digest, architecture)
    });
    slice(
        places,
        after.as_ref(),
        page.limit,
        |((Reverse(date), repository, tag, digest, architecture), (row, count))| MetricsRow {
            date,
            repository: repository.clone(),
            tag: tag.cloned(),
            digest: digest.clone(),
            architecture: architecture.clone(),
            kind: row.key.kind,
            count,
            created_at: row.created_at,
            updated_at: row.updated_at,
        },
    )
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

/// The page of a list behind a place in its order; only what is on it becomes an item.
fn slice<P: Ord, V, T>(
    places: impl Iterator<Item = (P, V)>,
    after: Option<&P>,
    limit: u32,
    item: impl Fn((P, V)) -> T,
) -> Slice<T> {
    let Slice { items, more } = Slice::of_all(places.collect(), after, limit);
    Slice { items: items.into_iter().map(item).collect(), more }
}
