//! Manifests, indexes and configurations.

use staticreg_domain::{
    Platform,
    catalog::{Attachment, ManifestContent, Reference, RegistryCatalog},
};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

use crate::{Answering, anonymous, digest_of, json, kind, name, tag};

const IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn image() -> String {
    let config = digest_of("config");
    let layer = digest_of("layer");
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{IMAGE}",
            "config":{{"mediaType":"application/vnd.docker.container.image.v1+json","size":7,"digest":"{config}"}},
            "layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":30,"digest":"{layer}"}}]}}"#
    )
}

fn manifest(media_type: &str, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_raw(body.to_owned(), media_type)
        .insert_header("docker-content-digest", digest_of(body).as_str())
}

#[tokio::test]
async fn all_four_types_of_manifests_are_accepted() {
    // As Distribution 2.8: what the client does not accept is not there.
    let server = MockServer::start().await;
    let answer = |request: &Request| {
        let accepted = request.headers.get_all("accept").iter().map(|value| value.to_str().unwrap());
        let accepted: Vec<&str> = accepted.flat_map(|value| value.split(',')).map(str::trim).collect();
        let wanted = request.url.path().rsplit('/').next().unwrap().replace('_', "/").replace("-plus-", "+");
        if accepted.contains(&wanted.as_str()) { manifest(&wanted, &image()) } else { ResponseTemplate::new(404) }
    };
    Mock::given(method("GET")).respond_with(Answering(answer)).mount(&server).await;
    for media_type in [
        "application_vnd.docker.distribution.manifest.v2-plus-json",
        "application_vnd.docker.distribution.manifest.list.v2-plus-json",
        "application_vnd.oci.image.manifest.v1-plus-json",
        "application_vnd.oci.image.index.v1-plus-json",
    ] {
        let read = anonymous(&server).manifest(&name("a"), &Reference::Tag(tag(media_type))).await.expect(media_type);
        assert_eq!(read.digest, digest_of(&image()));
    }
}

#[tokio::test]
async fn an_image_is_read_by_tag_and_by_digest() {
    let server = MockServer::start().await;
    let found = digest_of(&image());
    for reference in ["v1", found.as_str()] {
        Mock::given(method("GET"))
            .and(path(format!("/v2/library/nginx/manifests/{reference}")))
            .respond_with(manifest(IMAGE, &image()))
            .mount(&server)
            .await;
    }
    let catalog = anonymous(&server);
    let by_tag = catalog.manifest(&name("library/nginx"), &Reference::Tag(tag("v1"))).await.unwrap();
    let by_digest = catalog.manifest(&name("library/nginx"), &Reference::Digest(found.clone())).await.unwrap();
    assert_eq!(by_tag, by_digest);
    assert_eq!(by_tag.digest, found);
    let ManifestContent::Image { configuration, layers } = by_tag.content else { panic!("an image") };
    assert_eq!((configuration.digest, configuration.size), (digest_of("config"), 7));
    assert_eq!(layers.iter().map(|layer| layer.size).sum::<u64>(), 30);
}

#[tokio::test]
async fn an_index_may_hold_a_manifest_list() {
    let server = MockServer::start().await;
    let (nested, child) = (digest_of("nested"), digest_of("child"));
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[
            {{"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","size":1,"digest":"{nested}"}},
            {{"mediaType":"{IMAGE}","size":2,"digest":"{child}","platform":{{"os":"linux","architecture":"arm64"}}}}]}}"#
    );
    Mock::given(method("GET")).respond_with(manifest(INDEX, &index)).mount(&server).await;
    let read = anonymous(&server).manifest(&name("a"), &Reference::Tag(tag("v1"))).await.unwrap();
    let ManifestContent::Index(entries) = read.content else { panic!("an index") };
    let told: Vec<_> = entries.into_iter().map(|entry| (entry.descriptor.digest, entry.platform)).collect();
    assert_eq!(told, [(nested, None), (child, Platform::new("linux", "arm64", None))]);
}

#[tokio::test]
async fn content_with_another_digest_is_malformed() {
    let server = MockServer::start().await;
    let asked = digest_of("something else");
    Mock::given(method("GET"))
        .and(path(format!("/v2/a/manifests/{asked}")))
        .respond_with(manifest(IMAGE, &image()))
        .mount(&server)
        .await;
    Mock::given(method("GET")).and(path(format!("/v2/a/blobs/{asked}"))).respond_with(json("{}")).mount(&server).await;
    let lying = manifest(IMAGE, &image()).insert_header("docker-content-digest", asked.as_str());
    Mock::given(method("GET")).and(path("/v2/a/manifests/v1")).respond_with(lying).mount(&server).await;
    let catalog = anonymous(&server);
    assert_eq!(kind(catalog.manifest(&name("a"), &Reference::Digest(asked.clone())).await), "malformed");
    assert_eq!(kind(catalog.manifest(&name("a"), &Reference::Tag(tag("v1"))).await), "malformed");
    assert_eq!(kind(catalog.configuration(&name("a"), &asked).await), "malformed");
}

