//! Manifests and configurations: their JSON and their digests.

use chrono::{DateTime, Utc};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use staticreg_domain::{
    Digest, ManifestKind, Platform,
    catalog::{CatalogError, Descriptor, ImageConfiguration, IndexEntry, Manifest, ManifestContent},
};
use staticreg_lenient::{AtMost, AtMostMembers, Lenient, Parsed, Short};

/// More manifests of one index than this are left out, as the counting rules do.
const MAX_ENTRIES: usize = 1_000;
/// More layers than this are left out; container runtimes take 127.
const MAX_LAYERS: usize = 1_000;
/// More labels, variables, ports or words of a command than this are left out.
const MAX_TEXTS: usize = 200;

/// The digest of content by the algorithm distribution registries use.
pub(crate) fn sha256(content: &[u8]) -> Digest {
    format!("sha256:{}", hex(&Sha256::digest(content))).parse().expect("a hash in hexadecimal digits is a digest")
}

/// Refuses content that has another digest, or one of an unknown algorithm.
pub(crate) fn verify(content: &[u8], digest: &Digest) -> Result<(), CatalogError> {
    let (algorithm, encoded) = digest.as_str().split_once(':').unwrap_or_default();
    let hash = match algorithm {
        "sha256" => hex(&Sha256::digest(content)),
        "sha384" => hex(&Sha384::digest(content)),
        "sha512" => hex(&Sha512::digest(content)),
        _ => return Err(CatalogError::Malformed(format!("{digest} is of an unknown algorithm").into())),
    };
    if hash == encoded {
        Ok(())
    } else {
        Err(CatalogError::Malformed(format!("the content sent for {digest} has the hash {hash}").into()))
    }
}

