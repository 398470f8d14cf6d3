//! Manifests and configurations as registries and builders write them.

use staticreg_domain::catalog::{Artifact, Attachment};

use super::*;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn digest(seed: &str) -> Digest {
    format!("sha256:{}", seed.repeat(32)).parse().unwrap()
}

fn read(content_type: &str, body: &str) -> Result<Manifest, CatalogError> {
    manifest(digest("00"), content_type, body.as_bytes())
}

#[test]
fn content_is_held_against_its_digest() {
    for digest in [
        "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "sha384:59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f",
        "sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
    ] {
        let digest = digest.parse().unwrap();
        assert!(verify(b"hello", &digest).is_ok(), "{digest}");
        assert!(matches!(verify(b"hellO", &digest), Err(CatalogError::Malformed(_))), "{digest}");
    }
    assert!(matches!(verify(b"hello", &"md5:hello".parse().unwrap()), Err(CatalogError::Malformed(_))));
    assert!(verify(b"hello", &sha256(b"hello")).is_ok());
}

#[test]
fn an_image_has_a_configuration_and_layers() {
    let (config, layer) = (digest("aa"), digest("bb"));
    let body = format!(
        r#"{{"schemaVersion": 2, "mediaType": "{IMAGE}",
            "config": {{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "{config}", "size": 10}},
            "layers": [{{"mediaType": "x", "digest": "{layer}", "size": 20}}, {{"digest": "odd", "size": 1}}, 7,
                {{"digest": "{layer}", "size": -1}}],
            "annotations": {{"org.opencontainers.image.created": "2026-01-02T03:04:05Z", "other": 7}}}}"#
    );
    let descriptor = |media_type: &str, digest: &Digest, size| Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.clone(),
        size,
    };
    let expected = Manifest {
        digest: digest("00"),
        media_type: IMAGE.to_owned(),
        artifact_type: None,
        content: ManifestContent::Image {
            configuration: descriptor("application/vnd.oci.image.config.v1+json", &config, 10),
            layers: vec![descriptor("x", &layer, 20), descriptor("", &layer, 0)],
        },
        created: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        annotations: [("org.opencontainers.image.created".to_owned(), "2026-01-02T03:04:05Z".to_owned())].into(),
        predicate_types: Vec::new(),
    };
    assert_eq!(read(IMAGE, &body).unwrap(), expected);
    // A registry that says nothing useful of the type: the manifest's own word counts.
    assert_eq!(read("application/json", &body).unwrap(), expected);
    assert_eq!(read(INDEX, &body).unwrap(), expected);
}

