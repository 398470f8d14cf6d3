//! The way from one page to the next (OCI distribution specification, listing tags; RFC 8288).

use reqwest::{
    Url,
    header::{HeaderMap, LINK},
};
use staticreg_domain::catalog::CatalogError;

/// The address of the next page, on the registry itself; none after the last.
///
/// Of the link only path and query count: a registry behind a proxy often does not know by which scheme and port it is
/// reached. Another host is refused.
pub(crate) fn next(headers: &HeaderMap, page: &Url) -> Result<Option<Url>, CatalogError> {
    let Some(target) = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(next_target)
    else {
        return Ok(None);
    };
    let link = page
        .join(target)
        .map_err(|error| CatalogError::Malformed(format!("a link to the next page: {error}").into()))?;
    if link.host_str() != page.host_str() || !matches!(link.scheme(), "http" | "https") {
        return Err(CatalogError::Malformed("the link to the next page is to another host".into()));
    }
    Ok(Some(on_registry(page, link.path(), link.query())))
}

/// An address on the registry.
pub(crate) fn on_registry(registry: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = registry.clone();
    url.set_path(path);
    url.set_query(query);
    url
}

/// The target of the link whose relation is `next`, in one header.
fn next_target(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (target, after) = rest.split_once('<')?.1.split_once('>')?;
        let end = end_of_parameters(after);
        if after[..end].split(';').any(is_next) {
            return Some(target);
        }
        rest = &after[end..];
    }
}

/// Where a link's parameters end: at a comma outside of quotes.
fn end_of_parameters(parameters: &str) -> usize {
    let mut quoted = false;
    parameters
        .find(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        })
        .unwrap_or(parameters.len())
}

fn is_next(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("rel")
            && value.trim().trim_matches('"').split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://registry.example:5000/v2/_catalog?n=2";

    fn next_of(links: &[&str]) -> Result<Option<String>, CatalogError> {
        let headers = links.iter().map(|link| (LINK, link.parse().unwrap())).collect();
        Ok(next(&headers, &PAGE.parse().unwrap())?.map(String::from))
    }

    #[test]
    fn the_next_page_is_found_in_every_form_of_link() {
        let expected = "https://registry.example:5000/v2/_catalog?last=b&n=2";
        for links in [
            &["</v2/_catalog?last=b&n=2>; rel=\"next\""][..],
            &["</v2/_catalog?last=b&n=2>;rel=next"],
            &["<?last=b&n=2>; REL=Next"],
            &["<https://registry.example:5000/v2/_catalog?last=b&n=2>; rel=\"next\""],
            &["<http://registry.example/v2/_catalog?last=b&n=2>; rel=\"next\""],
            &["</v2/first>; rel=\"first\"; title=\"a, b\", </v2/_catalog?last=b&n=2>; title=\"c\"; rel=\"last next\""],
            &["</v2/first>; rel=\"first\"", "</v2/_catalog?last=b&n=2>; rel=\"next\""],
        ] {
            assert_eq!(next_of(links).expect("a link").as_deref(), Some(expected), "{links:?}");
        }
    }

    #[test]
    fn without_a_next_link_the_page_is_the_last() {
        for links in [&[][..], &[""], &["</v2/a>; rel=\"prev\""], &["</v2/a>"], &["</v2/a; rel=next"], &["rel=next"]] {
            assert_eq!(next_of(links).expect("no link"), None, "{links:?}");
        }
    }

    #[test]
    fn a_link_to_another_host_is_refused() {
        for link in [
            "<https://evil.example/v2/_catalog>; rel=\"next\"",
            "<//evil.example/v2/_catalog>; rel=\"next\"",
            "<file:///etc/passwd>; rel=\"next\"",
            "<https://registry.example:99999/>; rel=\"next\"",
        ] {
            assert!(matches!(next_of(&[link]), Err(CatalogError::Malformed(_))), "{link}");
        }
    }
}
