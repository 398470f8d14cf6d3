//! Who may post to the webhook, or what runs.
//!
//! No page of another site may. Where networks are given, the sender must be in one of them. Where tokens or signatures
//! are given, one of them must be right, or an API token. What can be told without the body is told before it is read.

use std::net::SocketAddr;

use poem::Request;
use staticreg_domain::api_token::Scope;

use super::{
    AccessOptions, Rule,
    browser::is_from_another_site,
    forwarded,
    host::Hosts,
    refusals::RefusalReason,
    signature::{Claim, Claimed},
    tokens::{Shown, shown},
};

/// Whether a POST may go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    /// If the body is signed so.
    IfSigned(Claim),
    Refused(RefusalReason),
}

/// Who sent a request, as the connection tells.
pub(super) fn peer(request: &Request) -> Option<SocketAddr> {
    let peer = request.remote_addr().as_socket_addr()?;
    Some(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
}

/// Looks at all but the body; these are the names that the server answers to where it was asked.
pub(super) fn judge(options: &AccessOptions, hosts: &Hosts, request: &Request, rule: Rule) -> Verdict {
    judged(options, hosts, request, rule).unwrap_or_else(Verdict::Refused)
}

fn judged(options: &AccessOptions, hosts: &Hosts, request: &Request, rule: Rule) -> Result<Verdict, RefusalReason> {
    let (peer, headers) = (peer(request), request.headers());
    if is_from_another_site(headers, hosts, request.scheme()) {
        return Err(RefusalReason::AnotherSite);
    }
    // Whoever runs images is elsewhere than the registry.
    if rule == Rule::Running && shows_token_for_running(options, request) {
        return Ok(Verdict::Admitted);
    }
    if let Some(networks) = &options.networks {
        let sender = peer.and_then(|peer| forwarded::sender(peer.ip(), headers, &options.trusted_proxies));
        let sender = sender.ok_or(RefusalReason::UnknownAddress)?;
        if !networks.contain(sender) {
            return Err(RefusalReason::Network);
        }
    }
    if options.tokens.is_none() && options.signatures.is_none() {
        return Ok(Verdict::Admitted);
    }
    let mut refused = RefusalReason::NoProof;
    if options.are_tokens_asked_for() {
        match shown(headers) {
            Shown::Token(token) => match fits(options, &token) {
                Ok(()) => return Ok(Verdict::Admitted),
                Err(reason) => refused = reason,
            },
            Shown::Several => return Err(RefusalReason::SeveralTokens),
            Shown::Nothing => {}
        }
    }
    match options.signatures.as_ref().map(|signatures| signatures.claimed(headers)) {
        Some(Claimed::Signed(claim)) => Ok(Verdict::IfSigned(claim)),
        Some(Claimed::OutOfTime) => Err(RefusalReason::OldSignature),
        Some(Claimed::Nothing) | None => Err(refused),
    }
}

fn shows_token_for_running(options: &AccessOptions, request: &Request) -> bool {
    match (&options.api_tokens, shown(request.headers())) {
        (Some(tokens), Shown::Token(token)) => tokens.admit(&token, Scope::Running).is_ok(),
        _ => false,
    }
}

fn fits(options: &AccessOptions, token: &[u8]) -> Result<(), RefusalReason> {
    if options.tokens.as_ref().is_some_and(|tokens| tokens.fit(token)) {
        return Ok(());
    }
    let api_tokens = options.api_tokens.as_ref().ok_or(RefusalReason::WrongToken)?;
    api_tokens.admit(token, Scope::Post).map_err(RefusalReason::from)
}