#[test]
fn a_manifest_that_does_not_say_what_it_is_is_told_by_its_members() {
    let config = digest("aa");
    let image = format!(r#"{{"config": {{"digest": "{config}", "size": 10}}, "layers": []}}"#);
    let index = format!(r#"{{"manifests": [{{"digest": "{config}", "size": 10}}]}}"#);
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    for (body, content_type, expected) in [
        (&image, "", IMAGE),
        (&image, "application/json", IMAGE),
        (&image, INDEX, IMAGE),
        (&index, "", INDEX),
        (&index, "text/plain; charset=utf-8", INDEX),
        (&index, IMAGE, INDEX),
        (&index, list, list),
        (&r#"{"manifests": []}"#.to_owned(), "", INDEX),
    ] {
        let read = read(content_type, body).expect(body);
        assert_eq!(read.media_type, expected, "{content_type} {body}");
        assert_eq!(Some(read.content.kind()), ManifestKind::of_media_type(expected));
    }
    // What could be both is what it is called.
    let both = format!(r#"{{"config": {{"digest": "{config}"}}, "manifests": [], "layers": []}}"#);
    assert_eq!(read(IMAGE, &both).unwrap().content.kind(), ManifestKind::Image);
    assert_eq!(read(INDEX, &both).unwrap().content.kind(), ManifestKind::Index);
    assert!(matches!(read("", &both), Err(CatalogError::Malformed(_))));
}

#[test]
fn an_artifact_says_what_it_is() {
    let body = format!(
        r#"{{"artifactType": "text/x-sbom", "layers": [],
            "config": {{"mediaType": "application/vnd.oci.empty.v1+json", "digest": "{}", "size": 2}}}}"#,
        digest("aa")
    );
    assert_eq!(read(IMAGE, &body).unwrap().artifact(), Artifact::Other("text/x-sbom".to_owned()));
    assert_eq!(read(IMAGE, &body.replace("text/x-sbom", "")).unwrap().artifact_type, None);
}

#[test]
fn an_index_lists_manifests_and_indexes_with_their_platforms() {
    let [image, attestation, nested] = ["aa", "bb", "cc"].map(digest);
    let body = format!(
        r#"{{"schemaVersion": 2, "manifests": [
            {{"mediaType": "{IMAGE}", "digest": "{image}", "size": 1,
              "platform": {{"os": "linux", "architecture": "arm", "variant": "v7"}}}},
            {{"mediaType": "{IMAGE}", "digest": "{attestation}", "size": 1,
              "platform": {{"os": "unknown", "architecture": "unknown"}}}},
            {{"digest": "sha256:short"}}, null,
            {{"mediaType": "{INDEX}", "digest": "{nested}", "size": 1, "platform": "all"}},
            {{"mediaType": "{IMAGE}", "digest": "{image}", "size": 1,
              "platform": {{"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.2849"}}}}]}}"#
    );
    let ManifestContent::Index(entries) = read(INDEX, &body).unwrap().content else {
        panic!("an index");
    };
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (&entry.descriptor.digest, entry.platform.as_ref().map(ToString::to_string)))
        .collect();
    assert_eq!(
        told,
        [
            (&image, Some("linux/arm/v7".to_owned())),
            (&attestation, None),
            (&nested, None),
            (&image, Some("windows(10.0.20348.2849)/amd64".to_owned())),
        ]
    );
}

