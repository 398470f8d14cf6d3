//! When the registry is read, how much of it at once, and what of it anew.

use std::sync::Arc;

use staticreg_domain::ManifestKind;
use tokio::time::advance;

use crate::catalog::{
    CatalogSnapshot, CatalogTotals,
    testing::{FakeClock, FakeRegistry, digest, name, unavailable},
};

use super::*;

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
async fn what_is_gone_from_the_registry_is_gone_from_the_snapshot() {
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
    assert_eq!(refresh.snapshots().snapshot().totals().images, 400);
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
    for n in 0..2 * MAX_WAITING {
        changes.repository_changed(name(&format!("r{n}")));
    }
    assert_eq!(changes.0.waiting.lock().len(), MAX_WAITING);
}

#[tokio::test(start_paused = true)]
async fn when_the_registry_is_read_again_is_told() {
    let registry = registry_of(&[("a", "1", 1)]);
    registry.fail("catalog 0", unavailable);
    let clock = FakeClock::new();
    let (refresh, view) = with_clock(&registry, &clock);
    assert_eq!(view.next_read_at(), None);
    let running = tokio::spawn(refresh.run());
    let next = async |after: Duration| {
        let expected = Some(clock.now() + after);
        for _ in 0..100 {
            if view.next_read_at() == expected {
                return;
            }
            advance(FIRST_PAUSE / 10).await;
        }
        panic!("{:?} instead of {expected:?}", view.next_read_at());
    };
    next(FIRST_PAUSE).await;
    registry.heal();
    next(RefreshOptions::default().interval).await;
    running.abort();
}
