//! Tokens: secrets that a sender shows as they are.

use std::{fmt, sync::Arc};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use parking_lot::RwLock;
use poem::http::{HeaderMap, header::AUTHORIZATION};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Base64 as senders write it, with padding or without.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The tokens that let a sender in. They may change while the server runs; all clones do.
#[derive(Clone)]
pub struct Tokens(Arc<RwLock<Vec<Hash>>>);

/// What is kept of a token: it cannot be read back, and all are of one length.
type Hash = [u8; 32];

fn hash(token: &[u8]) -> Hash {
    Sha256::digest(token).into()
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(***)")
    }
}

impl Tokens {
    /// These tokens; when there are none, nobody is let in.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let new = Self(Arc::default());
        new.replace(tokens);
        new
    }

    /// Lets in whoever has one of these tokens from now on, and nobody else. Whether they are others than before.
    pub fn replace<'a>(&self, tokens: impl IntoIterator<Item = &'a str>) -> bool {
        let tokens = tokens.into_iter().filter(|token| !token.is_empty());
        let hashes: Vec<_> = tokens.map(|token| hash(token.as_bytes())).collect();
        let mut known = self.0.write();
        let is_new = *known != hashes;
        *known = hashes;
        is_new
    }

    /// Whether a token lets in. It takes as long whichever it is, and however much of it is right.
    pub(super) fn fit(&self, token: &[u8]) -> bool {
        let hash = hash(token);
        self.0.read().iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&hash)).into()
    }
}

/// What a request shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Token(Vec<u8>),
    /// Several `Authorization` headers: those on the way may look at another than we do.
    Several,
}

/// The token of a request: `Bearer` (RFC 6750), or the password of `Basic` (RFC 7617).
pub(super) fn shown(headers: &HeaderMap) -> Shown {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Shown::Nothing,
        (Some(value), None) => value.as_bytes(),
        _ => return Shown::Several,
    };
    token(value.trim_ascii()).map_or(Shown::Nothing, Shown::Token)
}

fn token(value: &[u8]) -> Option<Vec<u8>> {
    let end = value.iter().position(u8::is_ascii_whitespace)?;
    let (scheme, credentials) = (&value[..end], value[end..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(credentials.to_vec());
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let mut decoded = BASE64.decode(credentials).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        return Some(decoded.split_off(colon + 1));
    }
    None
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> Shown {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect(value));
        }
        shown(&headers)
    }

    #[test]
    fn a_token_is_shown_as_bearer_or_as_a_password() {
        // printf 'registry:s3cret' | base64
        for value in [
            "Bearer s3cret",
            "bearer s3cret",
            "BEARER    s3cret  ",
            "Bearer \t s3cret",
            "Basic cmVnaXN0cnk6czNjcmV0",
            "basic   cmVnaXN0cnk6czNjcmV0",
            // printf ':s3cret' | base64
            "Basic OnMzY3JldA==",
            "Basic OnMzY3JldA",
        ] {
            assert_eq!(of(&[value]), Shown::Token(b"s3cret".into()), "{value}");
        }
        // printf 'u:a:b' | base64
        assert_eq!(of(&["Basic dTphOmI="]), Shown::Token(b"a:b".into()));
    }

    #[test]
    fn anything_else_is_no_token() {
        for values in [
            &[][..],
            &[""],
            &["Bearer"],
            &["s3cret"],
            &["Basic"],
            &["Basic s3cret!"],
            // printf 's3cret' | base64
            &["Basic czNjcmV0"],
            &["Digest s3cret"],
            &["Bearers3cret"],
        ] {
            assert_eq!(of(values), Shown::Nothing, "{values:?}");
        }
        assert_eq!(of(&["Bearer s3cret", "Bearer s3cret"]), Shown::Several);
    }

    #[test]
    fn each_of_the_tokens_lets_in_and_nothing_else() {
        let tokens = Tokens::new(["old", "", "new"]);
        for (token, expected) in [("old", true), ("new", true), ("", false), ("ne", false), ("newer", false)] {
            assert_eq!(tokens.fit(token.as_bytes()), expected, "{token}");
        }
        let same = tokens.clone();
        assert!(same.replace(["newest"]) && !same.replace(["newest"]));
        assert!(tokens.fit(b"newest") && !tokens.fit(b"new"));
        same.replace([]);
        assert!(!tokens.fit(b"newest") && !tokens.fit(b""));
        assert_eq!(format!("{:?}", Tokens::new(["s3cret"])), "Tokens(***)");
    }
}
