//! What is shown when the registry fails, in whole or in part.

use std::sync::Arc;

use staticreg_domain::catalog::{CatalogCursor, MockRegistryCatalog, RepositoriesPage, ServerFailure};

use crate::catalog::testing::{FakeClock, FakeRegistry, denied, digest, name, unavailable};

use super::*;

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
    refresh.snapshot.show();
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
        assert_eq!(shown(&refresh.snapshots().snapshot()), ["a"]);
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
    assert_eq!(shown(&refresh.snapshots().snapshot()), ["a"]);
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
        "The registry refuses access: it refuses the user or password. Check the user and password given to staticreg. \
         The server is https://auth.example."
    );
}
