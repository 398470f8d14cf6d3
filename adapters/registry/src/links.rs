//! The way from one page to the next (OCI distribution specification, listing tags; RFC 8288).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use reqwest::{
    Url,
    header::{HeaderMap, LINK},
};

/// What the addresses of lists end with.
const LISTS: [&str; 2] = ["/_catalog", "/tags/list"];

/// The address of the next page, on the registry itself; none after the last.
///
/// Of the link only path and query count, and of a path that leads to the same list the query alone: a registry behind
/// a proxy often does not know under which scheme, host, port and path it is reached.
pub(crate) fn next(headers: &HeaderMap, page: &Url) -> Option<Url> {
    let headers: Vec<Cow<'_, str>> =
        headers.get_all(LINK).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let links: Vec<Link<'_>> = headers.iter().flat_map(|header| links(header)).collect();
    let next = links.iter().find(|link| link.is_next()).map(|link| resolve(link.target, page));
    next.or_else(|| {
        // Some leave out what the link is for.
        let mut unnamed = links.iter().filter(|link| link.relation.is_none()).map(|link| resolve(link.target, page));
        unnamed.find(|address| address.path() == page.path() && address.query().is_some())
    })
}

/// An address on the registry.
pub(crate) fn on_registry(registry: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = registry.clone();
    url.set_path(path);
    url.set_query(query);
    url
}

/// A link as it stands in the header.
struct Link<'a> {
    target: &'a str,
    /// What it is for, when it says so.
    relation: Option<&'a str>,
}

impl Link<'_> {
    fn is_next(&self) -> bool {
        let mut relations = self.relation.into_iter().flat_map(str::split_ascii_whitespace);
        relations.any(|relation| relation.eq_ignore_ascii_case("next"))
    }
}

/// The links of one header.
fn links(header: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if rest.is_empty() {
            return links;
        }
        // Some leave out the brackets, or write them twice.
        let inside = rest.trim_start_matches('<');
        let end = if inside.len() < rest.len() { inside.find('>') } else { None };
        let end = end.or_else(|| inside.find(';')).unwrap_or(inside.len());
        let (target, after) = inside.split_at(end);
        let (parameters, after) = after.split_at(end_of_parameters(after));
        links.push(Link { target: target.trim(), relation: parameters.split(['>', ';']).find_map(relation) });
        rest = after;
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

fn relation(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches(['"', '\'']))
}

/// Where a link leads, seen from a page.
fn resolve(target: &str, page: &Url) -> Url {
    let target = unescape(target);
    let target = without_host(target.split('#').next().unwrap_or_default());
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let (folder, _) = page.path().rsplit_once('/').unwrap_or_default();
    let path = match path {
        "" => Cow::Borrowed(page.path()),
        path if path.starts_with('/') => Cow::Borrowed(path),
        path => Cow::Owned(format!("{folder}/{path}")),
    };
    let mut url = on_registry(page, &path, query);
    let list = |path: &str| LISTS.into_iter().find(|list| path.trim_end_matches('/').ends_with(list));
    if list(url.path()).is_some_and(|found| list(page.path()) == Some(found)) {
        url.set_path(page.path());
    }
    url
}

/// A target without what some servers encode too much.
fn unescape(target: &str) -> Cow<'_, str> {
    let target = target.replace("&amp;", "&").replace("\\u0026", "&");
    let is_encoded_whole = !target.contains(['/', '?']) && target.contains('%');
    // Go writes a path that has a query in it so.
    let encoded_query = target.to_ascii_uppercase().find("%3F").filter(|_| !target.contains('?'));
    let encoded_from = if is_encoded_whole { Some(0) } else { encoded_query };
    match encoded_from.and_then(|from| target.split_at_checked(from)) {
        Some((plain, encoded)) => Cow::Owned(format!("{plain}{}", percent_decode_str(encoded).decode_utf8_lossy())),
        None => target.into(),
    }
}

