//! What a browser sends because a page of another site made it.
//!
//! Browsers say so themselves: in `Sec-Fetch-Site` (Fetch Metadata), where the server is at a trustworthy address, and in
//! `Origin` with every POST (Fetch, 3.2). Registries send neither.

use poem::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{HOST, ORIGIN},
    uri::Scheme,
};

use super::host::{Host, Hosts};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a POST comes from a page that is not this server's own.
///
/// A name alone proves nothing: a page may have made it point here, so it must be one that the server is known by. Where
/// the server speaks TLS, a page that came without is another's; else a proxy before it may speak TLS.
pub(super) fn is_from_another_site(headers: &HeaderMap, hosts: &Hosts, scheme: &Scheme) -> bool {
    let is_own_site = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if !headers.get_all(SEC_FETCH_SITE).iter().all(is_own_site) {
        return true;
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => false,
        (Some(origin), None) => !is_own_origin(origin, headers, hosts, scheme),
        _ => true,
    }
}

fn is_own_origin(origin: &HeaderValue, headers: &HeaderMap, hosts: &Hosts, scheme: &Scheme) -> bool {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
    let mut named = headers.get_all(HOST).iter();
    let (Some(origin), Some(host), None) = (text(origin), named.next().and_then(text), named.next()) else {
        return false;
    };
    let plain = origin.strip_prefix("http://").filter(|_| *scheme != Scheme::HTTPS);
    let authority = plain.or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority == host && Host::parse(authority).is_some_and(|host| hosts.know(&host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_of_another_site_sends_is_told_from_all_else() {
        let hosts = Hosts::only(["counts.example.com".to_owned()]);
        for (headers, expected) in [
            (&[][..], false),
            (&[("host", "staticreg:8093")], false),
            (&[("host", "evil.example")], false),
            // As Swagger UI asks.
            (
                &[("host", "127.0.0.1:8093"), ("origin", "http://127.0.0.1:8093"), ("sec-fetch-site", "same-origin")],
                false,
            ),
            (&[("host", "localhost:8093"), ("origin", "http://localhost:8093")], false),
            (&[("host", "Counts.example.com"), ("origin", "https://counts.example.com")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "")], true),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], true),
            (
                &[("host", "127.0.0.1:8093"), ("origin", "http://127.0.0.1:8093"), ("sec-fetch-site", "cross-site")],
                true,
            ),
            (&[("host", "127.0.0.1:8093"), ("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "127.0.0.1:8093"), ("origin", "http://evil.example")], true),
            (&[("host", "127.0.0.1:8093"), ("origin", "http://127.0.0.1:9000")], true),
            (&[("host", "127.0.0.1:8093"), ("origin", "http://127.0.0.1")], true),
            (&[("host", "127.0.0.1:8093"), ("origin", "null")], true),
            (&[("host", "127.0.0.1:8093"), ("origin", "")], true),
            (&[("host", "127.0.0.1:8093"), ("origin", "file://127.0.0.1:8093")], true),
            (&[("origin", "http://127.0.0.1:8093")], true),
            (&[("host", "a"), ("host", "127.0.0.1"), ("origin", "http://127.0.0.1")], true),
            (&[("host", "127.0.0.1"), ("origin", "http://127.0.0.1"), ("origin", "http://127.0.0.1")], true),
            // A name of the other site that points here.
            (&[("host", "evil.example:8093"), ("origin", "http://evil.example:8093")], true),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_from_another_site(&map, &hosts, &Scheme::HTTP), expected, "{headers:?}");
        }
    }

    #[test]
    fn under_tls_a_page_that_came_without_is_another_sites() {
        let hosts = Hosts::only([]);
        for (origin, expected) in [("https://localhost:8093", false), ("http://localhost:8093", true)] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost:8093"));
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            assert_eq!(is_from_another_site(&headers, &hosts, &Scheme::HTTPS), expected, "{origin}");
        }
    }
}
