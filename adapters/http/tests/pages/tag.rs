//! `/repo/NAME?tag=`: what an image is, what belongs to it, and how it differs from another.

use std::{collections::BTreeMap, sync::Arc};

use chrono::Days;
use poem::{Endpoint, Response};
use staticreg_domain::{
    Platform,
    catalog::ManifestContent,
    metrics::{AccessKind, CountKey, MetricsRepository},
};
use staticreg_memory::MemoryMetrics;
use staticreg_test_support::sample::{self, SampleRegistry};

use crate::site::{self, Site};

async fn showing(registry: SampleRegistry) -> Site<impl Endpoint<Output = Response>> {
    site::with(Arc::new(MemoryMetrics::new(1)), Some(registry)).await
}

/// `app:1`, an image with labels of this suffix: `description`, `source` and so on.
fn labelled(labels: &[(&str, &str)]) -> SampleRegistry {
    let mut registry = SampleRegistry::default();
    let image = registry.add_image("app:1", sample::now(), Platform::new("linux", "amd64", None));
    registry.configure("app:1", |configuration| {
        configuration.labels = labels
            .iter()
            .map(|(name, value)| (format!("org.opencontainers.image.{name}"), (*value).to_owned()))
            .collect();
    });
    registry.point("app", "1", image);
    registry
}

