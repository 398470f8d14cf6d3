//! Manifests and configurations: their JSON and their digests.

use chrono::{DateTime, Utc};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use staticreg_domain::{
    Digest, ManifestKind, Platform,
    catalog::{
        BuildStep, CatalogError, Descriptor, ImageConfiguration, IndexEntry, Manifest, ManifestContent, Referrer,
    },
};
use staticreg_lenient::{AtMost, AtMostMembers, Lenient, Parsed, Short};

/// More manifests of one index than this are left out, as the counting rules do.
const MAX_ENTRIES: usize = 1_000;
/// More layers than this are left out; container runtimes take 127.
const MAX_LAYERS: usize = 1_000;
/// More labels, annotations, variables, ports or words of a command than this are left out.
const MAX_TEXTS: usize = 200;
/// More steps of a build than this are left out.
const MAX_STEPS: usize = 1_000;
/// More predicate types of one manifest than this are left out.
const MAX_PREDICATES: usize = 20;
/// More referrers of one manifest than this are left out.
const MAX_REFERRERS: usize = 200;

/// What `BuildKit` calls its attestations.
const ATTESTATION: &str = "attestation-manifest";

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
    annotations: Lenient<AtMostMembers<Short, MAX_TEXTS>>,
}

#[derive(Deserialize)]
struct ReferrersJson {
    #[serde(default)]
    manifests: Lenient<AtMost<DescriptorJson, MAX_REFERRERS>>,
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
    #[serde(default)]
    artifact_type: Lenient<Short>,
    #[serde(default)]
    annotations: Lenient<DescriptorAnnotations>,
}

/// What descriptors tell beside what the specifications know.
#[derive(Default, Deserialize)]
struct DescriptorAnnotations {
    /// What `BuildKit` calls a manifest that is no image, and which one it is about.
    #[serde(default, rename = "vnd.docker.reference.type")]
    reference_type: Lenient<Short>,
    #[serde(default, rename = "vnd.docker.reference.digest")]
    reference_digest: Lenient<Parsed<Digest>>,
    /// The predicate types of attestations, as `BuildKit`, cosign and sigstore's bundles tell them.
    #[serde(default, rename = "in-toto.io/predicate-type")]
    buildkit: Lenient<Short>,
    #[serde(default, rename = "predicateType")]
    cosign: Lenient<Short>,
    #[serde(default, rename = "dev.sigstore.bundle.predicateType")]
    bundle: Lenient<Short>,
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

/// The annotation that tells when something was made (OCI image specification, annotations).
const CREATED: &str = "org.opencontainers.image.created";

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
    #[serde(default)]
    history: Lenient<AtMost<StepJson, MAX_STEPS>>,
}

#[derive(Deserialize)]
struct StepJson {
    #[serde(default)]
    created_by: Lenient<Short>,
    #[serde(default)]
    empty_layer: Lenient<bool>,
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
    let layers = json.layers.list();
    let predicate_types = layers.iter().filter_map(DescriptorJson::predicate_type).take(MAX_PREDICATES).collect();
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
            layers: layers.into_iter().map(Descriptor::from).collect(),
        },
    };
    let annotations = json.annotations.members();
    let created = annotations.get(CREATED).and_then(|created| time_of(&created.0));
    let annotations = annotations.into_iter().map(|(name, value)| (name, value.0)).collect();
    let artifact_type = text(json.artifact_type).filter(|artifact_type| !artifact_type.is_empty());
    Ok(Manifest { digest, media_type, artifact_type, content, created, annotations, predicate_types })
}

/// The referrers in an answer's body, which is an index (OCI distribution specification, listing referrers).
pub(crate) fn referrers(body: &[u8]) -> Result<Vec<Referrer>, CatalogError> {
    let json: ReferrersJson = parse(body)?;
    let referrer = |mut json: DescriptorJson| Referrer {
        artifact_type: text(std::mem::take(&mut json.artifact_type)).unwrap_or_default(),
        predicate_type: json.predicate_type(),
        descriptor: json.into(),
    };
    Ok(json.manifests.list().into_iter().map(referrer).collect())
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
        history: json.history.list().into_iter().map(BuildStep::from).collect(),
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
        let DescriptorJson { media_type, digest, size, platform: _, artifact_type: _, annotations: _ } = json;
        Self { media_type: text(media_type).unwrap_or_default(), digest: digest.0, size: size.0.unwrap_or_default() }
    }
}

impl From<DescriptorJson> for IndexEntry {
    fn from(mut json: DescriptorJson) -> Self {
        let platform = json.platform.0.take().and_then(PlatformJson::platform);
        let DescriptorAnnotations { reference_type, reference_digest, .. } =
            json.annotations.0.take().unwrap_or_default();
        let is_attestation = text(reference_type).is_some_and(|told| told == ATTESTATION);
        let attests = reference_digest.0.filter(|_| is_attestation).map(|digest| digest.0);
        Self { descriptor: json.into(), platform, attests }
    }
}

impl DescriptorJson {
    /// What it states, where it is an attestation.
    fn predicate_type(&self) -> Option<String> {
        let DescriptorAnnotations { buildkit, cosign, bundle, .. } = self.annotations.0.as_ref()?;
        let told = [buildkit, cosign, bundle].into_iter().find_map(|member| member.0.as_ref());
        told.map(|text| text.0.clone())
    }
}

impl From<StepJson> for BuildStep {
    fn from(json: StepJson) -> Self {
        let StepJson { created_by, empty_layer } = json;
        Self { command: text(created_by).unwrap_or_default(), has_layer: !empty_layer.0.unwrap_or_default() }
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

fn time(member: Lenient<Short>) -> Option<DateTime<Utc>> {
    time_of(&text(member)?)
}

/// The time an image tells; none for the zero time and the epoch, which reproducible builds write when they tell none.
fn time_of(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (time > DateTime::UNIX_EPOCH).then_some(time)
}

#[cfg(test)]
mod tests;