#[test]
fn attestations_tell_what_they_are_about_and_what_they_state() {
    let [image, statement] = ["aa", "bb"].map(digest);
    let about = |told: &str| {
        let body = format!(
            r#"{{"manifests": [{{"mediaType": "{IMAGE}", "digest": "{statement}", "size": 1,
                "platform": {{"os": "unknown", "architecture": "unknown"}}, "annotations": {{{told}}}}}]}}"#
        );
        let ManifestContent::Index(entries) = read(INDEX, &body).unwrap().content else { panic!("an index") };
        entries[0].attests.clone()
    };
    let (kind, digest) = ("vnd.docker.reference.type", "vnd.docker.reference.digest");
    assert_eq!(about(&format!(r#""{kind}": "attestation-manifest", "{digest}": "{image}""#)), Some(image.clone()));
    for odd in [
        String::new(),
        format!(r#""{digest}": "{image}""#),
        format!(r#""{kind}": "else", "{digest}": "{image}""#),
        format!(r#""{kind}": "attestation-manifest", "{digest}": "odd""#),
        format!(r#""{kind}": ["attestation-manifest"], "{digest}": 7"#),
    ] {
        assert_eq!(about(&odd), None, "{odd}");
    }

    let layer = |annotations: &str| {
        format!(r#"{{"mediaType": "application/vnd.in-toto+json", "digest": "{image}", "annotations": {annotations}}}"#)
    };
    let layers = [
        layer(r#"{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}"#),
        layer(r#"{"predicateType": "https://spdx.dev/Document", "other": {}}"#),
        layer("[]"),
    ]
    .join(",");
    let body = format!(r#"{{"config": {{"digest": "{image}"}}, "layers": [{layers}]}}"#);
    let manifest = read(IMAGE, &body).unwrap();
    assert_eq!(manifest.predicate_types, ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document"]);
    assert_eq!(manifest.attachments(), [Attachment::Provenance, Attachment::Sbom]);
}

#[test]
fn referrers_are_read_as_far_as_they_are_understood() {
    let [signature, bundle] = ["aa", "bb"].map(digest);
    let body = format!(
        r#"{{"schemaVersion": 2, "manifests": [null, {{"digest": "odd"}},
            {{"mediaType": "{IMAGE}", "digest": "{signature}", "size": 7,
              "artifactType": "application/vnd.cncf.notary.signature"}},
            {{"digest": "{bundle}", "artifactType": 7, "annotations": {{
              "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"}}}}]}}"#
    );
    let read = referrers(body.as_bytes()).unwrap();
    let told: Vec<_> = read.iter().map(|referrer| (&referrer.descriptor.digest, referrer.attachments())).collect();
    let expected = [(&signature, vec![Attachment::Signature]), (&bundle, vec![Attachment::Provenance])];
    assert_eq!(told, expected);
    assert_eq!(referrers(b"{}").unwrap(), []);
    assert_eq!(referrers(br#"{"manifests": {}}"#).unwrap(), []);
    assert!(matches!(referrers(b"<html>"), Err(CatalogError::Malformed(_))));
}

#[test]
fn what_is_no_manifest_is_malformed() {
    for (content_type, body) in [
        (IMAGE, "garbage"),
        (IMAGE, "[]"),
        (IMAGE, "{}"),
        (IMAGE, r#"{"config": {"digest": "odd"}}"#),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", r#"{"schemaVersion": 1}"#),
        ("text/html", "<html>"),
    ] {
        assert!(matches!(read(content_type, body), Err(CatalogError::Malformed(_))), "{body}");
    }
    assert!(matches!(read(INDEX, "{}").unwrap().content, ManifestContent::Index(entries) if entries.is_empty()));
}

#[test]
fn a_configuration_tells_people_what_they_ask() {
    let body = r#"{"architecture": "arm64", "os": "linux", "created": "2026-01-02T03:04:05.123+01:00", "config": {
        "Labels": {"a": "<script>", "b": 7}, "Entrypoint": ["/run"], "Cmd": ["a", null, "b"], "User": "",
        "WorkingDir": "/srv", "Env": ["PATH=/bin"], "ExposedPorts": {"80/tcp": {}, "443/tcp": null}},
        "history": [{"created_by": "COPY . ."}, 7, {"created_by": "ENV A=1", "empty_layer": true}, {}]}"#;
    let read = configuration(body.as_bytes()).unwrap();
    assert_eq!(
        read,
        ImageConfiguration {
            platform: Platform::new("linux", "arm64", None),
            created: Some("2026-01-02T02:04:05.123Z".parse().unwrap()),
            labels: [("a".to_owned(), "<script>".to_owned())].into(),
            entry_point: vec!["/run".to_owned()],
            command: vec!["a".to_owned(), "b".to_owned()],
            user: None,
            working_directory: Some("/srv".to_owned()),
            environment: vec!["PATH=/bin".to_owned()],
            exposed_ports: vec!["443/tcp".to_owned(), "80/tcp".to_owned()],
            history: [("COPY . .", true), ("ENV A=1", false), ("", true)]
                .map(|(command, has_layer)| BuildStep { command: command.to_owned(), has_layer })
                .into(),
        }
    );
}

#[test]
fn a_configuration_with_missing_or_odd_members_tells_the_rest() {
    for body in [
        "{}",
        r#"{"config": null, "created": null, "os": null}"#,
        r#"{"config": [], "created": "yesterday", "os": 7, "architecture": {}}"#,
        r#"{"config": {"Labels": null, "Entrypoint": "text", "Env": {}}, "created": "0001-01-01T00:00:00Z"}"#,
        r#"{"os": "<b>", "architecture": "amd64", "created": "1970-01-01T00:00:00Z"}"#,
    ] {
        assert_eq!(configuration(body.as_bytes()).expect(body), ImageConfiguration::default(), "{body}");
    }
    assert!(matches!(configuration(b"<html>"), Err(CatalogError::Malformed(_))));
}