#[tokio::test(start_paused = true)]
async fn what_it_is_stands_under_its_name() {
    let site = showing(labelled(&[
        ("description", "Serves\n the  shop"),
        ("source", "https://git.example.com/shop/app"),
        ("url", "http://shop.example.com"),
        ("licenses", "Apache-2.0 OR MIT"),
    ]))
    .await;
    let page = site.page("/repo/app?tag=1").await;
    let text = page.text();
    assert!(
        text.contains("app : 1 Image Serves the shop Source git.example.com/shop/app Website shop.example.com"),
        "{text}"
    );
    assert!(text.contains("Licence Apache-2.0 OR MIT"), "{text}");
    for address in ["https://git.example.com/shop/app", "http://shop.example.com"] {
        // Under the title, and in the list of labels.
        let link = format!("<a href=\"{address}\" rel=\"nofollow noopener noreferrer\">");
        assert_eq!(page.body.matches(&link).count(), 2, "{address}: {}", page.body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_label_that_is_no_address_of_the_web_is_no_link() {
    for odd in
        ["javascript:alert(1)", "git@example.com:a/b", "https://good@evil.example", "data:text/html,x", "\" onclick=\""]
    {
        let site =
            showing(labelled(&[("source", odd), ("description", "\u{202e}evil"), ("title", "https://a.example")]))
                .await;
        let page = site.page("/repo/app?tag=1").await;
        assert!(!page.body.contains("nofollow"), "{odd}: {}", page.body);
        assert!(page.text().contains("\\u{202e}evil"), "{}", page.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_chart_tells_by_its_annotations() {
    let mut registry = SampleRegistry::default();
    let chart = registry.add_artifact("chart", "application/vnd.cncf.helm.config.v1+json");
    registry.change(&chart, |manifest| {
        let told = |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
        manifest.annotations =
            BTreeMap::from([told("description", "A chart"), told("source", "https://git.example.com/charts")]);
    });
    registry.point("charts/app", "1.0.0", chart);
    let page = showing(registry).await.page("/repo/charts/app?tag=1.0.0").await;
    let text = page.text();
    assert!(text.contains("Helm chart A chart Source git.example.com/charts"), "{text}");
    assert!(text.contains("helm pull oci://registry.example.com/charts/app --version 1.0.0"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn signatures_and_attestations_are_told_at_the_image_that_they_belong_to() {
    let site = showing(SampleRegistry::signed()).await;
    let text = site.page("/repo/app?tag=1").await.text();
    assert!(text.contains("app : 1 Image signed provenance SBOM"), "{text}");
    for (seed, row) in [
        ("attestation", "Provenance, SBOM https://slsa.dev/provenance/v1, https://spdx.dev/Document"),
        ("notation", "Signature application/vnd.cncf.notary.signature"),
        ("cosign", "Signature"),
    ] {
        let of = if seed == "attestation" { "the image" } else { "the index" };
        let digest = &sample::digest(seed).as_str()[..19].to_owned();
        let expected = format!("{row} {digest} {of}");
        assert!(text.contains(&expected), "{expected}: {text}");
    }
    let table = site.get("/export/attached.csv?repository=app&tag=1").await.body;
    assert_eq!(table.lines().count(), 4, "{table}");
    // The list of tags tells what it knows without asking.
    let text = site.page("/repo/app").await.text();
    assert!(text.contains("1 sha256") && text.contains(" signed linux/amd64"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn layers_tell_the_step_that_made_them() {
    let site = site::sample().await;
    let text = site.page("/repo/shop/storefront?tag=v310").await.text();
    for step in ["ADD file:0b2bf72 in /", "RUN apk add --no-cache tini", "COPY --chown=65532:65532 . /srv"] {
        assert!(text.contains(&format!("{step} sha256:")), "{step}: {text}");
    }
    let table = site.get("/export/layers.csv?repository=shop/storefront&tag=v310").await.body;
    assert!(table.contains(",COPY --chown=65532:65532 . /srv\r\n"), "{table}");
}

#[tokio::test(start_paused = true)]
async fn no_step_is_guessed_where_they_are_not_as_many_as_layers() {
    let mut registry = labelled(&[]);
    registry.configure("app:1", |configuration| configuration.history.truncate(2));
    let text = showing(registry).await.page("/repo/app?tag=1").await.text();
    assert!(!text.contains("RUN apk add") && text.contains("Layers 4,"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn ten_digests_are_shown_and_all_when_somebody_asks() {
    let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(1_000));
    for age in 0..30 {
        let date = sample::now().date_naive() - Days::new(age);
        let key = CountKey {
            kind: AccessKind::PullByTag,
            date,
            repository: "app".parse().unwrap(),
            tag: Some("1".parse().unwrap()),
            digest: sample::digest(&age.to_string()),
            architecture: "amd64".parse().unwrap_or_else(|never| match never {}),
        };
        let at = date.and_hms_opt(1, 0, 0).unwrap().and_utc();
        store.record(&[sample::event(at, key, 1)], sample::now()).await.unwrap();
    }
    let site = site::with(store, None).await;
    let shown =
        |body: &str| (0..30).filter(|age: &u32| body.contains(sample::digest(&age.to_string()).as_str())).count();
    let page = site.page("/repo/app?tag=1&days=7").await;
    assert_eq!(shown(&page.body), 10);
    let all = "/repo/app?tag=1&#38;digests=all&#38;days=7#digests";
    assert!(page.body.contains(&format!("<a href=\"{all}\">All 30</a>")), "{}", page.body);
    let page = site.page("/repo/app?tag=1&digests=all&days=7").await;
    assert_eq!(shown(&page.body), 30);
    assert!(!page.body.contains("All 30") && page.body.contains("&#38;digests=all&#38;days=90"), "{}", page.body);
}

#[tokio::test(start_paused = true)]
async fn the_commands_of_four_tools_are_listed_and_one_may_be_chosen() {
    let site = showing(labelled(&[])).await;
    let page = site.page("/repo/app?tag=1").await;
    for (tool, command) in [
        ("docker", "docker pull registry.example.com/app:1"),
        ("podman", "podman pull registry.example.com/app:1"),
        ("nerdctl", "nerdctl pull registry.example.com/app:1"),
        ("crane", "crane pull registry.example.com/app:1 image.tar"),
    ] {
        assert!(page.body.contains(&format!("data-tool-switch=\"{tool}\"")), "{tool}: {}", page.body);
        assert!(page.body.contains(&format!("data-tool=\"{tool}\"><code>{command}</code>")), "{tool}: {}", page.body);
    }
}

/// `app:1` and `app:2`, which share two layers, and `app:1.0`, which is `1`.
fn two_versions() -> SampleRegistry {
    let mut registry = SampleRegistry::default();
    let platform = Platform::new("linux", "amd64", None);
    let [one, two] = ["one", "two"].map(|seed| registry.add_image(seed, sample::now(), platform.clone()));
    let mut below = Vec::new();
    registry.change(&one, |manifest| {
        if let ManifestContent::Image { layers, .. } = &mut manifest.content {
            for layer in layers.iter_mut() {
                layer.size = 3_000_000;
            }
            below = layers[..2].to_vec();
        }
    });
    registry.change(&two, |manifest| {
        if let ManifestContent::Image { layers, .. } = &mut manifest.content {
            for layer in layers.iter_mut() {
                layer.size = 4_000_000;
            }
            layers.splice(..2, below);
        }
    });
    registry.configure("two", |configuration| {
        configuration.labels.insert("version".to_owned(), "<2>".to_owned());
        configuration.user = Some("root".to_owned());
        configuration.environment.pop();
    });
    for (tag, image) in [("1", &one), ("1.0", &one), ("2", &two)] {
        registry.point("app", tag, image.clone());
    }
    registry
}

#[tokio::test(start_paused = true)]
async fn two_tags_are_compared() {
    let site = showing(two_versions()).await;
    let page = site.page("/repo/app?tag=2&compare=1").await;
    let text = page.text();
    for expected in [
        "2.0 MB larger than 1. 2 and 1 share 2 layers of 6.0 MB.",
        "Size of the layers 14.0 MB 12.0 MB",
        "User root 65532:65532",
        "label version &#60;2&#62; not there",
        "variable LANG not there C.UTF-8",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let differing = text.split("Layers that only one of them has").last().unwrap_or_default();
    assert_eq!(differing.matches("COPY").count(), 4, "{differing}");
    assert!(!differing.contains("RUN apk add"), "{differing}");
    assert_eq!((differing.matches("only in 2").count(), differing.matches("only in 1").count()), (2, 2), "{differing}");
    assert!(
        page.body.contains("<a href=\"/repo/app?tag=1&#38;days=") || page.body.contains("<a href=\"/repo/app?tag=1\">")
    );
    // Links to other days keep it.
    assert!(page.body.contains("tag=2&#38;compare=1&#38;days=90"), "{}", page.body);
    let back = site.page("/repo/app?tag=1&compare=2").await.text();
    assert!(back.contains("2.0 MB smaller than 2."), "{back}");
    let same = site.page("/repo/app?tag=1&compare=1.0").await.text();
    assert!(same.contains("1 and 1.0 are the same image."), "{same}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_compared_is_told() {
    let mut registry = two_versions();
    registry.add_index("app", "arm", sample::now(), &[("linux", "arm64", None), ("linux", "riscv64", None)]);
    registry.add_index("app", "amd", sample::now(), &[("linux", "amd64", None)]);
    registry.point("app", "lost", sample::digest("nobody has this"));
    let site = showing(registry).await;
    for (query, expected) in [
        ("tag=1&compare=nope", "There is no tag nope to compare with."),
        ("tag=1&compare=%3Cscript%3E", "There is no tag &#60;script&#62; to compare with."),
        ("tag=1&compare=lost", "The registry does not hold this image, or none for this platform."),
        ("tag=arm&compare=amd", "amd has no image for linux/arm64."),
    ] {
        let text = site.page(&format!("/repo/app?{query}")).await.text();
        assert!(text.contains(expected), "{query}: {text}");
    }
    let text = site.page("/repo/app?tag=arm&compare=arm&platform=linux/riscv64").await.text();
    assert!(text.contains("arm and arm are the same image."), "{text}");
    let body = site.page("/repo/app?tag=1").await.body;
    assert!(body.contains("<datalist id=\"tags\"><option value=\"1.0\">"), "{body}");
}
