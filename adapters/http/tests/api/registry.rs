//! What the registry holds, as lists of the API.

use std::sync::Arc;

use poem::{
    Endpoint, Response,
    http::StatusCode,
    test::{TestClient, TestResponse},
};
use serde_json::{Value, json};
use staticreg_application::catalog::{
    CatalogSnapshot, CatalogSnapshots, ReadFault, ReadImage, ReadProgress, ReadStatus, RefreshCatalog, RefreshOptions,
    RepositoryEntry,
};
use staticreg_domain::{Digest, catalog::RegistryCatalog};
use staticreg_http::{Registry, Services, access::Access};
use staticreg_memory::MemoryMetrics;
use staticreg_test_support::sample::{self, FixedClock, SampleRegistry};

use crate::{
    body,
    support::{self, text},
};

fn server(snapshots: CatalogSnapshots) -> TestClient<impl Endpoint<Output = Response>> {
    server_with(snapshots, ReadImage::new(Arc::new(SampleRegistry::default())))
}

/// A server that knows these of its registry, and reads images so.
pub(crate) fn server_with(
    snapshots: CatalogSnapshots,
    images: ReadImage,
) -> TestClient<impl Endpoint<Output = Response>> {
    let registry = Some(Registry { host: "registry.example.com".to_owned(), snapshots, images });
    let services = support::services(MemoryMetrics::new(100), Access::default());
    TestClient::new(staticreg_http::endpoint(Services { registry, ..services }))
}

/// What is known of a registry that was read to its end.
pub(crate) async fn read(catalog: Arc<dyn RegistryCatalog>) -> CatalogSnapshots {
    let refresh = RefreshCatalog::new(catalog, Arc::new(FixedClock(sample::now())), RefreshOptions::default());
    refresh.refresh_once().await.expect("the registry is read");
    refresh.snapshots()
}

/// A registry that holds an index with a signature, an image, a chart, and a repository without tags.
async fn some() -> CatalogSnapshots {
    let mut registry = SampleRegistry::default();
    let at = |text: &str| text.parse().expect(text);
    let platforms = [("linux", "amd64", None), ("linux", "arm64", Some("v8"))];
    registry.add_index("team-a/app", "1.0", at("2026-10-01T10:00:00Z"), &platforms);
    registry.add_index("team-a/app", "1.1", at("2026-11-01T10:00:00Z"), &platforms[..1]);
    let image = registry.add_image("tool:v1", at("2026-09-01T10:00:00Z"), None);
    registry.point("team-a/tools/tool", "v1", image.clone());
    registry.point("team-a/tools/tool", "latest", image);
    let chart = registry.add_artifact("chart:3", "application/vnd.cncf.helm.config.v1+json");
    registry.point("team-ab/chart", "3", chart);
    let signature = format!("{}.sig", index("team-a/app:1.0").as_str().replace(':', "-"));
    let signed = registry.add_artifact("signature", "application/vnd.dev.cosign.simplesigning.v1+json");
    registry.point("team-a/app", &signature, signed);
    read(Arc::new(registry)).await
}

fn index(image: &str) -> Digest {
    sample::digest(&format!("{image} index"))
}

pub(crate) async fn problem(response: TestResponse, status: StatusCode) -> Value {
    response.assert_status(status);
    response.assert_content_type("application/problem+json");
    body(response).await
}

#[tokio::test(start_paused = true)]
async fn repositories_tell_what_their_tags_point_to() {
    let server = server(some().await);
    let answer = body(server.get("/api/v1/registry/repositories").send().await).await;
    insta::assert_json_snapshot!("registry_repositories", answer);
    let csv = server.get("/api/v1/registry/repositories.csv").send().await;
    csv.assert_header("Registry-Complete", "true");
    csv.assert_header("Registry-Read-At", answer["read_at"].as_str().expect("a time"));
    insta::assert_snapshot!("registry_repositories_csv", text(csv).await);
}

#[tokio::test(start_paused = true)]
async fn tags_tell_what_they_point_to_and_what_refers_to_it() {
    let server = server(some().await);
    let of_app = body(server.get("/api/v1/registry/tags?repository=team-a/app").send().await).await;
    insta::assert_json_snapshot!("registry_tags", of_app);
    let csv = server.get("/api/v1/registry/tags.csv?repository=team-a/app").send().await;
    insta::assert_snapshot!("registry_tags_csv", text(csv).await);
    let chart = body(server.get("/api/v1/registry/images?repository=team-ab/chart").send().await).await;
    assert_eq!((&chart["items"][0]["artifact"], &chart["items"][0]["platforms"]), (&json!("chart"), &json!([])));
}

