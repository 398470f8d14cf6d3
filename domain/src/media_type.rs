//! Media types of manifests.

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
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        Self::MEDIA_TYPES.iter().find(|(name, _)| essence.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
    }

    /// The media types of all kinds, as a client accepts them.
    pub fn media_types() -> impl Iterator<Item = &'static str> {
        Self::MEDIA_TYPES.iter().map(|(name, _)| *name)
    }
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
