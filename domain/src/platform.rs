//! Platforms.

use std::fmt;

use crate::Architecture;

/// The platform a manifest of an index is for (OCI image specification, image index).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    /// The operating system: `linux`, `windows`, ...
    pub os: String,
    /// The processor: `amd64`, `arm64`, ...
    pub architecture: Architecture,
    /// The processor's variant, such as `v7` of `arm`.
    pub variant: Option<String>,
}

impl Platform {
    /// The platform, unless it is the `unknown/unknown` that attestations carry.
    #[must_use]
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Option<Self> {
        let Ok(architecture) = architecture.parse::<Architecture>();
        architecture.is_specified().then(|| Self {
            os: os.to_owned(),
            architecture,
            variant: variant.filter(|variant| !variant.is_empty()).map(str::to_owned),
        })
    }
}

/// `os/architecture` or `os/architecture/variant`.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_of_an_attestation_is_none() {
        assert_eq!(Platform::new("unknown", "unknown", None), None);
    }

    #[test]
    fn a_platform_reads_like_dockers_option() {
        let platform = Platform::new("linux", "arm", Some("v7")).expect("a platform");
        assert_eq!(platform.to_string(), "linux/arm/v7");
    }
}
