//! `/repo/NAME` and `/repo/NAME?tag=`.

use std::sync::Arc;

use poem::http::StatusCode;
use staticreg_domain::{
    Platform,
    metrics::{MetricsError, MetricsRepository, MockMetricsRepository},
};
use staticreg_memory::MemoryMetrics;
use staticreg_test_support::sample::{self, SampleRegistry};

use crate::site;

#[tokio::test]
async fn a_repository_shows_its_tags_pulls_and_commands() {
    let site = site::sample().await;
    insta::assert_snapshot!(site.page("/repo/platform/gateway").await.text());
}

#[tokio::test]
async fn a_tag_shows_its_digests_manifest_and_configuration() {
    let site = site::sample().await;
    insta::assert_snapshot!(site.page("/repo/shop/storefront?tag=v310").await.text());
}

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
async fn what_was_never_read_is_not_told_to_be_gone() {
    let site = site::sample_with_a_registry_that_never_answered().await;
    for path in ["/repo/base/node", "/repo/base/node?tag=22.11"] {
        let text = site.page(path).await.text();
        assert!(!text.contains("not in the registry") && !text.contains("any more"), "{path}: {text}");
        assert!(text.contains("docker pull r/base/node:22.11"), "{path}: {text}");
    }
}

/// A registry with a chart as helm pushes it, and an artifact that nothing is known of.
async fn artifacts() -> site::Site<impl poem::Endpoint<Output = poem::Response>> {
    let mut registry = SampleRegistry::default();
    for (name, tag, media_type) in [
        ("charts/webapp", "1.2.3_build.7", "application/vnd.cncf.helm.config.v1+json"),
        ("policies/base", "1.0.0", "application/vnd.example.policy.v1+json"),
    ] {
        let artifact = registry.add_artifact(name, media_type);
        registry.point(name, tag, artifact);
    }
    site::with(Arc::new(MemoryMetrics::new(1)), Some(registry)).await
}

#[tokio::test]
async fn what_is_no_image_has_no_command_to_pull_it_as_one() {
    let site = artifacts().await;
    for path in ["/repo/charts/webapp", "/repo/policies/base", "/repo/policies/base?tag=1.0.0"] {
        let page = site.page(path).await;
        assert!(page.text().contains("1 tag") || page.text().contains("Digests it pointed to"), "{}", page.text());
        assert!(!page.body.contains(" pull registry.") && !page.body.contains("helm pull"), "{}", page.text());
    }
    let text = site.page("/repo/policies/base?tag=1.0.0").await.text();
    assert!(text.contains("Artifact application/vnd.example.policy.v1+json"), "{text}");
}

#[tokio::test]
async fn a_helm_chart_has_the_command_of_helm_with_the_version_as_helm_writes_it() {
    let text = artifacts().await.page("/repo/charts/webapp?tag=1.2.3_build.7").await.text();
    let command = "helm pull oci://registry.example.com/charts/webapp --version 1.2.3+build.7";
    assert!(text.contains(&format!("{command} Copy the helm command")), "{text}");
    assert!(!text.contains("docker pull") && !text.contains("podman pull"), "{text}");
}

#[tokio::test]
async fn a_chart_without_pulls_says_so() {
    let site = site::with(Arc::new(MemoryMetrics::new(1)), Some(SampleRegistry::new())).await;
    let page = site.page("/repo/base/node").await;
    assert!(page.text().contains("Nothing was counted from 21 Oct 2026 to 19 Nov 2026."), "{}", page.text());
    assert!(!page.body.contains("class=\"bars\""), "{}", page.body);
}

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
async fn a_search_keeps_the_order_and_the_days() {
    let site = site::sample().await;
    let body = site.page("/repo/base/node?sort=name&order=reverse&days=7").await.body;
    for (name, value) in [("sort", "name"), ("order", "reverse"), ("days", "7")] {
        assert!(body.contains(&format!(r#"<input type="hidden" name="{name}" value="{value}">"#)), "{name}: {body}");
    }
    assert!(body.contains("sort=name&#38;order=reverse&#38;days=90"), "{body}");
}

#[tokio::test]
async fn the_badge_to_copy_is_where_the_browser_found_the_page() {
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
        assert!(text.contains(&format!("![pulls]({expected})")), "{text}");
    }
}

#[tokio::test]
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

#[tokio::test]
async fn a_folders_name_leads_to_the_folder() {
    let site = site::sample().await;
    let answer = site.get("/repo/data/warehouse").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/?folder=data/warehouse"));
}

#[tokio::test]
async fn without_a_registry_the_statistics_are_there() {
    let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(100_000));
    sample::fill(&store).await;
    let site = site::with(store, None).await;
    let text = site.page("/repo/base/node").await.text();
    assert!(text.contains("docker pull REGISTRY/base/node:22.11"), "{text}");
    let text = site.page("/repo/base/node?tag=22.11").await.text();
    assert!(text.contains("No registry is configured to read the image from."), "{text}");
}

#[tokio::test]
async fn with_the_store_away_the_tags_are_there() {
    let mut store = MockMetricsRepository::new();
    store.expect_images().returning(|_, _| Err(MetricsError::Unavailable("away".into())));
    let site = site::with(Arc::new(store), Some(SampleRegistry::new())).await;
    let text = site.page("/repo/base/node").await.text();
    assert!(text.contains("pulls cannot be shown now") && text.contains("22.11"), "{text}");
    let text = site.page("/repo/base/node?tag=22.11").await.text();
    assert!(text.contains("Entry point"), "{text}");
}
