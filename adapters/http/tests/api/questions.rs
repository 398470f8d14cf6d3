//! The questions: what is asked of the store, and how its answers show.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use poem::http::StatusCode;
use serde_json::{Value, json};
use staticreg_domain::metrics::{
    AccessKind, BreakdownRow, Change, CountKey, DateRange, Dimension, Filter, Folded, FolderEntry,
    MetricsRepository as _, MetricsRow, MockMetricsRepository, Order, Page, PullEvent, Slice, Summary, Totals,
};
use staticreg_memory::MemoryMetrics;
use uuid::Uuid;

use crate::{
    WEBHOOK, body,
    support::{DIGEST, event, notification, server, text},
};

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect(text)
}

fn date(text: &str) -> NaiveDate {
    text.parse().expect(text)
}

#[tokio::test(start_paused = true)]
async fn the_summary_shows_every_kind() {
    let mut store = MockMetricsRepository::new();
    store.expect_summary().returning(|today| {
        assert_eq!(today, date("2026-11-21"));
        let totals = |n| Totals { today: n, last_7_days: n + 1, last_30_days: n + 2, all: n + 3 };
        Ok(Summary {
            by_kind: AccessKind::ALL.into_iter().zip([1, 10, 20, 30].map(totals)).collect(),
            repositories: 5,
            last_pulled_at: Some(time("2026-11-21T19:00:00.5Z")),
        })
    });
    let response = server(store).get("/api/v1/summary").send().await;
    response.assert_status_is_ok();
    insta::assert_json_snapshot!(body(response).await);
}

/// The filter of `days=7`, `folder`, `q`, `repository`, `tag`, `digest`, `architecture` and `kind`.
fn narrow_filter() -> Filter {
    Filter {
        dates: DateRange::new(date("2026-11-15"), date("2026-11-21")).expect("a range"),
        kind: AccessKind::PullByDigest.into(),
        folder: Some("demo".parse().expect("a folder")),
        part: Some("o/a".parse().expect("a part of a name")),
        repository: "demo/app".parse().into_iter().collect(),
        tag: "v1".parse().into_iter().collect(),
        digest: DIGEST.parse().into_iter().collect(),
        architecture: "amd64".parse().into_iter().collect(),
    }
}

fn narrow_query() -> String {
    format!(
        "days=7&folder=demo&q=O/A&repository=demo/app&tag=v1&digest={DIGEST}&architecture=amd64&kind=pull_by_digest&limit=2"
    )
}

