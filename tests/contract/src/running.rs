//! What becomes of lists of what runs.
#![expect(missing_docs, reason = "a rule's name says what must hold")]

use std::{any::Any, sync::Arc};

use chrono::TimeDelta;
use staticreg_domain::running::{Running, RunningImage, RunningImages};

use crate::events::now;

/// Where nothing was heard yet.
pub struct Subject {
    /// Where lists are kept.
    pub running: Arc<dyn RunningImages>,
    /// The same, as another server has it.
    pub second: Arc<dyn RunningImages>,
    /// What they are kept in; dropped after it.
    pub home: Box<dyn Any + Send>,
}

fn told(source: &str, minutes: i64, images: &[&str]) -> Running {
    let images = images.iter().flat_map(|image| RunningImage::of_reference(image).expect(image)).collect();
    Running { source: source.parse().expect(source), heard_at: now() + TimeDelta::minutes(minutes), images }
}

fn digest(image: &str) -> String {
    format!("{image}@sha256:{}", "0a".repeat(32))
}

pub async fn a_list_is_kept_as_it_was_told(Subject { running, second, home: _home }: Subject) {
    assert_eq!(running.all().await.expect("reads"), []);
    let images = ["registry.example/team/app:1.2", &digest("registry.example/team/app"), "Team/App:V1"];
    let (first, none) = (told("cluster-b", 0, &images), told("cluster-a", 5, &[]));
    for list in [&first, &none] {
        running.replace(list).await.expect("keeps");
    }
    let expected = [none, first];
    assert_eq!(running.all().await.expect("reads"), expected);
    assert_eq!(second.all().await.expect("reads"), expected);
}

pub async fn a_list_takes_the_place_of_its_sources_own(Subject { running, second, home: _home }: Subject) {
    let other = told("other", 0, &["registry.example/app:1"]);
    running.replace(&other).await.expect("keeps");
    running.replace(&told("cluster", 0, &["registry.example/app:1", "registry.example/app:2"])).await.expect("keeps");
    let later = told("cluster", 1, &["registry.example/app:3"]);
    second.replace(&later).await.expect("keeps");
    assert_eq!(running.all().await.expect("reads"), [later, other.clone()]);
    running.replace(&told("cluster", 2, &[])).await.expect("keeps");
    assert_eq!(running.all().await.expect("reads"), [told("cluster", 2, &[]), other]);
}

pub async fn sources_are_ordered_by_their_bytes(Subject { running, second: _, home: _home }: Subject) {
    for source in ["b", "a", "B", "a-1", "a.1"] {
        running.replace(&told(source, 0, &[])).await.expect("keeps");
    }
    let all = running.all().await.expect("reads");
    assert_eq!(all.iter().map(|list| list.source.as_str()).collect::<Vec<_>>(), ["B", "a", "a-1", "a.1", "b"]);
    let sources = running.sources().await.expect("reads");
    assert!(all.iter().map(|list| &list.source).eq(&sources), "{sources:?}");
}

pub async fn a_long_list_is_kept_whole(Subject { running, second, home: _home }: Subject) {
    let images: Vec<_> = (0..20_000).map(|number| format!("registry.example/team/app-{number}:v1.2.3")).collect();
    let list = told("cluster", 0, &images.iter().map(String::as_str).collect::<Vec<_>>());
    running.replace(&list).await.expect("keeps");
    assert_eq!(second.all().await.expect("reads"), [list]);
}
