//! Digests.

use std::{fmt, str::FromStr};

/// The digest of some content, such as `sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b`.
///
/// `algorithm:encoded` of the OCI image specification, at most 255 characters; the registered algorithms `sha256`,
/// `sha384` and `sha512` must have as many lower-case hexadecimal digits as their hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Box<str>);

impl Digest {
    /// The most characters a digest may have.
    pub const MAX_LENGTH: usize = 255;

    /// What stands for a digest that nobody told, or that is not kept.
    pub const UNKNOWN: &'static str = "unknown:0";

    /// One that nobody told, or that is not kept.
    #[must_use]
    pub fn unknown() -> Self {
        Self(Self::UNKNOWN.into())
    }

    /// A digest as it may stand in a store, where other programs write too: a hash of any length.
    pub fn as_stored(text: &str) -> Result<Self, InvalidDigest> {
        match text.split_once(':') {
            Some((algorithm, encoded))
                if text.len() <= Self::MAX_LENGTH && is_algorithm(algorithm) && is_encoded(encoded) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(InvalidDigest),
        }
    }

    /// The digest as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is no digest.
#[derive(Debug, thiserror::Error)]
#[error("not a digest: algorithm and hash such as sha256: and 64 hexadecimal digits")]
pub struct InvalidDigest;

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = text.len() <= Self::MAX_LENGTH
            && text.split_once(':').is_some_and(|(algorithm, encoded)| match algorithm {
                "sha256" => is_hex(encoded, 64),
                "sha384" => is_hex(encoded, 96),
                "sha512" => is_hex(encoded, 128),
                other => is_algorithm(other) && is_encoded(encoded),
            });
        if well_formed { Ok(Self(text.into())) } else { Err(InvalidDigest) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_hex(encoded: &str, length: usize) -> bool {
    encoded.len() == length && encoded.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_algorithm(algorithm: &str) -> bool {
    algorithm.split(['+', '.', '_', '-']).all(|component| {
        !component.is_empty() && component.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

fn is_encoded(encoded: &str) -> bool {
    !encoded.is_empty() && encoded.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'=' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_the_image_specification_are_accepted() {
        for digest in [
            format!("sha256:{}", "0a".repeat(32)),
            format!("sha384:{}", "0a".repeat(48)),
            format!("sha512:{}", "0a".repeat(64)),
            "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8".to_owned(),
        ] {
            assert_eq!(digest.parse::<Digest>().expect(&digest).as_str(), digest);
        }
    }

    #[test]
    fn what_others_store_is_taken_as_long_as_it_is_a_digest_by_its_form() {
        for digest in ["sha256:abc", "sha256:0A", "unknown:0"] {
            assert_eq!(Digest::as_stored(digest).expect(digest).as_str(), digest);
        }
        for digest in ["", "sha256", "sha256:", ":abc", "sha256:<b>", "a b:c", &format!("a:{}", "b".repeat(255))] {
            assert!(Digest::as_stored(digest).is_err(), "{digest}");
        }
    }

    #[test]
    fn other_digests_are_refused() {
        for digest in [
            String::new(),
            "sha256".to_owned(),
            "sha256:".to_owned(),
            format!("sha256:{}", "0a".repeat(31)),
            format!("sha256:{}", "0A".repeat(32)),
            format!("sha256:{}\0", "0a".repeat(32)),
            format!("SHA256:{}", "0a".repeat(32)),
            format!("other:{}", "a".repeat(255)),
            "+:abc".to_owned(),
            "other:<script>".to_owned(),
        ] {
            assert!(digest.parse::<Digest>().is_err(), "{digest:?}");
        }
    }
}
