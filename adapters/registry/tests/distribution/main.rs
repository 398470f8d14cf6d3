//! The adapter against registries of recorded answers.

#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod access;
mod contents;
mod encoding;
mod pages;
mod patience;
mod tls;

use std::{sync::Arc, time::Duration};

use sha2::Digest as _;
use staticreg_domain::{
    Digest, RepositoryName, Tag,
    catalog::{CatalogError, RegistryCatalog},
};
use staticreg_registry::{HttpRegistryCatalog, RegistryOptions, Tls};
use wiremock::{MockServer, Request, Respond, ResponseTemplate};

/// Options for a registry at an address such as `http://127.0.0.1:1234`.
fn options(address: &str) -> RegistryOptions {
    RegistryOptions {
        hostname: address.split_once("://").map_or(address, |(_, hostname)| hostname).to_owned(),
        user: None,
        password: None,
        tls: Tls::Auto,
        skip_tls_verify: false,
        requests_per_second: None,
        timeout: Duration::from_mins(2),
        user_agent: "staticreg/1.2.3".to_owned(),
    }
}

/// A client without credentials.
fn anonymous(server: &MockServer) -> HttpRegistryCatalog {
    HttpRegistryCatalog::new(&options(&server.uri())).unwrap()
}

/// A client with the credentials of `Basic YWxpY2U6czNjcmV0`.
fn alice(server: &MockServer) -> HttpRegistryCatalog {
    let (user, password) = (Some("alice".to_owned()), Some("s3cret".to_owned()));
    HttpRegistryCatalog::new(&RegistryOptions { user, password, ..options(&server.uri()) }).unwrap()
}

const ALICE: &str = "Basic YWxpY2U6czNjcmV0";

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// The digest of some content.
fn digest_of(content: &str) -> Digest {
    use std::fmt::Write as _;
    let hash = sha2::Sha256::digest(content).iter().fold(String::new(), |mut hash, byte| {
        write!(hash, "{byte:02x}").unwrap();
        hash
    });
    format!("sha256:{hash}").parse().unwrap()
}

/// What an error is, in one word.
fn kind<T: std::fmt::Debug>(result: Result<T, CatalogError>) -> &'static str {
    word(&result.expect_err("an error"))
}

fn word(error: &CatalogError) -> &'static str {
    match error {
        CatalogError::Unavailable(_) => "unavailable",
        CatalogError::Denied(_) => "denied",
        CatalogError::NotFound(_) => "not found",
        CatalogError::Malformed(_) => "malformed",
    }
}

/// The tags that could be read, and why there may be more.
async fn tags_of(server: &MockServer, repository: &str) -> (Vec<String>, Option<&'static str>) {
    let list = anonymous(server).tags(&name(repository)).await.unwrap();
    (list.tags.iter().map(ToString::to_string).collect(), list.incomplete.as_ref().map(word))
}

/// An answer made from the request.
struct Answering<F>(F);

impl<F: Fn(&Request) -> ResponseTemplate + Send + Sync> Respond for Answering<F> {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        (self.0)(request)
    }
}

fn json(body: impl AsRef<str>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.as_ref().to_owned(), "application/json")
}

/// The authorizations of all requests a server got, in order; empty where there was none.
async fn authorizations(server: &MockServer) -> Arc<[String]> {
    let requests = server.received_requests().await.unwrap();
    let authorization = |request: &Request| {
        request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    requests.iter().map(authorization).collect()
}
