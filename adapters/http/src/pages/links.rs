//! Links to other sites, whose addresses are untrusted.

use poem::http::Uri;

use super::text;

/// A longer address is no link.
const MAX_ADDRESS: usize = 2_000;

/// An address that is shown up to here.
const MAX_SHOWN: usize = 60;

/// A link to another site.
pub(crate) struct WebLink {
    pub(crate) address: String,
    /// The address without what all have.
    pub(crate) shown: String,
}

impl WebLink {
    /// The link that a text from outside is: an `http` or `https` address of a host, and nothing that would look like
    /// another one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_plain = text.len() <= MAX_ADDRESS && text.bytes().all(|byte| byte.is_ascii_graphic());
        let uri: Uri = is_plain.then(|| text.parse().ok()).flatten()?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return None;
        }
        // `https://good.example@evil.example` is at evil.example; browsers take a backslash for a slash.
        let authority = uri.authority()?.as_str();
        if authority.contains('@') || uri.host()?.is_empty() || text.contains('\\') {
            return None;
        }
        let (_, shown) = text.split_once("://")?;
        Some(Self { address: text.to_owned(), shown: text::one_line(shown.trim_end_matches('/'), MAX_SHOWN) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_web_are_links() {
        for (text, shown) in [
            ("https://git.example.com/shop/storefront", "git.example.com/shop/storefront"),
            ("http://localhost:8080/", "localhost:8080"),
            ("HTTPS://EXAMPLE.COM/a?b=c&d#e", "EXAMPLE.COM/a?b=c&d#e"),
        ] {
            let link = WebLink::parse(text).expect(text);
            assert_eq!((link.address.as_str(), link.shown.as_str()), (text, shown));
        }
        let long = format!("https://example.com/{}", "a".repeat(100));
        assert_eq!(WebLink::parse(&long).expect("a link").shown.chars().count(), MAX_SHOWN);
    }

    #[test]
    fn anything_else_is_none() {
        let too_long = format!("https://example.com/{}", "a".repeat(MAX_ADDRESS));
        for text in [
            "",
            "git.example.com",
            "//example.com",
            "javascript:alert(1)",
            "JavaScript://example.com/%0aalert(1)",
            "data:text/html,x",
            "git@github.com:a/b.git",
            "ssh://git@example.com/a",
            "ftp://example.com",
            "https://",
            "https:///path",
            "https://good.example@evil.example/",
            "https://good.example\\@evil.example/",
            "https://example.com/ onclick=alert(1)",
            "https://example.com/\u{202e}moc",
            "https://exämple.com/",
            " https://example.com",
            "https://example.com\n",
            &too_long,
        ] {
            assert!(WebLink::parse(text).is_none(), "{text}");
        }
    }
}
