//! Badges and charts: what stands in pages of others.

use poem::http::{Method, StatusCode};
use staticreg_domain::metrics::{MetricsError, MockMetricsRepository};

use crate::site;

#[tokio::test(start_paused = true)]
async fn badges_tell_pulls_in_all_of_a_month_and_the_last() {
    let site = site::sample().await;
    let json = |answer: &site::Answer| serde_json::from_str::<serde_json::Value>(&answer.body).expect("JSON");
    let badge = site.get("/badge/platform/mail.json").await;
    assert_eq!(
        json(&badge),
        serde_json::json!({"schemaVersion": 1, "label": "pulls", "message": "130", "color": "blue", "cacheSeconds": 300})
    );
    assert_eq!(badge.header("cache-control"), "public, max-age=300");
    let month = json(&site.get("/badge/platform/mail.json?show=month&tag=v1.2.0").await);
    assert_eq!(month["message"], "54/month");
    let last = json(&site.get("/badge/platform/mail.json?show=last").await);
    assert_eq!((&last["label"], &last["message"]), (&"last pull".into(), &"19 Nov 2026".into()));
    let never = json(&site.get("/badge/nobody/knows.json").await);
    assert_eq!((&never["message"], &never["color"]), (&"0".into(), &"lightgrey".into()));
    let svg = site.get("/badge/platform/mail.svg").await;
    assert_eq!(svg.header("content-type"), "image/svg+xml");
    insta::assert_snapshot!(svg.body);
    let as_json = [("accept", "application/json")];
    for (query, told) in [
        ("shw=month", "parameter shw: is not known; show is"),
        ("show=years", "parameter show: one of total, month, last"),
        ("show=last&amp;tag=v1", "parameter amp;tag: is not known; these are: color, label, show, style, tag"),
        ("style=plastic", "parameter style: one of flat, flat-square, for-the-badge"),
        (
            "color=mauve",
            "parameter color: RRGGBB, RGB or one of blue, brightgreen, green, yellowgreen, yellow, orange, red, lightgrey, grey",
        ),
        ("show=last&show=month", "parameter show: is given more than once"),
        ("%00=1", "parameter \\0: is not known; these are: color, label, show, style, tag"),
        ("%3Cb%3E=1", "parameter &#60;b&#62;: is not known; these are: color, label, show, style, tag"),
    ] {
        let svg = site.get(&format!("/badge/platform/mail.svg?{query}")).await;
        assert_eq!((svg.status, svg.header("content-type")), (StatusCode::BAD_REQUEST, "image/svg+xml"), "{query}");
        assert!(svg.body.contains(&format!("pulls: {told}</title>")), "{}", svg.body);
        let problem = site.ask(Method::GET, &format!("/badge/platform/mail.json?{query}"), &as_json).await;
        assert_eq!(
            (problem.status, problem.header("content-type")),
            (StatusCode::BAD_REQUEST, "application/problem+json")
        );
    }
    let problem = json(&site.ask(Method::GET, "/badge/platform/mail.json?shw=month", &as_json).await);
    assert_eq!((&problem["code"], &problem["parameter"]), (&"unknown_parameter".into(), &"shw".into()));
    for path in ["/badge/platform/mail", "/badge/platform/mail.png", "/badge/A.svg", "/badge/a.svg?tag=%3C"] {
        assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_badge_looks_as_it_is_asked_to() {
    let site = site::sample().await;
    let badge = site.get("/badge/platform/mail.json?label=downloads&color=%23F80&style=flat-square").await;
    let told: serde_json::Value = serde_json::from_str(&badge.body).expect("JSON");
    assert_eq!(
        told,
        serde_json::json!({
            "schemaVersion": 1, "label": "downloads", "message": "130", "color": "ff8800", "style": "flat-square",
            "cacheSeconds": 300
        })
    );
    let large = site.get("/badge/platform/mail.svg?style=for-the-badge&label=my+pulls&color=yellow").await.body;
    for part in [r#"height="28""#, ">MY PULLS</text>", r##"fill="#dfb317""##, r##"fill="#000""##, "MY PULLS: 130"] {
        assert!(large.contains(part), "{part}: {large}");
    }
    // What comes from an address is text, whatever stands in it.
    let awkward = site.get("/badge/platform/mail.svg?label=%3Cscript%3E%22%E2%80%AE&color=%22/%3E").await;
    assert_eq!(awkward.status, StatusCode::BAD_REQUEST);
    let awkward = site.get("/badge/platform/mail.svg?label=%3Cscript%3E%22%E2%80%AE").await.body;
    assert!(awkward.contains(r"&#60;script&#62;&#34;\u{202e}: 130") && !awkward.contains("<script"), "{awkward}");
    let long = site.get(&format!("/badge/platform/mail.svg?label={}", "a".repeat(65))).await.body;
    assert!(long.contains("parameter label: at most 64 characters"), "{long}");
}

#[tokio::test(start_paused = true)]
async fn a_chart_is_a_picture_that_leads_to_its_page() {
    let site = site::sample().await;
    let chart = site.ask(Method::GET, "/chart/platform/mail.svg?days=90", &[("host", "counts.example.com")]).await;
    assert_eq!((chart.status, chart.header("content-type")), (StatusCode::OK, "image/svg+xml"));
    assert_eq!(chart.header("cache-control"), "public, max-age=300");
    insta::assert_snapshot!(chart.body);
    for part in [
        r#"<a href="http://counts.example.com/repo/platform/mail?days=90""#,
        r#"<text class="title" x="16" y="29">platform/mail</text>"#,
        "@media(prefers-color-scheme:dark)",
    ] {
        assert!(chart.body.contains(part), "{part}: {}", chart.body);
    }
    let of_tag = site.get("/chart/platform/mail.svg?tag=v1.2.0&theme=dark").await;
    assert!(of_tag.body.contains("platform/mail:v1.2.0") && of_tag.body.contains(">54 pulls, "), "{}", of_tag.body);
    assert!(!of_tag.body.contains("@media"), "it is dark for everybody: {}", of_tag.body);
    assert_ne!(
        chart.header("content-security-policy"),
        of_tag.header("content-security-policy"),
        "by the style's hash"
    );
    let never = site.get("/chart/nobody/knows.svg").await;
    assert!(never.status == StatusCode::OK && never.body.contains(">0 pulls, "), "{}", never.body);
    for (query, told) in [
        ("days=0", "parameter days: a number from 1 to 3660"),
        ("days=many", "parameter days: a number from 1 to 3660"),
        ("theme=pink", "parameter theme: one of auto, light, dark"),
        ("day=7", "parameter day: is not known; days is"),
    ] {
        let wrong = site.get(&format!("/chart/platform/mail.svg?{query}")).await;
        assert_eq!((wrong.status, wrong.header("content-type")), (StatusCode::BAD_REQUEST, "image/svg+xml"), "{query}");
        assert!(wrong.body.contains(&format!(">{told}</text>")), "{}", wrong.body);
    }
    for path in ["/chart/platform/mail", "/chart/platform/mail.json", "/chart/A.svg", "/chart/a.svg?tag=%3C"] {
        assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_store_away_a_chart_says_so_and_is_asked_for_again_soon() {
    let mut store = MockMetricsRepository::new();
    store.expect_breakdown().returning(|_| Err(MetricsError::Unavailable("away".into())));
    let site = site::with(std::sync::Arc::new(store), None).await;
    let chart = site.get("/chart/platform/mail.svg").await;
    assert!(chart.body.contains(">The pulls are not known now.</text>"), "{}", chart.body);
    assert_eq!(chart.header("cache-control"), "public, max-age=30");
}

#[tokio::test(start_paused = true)]
async fn a_link_in_a_chat_tells_what_the_page_does() {
    let site = site::sample().await;
    for (path, title, description) in [
        ("/", "Repositories", "Repositories: 22, Tags: 63 ("),
        ("/repo/platform/mail", "platform/mail", "Tags: "),
        ("/repo/platform/mail?tag=v1.2.0", "platform/mail:v1.2.0", "Pulls: 54 (in 30 days)"),
        ("/insights", "Insights", "Pulls: "),
        ("/status", "Status", "What is in this container registry, and how often it is pulled."),
    ] {
        let body = site.page(path).await.body;
        assert!(body.contains(&format!(r#"<meta property="og:title" content="{title}">"#)), "{path}: {body}");
        let (_, told) = body.split_once(r#"property="og:description" content=""#).expect("a description");
        let (told, _) = told.split_once('"').expect("an end");
        assert!(told.contains(description), "{path}: {told}");
    }
}
