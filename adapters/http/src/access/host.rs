//! The names that the server answers to.
//!
//! A page of another site can make a browser ask a server on loopback under a name of that site's own (DNS rebinding); the
//! browser then lets the page read the answer. The name that the browser asked for stands in `Host`.

use std::net::{Ipv4Addr, Ipv6Addr};

use poem::http::{HeaderMap, Uri, Version, header::HOST};

/// No name is longer (RFC 1035, 2.3.4).
const MAX_NAME: usize = 255;

/// Names that are the machine's own in every network (RFC 6761, 6.3), and those below.
const LOCALHOST: &str = "localhost";

/// The names that the server answers to. Addresses and `localhost` are always among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    names: Vec<String>,
    strictness: Strictness,
}

/// What of a name is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Strictness {
    /// Nothing is looked at.
    #[default]
    Nothing,
    /// There is one well-formed `Host`.
    Form,
    /// It is one of the names.
    Names,
}

/// What a request calls the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Host {
    Address,
    /// In lower case, without the dot at the end.
    Name(String),
}

/// Why a request is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HostError {
    /// There is no `Host`, or several, or it is malformed.
    Malformed,
    /// The server is not called so.
    Unknown(String),
}

impl Hosts {
    /// Answers to every name; these are the server's own.
    #[must_use]
    pub fn any(own: impl IntoIterator<Item = String>) -> Self {
        Self::new(own, Strictness::Form)
    }

    /// Answers to these names only.
    #[must_use]
    pub fn only(names: impl IntoIterator<Item = String>) -> Self {
        Self::new(names, Strictness::Names)
    }

    fn new(names: impl IntoIterator<Item = String>, strictness: Strictness) -> Self {
        Self { names: names.into_iter().map(|name| folded(&name)).collect(), strictness }
    }

    /// Whether a text can be a name of the server.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        !text.contains(':') && Host::parse(text).is_some()
    }

    /// Whether the server is called so for certain.
    pub(super) fn know(&self, host: &Host) -> bool {
        match host {
            Host::Address => true,
            Host::Name(name) => {
                let above = name.strip_suffix(LOCALHOST);
                above.is_some_and(|above| above.is_empty() || above.ends_with('.')) || self.names.contains(name)
            }
        }
    }

    /// Whether a request is answered, by what it calls the server (RFC 9112, 3.2).
    pub(super) fn check(&self, uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), HostError> {
        if self.strictness == Strictness::Nothing {
            return Ok(());
        }
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().map_err(|_| HostError::Malformed)?,
            // Checks of load balancers; no browser is so old.
            (None, _) if version < Version::HTTP_11 => return Ok(()),
            _ => return Err(HostError::Malformed),
        };
        let host = Host::parse(host).ok_or(HostError::Malformed)?;
        // A request to a proxy names the server in its first line, and that is what counts.
        let host = match uri.authority() {
            Some(authority) => Host::parse(authority.as_str()).ok_or(HostError::Malformed)?,
            None => host,
        };
        match host {
            Host::Name(name) if self.strictness == Strictness::Names && !self.know(&Host::Name(name.clone())) => {
                Err(HostError::Unknown(name))
            }
            _ => Ok(()),
        }
    }
}

impl Host {
    /// Reads `uri-host [":" port]`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let port = port.strip_prefix(':').or(port.is_empty().then_some(""))?;
            return (address.parse::<Ipv6Addr>().is_ok() && is_port(port)).then_some(Self::Address);
        }
        let (name, port) = text.split_once(':').unwrap_or((text, ""));
        let is_name = !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if !is_name || !is_port(port) {
            return None;
        }
        Some(if name.parse::<Ipv4Addr>().is_ok() { Self::Address } else { Self::Name(folded(name)) })
    }
}

/// Names differ neither by case nor by the dot of the root at their end.
fn folded(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn check(hosts: &Hosts, told: &[&str]) -> Result<(), HostError> {
        let mut headers = HeaderMap::new();
        for host in told {
            headers.append(HOST, HeaderValue::from_str(host).expect(host));
        }
        hosts.check(&Uri::from_static("/"), Version::HTTP_11, &headers)
    }

    fn names() -> Vec<String> {
        ["Box", "box.example.org", "counts.example.com."].map(str::to_owned).into()
    }

    #[test]
    fn addresses_localhost_and_the_servers_names_are_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8093",
            "192.0.2.7:80",
            "[::1]",
            "[::1]:8093",
            "[::ffff:127.0.0.1]:8093",
            "localhost",
            "LocalHost:8093",
            "localhost.",
            "localhost:",
            "app.localhost:8093",
            "box",
            "BOX:8093",
            "box.example.org",
            "counts.example.com",
            "Counts.Example.com.:443",
        ] {
            assert_eq!(check(&Hosts::only(names()), &[host]), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_are_told() {
        for (host, name) in [
            ("evil.example:8093", "evil.example"),
            ("notlocalhost", "notlocalhost"),
            ("localhost.evil.example", "localhost.evil.example"),
            ("127.0.0.1.evil.example", "127.0.0.1.evil.example"),
            ("sub.counts.example.com", "sub.counts.example.com"),
            ("127.0.0.1.", "127.0.0.1"),
            ("0x7f000001", "0x7f000001"),
        ] {
            assert_eq!(check(&Hosts::only(names()), &[host]), Err(HostError::Unknown(name.to_owned())), "{host}");
            assert_eq!(check(&Hosts::any(names()), &[host]), Ok(()), "{host}");
        }
    }

    #[test]
    fn there_is_one_host_that_is_well_formed() {
        let long = "a".repeat(256);
        for told in [
            &[][..],
            &["localhost", "localhost"],
            &["localhost", "evil.example"],
            &[""],
            &[":8093"],
            &["::1"],
            &["[::1"],
            &["[::1]8093"],
            &["[localhost]"],
            &["localhost:http"],
            &["localhost:80:80"],
            &["user@localhost"],
            &["localhost/"],
            &["\"><b>x"],
            &["a b"],
            &["localhost, localhost"],
            &[long.as_str()],
        ] {
            assert_eq!(check(&Hosts::only(names()), told), Err(HostError::Malformed), "{told:?}");
            assert_eq!(check(&Hosts::any([]), told), Err(HostError::Malformed), "{told:?}");
            assert_eq!(check(&Hosts::default(), told), Ok(()), "{told:?}");
        }
    }

    #[test]
    fn the_oldest_clients_need_no_host() {
        let hosts = Hosts::only([]);
        assert_eq!(hosts.check(&Uri::from_static("/"), Version::HTTP_10, &HeaderMap::new()), Ok(()));
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("evil.example"));
        let unknown = Err(HostError::Unknown("evil.example".to_owned()));
        assert_eq!(hosts.check(&Uri::from_static("/"), Version::HTTP_10, &headers), unknown);
    }

    #[test]
    fn the_first_line_counts_more_than_the_header() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("localhost"));
        let check = |uri| Hosts::only([]).check(&Uri::from_static(uri), Version::HTTP_11, &headers);
        assert_eq!(check("http://127.0.0.1:8093/"), Ok(()));
        assert_eq!(check("http://evil.example/"), Err(HostError::Unknown("evil.example".to_owned())));
        assert_eq!(check("http://localhost@evil.example/"), Err(HostError::Malformed));
    }

    #[test]
    fn a_name_has_no_port_and_no_scheme() {
        for (text, expected) in [
            ("counts.example.com", true),
            ("counts", true),
            ("counts:8093", false),
            ("https://counts", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(Hosts::is_name(text), expected, "{text}");
        }
    }
}
