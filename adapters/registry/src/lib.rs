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
mod challenge;
mod content;
mod exchange;
mod links;
mod options;
mod pace;
mod transport;

pub use options::{InvalidOptions, RegistryOptions, Tls};

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::{
    Url,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use staticreg_domain::{
    Digest, ManifestKind, RepositoryName, Tag,
    catalog::{
        Brought, CatalogCursor, CatalogError, EndlessPages, ImageConfiguration, Manifest, PageWalk, Reference,
        Referrer, RegistryCatalog, RepositoriesPage, TagList,
    },
};
use staticreg_lenient::{AtMost, Parsed};
use tokio::time::{Instant, timeout_at};

use crate::{
    exchange::of_server,
    transport::{Ask, Transport},
};

/// The longest page of repositories or tags, in bytes.
const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// The longest manifest, in bytes; registries take no longer ones.
const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// The longest configuration, in bytes.
const MAX_CONFIGURATION_BYTES: usize = 8 * 1024 * 1024;
/// More names of one page are left out.
const MAX_NAMES: usize = 100_000;
/// More tags of one repository are left out.
const MAX_TAGS: usize = 50_000;
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
    repositories: Option<AtMost<Parsed<RepositoryName>, MAX_NAMES>>,
}

#[derive(Deserialize)]
struct TagsJson {
    tags: Option<AtMost<Parsed<Tag>, MAX_TAGS>>,
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