#[tokio::test(start_paused = true)]
async fn lists_are_filtered_and_read_in_pages() {
    let server = server(some().await);
    let names = async |query: &str| {
        let (mut names, mut next) = (Vec::new(), String::new());
        loop {
            let query = format!("{query}{}limit=1{next}", if query.contains('?') { "&" } else { "?" });
            let page = body(server.get(format!("/api/v1/registry/{query}")).send().await).await;
            for item in page["items"].as_array().expect("items") {
                let tag = item["tag"].as_str().map(|tag| format!(":{tag}")).unwrap_or_default();
                names.push(format!("{}{tag}", item["repository"].as_str().expect("a name")));
            }
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return names,
            }
        }
    };
    for (query, expected) in [
        ("repositories", &["team-a/app", "team-a/tools/tool", "team-ab/chart"][..]),
        ("repositories?folder=team-a", &["team-a/app", "team-a/tools/tool"]),
        ("repositories?q=TOOL", &["team-a/tools/tool"]),
        ("repositories?repository=team-ab/chart&repository=none", &["team-ab/chart"]),
        ("repositories?q=none", &[]),
        ("tags?repository=team-a/app", &["team-a/app:1.0", "team-a/app:1.1"]),
        ("tags?repository=team-a/app&tag=1.1&tag=2", &["team-a/app:1.1"]),
        (
            "images",
            &[
                "team-a/app:1.0",
                "team-a/app:1.1",
                "team-a/tools/tool:latest",
                "team-a/tools/tool:v1",
                "team-ab/chart:3",
            ],
        ),
        ("images?folder=team-a&tag=latest&tag=1.0", &["team-a/app:1.0", "team-a/tools/tool:latest"]),
        ("images?q=b/c", &["team-ab/chart:3"]),
    ] {
        assert_eq!(names(query).await, expected, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_says_what_is_missing() {
    let lists = ["repositories", "tags?repository=a", "images", "images.csv"];
    let without = support::server(MemoryMetrics::new(1));
    for list in lists {
        let problem =
            problem(without.get(format!("/api/v1/registry/{list}")).send().await, StatusCode::NOT_FOUND).await;
        assert_eq!(problem["code"], "no_registry", "{list}");
    }
    let unread = server(CatalogSnapshots::fixed(CatalogSnapshot::default()));
    for list in lists {
        let response = unread.get(format!("/api/v1/registry/{list}")).send().await;
        response.assert_header("retry-after", "1");
        let problem = problem(response, StatusCode::SERVICE_UNAVAILABLE).await;
        assert_eq!(problem["code"], "registry_not_read", "{list}");
    }
    let read = server(some().await);
    let response = read.get("/api/v1/registry/tags?repository=none").send().await;
    let problem = problem(response, StatusCode::NOT_FOUND).await;
    assert_eq!((&problem["code"], &problem["parameter"]), (&json!("unknown_repository"), &json!("repository")));
    for (query, parameter) in [
        ("tags", "repository"),
        ("tags?repository=A", "repository"),
        ("tags?repository=a&folder=b", "folder"),
        ("images?q=", "q"),
        ("images?q=%00", "q"),
        ("repositories?cursor=x", "cursor"),
        ("repositories?limit=0", "limit"),
        ("repositories?tag=1", "tag"),
    ] {
        let response = read.get(format!("/api/v1/registry/{query}")).send().await;
        assert_eq!(self::problem(response, StatusCode::BAD_REQUEST).await["parameter"], parameter, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_known_in_part_says_so() {
    let entry = |name: &str, read_at| {
        Arc::new(RepositoryEntry { read_at, ..RepositoryEntry::unread(name.parse().expect("a name")) })
    };
    let at = Some(sample::now());
    let entries = || vec![entry("a", at), entry("b", None)];
    let fault = Some(ReadFault { text: "The registry does not answer.".into(), at: sample::now() });
    let progress = Some(ReadProgress { found: 2, found_all: true, read: 1 });
    let whole = ReadStatus { read_at: at, progress: None, fault: None };
    for (status, query, complete) in [
        (whole.clone(), "repositories?limit=1", true),
        (whole.clone(), "repositories", false),
        (ReadStatus { fault: fault.clone(), ..whole.clone() }, "repositories?limit=1", false),
        (ReadStatus { read_at: None, progress, ..whole }, "repositories?limit=1", false),
    ] {
        let snapshot = CatalogSnapshot::new(1, entries(), status.clone());
        let server = server(CatalogSnapshots::fixed(snapshot));
        let answer = body(server.get(format!("/api/v1/registry/{query}")).send().await).await;
        assert_eq!(answer["complete"], complete, "{status:?} {query}");
        assert_eq!(answer["read_at"].is_null(), status.read_at.is_none(), "{status:?}");
        assert_eq!(answer["fault"].is_null(), status.fault.is_none(), "{status:?}");
    }
}
