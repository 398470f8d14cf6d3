//! Images nobody has pulled for so many days: the list for cleaning up.
//!
//! What is on it may be deleted by somebody, so in doubt an image is left out: one that was pulled by its digest, by a
//! tag that points to the same, was pushed or made meanwhile.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::{
    Digest, RepositoryName, Tag,
    metrics::{AccessKind, DateRange, DigestPulls, Filter, ImagePulls, Listed, MetricsError, Page, Slice},
};

use super::statistics::watched_since;
use crate::{ask_metrics::AskMetrics, catalog::CatalogSnapshot};

/// How many items are asked for at once.
const PAGE: u32 = 50_000;

/// The answer to "what may go?".
#[derive(Clone, Debug)]
pub struct Unused {
    /// For how many days.
    pub days: u32,
    /// The first day anything was counted on; none when nothing ever was, and then no image can be said to be unused.
    pub watched_since: Option<NaiveDate>,
    /// The images: never pulled first, then the longest ago.
    pub images: Vec<UnusedImage>,
    /// The sum of their sizes, each content once.
    pub size: u64,
}

/// An image nobody pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedImage {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Its size in bytes, when the registry tells.
    pub size: Option<u64>,
    /// When it was made, when the registry tells.
    pub created: Option<DateTime<Utc>>,
    /// The last pull; none when it was never pulled while watched.
    pub last_pulled_at: Option<DateTime<Utc>>,
    /// How often it was looked up all the same, in these days: somebody holds a copy.
    pub version_checks: u64,
}

type Image = (RepositoryName, Tag);

impl Unused {
    pub(super) async fn read(
        ask: &AskMetrics,
        snapshot: Option<Arc<CatalogSnapshot>>,
        days: u32,
    ) -> Result<Self, MetricsError> {
        let range = DateRange::days_until(ask.today(), days);
        let watched_since = watched_since(ask).await?;
        if watched_since.is_none() {
            return Ok(Self { days, watched_since, images: Vec::new(), size: 0 });
        }
        let of_kind = |kind| Filter { kind, ..Filter::of_dates(range) };
        let last_pulls: HashMap<Image, DateTime<Utc>> = images(ask, &Filter::of_dates(DateRange::EVER))
            .await?
            .into_iter()
            .map(|(image, pulls)| (image, pulls.last_pulled_at))
            .collect();
        let pushed: HashSet<Image> =
            images(ask, &of_kind(AccessKind::Push)).await?.into_iter().map(|(image, _)| image).collect();
        let checks = images(ask, &of_kind(AccessKind::VersionCheck)).await?;
        let by_digest = digests(ask, &of_kind(AccessKind::PullByDigest)).await?;

        let is_recent = |at: DateTime<Utc>| at.date_naive() >= range.from();
        let is_used = |image: &Image| {
            pushed.contains(image) || last_pulls.get(image).is_some_and(|last_pull| is_recent(*last_pull))
        };
        let mut unused = Vec::new();
        let mut counted = HashSet::new();
        let mut size = 0_u64;
        let mut add = |image: Image, size: Option<u64>, created: Option<DateTime<Utc>>| {
            let last_pulled_at = last_pulls.get(&image).copied();
            let version_checks = checks.get(&image).map_or(0, |checks| checks.pulls);
            let (repository, tag) = image;
            unused.push(UnusedImage { repository, tag, size, created, last_pulled_at, version_checks });
        };
        match &snapshot {
            None => last_pulls.keys().filter(|image| !is_used(image)).for_each(|image| add(image.clone(), None, None)),
            Some(snapshot) => {
                for repository in snapshot.repositories() {
                    let name = |tag: &Tag| (repository.name.clone(), tag.clone());
                    let used: HashSet<&Digest> = repository
                        .tags
                        .iter()
                        .filter(|entry| is_used(&name(&entry.tag)))
                        .filter_map(|entry| entry.digest())
                        .collect();
                    for entry in &repository.tags {
                        let in_use = entry.digest().map_or_else(
                            || is_used(&name(&entry.tag)),
                            |digest| used.contains(digest) || by_digest.contains(digest),
                        );
                        let created = entry.image().and_then(|image| image.created);
                        if in_use || entry.tag.is_referrer() || created.is_some_and(is_recent) {
                            continue;
                        }
                        let image_size = entry.image().map(|image| image.size);
                        if let Some(image) = entry.image()
                            && counted.insert(&image.digest)
                        {
                            size = size.saturating_add(image.size);
                        }
                        add(name(&entry.tag), image_size, created);
                    }
                }
            }
        }
        unused
            .sort_by(|a, b| (a.last_pulled_at, &a.repository, &a.tag).cmp(&(b.last_pulled_at, &b.repository, &b.tag)));
        Ok(Self { days, watched_since, images: unused, size })
    }
}

async fn images(ask: &AskMetrics, filter: &Filter) -> Result<HashMap<Image, ImagePulls>, MetricsError> {
    let mut all = HashMap::new();
    let mut page = Page::first(PAGE);
    loop {
        let Slice { items, more } = ask.images(filter, &page).await?;
        page.after = items.last().map(Listed::position);
        all.extend(items.into_iter().filter_map(|item| Some(((item.repository.clone(), item.tag.clone()?), item))));
        if !more {
            return Ok(all);
        }
    }
}

async fn digests(ask: &AskMetrics, filter: &Filter) -> Result<HashSet<Digest>, MetricsError> {
    let mut all = HashSet::new();
    let mut page = Page::first(PAGE);
    loop {
        let Slice { items, more } = ask.digests(filter, &page).await?;
        page.after = items.last().map(Listed::position);
        all.extend(items.into_iter().map(|DigestPulls { digest, .. }| digest));
        if !more {
            return Ok(all);
        }
    }
}
