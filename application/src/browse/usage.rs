//! What was counted of the tags and digests that the registry holds.

use std::collections::{HashMap, HashSet};

use chrono::{Days, NaiveDate};
use staticreg_domain::{
    Digest, RepositoryName, Tag,
    metrics::{AccessKind, DateRange, Filter, MetricsError},
};

use super::items::{DigestPulls, ImagePulls};
use crate::{
    ask_metrics::AskMetrics,
    catalog::{CatalogSnapshot, TagEntry},
};

/// How many items are asked for at once.
const PAGE: u32 = 50_000;

/// What is counted of a repository's tags.
pub(crate) type ByTag<T> = HashMap<RepositoryName, HashMap<Tag, T>>;

/// What is counted of a tag.
pub(crate) fn of<'a, T>(counts: &'a ByTag<T>, repository: &RepositoryName, tag: &Tag) -> Option<&'a T> {
    counts.get(repository)?.get(tag)
}

/// What a tag points to, and of an index its images.
pub(crate) fn contents(entry: &TagEntry) -> impl Iterator<Item = &Digest> {
    entry.digest().into_iter().chain(entry.image().into_iter().flat_map(|image| &image.children))
}

/// What is counted of every tag.
pub(crate) async fn images<T>(
    ask: &AskMetrics,
    filter: &Filter,
    what: fn(&ImagePulls) -> T,
) -> Result<ByTag<T>, MetricsError> {
    let mut all = ByTag::new();
    ask.every_row(ImagePulls::asked(filter.clone(), PAGE), |row| {
        let item = ImagePulls::from_row(row)?;
        let what = what(&item);
        if let Some(tag) = item.tag {
            all.entry(item.repository).or_insert_with(HashMap::new).insert(tag, what);
        }
        Some(())
    })
    .await?;
    Ok(all)
}

/// The digests that were pulled since, of those the registry holds. Asked for week by week: no question takes long,
/// however much was counted.
pub(crate) async fn pulled_digests(
    ask: &AskMetrics,
    snapshot: &CatalogSnapshot,
    since: NaiveDate,
    kinds: &[AccessKind],
) -> Result<HashSet<Digest>, MetricsError> {
    let tags = snapshot.repositories().iter().flat_map(|repository| &repository.tags);
    let mut unseen: HashSet<&Digest> = tags.flat_map(contents).collect();
    let (mut pulled, today) = (HashSet::new(), ask.today());
    for first in since.iter_weeks().take_while(|first| *first <= today) {
        let week = DateRange::days_until(first + Days::new(6), 7);
        for kind in kinds {
            let filter = Filter { kind: (*kind).into(), ..Filter::of_dates(week) };
            ask.every_row(DigestPulls::asked(filter, PAGE), |row| {
                pulled.extend(row.key.digest.filter(|digest| unseen.remove(digest)));
                Some(())
            })
            .await?;
        }
    }
    Ok(pulled)
}
