//! Where to listen.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _},
};

use super::value::{Hint, Value};

/// A host, or every interface, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    /// A name or an address, in brackets where it is of IPv6; none is every interface.
    host: Option<String>,
    port: u16,
}

impl ListenAddress {
    /// The places, the best first: to listen at the first that is free, or to ask the first that answers.
    pub(crate) fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.host {
            Some(host) => Ok(format!("{host}:{}", self.port).to_socket_addrs()?.collect()),
            // IPv6's takes IPv4 as well; it is missing where IPv6 is turned off.
            None => Ok(vec![(Ipv6Addr::UNSPECIFIED, self.port).into(), (Ipv4Addr::UNSPECIFIED, self.port).into()]),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host.as_deref().unwrap_or_default(), self.port)
    }
}

impl Value for ListenAddress {
    const NAME: &'static str = "HOST:PORT";
    const WHAT: &'static str = "HOST:PORT, :PORT for every interface or PORT for this machine only";

    fn parse(text: &str) -> Result<Self, Hint> {
        if text.contains("://") {
            return Err(Some("leave out what comes before the host".to_owned()));
        }
        // As IPv6 itself is written, so that host and port cannot be told apart.
        if !text.starts_with('[') && text.matches(':').count() > 1 {
            return Err(Some("an IPv6 address stands in brackets: [::1]:8093".to_owned()));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => (host, port),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => ("127.0.0.1", text),
            _ => return Err(is_host(text).then(|| format!("the port is missing: {text}:8093"))),
        };
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(None);
        }
        let port = port.parse().map_err(|_| Some("a port is a number up to 65535".to_owned()))?;
        match host {
            "" | "*" => Ok(Self { host: None, port }),
            host if is_host(host) => Ok(Self { host: Some(host.to_owned()), port }),
            _ => Err(None),
        }
    }
}

/// Whether it can be a host: an IPv6 address in brackets, a name, or an IPv4 address.
fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        // With the zone, which a link-local address needs.
        Some(address) => address.is_some_and(|address| {
            address.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        }),
        None => {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_people_write_it() {
        for (text, shown, places) in [
            ("127.0.0.1:8093", "127.0.0.1:8093", ["127.0.0.1:8093"].as_slice()),
            ("0.0.0.0:8093", "0.0.0.0:8093", &["0.0.0.0:8093"]),
            ("8093", "127.0.0.1:8093", &["127.0.0.1:8093"]),
            (":8093", ":8093", &["[::]:8093", "0.0.0.0:8093"]),
            ("*:0", ":0", &["[::]:0", "0.0.0.0:0"]),
            ("[::]:8093", "[::]:8093", &["[::]:8093"]),
            ("[::1]:80", "[::1]:80", &["[::1]:80"]),
            ("[fe80::1%2]:80", "[fe80::1%2]:80", &["[fe80::1%2]:80"]),
        ] {
            let address = ListenAddress::parse(text).expect(text);
            assert_eq!(address.to_string(), shown);
            let resolved: Vec<_> = address.resolve().expect(text).iter().map(ToString::to_string).collect();
            assert_eq!(resolved, places, "{text}");
        }
        let local = ListenAddress::parse("localhost:8093").expect("a name").resolve().expect("places");
        assert!(!local.is_empty() && local.iter().all(|place| place.ip().is_loopback()), "{local:?}");
    }

    #[test]
    fn what_is_no_address_is_told() {
        for (text, hint) in [
            ("", None),
            ("by a flag", None),
            ("a b:80", None),
            ("host:", None),
            ("host:http", None),
            ("host:+80", None),
            ("[::1]", Some("the port is missing: [::1]:8093")),
            ("[::1", None),
            ("[nonsense]:80", None),
            ("nonsense", Some("the port is missing: nonsense:8093")),
            ("0.0.0.0", Some("the port is missing: 0.0.0.0:8093")),
            ("99999", Some("a port is a number up to 65535")),
            (":65536", Some("a port is a number up to 65535")),
            ("::1:8093", Some("an IPv6 address stands in brackets: [::1]:8093")),
            ("::", Some("an IPv6 address stands in brackets: [::1]:8093")),
            ("http://0.0.0.0:8093", Some("leave out what comes before the host")),
        ] {
            assert_eq!(ListenAddress::parse(text), Err(hint.map(str::to_owned)), "{text}");
        }
    }
}
