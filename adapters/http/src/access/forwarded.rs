//! Where a request comes from, when it comes by way of proxies: `X-Forwarded-For` and `Forwarded` (RFC 7239).
//!
//! Anybody can write these headers, so each of their entries is believed only when the one who added it, the next to the
//! right, is a proxy that is trusted. What the first trusted proxy did not tell stays unknown.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
};

use poem::http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

use super::network::Networks;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// One who passed a request on, or sent it; nothing where the address is not told.
type Hop = Option<IpAddr>;

/// The address of whoever sent a request that came from a peer; nothing when a trusted proxy does not tell it.
pub(crate) fn sender(peer: IpAddr, headers: &HeaderMap, proxies: &Networks) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if !proxies.contain(peer) {
        return Some(peer);
    }
    let hops = |name: HeaderName, read: fn(&str) -> Vec<Hop>| {
        let lines = headers.get_all(name).into_iter().map(|line: &HeaderValue| line.to_str().map_or(vec![None], read));
        lines.reduce(|before, after| [before, after].concat())
    };
    let (one, other) = (hops(X_FORWARDED_FOR, x_forwarded_for), hops(FORWARDED, forwarded));
    match (one, other) {
        (None, None) => Some(peer),
        (Some(hops), None) | (None, Some(hops)) => last_untrusted(peer, &hops, proxies),
        // A proxy writes one of them and passes on what a client wrote into the other.
        (Some(hops), Some(others)) => {
            let sender = last_untrusted(peer, &hops, proxies);
            sender.filter(|_| sender == last_untrusted(peer, &others, proxies))
        }
    }
}

/// Goes back from the peer as long as who tells of the one before is trusted.
fn last_untrusted(peer: IpAddr, hops: &[Hop], proxies: &Networks) -> Option<IpAddr> {
    let mut sender = peer;
    for hop in hops.iter().rev() {
        if !proxies.contain(sender) {
            break;
        }
        sender = (*hop)?;
    }
    Some(sender)
}

fn x_forwarded_for(line: &str) -> Vec<Hop> {
    line.split(',').map(str::trim).filter(|hop| !hop.is_empty()).map(address).collect()
}

/// A line that is not well formed hides where it begins and ends, so all of it is unknown.
fn forwarded(line: &str) -> Vec<Hop> {
    forwarded_elements(line).unwrap_or_else(|| vec![None])
}

fn forwarded_elements(line: &str) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    for element in split_unquoted(line, b',')? {
        let mut told: Option<Hop> = None;
        for pair in split_unquoted(element, b';')? {
            let (name, value) = pair.split_once('=')?;
            let value = unquoted(value.trim())?;
            if name.trim().eq_ignore_ascii_case("for") && told.replace(address(&value)).is_some() {
                return None;
            }
        }
        hops.push(told.flatten());
    }
    Some(hops)
}

/// The parts between separators that stand in no quoted string, without empty ones; nothing when a string does not end.
fn split_unquoted(text: &str, separator: u8) -> Option<Vec<&str>> {
    let (mut parts, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte if byte == separator && !quoted => {
                parts.push(&text[begin..place]);
                begin = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts.retain(|part| !part.trim().is_empty());
    (!quoted).then_some(parts)
}

/// A token, or what a quoted string holds (RFC 9110, 5.6.4).
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = value.strip_prefix('"') else { return (!value.contains('"')).then_some(value.into()) };
    let (mut held, mut chars) = (String::new(), rest.chars());
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(held.into()),
            '\\' => held.push(chars.next()?),
            char => held.push(char),
        }
    }
}

