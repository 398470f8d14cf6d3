use std::sync::Arc;

use staticreg_domain::{
    ManifestKind, Platform,
    catalog::{Artifact, CatalogCursor, IndexEntry, MockRegistryCatalog, RepositoriesPage, ServerFailure},
};
use tokio::time::advance;

use super::*;
use crate::catalog::{
    CatalogSnapshot, CatalogTotals, ImageSummary,
    testing::{
        FakeClock, FakeRegistry, IMAGE, INDEX, denied, descriptor, digest, malformed, name, number, unavailable,
    },
};

/// A use case over a registry in memory.
fn over(registry: &Arc<FakeRegistry>) -> (RefreshCatalog, CatalogView) {
    with_clock(registry, &FakeClock::new())
}

fn with_clock(registry: &Arc<FakeRegistry>, clock: &Arc<FakeClock>) -> (RefreshCatalog, CatalogView) {
    let refresh = RefreshCatalog::new(registry.clone(), clock.clone(), RefreshOptions::default());
    let view = refresh.view();
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

#[tokio::test(start_paused = true)]
async fn the_first_read_shows_everything() {
    let registry = registry_of(&[("b", "1", 1), ("a", "2", 2), ("a", "1", 1), ("c/d", "x", 3)]);
    registry.add_repository("empty");
    let (refresh, view) = over(&registry);
    assert_eq!(view.snapshot().status().read_at, None);
    refresh.refresh_once().await.unwrap();
    let snapshot = view.snapshot();
    assert_eq!(shown(&snapshot), ["a:1=1", "a:2=2", "b:1=1", "c/d:x=3", "empty"]);
    assert_eq!(snapshot.totals(), CatalogTotals { repositories: 4, tags: 4, images: 3, size: 300 });
    assert!(snapshot.status().read_at.is_some());
    assert_eq!((snapshot.status().progress, &snapshot.status().fault), (None, &None));
    let image = image(&snapshot, "c/d", "x");
    assert_eq!((image.kind, image.size, platforms(&image)), (ManifestKind::Image, 100, vec!["linux/amd64".to_owned()]));
    assert_eq!(image.created.unwrap().timestamp(), 3);
}

#[tokio::test(start_paused = true)]
async fn content_under_a_digest_is_asked_only_once() {
    let registry = registry_of(&[("a", "1", 1), ("a", "latest", 1), ("b", "1", 1)]);
    let (refresh, _view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    let configurations = registry.asked().iter().filter(|request| request.starts_with("config")).count();
    assert_eq!(configurations, 1);

    // What has not changed costs one look-up.
    refresh.refresh_once().await.unwrap();
    assert_eq!(registry.asked(), ["catalog 0", "head a:1", "head a:latest", "head b:1", "tags a", "tags b"]);

    // A tag that moves to what is known costs no more; one that moves to what is new costs this.
    registry.tag("a", "latest", &registry.image(2, Some("arm64")));
    registry.tag("b", "1", &digest(2));
    refresh.refresh_once().await.unwrap();
    let asked = registry.asked();
    assert_eq!(asked.iter().filter(|request| *request == "config 2" || *request == "get 2").count(), 2, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_no_more_is_not_remembered() {
    let registry = registry_of(&[("a", "1", 1)]);
    let (refresh, _view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    registry.untag("a", "1");
    refresh.refresh_once().await.unwrap();
    refresh.refresh_once().await.unwrap();
    registry.asked();
    registry.tag("a", "1", &digest(1));
    refresh.refresh_once().await.unwrap();
    assert!(registry.asked().contains(&"config 1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_index_tells_its_platforms_and_the_size_of_its_first_image() {
    let registry = Arc::new(FakeRegistry::default());
    let (attestation, arm) = (registry.image(1, None), registry.image(2, Some("arm64")));
    let amd = registry.image(3, Some("amd64"));
    let entries = [(IMAGE, &attestation, None), (IMAGE, &arm, Some("arm64")), (IMAGE, &amd, Some("amd64"))];
    registry.tag("a", "1", &registry.index(4, &entries));
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    let image = image(&view.snapshot(), "a", "1");
    assert_eq!((image.kind, image.size), (ManifestKind::Index, 100));
    assert_eq!(platforms(&image), ["linux/arm64", "linux/amd64"]);
    assert_eq!(*image.children, [attestation, arm, amd]);
    assert_eq!(image.created.unwrap().timestamp(), 2);
    assert_eq!(registry.asked(), ["catalog 0", "config 2", "get 2", "get a:1", "tags a"]);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_list_inside_an_index_tells_its_platforms_and_manifests() {
    let registry = Arc::new(FakeRegistry::default());
    let arm = registry.image(1, Some("arm64"));
    let inner = registry.index(2, &[(IMAGE, &arm, Some("arm64"))]);
    registry.tag("a", "1", &registry.index(3, &[(INDEX, &inner, None)]));
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    let image = image(&view.snapshot(), "a", "1");
    assert_eq!((image.size, platforms(&image)), (100, vec!["linux/arm64".to_owned()]));
    assert_eq!(*image.children, [inner, arm]);
}

#[tokio::test(start_paused = true)]
async fn indexes_in_indexes_without_end_are_left_alone() {
    let registry = Arc::new(FakeRegistry::default());
    let mut index = registry.image(1, Some("amd64"));
    for seed in 2..50 {
        index = registry.index(seed, &[(INDEX, &index, None)]);
    }
    registry.tag("a", "1", &index);
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    assert_eq!(shown(&view.snapshot()), ["a:1=49"]);
    assert_eq!(registry.asked(), ["catalog 0", "get 46", "get 47", "get 48", "get a:1", "tags a"]);
}

#[tokio::test(start_paused = true)]
async fn an_index_whose_first_image_is_not_there_tells_of_the_next() {
    let registry = Arc::new(FakeRegistry::default());
    let there = registry.image(1, Some("arm64"));
    registry.tag("a", "1", &registry.index(2, &[(IMAGE, &digest(9), Some("amd64")), (IMAGE, &there, Some("arm64"))]));
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    let image = image(&view.snapshot(), "a", "1");
    assert_eq!((image.size, platforms(&image)), (100, vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_tag_whose_manifest_is_lost_or_garbage_is_shown_without_image() {
    let registry = registry_of(&[("a", "garbage", 1), ("a", "good", 2)]);
    registry.tag("a", "lost", &digest(9));
    registry.fail("get a:garbage", malformed);
    registry.fail("get 1", malformed);
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    assert_eq!(shown(&view.snapshot()), ["a:garbage=1!", "a:good=2", "a:lost=?"]);
    assert_eq!(view.snapshot().status().fault, None);
}

#[tokio::test(start_paused = true)]
async fn an_image_whose_configuration_is_garbage_is_shown_without_platform() {
    let registry = registry_of(&[("a", "1", 1)]);
    registry.fail("config 1", malformed);
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    let image = image(&view.snapshot(), "a", "1");
    assert_eq!((image.size, platforms(&image), image.created), (100, vec![], None));
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_from_the_registry_is_gone_from_the_picture() {
    let registry = registry_of(&[("a", "1", 1), ("a", "2", 2), ("b", "1", 1)]);
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    registry.untag("a", "2");
    registry.remove_repository("b");
    refresh.refresh_once().await.unwrap();
    assert_eq!(shown(&view.snapshot()), ["a:1=1"]);
    assert_eq!(view.snapshot().totals(), CatalogTotals { repositories: 1, tags: 1, images: 1, size: 100 });
}

#[tokio::test(start_paused = true)]
async fn a_failure_on_the_third_page_keeps_the_older_repositories() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let registry = registry_of(&names.map(|name| (name, "1", 1)));
    let clock = FakeClock::new();
    let (refresh, view) = with_clock(&registry, &clock);
    refresh.refresh_once().await.unwrap();
    let first = view.snapshot().status().read_at;

    clock.advance(Duration::from_mins(15));
    registry.fail("catalog 4", unavailable);
    registry.tag("a", "1", &registry.image(2, None));
    let fault = refresh.refresh_once().await.unwrap_err();
    let snapshot = view.snapshot();
    assert_eq!(shown(&snapshot), ["a:1=2", "b:1=1", "c:1=1", "d:1=1", "e:1=1", "f:1=1"]);
    assert_eq!(snapshot.status().read_at, first);
    assert_eq!(snapshot.status().fault, Some(fault.clone()));
    assert_eq!(
        (fault.text.as_ref(), Some(fault.at)),
        (
            "The list of repositories is not whole. The registry does not answer, or answers with a failure.",
            first.map(|first| first + Duration::from_mins(15))
        )
    );

    registry.heal();
    refresh.refresh_once().await.unwrap();
    assert_eq!(view.snapshot().status().fault, None);
}

#[tokio::test(start_paused = true)]
async fn a_failed_first_read_shows_what_was_read() {
    let registry = registry_of(&["a", "b", "c", "d", "e"].map(|name| (name, "1", 1)));
    registry.fail("catalog 4", unavailable);
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap_err();
    let snapshot = view.snapshot();
    assert_eq!(shown(&snapshot), ["a:1=1", "b:1=1", "c:1=1", "d:1=1"]);
    assert_eq!(snapshot.status().read_at, None);
    assert!(snapshot.status().fault.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_fails_stays_as_it_was_with_its_age() {
    let registry = registry_of(&[("a", "1", 1), ("b", "1", 1), ("b", "2", 2)]);
    let clock = FakeClock::new();
    let (refresh, view) = with_clock(&registry, &clock);
    refresh.refresh_once().await.unwrap();
    let first = view.snapshot().status().read_at.unwrap();
    clock.advance(Duration::from_mins(15));
    registry.tag("b", "1", &registry.image(3, None));
    registry.fail("tags a", denied);
    registry.fail("head b:2", unavailable);
    refresh.refresh_once().await.unwrap();
    let snapshot = view.snapshot();
    assert_eq!(shown(&snapshot), ["a:1=1", "b:1=3", "b:2=2"]);
    let [a, b] = ["a", "b"].map(|repository| snapshot.repository(&name(repository)).unwrap());
    assert_eq!(a.read_at, Some(first));
    assert_eq!(
        a.fault.as_ref().unwrap().text,
        "The registry refuses access. Check the user and password given to staticreg."
    );
    assert!(b.fault.is_some());
    assert_eq!(snapshot.status().fault.as_ref().unwrap().text, "2 of 2 repositories could not be read completely.");
    assert!(snapshot.status().read_at.unwrap() > first);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_goes_away_is_not_asked_for_every_repository() {
    let names: Vec<String> = (0..100).map(|n| format!("r{n:03}")).collect();
    let images: Vec<_> = names.iter().map(|name| (name.as_str(), "1", 1)).collect();
    let registry = registry_of(&images);
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    registry.asked();
    // It lists its repositories, then goes away.
    registry.fail("tags", unavailable);
    registry.fail("catalog 0", unavailable);
    assert!(refresh.read_contents(true).await.is_err());
    assert!(registry.asked().len() < 30);
    refresh.picture.show();
    assert_eq!(shown(&view.snapshot()).len(), 100);
}

#[tokio::test(start_paused = true)]
async fn many_odd_repositories_in_a_row_do_not_end_the_read() {
    let names: Vec<String> = (0..50).map(|n| format!("odd/{n:03}")).chain(["z".to_owned()]).collect();
    let images: Vec<_> = names.iter().map(|name| (name.as_str(), "1", 1)).collect();
    let registry = registry_of(&images);
    registry.fail("tags odd/", unavailable);
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    assert_eq!(shown(&view.snapshot()).last().map(String::as_str), Some("z:1=1"));
}

#[tokio::test(start_paused = true)]
async fn a_repository_with_thousands_of_tags_is_left_after_a_few_failures() {
    let registry = Arc::new(FakeRegistry::default());
    for n in 0..1000 {
        registry.tag("a", &format!("t{n}"), &digest(1));
    }
    registry.fail("get a:", unavailable);
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    assert!(registry.asked().len() < 20);
    assert_eq!(view.snapshot().totals().tags, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_repositories_without_end_is_given_up() {
    for circle in [true, false] {
        let mut registry = MockRegistryCatalog::new();
        registry.expect_repositories().returning(move |after| {
            let page = after.map_or(0, |cursor| cursor.0.parse::<u64>().unwrap());
            let next = if circle { 1 } else { page + 1 };
            Ok(RepositoriesPage { repositories: vec![name("a")], next: Some(CatalogCursor(next.to_string())) })
        });
        registry.expect_tags().times(1).returning(|_| Ok(TagList::default()));
        let refresh = RefreshCatalog::new(Arc::new(registry), FakeClock::new(), RefreshOptions::default());
        let fault = refresh.refresh_once().await.unwrap_err();
        assert_eq!(fault.text, "The list of repositories is not whole. The registry's answer is not understood.");
        assert_eq!(shown(&refresh.view().snapshot()), ["a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_that_leads_nowhere_new_is_the_end_of_the_list() {
    let mut registry = MockRegistryCatalog::new();
    registry.expect_repositories().returning(|after| {
        let repositories = if after.is_none() { vec![name("a")] } else { Vec::new() };
        Ok(RepositoriesPage { repositories, next: Some(CatalogCursor("last".to_owned())) })
    });
    registry.expect_tags().returning(|_| Ok(TagList::default()));
    let refresh = RefreshCatalog::new(Arc::new(registry), FakeClock::new(), RefreshOptions::default());
    refresh.refresh_once().await.unwrap();
    assert_eq!(shown(&refresh.view().snapshot()), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_tags_that_fails_leaves_the_others_and_is_told() {
    let registry = registry_of(&[("a", "1", 1), ("a", "2", 2), ("b", "1", 1)]);
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    registry.tag("a", "3", &registry.image(3, None));
    registry.hide_tags(1);
    refresh.refresh_once().await.unwrap();
    let snapshot = view.snapshot();
    // What was there before may be there still.
    assert_eq!(shown(&snapshot), ["a:1=1", "a:2=2", "a:3=3", "b:1=1"]);
    assert_eq!(snapshot.status().fault.as_ref().unwrap().text, "2 of 2 repositories could not be read completely.");
    let a = snapshot.repository(&name("a")).unwrap();
    assert!(a.truncated);
    assert_eq!(
        a.fault.as_ref().unwrap().text,
        "The list of tags is not whole. The registry does not answer, or answers with a failure."
    );

    registry.heal();
    registry.untag("a", "1");
    refresh.refresh_once().await.unwrap();
    let snapshot = view.snapshot();
    assert_eq!(shown(&snapshot), ["a:2=2", "a:3=3", "b:1=1"]);
    let a = snapshot.repository(&name("a")).unwrap();
    assert_eq!((a.truncated, &a.fault), (false, &None));
}

#[tokio::test(start_paused = true)]
async fn the_server_that_failed_is_named() {
    let mut registry = MockRegistryCatalog::new();
    registry.expect_repositories().returning(|_| {
        let (server, path) = ("https://auth.example".to_owned(), "/token".to_owned());
        let source = "it refuses the user or password".into();
        Err(CatalogError::Denied(ServerFailure { server, path, source }.into()))
    });
    let refresh = RefreshCatalog::new(Arc::new(registry), FakeClock::new(), RefreshOptions::default());
    assert_eq!(
        refresh.refresh_once().await.unwrap_err().text,
        "The registry refuses access. Check the user and password given to staticreg. The server is \
         https://auth.example."
    );
}

#[tokio::test(start_paused = true)]
async fn signatures_and_other_attachments_are_no_tags() {
    let hex = "ab".repeat(32);
    let registry = registry_of(&[("a", "1", 1)]);
    for suffix in ["", ".sig", ".att", ".sbom"] {
        registry.tag("a", &format!("sha256-{hex}{suffix}"), &digest(1));
    }
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    assert_eq!(shown(&view.snapshot()), ["a:1=1"]);
    assert_eq!(view.snapshot().totals().tags, 1);
}

#[tokio::test(start_paused = true)]
async fn a_build_cache_and_an_artifact_are_told_as_what_they_are() {
    let registry = Arc::new(FakeRegistry::default());
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let cache = registry.index(1, &[(layer, &digest(2), None), (layer, &digest(3), None)]);
    registry.tag("a", "cache", &cache);
    let sbom = registry.image(4, None);
    registry.set_artifact_type(&sbom, "text/x-sbom");
    registry.tag("a", "sbom", &sbom);
    let index = registry.index(5, &[(IMAGE, &sbom, None)]);
    registry.tag("a", "sboms", &index);
    registry.tag("a", "image", &registry.image(6, Some("amd64")));
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    let snapshot = view.snapshot();
    let other = || Artifact::Other("text/x-sbom".to_owned());
    for (tag, artifact, size) in [
        ("cache", Artifact::BuildCache, 2),
        ("sbom", other(), 100),
        ("sboms", other(), 100),
        ("image", Artifact::Image, 100),
    ] {
        let image = image(&snapshot, "a", tag);
        assert_eq!((&image.artifact, image.size), (&artifact, size), "{tag}");
    }
    assert!(image(&snapshot, "a", "cache").children.is_empty());
    assert!(!registry.asked().contains(&"get 2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn two_builds_of_one_platform_are_two() {
    let registry = Arc::new(FakeRegistry::default());
    let entry = |seed: u32, version: &str| IndexEntry {
        descriptor: descriptor(IMAGE, registry.image(seed, Some("amd64")), 1),
        platform: Platform::new("windows", "amd64", None).map(|platform| platform.of_os_version(version)),
    };
    let entries = vec![entry(1, "10.0.17763"), entry(2, "10.0.20348")];
    registry.tag("a", "1", &registry.index_of(3, entries));
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    let image = image(&view.snapshot(), "a", "1");
    assert_eq!(platforms(&image), ["windows(10.0.17763)/amd64", "windows(10.0.20348)/amd64"]);
}

#[tokio::test(start_paused = true)]
async fn never_more_requests_than_allowed_are_under_way() {
    let registry = FakeRegistry::slow(Duration::from_millis(5));
    for repository in 0..20 {
        for tag in 0..20 {
            let seed = repository * 20 + tag + 1;
            let image = registry.image(seed, Some("amd64"));
            registry.tag(&format!("r{repository}"), &format!("t{tag}"), &image);
        }
    }
    let registry = Arc::new(registry);
    let options = RefreshOptions { concurrency: 3, ..RefreshOptions::default() };
    let refresh = RefreshCatalog::new(registry.clone(), FakeClock::new(), options);
    refresh.refresh_once().await.unwrap();
    assert_eq!(registry.most_under_way(), 3);
    assert_eq!(refresh.view().snapshot().totals().images, 400);
}

#[tokio::test(start_paused = true)]
async fn progress_shows_while_the_first_read_runs() {
    let registry = FakeRegistry::slow(Duration::from_secs(1));
    let image = registry.image(1, Some("amd64"));
    for n in 0..20 {
        registry.tag(&format!("r{n:02}"), "1", &image);
    }
    let registry = Arc::new(registry);
    let (refresh, view) = over(&registry);
    let watched = view.clone();
    let reading = tokio::spawn(async move { refresh.refresh_once().await });
    let listing = watched.wait_for(|snapshot| snapshot.status().progress.is_some()).await.unwrap();
    assert!(!listing.status().progress.unwrap().found_all);
    let halfway = |snapshot: &CatalogSnapshot| snapshot.status().progress.is_some_and(|progress| progress.read >= 8);
    let snapshot = watched.wait_for(halfway).await.unwrap();
    let progress = snapshot.status().progress.unwrap();
    assert_eq!((progress.found, progress.found_all), (20, true));
    assert_eq!(snapshot.repositories().len(), 20);
    assert!((1..20).contains(&snapshot.totals().tags));
    reading.await.unwrap().unwrap();
    assert_eq!(view.snapshot().status().progress, None);
    assert!(view.snapshot().revision() > snapshot.revision());
}

#[tokio::test(start_paused = true)]
async fn the_registry_is_read_again_after_the_interval_and_sooner_after_a_failure() {
    let registry = registry_of(&[("a", "1", 1)]);
    registry.fail("catalog", unavailable);
    let (refresh, view) = over(&registry);
    let running = tokio::spawn(refresh.run());
    for pause in [0, 5, 10, 20] {
        sleep(Duration::from_millis(pause * 1000 + 1)).await;
        assert_eq!(registry.asked(), ["catalog 0"], "after {pause} s");
    }
    registry.heal();
    sleep(Duration::from_secs(41)).await;
    assert_eq!(shown(&view.snapshot()), ["a:1=1"]);
    registry.asked();
    sleep(Duration::from_mins(14)).await;
    assert_eq!(registry.asked(), Vec::<String>::new());
    sleep(Duration::from_mins(1)).await;
    assert_eq!(registry.asked(), ["catalog 0", "head a:1", "tags a"]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_changed_repository_is_read_at_once() {
    let registry = registry_of(&[("a", "1", 1), ("b", "1", 1)]);
    let (refresh, view) = over(&registry);
    let changes = refresh.changes();
    let running = tokio::spawn(refresh.run());
    sleep(Duration::from_secs(2)).await;
    registry.asked();
    registry.tag("b", "2", &registry.image(2, None));
    registry.tag("new", "1", &digest(2));
    // An image comes with several events; they make one read.
    for _ in 0..5 {
        changes.repository_changed(name("b"));
        changes.repository_changed(name("new"));
        advance(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(shown(&view.snapshot()), ["a:1=1", "b:1=1", "b:2=2", "new:1=2"]);
    let asked = registry.asked();
    assert_eq!(asked.iter().filter(|request| request.starts_with("tags")).count(), 2, "{asked:?}");

    // Deleted tags go; a repository that is nowhere does not appear.
    registry.untag("b", "1");
    changes.repository_changed(name("b"));
    changes.repository_changed(name("nowhere"));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(shown(&view.snapshot()), ["a:1=1", "b:2=2", "new:1=2"]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_slow_read_of_the_whole_registry_is_not_overwritten() {
    let registry = FakeRegistry::slow(Duration::from_secs(5));
    let image = registry.image(1, None);
    registry.tag("a", "1", &image);
    let registry = Arc::new(registry);
    let (refresh, view) = over(&registry);
    let changes = refresh.changes();
    let running = tokio::spawn(refresh.run());
    // The list is under way, without the new repository.
    sleep(Duration::from_secs(6)).await;
    registry.tag("new", "1", &image);
    changes.repository_changed(name("new"));
    let with_new = view.wait_for(|snapshot| snapshot.repository(&name("new")).is_some()).await.unwrap();
    assert_eq!(with_new.repository(&name("new")).unwrap().tags.len(), 1);
    let whole = view.wait_for(|snapshot| snapshot.status().read_at.is_some()).await.unwrap();
    assert_eq!(shown(&whole), ["a:1=1", "new:1=1"]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_changes_is_bounded() {
    let registry = registry_of(&[]);
    let (refresh, _view) = over(&registry);
    let changes = refresh.changes();
    for n in 0..2 * MOST_WAITING {
        changes.repository_changed(name(&format!("r{n}")));
    }
    assert_eq!(changes.0.waiting.lock().len(), MOST_WAITING);
}
