//! What runs, as others tell it, and the port to where that is kept.

use std::{collections::BTreeSet, fmt, str::FromStr};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{
    Digest, RepositoryName, Tag,
    api_token::{InvalidTokenName, TokenName},
    metrics::MetricsError,
};

/// Who tells what runs: a cluster, a host. It is named as a token is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceName(TokenName);

impl SourceName {
    /// The most characters of a name.
    pub const MAX_LENGTH: usize = TokenName::MAX_LENGTH;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for SourceName {
    type Err = InvalidTokenName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An image that runs, wherever it came from: the registry may be known by several names, so its host says nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunningImage {
    /// What a tag pointed to when it was started.
    Tagged(RepositoryName, Tag),
    /// The digest of an index, of an image, or of an image's configuration, which Docker has for an image's id.
    Digest(Digest),
}

/// The text names no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an image such as registry.example/team/app:1.2 or registry.example/team/app@sha256:…")]
pub struct InvalidRunningImage;

impl RunningImage {
    /// What a reference names: `host/repository:tag`, `repository@sha256:…`, or an image's id with its digest, as Docker,
    /// containerd and Kubernetes write them. Of a tag and a digest, it is both.
    pub fn of_reference(reference: &str) -> Result<Vec<Self>, InvalidRunningImage> {
        // Kubernetes writes `docker-pullable://` before what Docker tells.
        let reference = reference.split_once("://").map_or(reference, |(_, reference)| reference);
        if let Ok(digest) = reference.parse() {
            return Ok(vec![Self::Digest(digest)]);
        }
        let (named, digest) = match reference.split_once('@') {
            Some((named, digest)) => (named, Some(digest.parse().map_err(|_| InvalidRunningImage)?)),
            None => (reference, None),
        };
        let (name, tag) = match named.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (named, None),
        };
        let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let (is_of_docker_hub, name) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (false, rest),
            Some(_) => (false, name),
            None => (true, name),
        };
        let repository = |name: &str| RepositoryName::as_stored(name).map_err(|_| InvalidRunningImage);
        let repository_name = repository(name)?;
        let mut images = Vec::new();
        if tag.is_some() || digest.is_none() {
            let tag: Tag = tag.unwrap_or("latest").parse().map_err(|_| InvalidRunningImage)?;
            // A mirror of Docker Hub calls it so.
            if is_of_docker_hub {
                images.push(Self::Tagged(repository(&format!("library/{name}"))?, tag.clone()));
            }
            images.push(Self::Tagged(repository_name, tag));
        }
        images.extend(digest.map(Self::Digest));
        Ok(images)
    }
}

/// As it is kept.
impl fmt::Display for RunningImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tagged(repository, tag) => write!(f, "{repository}:{tag}"),
            Self::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

impl FromStr for RunningImage {
    type Err = InvalidRunningImage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(digest) = text.strip_prefix('@') {
            return digest.parse().map(Self::Digest).map_err(|_| InvalidRunningImage);
        }
        let (repository, tag) = text.rsplit_once(':').ok_or(InvalidRunningImage)?;
        let repository = RepositoryName::as_stored(repository).map_err(|_| InvalidRunningImage)?;
        Ok(Self::Tagged(repository, tag.parse().map_err(|_| InvalidRunningImage)?))
    }
}

/// All that runs somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Who told it.
    pub source: SourceName,
    /// When it was heard.
    pub heard_at: DateTime<Utc>,
    /// What runs there.
    pub images: BTreeSet<RunningImage>,
}

/// Keeps what was heard of what runs.
///
/// Every implementation passes the suite `running` in `tests/contract`.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait RunningImages: Send + Sync {
    /// Keeps what a source tells, in place of all that it told before.
    async fn replace(&self, told: &Running) -> Result<(), MetricsError>;

    /// Who told what runs, by name.
    async fn sources(&self) -> Result<Vec<SourceName>, MetricsError>;

    /// What every source told last, by its name.
    async fn all(&self) -> Result<Vec<Running>, MetricsError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:8bfa990430b3f57834ed6b54c3786189eb0ff2233cbe8fd0ddd0ca5423d04924";

    fn read(reference: &str) -> Vec<String> {
        let images = RunningImage::of_reference(reference).unwrap_or_else(|_| panic!("{reference}"));
        for image in &images {
            assert_eq!(image.to_string().parse().as_ref(), Ok(image), "{reference}");
        }
        images.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_reference_is_read_whatever_wrote_it() {
        let digest = format!("@{DIGEST}");
        for (reference, expected) in [
            ("registry.example/team/app:1.2", &["team/app:1.2"][..]),
            ("registry.example:5000/app:1.2", &["app:1.2"]),
            ("localhost/app", &["app:latest"]),
            ("team/app:1.2", &["team/app:1.2"]),
            ("nginx:1.27", &["library/nginx:1.27", "nginx:1.27"]),
            ("docker.io/library/nginx:1.27", &["library/nginx:1.27"]),
            (DIGEST, &[&digest]),
            (&format!("docker://{DIGEST}"), &[&digest]),
            (&format!("docker-pullable://registry.example/app@{DIGEST}"), &[&digest]),
            (&format!("registry.example:5000/team/app:1.2@{DIGEST}"), &["team/app:1.2", &digest]),
        ] {
            assert_eq!(read(reference), expected, "{reference}");
        }
    }

    #[test]
    fn what_names_no_image_is_refused() {
        for text in
            ["", " ", "a b", "0a1b2c:", "app@sha256:short", "registry.example/", "app:a/b c", "<none>:<none>", "/x"]
        {
            assert_eq!(RunningImage::of_reference(text), Err(InvalidRunningImage), "{text:?}");
        }
    }
}
