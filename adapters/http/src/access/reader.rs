//! Who may read: everybody, or who is signed in: by a user's password, by an API token, or by a proxy that says so.

use std::{fmt, net::IpAddr, time::Duration};

use poem::{
    Request,
    http::{HeaderMap, HeaderName, header::AUTHORIZATION},
};

use staticreg_application::api_tokens::RefusedToken;
use staticreg_domain::api_token::Scope;

use super::{
    AccessOptions, Rule,
    api_tokens::ApiTokens,
    door::peer,
    forwarded,
    refusals::SignInReason,
    tokens::{Shown, shown},
    users::{Checked, Credentials},
};

/// Who may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readers {
    /// Whoever reaches the server.
    #[default]
    Anyone,
    /// Who is signed in.
    SignedIn,
}

/// A header in which a trusted proxy names who has signed in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader(HeaderName);

/// What is no such header.
#[derive(Debug, PartialEq, Eq)]
pub enum InvalidProxyHeader {
    /// It is no header's name.
    Malformed,
    /// Clients and proxies send it anyway.
    Common,
}

impl fmt::Display for InvalidProxyHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is no name of a header",
            Self::Common => "clients send this header who have not signed in",
        })
    }
}

impl std::error::Error for InvalidProxyHeader {}

impl ProxyHeader {
    /// Headers that come without anybody having signed in.
    const COMMON: [&str; 20] = [
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "forwarded",
        "host",
        "origin",
        "referer",
        "user-agent",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
    ];

    /// Reads the header's name.
    pub fn parse(name: &str) -> Result<Self, InvalidProxyHeader> {
        let name: HeaderName = name.parse().map_err(|_| InvalidProxyHeader::Malformed)?;
        if Self::COMMON.contains(&name.as_str()) { Err(InvalidProxyHeader::Common) } else { Ok(Self(name)) }
    }

    /// Whether it names somebody, and one only.
    fn names_somebody(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(&self.0).iter();
        match (values.next(), values.next()) {
            (Some(name), None) => !name.as_bytes().trim_ascii().is_empty(),
            _ => false,
        }
    }
}

/// Whether a request may read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Admitted,
    /// It is not signed in; why not, where it tried to.
    Unknown(Option<SignInReason>),
    /// It has an API token that lets it do something else.
    OtherScope,
    /// Too many passwords or tokens were wrong before it; a password was not even looked at.
    Slowed(Duration),
    /// Its password was not looked at: too many others wait.
    Busy,
    /// It has what may be an API token, and none could be read yet.
    Unread,
}

/// Whether a rule asks for somebody who is signed in.
pub(super) fn must_sign_in(options: &AccessOptions, rule: Rule) -> bool {
    match rule {
        Rule::Read | Rule::Metrics => options.read == Readers::SignedIn,
        Rule::Badge => options.badges == Readers::SignedIn,
        Rule::Open | Rule::Post | Rule::Running => false,
    }
}

/// Where a request comes from; nothing when a trusted proxy does not tell it. Then it is not taken for the proxy: whoever
/// makes it hide that would be this machine where the proxy is on it.
pub(super) fn sender(options: &AccessOptions, request: &Request) -> Option<IpAddr> {
    forwarded::sender(peer(request)?.ip(), request.headers(), &options.trusted_proxies)
}

/// Whether somebody has signed in.
pub(super) async fn judge(options: &AccessOptions, request: &Request, rule: Rule) -> Reading {
    let (peer, headers) = (peer(request).map(|peer| peer.ip()), request.headers());
    let mut reason = None;
    if let Some(header) = &options.proxy_header {
        let is_trusted = peer.is_some_and(|peer| options.trusted_proxies.contain(peer));
        if is_trusted && header.names_somebody(headers) {
            return Reading::Admitted;
        }
        if !is_trusted && headers.contains_key(&header.0) {
            reason = Some(SignInReason::UntrustedProxy);
        }
    }
    let user = options.users.as_ref().zip(Credentials::from_headers(headers));
    let mut may_be_token = false;
    if let (Some(tokens), Shown::Token(token)) = (&options.api_tokens, shown(headers)) {
        let mut admitted = tokens.admit(&token, Scope::Read);
        if rule == Rule::Metrics && admitted == Err(RefusedToken::OtherScope) {
            admitted = tokens.admit(&token, Scope::Metrics);
        }
        match admitted {
            Ok(()) => return Reading::Admitted,
            // A user's password may look like anything.
            Err(refused @ (RefusedToken::Unknown | RefusedToken::Unread)) if user.is_some() => {
                may_be_token = refused == RefusedToken::Unread;
            }
            Err(refused) => return of_token(refused, tokens, sender(options, request)),
        }
    }
    let Some((users, shown)) = user else {
        let is_asked = options.lets_sign_in() && headers.contains_key(AUTHORIZATION);
        return Reading::Unknown(is_asked.then_some(SignInReason::NoPassword).or(reason));
    };
    match users.check(&shown, sender(options, request)).await {
        Checked::Right => Reading::Admitted,
        _ if may_be_token => Reading::Unread,
        Checked::Wrong => Reading::Unknown(Some(SignInReason::WrongPassword)),
        Checked::Slowed(wait) => Reading::Slowed(wait),
        Checked::Busy => Reading::Busy,
    }
}

/// What becomes of a token that does not let in. Guesses are slowed; what was right once is none.
fn of_token(refused: RefusedToken, tokens: &ApiTokens, sender: Option<IpAddr>) -> Reading {
    match refused {
        RefusedToken::OtherScope => Reading::OtherScope,
        RefusedToken::Expired => Reading::Unknown(Some(SignInReason::ExpiredToken)),
        RefusedToken::Revoked => Reading::Unknown(Some(SignInReason::RevokedToken)),
        RefusedToken::Unread => Reading::Unread,
        RefusedToken::Unknown => match tokens.charge_guess(sender) {
            Ok(()) => Reading::Unknown(Some(SignInReason::WrongToken)),
            Err(wait) => Reading::Slowed(wait),
        },
    }
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    #[test]
    fn a_header_that_clients_send_anyway_names_nobody() {
        for (name, error) in [
            ("Authorization", InvalidProxyHeader::Common),
            ("x-forwarded-for", InvalidProxyHeader::Common),
            ("Remote User", InvalidProxyHeader::Malformed),
            ("", InvalidProxyHeader::Malformed),
        ] {
            assert_eq!(ProxyHeader::parse(name), Err(error), "{name}");
        }
    }

    #[test]
    fn a_header_names_somebody_when_it_names_one() {
        let header = ProxyHeader::parse("Remote-User").expect("a name");
        for (values, expected) in
            [(&[][..], false), (&["alice"], true), (&["alice", "bob"], false), (&[""], false), (&["  "], false)]
        {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("remote-user", HeaderValue::from_static(value));
            }
            assert_eq!(header.names_somebody(&headers), expected, "{values:?}");
        }
    }
}
