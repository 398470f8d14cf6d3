//! What belongs to an image: signatures, provenance, lists of what is in it.

use super::Descriptor;

/// What is attached to an image, by what it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attachment {
    /// A signature.
    Signature,
    /// How it was built (SLSA provenance).
    Provenance,
    /// What is in it (SPDX, `CycloneDX`).
    Sbom,
    /// Another statement about it.
    Attestation,
    /// Anything else.
    Other,
}

impl Attachment {
    /// What a type of artifacts, manifests or layers is.
    #[must_use]
    pub fn of_type(media_type: &str) -> Self {
        let media_type = media_type.to_ascii_lowercase();
        let holds = |words: &[&str]| words.iter().any(|word| media_type.contains(word));
        if holds(&["spdx", "cyclonedx", "syft", "sbom"]) {
            Self::Sbom
        } else if holds(&["signature", "simplesigning", "cosign.artifact.sig"]) {
            Self::Signature
        } else if holds(&["provenance"]) {
            Self::Provenance
        } else if holds(&["in-toto", "dsse", "sigstore.bundle"]) {
            Self::Attestation
        } else {
            Self::Other
        }
    }

    /// What an attestation of a predicate type is (in-toto attestation framework).
    #[must_use]
    pub fn of_predicate(predicate_type: &str) -> Self {
        let predicate_type = predicate_type.to_ascii_lowercase();
        let holds = |words: &[&str]| words.iter().any(|word| predicate_type.contains(word));
        if holds(&["slsa.dev/provenance"]) {
            Self::Provenance
        } else if holds(&["spdx.dev", "cyclonedx.org", "syft"]) {
            Self::Sbom
        } else if holds(&["sigstore.dev/cosign/sign"]) {
            Self::Signature
        } else {
            Self::Attestation
        }
    }

    /// What some types and predicate types are, each once; the predicate types know better.
    pub(super) fn all<'a>(
        types: impl Iterator<Item = &'a str>,
        predicate_types: impl Iterator<Item = &'a str>,
    ) -> Vec<Self> {
        let mut all: Vec<Self> = predicate_types.map(Self::of_predicate).collect();
        if all.is_empty() {
            all = types.map(Self::of_type).filter(|attachment| *attachment != Self::Other).collect();
        }
        all.sort_unstable();
        all.dedup();
        if all.is_empty() { vec![Self::Other] } else { all }
    }
}

/// A manifest that says that it belongs to another one (OCI distribution specification, listing referrers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The manifest.
    pub descriptor: Descriptor,
    /// What it says it is; empty when it does not.
    pub artifact_type: String,
    /// What it states, when it is an attestation that tells.
    pub predicate_type: Option<String>,
}

impl Referrer {
    /// What it is.
    #[must_use]
    pub fn attachments(&self) -> Vec<Attachment> {
        Attachment::all(std::iter::once(self.artifact_type.as_str()), self.predicate_type.as_deref().into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_is_known_by_its_type() {
        for (media_type, expected) in [
            ("application/vnd.dev.cosign.simplesigning.v1+json", Attachment::Signature),
            ("application/vnd.dev.cosign.artifact.sig.v1+json", Attachment::Signature),
            ("application/vnd.cncf.notary.signature", Attachment::Signature),
            ("application/spdx+json", Attachment::Sbom),
            ("application/vnd.CycloneDX+json", Attachment::Sbom),
            ("application/vnd.dev.cosign.artifact.sbom.v1+json", Attachment::Sbom),
            ("application/vnd.in-toto.provenance+dsse", Attachment::Provenance),
            ("application/vnd.in-toto+json", Attachment::Attestation),
            ("application/vnd.dsse.envelope.v1+json", Attachment::Attestation),
            ("application/vnd.dev.sigstore.bundle.v0.3+json", Attachment::Attestation),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Attachment::Other),
            ("", Attachment::Other),
        ] {
            assert_eq!(Attachment::of_type(media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn an_attestation_is_known_by_what_it_states() {
        for (predicate_type, expected) in [
            ("https://slsa.dev/provenance/v0.2", Attachment::Provenance),
            ("https://slsa.dev/provenance/v1", Attachment::Provenance),
            ("https://spdx.dev/Document", Attachment::Sbom),
            ("https://cyclonedx.org/bom/v1.4", Attachment::Sbom),
            ("https://sigstore.dev/cosign/sign/v1", Attachment::Signature),
            ("https://slsa.dev/verification_summary/v1", Attachment::Attestation),
            ("<script>", Attachment::Attestation),
        ] {
            assert_eq!(Attachment::of_predicate(predicate_type), expected, "{predicate_type}");
        }
    }

    #[test]
    fn what_it_states_counts_for_more_than_what_it_is_written_in() {
        let all = |types: &[&'static str], predicates: &[&'static str]| {
            Attachment::all(types.iter().copied(), predicates.iter().copied())
        };
        let (in_toto, bundle) = ("application/vnd.in-toto+json", "application/vnd.dev.sigstore.bundle.v0.3+json");
        let (provenance, sbom) = ("https://slsa.dev/provenance/v1", "https://spdx.dev/Document");
        assert_eq!(all(&[in_toto], &[sbom, provenance, sbom]), [Attachment::Provenance, Attachment::Sbom]);
        assert_eq!(all(&["", in_toto], &[]), [Attachment::Attestation]);
        assert_eq!(all(&[bundle], &["https://sigstore.dev/cosign/sign/v1"]), [Attachment::Signature]);
        assert_eq!(all(&["text/plain"], &[]), [Attachment::Other]);
    }
}
