//! Counts beside those of as many days before, and what is found by a part of its name.

use poem::{Endpoint, Response, http::StatusCode, test::TestClient};
use serde_json::{Value, json};
use staticreg_memory::MemoryMetrics;

use crate::{
    WEBHOOK, body,
    support::{event, notification, server, text},
};

/// Pulls of 2026-11-20 and -21, of the two days before these, and of one before all.
async fn counted() -> TestClient<impl Endpoint<Output = Response>> {
    let pulls = [
        ("team-a/grew", "2026-11-21", 3),
        ("team-a/grew", "2026-11-18", 2),
        ("team-a/shrank", "2026-11-20", 1),
        ("team-a/shrank", "2026-11-19", 4),
        ("began", "2026-11-20", 2),
        ("ended", "2026-11-18", 1),
        ("long-ago", "2026-11-17", 1),
    ];
    let server = server(MemoryMetrics::new(100));
    let each = pulls.iter().flat_map(|(name, day, times)| std::iter::repeat_n((name, day), *times));
    let events: Vec<_> = (0..)
        .zip(each)
        .map(|(number, (name, day))| {
            let mut event = event(number);
            event["timestamp"] = format!("{day}T10:00:00Z").into();
            event["target"]["repository"] = (*name).into();
            event
        })
        .collect();
    server.post(WEBHOOK).body_json(&notification(&events)).send().await.assert_status_is_ok();
    server
}

