//! API tokens: what programs show, and what is made for them.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use staticreg_application::api_tokens::{KnownTokens, RefusedToken};
use staticreg_domain::api_token::{Scope, TokenHash};

use super::guesses::Guesses;

/// How each begins, so that people and tools know one where they find it.
const PREFIX: &str = "srt_";

/// The random bytes of one: nobody guesses them.
const RANDOM_BYTES: usize = 32;

/// A new token. It is shown once, to who asked for it; only its hash is kept.
pub struct ApiSecret(String);

/// The system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gives no random bytes")
    }
}

impl std::error::Error for NoRandomness {}

impl fmt::Debug for ApiSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiSecret(***)")
    }
}

impl ApiSecret {
    /// One that nobody had before.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        hash(self.0.as_bytes())
    }
}

/// Plain SHA-256: what has 256 random bits needs no slow hash, and is looked at with every request.
fn hash(token: &[u8]) -> TokenHash {
    TokenHash(Sha256::digest(token).into())
}

/// The tokens that let programs in. All clones are the same.
#[derive(Clone)]
pub struct ApiTokens {
    known: KnownTokens,
    guesses: Arc<Guesses>,
}

impl fmt::Debug for ApiTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiTokens(***)")
    }
}

impl ApiTokens {
    /// Those that are known.
    #[must_use]
    pub fn new(known: KnownTokens) -> Self {
        Self { known, guesses: Arc::default() }
    }

    /// What those are called that let a registry post.
    pub(super) fn names_for_posting(&self) -> Vec<String> {
        self.known.names(Scope::Post)
    }

    /// Lets in who shows a token, for one thing. A right one is let in whatever was wrong before it: nobody guesses one,
    /// and who shares an address with a broken script need not wait for it.
    pub(super) fn admit(&self, shown: &[u8], scope: Scope) -> Result<(), RefusedToken> {
        if !shown.starts_with(PREFIX.as_bytes()) {
            return Err(RefusedToken::Unknown);
        }
        self.known.admit(&hash(shown), scope)
    }

    /// Charges an address for a token that is none; else how long it has to wait.
    pub(super) fn charge_guess(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        // All tokens are guesses of one name: they have none that could be told apart.
        self.guesses.charge(self.guesses.guesser(address, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_random_and_known_by_its_hash_alone() {
        let (one, other) = (ApiSecret::random().expect("random"), ApiSecret::random().expect("random"));
        let random = one.expose().strip_prefix("srt_").expect("its prefix");
        assert_eq!(URL_SAFE_NO_PAD.decode(random).expect("base64").len(), 32);
        assert_ne!(one.expose(), other.expose());
        assert_ne!(one.hash(), other.hash());
        assert_eq!(one.hash(), hash(one.expose().as_bytes()));
        assert_eq!(format!("{one:?} {:?}", one.hash()), "ApiSecret(***) TokenHash(***)");
    }

    #[test]
    fn it_is_sha_256() {
        // printf srt_x | sha256sum
        let expected = "7c0078822f3c51e958a36715181fb34478898a6cdd2a18007d5994ef2bf5e86a";
        let hex: Vec<_> = hash(b"srt_x").0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex.concat(), expected);
    }
}