/// The address of a node, which may have a port; `unknown` and obfuscated names have none (RFC 7239, 6).
fn address(node: &str) -> Hop {
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return (port.is_empty() || port.starts_with(':')).then_some(IpAddr::V6(address).to_canonical());
    }
    node.split_once(':')?.0.parse().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    /// Who sent a request with these headers, as the peer tells; the network of proxies is 10.0.0.0/8.
    fn told(peer: &str, headers: &[(&str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).expect(name), HeaderValue::from_str(value).expect(value));
        }
        let proxies = Networks::parse(["10.0.0.0/8", "fd00::/8"]).expect("networks");
        let sender = sender(peer.parse().expect(peer), &map, &proxies);
        sender.map_or_else(|| "unknown".to_owned(), |sender| sender.to_string())
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let headers = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(told("203.0.113.9", &headers), "203.0.113.9");
        assert_eq!(told("::ffff:203.0.113.9", &headers), "203.0.113.9");
        assert_eq!(told(PROXY, &headers), "192.0.2.1");
        assert_eq!(told("::ffff:10.0.0.1", &headers), "192.0.2.1");
        let nobody = sender(PROXY.parse().unwrap(), &HeaderMap::new(), &Networks::default());
        assert_eq!(nobody, Some(PROXY.parse().unwrap()));
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right() {
        for (line, sender) in [
            ("192.0.2.1", "192.0.2.1"),
            // What a client made up stands on the left.
            ("127.0.0.1, 192.0.2.1", "192.0.2.1"),
            ("127.0.0.1, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
            ("192.0.2.1,10.0.0.6 , 10.0.0.7", "192.0.2.1"),
            // A proxy that asks for itself.
            ("10.0.0.6, 10.0.0.7", "10.0.0.6"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, fd00::7", "192.0.2.1"),
            ("192.0.2.1, ,", "192.0.2.1"),
            ("", PROXY),
            ("unknown", "unknown"),
            ("192.0.2.1, unknown", "unknown"),
            ("192.0.2.1, unknown, 10.0.0.7", "unknown"),
            ("unknown, 192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, registry.example", "unknown"),
            ("192.0.2.1]", "unknown"),
            ("[192.0.2.1]", "unknown"),
            ("[::1", "unknown"),
            ("[::1]x", "unknown"),
            ("fe80::1%2", "unknown"),
            ("192.0.2.1.5", "unknown"),
        ] {
            assert_eq!(told(PROXY, &[("x-forwarded-for", line)]), sender, "{line}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "192.0.2.1, 10.0.0.7")];
        assert_eq!(told(PROXY, &lines), "192.0.2.1");
        let lines = [("forwarded", "for=\"broken"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(told(PROXY, &lines), "192.0.2.1");
        let lines = [("forwarded", "for=192.0.2.1"), ("forwarded", "for=\"broken")];
        assert_eq!(told(PROXY, &lines), "unknown");
    }

    #[test]
    fn forwarded_is_read_with_its_quotes() {
        for (line, sender) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"192.0.2.1:4711\"", "192.0.2.1"),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]\";proto=https;by=203.0.113.43", "2001:db8::1"),
            ("for=\"[::ffff:192.0.2.1]\"", "192.0.2.1"),
            ("proto=http; for = 192.0.2.1 ;", "192.0.2.1"),
            ("for=\"192.0.2.1:_port\"", "192.0.2.1"),
            ("for=\"\\1\\9\\2.0.2.1\"", "192.0.2.1"),
            ("for=127.0.0.1, for=192.0.2.1, for=10.0.0.7", "192.0.2.1"),
            ("for=127.0.0.1;host=\"a,b;c\", for=192.0.2.1", "192.0.2.1"),
            ("for=127.0.0.1;x=\"\\\",\", for=192.0.2.1", "192.0.2.1"),
            ("for=unknown", "unknown"),
            ("for=_x", "unknown"),
            ("for=\"_x:_y\"", "unknown"),
            ("for=192.0.2.1, for=_x", "unknown"),
            ("for=_x, for=192.0.2.1", "192.0.2.1"),
            ("proto=https", "unknown"),
            ("for=192.0.2.1;for=127.0.0.1", "unknown"),
            // A client that leaves a string open must not swallow what the proxy adds.
            ("for=127.0.0.1;x=\", for=192.0.2.1", "unknown"),
            ("for=127.0.0.1;x=\", for=\"[2001:db8::1]\"", "unknown"),
            ("for=127.0.0.1;x=\"a\"b\", for=\"192.0.2.1\"", "unknown"),
            ("for=127.0.0.1\\, for=192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "unknown"),
            ("", PROXY),
        ] {
            assert_eq!(told(PROXY, &[("forwarded", line)]), sender, "{line}");
        }
    }

    #[test]
    fn headers_that_disagree_tell_nothing() {
        let both = |one, other| told(PROXY, &[("x-forwarded-for", one), ("forwarded", other)]);
        assert_eq!(both("192.0.2.1", "for=192.0.2.1"), "192.0.2.1");
        assert_eq!(both("127.0.0.1, 192.0.2.1", "for=192.0.2.1"), "192.0.2.1");
        assert_eq!(both("192.0.2.1", "for=127.0.0.1"), "unknown");
        assert_eq!(both("192.0.2.1", "for=unknown"), "unknown");
        assert_eq!(both("unknown", "for=192.0.2.1"), "unknown");
    }
}
