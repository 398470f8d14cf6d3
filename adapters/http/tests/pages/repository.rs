//! `/repo/NAME` and `/repo/NAME?tag=`.

use std::sync::Arc;

use poem::http::StatusCode;
use staticreg_application::catalog::{
    CatalogSnapshot, CatalogSnapshots, ReadFault, ReadImage, ReadStatus, RepositoryEntry, TagEntry, TagTarget,
};
use staticreg_domain::{
    Platform,
    metrics::{MetricsError, MetricsRepository, MockMetricsRepository},
};
use staticreg_http::Registry;
use staticreg_memory::MemoryMetrics;
use staticreg_test_support::sample::{self, SampleRegistry};

use crate::site;

#[tokio::test(start_paused = true)]
async fn a_repository_shows_its_tags_pulls_and_commands() {
    let site = site::sample().await;
    insta::assert_snapshot!(site.page("/repo/platform/gateway").await.text());
}

#[tokio::test(start_paused = true)]
async fn a_tag_shows_its_digests_manifest_and_configuration() {
    let site = site::sample().await;
    insta::assert_snapshot!(site.page("/repo/shop/storefront?tag=v310").await.text());
}

#[tokio::test(start_paused = true)]
async fn a_platform_of_an_index_is_chosen_by_its_name() {
    let site = site::sample().await;
    let amd64 = site.page("/repo/library/nginx?tag=latest").await;
    assert!(amd64.text().contains("Platform linux/amd64"), "{}", amd64.text());
    assert!(amd64.body.contains("&#38;platform=linux/arm64/v8#image"), "{}", amd64.body);
    let arm64 = site.page("/repo/library/nginx?tag=latest&platform=linux/arm64/v8").await;
    assert!(arm64.text().contains("Platform linux/arm64/v8"), "{}", arm64.text());
    let none = site.page("/repo/library/nginx?tag=latest&platform=plan9/mips").await;
    assert!(none.text().contains("The registry does not hold this image, or none for this platform."));
}

