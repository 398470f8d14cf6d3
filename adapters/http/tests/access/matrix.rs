//! What every route answers to whom, in one table.

use staticreg_http::access::{Access, AccessOptions, ProxyHeader, Readers};
use staticreg_memory::MemoryMetrics;

use crate::{
    INSIDE, RIGHT, RUNNING, Server, TOKEN_SHOWN, WEBHOOK, WRONG,
    api_tokens::{EXPIRED, FOR_METRICS, FOR_POSTING, FOR_READING, FOR_RUNNING, REVOKED, UNKNOWN, api_tokens},
    networks, signed_in, support,
};

/// What is shown: for each a column of the table.
const SHOWN: [(&str, Option<(&str, &str)>); 12] = [
    ("nothing", None),
    ("a wrong password", Some(WRONG)),
    ("a wrong token", Some(UNKNOWN)),
    ("an expired token", Some(EXPIRED)),
    ("a revoked token", Some(REVOKED)),
    ("an API token for metrics", Some(FOR_METRICS)),
    ("an API token for what runs", Some(FOR_RUNNING)),
    ("an API token for posting", Some(FOR_POSTING)),
    ("an API token for reading", Some(FOR_READING)),
    ("a user's password", Some(RIGHT)),
    ("a name in a trusted proxy's header", Some(("remote-user", "alice"))),
    ("a token of the webhook", Some(TOKEN_SHOWN)),
];

/// In the place of an answer: the route's own, given to those who may.
const OWN: u16 = 0;

type Answers = [u16; SHOWN.len()];

const TO_ALL: Answers = [OWN; SHOWN.len()];

/// Where only who is signed in may.
#[rustfmt::skip]
const TO_READERS: Answers = [
    401, 401, 401, 401, 401,    403, 403, 403, OWN,    OWN, OWN, 401,
];

/// Where it is told how the server does.
#[rustfmt::skip]
const TO_WATCHERS: Answers = [
    401, 401, 401, 401, 401,    OWN, 403, 403, OWN,    OWN, OWN, 401,
];

/// Where a token is asked for.
#[rustfmt::skip]
const TO_POSTERS: Answers = [
    401, 401, 401, 401, 401,    401, 401, OWN, 401,    401, 401, OWN,
];

/// Where a token for what runs lets in too.
#[rustfmt::skip]
const TO_TELLERS: Answers = [
    401, 401, 401, 401, 401,    401, OWN, OWN, 401,    401, 401, OWN,
];

