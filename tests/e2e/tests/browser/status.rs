//! The status page, while somebody looks at it.

use fantoccini::Locator;
use serde_json::{Value, json};

use crate::{
    axe,
    chrome::{Chrome, Scripts},
    shows,
    site::Site,
    text, until, value,
};

/// Posts what a registry may post, and what none should.
async fn post(site: &Site, tag: &str) {
    let event = |number: u32, repository: &str, media_type: &str| {
        json!({
            "id": format!("{number:08x}-0000-4000-8000-000000000000"), "timestamp": "2026-11-21T19:59:59Z", "action": "pull",
            "target": {
                "mediaType": media_type, "repository": repository, "tag": tag,
                "digest": format!("sha256:{}", "0".repeat(64)),
            },
            "request": {"addr": "10.0.0.1:4711", "method": "GET", "useragent": "docker/28 arch/amd64"},
        })
    };
    let manifest = "application/vnd.oci.image.manifest.v1+json";
    let long = format!("team/{}", "a-very-long-name-".repeat(20));
    let one = |event: Value| json!({ "events": [event] }).to_string();
    let bodies = [
        one(event(1, "shop/storefront", manifest)),
        one(event(1, "shop/storefront", manifest)),
        one(event(2, "shop/storefront", "application/octet-stream")),
        one(event(3, &long, manifest)),
        one(event(4, "<img src=x onerror=alert(1)>", manifest)),
        "no notification".to_owned(),
    ];
    for body in bodies {
        let request = reqwest::Client::new().post(site.url("/api/webhook/registry"));
        request.header("content-type", "application/json").body(body).send().await.expect("an answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_notification_shows_by_itself_and_nothing_loses_its_focus() {
    let site = Site::start_empty().await;
    let chrome = Chrome::start(Scripts::On).await;
    let client = &chrome.client;
    client.goto(&site.url("/status")).await.unwrap();
    assert_eq!(text(client, "#posting").await, "Waiting for the first notification since the start.");
    let configuration = value(client, "document.querySelector('.lines code').textContent").await;
    client.execute("window.sameDocument = true; document.querySelector('.copy').focus();", Vec::new()).await.unwrap();
    post(&site, "v1").await;
    until(client, "document.querySelector('#posting.good') !== null").await;
    until(client, "document.querySelectorAll('#notifications tbody tr').length === 6").await;
    assert_eq!(value(client, "window.sameDocument === true").await, true, "nothing was loaded anew");
    assert_eq!(value(client, "document.activeElement.className").await, "copy");
    client.find(Locator::Css(".copy")).await.unwrap().click().await.unwrap();
    assert_eq!(
        value(client, "document.querySelector('.copy').previousElementSibling.textContent").await,
        configuration
    );
    assert_eq!(value(client, "document.querySelector('[data-renew-failed]').hidden").await, true);
    drop(site);
    until(client, "document.querySelector('[data-renew-failed]').hidden === false").await;
    chrome.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_a_reload_shows_what_arrived() {
    let site = Site::start_empty().await;
    let chrome = Chrome::start(Scripts::Off).await;
    let client = &chrome.client;
    client.goto(&site.url("/status")).await.unwrap();
    assert!(text(client, "#posting").await.starts_with("Waiting"));
    post(&site, "v1").await;
    client.refresh().await.unwrap();
    assert_eq!(text(client, "#posting").await, "The registry posts its notifications here.");
    chrome.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_no_barriers_and_fits_every_screen() {
    let (site, empty) = (Site::start().await, Site::start_empty().await);
    post(&site, "v1").await;
    let chrome = Chrome::start(Scripts::On).await;
    for width in [360, 768, 1440] {
        for scheme in ["light", "dark"] {
            chrome.look(width, scheme).await;
            for (name, site) in [("status-full", &site), ("status-waiting", &empty)] {
                chrome.client.goto(&site.url("/status")).await.unwrap();
                assert_eq!(axe::barriers(&chrome.client).await, Vec::<String>::new(), "{name} {width} {scheme}");
                let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
                assert_eq!(value(&chrome.client, overflow).await, 0, "{name} is wider than the screen ({width})");
                chrome.screenshot(&format!("{name}-{width}-{scheme}")).await;
            }
        }
    }
    assert_eq!(chrome.complaints().await, Vec::<String>::new());
    chrome.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_shows_by_itself_on_the_page_of_its_image() {
    let site = Site::start().await;
    let chrome = Chrome::start(Scripts::On).await;
    let client = &chrome.client;
    shows(client, &site.url("/repo/shop/storefront?tag=v310"), "document.querySelector('#pulls .bar') !== null").await;
    let pulls =
        "document.querySelector('#pulls .legend').textContent + document.querySelectorAll('#pulls .bar').length";
    let before = value(client, pulls).await;
    client.execute("window.sameDocument = true;", Vec::new()).await.unwrap();
    post(&site, "v310").await;
    until(client, &format!("{pulls} !== {before}")).await;
    assert_eq!(value(client, "window.sameDocument === true").await, true, "nothing was loaded anew");
    // The chart that came is one to use.
    client.find(Locator::Css("#pulls .plot")).await.unwrap().send_keys("\u{E012}").await.unwrap();
    assert!(text(client, ".tooltip:not([hidden])").await.contains("so far"));
    chrome.stop().await;
}
