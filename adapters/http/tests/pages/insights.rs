//! `/insights`, and the tables as CSV.

use std::sync::Arc;

use poem::http::StatusCode;
use staticreg_domain::metrics::{Folded, MetricsRepository, MockMetricsRepository};
use staticreg_memory::MemoryMetrics;
use staticreg_test_support::sample::{self, SampleRegistry};

use crate::site;

#[tokio::test(start_paused = true)]
async fn it_shows_days_images_architectures_checks_and_what_is_unused() {
    let site = site::sample().await;
    insta::assert_snapshot!(site.page("/insights?days=7").await.text());
}

#[tokio::test(start_paused = true)]
async fn a_list_for_cleaning_up_tells_when_it_was_watched_too_shortly() {
    let site = site::sample().await;
    let text = site.page("/insights?unused=365").await.text();
    assert!(text.contains("That is shorter than 365 days: an image may have been pulled before."), "{text}");
    let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(1));
    let text = site::with(store, Some(SampleRegistry::new())).await.page("/insights").await.text();
    assert!(text.contains("Nothing was counted yet, so no image can be said to be unused."), "{text}");
}

#[tokio::test(start_paused = true)]
async fn it_says_that_old_days_are_kept_by_month() {
    let store: Arc<dyn MetricsRepository> = Arc::new(MemoryMetrics::new(1_000_000));
    sample::fill(&store).await;
    let days_before = "2026-09-01".parse().expect("a date");
    store.keep_by_month(Folded { days_before, ..Folded::NOTHING }).await.expect("keeps");
    let site = site::with(store, Some(SampleRegistry::new())).await;
    let hint =
        "Days before 1 Sep 2026 are kept by month. Here whole months are counted, from 1 Aug 2026 to 31 Aug 2026.";
    for path in ["/", "/insights", "/repo/library/nginx", "/repo/library/nginx?tag=latest"] {
        let dates = if path.contains('?') { "&" } else { "?" }.to_owned() + "from=2026-08-15&to=2026-08-20";
        let text = site.page(&format!("{path}{dates}")).await.text();
        assert!(text.contains(hint), "{text}");
        assert!(!site.page(path).await.text().contains("kept by month"), "{path}");
    }
    // So does what is saved of them.
    let dates = "from=2026-08-15&to=2026-08-20";
    for (table, of) in [
        ("repositories", ""),
        ("tags", "repository=library/nginx&"),
        ("digests", "repository=library/nginx&tag=latest&"),
        ("daily", "repository=library/nginx&"),
        ("daily", ""),
        ("kinds", ""),
        ("images", ""),
        ("architectures", ""),
    ] {
        let csv = site.get(&format!("/export/{table}.csv?{of}{dates}")).await;
        assert_eq!(csv.header("granularity"), "months_before=2026-09-01; from=2026-08-01; to=2026-08-31", "{table}");
        let name = format!("attachment; filename=\"{table}_2026-08-01_2026-08-31.csv\"");
        assert_eq!(csv.header("content-disposition"), name);
        let of_days = site.get(&format!("/export/{table}.csv?{of}days=30")).await;
        assert_eq!(of_days.header("granularity"), "", "{table}");
        assert_eq!(of_days.header("content-disposition"), format!("attachment; filename=\"{table}.csv\""));
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_store_away_it_says_so() {
    let mut store = MockMetricsRepository::new();
    let away = || staticreg_domain::metrics::MetricsError::Unavailable("away".into());
    store.expect_breakdown().returning(move |_| Err(away()));
    let text = site::with(Arc::new(store), None).await.page("/insights").await.text();
    assert!(text.contains("The store of pull metrics is away"), "{text}");
    assert!(!text.contains("Nothing to clean up") && !text.contains("Nothing was pulled"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_of_unused_images_of_a_registry_that_never_answered() {
    let site = site::sample_with_a_registry_that_never_answered().await;
    let text = site.page("/insights").await.text();
    assert!(text.contains("The registry was not read to its end yet, so nothing can be said."), "{text}");
    assert!(!text.contains("Nothing to clean up"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_days_are_kept_on_the_way_to_an_image() {
    let site = site::sample().await;
    let body = site.page("/insights?days=7").await.body;
    assert!(body.contains("/repo/ci/runner?tag=v4.2.0&#38;days=7\""), "{body}");
}

const REPOSITORIES: &str =
    "repository,tags,pulls,pulls_before,pulls_total,last_pulled_at,size,platforms,last_pushed_at";

#[tokio::test(start_paused = true)]
async fn every_table_is_there_as_csv() {
    let site = site::sample().await;
    for (path, head, lines) in [
        ("repositories.csv", REPOSITORIES, 23),
        ("repositories.csv?q=nginx", REPOSITORIES, 2),
        (
            "tags.csv?repository=library/nginx",
            "tag,digest,platforms,size,created_at,pulls,pulls_before,pulls_total,last_pulled_at",
            5,
        ),
        (
            "tags.csv?repository=library/nginx&q=LATEST",
            "tag,digest,platforms,size,created_at,pulls,pulls_before,pulls_total,last_pulled_at",
            2,
        ),
        ("image.csv?repository=library/nginx&tag=latest", "fact,value", 12),
        ("labels.csv?repository=library/nginx&tag=latest", "label,value", 5),
        ("environment.csv?repository=library/nginx&tag=latest", "variable,value", 3),
        ("layers.csv?repository=library/nginx&tag=latest", "digest,media_type,size,step", 5),
        ("attached.csv?repository=library/nginx&tag=latest", "what,type,digest,subject,tag", 1),
        ("daily.csv?folder=library", "date,folder,pulls", 31),
        ("digests.csv?repository=library/nginx&tag=latest", "digest,pulls,first_pulled_on,last_pulled_at", 3),
        ("daily.csv?repository=library/nginx&days=7", "date,architecture,pulls", 22),
        ("daily.csv?days=7", "date,architecture,pulls", 22),
        ("kinds.csv?days=7", "date,kind,count", 22),
        ("images.csv", "repository,tag,pulls,pulls_before,last_pulled_at", 16),
        ("architectures.csv", "architecture,pulls,pulls_before,repositories", 4),
        ("unused.csv", "repository,tag,size,created_at,last_pulled_at,version_checks", 2),
    ] {
        let answer = site.get(&format!("/export/{path}")).await;
        assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8", "{path}: {}", answer.body);
        assert!(answer.header("content-disposition").starts_with("attachment; filename="), "{path}");
        assert_eq!(answer.body.lines().next(), Some(head), "{path}");
        assert_eq!(answer.body.lines().count(), lines, "{path}: {}", answer.body);
    }
    for path in [
        "nothing.csv",
        "tags",
        "tags.csv",
        "tags.csv?repository=A",
        "digests.csv?repository=a",
        "layers.csv?repository=library/nginx",
        "layers.csv?repository=library/nginx&tag=nope",
        "layers.csv?repository=library/nginx&tag=latest&platform=plan9/mips",
    ] {
        assert_eq!(site.get(&format!("/export/{path}")).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_links_to_each_of_its_tables() {
    let site = site::sample().await;
    for (page, tables) in [
        ("/", &["repositories"][..]),
        ("/repo/base/node", &["tags", "daily"]),
        (
            "/repo/library/nginx?tag=latest&platform=linux/arm64/v8",
            &["digests", "daily", "image", "labels", "environment", "layers"],
        ),
        ("/insights", &["daily", "kinds", "images", "architectures", "unused"]),
    ] {
        let body = site.page(page).await.body;
        for table in tables {
            let (_, link) =
                body.split_once(&format!("href=\"/export/{table}.csv")).unwrap_or_else(|| panic!("{page}: {table}"));
            let query = link.split('"').next().unwrap().replace("&#38;", "&");
            let answer = site.get(&format!("/export/{table}.csv{query}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{page}: {table}{query}");
        }
    }
}

/// Charts hold their values as a table, with a link of its own.
#[tokio::test(start_paused = true)]
async fn a_page_has_as_many_links_to_csv_as_tables() {
    let site = site::sample().await;
    for page in ["/", "/repo/library/nginx", "/repo/library/nginx?tag=latest", "/insights"] {
        let body = site.page(page).await.body;
        let tables = body.matches("<table").count();
        assert!(tables > 0, "{page}");
        assert_eq!(body.matches("href=\"/export/").count(), tables, "{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_and_a_sorting_of_tags_hold_for_their_csv() {
    let site = site::sample().await;
    let page = site.page("/repo/library/nginx?q=1.2&sort=name&order=reverse").await.body;
    let link = page.split('"').find(|value| value.starts_with("/export/tags.csv")).expect("a link");
    let csv = site.get(&link.replace("&#38;", "&")).await.body;
    let tags: Vec<&str> = csv.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    let shown: Vec<&str> = page
        .split("<a class=\"name\" href=\"/repo/library/nginx?tag=")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(tags.len() > 1, "{csv}");
    assert_eq!(tags, shown);
}

#[tokio::test(start_paused = true)]
async fn the_image_of_a_platform_is_told_as_csv() {
    let site = site::sample().await;
    for (platform, architecture) in [("", "amd64"), ("&platform=linux/arm64/v8", "arm64/v8")] {
        let csv = site.get(&format!("/export/image.csv?repository=library/nginx&tag=latest{platform}")).await.body;
        assert!(csv.contains(&format!("Platform,linux/{architecture}\r\n")), "{csv}");
    }
}
