//! What a format of notifications is: each sender has its own.

use staticreg_domain::RegistryEvent;

/// How a sender writes its notifications.
pub(super) trait Format: Sync {
    /// The media types it is sent as, in words.
    fn media_types(&self) -> &'static str;

    /// Whether a body of this media type may be in this format.
    fn takes(&self, content_type: &str) -> bool;

    /// The events of a body; an error when it has another shape. An event that is odd becomes one without the odd
    /// members, for the rules to judge.
    fn parse(&self, body: &[u8]) -> serde_json::Result<Vec<RegistryEvent>>;
}

/// `application/json` and every `application/*+json` (RFC 6839).
pub(super) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || (subtype.len() > "+json".len() && subtype.ends_with("+json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_json_is_welcome_and_nothing_else() {
        for (content_type, expected) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("Application/JSON", true),
            ("application/vnd.docker.distribution.events.v1+json", true),
            ("application/vnd.docker.distribution.events.v2+json", true),
            ("application/+json", false),
            ("text/json", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            assert_eq!(is_json(content_type), expected, "{content_type}");
        }
    }
}
