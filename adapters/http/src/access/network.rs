//! Networks in CIDR notation.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::{IpNet, Ipv4Net};

/// The bits of an IPv6 address before an IPv4 address that it maps (RFC 4291, 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

/// Some networks: `10.0.0.0/8`, or a single address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// What is no network.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidNetwork(String);

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no network", self.0.escape_debug())
    }
}

impl std::error::Error for InvalidNetwork {}

impl Networks {
    /// Reads networks, one from each text.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidNetwork> {
        let one = |text: &str| network(text).ok_or_else(|| InvalidNetwork(text.to_owned()));
        texts.into_iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address is in one of them. What IPv6 maps is the IPv4 address.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    let IpNet::V6(v6) = network else { return Some(network) };
    let mapped: Option<Ipv4Addr> = v6.addr().to_ipv4_mapped();
    match mapped.zip(v6.prefix_len().checked_sub(MAPPED_PREFIX)) {
        Some((address, length)) => Ipv4Net::new(address, length).ok().map(IpNet::V4),
        None => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_networks_that_hold_it() {
        for (networks, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.9", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
            ("::ffff:10.0.0.0/104", "10.2.3.4", true),
            ("::ffff:10.0.0.0/104", "11.2.3.4", false),
            ("::ffff:192.0.2.7", "192.0.2.7", true),
            ("172.16.0.0/12 fd00::/8", "fd12::1", true),
            ("172.16.0.0/12 fd00::/8", "172.31.0.1", true),
            ("", "127.0.0.1", false),
        ] {
            let parsed = Networks::parse(networks.split_whitespace()).expect(networks);
            assert_eq!(parsed.contain(address.parse().expect(address)), expected, "{address} in {networks}");
        }
    }

    #[test]
    fn what_is_no_network_is_told() {
        for text in ["10.0.0.0/33", "10.0.0/8", "::/129", "localhost", "10.0.0.0/8/8", "/8", "10.0.0.1:80", "*", "a\nb"]
        {
            let error = Networks::parse(["::1", text]).expect_err(text);
            assert_eq!(error.to_string(), format!("`{}` is no network", text.escape_debug()));
        }
    }
}
