//! What belongs to an image, as the API tells it.

use std::sync::Arc;

use poem::http::StatusCode;
use serde_json::json;
use staticreg_application::catalog::{CatalogSnapshot, CatalogSnapshots, ReadImage};
use staticreg_domain::catalog::{CatalogError, MockRegistryCatalog};
use staticreg_memory::MemoryMetrics;
use staticreg_test_support::sample::{SampleRegistry, digest};

use crate::{
    body,
    registry::{problem, read, server_with},
    support,
};

const PATH: &str = "/api/v1/registry/referrers";

#[tokio::test(start_paused = true)]
async fn what_belongs_to_an_image_and_its_index_is_listed() {
    let registry = Arc::new(SampleRegistry::signed());
    let server = server_with(read(registry.clone()).await, ReadImage::new(registry));
    let answer = body(server.get(format!("{PATH}?repository=app&tag=1")).send().await).await;
    let (image, index) = (digest("image"), digest("app:1 index"));
    let signature = format!("{}.sig", index.as_str().replace(':', "-"));
    let item = |kinds: &[&str], told: &str, seed: &str, subject: &str, tag: Option<&str>| {
        let digest = digest(seed);
        json!({"kinds": kinds, "type": told, "digest": digest.as_str(), "subject": subject, "tag": tag})
    };
    let predicates = "https://slsa.dev/provenance/v1, https://spdx.dev/Document";
    let expected = json!({
        "image": image.as_str(),
        "index": index.as_str(),
        "items": [
            item(&["provenance", "sbom"], predicates, "attestation", image.as_str(), None),
            item(&["signature"], "application/vnd.cncf.notary.signature", "notation", index.as_str(), None),
            item(&["signature"], "", "cosign", index.as_str(), Some(&signature)),
        ],
    });
    assert_eq!(answer, expected);

    for (query, status, code) in [
        ("repository=app&tag=2", StatusCode::NOT_FOUND, "unknown_tag"),
        ("repository=none&tag=1", StatusCode::NOT_FOUND, "unknown_repository"),
        ("repository=app&tag=1&platform=plan9/vax", StatusCode::NOT_FOUND, "no_image"),
        ("repository=app", StatusCode::BAD_REQUEST, "invalid_parameter"),
        ("repository=app&tag=1&limit=2", StatusCode::BAD_REQUEST, "unknown_parameter"),
    ] {
        let told = problem(server.get(format!("{PATH}?{query}")).send().await, status).await;
        assert_eq!(told["code"], code, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_or_not_there_is_no_empty_list() {
    let held = read(Arc::new(SampleRegistry::signed())).await;
    // Of what was read before, this one knows nothing any more.
    let server = server_with(held, ReadImage::new(Arc::new(SampleRegistry::default())));
    let gone = server.get(format!("{PATH}?repository=app&tag=1")).send().await;
    assert_eq!(problem(gone, StatusCode::NOT_FOUND).await["code"], "no_image");

    let unread = CatalogSnapshots::fixed(CatalogSnapshot::default());
    let server = server_with(unread, ReadImage::new(Arc::new(SampleRegistry::signed())));
    let early = server.get(format!("{PATH}?repository=app&tag=1")).send().await;
    assert_eq!(problem(early, StatusCode::SERVICE_UNAVAILABLE).await["code"], "registry_not_read");

    let without = support::server(MemoryMetrics::new(1));
    let none = without.get(format!("{PATH}?repository=app&tag=1")).send().await;
    assert_eq!(problem(none, StatusCode::NOT_FOUND).await["code"], "no_registry");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_does_not_answer_is_asked_again_later() {
    let mut away = MockRegistryCatalog::new();
    away.expect_manifest().returning(|_, _| Err(CatalogError::Unavailable("down".into())));
    let held = read(Arc::new(SampleRegistry::signed())).await;
    let server = server_with(held, ReadImage::new(Arc::new(away)));
    let response = server.get(format!("{PATH}?repository=app&tag=1")).send().await;
    response.assert_header("retry-after", "1");
    assert_eq!(problem(response, StatusCode::SERVICE_UNAVAILABLE).await["code"], "registry_unavailable");
}