#[tokio::test(start_paused = true)]
async fn every_list_passes_its_filters_on_and_shows_its_items() {
    let at = time("2026-11-21T19:00:00.123456Z");
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(move |list| {
        let mut row = BreakdownRow { count: 3, ..BreakdownRow::default() };
        let asked = (list.measures.distinct, list.measures.first, list.measures.last, list.order);
        let expected = match list.by.as_slice() {
            [Dimension::Date, Dimension::Architecture] => {
                row.key.date = Some(date("2026-11-20"));
                row.key.architecture = "amd64".parse().ok();
                (None, false, false, Order::Key)
            }
            [Dimension::Folder] => {
                row.key.folder = FolderEntry::as_stored("demo/more/").ok();
                (Some(Dimension::Repository), false, true, Order::MostFirst)
            }
            [Dimension::Repository] => {
                row.key.repository = "demo/app".parse().ok();
                (Some(Dimension::Tag), false, true, Order::MostFirst)
            }
            [Dimension::Repository, Dimension::Tag] => {
                row.key.repository = "demo/app".parse().ok();
                (None, false, true, Order::MostFirst)
            }
            [Dimension::Architecture] => {
                row.key.architecture = "arm64".parse().ok();
                (Some(Dimension::Repository), false, false, Order::MostFirst)
            }
            [Dimension::Tag, Dimension::Architecture] => {
                row.key.tag = "v1".parse().ok();
                row.key.architecture = "arm64".parse().ok();
                (None, false, true, Order::MostFirst)
            }
            [Dimension::Digest] => {
                row.key.digest = DIGEST.parse().ok();
                (None, true, true, Order::LatestFirst)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!((asked, &list.filter, &list.page), (expected, &narrow_filter(), &Page::first(2)));
        row.distinct = list.measures.distinct.map(|_| 1);
        row.first_on = list.measures.first.then(|| date("2026-11-15"));
        row.last_at = list.measures.last.then_some(at);
        Ok(Slice { items: vec![row], more: false })
    });
    store.expect_rows().returning(move |filter, page| {
        assert_eq!((filter, page), (&narrow_filter(), &Page::first(2)));
        Ok(Slice { items: vec![row(at)], more: false })
    });
    let server = server(store);
    for list in ["pulls", "folders", "repositories", "images", "architectures", "tags", "digests", "metrics"] {
        let group = if list == "pulls" { "&group_by=architecture" } else { "" };
        let response = server.get(format!("/api/v1/{list}?{}{group}", narrow_query())).send().await;
        response.assert_status_is_ok();
        insta::assert_json_snapshot!(list, body(response).await);
        let response =
            server.get(format!("/api/v1/{list}?{}{group}", narrow_query())).header("accept", "text/csv").send().await;
        response.assert_content_type("text/csv; charset=utf-8");
        let csv = text(response).await;
        let response = server.get(format!("/api/v1/{list}.csv?{}{group}", narrow_query())).send().await;
        response.assert_content_type("text/csv; charset=utf-8");
        assert_eq!(text(response).await, csv);
        insta::assert_snapshot!(format!("{list}_csv"), csv);
    }
}

fn row(at: DateTime<Utc>) -> MetricsRow {
    let Ok(architecture) = "amd64".parse();
    MetricsRow {
        date: date("2026-11-21"),
        repository: "demo/app".parse().expect("a name"),
        tag: "v1".parse().ok(),
        digest: DIGEST.parse().expect("a digest"),
        architecture,
        kind: AccessKind::PullByTag,
        count: 3,
        created_at: at,
        updated_at: at,
    }
}

#[tokio::test(start_paused = true)]
async fn without_dates_the_last_30_days_are_asked_for() {
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(|list| {
        let dates = DateRange::new(date("2026-10-23"), date("2026-11-21")).expect("a range");
        assert_eq!((&list.filter, &list.page), (&Filter::of_dates(dates), &Page::first(100)));
        Ok(Slice { items: Vec::new(), more: false })
    });
    let response = server(store).get("/api/v1/images").send().await;
    response.assert_status_is_ok();
    assert_eq!(body(response).await, json!({"items": [], "next_cursor": null}));
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_is_given_several_times_names_several_values() {
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(|list| {
        let Filter { kind, repository, tag, architecture, .. } = &list.filter;
        assert_eq!(kind.named(), [AccessKind::PullByTag, AccessKind::PullByDigest]);
        assert_eq!(*repository, ["a", "b/c"].iter().flat_map(|name| name.parse()).collect());
        assert_eq!(*tag, ["v1", "v2"].iter().flat_map(|name| name.parse()).collect());
        assert_eq!(*architecture, ["amd64", "not-specified"].iter().flat_map(|name| name.parse()).collect());
        Ok(Slice { items: Vec::new(), more: false })
    });
    let query = "kind=pull_by_digest&kind=pull_by_tag&repository=b/c&repository=a&tag=v1&tag=v2&tag=v1\
                 &architecture=unknown&architecture=amd64";
    let server = server(store);
    for list in ["images", "pulls", "folders", "repositories.csv"] {
        server.get(format!("/api/v1/{list}?{query}")).send().await.assert_status_is_ok();
    }
}

#[tokio::test]
async fn a_folder_has_the_same_counts_in_every_list() {
    let server = server(MemoryMetrics::new(100));
    let pulls = [("nginx", 1), ("team-a", 2), ("team-a/x", 3), ("team-a/x/y", 4), ("team-a/w/z", 5), ("team-ab/x", 6)];
    let repositories = pulls.iter().flat_map(|(name, times)| std::iter::repeat_n(*name, *times));
    let event = |(number, repository): (u32, &str)| {
        let mut event = event(number);
        event["timestamp"] = "2026-11-20T10:00:00Z".into();
        event["target"]["repository"] = repository.into();
        event
    };
    let events: Vec<_> = (0..).zip(repositories).map(event).collect();
    server.post(WEBHOOK).body_json(&notification(&events)).send().await.assert_status_is_ok();
    let asked = async |query: &str| {
        let answer = body(server.get(format!("/api/v1/{query}")).send().await).await;
        answer["items"].as_array().expect("items").clone()
    };
    let dates = "from=2026-11-20&to=2026-11-20";
    for list in ["pulls", "folders", "repositories", "images", "architectures", "metrics"] {
        for (folder, count) in [("team-a", 12), ("team-a/", 12), ("team-a/x", 4), ("team", 0), ("nginx", 0)] {
            let items = asked(&format!("{list}?{dates}&folder={folder}")).await;
            let counted: u64 = items.iter().filter_map(|item| item["count"].as_u64()).sum();
            assert_eq!(counted, count, "{list} of {folder}");
        }
    }

    let at = "2026-11-20T10:00:00Z";
    let folder = |name: &str, count: u32, repositories: u32| json!({"folder": name, "repository": null, "count": count, "repositories": repositories, "last_at": at});
    let repository = |name: &str, count: u32| json!({"folder": null, "repository": name, "count": count, "repositories": 1, "last_at": at});
    let top = [folder("team-a", 12, 3), folder("team-ab", 6, 1), repository("team-a", 2), repository("nginx", 1)];
    assert_eq!(page_by_page(&server, &format!("folders?{dates}")).await, top);
    let inside = [folder("team-a/w", 5, 1), folder("team-a/x", 4, 1), repository("team-a/x", 3)];
    assert_eq!(asked(&format!("folders?{dates}&folder=team-a")).await, inside);
    let day = |member: &str, name: &str, count: u32| json!({"date": "2026-11-20", member: name, "count": count});
    assert_eq!(
        without_periods(page_by_page(&server, &format!("pulls?{dates}&group_by=folder")).await),
        [
            day("repository", "nginx", 1),
            day("repository", "team-a", 2),
            day("folder", "team-a", 12),
            day("folder", "team-ab", 6)
        ]
    );
    let by_month = asked("pulls?days=60&to=2026-11-21&interval=month&group_by=folder&folder=team-a").await;
    let by_month = without_periods(by_month);
    let month = |member: &str, name: &str, count: u32| json!({"date": "2026-11-01", member: name, "count": count});
    assert_eq!(
        by_month,
        [month("folder", "team-a/w", 5), month("repository", "team-a/x", 3), month("folder", "team-a/x", 4)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_cursor_reads_on_where_the_page_before_ended() {
    let at = time("2026-11-21T19:00:00Z");
    let mut store = MockMetricsRepository::new();
    store.expect_rows().returning(move |_, page| {
        let more = page.after.is_none();
        if let Some(after) = &page.after {
            let row = row(at);
            assert_eq!(*after, (row.date, row.repository, row.tag, row.digest, row.architecture, row.kind));
        }
        Ok(Slice { items: vec![row(at)], more })
    });
    let server = server(store);
    let first = body(server.get("/api/v1/metrics").send().await).await;
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let second = body(server.get("/api/v1/metrics").query("cursor", &cursor).send().await).await;
    assert_eq!(second["next_cursor"], Value::Null);

    let csv = server.get("/api/v1/metrics").header("accept", "text/csv").send().await;
    csv.assert_header("next-cursor", cursor);
}

#[tokio::test]
async fn lists_are_sorted_as_asked_for_and_a_cursor_is_of_one_question() {
    let server = server(MemoryMetrics::new(100));
    let pulls = [("a", 1, "12"), ("b", 1, "10"), ("c", 3, "11"), ("d", 2, "13")];
    let events: Vec<_> = (0..)
        .zip(pulls.iter().flat_map(|(name, times, hour)| std::iter::repeat_n((name, hour), *times)))
        .map(|(number, (name, hour))| {
            let mut event = event(number);
            event["timestamp"] = format!("2026-11-20T{hour}:00:00Z").into();
            event["target"]["repository"] = (*name).into();
            event
        })
        .collect();
    server.post(WEBHOOK).body_json(&notification(&events)).send().await.assert_status_is_ok();
    let dates = "from=2026-11-20&to=2026-11-20";
    for (query, expected) in [
        ("", "cdab"),
        ("&sort=count", "cdab"),
        ("&sort=count&order=asc", "abdc"),
        ("&order=asc", "abdc"),
        ("&sort=name", "abcd"),
        ("&sort=name&order=desc", "dcba"),
        ("&sort=last_at", "dacb"),
        ("&sort=last_at&order=asc", "bcad"),
    ] {
        for list in ["repositories", "images", "folders"] {
            let items = page_by_page(&server, &format!("{list}?{dates}{query}")).await;
            let names: String = items.iter().filter_map(|item| item["repository"].as_str()).collect();
            assert_eq!(names, expected, "{list} {query}");
        }
    }

    let first = body(server.get(format!("/api/v1/images?{dates}&limit=1")).send().await).await;
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    for (query, status) in [
        (format!("images?to=2026-11-20&from=2026-11-20&cursor={cursor}"), StatusCode::OK),
        (format!("images.csv?{dates}&limit=7&cursor={cursor}"), StatusCode::OK),
        (format!("images?{dates}&order=asc&cursor={cursor}"), StatusCode::BAD_REQUEST),
        (format!("images?{dates}&tag=v1&cursor={cursor}"), StatusCode::BAD_REQUEST),
        (format!("images?cursor={cursor}"), StatusCode::BAD_REQUEST),
        (format!("repositories?{dates}&cursor={cursor}"), StatusCode::BAD_REQUEST),
    ] {
        let response = server.get(format!("/api/v1/{query}")).send().await;
        assert_eq!(response.0.status(), status, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_a_csv_with_its_header_alone() {
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(|_| Ok(Slice { items: Vec::new(), more: false }));
    let response = server(store).get("/api/v1/architectures").header("accept", "text/csv").send().await;
    assert_eq!(text(response).await, "architecture,count,repositories,previous,change\r\n");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_client_has_is_not_sent_again() {
    let server = server(MemoryMetrics::new(100));
    for path in ["/api/v1/images", "/api/v1/images.csv", "/api/v1/summary"] {
        let first = server.get(path).send().await;
        first.assert_header("cache-control", "no-cache");
        let tag = first.0.headers().get("etag").expect("a tag").clone();
        server.get(path).header("if-none-match", &tag).send().await.assert_status(StatusCode::NOT_MODIFIED);
        assert!(text(first).await.ends_with('\n'), "{path}");
    }
    let problem = text(server.get("/api/v1/images?days=0").send().await).await;
    assert!(problem.ends_with("}\n"), "{problem}");
}

/// Every page of a list, an item each.
async fn page_by_page<E: poem::Endpoint<Output = poem::Response>>(
    server: &poem::test::TestClient<E>,
    query: &str,
) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = body(server.get(format!("/api/v1/{query}&limit=1{cursor}")).send().await).await;
        items.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[tokio::test]
async fn pulls_are_counted_by_week_and_by_month() {
    let server = server(MemoryMetrics::new(100));
    let pulls = [
        ("2026-09-30", "a"),
        ("2026-10-31", "a"),
        ("2026-11-01", "a"),
        ("2026-11-02", "b"),
        ("2026-11-08", "a"),
        ("2026-11-08", "b"),
        ("2026-11-16", "a"),
    ];
    let event = |(number, (day, repository)): (u32, (&str, &str))| {
        let mut event = event(number);
        event["timestamp"] = format!("{day}T10:00:00Z").into();
        event["target"]["repository"] = repository.into();
        event
    };
    let events: Vec<_> = (0..).zip(pulls).map(event).collect();
    server.post(WEBHOOK).body_json(&notification(&events)).send().await.assert_status_is_ok();
    let dated = |items: &[(&str, u64)]| -> Vec<Value> {
        items.iter().map(|(date, pulls)| json!({"date": date, "count": pulls})).collect()
    };
    let grouped = |items: &[(&str, &str, u64)]| -> Vec<Value> {
        let item = |(date, name, pulls): &(&str, &str, u64)| json!({"date": date, "repository": name, "count": pulls});
        items.iter().map(item).collect()
    };
    let of_page = |page: &Value| without_periods(page["items"].as_array().expect("items").clone());
    for (query, expected) in [
        ("interval=day&from=2026-11-02", dated(&[("2026-11-02", 1), ("2026-11-08", 2), ("2026-11-16", 1)])),
        ("interval=week&from=2026-10-31", dated(&[("2026-10-26", 2), ("2026-11-02", 3), ("2026-11-16", 1)])),
        ("interval=month&from=2026-09-01", dated(&[("2026-09-01", 1), ("2026-10-01", 1), ("2026-11-01", 5)])),
        ("interval=month&from=2026-11-08&to=2026-11-15", dated(&[("2026-11-01", 2)])),
        ("interval=month&from=2026-09-01&repository=b", dated(&[("2026-11-01", 2)])),
        (
            "interval=week&from=2026-10-31&group_by=repository",
            grouped(&[("2026-10-26", "a", 2), ("2026-11-02", "a", 1), ("2026-11-02", "b", 2), ("2026-11-16", "a", 1)]),
        ),
        (
            "interval=month&from=2026-10-01&group_by=repository",
            grouped(&[("2026-10-01", "a", 1), ("2026-11-01", "a", 3), ("2026-11-01", "b", 2)]),
        ),
    ] {
        let whole = body(server.get(format!("/api/v1/pulls?{query}")).send().await).await;
        assert_eq!((of_page(&whole), &whole["next_cursor"]), (expected.clone(), &Value::Null), "{query}");
        assert_eq!(without_periods(page_by_page(&server, &format!("pulls?{query}")).await), expected, "{query}");
    }
    let period = |date: &str, first: &str, last: &str, complete: bool, count: u32| json!({"date": date, "first_on": first, "last_on": last, "complete": complete, "count": count});
    for (query, expected) in [
        (
            "interval=week&from=2026-10-31",
            vec![
                period("2026-10-26", "2026-10-31", "2026-11-01", false, 2),
                period("2026-11-02", "2026-11-02", "2026-11-08", true, 3),
                period("2026-11-09", "2026-11-09", "2026-11-15", true, 0),
                period("2026-11-16", "2026-11-16", "2026-11-21", false, 1),
            ],
        ),
        (
            "interval=month&from=2026-08-01&to=2026-09-30",
            vec![
                period("2026-08-01", "2026-08-01", "2026-08-31", true, 0),
                period("2026-09-01", "2026-09-01", "2026-09-30", true, 1),
            ],
        ),
        (
            "from=2026-11-19&repository=b",
            vec![
                period("2026-11-19", "2026-11-19", "2026-11-19", true, 0),
                period("2026-11-20", "2026-11-20", "2026-11-20", true, 0),
                period("2026-11-21", "2026-11-21", "2026-11-21", false, 0),
            ],
        ),
    ] {
        let filled = body(server.get(format!("/api/v1/pulls?{query}&fill=zero")).send().await).await;
        assert_eq!(filled, json!({"items": expected, "next_cursor": null}), "{query}");
        assert_eq!(page_by_page(&server, &format!("pulls?{query}&fill=zero")).await, expected, "{query}");
    }
}

/// Items of a series without the dates of their periods.
fn without_periods(mut items: Vec<Value>) -> Vec<Value> {
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        item.retain(|member, _| !["first_on", "last_on", "complete"].contains(&member.as_str()));
    }
    items
}

#[tokio::test(start_paused = true)]
async fn a_list_tells_what_of_its_dates_is_kept_by_month() {
    let store = MemoryMetrics::new(100);
    let at = |day: &str| time(&format!("{day}T10:00:00Z"));
    let event = |number: u128, day: &str| {
        let key = CountKey {
            kind: AccessKind::PullByTag,
            date: date(day),
            repository: "demo/app".parse().expect("a name"),
            tag: "v1".parse().ok(),
            digest: DIGEST.parse().expect("a digest"),
            architecture: "amd64".parse().expect("an architecture"),
        };
        let changes = vec![Change { key: Arc::new(key), delta: 1 }];
        PullEvent { id: Uuid::from_u128(number).into(), at: at(day), timestamp: at(day), changes }
    };
    let events = [event(1, "2026-06-10"), event(2, "2026-06-28"), event(3, "2026-08-02")];
    store.record(&events, at("2026-08-02")).await.expect("records");
    store.keep_by_month(Folded { days_before: date("2026-08-01"), ..Folded::NOTHING }).await.expect("keeps");
    for day in ["2026-06-10", "2026-06-28"] {
        assert_eq!(store.fold_day(date(day), 10).await.expect("folds"), 1);
    }

    let client = server(store);
    let asked = async |query: &str| body(client.get(format!("/api/v1/pulls?{query}")).send().await).await;
    let period = |date: &str, last: &str, complete: bool, pulls: u32| json!({"date": date, "first_on": date, "last_on": last, "complete": complete, "count": pulls});
    let day = |date: &str, pulls: u32| period(date, date, true, pulls);
    let granularity = |from: &str, to: &str| json!({"months_before": "2026-08-01", "from": from, "to": to});
    assert_eq!(
        asked("from=2026-06-15&to=2026-06-20").await,
        json!({
            "items": [period("2026-06-01", "2026-06-30", true, 2)], "next_cursor": null,
            "granularity": granularity("2026-06-01", "2026-06-30"),
        })
    );
    assert_eq!(
        asked("from=2026-07-15&interval=month").await,
        json!({
            "items": [period("2026-08-01", "2026-08-31", true, 1)], "next_cursor": null,
            "granularity": granularity("2026-07-01", "2026-11-21"),
        })
    );
    assert_eq!(
        asked("from=2026-06-01&to=2026-08-02&fill=zero").await["items"],
        json!([
            period("2026-06-01", "2026-06-30", true, 2),
            period("2026-07-01", "2026-07-31", true, 0),
            day("2026-08-01", 0),
            day("2026-08-02", 1)
        ])
    );
    assert_eq!(
        asked("from=2026-08-01").await,
        json!({"items": [day("2026-08-02", 1)], "next_cursor": null}),
        "all of it is kept by day"
    );

    let csv =
        client.get("/api/v1/repositories?from=2026-06-15&to=2026-06-20").header("Accept", "text/csv").send().await;
    csv.assert_header("Granularity", "months_before=2026-08-01; from=2026-06-01; to=2026-06-30");
    assert!(text(csv).await.contains("demo/app,2,"));
}
