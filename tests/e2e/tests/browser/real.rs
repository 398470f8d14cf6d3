//! The real program beside a real registry: what is pushed and pulled shows.

use std::fs;

use fantoccini::Locator;
use staticreg_e2e::{Staticreg, eventually};
use staticreg_test_support::{
    ports::free_port,
    registry::{Image, Registry, RegistryOptions},
};
use tempfile::TempDir;

use crate::{
    LIMIT,
    chrome::{Chrome, Scripts},
    follow, shows, text, until, value,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_and_pulled_shows_at_once() {
    let address = format!("127.0.0.1:{}", free_port());
    let server = Staticreg::start(&[("STATICREG_REGISTRY_HOSTNAME", &address)]);
    let options = RegistryOptions { address: address.clone(), ..RegistryOptions::default() };
    let registry = Registry::start(&server.url("/api/webhook/registry"), &options);
    let chrome = Chrome::start(Scripts::On).await;
    let client = &chrome.client;

    shows(client, &server.url("/"), "document.querySelector('.empty h2')?.textContent === 'No repository yet'").await;

    let image = Image::multi("of the browser test", &["linux/amd64", "linux/arm64/v8"]);
    tokio::task::block_in_place(|| registry.push(&image, "demo/web/app:v1"));
    shows(client, &server.url("/"), "document.querySelector('.name')?.textContent === 'demo/web/app'").await;

    tokio::task::block_in_place(|| {
        registry.pull("demo/web/app:v1");
        eventually("the pull", LIMIT, || (server.pulls() == 1).then_some(()));
    });
    let pulled = "document.querySelector('.pulls-count')?.textContent === '1'";
    shows(client, &server.url("/"), pulled).await;

    follow(client, Locator::LinkText("demo/web/app"), "/repo/demo/web/app").await;
    let page = text(client, "main").await;
    assert!(page.contains(&format!("docker pull {address}/demo/web/app:v1")), "{page}");
    assert!(page.contains("linux/amd64") && page.contains("linux/arm64/v8"), "{page}");
    assert_eq!(value(client, "document.querySelector('.details code').title").await, image.digest());

    client.find(Locator::LinkText("v1")).await.unwrap().click().await.unwrap();
    until(client, "document.querySelector('#image .facts') !== null").await;
    assert!(text(client, "#image").await.contains(image.child("linux/amd64")));
    client.find(Locator::LinkText("linux/arm64/v8")).await.unwrap().click().await.unwrap();
    until(client, "location.search.includes('arm64') && document.readyState === 'complete'").await;
    assert!(text(client, "#image").await.contains(image.child("linux/arm64/v8")));
    chrome.screenshot("real-tag").await;

    drop(registry);
    client.goto(&server.url("/repo/demo/web/app")).await.unwrap();
    assert_eq!(text(client, "h1").await, "app", "a registry that is away leaves the last snapshot");
    assert_eq!(chrome.complaints().await, Vec::<String>::new());
    chrome.stop().await;
}

/// With a database there may be API tokens too, which a browser cannot show.
#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_with_a_password_with_a_database_and_without() {
    // htpasswd -nbB -C 4 alice r1ght
    const USERS: &str = "alice:$2b$04$KbQiZ0X0Jm4eJm5kC0dL1u5OxZBXa9w0hfY/zSdHqkXN/6Vkvw.Ii";
    let folder = TempDir::new().unwrap();
    let users = folder.path().join("users");
    fs::write(&users, USERS).unwrap();
    let database = format!("sqlite://{}", folder.path().join("counts.db").display());
    let chrome = Chrome::start(Scripts::On).await;
    for database in [None, Some(("STATICREG_DB_URL", &*database))] {
        let signed_in =
            [("STATICREG_ACCESS_READ", "signed_in"), ("STATICREG_ACCESS_USERS_FILE", users.to_str().unwrap())];
        let environment: Vec<_> = database.into_iter().chain(signed_in).collect();
        let server = Staticreg::start(&environment);
        let home = server.url("/").replace("://", "://alice:r1ght@");
        shows(&chrome.client, &home, "document.querySelector('.empty h2') !== null").await;
    }
    chrome.stop().await;
}
