//! API tokens: what lets programs in, and the port to where they are kept.

use std::{collections::BTreeSet, fmt, str::FromStr};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::metrics::MetricsError;

/// What people call a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenName(Box<str>);

/// The text is no name of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name is of 1 to 64 letters, digits and `.`, `_`, `-`, and begins with a letter or a digit")]
pub struct InvalidTokenName;

impl TokenName {
    /// The most characters of a name.
    pub const MAX_LENGTH: usize = 64;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenName {
    type Err = InvalidTokenName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_well_formed = text.len() <= Self::MAX_LENGTH
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c));
        if is_well_formed { Ok(Self(text.into())) } else { Err(InvalidTokenName) }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a token lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read: pages, the query API, CSV, documents, badges.
    Read,
    /// Post notifications, and so change counts.
    Post,
    /// Read how the server itself does.
    Metrics,
    /// Tell what runs.
    Running,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 4] = [Self::Read, Self::Post, Self::Metrics, Self::Running];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Post => "post",
            Self::Metrics => "metrics",
            Self::Running => "running",
        }
    }

    /// The scope of a name, which may have spaces around it.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name.trim())
    }
}

/// What a token lets its holder do, mostly one scope or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

/// The text is no list of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scopes are read, post, metrics and running, separated by commas")]
pub struct InvalidScopes;

impl Scopes {
    /// Whether a scope is among them.
    #[must_use]
    pub fn include(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Those of a list that this version knows: a later one may have written others, which let nobody do anything here.
    #[must_use]
    pub fn known(text: &str) -> Self {
        Self(text.split(',').filter_map(Scope::named).collect())
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self(BTreeSet::from([scope]))
    }
}

impl FromStr for Scopes {
    type Err = InvalidScopes;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(Scope::named).collect::<Option<_>>().map(Self).ok_or(InvalidScopes)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|scope| scope.as_str()).collect();
        f.write_str(&names.join(","))
    }
}

/// The SHA-256 of a token's secret: all that is kept of it. The secret cannot be read back from it, for it is 256 random
/// bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(***)")
    }
}

/// A token, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// What people call it. Several may have the same name, of which at most one has not ended.
    pub name: TokenName,
    /// By what it is known.
    pub hash: TokenHash,
    /// What it lets its holder do.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it lets nobody in any more.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked, or when its name was given to another after it had expired.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it last let somebody in, as far as that was written: some minute behind.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Whether a token lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It does.
    Living,
    /// Its time is over.
    Expired,
    /// Somebody revoked it before.
    Revoked,
}

impl TokenState {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Living => "living",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ApiToken {
    /// Whether it lets in at a moment.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> TokenState {
        let ends_before = |at: DateTime<Utc>| self.expires_at.is_none_or(|expires| at < expires);
        match self.ended_at {
            Some(ended) if ends_before(ended) => TokenState::Revoked,
            None if ends_before(now) => TokenState::Living,
            _ => TokenState::Expired,
        }
    }
}

/// What became of a token given to [`ApiTokenAdmin::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is kept.
    Created,
    /// A living one has its name; it is not kept.
    NameTaken,
}

/// API tokens as servers look at them. What they read is what this version knows: a row that is no token lets nobody in,
/// and keeps no other from being read.
///
/// Every implementation passes the suite `api_tokens` in `tests/contract`, and so does one of [`ApiTokenAdmin`].
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ApiTokens: Send + Sync {
    /// The tokens that have not ended, nor expired, by a moment, in any order.
    async fn not_ended_by(&self, moment: DateTime<Utc>) -> Result<Vec<ApiToken>, MetricsError>;

    /// Notes that a token let somebody in, unless a later use is noted. One that is not kept is none.
    async fn note_use(&self, hash: &TokenHash, at: DateTime<Utc>) -> Result<(), MetricsError>;
}

/// API tokens as whoever creates and revokes them has them.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ApiTokenAdmin: Send + Sync {
    /// Keeps a new token, unless a living one has its name: of those created at once under one name, one is. One of the
    /// name that has expired by the time the new one is made ends.
    async fn create(&self, token: &ApiToken) -> Result<Creation, MetricsError>;

    /// All tokens there ever were, the latest made first; of those made at once, by name.
    async fn list(&self) -> Result<Vec<ApiToken>, MetricsError>;

    /// Revokes the living token of a name; whether there was one.
    async fn revoke(&self, name: &TokenName, now: DateTime<Utc>) -> Result<bool, MetricsError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_written_in_a_command_and_in_a_list() {
        for name in ["ci", "7", "grafana.prod-2_x", &"a".repeat(64)] {
            assert_eq!(name.parse::<TokenName>().expect(name).as_str(), name);
        }
        for name in ["", "-x", ".x", "a b", "ä", "a\n", "a,b", &"a".repeat(65)] {
            assert_eq!(name.parse::<TokenName>(), Err(InvalidTokenName), "{name:?}");
        }
    }

    #[test]
    fn scopes_are_a_list_that_is_not_empty() {
        let scopes: Scopes = "metrics, read,read".parse().expect("scopes");
        assert_eq!(scopes.to_string(), "read,metrics");
        assert!(scopes.include(Scope::Read) && !scopes.include(Scope::Post));
        for text in ["", "read,", "write", "Read"] {
            assert_eq!(text.parse::<Scopes>(), Err(InvalidScopes), "{text}");
        }
    }

    #[test]
    fn scopes_of_a_later_version_let_nobody_do_anything() {
        assert_eq!(Scopes::known("admin,read").to_string(), "read");
        for text in ["admin", ""] {
            let scopes = Scopes::known(text);
            assert!(Scope::ALL.into_iter().all(|scope| !scopes.include(scope)), "{text}");
        }
    }

    #[test]
    fn a_token_lives_until_it_expires_or_is_revoked() {
        let at = |minute: u32| format!("2026-11-21T10:{minute:02}:00Z").parse::<DateTime<Utc>>().expect("a time");
        let token = |expires_at: Option<u32>, ended_at: Option<u32>| ApiToken {
            name: "ci".parse().expect("a name"),
            hash: TokenHash([0; 32]),
            scopes: Scope::Read.into(),
            created_at: at(0),
            expires_at: expires_at.map(at),
            ended_at: ended_at.map(at),
            last_used_at: None,
        };
        for (expires, ended, now, expected) in [
            (None, None, 5, TokenState::Living),
            (Some(5), None, 4, TokenState::Living),
            (Some(5), None, 5, TokenState::Expired),
            (Some(5), Some(4), 4, TokenState::Revoked),
            (Some(5), Some(4), 6, TokenState::Revoked),
            (None, Some(4), 6, TokenState::Revoked),
            // Its name was given to another.
            (Some(5), Some(6), 7, TokenState::Expired),
        ] {
            assert_eq!(token(expires, ended).state(at(now)), expected, "{expires:?} {ended:?} {now}");
        }
    }
}
