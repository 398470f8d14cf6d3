//! Compressed answers.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use staticreg_domain::catalog::{Reference, RegistryCatalog};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use crate::{anonymous, digest_of, json, kind, name, tag, tags_of};

fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn compressed(content: impl AsRef<[u8]>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(gzip(content), "application/json").insert_header("content-encoding", "gzip")
}

#[tokio::test]
async fn gzip_is_asked_for_and_understood_everywhere() {
    let server = MockServer::start().await;
    let configuration = r#"{"os": "linux", "architecture": "amd64"}"#;
    let image = format!(r#"{{"config": {{"digest": "{}"}}, "layers": []}}"#, digest_of(configuration));
    let blob = format!("/v2/a/blobs/{}", digest_of(configuration));
    for (path_is, content) in [
        ("/v2/_catalog", r#"{"repositories": ["a"]}"#),
        ("/v2/a/tags/list", r#"{"tags": ["v1"]}"#),
        ("/v2/a/manifests/v1", image.as_str()),
        (blob.as_str(), configuration),
    ] {
        let answer = compressed(content);
        Mock::given(path(path_is)).and(header("accept-encoding", "gzip")).respond_with(answer).mount(&server).await;
    }
    let catalog = anonymous(&server);
    assert_eq!(catalog.repositories(None).await.unwrap().repositories, [name("a")]);
    assert_eq!(tags_of(&server, "a").await, (vec!["v1".to_owned()], None));
    // The digest is that of the content, not of what came over the wire.
    let read = catalog.manifest(&name("a"), &Reference::Tag(tag("v1"))).await.unwrap();
    assert_eq!(read.digest, digest_of(&image));
    assert!(catalog.configuration(&name("a"), &digest_of(configuration)).await.unwrap().platform.is_some());
}

#[tokio::test]
async fn what_a_server_says_of_its_encoding_is_read_leniently() {
    let page = r#"{"tags": ["v1"]}"#;
    let twice = [gzip(r#"{"tags": "#), gzip(r#"["v1"]}"#)].concat();
    for (encoding, body, expected) in [
        ("identity", page.as_bytes().to_vec(), Some("v1")),
        ("", page.as_bytes().to_vec(), Some("v1")),
        ("gzip", page.as_bytes().to_vec(), Some("v1")),
        ("X-GZIP", gzip(page), Some("v1")),
        ("identity, gzip", gzip(page), Some("v1")),
        ("gzip", twice, Some("v1")),
        ("gzip", gzip(page)[..20].to_vec(), None),
        ("br", page.as_bytes().to_vec(), None),
    ] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(200).set_body_raw(body, "application/json");
        let answer = answer.insert_header("content-encoding", encoding);
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        match expected {
            Some(tag) => assert_eq!(tags_of(&server, "a").await, (vec![tag.to_owned()], None), "{encoding}"),
            None => assert_eq!(kind(anonymous(&server).tags(&name("a")).await), "malformed", "{encoding}"),
        }
    }
}

#[tokio::test]
async fn little_that_unfolds_to_much_is_given_up() {
    let server = MockServer::start().await;
    let page = format!(r#"{{"repositories": ["{}"]}}"#, "a".repeat(200 * 1024 * 1024));
    Mock::given(path("/v2/_catalog")).respond_with(compressed(page)).mount(&server).await;
    let nested = gzip(gzip(r#"{"tags": ["v1"]}"#));
    let nested = ResponseTemplate::new(200).set_body_bytes(nested).insert_header("content-encoding", "gzip, gzip");
    Mock::given(path("/v2/a/tags/list")).respond_with(nested).mount(&server).await;
    Mock::given(path("/v2/b/tags/list")).respond_with(json("{}")).mount(&server).await;
    assert_eq!(kind(anonymous(&server).repositories(None).await), "malformed");
    assert_eq!(tags_of(&server, "a").await, (vec!["v1".to_owned()], None));
}
