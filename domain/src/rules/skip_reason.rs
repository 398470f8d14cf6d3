//! Why an event does not count.

/// Why a registry event does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// The action is no pull (nor, when pushes are counted, a push).
    NotAPull,
    /// The media type is no manifest's: a layer or a configuration.
    NotAManifest,
    /// staticreg's own request.
    OwnRequest,
    /// The user agent is one the operator leaves out.
    IgnoredUserAgent,
    /// The repository is missing or malformed.
    InvalidRepository,
    /// No tag, where only pulls by tag count.
    NoTag,
    /// The tag is malformed.
    InvalidTag,
    /// The digest is missing or malformed.
    InvalidDigest,
    /// The timestamp is missing, malformed or a zero time.
    InvalidTimestamp,
    /// It happened longer ago than the operator lets count.
    TooOld,
    /// A build's cache, not an image.
    BuildCache,
    /// Its name is new, and the day has had as many new ones as it may have.
    TooManyNames,
    /// A signature or attachment: by its tag, or listed by a referrers index that the client fetched.
    Referrer,
    /// A look-up by digest.
    DigestCheck,
    /// The store refused this very event.
    RefusedByStore,
}

impl SkipReason {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 15] = [
        Self::NotAPull,
        Self::NotAManifest,
        Self::OwnRequest,
        Self::IgnoredUserAgent,
        Self::InvalidRepository,
        Self::NoTag,
        Self::InvalidTag,
        Self::InvalidDigest,
        Self::InvalidTimestamp,
        Self::TooOld,
        Self::BuildCache,
        Self::TooManyNames,
        Self::Referrer,
        Self::DigestCheck,
        Self::RefusedByStore,
    ];

    /// The reason's name in receipts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAPull => "not_a_pull",
            Self::NotAManifest => "not_a_manifest",
            Self::OwnRequest => "own_request",
            Self::IgnoredUserAgent => "ignored_user_agent",
            Self::InvalidRepository => "invalid_repository",
            Self::NoTag => "no_tag",
            Self::InvalidTag => "invalid_tag",
            Self::InvalidDigest => "invalid_digest",
            Self::InvalidTimestamp => "invalid_timestamp",
            Self::TooOld => "too_old",
            Self::BuildCache => "build_cache",
            Self::TooManyNames => "too_many_names",
            Self::Referrer => "referrer",
            Self::DigestCheck => "digest_check",
            Self::RefusedByStore => "refused_by_store",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = SkipReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), SkipReason::ALL.len());
    }
}
