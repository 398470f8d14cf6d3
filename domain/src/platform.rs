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
    /// The version of the operating system, such as `10.0.20348.2849` of `windows`: builds for two versions are two.
    pub os_version: Option<String>,
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
            os_version: None,
        })
    }

    /// The same platform with a version of its operating system.
    #[must_use]
    pub fn of_os_version(self, version: &str) -> Self {
        Self { os_version: Some(version).filter(|version| !version.is_empty()).map(str::to_owned), ..self }
    }
}

/// `os/architecture` or `os/architecture/variant`, with a version of the operating system `os(version)/...`.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        self.os_version.as_ref().map_or(Ok(()), |version| write!(f, "({version})"))?;
        write!(f, "/{}", self.architecture)?;
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
        let platform = Platform::new("windows", "amd64", None).expect("a platform").of_os_version("10.0.20348.2849");
        assert_eq!(platform.to_string(), "windows(10.0.20348.2849)/amd64");
    }
}
