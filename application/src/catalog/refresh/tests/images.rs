//! What is read of images, and how often.

use std::sync::Arc;

use staticreg_domain::{
    ManifestKind, Platform, Tag,
    catalog::{Artifact, Attachment, IndexEntry},
};

use crate::catalog::testing::{FakeRegistry, IMAGE, INDEX, descriptor, digest, malformed, name};

use super::*;

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
async fn signatures_and_other_attachments_are_no_tags() {
    let hex = "ab".repeat(32);
    let registry = registry_of(&[("a", "1", 1)]);
    let attachments = ["", ".att", ".sbom", ".sig"].map(|suffix| format!("sha256-{hex}{suffix}"));
    for tag in attachments.iter().chain([&format!("sha256-{}.sig", "cd".repeat(32))]) {
        registry.tag("a", tag, &digest(1));
    }
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    assert_eq!(shown(&view.snapshot()), ["a:1=1"]);
    assert_eq!(view.snapshot().totals().tags, 1);
    let entry = view.snapshot().repository(&name("a")).unwrap().clone();
    let subject = format!("sha256:{hex}").parse().unwrap();
    let attached: Vec<_> = entry.attachments_of(&subject).iter().map(Tag::attachment).collect();
    let expected = [Attachment::Attestation, Attachment::Sbom, Attachment::Signature].map(Some);
    assert_eq!(attached, [&[None], &expected[..]].concat());
    assert_eq!(registry.asked(), ["catalog 0", "config 1", "get a:1", "tags a"]);
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
        attests: None,
    };
    let entries = vec![entry(1, "10.0.17763"), entry(2, "10.0.20348")];
    registry.tag("a", "1", &registry.index_of(3, entries));
    let (refresh, view) = over(&registry);
    refresh.refresh_once().await.unwrap();
    let image = image(&view.snapshot(), "a", "1");
    assert_eq!(platforms(&image), ["windows(10.0.17763)/amd64", "windows(10.0.20348)/amd64"]);
}