#[tokio::test]
async fn a_manifest_whose_digest_is_not_told_has_the_digest_of_its_content() {
    let server = MockServer::start().await;
    Mock::given(method("HEAD")).respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(image(), IMAGE))
        .expect(2)
        .mount(&server)
        .await;
    let catalog = anonymous(&server);
    let read = catalog.manifest(&name("a"), &Reference::Tag(tag("v1"))).await.unwrap();
    assert_eq!(read.digest, digest_of(&image()));
    assert_eq!(catalog.resolve(&name("a"), &tag("v1")).await.unwrap(), digest_of(&image()));
}

#[tokio::test]
async fn a_tag_is_resolved_without_its_manifest() {
    let server = MockServer::start().await;
    let found = digest_of(&image());
    let head = ResponseTemplate::new(200).insert_header("docker-content-digest", found.as_str());
    Mock::given(method("HEAD")).and(path("/v2/a/manifests/v1")).respond_with(head).mount(&server).await;
    assert_eq!(anonymous(&server).resolve(&name("a"), &tag("v1")).await.unwrap(), found);
    assert_eq!(kind(anonymous(&server).resolve(&name("a"), &tag("v2")).await), "not found");
}

#[tokio::test]
async fn what_is_too_long_is_given_up() {
    let server = MockServer::start().await;
    let long = format!(r#"{{"x": "{}"}}"#, "a".repeat(4 * 1024 * 1024));
    Mock::given(path("/v2/a/manifests/v1")).respond_with(manifest(IMAGE, &long)).mount(&server).await;
    let longer = format!(r#"{{"x": "{}"}}"#, "a".repeat(8 * 1024 * 1024));
    Mock::given(path(format!("/v2/a/blobs/{}", digest_of(&longer)))).respond_with(json(&longer)).mount(&server).await;
    let catalog = anonymous(&server);
    assert_eq!(kind(catalog.manifest(&name("a"), &Reference::Tag(tag("v1"))).await), "malformed");
    assert_eq!(kind(catalog.configuration(&name("a"), &digest_of(&longer)).await), "malformed");
}

#[tokio::test]
async fn a_configuration_is_read() {
    let server = MockServer::start().await;
    let body = r#"{"os":"linux","architecture":"amd64","config":{"Labels":{"maintainer":"<script>"}}}"#;
    Mock::given(path(format!("/v2/a/blobs/{}", digest_of(body)))).respond_with(json(body)).mount(&server).await;
    let read = anonymous(&server).configuration(&name("a"), &digest_of(body)).await.unwrap();
    assert_eq!(read.platform, Platform::new("linux", "amd64", None));
    assert_eq!(read.labels["maintainer"], "<script>");
}

fn referrers_of(signature: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[
            {{"mediaType":"{IMAGE}","size":1,"digest":"{}","artifactType":"application/vnd.cncf.notary.signature"}}]}}"#,
        digest_of(signature)
    )
}

#[tokio::test]
async fn referrers_are_asked_for_or_read_from_their_tag() {
    let server = MockServer::start().await;
    let [asked, tagged, neither] = ["asked", "tagged", "neither"].map(digest_of);
    let tag_path = format!("/v2/a/manifests/{}", tagged.as_str().replace(':', "-"));
    Mock::given(path(format!("/v2/a/referrers/{asked}")))
        .respond_with(ResponseTemplate::new(200).set_body_raw(referrers_of("one"), INDEX))
        .mount(&server)
        .await;
    Mock::given(path(tag_path)).respond_with(manifest(INDEX, &referrers_of("two"))).mount(&server).await;
    let catalog = anonymous(&server);
    for (digest, signature) in [(asked, "one"), (tagged, "two")] {
        let found = catalog.referrers(&name("a"), &digest).await.unwrap();
        let told: Vec<_> = found.iter().map(|referrer| (&referrer.descriptor.digest, referrer.attachments())).collect();
        assert_eq!(told, [(&digest_of(signature), vec![Attachment::Signature])]);
    }
    assert_eq!(catalog.referrers(&name("a"), &neither).await.unwrap(), []);
}

#[tokio::test]
async fn referrers_that_are_refused_are_none_of_nothing() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(503)).mount(&server).await;
    assert_eq!(kind(anonymous(&server).referrers(&name("a"), &digest_of("x")).await), "unavailable");
}
