//! Listeners of the webhook's and of telemetry's own.

use staticreg_http::{
    WebhookListener,
    access::{AccessOptions, Hosts, RefusalReason, Tokens},
};

use super::*;

/// The listener of all else, and the webhook's.
async fn start(options: AccessOptions, hosts: Hosts) -> (Server, Server) {
    let access = Access::new(options);
    let listeners = [server::listen("127.0.0.1:0").await, server::listen("127.0.0.1:0").await];
    let [main, webhook] = listeners.map(|listener| listener.expect("a free port"));
    let port = webhook.local_addr().expect("its address").port();
    let services = support::services(MemoryMetrics::new(100), access.clone());
    let endpoints = staticreg_http::endpoints(services, Some(WebhookListener { port, hosts }), None);
    let main = Server::serve(main, endpoints.main, access.clone());
    (main, Server::serve(webhook, endpoints.webhook.expect("its routes"), access))
}

#[tokio::test]
async fn the_webhook_answers_at_its_own_listener_alone_and_all_else_at_the_other() {
    let (main, webhook) = start(AccessOptions::default(), Hosts::any([])).await;
    // Nothing is counted yet, so the page tells where the registry has to post.
    let url = format!("http://localhost:{}{WEBHOOK}", webhook.address.port());
    let page = async || main.get("/", &[("host", "localhost:8093"), ("accept", "text/html")]).await.text;
    let told = async { while !page().await.contains(&url) {} };
    timeout(SOON, told).await.expect("the page tells it");
    assert_eq!(webhook.post(INSIDE, &[]).await.status, 200);
    assert_eq!(main.post(INSIDE, &[]).await.status, 404);
    let host = &[("host", "localhost"), ("content-type", "application/json")];
    for path in [
        WEBHOOK,
        "/api/webhook/registry/",
        "/api/webhook/regist%72y",
        "//api/webhook/registry",
        "/api//webhook/registry",
    ] {
        for method in ["GET", "POST"] {
            let answer = main.send(INSIDE, &request(method, path, host, &body())).await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
        }
    }
    assert_eq!(webhook.get(WEBHOOK, host).await.status, 405);
    for (path, of_webhook, of_main) in [
        ("/healthz", 200, 200),
        ("/healthz/db", 200, 200),
        ("/", 404, 200),
        ("/api/v1/summary", 404, 200),
        ("/docs", 404, 200),
    ] {
        let statuses = (webhook.get(path, host).await.status, main.get(path, host).await.status);
        assert_eq!(statuses, (of_webhook, of_main), "{path}");
    }
}

#[tokio::test]
async fn each_listener_answers_to_the_names_of_its_own_address() {
    let own = || Hosts::only(["own.example".to_owned()]);
    for (main_hosts, webhook_hosts, of_main, of_webhook) in
        [(own(), Hosts::any([]), 421, 200), (Hosts::any([]), own(), 200, 421)]
    {
        let options = AccessOptions { hosts: main_hosts, ..AccessOptions::default() };
        let (main, webhook) = start(options, webhook_hosts).await;
        let host = &[("host", "counts.example.com")];
        assert_eq!(main.get("/healthz", host).await.status, of_main);
        assert_eq!(webhook.get("/healthz", host).await.status, of_webhook);
        assert_eq!(webhook.post(INSIDE, host).await.status, 200, "the registry calls it by any name");
    }
}

#[tokio::test]
async fn who_may_post_is_the_same_there_and_refusals_are_told_on_the_page() {
    let options = AccessOptions { tokens: Some(Tokens::new([TOKEN])), ..AccessOptions::default() };
    let (main, webhook) = start(options, Hosts::default()).await;
    assert_eq!(webhook.post(INSIDE, &[("authorization", "Bearer r1ght")]).await.status, 200);
    assert_eq!(webhook.post(INSIDE, &[]).await.status, 401);
    assert_eq!(main.refused(RefusalReason::NoProof), 1);
}

#[tokio::test]
async fn telemetry_answers_at_its_own_listener_alone_to_whoever_reaches_it() {
    let access = Access::new(signed_in());
    let listeners = [server::listen("127.0.0.1:0").await, server::listen("127.0.0.1:0").await];
    let [main, telemetry] = listeners.map(|listener| listener.expect("a free port"));
    let services = support::services(MemoryMetrics::new(100), access.clone());
    let hosts = Hosts::only(["own.example".to_owned()]);
    let endpoints = staticreg_http::endpoints(services, None, Some(hosts));
    let main = Server::serve(main, endpoints.main, access.clone());
    let telemetry = Server::serve(telemetry, endpoints.telemetry.expect("its routes"), access);
    let host = [("host", "own.example")];
    for (path, of_telemetry, of_main) in [
        ("/metrics", 200, 401),
        ("/metrics/", 200, 401),
        ("/healthz", 200, 200),
        ("/healthz/db", 200, 200),
        ("/", 404, 401),
        ("/api/v1/summary", 404, 401),
        ("/metrics/webhook", 404, 401),
    ] {
        let statuses = (telemetry.get(path, &host).await.status, main.get(path, &host).await.status);
        assert_eq!(statuses, (of_telemetry, of_main), "{path}");
    }
    assert_eq!(main.get("/metrics", &[host[0], RIGHT]).await.status, 404, "who may read is told that it is not here");
    assert_eq!(telemetry.post(INSIDE, &host).await.status, 404);
    assert_eq!(main.post(INSIDE, &[TOKEN_SHOWN]).await.status, 200);
    assert_eq!(telemetry.get("/metrics", &[("host", "counts.example.com")]).await.status, 421);
}
