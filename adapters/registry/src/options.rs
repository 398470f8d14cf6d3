//! Where the registry is and how to speak to it.

use std::{fmt, net::IpAddr, num::NonZeroU32, time::Duration};

use reqwest::Url;

/// Where the registry is and how to speak to it.
#[derive(Clone)]
pub struct RegistryOptions {
    /// `HOST` or `HOST:PORT`.
    pub hostname: String,
    /// The user; without one the registry is asked anonymously.
    pub user: Option<String>,
    /// The user's password. It never shows in `Debug`.
    pub password: Option<String>,
    /// Whether to speak TLS.
    pub tls: Tls,
    /// Whether to take any certificate.
    pub skip_tls_verify: bool,
    /// How many requests are sent in a second; as many as there are without it.
    pub requests_per_second: Option<NonZeroU32>,
    /// How long one request may take, its answer's body included.
    pub timeout: Duration,
    /// The user agent, by which the registry's events of these requests are known.
    pub user_agent: String,
}

impl fmt::Debug for RegistryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hostname, user, password, tls, skip_tls_verify, requests_per_second, timeout, user_agent } = self;
        f.debug_struct("RegistryOptions")
            .field("hostname", hostname)
            .field("user", user)
            .field("password", &password.as_ref().map(|_| "..."))
            .field("tls", tls)
            .field("skip_tls_verify", skip_tls_verify)
            .field("requests_per_second", requests_per_second)
            .field("timeout", timeout)
            .field("user_agent", user_agent)
            .finish()
    }
}

impl RegistryOptions {
    /// The registry's address.
    pub(crate) fn base(&self) -> Result<Url, InvalidOptions> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '\\' | '@' | '?' | '#');
        if self.hostname.contains(odd) {
            return Err(InvalidOptions::Hostname);
        }
        let address = |scheme: &str| Url::parse(&format!("{scheme}://{}/", self.hostname));
        let secure = address("https").map_err(|_| InvalidOptions::Hostname)?;
        let plain = match self.tls {
            Tls::On => false,
            Tls::Off => true,
            Tls::Auto => is_private(secure.host_str().unwrap_or_default()),
        };
        // Parsed anew: setting another scheme would keep a port that is the first one's default.
        if plain { address("http").map_err(|_| InvalidOptions::Hostname) } else { Ok(secure) }
    }
}

/// Whether to speak TLS to the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Unless the registry is on this machine or has a private name or address.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// The options are not usable.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    /// The host name is none.
    #[error("the registry's host name must be HOST or HOST:PORT, without https:// and without a path")]
    Hostname,
    /// User, password or user agent hold what HTTP cannot carry.
    #[error("the registry's user, password and user agent must be text without control characters")]
    Text,
    /// There can be no HTTP client, for example because the system has no CA certificates.
    #[error("no HTTPS client can be made; are CA certificates installed?")]
    Client(#[source] reqwest::Error),
}

/// Whether a host is this machine, or known in a private network only.
pub(crate) fn is_private(host: &str) -> bool {
    match ip_address(host) {
        Some(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        None => {
            let name = host.trim_end_matches('.');
            !name.contains('.')
                || [".localhost", ".local", ".internal", ".svc"].iter().any(|private| name.ends_with(private))
        }
    }
}

/// Whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches('.');
    ip_address(host).map_or(name == "localhost" || name.ends_with(".localhost"), |ip| ip.is_loopback())
}

/// The address in the host of a [`Url`].
fn ip_address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(hostname: &str, tls: Tls) -> RegistryOptions {
        RegistryOptions {
            hostname: hostname.to_owned(),
            user: Some("alice".to_owned()),
            password: Some("s3cret".to_owned()),
            tls,
            skip_tls_verify: false,
            requests_per_second: None,
            timeout: Duration::from_secs(1),
            user_agent: "staticreg/0".to_owned(),
        }
    }

    #[test]
    fn plain_http_is_for_loopback_and_private_names_only() {
        for (hostname, expected) in [
            ("localhost", "http://localhost/"),
            ("localhost:5000", "http://localhost:5000/"),
            ("registry.localhost", "http://registry.localhost/"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/"),
            ("127.9.9.9", "http://127.9.9.9/"),
            ("[::1]:5000", "http://[::1]:5000/"),
            ("10.1.2.3", "http://10.1.2.3/"),
            ("172.16.0.1", "http://172.16.0.1/"),
            ("172.31.255.255", "http://172.31.255.255/"),
            ("172.32.0.1", "https://172.32.0.1/"),
            ("192.168.1.1", "http://192.168.1.1/"),
            ("192.169.1.1", "https://192.169.1.1/"),
            ("[fd00::1]", "http://[fd00::1]/"),
            ("[2001:db8::1]", "https://[2001:db8::1]/"),
            ("registry", "http://registry/"),
            ("registry:443", "http://registry:443/"),
            ("registry.local", "http://registry.local/"),
            ("REGISTRY.Internal:5000", "http://registry.internal:5000/"),
            // Of Kubernetes.
            ("registry.images.svc:5000", "http://registry.images.svc:5000/"),
            ("registry.example.com", "https://registry.example.com/"),
            ("registry.example.com:80", "https://registry.example.com:80/"),
            ("local.example", "https://local.example/"),
            ("internal.", "http://internal./"),
            ("8.8.8.8", "https://8.8.8.8/"),
        ] {
            assert_eq!(options(hostname, Tls::Auto).base().expect(hostname).as_str(), expected);
        }
    }

    #[test]
    fn a_choice_of_tls_beats_the_name() {
        assert_eq!(options("localhost", Tls::On).base().unwrap().as_str(), "https://localhost/");
        assert_eq!(options("example.com", Tls::Off).base().unwrap().as_str(), "http://example.com/");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for hostname in [
            "",
            "https://registry",
            "registry/",
            "registry/v2",
            "user@registry",
            "registry?x",
            "registry#x",
            "a b",
            "a\tb",
            "registry:port",
            "registry:99999",
            "a\\b",
            ":5000",
        ] {
            assert!(matches!(options(hostname, Tls::Auto).base(), Err(InvalidOptions::Hostname)), "{hostname:?}");
        }
    }

    #[test]
    fn the_password_is_not_in_debug() {
        let shown = format!("{:?}", options("localhost", Tls::Auto));
        assert!(shown.contains("alice") && !shown.contains("s3cret"), "{shown}");
    }
}
