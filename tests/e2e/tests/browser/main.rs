//! The pages in a real browser: Debian's chromium, driven through chromium-driver.
//!
//! The server runs in this process on a registry and pulls that are the same in every run. Screenshots are kept in
//! `tests/output/`.

mod axe;
mod chrome;
mod real;
mod site;
mod status;

use std::time::{Duration, Instant};

use chrome::{Chrome, Scripts};
use fantoccini::{
    Client, Locator,
    actions::{InputSource, MouseActions, PointerAction},
};
use serde_json::{Value, json};
use site::Site;

async fn text(client: &Client, css: &str) -> String {
    client.wait().at_most(LIMIT).for_element(Locator::Css(css)).await.expect(css).text().await.expect("text")
}

/// What a script answers.
async fn value(client: &Client, script: &str) -> Value {
    client.execute(&format!("return {script};"), Vec::new()).await.expect(script)
}

/// How long anything may take to show on a machine that is busy with much else.
const LIMIT: Duration = Duration::from_mins(3);

/// Waits until a script answers true.
async fn until(client: &Client, script: &str) {
    let began = Instant::now();
    while value(client, script).await != json!(true) {
        assert!(began.elapsed() < LIMIT, "never came true: {script}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Reloads a page until a script answers true.
async fn shows(client: &Client, url: &str, script: &str) {
    let began = Instant::now();
    loop {
        client.goto(url).await.expect("the page opens");
        if value(client, script).await == json!(true) {
            return;
        }
        let page = text(client, "main").await;
        assert!(began.elapsed() < LIMIT, "{url} never shows {script}: {page}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Clicks a link and waits until the page at a path is there: before, scripts would see the old one.
async fn follow(client: &Client, link: Locator<'_>, path: &str) {
    client.find(link).await.expect(path).click().await.expect(path);
    let there = format!("location.pathname + location.search === '{path}' && document.readyState === 'complete'");
    until(client, &there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_finds_a_repository_and_copies_the_command_of_a_tag() {
    let site = Site::start().await;
    let chrome = Chrome::start(Scripts::On).await;
    let client = &chrome.client;
    client.goto(&site.url("/")).await.unwrap();
    let search = client.find(Locator::Id("q")).await.unwrap();
    search.send_keys("storefr").await.unwrap();
    until(client, "document.querySelectorAll('.repositories tbody tr').length === 1").await;
    assert_eq!(value(client, "document.querySelector('[data-live-status]').textContent").await, "1 repository");
    follow(client, Locator::LinkText("shop/storefront"), "/repo/shop/storefront").await;
    assert_eq!(text(client, "h1").await, "storefront");
    // As long as something is about to come the page is put in order anew each second, and a click may miss.
    until(client, "document.querySelector('main').dataset.renew !== '1'").await;

    // The tool is chosen once, and stays chosen.
    client.find(Locator::Css("[data-tool-switch=podman]")).await.unwrap().click().await.unwrap();
    until(client, "localStorage.getItem('tool') === 'podman'").await;
    until(client, "document.querySelector('[data-tool=docker]').offsetParent === null").await;
    client.goto(&site.url("/repo/shop/storefront")).await.unwrap();
    assert_eq!(text(client, ".tools [aria-pressed=true]").await, "podman");
    until(client, "document.querySelector('main').dataset.renew !== '1'").await;
    let row = "//tr[th/a[text()='v310']]";
    client.find(Locator::XPath(&format!("{row}//summary"))).await.unwrap().click().await.unwrap();
    // The button says only for a moment that it copied.
    let watch = "new MutationObserver(() => { window.saidCopied ||= document.querySelectorAll('.copied').length === 1 })\
        .observe(document.body, { subtree: true, attributes: true })";
    client.execute(watch, Vec::new()).await.unwrap();
    let copy = format!("{row}//button[span[text()='Copy the podman command']]");
    client.find(Locator::XPath(&copy)).await.unwrap().click().await.unwrap();
    until(client, "window.saidCopied").await;

    // What was copied is what a person pastes.
    let search = client.find(Locator::Id("q")).await.unwrap();
    search.send_keys("\u{e009}v").await.unwrap();
    let pasted = search.prop("value").await.unwrap();
    assert_eq!(pasted.as_deref(), Some("podman pull registry.example.com/shop/storefront:v310"));
    assert_eq!(chrome.complaints().await, Vec::<String>::new());
    chrome.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_searches_by_keyboard_and_opens_a_row() {
    let site = Site::start().await;
    let chrome = Chrome::start(Scripts::On).await;
    let client = &chrome.client;
    client.goto(&site.url("/")).await.unwrap();
    let body = client.find(Locator::Css("body")).await.unwrap();
    body.send_keys("/").await.unwrap();
    until(client, "document.activeElement.id === 'q'").await;
    client.find(Locator::Id("q")).await.unwrap().send_keys("storefront:v310").await.unwrap();
    until(client, "document.querySelectorAll('.found a').length === 1").await;
    follow(client, Locator::Css(".found a"), "/repo/shop/storefront?tag=v310").await;
    // Two tags are compared without a script as with one: it is a form.
    client.find(Locator::Id("other")).await.unwrap().send_keys("v309").await.unwrap();
    let compared = "/repo/shop/storefront?compare=v309&tag=v310";
    follow(client, Locator::Css("#compare button"), compared).await;
    assert!(text(client, "#compare").await.contains("v310 and v309 share 0 layers"));
    // Anywhere in a row is its link, so that each way to open one works.
    client.goto(&site.url("/?q=storefront")).await.unwrap();
    let cell = "document.querySelector('.repositories tbody td:last-child')";
    client.execute(&format!("{cell}.scrollIntoView({{ block: 'center' }})"), Vec::new()).await.unwrap();
    let link = format!(
        "(({{ x, y, width, height }}) => document.elementFromPoint(x + width / 2, y + height / 2).closest('a').pathname)\
         ({cell}.getBoundingClientRect())"
    );
    assert_eq!(value(client, &link).await, "/repo/shop/storefront");
    assert_eq!(chrome.complaints().await, Vec::<String>::new());
    chrome.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_theme_follows_the_switch_and_stays() {
    let site = Site::start().await;
    let chrome = Chrome::start(Scripts::On).await;
    let client = &chrome.client;
    client.goto(&site.url("/")).await.unwrap();
    let background = "getComputedStyle(document.body).backgroundColor";
    let light = value(client, background).await;
    for name in ["Light", "Dark"] {
        client.find(Locator::Css("[data-theme-switch]")).await.unwrap().click().await.unwrap();
        assert_eq!(text(client, "[data-theme-name]").await, name);
    }
    let dark = value(client, background).await;
    assert_ne!(light, dark);
    client.goto(&site.url("/insights")).await.unwrap();
    assert_eq!(value(client, background).await, dark);
    assert_eq!(text(client, "[data-theme-name]").await, "Dark");
    chrome.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_tells_its_values_on_hover_and_as_a_table() {
    let site = Site::start().await;
    let chrome = Chrome::start(Scripts::On).await;
    let client = &chrome.client;
    // A page that is slow to count comes without its counts at first.
    shows(client, &site.url("/repo/library/nginx"), "document.querySelector('#pulls .bar .hit') !== null").await;
    let bars = client.find_all(Locator::Css("#pulls .bar .hit")).await.unwrap();
    assert_eq!(bars.len(), 30);
    let onto = PointerAction::MoveToElement { element: bars[29].clone(), duration: None, x: 0.0, y: 0.0 };
    client.perform_actions(MouseActions::new("mouse".to_owned()).then(onto)).await.unwrap();
    let tooltip = text(client, ".tooltip:not([hidden])").await;
    client.find(Locator::Css("#pulls details.values summary")).await.unwrap().click().await.unwrap();
    let day = text(client, "#pulls tbody tr:first-child th").await;
    let value = text(client, "#pulls tbody tr:first-child td").await;
    assert!(tooltip.contains(&day) && tooltip.contains(&format!("amd64 {value} ")), "{tooltip} {day} {value}");
    // By keyboard: the latest bar first, then the one before.
    let plot = client.find(Locator::Css("#pulls .plot")).await.unwrap();
    for place in [1, 2] {
        plot.send_keys("\u{E012}").await.unwrap(); // Arrow left.
        let day = text(client, &format!("#pulls tbody tr:nth-child({place}) th")).await;
        let tooltip = text(client, ".tooltip:not([hidden])").await;
        assert!(tooltip.contains(&day), "{tooltip} {day}");
    }
    // A series that is switched off is in no bar.
    client.find(Locator::Css("#pulls .legend button")).await.unwrap().click().await.unwrap();
    plot.send_keys("\u{E012}").await.unwrap();
    let tooltip = text(client, ".tooltip:not([hidden])").await;
    assert!(!tooltip.contains("amd64") && tooltip.contains("arm64"), "{tooltip}");
    let heights =
        "Array.from(document.querySelectorAll('#pulls .part-0')).every((part) => part.getAttribute('height') === '0')";
    until(client, heights).await;
    chrome.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_chooses_what_is_counted_by_keyboard_on_a_narrow_screen() {
    let site = Site::start().await;
    let chrome = Chrome::start(Scripts::On).await;
    let client = &chrome.client;
    chrome.look(360, "light").await;
    client.goto(&site.url("/repo/library/nginx")).await.unwrap();
    // What is open is not put in order anew.
    until(client, "document.querySelector('main').dataset.renew !== '1'").await;
    for (place, name) in [(1, "dates"), (2, "counted")] {
        let summary = format!(".choice:nth-of-type({place}) summary");
        let summary = client.find(Locator::Css(&summary)).await.unwrap();
        summary.send_keys("\u{E007}").await.unwrap(); // Enter.
        let within = "(() => { const box = document.querySelector('.choice[open] > div').getBoundingClientRect();\
            return box.width > 0 && box.left >= 0 && box.right <= document.documentElement.clientWidth; })()";
        until(client, within).await;
        assert_eq!(axe::barriers(client).await, Vec::<String>::new(), "{name}");
        chrome.screenshot(&format!("chooser-{name}-narrow")).await;
        summary.send_keys("\u{E00C}").await.unwrap(); // Escape.
        until(client, "document.querySelector('.choice[open]') === null").await;
    }
    client.find(Locator::Css(".choice:nth-of-type(2) summary")).await.unwrap().send_keys("\u{E007}").await.unwrap();
    client.find(Locator::Css("[name=kind]")).await.unwrap().select_by_value("version_check").await.unwrap();
    client.find(Locator::Css("[name=architecture]")).await.unwrap().select_by_value("arm64").await.unwrap();
    let there = |path: &str| format!("location.pathname === '{path}' && document.readyState === 'complete'");
    client.find(Locator::Css(".choice[open] button")).await.unwrap().send_keys("\u{E007}").await.unwrap();
    until(client, "location.search.includes('kind=version_check')").await;
    until(client, &there("/repo/library/nginx")).await;
    assert!(text(client, "#pulls h2").await.contains("Version checks of arm64"));
    client.find(Locator::LinkText("Insights")).await.unwrap().click().await.unwrap();
    until(client, &there("/insights")).await;
    assert_eq!(value(client, "location.search").await, "?kind=version_check&architecture=arm64");
    assert!(text(client, "#architectures h2").await.contains("Version checks of arm64"));
    assert_eq!(chrome.complaints().await, Vec::<String>::new());
    chrome.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_complete_without_javascript() {
    let site = Site::start().await;
    let chrome = Chrome::start(Scripts::Off).await;
    let client = &chrome.client;
    client.goto(&site.url("/")).await.unwrap();
    client.find(Locator::Id("q")).await.unwrap().send_keys("nginx").await.unwrap();
    follow(client, Locator::Css(".search button"), "/?q=nginx").await;
    follow(client, Locator::LinkText("library/nginx"), "/repo/library/nginx").await;
    client.find(Locator::Css(".tags summary")).await.unwrap().click().await.unwrap();
    let command = text(client, ".menu[open] code").await;
    assert!(command.starts_with("docker pull registry.example.com/library/nginx:"), "{command}");
    assert!(client.find(Locator::Css("[data-theme-switch]")).await.unwrap().attr("hidden").await.unwrap().is_some());
    // The form of what may go.
    client.goto(&site.url("/insights?unused=30")).await.unwrap();
    follow(client, Locator::LinkText("Clean up"), "/cleanup?unused_days=30").await;
    let latest = client.find(Locator::Css("[name=keep_latest]")).await.unwrap();
    latest.clear().await.unwrap();
    latest.send_keys("0").await.unwrap();
    let asked = "/cleanup?unused_days=30&keep_latest=0&keep_tags=&folder=";
    follow(client, Locator::Css(".cleanup button"), asked).await;
    shows(client, &site.url(asked), "document.querySelectorAll('.list tbody tr').length === 2").await;
    chrome.stop().await;
}

/// The barriers that Swagger UI itself has.
const SWAGGER_UIS_OWN: [&str; 5] =
    ["button-name", "color-contrast", "nested-interactive", "scrollable-region-focusable", "select-name"];

#[tokio::test(flavor = "multi_thread")]
async fn swagger_ui_works_under_its_policy() {
    let site = Site::start().await;
    let chrome = Chrome::start(Scripts::On).await;
    let client = &chrome.client;
    client.goto(&site.url("/")).await.unwrap();
    follow(client, Locator::LinkText("API"), "/docs").await;
    client
        .wait()
        .at_most(LIMIT)
        .for_element(Locator::Css("#operations-Statistics-get_summary button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    client.wait().at_most(LIMIT).for_element(Locator::Css(".try-out__btn")).await.unwrap().click().await.unwrap();
    client.wait().at_most(LIMIT).for_element(Locator::Css(".execute")).await.unwrap().click().await.unwrap();
    let answer = text(client, ".live-responses-table tbody .response-col_status").await;
    assert!(answer.starts_with("200"), "{answer}");
    let posts = "document.querySelectorAll('.opblock-post').length";
    assert_ne!(value(client, posts).await, 0);
    client
        .find(Locator::Css("[id$='post_registry_webhook'] button, .opblock-post button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    client.wait().at_most(LIMIT).for_element(Locator::Css(".opblock-post .opblock-body")).await.unwrap();
    let tries = "document.querySelectorAll('.opblock-post .try-out__btn').length";
    assert_eq!(value(client, tries).await, 0, "events can be sent by trying");
    assert_eq!(axe::barriers_outside(client, "#ui").await, Vec::<String>::new());
    // What is left is Swagger UI's own.
    let own = |barrier: &String| SWAGGER_UIS_OWN.iter().any(|rule| barrier.starts_with(&format!("\"{rule}\"")));
    let others: Vec<_> = axe::barriers(client).await.into_iter().filter(|barrier| !own(barrier)).collect();
    assert_eq!(others, Vec::<String>::new());
    chrome.screenshot("docs").await;
    chrome.look(1280, "dark").await;
    chrome.screenshot("docs-dark").await;
    chrome.look(360, "light").await;
    chrome.screenshot("docs-narrow").await;
    assert_eq!(client.title().await.unwrap(), "API · staticreg");
    follow(client, Locator::LinkText("Repositories"), "/").await;
    assert_eq!(chrome.complaints().await, Vec::<String>::new());
    chrome.stop().await;
}

/// The pages to look at: a name for the file, and the path.
const PAGES: [(&str, &str); 17] = [
    ("home", "/"),
    ("home-checks", "/?from=2026-09-01&to=2026-09-30&kind=version_check&sort=change"),
    ("folder", "/?folder=platform"),
    ("nothing", "/?q=nothing+like+this"),
    ("repository", "/repo/library/nginx"),
    ("repository-by-tag", "/repo/shop/storefront?days=7&interval=day&split=tag"),
    ("tag", "/repo/shop/storefront?tag=v310"),
    ("found", "/?q=v310"),
    ("signed", "/repo/shop/cart?tag=main-9f31c2a"),
    ("compare", "/repo/shop/storefront?tag=v310&compare=v309"),
    ("artifact", "/repo/charts/webapp?tag=1.4.2"),
    ("insights", "/insights"),
    ("insights-90", "/insights?days=90&unused=14"),
    ("cleanup", "/cleanup?unused_days=30&keep_latest=0"),
    ("cleanup-kept", "/cleanup?unused_days=30&show=kept"),
    ("status", "/status"),
    ("error", "/no/such/page"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_serious_barriers_on_a_wide_screen() {
    no_page_has_serious_barriers([("light", 1280, "light"), ("dark", 768, "dark")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_serious_barriers_on_a_narrow_screen() {
    no_page_has_serious_barriers([("narrow", 360, "light"), ("narrowest", 320, "dark")]).await;
}

/// Looks at every page in looks: a name for the files, the width of the screen, and the colours its owner prefers.
async fn no_page_has_serious_barriers(looks: [(&str, u32, &str); 2]) {
    let site = Site::start().await;
    let empty = Site::start_empty().await;
    let chrome = Chrome::start(Scripts::On).await;
    let mut found = Vec::new();
    for (look, width, scheme) in looks {
        chrome.look(width, scheme).await;
        for (site, name, path) in
            PAGES.map(|(name, path)| (&site, name, path)).into_iter().chain([(&empty, "empty", "/")])
        {
            chrome.client.goto(&site.url(path)).await.expect("a page");
            found.extend(
                axe::barriers(&chrome.client).await.into_iter().map(|barrier| format!("{path} {look}: {barrier}")),
            );
            let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(value(&chrome.client, overflow).await, 0, "{path} is wider than the screen ({look})");
            chrome.screenshot(&format!("{name}-{look}")).await;
            if (name, look) == ("home", "light") {
                // The picture of the README.
                chrome.screenshot_of("screenshot", 1_000.0).await;
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
    let expected = |complaint: &String| complaint.contains("/no/such/page") && complaint.contains("404");
    let complaints: Vec<String> =
        chrome.complaints().await.into_iter().filter(|complaint| !expected(complaint)).collect();
    assert_eq!(complaints, Vec::<String>::new());
    chrome.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_ask_no_other_host() {
    let site = Site::start().await;
    let chrome = Chrome::start(Scripts::On).await;
    for (_, path) in PAGES {
        chrome.client.goto(&site.url(path)).await.unwrap();
        let script = "performance.getEntriesByType('resource').map(entry => new URL(entry.name).origin)\
            .filter(origin => origin !== location.origin)";
        assert_eq!(value(&chrome.client, script).await, json!([]), "{path}");
    }
    chrome.stop().await;
}