/// All items of a question, page by page.
async fn items(server: &TestClient<impl Endpoint<Output = Response>>, query: &str) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), String::new());
    loop {
        let page = body(server.get(format!("/api/v1/{query}&limit=1{next}")).send().await).await;
        items.extend(page["items"].as_array().expect("items").clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return items,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lists_tell_the_count_before_and_are_sorted_by_the_change() {
    let server = counted().await;
    let told = |item: &Value| {
        (item["repository"].clone(), item["count"].clone(), item["previous"].clone(), item["change"].clone())
    };
    let row =
        |name: &str, count: u32, previous: u32, change: Value| (json!(name), json!(count), json!(previous), change);
    let most_first = [
        row("began", 2, 0, Value::Null),
        row("team-a/grew", 3, 2, json!(50.0)),
        row("team-a/shrank", 1, 4, json!(-75.0)),
        row("ended", 0, 1, json!(-100.0)),
    ];
    for list in ["repositories", "images"] {
        let found = items(&server, &format!("{list}?days=2&compare=previous&sort=change")).await;
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), most_first, "{list}");
        let found = items(&server, &format!("{list}?days=2&compare=previous&sort=change&order=asc")).await;
        let names: Vec<_> = found.iter().map(|item| item["repository"].clone()).collect();
        assert_eq!(names, ["ended", "team-a/shrank", "team-a/grew", "began"], "{list}");
        let found = items(&server, &format!("{list}?days=2&compare=previous")).await;
        let names: Vec<_> = found.iter().map(|item| item["repository"].clone()).collect();
        assert_eq!(names, ["team-a/grew", "began", "team-a/shrank", "ended"], "{list}");
    }
    let folder = &items(&server, "folders?days=2&compare=previous&folder=team-a&sort=name").await[0];
    assert_eq!((&folder["repository"], &folder["previous"]), (&json!("team-a/grew"), &json!(2)));
    let architecture = &items(&server, "architectures?days=2&compare=previous").await[0];
    assert_eq!(
        *architecture,
        json!({"architecture": "amd64", "count": 6, "repositories": 3, "previous": 7, "change": -14.3})
    );
    let tag = &items(&server, "tags?days=2&compare=previous&repository=team-a/grew").await[0];
    assert_eq!((&tag["count"], &tag["previous"], &tag["change"]), (&json!(3), &json!(2), &json!(50.0)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_with_which_days_it_compares() {
    let server = counted().await;
    let query = "/api/v1/repositories?days=2&compare=previous&q=GREW";
    let answer = body(server.get(query).send().await).await;
    assert_eq!(answer["compared"], json!({"from": "2026-11-18", "to": "2026-11-19"}));
    let csv = server.get(query.replace('?', ".csv?")).send().await;
    csv.assert_header("compared", "from=2026-11-18; to=2026-11-19");
    let lines = "repository,count,tags,last_at,previous,change\r\nteam-a/grew,3,1,2026-11-21T10:00:00Z,2,50.0\r\n";
    assert_eq!(text(csv).await, lines);
    let plain = body(server.get("/api/v1/repositories?days=2&q=ended").send().await).await;
    assert_eq!(plain, json!({"items": [], "next_cursor": null}));
    let plain = body(server.get("/api/v1/repositories?days=2&q=grew").send().await).await;
    let members: Vec<_> = plain["items"][0].as_object().expect("an item").keys().cloned().collect();
    assert_eq!(members, ["count", "last_at", "repository", "tags"]);
}

/// A date of RFC 3339 has no sign.
#[tokio::test(start_paused = true)]
async fn no_answer_goes_back_beyond_the_year_1() {
    let server = counted().await;
    for (list, from, expected) in [
        ("images", "0586-03-30", json!({"from": "0001-01-01", "to": "0586-03-29"})),
        ("repositories", "0001-01-02", json!({"from": "0001-01-01", "to": "0001-01-01"})),
        ("repositories", "0001-01-01", Value::Null),
        ("pulls", "1100-01-01", json!({"from": "0173-02-09", "to": "1099-12-31"})),
        ("pulls", "0586-03-30", json!({"from": "0001-01-01", "to": "0586-03-29"})),
    ] {
        let path = format!("/api/v1/{list}?from={from}&to=2026-11-21&compare=previous");
        let answer = body(server.get(&path).send().await).await;
        assert_eq!(answer["compared"], expected, "{path}");
        assert_eq!(answer["items"].as_array().map(Vec::is_empty), Some(false), "{path}");
    }
    let answer = body(server.get("/api/v1/pulls?to=0001-01-03&days=30&fill=zero").send().await).await;
    assert_eq!(answer["items"].as_array().map(Vec::len), Some(3), "{answer}");
    assert_eq!(answer["items"][0]["first_on"], "0001-01-01", "{answer}");
}

#[tokio::test(start_paused = true)]
async fn each_day_has_the_one_as_far_before_beside() {
    let server = counted().await;
    let day = |date: &str, complete: bool, count: u32, previous: u32, change: f64| json!({"date": date, "first_on": date, "last_on": date, "complete": complete, "count": count, "previous": previous, "change": change});
    let days = [day("2026-11-20", true, 3, 3, 0.0), day("2026-11-21", false, 3, 4, -25.0)];
    assert_eq!(items(&server, "pulls?days=2&compare=previous").await, days);
    let answer = body(server.get("/api/v1/pulls?days=2&compare=previous").send().await).await;
    assert_eq!(answer["compared"], json!({"from": "2026-11-18", "to": "2026-11-19"}));
    let week = &items(&server, "pulls?days=2&compare=previous&interval=week").await[0];
    assert_eq!((&week["count"], &week["previous"], &week["change"]), (&json!(6), &json!(7), &json!(-14.3)));
    let without = &items(&server, "pulls?days=3&compare=previous&repository=long-ago").await;
    let told: Vec<_> = without.iter().map(|day| (&day["count"], &day["previous"], &day["change"])).collect();
    assert_eq!(told[1], (&json!(0), &json!(1), &json!(-100.0)));
    assert_eq!(told[0], (&json!(0), &json!(0), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn the_summary_compares_each_span() {
    let server = counted().await;
    let summary = body(server.get("/api/v1/summary?compare=previous").send().await).await;
    let of_kind = &summary["by_kind"]["pull_by_tag"];
    assert_eq!(of_kind["previous"], json!({"today": 3, "last_7_days": 0, "last_30_days": 0}));
    assert_eq!(of_kind["change"], json!({"today": 0.0, "last_7_days": null, "last_30_days": null}));
    let plain = body(server.get("/api/v1/summary").send().await).await;
    let members: Vec<_> = plain["by_kind"]["push"].as_object().expect("totals").keys().cloned().collect();
    assert_eq!(members, ["last_30_days", "last_7_days", "today", "total"]);
}

#[tokio::test(start_paused = true)]
async fn names_are_found_by_a_part_in_every_list() {
    let server = counted().await;
    for list in ["pulls", "folders", "repositories", "images", "architectures", "metrics"] {
        for (part, count) in [("GREW", 3), ("a/", 4), ("w_n", 0), ("e", 6)] {
            let found = items(&server, &format!("{list}?days=2&q={part}")).await;
            let counted: u64 = found.iter().filter_map(|item| item["count"].as_u64()).sum();
            assert_eq!(counted, count, "{list} {part}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_no_order_without_a_comparison() {
    let server = counted().await;
    for (query, parameter) in [
        ("repositories?sort=change", "sort"),
        ("images.csv?sort=change&order=asc", "sort"),
        ("repositories?compare=next", "compare"),
        ("pulls?compare=previous&group_by=tag", "compare"),
        ("metrics?compare=previous", "compare"),
        ("images?q=", "q"),
        ("images?q=a%20b", "q"),
    ] {
        let response = server.get(format!("/api/v1/{query}")).send().await;
        response.assert_status(StatusCode::BAD_REQUEST);
        assert_eq!(body(response).await["parameter"], parameter, "{query}");
    }
}
