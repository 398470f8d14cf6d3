mod failures;
mod images;
mod rounds;

use std::sync::Arc;

use crate::catalog::{
    CatalogSnapshot, ImageSummary,
    testing::{FakeClock, FakeRegistry, name, number},
};

use super::*;

/// A use case over a registry in memory.
fn over(registry: &Arc<FakeRegistry>) -> (RefreshCatalog, CatalogSnapshots) {
    with_clock(registry, &FakeClock::new())
}

fn with_clock(registry: &Arc<FakeRegistry>, clock: &Arc<FakeClock>) -> (RefreshCatalog, CatalogSnapshots) {
    let refresh = RefreshCatalog::new(registry.clone(), clock.clone(), RefreshOptions::default());
    let view = refresh.snapshots();
    (refresh, view)
}

fn registry_of(images: &[(&str, &str, u32)]) -> Arc<FakeRegistry> {
    let registry = FakeRegistry::default();
    for (repository, tag, seed) in images {
        registry.tag(repository, tag, &registry.image(*seed, Some("amd64")));
    }
    Arc::new(registry)
}

/// `repository:tag=number of the digest`; `?` for an unknown one, `!` for an unread one.
fn shown(snapshot: &CatalogSnapshot) -> Vec<String> {
    let tag = |repository: &RepositoryEntry, entry: &TagEntry| {
        let target = match &entry.target {
            TagTarget::Unknown => "?".to_owned(),
            TagTarget::Unread(digest) => format!("{}!", number(digest)),
            TagTarget::Image(image) => number(&image.digest).to_string(),
        };
        format!("{}:{}={target}", repository.name, entry.tag)
    };
    let repository = |repository: &Arc<RepositoryEntry>| match &*repository.tags {
        [] => vec![repository.name.to_string()],
        tags => tags.iter().map(|entry| tag(repository, entry)).collect(),
    };
    snapshot.repositories().iter().flat_map(repository).collect()
}

fn image(snapshot: &CatalogSnapshot, repository: &str, tag: &str) -> Arc<ImageSummary> {
    let entry = snapshot.repository(&name(repository)).unwrap();
    entry.tag(&tag.parse().unwrap()).unwrap().image().unwrap().clone()
}

fn platforms(image: &ImageSummary) -> Vec<String> {
    image.platforms.iter().map(ToString::to_string).collect()
}