/// What follows scheme, host and port; all of a target that has none.
fn without_host(target: &str) -> &str {
    let is_scheme =
        |scheme: &str| scheme.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'.' | b'-' | b':'));
    match target.split_once("//") {
        Some((scheme, rest)) if is_scheme(scheme) => rest.find(['/', '?']).map_or("", |end| &rest[end..]),
        _ => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = "https://registry.example:5000/v2/_catalog?n=2";
    const TAGS: &str = "https://registry.example:5000/v2/team/app/tags/list";

    fn next_of(links: &[&str], page: &str) -> Option<String> {
        let headers = links.iter().map(|link| (LINK, link.parse().unwrap())).collect();
        next(&headers, &page.parse().unwrap()).map(String::from)
    }

    #[test]
    fn the_next_page_is_found_in_every_form_of_link() {
        let expected = "https://registry.example:5000/v2/_catalog?last=b&n=2";
        for links in [
            &["</v2/_catalog?last=b&n=2>; rel=\"next\""][..],
            &["</v2/_catalog?last=b&n=2>;rel=next"],
            &["<?last=b&n=2>; REL=Next"],
            &["</v2/_catalog?last=b&n=2>; rel='next'"],
            &["<_catalog?last=b&n=2>; rel=next"],
            &["</v2/_catalog%3Flast=b&n=2>; rel=next"],
            &["</v2/_catalog%3flast%3Db%26n%3D2>; rel=next"],
            &["<v2/_catalog?last=b&n=2>; rel=next"],
            // As proxies that take a part of the path away leave it.
            &["</artifactory/api/docker/images/v2/_catalog?last=b&n=2>; rel=next"],
            &["<https://registry.example:5000/v2/_catalog?last=b&n=2>; rel=\"next\""],
            &["<http://registry.example/v2/_catalog?last=b&n=2>; rel=\"next\""],
            &["<http://10.0.0.7:8080/v2/_catalog?last=b&n=2>; rel=\"next\""],
            &["<//registry/v2/_catalog?last=b&n=2>; rel=\"next\""],
            &["<https://registry:99999/v2/_catalog?last=b&n=2>; rel=\"next\""],
            &["<https://registry?last=b&n=2>; rel=\"next\", <x>; rel=\"first\""],
            &["/v2/_catalog?last=b&n=2; rel=\"next\""],
            &["https://registry/v2/_catalog?last=b&n=2;rel=next"],
            &["_catalog?last=b&n=2 ; rel=next"],
            &["</v2/_catalog?last=b&n=2; rel=next"],
            &["<</v2/_catalog?last=b&n=2>>; rel=\"next\""],
            &["</v2/_catalog?last=b&n=2>rel=\"next\""],
            &["</v2/_catalog?last=b&n=2>"],
            &["</v2/_catalog?last=b&amp;n=2>; rel=next"],
            &["</v2/_catalog?last=b\\u0026n=2>; rel=next"],
            &["<%2Fv2%2F_catalog%3Flast%3Db%26n%3D2>; rel=next"],
            &[", </v2/_catalog?last=b&n=2#here>; rel=next"],
            &["</v2/first>; rel=\"first\"; title=\"a, b\", </v2/_catalog?last=b&n=2>; title=\"c\"; rel=\"last next\""],
            &["/v2/first; rel=first, /v2/_catalog?last=b&n=2; rel=next"],
            &["</v2/first>; rel=\"first\"", "</v2/_catalog?last=b&n=2>; rel=\"next\""],
        ] {
            assert_eq!(next_of(links, CATALOG).as_deref(), Some(expected), "{links:?}");
        }
    }

    #[test]
    fn what_is_encoded_in_the_query_stays_so() {
        for (link, expected) in [
            ("<?last=team%2Fapp&n=2>; rel=next", "last=team%2Fapp&n=2"),
            ("</v2/_catalog?last=team/app,x&n=2>; rel=next", "last=team/app,x&n=2"),
            ("<?next_page=gAAA-y%3D%3D&n=50>; rel=next", "next_page=gAAA-y%3D%3D&n=50"),
            ("<?last=a b>; rel=next", "last=a%20b"),
        ] {
            let expected = format!("https://registry.example:5000/v2/_catalog?{expected}");
            assert_eq!(next_of(&[link], CATALOG), Some(expected), "{link}");
        }
    }

    #[test]
    fn a_link_leads_on_in_the_same_list_or_where_the_registry_says() {
        for (link, expected) in [
            ("<list?last=1>; rel=next", "/v2/team/app/tags/list?last=1"),
            ("<tags/list?last=1>; rel=next", "/v2/team/app/tags/list?last=1"),
            ("</v2/other/tags/list?last=1>; rel=next", "/v2/team/app/tags/list?last=1"),
            ("</v2/team/app/tags/page/2>; rel=next", "/v2/team/app/tags/page/2"),
            ("</v2/_catalog?last=1>; rel=next", "/v2/_catalog?last=1"),
        ] {
            assert_eq!(next_of(&[link], TAGS), Some(format!("https://registry.example:5000{expected}")), "{link}");
        }
    }

    #[test]
    fn a_link_never_leads_to_another_host() {
        for link in [
            "<https://evil.example/v2/_catalog?n=1>; rel=next",
            "<//evil.example/v2/_catalog>; rel=next",
            "<https://evil.example//evil.example/x>; rel=next",
            "<https:\\\\evil.example\\x>; rel=next",
            "<@evil.example/x>; rel=next",
            "<file:///etc/passwd>; rel=next",
            "<javascript:alert(1)>; rel=next",
        ] {
            let next: Url = next_of(&[link], CATALOG).expect("an address").parse().expect("an address");
            assert_eq!((next.scheme(), next.host_str(), next.port()), ("https", Some("registry.example"), Some(5000)));
        }
    }

    #[test]
    fn without_a_next_link_the_page_is_the_last() {
        for links in
            [&[][..], &[""], &["</v2/a>; rel=\"prev\""], &["</v2/a>"], &["rel=next"], &["<?n=1>; rel=next-page"]]
        {
            assert_eq!(next_of(links, CATALOG), None, "{links:?}");
        }
    }
}