#[tokio::test(start_paused = true)]
async fn tags_are_sorted_searched_and_told_when_they_are_gone() {
    let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(100_000));
    sample::fill(&store).await;
    let mut registry = SampleRegistry::default();
    let image = registry.add_image("one", sample::now(), Platform::new("linux", "amd64", None));
    registry.point("library/nginx", "1.27.3", image);
    let site = site::with(store, Some(registry)).await;
    let text = site.page("/repo/library/nginx?sort=name").await.text();
    assert!(text.contains("1.26.0 not in the registry"), "{text}");
    assert!(!text.contains("1.27.3 not in the registry"), "{text}");
    assert!(text.contains("docker pull registry.example.com/library/nginx:1.27.3"), "{text}");
    assert!(!text.contains("docker pull registry.example.com/library/nginx:1.26.0"), "{text}");
    for path in ["/repo/base/node", "/repo/base/node?tag=22.11"] {
        let text = site.page(path).await.text();
        assert!(text.contains("not in the registry") && !text.contains("docker pull"), "{path}: {text}");
    }
    let found = site.page("/repo/library/nginx?q=1.26").await.text();
    assert!(found.contains("1 tag, pulls in 30 days") && !found.contains("1.27.2"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn what_was_never_read_is_not_told_to_be_gone() {
    let site = site::sample_with_a_registry_that_never_answered().await;
    for path in ["/repo/base/node", "/repo/base/node?tag=22.11"] {
        let text = site.page(path).await.text();
        assert!(!text.contains("not in the registry") && !text.contains("any more"), "{path}: {text}");
        assert!(text.contains("docker pull r/base/node:22.11"), "{path}: {text}");
    }
}

/// A registry with a chart as helm pushes it, a build cache, and an artifact that nothing is known of.
async fn artifacts() -> site::Site<impl poem::Endpoint<Output = poem::Response>> {
    let mut registry = SampleRegistry::default();
    for (name, tag, media_type) in [
        ("charts/webapp", "1.2.3_build.7", "application/vnd.cncf.helm.config.v1+json"),
        ("policies/base", "1.0.0", "application/vnd.example.policy.v1+json"),
    ] {
        let artifact = registry.add_artifact(name, media_type);
        registry.point(name, tag, artifact);
    }
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let entries = [(layer, "one"), (layer, "two"), ("application/vnd.buildkit.cacheconfig.v0", "three")];
    let entries = entries.map(|(media_type, seed)| (media_type, sample::digest(seed), None)).to_vec();
    registry.add_index_of("build/app", "cache", entries);
    site::with(Arc::new(MemoryMetrics::new(1)), Some(registry)).await
}

#[tokio::test(start_paused = true)]
async fn what_is_no_image_is_shown_as_what_it_is_with_the_command_that_fetches_it() {
    let site = artifacts().await;
    for (name, tag, what, command) in [
        (
            "charts/webapp",
            "1.2.3_build.7",
            "Helm chart",
            // The version as helm writes it.
            "helm pull oci://registry.example.com/charts/webapp --version 1.2.3+build.7 Copy the helm command",
        ),
        (
            "build/app",
            "cache",
            "Build cache",
            "docker buildx build --cache-from type=registry,ref=registry.example.com/build/app:cache . Copy the docker",
        ),
        (
            "policies/base",
            "1.0.0",
            "Artifact application/vnd.example.policy.v1+json",
            "oras pull registry.example.com/policies/base:1.0.0 Copy the oras command",
        ),
    ] {
        for path in [format!("/repo/{name}"), format!("/repo/{name}?tag={tag}")] {
            let text = site.page(&path).await.text();
            let shown = if path.contains("?tag=") { what } else { what.split(" application").next().unwrap_or(what) };
            assert!(text.contains(shown) && text.contains(command), "{path}: {text}");
            assert!(!text.contains("docker pull") && !text.contains("podman pull"), "{path}: {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_build_cache_shows_its_layers() {
    let site = artifacts().await;
    let text = site.page("/repo/build/app?tag=cache").await.text();
    for expected in
        ["Artifact Build cache of BuildKit", "Size 3.7 kB", "Layers 3, 3.7 kB", &sample::digest("two").as_str()[..19]]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let layers = site.get("/export/layers.csv?repository=build/app&tag=cache").await.body;
    assert!(layers.contains("application/vnd.buildkit.cacheconfig.v0,1240"), "{layers}");
}

#[tokio::test(start_paused = true)]
async fn two_builds_of_one_platform_are_two() {
    let mut registry = SampleRegistry::default();
    let builds = [("ltsc2019", "10.0.17763.6532"), ("ltsc2022", "10.0.20348.2849"), ("other", "10.0.20348.2849")];
    let builds = builds.map(|(seed, version)| {
        let platform = Platform::new("windows", "amd64", None).map(|platform| platform.of_os_version(version));
        let image = registry.add_image(seed, sample::now(), platform.clone());
        ("application/vnd.oci.image.manifest.v1+json", image, platform)
    });
    registry.add_index_of("app", "1", builds.to_vec());
    let site = site::with(Arc::new(MemoryMetrics::new(1)), Some(registry)).await;
    let text = site.page("/repo/app").await.text();
    assert!(text.contains("windows(10.0.17763.6532)/amd64 windows(10.0.20348.2849)/amd64"), "{text}");
    let body = site.page("/repo/app?tag=1").await.body;
    let other = sample::digest("other");
    for (platform, seed) in [
        ("windows%2810.0.17763.6532%29/amd64", "ltsc2019"),
        ("windows%2810.0.20348.2849%29/amd64", "ltsc2022"),
        (&other.as_str().replace(':', "%3A"), "other"),
    ] {
        assert!(body.contains(&format!("&#38;platform={platform}#image")), "{body}");
        let page = site.page(&format!("/repo/app?tag=1&platform={platform}")).await;
        let image = sample::digest(seed);
        assert!(page.text().contains(&format!("Digest {image}")), "{platform}: {}", page.text());
        assert_eq!(page.body.matches("aria-current=\"true\"").count(), 2, "{platform}: {}", page.body);
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_in_an_index_leads_to_its_images() {
    let mut registry = SampleRegistry::default();
    registry.add_index("app", "inner", sample::now(), &[("linux", "amd64", None), ("linux", "arm64", None)]);
    let index = "application/vnd.oci.image.index.v1+json";
    registry.add_index_of("app", "outer", vec![(index, sample::digest("app:inner index"), None)]);
    let site = site::with(Arc::new(MemoryMetrics::new(1)), Some(registry)).await;
    for (platform, seed) in [("linux/amd64", "app:inner amd64"), ("linux/arm64", "app:inner arm64")] {
        let text = site.page(&format!("/repo/app?tag=outer&platform={platform}")).await.text();
        assert!(text.contains(&format!("Digest {}", sample::digest(seed))), "{platform}: {text}");
        assert!(text.contains("Entry point"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn signatures_are_no_tags_of_their_own() {
    let mut registry = SampleRegistry::default();
    let image = registry.add_image("one", sample::now(), Platform::new("linux", "amd64", None));
    registry.point("app", "1", image.clone());
    for suffix in ["", ".sig", ".att", ".sbom"] {
        let attachment = registry.add_artifact(suffix, "application/vnd.oci.empty.v1+json");
        registry.point("app", &format!("{}{suffix}", image.as_str().replace(':', "-")), attachment);
    }
    let site = site::with(Arc::new(MemoryMetrics::new(1)), Some(registry)).await;
    let text = site.page("/repo/app").await.text();
    assert!(text.contains("1 tag,") && !text.contains("sha256-"), "{text}");
    let text = site.page("/").await.text();
    assert!(text.contains("Tags 1"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn commands_name_the_registry_as_its_users_reach_it() {
    let store = || -> Arc<dyn MetricsRepository> { Arc::new(MemoryMetrics::new(100_000)) };
    let mut registry = SampleRegistry::default();
    let image = registry.add_image("one", sample::now(), Platform::new("linux", "amd64", None));
    registry.point("app", "1", image);
    let registry = site::registry(registry).await;
    let site = site::called(store(), Some(registry), Some("localhost:5000"));
    for path in ["/repo/app", "/repo/app?tag=1"] {
        let text = site.page(path).await.text();
        assert!(text.contains("docker pull localhost:5000/app:1"), "{path}: {text}");
        assert!(!text.contains("registry.example.com"), "{path}: {text}");
    }
    let store = store();
    sample::fill(&store).await;
    let text = site::called(store, None, Some("localhost:5000")).page("/repo/base/node").await.text();
    assert!(text.contains("docker pull localhost:5000/base/node:22.11"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_tags_that_is_not_whole_is_said_to_be() {
    let (names, tags) = (["1", "2"], |tag: &str| TagEntry { tag: tag.parse().unwrap(), target: TagTarget::Unknown });
    let fault =
        ReadFault { text: "The list of tags is not whole. The registry does not answer.".into(), at: sample::now() };
    let entry = RepositoryEntry {
        tags: names.map(tags).into(),
        truncated: true,
        read_at: Some(sample::now()),
        fault: Some(fault),
        ..RepositoryEntry::unread("app".parse().unwrap())
    };
    let status = ReadStatus { read_at: Some(sample::now()), ..ReadStatus::default() };
    let snapshots = CatalogSnapshots::fixed(CatalogSnapshot::new(1, vec![Arc::new(entry)], status));
    let images = ReadImage::new(Arc::new(SampleRegistry::default()));
    let registry = Registry { host: "r".to_owned(), snapshots, images };
    let text = site::of(Arc::new(MemoryMetrics::new(1)), Some(registry)).page("/repo/app").await.text();
    assert!(text.contains("The list of tags is not whole."), "{text}");
    assert!(text.contains("The registry may hold more tags of this repository than are shown."), "{text}");
    assert!(text.contains("2 tags,"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_chart_without_pulls_says_so() {
    let site = site::with(Arc::new(MemoryMetrics::new(1)), Some(SampleRegistry::new())).await;
    let page = site.page("/repo/base/node").await;
    assert!(page.text().contains("Nothing was counted from 21 Oct 2026 to 19 Nov 2026."), "{}", page.text());
    assert!(!page.body.contains("class=\"bars\""), "{}", page.body);
}

#[tokio::test(start_paused = true)]
async fn the_days_and_the_platform_are_kept_between_a_repository_and_its_tags() {
    let site = site::sample().await;
    let body = site.page("/repo/library/nginx?days=7").await.body;
    assert!(body.contains("/repo/library/nginx?tag=latest&#38;days=7\""), "{body}");
    let body = site.page("/repo/library/nginx?tag=latest&platform=linux/arm64/v8&days=7").await.body;
    for address in [
        "/repo/library/nginx?days=7",
        "/repo/library/nginx?tag=latest&#38;platform=linux/amd64&#38;days=7#image",
        "/repo/library/nginx?tag=latest&#38;platform=linux/arm64/v8&#38;days=90",
    ] {
        assert!(body.contains(&format!("href=\"{address}\"")), "{address}: {body}");
    }
    let body = site.page("/repo/library/nginx?tag=latest").await.body;
    assert!(body.contains("href=\"/repo/library/nginx\"") && !body.contains("linux/amd64&#38;days"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn the_days_are_chosen_and_kept_in_links() {
    let site = site::sample().await;
    let text = site.page("/repo/base/node?from=2026-11-01&to=2026-11-02").await;
    assert!(text.text().contains("from 1 Nov 2026 to 2 Nov 2026"), "{}", text.text());
    assert!(text.body.contains("from=2026-11-01&#38;to=2026-11-02"), "{}", text.body);
    for (query, reason) in [
        ("from=2026-11-05&to=2026-11-02", "The first day is after the last."),
        ("from=yesterday", "Dates look like 2026-11-19; “yesterday” does not."),
        ("to=2026-11-02", "Choose the first day too."),
        ("from=1026-01-01", "A range holds at most 3,660 days."),
    ] {
        let text = site.page(&format!("/repo/base/node?{query}")).await.text();
        assert!(text.contains(reason), "{query}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_keeps_the_order_and_the_days() {
    let site = site::sample().await;
    let body = site.page("/repo/base/node?sort=name&order=reverse&days=7").await.body;
    for (name, value) in [("sort", "name"), ("order", "reverse"), ("days", "7")] {
        assert!(body.contains(&format!(r#"<input type="hidden" name="{name}" value="{value}">"#)), "{name}: {body}");
    }
    assert!(body.contains("sort=name&#38;order=reverse&#38;days=90"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn the_badge_and_the_chart_to_copy_are_where_the_browser_found_the_page() {
    let site = site::sample().await;
    for (headers, expected) in [
        (&[("host", "counts.example.com")][..], "http://counts.example.com/badge/base/node.svg"),
        (
            &[("host", "counts.example.com"), ("x-forwarded-proto", "https")],
            "https://counts.example.com/badge/base/node.svg",
        ),
        (&[("host", "<b>"), ("x-forwarded-proto", "javascript")], "http://localhost:8093/badge/base/node.svg"),
    ] {
        let text = site.ask(poem::http::Method::GET, "/repo/base/node", headers).await.text();
        let origin = expected.strip_suffix("/badge/base/node.svg").expect("a badge");
        let badge = format!("[![pulls]({expected})]({origin}/repo/base/node)");
        let chart = format!("[![pulls of base/node]({origin}/chart/base/node.svg?days=90)]({origin}/repo/base/node)");
        assert!(text.contains(&badge) && text.contains(&chart), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_is_not_found_but_similar_ones_are_offered() {
    let site = site::sample().await;
    let answer = site.get("/repo/nginx").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.contains(r#"<a href="/repo/library/nginx">library/nginx</a>"#), "{}", answer.body);
    for path in
        ["/repo/UPPER", "/repo/a//b", "/repo/%3Cscript%3E", "/repo/base/node?tag=nope", "/repo/base/node?tag=.x"]
    {
        assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_folders_name_leads_to_the_folder() {
    let site = site::sample().await;
    let answer = site.get("/repo/data/warehouse").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/?folder=data/warehouse"));
}

#[tokio::test(start_paused = true)]
async fn without_a_registry_the_statistics_are_there() {
    let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(100_000));
    sample::fill(&store).await;
    let site = site::with(store, None).await;
    let text = site.page("/repo/base/node").await.text();
    assert!(text.contains("docker pull REGISTRY/base/node:22.11"), "{text}");
    let text = site.page("/repo/base/node?tag=22.11").await.text();
    assert!(text.contains("No registry is configured to read the image from."), "{text}");
}

#[tokio::test(start_paused = true)]
async fn with_the_store_away_the_tags_are_there() {
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(|_| Err(MetricsError::Unavailable("away".into())));
    let site = site::with(Arc::new(store), Some(SampleRegistry::new())).await;
    let text = site.page("/repo/base/node").await.text();
    assert!(text.contains("pulls cannot be shown now") && text.contains("22.11"), "{text}");
    let text = site.page("/repo/base/node?tag=22.11").await.text();
    assert!(text.contains("Entry point"), "{text}");
}