fn hex(hash: &[u8]) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(2 * hash.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String never fails");
        text
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestJson {
    #[serde(default)]
    media_type: Lenient<Short>,
    #[serde(default)]
    artifact_type: Lenient<Short>,
    #[serde(default)]
    config: Lenient<DescriptorJson>,
    #[serde(default)]
    layers: Lenient<AtMost<DescriptorJson, MAX_LAYERS>>,
    #[serde(default)]
    manifests: Lenient<AtMost<DescriptorJson, MAX_ENTRIES>>,
    #[serde(default)]
    annotations: Lenient<Annotations>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorJson {
    #[serde(default)]
    media_type: Lenient<Short>,
    digest: Parsed<Digest>,
    #[serde(default)]
    size: Lenient<u64>,
    #[serde(default)]
    platform: Lenient<PlatformJson>,
}

#[derive(Deserialize)]
struct PlatformJson {
    #[serde(default)]
    os: Lenient<Short>,
    #[serde(default)]
    architecture: Lenient<Short>,
    #[serde(default)]
    variant: Lenient<Short>,
    #[serde(default, rename = "os.version")]
    os_version: Lenient<Short>,
}

/// OCI image specification, annotations.
#[derive(Deserialize)]
struct Annotations {
    #[serde(default, rename = "org.opencontainers.image.created")]
    created: Lenient<Short>,
}

#[derive(Deserialize)]
struct ConfigurationJson {
    #[serde(default)]
    os: Lenient<Short>,
    #[serde(default)]
    architecture: Lenient<Short>,
    #[serde(default)]
    variant: Lenient<Short>,
    #[serde(default, rename = "os.version")]
    os_version: Lenient<Short>,
    #[serde(default)]
    created: Lenient<Short>,
    #[serde(default)]
    config: Lenient<ExecutionJson>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExecutionJson {
    #[serde(default)]
    labels: Lenient<AtMostMembers<Short, MAX_TEXTS>>,
    #[serde(default)]
    entrypoint: Lenient<AtMost<Short, MAX_TEXTS>>,
    #[serde(default)]
    cmd: Lenient<AtMost<Short, MAX_TEXTS>>,
    #[serde(default)]
    user: Lenient<Short>,
    #[serde(default)]
    working_dir: Lenient<Short>,
    #[serde(default)]
    env: Lenient<AtMost<Short, MAX_TEXTS>>,
    #[serde(default)]
    exposed_ports: Lenient<AtMostMembers<IgnoredAny, MAX_TEXTS>>,
}

/// The manifest in an answer's body.
///
/// Its members tell what it is; only where they leave it open, what it and the registry call it.
pub(crate) fn manifest(digest: Digest, content_type: &str, body: &[u8]) -> Result<Manifest, CatalogError> {
    let json: ManifestJson = parse(body)?;
    let told = [text(json.media_type).unwrap_or_default(), content_type.to_owned()];
    let kind = match (json.config.0.is_some(), json.manifests.0.is_some()) {
        (true, false) => Some(ManifestKind::Image),
        (false, true) => Some(ManifestKind::Index),
        _ => told.iter().find_map(|media_type| ManifestKind::of_media_type(media_type)),
    };
    let kind =
        kind.ok_or_else(|| CatalogError::Malformed(format!("{digest} is no manifest of an image or index").into()))?;
    let is_of_kind = |media_type: &str| ManifestKind::of_media_type(media_type) == Some(kind);
    // OCI's come last, and only they may leave their type out.
    let untold = || ManifestKind::media_types().filter(|media_type| is_of_kind(media_type)).last();
    let media_type = told.into_iter().find(|media_type| is_of_kind(media_type));
    let media_type = media_type.unwrap_or_else(|| untold().unwrap_or_default().to_owned());
    let content = match kind {
        ManifestKind::Index => {
            ManifestContent::Index(json.manifests.list().into_iter().map(IndexEntry::from).collect())
        }
        ManifestKind::Image => ManifestContent::Image {
            configuration: json
                .config
                .0
                .ok_or_else(|| CatalogError::Malformed(format!("{digest} names no configuration").into()))?
                .into(),
            layers: json.layers.list().into_iter().map(Descriptor::from).collect(),
        },
    };
    let created = json.annotations.0.and_then(|annotations| time(annotations.created));
    let artifact_type = text(json.artifact_type).filter(|artifact_type| !artifact_type.is_empty());
    Ok(Manifest { digest, media_type, artifact_type, content, created })
}

/// The configuration in a blob.
pub(crate) fn configuration(body: &[u8]) -> Result<ImageConfiguration, CatalogError> {
    let json: ConfigurationJson = parse(body)?;
    let execution = json.config.0.unwrap_or_default();
    let texts = |list: Lenient<AtMost<Short, MAX_TEXTS>>| list.list().into_iter().map(|text| text.0).collect();
    let full = |member: Lenient<Short>| text(member).filter(|text| !text.is_empty());
    Ok(ImageConfiguration {
        platform: PlatformJson {
            os: json.os,
            architecture: json.architecture,
            variant: json.variant,
            os_version: json.os_version,
        }
        .platform(),
        created: time(json.created),
        labels: execution.labels.members().into_iter().map(|(name, value)| (name, value.0)).collect(),
        entry_point: texts(execution.entrypoint),
        command: texts(execution.cmd),
        user: full(execution.user),
        working_directory: full(execution.working_dir),
        environment: texts(execution.env),
        exposed_ports: execution.exposed_ports.members().into_keys().collect(),
    })
}

/// Reads JSON of the registry.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CatalogError> {
    // Some servers write a byte order mark first.
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    serde_json::from_slice(body).map_err(|error| CatalogError::Malformed(error.into()))
}

impl From<DescriptorJson> for Descriptor {
    fn from(json: DescriptorJson) -> Self {
        let DescriptorJson { media_type, digest, size, platform: _ } = json;
        Self { media_type: text(media_type).unwrap_or_default(), digest: digest.0, size: size.0.unwrap_or_default() }
    }
}

impl From<DescriptorJson> for IndexEntry {
    fn from(mut json: DescriptorJson) -> Self {
        let platform = json.platform.0.take().and_then(PlatformJson::platform);
        Self { descriptor: json.into(), platform }
    }
}

impl PlatformJson {
    /// The platform, unless its operating system or architecture is not told or no name.
    fn platform(self) -> Option<Platform> {
        const MAX_CHARACTERS: usize = 32;
        let name = |member: Lenient<Short>| {
            text(member).filter(|name| {
                (1..=MAX_CHARACTERS).contains(&name.len())
                    && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
            })
        };
        let platform = Platform::new(&name(self.os)?, &name(self.architecture)?, name(self.variant).as_deref())?;
        Some(platform.of_os_version(&name(self.os_version).unwrap_or_default()))
    }
}

fn text(member: Lenient<Short>) -> Option<String> {
    member.0.map(|text| text.0)
}

/// The time an image tells; none for the zero time and the epoch, which reproducible builds write when they tell none.
fn time(member: Lenient<Short>) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(&text(member)?).ok()?.to_utc();
    (time > DateTime::UNIX_EPOCH).then_some(time)
}

#[cfg(test)]
mod tests {
    use staticreg_domain::catalog::Artifact;

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
            "WorkingDir": "/srv", "Env": ["PATH=/bin"], "ExposedPorts": {"80/tcp": {}, "443/tcp": null}}}"#;
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
}
