//! POSTs and sign-ins that were refused: counted for the operator, who alone is told why.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use parking_lot::Mutex;
use poem::http::StatusCode;
use staticreg_application::api_tokens::RefusedToken;
use tokio::time::Instant;

/// How often the log tells of refusals: a registry repeats what is refused every second.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// Why a POST to the webhook was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// A page of another site made a browser send it.
    AnotherSite,
    /// It came from none of the networks that may post.
    Network,
    /// A trusted proxy did not tell where it came from.
    UnknownAddress,
    /// It had neither a token nor a signature.
    NoProof,
    /// Its token was none of those that let in.
    WrongToken,
    /// It had an API token of another scope.
    TokenScope,
    /// It had an API token whose time is over.
    ExpiredToken,
    /// It had an API token that was revoked.
    RevokedToken,
    /// It had what may be an API token, and none could be read yet.
    UnreadTokens,
    /// It had several `Authorization` headers.
    SeveralTokens,
    /// None of the secrets had signed it so.
    WrongSignature,
    /// Its signature was of another time.
    OldSignature,
}

impl RefusalReason {
    /// Every reason there is.
    pub const ALL: [Self; 12] = [
        Self::AnotherSite,
        Self::Network,
        Self::UnknownAddress,
        Self::NoProof,
        Self::WrongToken,
        Self::TokenScope,
        Self::ExpiredToken,
        Self::RevokedToken,
        Self::UnreadTokens,
        Self::SeveralTokens,
        Self::WrongSignature,
        Self::OldSignature,
    ];

    /// Its name, as a counter has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnotherSite => "another_site",
            Self::Network => "network",
            Self::UnknownAddress => "unknown_address",
            Self::NoProof => "no_proof",
            Self::WrongToken => "wrong_token",
            Self::TokenScope => "token_scope",
            Self::ExpiredToken => "expired_token",
            Self::RevokedToken => "revoked_token",
            Self::UnreadTokens => "unread_tokens",
            Self::SeveralTokens => "several_tokens",
            Self::WrongSignature => "wrong_signature",
            Self::OldSignature => "old_signature",
        }
    }

    /// The status of the answer: whether a proof would let the sender in, or the same one later.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::AnotherSite | Self::Network | Self::UnknownAddress => StatusCode::FORBIDDEN,
            Self::NoProof
            | Self::WrongToken
            | Self::TokenScope
            | Self::ExpiredToken
            | Self::RevokedToken
            | Self::SeveralTokens
            | Self::WrongSignature
            | Self::OldSignature => StatusCode::UNAUTHORIZED,
            Self::UnreadTokens => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why, and what to do, in words for the operator.
impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnotherSite => "a page of another site made a browser send it",
            Self::Network => {
                "it came from none of the networks of STATICREG_WEBHOOK_ALLOWED_NETWORKS; behind a proxy, set \
                 STATICREG_HTTP_TRUSTED_PROXIES too"
            }
            Self::UnknownAddress => {
                "a proxy of STATICREG_HTTP_TRUSTED_PROXIES did not tell where it came from in X-Forwarded-For or Forwarded"
            }
            Self::NoProof => {
                "it had neither a token nor a signature: one of STATICREG_WEBHOOK_TOKENS in the Authorization header of the \
                 registry's endpoint, or one by STATICREG_WEBHOOK_SIGNATURE_SECRETS"
            }
            Self::WrongToken => "its token is none of STATICREG_WEBHOOK_TOKENS, and no API token",
            Self::TokenScope => "its API token lacks the scope `post`; `staticreg token list` tells the scopes",
            Self::ExpiredToken => "its API token has expired; `staticreg token create` makes another",
            Self::RevokedToken => "its API token is revoked; `staticreg token create` makes another",
            Self::UnreadTokens => "the API tokens could not be read from the database yet",
            Self::SeveralTokens => "it had several Authorization headers",
            Self::WrongSignature => "none of STATICREG_WEBHOOK_SIGNATURE_SECRETS had signed it so",
            Self::OldSignature => "its signature's time is more than 5 minutes from ours; compare the clocks",
        })
    }
}

/// Why somebody who tried to sign in was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignInReason {
    /// The password is not the user's, or there is no such user.
    WrongPassword,
    /// Too many passwords were wrong before it.
    TooManyGuesses,
    /// What was shown is no name and password.
    NoPassword,
    /// The header of a proxy came from somebody who is none.
    UntrustedProxy,
    /// There is no such API token.
    WrongToken,
    /// The API token is of another scope.
    TokenScope,
    /// The API token's time is over.
    ExpiredToken,
    /// The API token is revoked.
    RevokedToken,
}

impl SignInReason {
    /// Every reason there is.
    pub const ALL: [Self; 8] = [
        Self::WrongPassword,
        Self::TooManyGuesses,
        Self::NoPassword,
        Self::UntrustedProxy,
        Self::WrongToken,
        Self::TokenScope,
        Self::ExpiredToken,
        Self::RevokedToken,
    ];

    /// Its name, as a counter has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WrongPassword => "wrong_password",
            Self::TooManyGuesses => "too_many_guesses",
            Self::NoPassword => "no_password",
            Self::UntrustedProxy => "untrusted_proxy",
            Self::WrongToken => "wrong_token",
            Self::TokenScope => "token_scope",
            Self::ExpiredToken => "expired_token",
            Self::RevokedToken => "revoked_token",
        }
    }
}

