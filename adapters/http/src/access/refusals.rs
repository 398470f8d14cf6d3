//! POSTs that were refused: counted for the operator, who alone is told why.

use std::{
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use poem::http::StatusCode;
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
    /// It had several `Authorization` headers.
    SeveralTokens,
    /// None of the secrets had signed it so.
    WrongSignature,
    /// Its signature was of another time.
    OldSignature,
}

impl RefusalReason {
    /// Every reason there is.
    pub const ALL: [Self; 8] = [
        Self::AnotherSite,
        Self::Network,
        Self::UnknownAddress,
        Self::NoProof,
        Self::WrongToken,
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
            Self::SeveralTokens => "several_tokens",
            Self::WrongSignature => "wrong_signature",
            Self::OldSignature => "old_signature",
        }
    }

    /// The status of the answer: whether a proof would let the sender in.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::AnotherSite | Self::Network | Self::UnknownAddress => StatusCode::FORBIDDEN,
            Self::NoProof | Self::WrongToken | Self::SeveralTokens | Self::WrongSignature | Self::OldSignature => {
                StatusCode::UNAUTHORIZED
            }
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
            Self::WrongToken => "its token is none of STATICREG_WEBHOOK_TOKENS",
            Self::SeveralTokens => "it had several Authorization headers",
            Self::WrongSignature => "none of STATICREG_WEBHOOK_SIGNATURE_SECRETS had signed it so",
            Self::OldSignature => "its signature's time is more than 5 minutes from ours; compare the clocks",
        })
    }
}

/// How many POSTs to the webhook were refused, and the last of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// All of them.
    pub total: u64,
    /// How many for each reason, in the order of [`RefusalReason::ALL`].
    pub by_reason: [(RefusalReason, u64); RefusalReason::ALL.len()],
    /// The last one.
    pub last: Option<LastRefusal>,
}

/// A POST that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRefusal {
    /// Who sent it, as the connection tells.
    pub peer: Option<SocketAddr>,
    /// Why it was refused.
    pub reason: RefusalReason,
    /// How long ago.
    pub ago: Duration,
}

/// Counts refusals, and tells of them now and then.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    counts: [AtomicU64; RefusalReason::ALL.len()],
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    last: Option<(Option<SocketAddr>, RefusalReason, Instant)>,
    told: Option<Instant>,
    untold: u64,
}

impl Refusals {
    pub(super) fn add(&self, reason: RefusalReason, peer: Option<SocketAddr>) {
        self.counts[reason as usize].fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut recent = self.recent.lock();
        recent.last = Some((peer, reason, now));
        recent.untold += 1;
        if recent.told.is_some_and(|told| now - told < TELL_AGAIN) {
            return;
        }
        recent.told = Some(now);
        let refused = std::mem::take(&mut recent.untold);
        drop(recent);
        let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        tracing::warn!(peer, refused, "A POST to the webhook was refused: {reason}. A registry repeats it for ever.");
    }

    pub(super) fn read(&self) -> Refused {
        let by_reason = RefusalReason::ALL.map(|reason| (reason, self.counts[reason as usize].load(Ordering::Relaxed)));
        let last = self.recent.lock().last;
        Refused {
            total: by_reason.iter().map(|(_, count)| count).sum(),
            by_reason,
            last: last.map(|(peer, reason, at)| LastRefusal { peer, reason, ago: at.elapsed() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place() {
        for (place, reason) in RefusalReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_counted_by_reason_and_told_once_a_minute() {
        let refusals = Refusals::default();
        let peer = Some("192.0.2.1:4711".parse().unwrap());
        for _ in 0..3 {
            refusals.add(RefusalReason::WrongToken, peer);
        }
        assert_eq!(refusals.recent.lock().untold, 2);
        tokio::time::advance(TELL_AGAIN).await;
        refusals.add(RefusalReason::Network, None);
        assert_eq!(refusals.recent.lock().untold, 0);
        tokio::time::advance(Duration::from_secs(5)).await;
        let refused = refusals.read();
        assert_eq!(refused.total, 4);
        let many = refused.by_reason.iter().filter(|(_, count)| *count > 0).copied().collect::<Vec<_>>();
        assert_eq!(many, [(RefusalReason::Network, 1), (RefusalReason::WrongToken, 3)]);
        let ago = Duration::from_secs(5);
        assert_eq!(refused.last, Some(LastRefusal { peer: None, reason: RefusalReason::Network, ago }));
    }
}
