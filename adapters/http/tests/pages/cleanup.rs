//! `/cleanup`, and what the API answers of the same.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use chrono::TimeDelta;
use poem::http::StatusCode;
use serde_json::Value;
use staticreg_test_support::sample::{self, SampleRegistry};

use crate::site::{self, Site};

/// The sample, and a repository of old images that nobody pulls.
async fn with_old_images() -> Site<impl poem::Endpoint> {
    let mut registry = SampleRegistry::new();
    let old = sample::now() - TimeDelta::days(400);
    for tag in ["1.0", "1.1", "1.2"] {
        let image = registry.add_image(&format!("team-a/old:{tag}"), old, None);
        registry.point("team-a/old", tag, image);
    }
    let image = sample::digest("team-a/old:1.2");
    registry.point("team-a/old", "stable", image);
    let store: std::sync::Arc<dyn staticreg_domain::metrics::MetricsRepository> =
        std::sync::Arc::new(staticreg_memory::MemoryMetrics::new(1_000_000));
    sample::fill(&store).await;
    site::with(store, Some(registry)).await
}

/// Whatever its age, an image may go that was not used for 30 days.
const ASKED: &str = "unused_days=30&keep_latest=0";

async fn json<E: poem::Endpoint>(site: &Site<E>, query: &str) -> Value {
    let answer = site.get(&format!("/api/v1/cleanup?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

fn images(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("items").iter();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    items.map(|item| format!("{}:{}", text(&item["repository"]), text(&item["tag"]))).collect()
}

#[tokio::test(start_paused = true)]
async fn it_shows_what_may_go() {
    let page = with_old_images().await.page(&format!("/cleanup?{ASKED}")).await;
    assert!(page.size < 60_000, "{}", page.size);
    insta::assert_snapshot!(page.text());
}

#[tokio::test(start_paused = true)]
async fn it_shows_what_keeps_the_others() {
    let site = with_old_images().await;
    let text = site.page(&format!("/cleanup?{ASKED}&keep_tags=^1\\.2$&folder=team-a/&show=kept")).await.text();
    assert!(text.contains("team-a/old:1.2 fits the pattern of tags to keep"), "{text}");
    assert!(text.contains("team-a/old:stable is the same image as 1.2"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_pattern_or_folder_lists_nothing() {
    let site = with_old_images().await;
    for (query, reason) in [
        ("keep_tags=(", "Tags to keep: not a regular expression, or too large a one. Nothing is listed."),
        ("folder=a%20b", "Folder: not a folder of repositories such as team-a or team-a/web. Nothing is listed."),
    ] {
        let text = site.page(&format!("/cleanup?{ASKED}&{query}")).await.text();
        assert!(text.contains(reason) && !text.contains("team-a/old"), "{text}");
    }
    assert_eq!(site.get("/export/cleanup.csv?keep_tags=(").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn without_a_registry_or_counts_it_says_so() {
    let store = std::sync::Arc::new(staticreg_memory::MemoryMetrics::new(1));
    let text = site::with(store, None).await.page("/cleanup").await.text();
    for told in ["No registry is configured", "Nothing was counted yet", "Nothing was ever heard of what runs"] {
        assert!(text.contains(told), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn page_api_and_tables_have_the_same_numbers() {
    let site = with_old_images().await;
    let list = json(&site, ASKED).await;
    let found = images(&list);
    let old = ["1.0", "1.1", "1.2", "stable"].map(|tag| format!("team-a/old:{tag}"));
    assert_eq!(found[found.len() - 5..found.len() - 1], old, "{found:?}");
    assert_eq!(list["candidates"], found.len());
    let page = site.page(&format!("/cleanup?{ASKED}")).await.text();
    assert!(page.contains(&format!("May go {} tags", found.len())), "{page}");
    for path in ["/export/cleanup.csv", "/api/v1/cleanup.csv"] {
        let csv = site.get(&format!("{path}?{ASKED}")).await.body;
        let rows: Vec<String> =
            csv.lines().skip(1).map(|row| row.split(',').take(2).collect::<Vec<_>>().join(":")).collect();
        assert_eq!(rows, found, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_tells_all_there_is_to_know() {
    let list = json(&with_old_images().await, &format!("{ASKED}&folder=team-a")).await;
    insta::assert_json_snapshot!(list);
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other() {
    let site = with_old_images().await;
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let list = json(&site, &format!("{ASKED}&limit=2{cursor}")).await;
        all.extend(images(&list));
        let Some(next) = list["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(all, images(&json(&site, ASKED).await));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_parameter_is_named() {
    let site = with_old_images().await;
    for (query, name, code) in [
        ("keep_tags=(", "keep_tags", "invalid_parameter"),
        ("keep_tags=a{1000}{1000}", "keep_tags", "invalid_parameter"),
        ("folder=..", "folder", "invalid_parameter"),
        ("unused_days=0", "unused_days", "invalid_parameter"),
        ("unused_days=3661", "unused_days", "invalid_parameter"),
        ("keep_latest=-1", "keep_latest", "invalid_parameter"),
        ("show=all", "show", "invalid_parameter"),
        ("cursor=!", "cursor", "invalid_parameter"),
        ("unused=30", "unused", "unknown_parameter"),
    ] {
        let answer = site.get(&format!("/api/v1/cleanup?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}: {}", answer.body);
        // A browser is shown a page; a program gets the problem.
        let answer = site.ask(poem::http::Method::GET, &format!("/api/v1/cleanup?{query}"), &[]).await;
        let problem: Value = serde_json::from_str(&answer.body).expect("a problem");
        assert_eq!((&problem["parameter"], &problem["code"]), (&name.into(), &code.into()), "{query}");
    }
    assert_eq!(site.get("/api/v1/cleanup.sh?tool=rm").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.tell("?sorce=a", "text/plain", "").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_kept_as_soon_as_it_is_told() {
    let site = with_old_images().await;
    let query = format!("{ASKED}&folder=team-a");
    assert_eq!(json(&site, &query).await["notes"][0]["code"], "nothing_heard");
    let platform = sample::digest("team-a/old:1.0");
    let told = format!("registry.example.com/team-a/old:1.1\nregistry.example.com/team-a/old@{platform}\nno image\n");
    let taken = site.tell("?source=cluster-a", "text/plain; charset=utf-8", &told).await;
    assert_eq!(taken, (StatusCode::OK, "{\"not_understood\":1,\"taken\":2}\n".to_owned()));
    // What was heard is read again after a moment.
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    let list = loop {
        let list = json(&site, &query).await;
        if list["running"][0]["source"] == "cluster-a" {
            break list;
        }
    };
    assert_eq!(images(&list), ["team-a/old:1.2", "team-a/old:stable"]);
    assert_eq!(list["notes"], serde_json::json!([]));
    let kept = json(&site, &format!("{query}&show=kept")).await;
    assert_eq!(images(&kept), ["team-a/old:1.0", "team-a/old:1.1"]);
    assert_eq!((&kept["items"][0]["reason"], &kept["items"][0]["kept_by"]), (&"running".into(), &"cluster-a".into()));
}

#[tokio::test(start_paused = true)]
async fn a_list_of_what_runs_is_json_or_text_and_nothing_else() {
    let site = with_old_images().await;
    for (query, content_type, body, status) in [
        ("", "application/json", r#"{"images":["a/b:1"]}"#, StatusCode::OK),
        ("", "application/json", r#"{"images":"a/b:1"}"#, StatusCode::BAD_REQUEST),
        ("", "application/json", "[", StatusCode::BAD_REQUEST),
        ("", "text/plain", "", StatusCode::OK),
        ("", "application/x-www-form-urlencoded", "a/b:1", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("?source=a%20b", "text/plain", "", StatusCode::BAD_REQUEST),
        ("", "text/plain", &"x".repeat(70_000), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(site.tell(query, content_type, body).await.0, status, "{query} {content_type} {body:.30}");
    }
}

#[tokio::test(start_paused = true)]
async fn scripts_are_scripts_with_every_line_commented_out() {
    let site = with_old_images().await;
    for tool in ["regctl", "crane", "skopeo"] {
        let answer = site.get(&format!("/api/v1/cleanup.sh?{ASKED}&tool={tool}")).await;
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"cleanup-{tool}.sh\""));
        let lines: Vec<&str> = answer.body.lines().filter(|line| line.starts_with("# delete 'registry")).collect();
        assert!(lines.len() > 4, "{}", answer.body);
        assert!(!answer.body.lines().any(|line| line.starts_with("delete '")), "{}", answer.body);
        for script in [answer.body.clone(), answer.body.replace("# delete '", "delete '")] {
            let mut shell = Command::new("sh").arg("-n").stdin(Stdio::piped()).spawn().expect("a shell");
            shell.stdin.take().expect("its input").write_all(script.as_bytes()).expect("taken");
            assert!(shell.wait().expect("it ends").success(), "{script}");
        }
        insta::assert_snapshot!(format!("script_{tool}"), answer.body);
    }
}