/// A route, a path of it, its own answer, and its answers where anyone may read and where only who is signed in may.
const MATRIX: [(&str, &str, u16, Answers, Answers); 53] = [
    ("/", "/", 200, TO_ALL, TO_READERS),
    ("/repo/*name", "/repo/demo/app", 404, TO_ALL, TO_READERS),
    ("/insights", "/insights", 200, TO_ALL, TO_READERS),
    ("/cleanup", "/cleanup", 200, TO_ALL, TO_READERS),
    ("/badge/*name", "/badge/demo/app.svg", 200, TO_ALL, TO_READERS),
    ("/chart/*name", "/chart/demo/app.svg", 200, TO_ALL, TO_READERS),
    ("/export/:table", "/export/repositories.csv", 200, TO_ALL, TO_READERS),
    ("/assets/*file", "/assets/none", 404, TO_ALL, TO_READERS),
    ("/favicon.ico", "/favicon.ico", 302, TO_ALL, TO_READERS),
    ("/openapi.json", "/openapi.json", 200, TO_ALL, TO_READERS),
    ("/openapi.yaml", "/openapi.yaml", 200, TO_ALL, TO_READERS),
    ("/docs", "/docs", 200, TO_ALL, TO_READERS),
    ("/api/v1/summary", "/api/v1/summary", 200, TO_ALL, TO_READERS),
    ("/api/v1/pulls", "/api/v1/pulls", 200, TO_ALL, TO_READERS),
    ("/api/v1/pulls.csv", "/api/v1/pulls.csv", 200, TO_ALL, TO_READERS),
    ("/api/v1/folders", "/api/v1/folders", 200, TO_ALL, TO_READERS),
    ("/api/v1/folders.csv", "/api/v1/folders.csv", 200, TO_ALL, TO_READERS),
    ("/api/v1/repositories", "/api/v1/repositories", 200, TO_ALL, TO_READERS),
    ("/api/v1/repositories.csv", "/api/v1/repositories.csv", 200, TO_ALL, TO_READERS),
    ("/api/v1/images", "/api/v1/images", 200, TO_ALL, TO_READERS),
    ("/api/v1/images.csv", "/api/v1/images.csv", 200, TO_ALL, TO_READERS),
    ("/api/v1/architectures", "/api/v1/architectures", 200, TO_ALL, TO_READERS),
    ("/api/v1/architectures.csv", "/api/v1/architectures.csv", 200, TO_ALL, TO_READERS),
    ("/api/v1/tags", "/api/v1/tags?repository=demo/app", 200, TO_ALL, TO_READERS),
    ("/api/v1/tags.csv", "/api/v1/tags.csv?repository=demo/app", 200, TO_ALL, TO_READERS),
    ("/api/v1/digests", "/api/v1/digests?repository=demo/app&tag=v1", 200, TO_ALL, TO_READERS),
    ("/api/v1/digests.csv", "/api/v1/digests.csv?repository=demo/app&tag=v1", 200, TO_ALL, TO_READERS),
    ("/api/v1/metrics", "/api/v1/metrics", 200, TO_ALL, TO_READERS),
    ("/api/v1/metrics.csv", "/api/v1/metrics.csv", 200, TO_ALL, TO_READERS),
    ("/api/v1/registry/repositories", "/api/v1/registry/repositories", 404, TO_ALL, TO_READERS),
    ("/api/v1/registry/repositories.csv", "/api/v1/registry/repositories.csv", 404, TO_ALL, TO_READERS),
    ("/api/v1/registry/tags", "/api/v1/registry/tags?repository=demo/app", 404, TO_ALL, TO_READERS),
    ("/api/v1/registry/tags.csv", "/api/v1/registry/tags.csv?repository=demo/app", 404, TO_ALL, TO_READERS),
    ("/api/v1/registry/images", "/api/v1/registry/images", 404, TO_ALL, TO_READERS),
    ("/api/v1/registry/images.csv", "/api/v1/registry/images.csv", 404, TO_ALL, TO_READERS),
    ("/api/v1/registry/referrers", "/api/v1/registry/referrers?repository=demo/app&tag=v1", 404, TO_ALL, TO_READERS),
    ("/api/v1/cleanup", "/api/v1/cleanup", 200, TO_ALL, TO_READERS),
    ("/api/v1/cleanup.csv", "/api/v1/cleanup.csv", 200, TO_ALL, TO_READERS),
    ("/api/v1/cleanup.sh", "/api/v1/cleanup.sh", 200, TO_ALL, TO_READERS),
    (WEBHOOK, WEBHOOK, 200, TO_POSTERS, TO_POSTERS),
    (RUNNING, RUNNING, 200, TO_TELLERS, TO_TELLERS),
    ("/status", "/status", 200, TO_ALL, TO_READERS),
    ("/metrics", "/metrics", 200, TO_ALL, TO_WATCHERS),
    ("/metrics/webhook", "/metrics/webhook", 200, TO_ALL, TO_READERS),
    ("/metrics/db", "/metrics/db", 503, TO_ALL, TO_READERS),
    ("/service-info", "/service-info", 200, TO_ALL, TO_READERS),
    ("/api/search", "/api/search?q=app", 200, TO_ALL, TO_READERS),
    ("/search", "/search?q=app", 301, TO_ALL, TO_READERS),
    ("/browse", "/browse", 301, TO_ALL, TO_READERS),
    ("/browse/*folder", "/browse/team-a", 301, TO_ALL, TO_READERS),
    ("/robots.txt", "/robots.txt", 200, TO_ALL, TO_ALL),
    ("/healthz", "/healthz", 200, TO_ALL, TO_ALL),
    ("/healthz/db", "/healthz/db", 200, TO_ALL, TO_ALL),
];

/// Everything that may be asked for is.
async fn options(readers: Readers) -> AccessOptions {
    AccessOptions {
        read: readers,
        badges: readers,
        trusted_proxies: networks("127.0.0.1"),
        proxy_header: Some(ProxyHeader::parse("Remote-User").expect("a header")),
        api_tokens: Some(api_tokens().await),
        ..signed_in()
    }
}

#[tokio::test]
async fn every_route_answers_as_the_matrix_says() {
    let mut routes = staticreg_http::paths(&support::services(MemoryMetrics::new(100), Access::default()));
    let mut rows: Vec<_> = MATRIX.iter().map(|(route, ..)| (*route).to_owned()).collect();
    routes.sort_unstable();
    rows.sort_unstable();
    assert_eq!(routes, rows, "every route has a row in MATRIX, and every row a route");
    for (route, path, own, to_anyone, to_signed_in) in MATRIX {
        for (readers, answers) in [(Readers::Anyone, to_anyone), (Readers::SignedIn, to_signed_in)] {
            // One for each route: guesses are slowed.
            let server = Server::start(options(readers).await).await;
            for ((name, shown), expected) in SHOWN.into_iter().zip(answers) {
                let headers: Vec<_> = shown.into_iter().collect();
                let answer = match route {
                    WEBHOOK => server.post(INSIDE, &headers).await,
                    RUNNING => server.tell(INSIDE, &headers).await,
                    _ => server.get(path, &headers).await,
                };
                let expected = if expected == OWN { own } else { expected };
                assert_eq!(answer.status, expected, "{readers:?} {path}, {name}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn a_webhook_that_asks_for_nothing_takes_whatever_is_shown() {
    let server = Server::start(AccessOptions { tokens: None, ..options(Readers::SignedIn).await }).await;
    for (name, shown) in SHOWN {
        let headers: Vec<_> = shown.into_iter().collect();
        assert_eq!(server.post(INSIDE, &headers).await.status, 200, "{name}");
    }
    assert_eq!(server.access.refused().total, 0);
}
