//! Repositories and tags, page by page.

use std::time::Duration;

use staticreg_domain::catalog::{CatalogCursor, CatalogError, RegistryCatalog};
use staticreg_registry::{HttpRegistryCatalog, RegistryOptions};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{header, method, path, query_param, query_param_is_missing},
};

use crate::{Answering, anonymous, json, kind, name, options, tag, tags_of, word};

/// Reads all pages; answers the names and how many pages there were.
async fn all(catalog: &HttpRegistryCatalog) -> Result<(Vec<String>, usize), CatalogError> {
    let (mut names, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = catalog.repositories(after).await?;
        names.extend(page.repositories.iter().map(ToString::to_string));
        pages += 1;
        match page.next {
            None => return Ok((names, pages)),
            next => after = next,
        }
    }
}

fn query(request: &Request, name: &str) -> Option<String> {
    request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn twenty_thousand_repositories_come_page_by_page() {
    let server = MockServer::start().await;
    let expected: Vec<String> = (0..20_000).map(|n| format!("team-{}/image-{n:05}", n / 1000)).collect();
    let mut sorted = expected.clone();
    sorted.sort();
    let page = move |request: &Request| {
        let most: usize = query(request, "n").unwrap().parse().unwrap();
        let start = query(request, "last").map_or(0, |last| sorted.partition_point(|name| *name <= last));
        let page = &sorted[start..sorted.len().min(start + most)];
        let answer = json(serde_json::json!({ "repositories": page }).to_string());
        if start + most < sorted.len() {
            let last = page.last().unwrap().replace('/', "%2F");
            answer.insert_header("link", format!("</v2/_catalog?last={last}&n={most}>; rel=\"next\"").as_str())
        } else {
            answer
        }
    };
    Mock::given(method("GET")).and(path("/v2/_catalog")).respond_with(Answering(page)).mount(&server).await;
    let (mut names, pages) = all(&anonymous(&server)).await.unwrap();
    names.sort();
    let mut expected = expected;
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(pages, 20);
}

#[tokio::test]
async fn requests_carry_the_own_user_agent() {
    let server = MockServer::start().await;
    Mock::given(header("user-agent", "staticreg/1.2.3"))
        .respond_with(json(r#"{"repositories": ["a"]}"#))
        .mount(&server)
        .await;
    assert_eq!(all(&anonymous(&server)).await.unwrap().0, ["a"]);
}

#[tokio::test]
async fn a_registry_that_gives_fewer_at_once_is_asked_without_a_number() {
    let server = MockServer::start().await;
    Mock::given(query_param("n", "1000")).respond_with(ResponseTemplate::new(400)).expect(1).mount(&server).await;
    Mock::given(query_param_is_missing("n"))
        .respond_with(json(r#"{"repositories": ["a"]}"#))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(all(&anonymous(&server)).await.unwrap().0, ["a"]);
}

#[tokio::test]
async fn names_that_are_not_well_formed_are_left_out() {
    let server = MockServer::start().await;
    Mock::given(path("/v2/_catalog"))
        .respond_with(json(r#"{"repositories": ["a", "<script>", "../etc", "A", 7, null, ["b"], "c/d", ""]}"#))
        .mount(&server)
        .await;
    Mock::given(path("/v2/a/tags/list"))
        .respond_with(json(r#"{"name": "a", "tags": ["v1", "<script>alert(1)</script>", "", {"x": 1}, "latest"]}"#))
        .mount(&server)
        .await;
    assert_eq!(all(&anonymous(&server)).await.unwrap().0, ["a", "c/d"]);
    let tags = anonymous(&server).tags(&name("a")).await.unwrap().tags;
    assert_eq!(tags, [tag("v1"), tag("latest")]);
}

#[tokio::test]
async fn a_failure_on_the_third_page_is_told_and_the_page_can_be_asked_again() {
    let server = MockServer::start().await;
    let link = |page: &str| format!("</v2/_catalog?page={page}>; rel=\"next\"");
    Mock::given(query_param("n", "1000"))
        .respond_with(json(r#"{"repositories": ["a"]}"#).insert_header("link", link("2").as_str()))
        .mount(&server)
        .await;
    Mock::given(query_param("page", "2"))
        .respond_with(json(r#"{"repositories": ["b"]}"#).insert_header("link", link("3").as_str()))
        .mount(&server)
        .await;
    Mock::given(query_param("page", "3"))
        .respond_with(ResponseTemplate::new(500).set_body_string("<h1>oops</h1>"))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    Mock::given(query_param("page", "3")).respond_with(json(r#"{"repositories": ["c"]}"#)).mount(&server).await;
    let catalog = anonymous(&server);
    let second = catalog.repositories(None).await.unwrap().next;
    let third = catalog.repositories(second).await.unwrap().next;
    assert_eq!(third, Some(CatalogCursor("/v2/_catalog?page=3".to_owned())));
    assert_eq!(kind(catalog.repositories(third.clone()).await), "unavailable");
    assert_eq!(catalog.repositories(third).await.unwrap().repositories, [name("c")]);
}

#[tokio::test]
async fn garbage_is_malformed() {
    for body in ["", "garbage", "<html>", "[]", r#"{"repositories": "a"}"#, r#"{"repositories": ["a""#, "\u{0}"] {
        let server = MockServer::start().await;
        Mock::given(method("GET")).respond_with(json(body)).mount(&server).await;
        assert_eq!(kind(anonymous(&server).repositories(None).await), "malformed", "{body:?}");
    }
}

#[tokio::test]
async fn an_empty_registry_has_no_repositories() {
    for body in [r#"{"repositories": []}"#, r#"{"repositories": null}"#, "{}"] {
        let server = MockServer::start().await;
        Mock::given(method("GET")).respond_with(json(body)).mount(&server).await;
        assert_eq!(all(&anonymous(&server)).await.unwrap(), (Vec::new(), 1), "{body}");
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    for (status, expected) in [
        (401, "denied"),
        (403, "denied"),
        (404, "not found"),
        (405, "malformed"),
        (429, "unavailable"),
        (500, "unavailable"),
        (503, "unavailable"),
        (304, "malformed"),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET")).respond_with(ResponseTemplate::new(status)).mount(&server).await;
        assert_eq!(kind(anonymous(&server).repositories(None).await), expected, "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_is_away_is_unavailable() {
    // Taken, so that nobody else listens there.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let catalog = HttpRegistryCatalog::new(&options(&silent.local_addr().unwrap().to_string())).unwrap();
    assert_eq!(kind(catalog.repositories(None).await), "unavailable");
}

#[tokio::test]
async fn a_slow_answer_is_given_up() {
    let server = MockServer::start().await;
    let slow = json(r#"{"repositories": []}"#).set_delay(Duration::from_hours(1));
    Mock::given(method("GET")).respond_with(slow).mount(&server).await;
    let timeout = Duration::from_millis(100);
    let catalog = HttpRegistryCatalog::new(&RegistryOptions { timeout, ..options(&server.uri()) }).unwrap();
    assert_eq!(kind(catalog.repositories(None).await), "unavailable");
    assert_eq!(kind(catalog.tags(&name("a")).await), "unavailable");
}

#[tokio::test]
async fn pages_that_trickle_for_ever_are_given_up() {
    let server = MockServer::start().await;
    let page = |request: &Request| {
        let n: u64 = query(request, "n").map_or(0, |n| n.parse().unwrap());
        json(format!(r#"{{"tags": ["v{n}"]}}"#))
            .insert_header("link", format!("<?n={}>; rel=next", n + 1).as_str())
            .set_delay(Duration::from_millis(250))
    };
    Mock::given(method("GET")).respond_with(Answering(page)).mount(&server).await;
    // On a busy machine the first page may take longer.
    for seconds in [1, 4, 16, 64] {
        let timeout = Duration::from_secs(seconds);
        let catalog = HttpRegistryCatalog::new(&RegistryOptions { timeout, ..options(&server.uri()) }).unwrap();
        if let Ok(list) = catalog.tags(&name("a")).await {
            assert_eq!(list.incomplete.as_ref().map(word), Some("unavailable"));
            return;
        }
    }
    panic!("not even the first page comes");
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let server = MockServer::start().await;
    let body = format!(r#"{{"repositories": ["{}"]}}"#, "a".repeat(17 * 1024 * 1024));
    Mock::given(method("GET")).respond_with(json(body)).mount(&server).await;
    assert_eq!(kind(anonymous(&server).repositories(None).await), "malformed");
}

#[tokio::test]
async fn tags_come_page_by_page() {
    let server = MockServer::start().await;
    let path_is = || path("/v2/library/nginx/tags/list");
    Mock::given(path_is())
        .and(query_param_is_missing("last"))
        .respond_with(
            json(r#"{"tags": ["1"]}"#).insert_header(
                "link",
                format!("<{}/v2/library/nginx/tags/list?last=1>; rel=next", server.uri()).as_str(),
            ),
        )
        .mount(&server)
        .await;
    Mock::given(path_is())
        .and(query_param("last", "1"))
        .respond_with(json(r#"{"tags": ["2"]}"#).insert_header("link", "<list?last=2>; rel=next"))
        .mount(&server)
        .await;
    Mock::given(path_is()).and(query_param("last", "2")).respond_with(json(r#"{"tags": null}"#)).mount(&server).await;
    let tags = anonymous(&server).tags(&name("library/nginx")).await.unwrap().tags;
    assert_eq!(tags, [tag("1"), tag("2")]);
}

#[tokio::test]
async fn a_repository_that_is_not_there_has_no_tags() {
    let server = MockServer::start().await;
    assert_eq!(anonymous(&server).tags(&name("a")).await.unwrap().tags, []);
}

#[tokio::test]
async fn pages_of_tags_in_a_circle_end_and_are_told() {
    let server = MockServer::start().await;
    let page = |request: &Request| {
        let next = if query(request, "page").as_deref() == Some("1") { "2" } else { "1" };
        json(format!(r#"{{"tags": ["v{next}"]}}"#)).insert_header("link", format!("<?page={next}>; rel=next").as_str())
    };
    Mock::given(method("GET")).respond_with(Answering(page)).mount(&server).await;
    let expected = (vec!["v1".to_owned(), "v2".to_owned()], Some("malformed"));
    assert_eq!(tags_of(&server, "a").await, expected);
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
}

#[tokio::test]
async fn pages_of_tags_that_never_tell_anything_new_end_and_are_told() {
    let server = MockServer::start().await;
    let page = |request: &Request| {
        let page: u64 = query(request, "page").map_or(0, |page| page.parse().unwrap());
        json(r#"{"tags": ["v1"]}"#).insert_header("link", format!("<?page={}>; rel=next", page + 1).as_str())
    };
    Mock::given(method("GET")).respond_with(Answering(page)).mount(&server).await;
    assert_eq!(tags_of(&server, "a").await, (vec!["v1".to_owned()], Some("malformed")));
}

#[tokio::test]
async fn an_empty_page_of_tags_that_leads_to_itself_is_the_last() {
    let server = MockServer::start().await;
    let page = |request: &Request| {
        let tags = if query(request, "last").is_none() { r#"{"tags": ["v1"]}"# } else { r#"{"tags": []}"# };
        json(tags).insert_header("link", "<?last=v1>; rel=next")
    };
    Mock::given(method("GET")).respond_with(Answering(page)).mount(&server).await;
    assert_eq!(tags_of(&server, "a").await, (vec!["v1".to_owned()], None));
}

#[tokio::test]
async fn a_page_of_tags_that_fails_leaves_the_pages_before_it() {
    for (answer, expected) in [
        (ResponseTemplate::new(500), "unavailable"),
        (ResponseTemplate::new(403), "denied"),
        (ResponseTemplate::new(404), "not found"),
        (json("garbage"), "malformed"),
        (ResponseTemplate::new(302).insert_header("location", "/v2/a/tags/list"), "malformed"),
    ] {
        let server = MockServer::start().await;
        let first = json(r#"{"tags": ["v1"]}"#).insert_header("link", "<?last=v1>; rel=next");
        Mock::given(query_param_is_missing("last")).respond_with(first).mount(&server).await;
        Mock::given(query_param("last", "v1")).respond_with(answer).mount(&server).await;
        assert_eq!(tags_of(&server, "a").await, (vec!["v1".to_owned()], Some(expected)));
    }
}

#[tokio::test]
async fn more_tags_than_people_look_at_are_left_out() {
    let server = MockServer::start().await;
    let page = |request: &Request| {
        let page: u64 = query(request, "page").map_or(0, |page| page.parse().unwrap());
        let tags: Vec<String> = (0..20_000).map(|n| format!("v{page}-{n}")).collect();
        json(serde_json::json!({ "tags": tags }).to_string())
            .insert_header("link", format!("<?page={}>; rel=next", page + 1).as_str())
    };
    Mock::given(method("GET")).respond_with(Answering(page)).mount(&server).await;
    assert_eq!(anonymous(&server).tags(&name("a")).await.unwrap().tags.len(), 50_000);
}

#[tokio::test]
async fn a_link_to_another_host_is_followed_on_the_registry() {
    let elsewhere = MockServer::start().await;
    let server = MockServer::start().await;
    let link = |path: &str, last: &str| format!("<{}{path}?last={last}>; rel=next", elsewhere.uri());
    for (list, first, second) in [
        ("/v2/_catalog", r#"{"repositories": ["a"]}"#, r#"{"repositories": ["b"]}"#),
        ("/v2/a/tags/list", r#"{"tags": ["1"]}"#, r#"{"tags": ["2"]}"#),
    ] {
        let first = json(first).insert_header("link", link(list, "1").as_str());
        Mock::given(path(list)).and(query_param_is_missing("last")).respond_with(first).mount(&server).await;
        Mock::given(path(list)).and(query_param("last", "1")).respond_with(json(second)).mount(&server).await;
    }
    assert_eq!(all(&anonymous(&server)).await.unwrap(), (vec!["a".to_owned(), "b".to_owned()], 2));
    assert_eq!(tags_of(&server, "a").await, (vec!["1".to_owned(), "2".to_owned()], None));
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}
