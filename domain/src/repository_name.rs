//! Repository names.

use std::{fmt, str::FromStr};

/// The name of a repository, such as `library/nginx`.
///
/// The grammar of the OCI distribution specification: path components of lower-case letters and digits, joined inside
/// by one `.`, one or two `_` or any number of `-`, separated by `/`; at most 255 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Box<str>);

impl RepositoryName {
    /// The most characters a name may have.
    pub const MAX_LENGTH: usize = 255;

    /// A name as it may stand in a store, where other programs write too: letters in capitals and any order of separators
    /// as well. It is safe in an address.
    pub fn as_stored(text: &str) -> Result<Self, InvalidRepositoryName> {
        let is_word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        let is_safe = |component: &str| {
            component.bytes().next().is_some_and(is_word)
                && component.bytes().all(|c| is_word(c) || matches!(c, b'.' | b'-'))
        };
        if text.len() <= Self::MAX_LENGTH && text.split('/').all(is_safe) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidRepositoryName)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is no repository name.
#[derive(Debug, thiserror::Error)]
#[error(
    "not a repository name: lower-case letters, digits and separators such as library/nginx, at most 255 characters"
)]
pub struct InvalidRepositoryName;

impl FromStr for RepositoryName {
    type Err = InvalidRepositoryName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() <= Self::MAX_LENGTH && text.split('/').all(is_component) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidRepositoryName)
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_component(component: &str) -> bool {
    let is_word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    is_word(*first) && is_word(*last) && bytes.split(|&c| is_word(c)).all(is_separator)
}

/// What stands between two words: nothing (the words touch), or one separator.
fn is_separator(between: &[u8]) -> bool {
    matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|&c| c == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_distribution_grammar_are_accepted() {
        let longest = "a".repeat(255);
        for name in ["nginx", "library/nginx", "a/b/c", "a.b", "a_b", "a__b", "a---b", "0", "a-1.b/c__2", &longest] {
            assert_eq!(name.parse::<RepositoryName>().expect(name).as_str(), name);
        }
    }

    #[test]
    fn what_others_store_is_taken_as_long_as_it_is_safe() {
        for name in ["nginx", "Team/App", "a..b", "a-", "_x/1"] {
            assert_eq!(RepositoryName::as_stored(name).expect(name).as_str(), name);
        }
        for name in ["", "a/", "a/../b", ".a", "a b", "a\0", "ä", "<script>", "a?b", "a@b", &"a".repeat(256)] {
            assert!(RepositoryName::as_stored(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        let too_long = "a".repeat(256);
        for name in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", ".a", "a_", "a b", "a\0", "ä",
            "<script>", "a:b", "a@b", &too_long,
        ] {
            assert!(name.parse::<RepositoryName>().is_err(), "{name:?}");
        }
    }
}
