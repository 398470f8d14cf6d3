//! What people call the kinds of artifacts.

use staticreg_domain::catalog::Artifact;

/// What people call it.
pub(crate) fn kind_name(artifact: &Artifact) -> &'static str {
    artifact_name(artifact).unwrap_or("Image")
}

/// What people call it, when it is no image.
pub(crate) fn artifact_name(artifact: &Artifact) -> Option<&'static str> {
    match artifact {
        Artifact::Image => None,
        Artifact::Chart => Some("Helm chart"),
        Artifact::BuildCache => Some("Build cache"),
        Artifact::Other(_) => Some("Artifact"),
    }
}
