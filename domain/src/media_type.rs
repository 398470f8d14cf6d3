//! Media types of manifests.

/// The configuration of a cache that `BuildKit` exported.
pub(crate) const BUILDKIT_CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// How the media types of layers begin (OCI image specification; Docker image manifest version 2, schema 2).
const LAYERS: [&str; 2] = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];

/// What kind of manifest a media type names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestKind {
    /// One image (or another artifact): configuration and layers.
    Image,
    /// A list of manifests, one per platform.
    Index,
}

impl ManifestKind {
    const MEDIA_TYPES: [(&'static str, Self); 4] = [
        ("application/vnd.docker.distribution.manifest.v2+json", Self::Image),
        ("application/vnd.docker.distribution.manifest.list.v2+json", Self::Index),
        ("application/vnd.oci.image.manifest.v1+json", Self::Image),
        ("application/vnd.oci.image.index.v1+json", Self::Index),
    ];

    /// The kind of a media type; none when it is no manifest's. Parameters and case do not matter (RFC 9110, 8.3.1).
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        Self::MEDIA_TYPES.iter().find(|(name, _)| is(media_type, name)).map(|(_, kind)| *kind)
    }

    /// The media types of all kinds, as a client accepts them.
    pub fn media_types() -> impl Iterator<Item = &'static str> {
        Self::MEDIA_TYPES.iter().map(|(name, _)| *name)
    }
}

/// Whether a media type is a certain one. Parameters and case do not matter (RFC 9110, 8.3.1).
pub(crate) fn is(media_type: &str, name: &str) -> bool {
    essence(media_type).eq_ignore_ascii_case(name)
}

/// Whether a media type is a layer's.
pub(crate) fn is_layer(media_type: &str) -> bool {
    let essence = essence(media_type);
    LAYERS.iter().any(|begin| essence.get(..begin.len()).is_some_and(|own| own.eq_ignore_ascii_case(begin)))
}

fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_compared_without_parameters_and_case() {
        for (media_type, expected) in [
            ("application/vnd.oci.image.index.v1+json", Some(ManifestKind::Index)),
            ("application/vnd.docker.distribution.manifest.list.v2+json", Some(ManifestKind::Index)),
            ("application/vnd.docker.distribution.manifest.v2+json", Some(ManifestKind::Image)),
            ("Application/VND.oci.image.manifest.v1+JSON ; charset=utf-8", Some(ManifestKind::Image)),
            ("application/octet-stream", None),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", None),
            ("", None),
        ] {
            assert_eq!(ManifestKind::of_media_type(media_type), expected, "{media_type:?}");
        }
    }
}
