//! The registry's contents over its own API (OCI distribution specification): an implementation of
//! [`RegistryCatalog`].
//!
//! It speaks HTTP by `reqwest` itself: `oci-client` reads bodies of any length, keeps the link to the next page to
//! itself and hands credentials to whatever token server it is told.
//!
//! Nothing the registry says is trusted: answers are bounded in size and time, names that are not well formed are left
//! out, content asked for by digest must have it. To ask for one more thing, add a method to the port, and here one
//! that calls [`Transport::get`] and reads the body with the types of `content`.

mod auth;
mod content;
mod lenient;
mod links;
mod options;
mod transport;

pub use options::{InvalidOptions, RegistryOptions, Tls};

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use staticreg_domain::{
    Digest, ManifestKind, RepositoryName, Tag,
    catalog::{
        CatalogCursor, CatalogError, ImageConfiguration, Manifest, Reference, RegistryCatalog, RepositoriesPage,
    },
};

use crate::{
    lenient::{AtMost, Parsed},
    transport::{Answer, Ask, Transport},
};

/// The longest page of repositories or tags, in bytes.
const MOST_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// The longest manifest, in bytes; registries take no longer ones.
const MOST_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// The longest configuration, in bytes.
const MOST_CONFIGURATION_BYTES: usize = 8 * 1024 * 1024;
/// More names of one page are left out.
const MOST_NAMES: usize = 100_000;
/// More tags of one repository are left out.
const MOST_TAGS: usize = 50_000;
/// The first page of repositories, of as many as Distribution gives at once by default.
const FIRST_PAGE: &str = "/v2/_catalog?n=1000";
/// How many times the time of one request all pages of tags may take.
const TAGS_TIMEOUTS: u32 = 10;

/// The header that tells a manifest's digest (OCI distribution specification, pulling manifests).
const CONTENT_DIGEST: &str = "docker-content-digest";

/// A registry, asked over HTTP.
pub struct HttpRegistryCatalog {
    transport: Transport,
    /// All types of manifests: a registry answers 404 to one that is not named here.
    manifest_types: HeaderValue,
    timeout: Duration,
}

#[derive(Deserialize)]
struct RepositoriesJson {
    repositories: Option<AtMost<Parsed<RepositoryName>, MOST_NAMES>>,
}

#[derive(Deserialize)]
struct TagsJson {
    tags: Option<AtMost<Parsed<Tag>, MOST_TAGS>>,
}

impl HttpRegistryCatalog {
    /// A client of this registry. It asks nothing yet.
    pub fn new(options: &RegistryOptions) -> Result<Self, InvalidOptions> {
        let types = ManifestKind::media_types().collect::<Vec<_>>().join(", ");
        Ok(Self {
            transport: Transport::new(options)?,
            manifest_types: types.parse().expect("media types are a header's value"),
            timeout: options.timeout,
        })
    }

    fn url(&self, path: &str) -> Url {
        links::on_registry(self.transport.registry(), path, None)
    }

    async fn tag_pages(&self, repository: &RepositoryName) -> Result<Vec<Tag>, CatalogError> {
        let scope = pull_scope(repository);
        let mut tags = Vec::new();
        let mut asked = HashSet::new();
        let mut next = Some(self.url(&format!("/v2/{repository}/tags/list")));
        while let Some(url) = next.take() {
            let ask = Ask { url: url.clone(), scope: &scope, accept: None };
            let Answer { headers, body } = match self.transport.get(ask, MOST_PAGE_BYTES).await {
                Err(CatalogError::NotFound) => return Ok(Vec::new()),
                answer => answer?,
            };
            let page: TagsJson = content::parse(&body)?;
            tags.extend(page.tags.into_iter().flat_map(|tags| tags.0).map(|tag| tag.0));
            if tags.len() >= MOST_TAGS {
                tags.truncate(MOST_TAGS);
                return Ok(tags);
            }
            next = links::next(&headers, &url)?;
            if !asked.insert(url) {
                return Err(CatalogError::Malformed("the pages of tags lead in a circle".into()));
            }
        }
        Ok(tags)
    }
}

#[async_trait]
impl RegistryCatalog for HttpRegistryCatalog {
    async fn repositories(&self, after: Option<CatalogCursor>) -> Result<RepositoriesPage, CatalogError> {
        let first = after.is_none();
        let address = after.map_or_else(|| FIRST_PAGE.to_owned(), |cursor| cursor.0);
        let (path, query) = address.split_once('?').unwrap_or((&address, ""));
        let ask = |query| {
            let url = links::on_registry(self.transport.registry(), path, query);
            self.transport.get(Ask { url, scope: "registry:catalog:*", accept: None }, MOST_PAGE_BYTES)
        };
        let answer = match ask(Some(query)).await {
            // Distribution refuses to give more at once than it is configured to.
            Err(CatalogError::Malformed(_)) if first => ask(None).await,
            answer => answer,
        };
        let Answer { headers, body } = answer?;
        let page: RepositoriesJson = content::parse(&body)?;
        let url = links::on_registry(self.transport.registry(), path, Some(query));
        let next = links::next(&headers, &url)?;
        Ok(RepositoriesPage {
            repositories: page.repositories.into_iter().flat_map(|names| names.0).map(|name| name.0).collect(),
            next: next.map(|url| CatalogCursor([url.path(), "?", url.query().unwrap_or_default()].concat())),
        })
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, CatalogError> {
        tokio::time::timeout(self.timeout * TAGS_TIMEOUTS, self.tag_pages(repository))
            .await
            .map_err(|elapsed| CatalogError::Unavailable(elapsed.into()))?
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, CatalogError> {
        let url = self.url(&format!("/v2/{repository}/manifests/{tag}"));
        let scope = pull_scope(repository);
        let headers = self.transport.head(Ask { url, scope: &scope, accept: Some(&self.manifest_types) }).await?;
        match content_digest(&headers) {
            Some(digest) => Ok(digest),
            None => Ok(self.manifest(repository, &Reference::Tag(tag.clone())).await?.digest),
        }
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Manifest, CatalogError> {
        let reference_text = match reference {
            Reference::Tag(tag) => tag.as_str(),
            Reference::Digest(digest) => digest.as_str(),
        };
        let url = self.url(&format!("/v2/{repository}/manifests/{reference_text}"));
        let scope = pull_scope(repository);
        let ask = Ask { url, scope: &scope, accept: Some(&self.manifest_types) };
        let Answer { headers, body } = self.transport.get(ask, MOST_MANIFEST_BYTES).await?;
        let digest = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(_) => content_digest(&headers),
        };
        let digest = match digest {
            Some(digest) => {
                content::verify(&body, &digest)?;
                digest
            }
            None => content::sha256(&body),
        };
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        content::manifest(digest, content_type, &body)
    }

    async fn configuration(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<ImageConfiguration, CatalogError> {
        let url = self.url(&format!("/v2/{repository}/blobs/{digest}"));
        let scope = pull_scope(repository);
        let ask = Ask { url, scope: &scope, accept: None };
        let Answer { body, .. } = self.transport.get(ask, MOST_CONFIGURATION_BYTES).await?;
        content::verify(&body, digest)?;
        content::configuration(&body)
    }
}

fn pull_scope(repository: &RepositoryName) -> String {
    format!("repository:{repository}:pull")
}

fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}