/// Why, and what to do, in words for the operator.
impl fmt::Display for SignInReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongPassword => "no user of STATICREG_ACCESS_USERS_FILE has this name and this password",
            Self::TooManyGuesses => "too many passwords or tokens from its address were wrong, and it came too soon",
            Self::NoPassword => {
                "its Authorization header was neither a name and a password of Basic in UTF-8 nor an API token"
            }
            Self::UntrustedProxy => {
                "STATICREG_ACCESS_PROXY_HEADER came from none of the proxies of STATICREG_HTTP_TRUSTED_PROXIES"
            }
            Self::WrongToken => "there is no such API token; `staticreg token create` makes one",
            Self::TokenScope => "its API token lacks the scope `read`; `staticreg token list` tells the scopes",
            Self::ExpiredToken => "its API token has expired; `staticreg token create` makes another",
            Self::RevokedToken => "its API token is revoked; `staticreg token create` makes another",
        })
    }
}

impl From<RefusedToken> for RefusalReason {
    fn from(refused: RefusedToken) -> Self {
        match refused {
            RefusedToken::OtherScope => Self::TokenScope,
            RefusedToken::Expired => Self::ExpiredToken,
            RefusedToken::Revoked => Self::RevokedToken,
            RefusedToken::Unknown => Self::WrongToken,
            RefusedToken::Unread => Self::UnreadTokens,
        }
    }
}

/// How many of something were refused, and the last of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused<R> {
    /// All of them.
    pub total: u64,
    /// How many for each reason, in the order of its `ALL`.
    pub by_reason: Vec<(R, u64)>,
    /// The last one.
    pub last: Option<LastRefusal<R>>,
}

/// What was refused last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRefusal<R> {
    /// Who sent it, as the connection tells.
    pub peer: Option<SocketAddr>,
    /// Why it was refused.
    pub reason: R,
    /// How long ago.
    pub ago: Duration,
}

/// A reason to refuse something.
pub(super) trait Reason: Copy + PartialEq + 'static {
    /// Every one there is.
    const EVERY: &'static [Self];

    /// What the log tells.
    fn told(self) -> String;
}

impl Reason for RefusalReason {
    const EVERY: &'static [Self] = &Self::ALL;

    fn told(self) -> String {
        format!("A POST to the webhook was refused: {self}. A registry repeats it for ever.")
    }
}

impl Reason for SignInReason {
    const EVERY: &'static [Self] = &Self::ALL;

    // Not the name: some type their password into its place.
    fn told(self) -> String {
        format!("A sign-in was refused: {self}.")
    }
}

/// Counts refusals, and tells of them now and then.
#[derive(Debug)]
pub(super) struct Refusals<R>(Mutex<State<R>>);

#[derive(Debug)]
struct State<R> {
    by_reason: Vec<(R, u64)>,
    last: Option<(Option<SocketAddr>, R, Instant)>,
    told: Option<Instant>,
    untold: u64,
}

impl<R: Reason> Default for Refusals<R> {
    fn default() -> Self {
        let by_reason = R::EVERY.iter().map(|reason| (*reason, 0)).collect();
        Self(Mutex::new(State { by_reason, last: None, told: None, untold: 0 }))
    }
}

impl<R: Reason> Refusals<R> {
    /// Counts one that came from a peer; a trusted proxy may have told the address of who sent it.
    pub(super) fn add(&self, reason: R, peer: Option<SocketAddr>, sender: Option<IpAddr>) {
        let now = Instant::now();
        let mut state = self.0.lock();
        if let Some((_, count)) = state.by_reason.iter_mut().find(|(known, _)| *known == reason) {
            *count += 1;
        }
        state.last = Some((peer, reason, now));
        state.untold += 1;
        if state.told.is_some_and(|told| now - told < TELL_AGAIN) {
            return;
        }
        state.told = Some(now);
        let refused = std::mem::take(&mut state.untold);
        drop(state);
        let sender = sender.filter(|sender| peer.is_none_or(|peer| peer.ip() != *sender));
        let sender = sender.map(|sender| sender.to_string());
        let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        tracing::warn!(peer, sender, refused, "{}", reason.told());
    }

    pub(super) fn read(&self) -> Refused<R> {
        let state = self.0.lock();
        Refused {
            total: state.by_reason.iter().map(|(_, count)| count).sum(),
            by_reason: state.by_reason.clone(),
            last: state.last.map(|(peer, reason, at)| LastRefusal { peer, reason, ago: at.elapsed() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusals_are_counted_by_reason_and_told_once_a_minute() {
        let refusals = Refusals::default();
        let peer = Some("192.0.2.1:4711".parse().unwrap());
        for _ in 0..3 {
            refusals.add(RefusalReason::WrongToken, peer, None);
        }
        assert_eq!(refusals.0.lock().untold, 2);
        tokio::time::advance(TELL_AGAIN).await;
        refusals.add(RefusalReason::Network, None, None);
        assert_eq!(refusals.0.lock().untold, 0);
        tokio::time::advance(Duration::from_secs(5)).await;
        let refused = refusals.read();
        assert_eq!((refused.total, refused.by_reason.len()), (4, RefusalReason::ALL.len()));
        let many = refused.by_reason.iter().filter(|(_, count)| *count > 0).copied().collect::<Vec<_>>();
        assert_eq!(many, [(RefusalReason::Network, 1), (RefusalReason::WrongToken, 3)]);
        let ago = Duration::from_secs(5);
        assert_eq!(refused.last, Some(LastRefusal { peer: None, reason: RefusalReason::Network, ago }));
    }
}