    /// The time at the registry, when it tells it.
    pub async fn clock(&self) -> Result<Option<DateTime<Utc>>, CatalogError> {
        let ask = Ask { url: self.url("/v2/"), scope: "registry:catalog:*", accept: None, is_blob: false };
        let answer = self.transport.get(ask, MAX_PAGE_BYTES).await?;
        let date = answer.headers.get(DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc()))
    }

    fn url(&self, path: &str) -> Url {
        links::on_registry(self.transport.registry(), path, None)
    }

    /// A page of tags, and where the next one is.
    async fn tag_page(&self, url: &Url, scope: &str) -> Result<(Vec<Tag>, Option<Url>), CatalogError> {
        let ask = Ask { url: url.clone(), scope, accept: None, is_blob: false };
        let answer = self.transport.get(ask, MAX_PAGE_BYTES).await?;
        let page: TagsJson = answer.read(content::parse)?;
        let tags = page.tags.into_iter().flat_map(|tags| tags.0).map(|tag| tag.0).collect();
        Ok((tags, links::next(&answer.headers, url)))
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
            let ask = Ask { url, scope: "registry:catalog:*", accept: None, is_blob: false };
            self.transport.get(ask, MAX_PAGE_BYTES)
        };
        let answer = match ask(Some(query)).await {
            // Distribution refuses to give more at once than it is configured to.
            Err(CatalogError::Malformed(_)) if first => ask(None).await?,
            answer => answer?,
        };
        let page: RepositoriesJson = answer.read(content::parse)?;
        let url = links::on_registry(self.transport.registry(), path, Some(query));
        let next = links::next(&answer.headers, &url);
        Ok(RepositoriesPage {
            repositories: page.repositories.into_iter().flat_map(|names| names.0).map(|name| name.0).collect(),
            next: next.map(|url| CatalogCursor([url.path(), "?", url.query().unwrap_or_default()].concat())),
        })
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<TagList, CatalogError> {
        let deadline = Instant::now() + self.timeout * TAGS_TIMEOUTS;
        let scope = pull_scope(repository);
        let mut list = TagList::default();
        let mut seen = HashSet::new();
        let first = self.url(&format!("/v2/{repository}/tags/list"));
        let mut walk = PageWalk::new(first.clone());
        let mut is_first = true;
        let mut next = Some(first);
        while let Some(url) = next.take() {
            let page = timeout_at(deadline, self.tag_page(&url, &scope)).await;
            let (tags, link) = match page.unwrap_or_else(|elapsed| Err(CatalogError::Unavailable(elapsed.into()))) {
                Ok(page) => page,
                Err(CatalogError::NotFound(_)) if is_first => break,
                Err(error) if is_first => return Err(error),
                // What was read before stays.
                Err(error) => {
                    list.incomplete = Some(error);
                    break;
                }
            };
            is_first = false;
            let (items, known_before) = (tags.len(), seen.len());
            list.tags.extend(tags.into_iter().filter(|tag| seen.insert(tag.clone())));
            if list.tags.len() >= MAX_TAGS {
                list.tags.truncate(MAX_TAGS);
                break;
            }
            next = walk.after(Brought::by(items, known_before, seen.len()), link).unwrap_or_else(|EndlessPages| {
                let circle = of_server(self.transport.registry(), "the pages of tags lead in a circle");
                list.incomplete = Some(CatalogError::Malformed(circle));
                None
            });
        }
        Ok(list)
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, CatalogError> {
        let url = self.url(&format!("/v2/{repository}/manifests/{tag}"));
        let scope = pull_scope(repository);
        let ask = Ask { url, scope: &scope, accept: Some(&self.manifest_types), is_blob: false };
        let headers = self.transport.head(ask).await?;
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
        let ask = Ask { url, scope: &scope, accept: Some(&self.manifest_types), is_blob: false };
        let answer = self.transport.get(ask, MAX_MANIFEST_BYTES).await?;
        let digest = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(_) => content_digest(&answer.headers),
        };
        let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        answer.read(|body| {
            if let Some(digest) = &digest {
                content::verify(body, digest)?;
            }
            content::manifest(digest.unwrap_or_else(|| content::sha256(body)), content_type, body)
        })
    }

    async fn configuration(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<ImageConfiguration, CatalogError> {
        let url = self.url(&format!("/v2/{repository}/blobs/{digest}"));
        let scope = pull_scope(repository);
        let ask = Ask { url, scope: &scope, accept: None, is_blob: true };
        let answer = self.transport.get(ask, MAX_CONFIGURATION_BYTES).await?;
        answer.read(|body| {
            content::verify(body, digest)?;
            content::configuration(body)
        })
    }

    async fn referrers(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Referrer>, CatalogError> {
        // Registries of before the specification 1.1 know no referrers: clients put them under a tag.
        let tag = digest.as_str().replace(':', "-");
        let scope = pull_scope(repository);
        for path in [format!("referrers/{digest}"), format!("manifests/{tag}")] {
            let url = self.url(&format!("/v2/{repository}/{path}"));
            let ask = Ask { url, scope: &scope, accept: Some(&self.manifest_types), is_blob: false };
            match self.transport.get(ask, MAX_MANIFEST_BYTES).await {
                Err(CatalogError::NotFound(_)) => {}
                answer => return answer?.read(content::referrers),
            }
        }
        Ok(Vec::new())
    }
}

fn pull_scope(repository: &RepositoryName) -> String {
    format!("repository:{repository}:pull")
}

fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

/// Ways in for the fuzz targets of `tests/fuzz`.
#[cfg(fuzzing)]
#[expect(missing_docs, reason = "no part of the crate's interface")]
pub mod fuzzing {
    use reqwest::{
        Url,
        header::{HeaderMap, HeaderValue, LINK},
    };

    pub fn next(header: &[u8], page: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(LINK, HeaderValue::from_bytes(header).ok()?)]);
        crate::links::next(&headers, &Url::parse(page).ok()?).map(String::from)
    }

    pub fn challenges(header: &str) -> Vec<(bool, Option<String>, Option<String>)> {
        let challenges = crate::challenge::parse(header);
        let read = |challenge: &crate::challenge::Challenge| {
            let parameter = |name| challenge.parameter(name).map(str::to_owned);
            (challenge.is("bearer"), parameter("realm"), parameter("scope"))
        };
        challenges.iter().map(read).collect()
    }
}
