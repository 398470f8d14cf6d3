//! Architectures.

use std::{convert::Infallible, fmt, str::FromStr};

/// The architecture a pull was for: `amd64`, `arm64`, ... or `not-specified`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Architecture(Box<str>);

impl Architecture {
    /// The text for an architecture nobody told.
    pub const NOT_SPECIFIED: &'static str = "not-specified";
    const MAX_LENGTH: usize = 32;

    /// The architecture nobody told.
    #[must_use]
    pub fn not_specified() -> Self {
        Self(Self::NOT_SPECIFIED.into())
    }

    /// The `arch/NAME` word of a user agent, as the Docker engine sends it. It is the host's architecture.
    #[must_use]
    pub fn of_user_agent(user_agent: &str) -> Self {
        user_agent
            .split_ascii_whitespace()
            .find_map(|word| word.strip_prefix("arch/"))
            .map_or_else(Self::not_specified, Self::lenient)
    }

    /// The architecture as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether somebody told the architecture.
    #[must_use]
    pub fn is_specified(&self) -> bool {
        &*self.0 != Self::NOT_SPECIFIED
    }

    fn lenient(name: &str) -> Self {
        let well_formed = (1..=Self::MAX_LENGTH).contains(&name.len())
            && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.'));
        if well_formed && !name.eq_ignore_ascii_case("unknown") {
            Self(name.to_ascii_lowercase().into())
        } else {
            Self::not_specified()
        }
    }
}

/// Never fails: what is no architecture's name (letters, digits, `_`, `-`, `.`, at most 32), and `unknown`, is
/// `not-specified`.
impl FromStr for Architecture {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::lenient(text))
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_agents_arch_word_tells_the_architecture() {
        let long = format!("docker/1 arch/{}", "a".repeat(33));
        for (user_agent, expected) in [
            ("docker/20.10.24 go/go1.19.8 os/linux arch/amd64 UpstreamClient(Docker-Client/28.2.2)", "amd64"),
            ("docker/28 arch/ARM64", "arm64"),
            ("arch/s390x", "s390x"),
            ("containerd/1.6.20", "not-specified"),
            ("", "not-specified"),
            ("docker/28 arch/", "not-specified"),
            ("docker/28 arch/unknown", "not-specified"),
            ("docker/28 arch/a\u{0}b", "not-specified"),
            ("docker/28 march/amd64", "not-specified"),
            (&long, "not-specified"),
        ] {
            assert_eq!(Architecture::of_user_agent(user_agent).as_str(), expected, "{user_agent:?}");
        }
    }
}
