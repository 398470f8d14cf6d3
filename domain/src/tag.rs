//! Tags.

use std::{fmt, str::FromStr};

use crate::{Digest, catalog::Attachment};

/// A tag, such as `latest`: a letter, digit or `_`, then up to 127 of these, `.` and `-` (OCI distribution
/// specification).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// The most characters a tag may have.
    pub const MAX_LENGTH: usize = 128;

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the tag is the referrers fallback (`sha256-<hex>`) or a cosign attachment (`.sig`, `.att`, `.sbom`) of
    /// another manifest, and so no image.
    #[must_use]
    pub fn is_referrer(&self) -> bool {
        self.referrer().is_some()
    }

    /// The manifest that a referrer belongs to: `sha256:…` of `sha256-….sig`.
    #[must_use]
    pub fn subject(&self) -> Option<Digest> {
        let (hex, _) = self.referrer()?;
        format!("sha256:{}", hex.to_ascii_lowercase()).parse().ok()
    }

    /// What cosign attached with this tag; none of the referrers fallback, which lists what it is.
    #[must_use]
    pub fn attachment(&self) -> Option<Attachment> {
        match self.referrer()?.1 {
            ".sig" => Some(Attachment::Signature),
            ".att" => Some(Attachment::Attestation),
            ".sbom" => Some(Attachment::Sbom),
            _ => None,
        }
    }

    /// The hexadecimal digits and the suffix of a referrer.
    fn referrer(&self) -> Option<(&str, &str)> {
        const HEX_LENGTH: usize = 64;
        let (hex, suffix) = self.0.strip_prefix("sha256-")?.split_at_checked(HEX_LENGTH)?;
        let is_referrer =
            hex.bytes().all(|c| c.is_ascii_hexdigit()) && matches!(suffix, "" | ".sig" | ".att" | ".sbom");
        is_referrer.then_some((hex, suffix))
    }
}

/// The text is no tag.
#[derive(Debug, thiserror::Error)]
#[error("not a tag: letters, digits, '_', '.' and '-', not starting with '.' or '-', at most 128 characters")]
pub struct InvalidTag;

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        let well_formed = text.len() <= Self::MAX_LENGTH
            && text.bytes().next().is_some_and(is_word)
            && text.bytes().all(|c| is_word(c) || c == b'.' || c == b'-');
        if well_formed { Ok(Self(text.into())) } else { Err(InvalidTag) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_distribution_grammar_are_accepted() {
        let longest = "a".repeat(128);
        for tag in ["latest", "v1.2.3", "_x", "1", "A-b_c.d", &longest] {
            assert_eq!(tag.parse::<Tag>().expect(tag).as_str(), tag);
        }
    }

    #[test]
    fn other_tags_are_refused() {
        let too_long = "a".repeat(129);
        for tag in ["", ".a", "-a", "a/b", "a b", "a\0", "<script>", "ü", &too_long] {
            assert!(tag.parse::<Tag>().is_err(), "{tag:?}");
        }
    }

    #[test]
    fn attachments_are_told_from_images() {
        let hex = "ab".repeat(32);
        for (tag, expected) in [
            (format!("sha256-{hex}"), true),
            (format!("sha256-{hex}.sig"), true),
            (format!("sha256-{hex}.att"), true),
            (format!("sha256-{hex}.sbom"), true),
            (format!("sha256-{hex}.old"), false),
            (format!("sha256-{hex}0"), false),
            (format!("sha256-{}", &hex[1..]), false),
            ("latest".to_owned(), false),
        ] {
            let tag = tag.parse::<Tag>().expect(&tag);
            assert_eq!(tag.is_referrer(), expected, "{tag}");
            let subject = expected.then(|| format!("sha256:{hex}"));
            assert_eq!(tag.subject().map(|digest| digest.to_string()), subject, "{tag}");
        }
    }
    #[test]
    fn an_attachment_tells_what_it_belongs_to() {
        let hex = "aB".repeat(32);
        let subject = format!("sha256:{}", "ab".repeat(32));
        for (suffix, expected) in [
            ("", None),
            (".sig", Some(Attachment::Signature)),
            (".att", Some(Attachment::Attestation)),
            (".sbom", Some(Attachment::Sbom)),
        ] {
            let tag: Tag = format!("sha256-{hex}{suffix}").parse().expect("a tag");
            assert_eq!(tag.subject().expect("a subject").as_str(), subject);
            assert_eq!(tag.attachment(), expected, "{suffix}");
        }
        let tag: Tag = "latest".parse().expect("a tag");
        assert_eq!((tag.subject(), tag.attachment()), (None, None));
    }
}
