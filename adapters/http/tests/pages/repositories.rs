//! `/`: the list of repositories.

use std::{sync::Arc, time::Duration};

use poem::http::{Method, StatusCode};
use staticreg_application::catalog::{
    CatalogSnapshot, CatalogSnapshots, ReadFault, ReadImage, ReadProgress, ReadStatus,
};
use staticreg_domain::metrics::{MetricsError, MetricsRepository, MockMetricsRepository};
use staticreg_http::{
    Registry,
    access::{Access, AccessOptions, Readers, Tokens, Users},
};
use staticreg_memory::MemoryMetrics;
use staticreg_test_support::sample::{self, SampleRegistry};

use crate::site;

/// The names in the list, in its order.
fn names(body: &str) -> Vec<&str> {
    body.split("<a class=\"name\" href=\"/repo/").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn empty_store() -> Arc<dyn MetricsRepository> {
    Arc::new(MemoryMetrics::new(1_000))
}

#[tokio::test(start_paused = true)]
async fn it_answers_what_is_here_and_whether_it_is_used() {
    let site = site::sample().await;
    let text = site.page("/").await.text();
    insta::assert_snapshot!(text);
}

#[tokio::test(start_paused = true)]
async fn the_list_is_sorted_by_every_column_both_ways() {
    let site = site::sample().await;
    let by_pulls = site.page("/").await.body;
    assert_eq!(names(&by_pulls)[..2], ["ci/runner", "base/alpine"]);
    assert_eq!(names(&by_pulls).len(), 22);
    for (sort, first) in [("name", "base/alpine"), ("tags", "shop/storefront"), ("last_pulled", "base/debian")] {
        let rising = site.page(&format!("/?sort={sort}")).await.body;
        assert_eq!(names(&rising)[0], first, "{sort}");
        let falling = site.page(&format!("/?sort={sort}&order=reverse")).await.body;
        assert_eq!(names(&falling).last(), Some(&first), "{sort}");
        assert!(falling.contains("aria-sort="), "{sort}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_and_a_folder_narrow_the_list_and_keep_each_other() {
    let site = site::sample().await;
    let answer = site.page("/?folder=platform&q=gate").await;
    assert_eq!(names(&answer.body), ["platform/gateway"]);
    assert!(answer.body.contains(r#"<input type="hidden" name="folder" value="platform">"#), "{}", answer.body);
    let folder = site.page("/?folder=data/").await;
    assert_eq!(names(&folder.body).len(), 3);
    assert!(folder.body.contains("/?folder=data/warehouse"), "{}", folder.body);
    let nothing = site.page("/?q=%3Cscript%3E").await;
    assert!(nothing.text().contains("No repository matches &#60;script&#62;"), "{}", nothing.text());
    assert!(!nothing.body.contains("<script>"), "{}", nothing.body);
}

#[tokio::test(start_paused = true)]
async fn a_search_keeps_the_sorting() {
    let site = site::sample().await;
    let body = site.page("/?q=a&sort=name&order=reverse").await.body;
    assert!(body.contains(r#"<input type="hidden" name="sort" value="name">"#), "{body}");
    assert!(body.contains(r#"<input type="hidden" name="order" value="reverse">"#), "{body}");
}

#[tokio::test(start_paused = true)]
async fn odd_parameters_are_read_as_well_as_they_can_be() {
    let site = site::sample().await;
    let usual = names(&site.page("/").await.body).len();
    for query in ["page=0", "page=x", "page=99", "sort=", "sort=x", "order=x", "folder=/", "page=1&page=2", "%ff=%zz"] {
        assert_eq!(names(&site.page(&format!("/?{query}")).await.body).len(), usual, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_repositories_come_in_pages_that_lose_none() {
    let mut registry = SampleRegistry::default();
    let image = registry.add_image("one", sample::now(), None);
    for number in 0..120 {
        registry.point(&format!("many/r{number:03}"), "1", image.clone());
    }
    let site = site::with(empty_store(), Some(registry)).await;
    let mut seen = Vec::new();
    for page in 1..=3 {
        let answer = site.page(&format!("/?sort=name&page={page}")).await;
        assert!(answer.text().contains(&format!("Page {page} of 3")), "{}", answer.text());
        seen.extend(names(&answer.body).into_iter().map(str::to_owned));
    }
    seen.dedup();
    assert_eq!(seen.len(), 120);
    let first = site.page("/?sort=name").await;
    assert!(first.body.contains(r#"<a href="/?sort=name&#38;page=2" rel="next">"#), "{}", first.body);
    assert!(!first.body.contains("rel=\"prev\""));
}

#[tokio::test(start_paused = true)]
async fn a_pull_shows_on_the_next_look() {
    let store = empty_store();
    let site = site::with(Arc::clone(&store), Some(SampleRegistry::new())).await;
    assert!(site.page("/").await.text().contains("Pulls today 0"));
    sample::fill(&store).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!site.page("/").await.text().contains("Pulls today 0"));
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_from_the_registry_is_listed_apart_and_found_by_a_search() {
    let store = empty_store();
    sample::fill(&store).await;
    let mut registry = SampleRegistry::default();
    let image = registry.add_image("alpine", sample::now(), None);
    registry.point("base/alpine", "3.22", image);
    let site = site::with(store, Some(registry)).await;
    let there = site.page("/").await;
    assert_eq!(names(&there.body), ["base/alpine"]);
    let gone = site.page("/?show=gone").await;
    assert!(gone.text().contains("In the registry Gone (19) All"), "{}", gone.text());
    assert_eq!(names(&gone.body).len(), 19);
    assert_eq!(names(&site.page("/?show=all").await.body).len(), 20);
    assert_eq!(names(&site.page("/?q=nginx").await.body), ["library/nginx"]);
    assert_eq!(names(&site.page("/?q=alpine&show=gone").await.body), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn with_nothing_at_all_it_tells_the_first_steps() {
    let site = site::with(empty_store(), None).await;
    let answer = site.ask(poem::http::Method::GET, "/", &[("host", "counts.example.com:8093")]).await;
    let text = answer.text();
    assert!(text.contains("url: http://counts.example.com:8093/api/webhook/registry"), "{text}");
    assert!(text.contains("STATICREG_REGISTRY_HOSTNAME"), "{text}");
    let forged = site.ask(poem::http::Method::GET, "/", &[("host", "\"><b>x")]).await;
    assert!(forged.text().contains("url: http://localhost:8093/api/webhook/registry"), "{}", forged.text());
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_told_for_an_hour_with_what_to_check() {
    let users = "alice:$2b$04$KbQiZ0X0Jm4eJm5kC0dL1u5OxZBXa9w0hfY/zSdHqkXN/6Vkvw.Ii";
    let options = AccessOptions {
        tokens: Some(Tokens::new(["geheim"])),
        badges: Readers::SignedIn,
        users: Some(Users::parse(users).expect("a user")),
        ..AccessOptions::default()
    };
    let site = site::guarded(empty_store(), Access::new(options));
    let first = site.page("/").await;
    assert!(!first.text().contains("Refused"), "{}", first.text());
    assert!(
        first.text().contains("Authorization: [Bearer TOKEN] # one of STATICREG_WEBHOOK_TOKENS"),
        "{}",
        first.text()
    );

    for token in ["Bearer <b>", "Bearer wrong"] {
        let refused = site.ask(Method::POST, "/api/webhook/registry", &[("authorization", token)]).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    // printf 'alice:<b>' | base64
    let refused = site.ask(Method::GET, "/badge/a.svg", &[("authorization", "Basic YWxpY2U6PGI+")]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    tokio::time::advance(Duration::from_mins(5)).await;
    let page = site.page("/").await;
    for notice in [
        "Refused since the start: 2 POSTs to the webhook. The last one 5 min ago: its token is none of \
         STATICREG_WEBHOOK_TOKENS, and no API token. The log names its address.",
        "Refused since the start: 1 sign-in. The last one 5 min ago: no user of STATICREG_ACCESS_USERS_FILE has",
    ] {
        assert!(page.text().contains(notice), "{notice}: {}", page.text());
    }
    assert!(!page.body.contains("<b>") && !page.body.contains("alice"), "{}", page.body);
    tokio::time::advance(Duration::from_hours(1)).await;
    assert!(!site.page("/").await.text().contains("Refused"), "it is long ago");
}

#[tokio::test(start_paused = true)]
async fn without_a_registry_it_lists_what_was_pulled() {
    let store = empty_store();
    sample::fill(&store).await;
    let site = site::with(store, None).await;
    let answer = site.page("/").await;
    assert_eq!(names(&answer.body)[0], "ci/runner");
    assert!(!answer.text().contains("not in the registry"), "{}", answer.text());
}

#[tokio::test(start_paused = true)]
async fn with_the_store_away_it_says_so_and_still_lists() {
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(|_| Err(MetricsError::Unavailable("away".into())));
    let site = site::with(Arc::new(store), Some(SampleRegistry::new())).await;
    let answer = site.page("/?sort=name").await;
    assert_eq!(names(&answer.body).len(), 22);
    assert!(
        answer.text().contains("The store of pull metrics is away: pulls cannot be shown now."),
        "{}",
        answer.text()
    );
    assert!(!answer.body.contains("away\""), "no inside is told");
}

fn away() -> Arc<dyn MetricsRepository> {
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(|_| Err(MetricsError::Unavailable("away".into())));
    Arc::new(store)
}

#[tokio::test(start_paused = true)]
async fn with_the_store_away_and_no_registry_it_does_not_claim_that_nothing_is_there() {
    let text = site::with(away(), None).await.page("/").await.text();
    assert!(text.contains("pulls cannot be shown now") && !text.contains("No repository"), "{text}");
    assert!(text.contains("check that the database at STATICREG_DB_URL can be reached"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn with_store_and_registry_away_from_the_start_it_says_what_to_check() {
    let registry = |fault| {
        let snapshot = CatalogSnapshot::new(1, Vec::new(), ReadStatus { read_at: None, progress: None, fault });
        let images = ReadImage::new(Arc::new(SampleRegistry::default()));
        Some(Registry { host: "r".to_owned(), snapshots: CatalogSnapshots::fixed(snapshot), images })
    };
    let fault = ReadFault { text: "The registry does not answer.".into(), at: sample::now() };
    let text = site::of(away(), registry(Some(fault))).page("/").await.text();
    let both = "the database at STATICREG_DB_URL and the registry at STATICREG_REGISTRY_HOSTNAME can be reached";
    assert!(text.contains(both) && !text.contains("No repository"), "{text}");
    let text = site::of(away(), registry(None)).page("/").await.text();
    assert!(!text.contains("can be reached"), "it may still answer: {text}");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_never_answered_is_not_told_to_be_empty() {
    let site = site::sample_with_a_registry_that_never_answered().await;
    let text = site.page("/").await.text();
    assert!(text.contains("Repositories – Tags – Pulls 99,543"), "{text}");
    assert!(text.contains("library/ nginx") && !text.contains("not in the registry"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_last_good_snapshot_stays_with_its_age_and_what_is_wrong() {
    let at = sample::now() - chrono::TimeDelta::hours(3);
    let snapshot = |status| {
        let entry = staticreg_application::catalog::RepositoryEntry::unread("still/here".parse().unwrap());
        let snapshot = CatalogSnapshot::new(1, vec![Arc::new(entry)], status);
        let images = ReadImage::new(Arc::new(SampleRegistry::default()));
        Registry { host: "r".to_owned(), snapshots: CatalogSnapshots::fixed(snapshot), images }
    };
    let fault = Some(ReadFault { text: "The registry does not answer.".into(), at });
    let site = site::of(empty_store(), Some(snapshot(ReadStatus { read_at: Some(at), progress: None, fault })));
    let text = site.page("/").await.text();
    assert!(text.contains("The registry does not answer. This was 3 h ago. You see it as it was 3 h ago."), "{text}");
    assert!(text.contains("still/ here"), "{text}");

    let progress = Some(ReadProgress { found: 1_200, found_all: false, read: 40 });
    let site = site::of(empty_store(), Some(snapshot(ReadStatus { read_at: None, progress, fault: None })));
    let text = site.page("/").await.text();
    assert!(text.contains("The registry is being read: 40 of 1,200 repositories found so far."), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_folder_tells_what_it_comes_to_as_the_api_does() {
    let site = site::sample().await;
    let page = site.page("/?folder=data").await;
    let text = page.text();
    for expected in ["Repositories 3", "Tags 8 8 images,", "Rank among folders #6 of 7, by pulls in 30 days"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let answer = site.get("/api/v1/folders?from=2026-10-21&to=2026-11-19").await;
    let folders: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let items = folders["items"].as_array().expect("items");
    let (place, folder) = items
        .iter()
        .filter(|item| item["folder"].is_string())
        .enumerate()
        .find(|(_, item)| item["folder"] == "data")
        .expect("the folder");
    let pulls = folder["count"].as_u64().expect("a count");
    assert_eq!((place, folder["repositories"].as_u64()), (5, Some(3)));
    assert!(text.contains(&format!("Pulls {},{:03} ", pulls / 1_000, pulls % 1_000)), "{pulls}: {text}");
    assert!(page.body.contains("class=\"bars\""), "{}", page.body);
    let table = site.get("/export/daily.csv?folder=data").await.body;
    let sum: u64 = table.lines().skip(1).filter_map(|row| row.rsplit(',').next()?.parse::<u64>().ok()).sum();
    assert_eq!(sum, pulls, "{table}");
    // Links to folders tell their totals, those below it too.
    let top = site.page("/").await.text();
    assert!(top.contains(&format!("data/ 3 repositories, {},{:03} pulls", pulls / 1_000, pulls % 1_000)), "{top}");
    assert!(!top.contains("Rank among folders"), "{top}");
    let below = site.page("/?folder=data/warehouse").await.text();
    assert!(below.contains("Rank among folders #1 of 1 in data, by pulls in 30 days"), "{below}");
    for nothing in ["/export/daily.csv?folder=nope", "/export/daily.csv?folder=%3Cscript%3E"] {
        assert_eq!(site.get(nothing).await.status, StatusCode::NOT_FOUND, "{nothing}");
    }
    assert!(!site.page("/?folder=nope").await.text().contains("Rank among folders"));
}

#[tokio::test(start_paused = true)]
async fn a_repository_tells_its_size_platforms_and_last_push() {
    let site = site::sample().await;
    let page = site.page("/?sort=size").await;
    assert!(page.text().contains("linux/amd64 linux/arm64/v8 linux/arm/v7 linux/s390x"), "{}", page.text());
    assert!(page.text().contains(" MB 2 days ago "), "{}", page.text());
    let sizes = site.get("/export/repositories.csv?sort=size").await.body;
    let mut reader = csv::Reader::from_reader(sizes.as_bytes());
    let sizes: Vec<u64> = reader.records().map(|row| row.unwrap()[6].parse().unwrap()).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[0] > 0, "{sizes:?}");
    let pushed = site.get("/export/repositories.csv?sort=last_pushed").await.body;
    assert!(pushed.contains("linux/amd64 linux/arm64/v8,2026-11-17T"), "{pushed}");
}

#[tokio::test(start_paused = true)]
async fn a_search_finds_tags_and_digests() {
    let site = site::sample().await;
    let index = sample::digest("shop/storefront:v310 index");
    let image = sample::digest("shop/storefront:v310 amd64");
    for (search, expected) in [
        ("v310", "<a class=\"name\" href=\"/repo/shop/storefront?tag=v310\">"),
        ("storefront:v310", "<a class=\"name\" href=\"/repo/shop/storefront?tag=v310\">"),
        (&index.as_str()[..15], "<a class=\"name\" href=\"/repo/shop/storefront?tag=v310\">"),
        (
            &image.as_str()[7..20],
            &format!(
                "<a class=\"name\" href=\"/repo/shop/storefront?tag=v310&#38;platform={}\">",
                image.as_str().replace(':', "%3A")
            ),
        ),
    ] {
        let page = site.page(&format!("/?q={search}")).await;
        assert!(page.body.contains(expected), "{search}: {}", page.body);
        assert!(page.body.contains("data-found=\"0 repositories, 1 tag\""), "{search}: {}", page.body);
        assert!(!page.text().contains("No repository matches"), "{search}: {}", page.text());
    }
    let image = site.page(&format!("/repo/shop/storefront?tag=v310&platform={image}")).await.text();
    assert!(image.contains("Platform linux/amd64"), "{image}");
    let latest = site.page("/?q=latest").await;
    assert!(latest.body.contains("data-found=\"0 repositories, 9 tags\""), "{}", latest.body);
    let narrowed = site.page("/?q=latest&folder=base").await;
    assert!(narrowed.body.contains("data-found=\"0 repositories, 3 tags\""), "{}", narrowed.body);
}
