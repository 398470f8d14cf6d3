//! Requests to the registry: authorized, and redirected where that is safe.

use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue},
    redirect::Policy,
};
use staticreg_domain::catalog::CatalogError;

use crate::{
    auth::Auth,
    exchange::{body, checked, of_server, redirect, send},
    options::{InvalidOptions, RegistryOptions},
    pace::Pace,
};

/// More redirects than this lead nowhere.
const MAX_REDIRECTS: usize = 5;

/// The HTTP client of one registry.
pub(crate) struct Transport {
    client: Client,
    registry: Url,
    auth: Auth,
    pace: Option<Pace>,
}

/// What a request asks for.
pub(crate) struct Ask<'a> {
    /// An address on the registry.
    pub(crate) url: Url,
    /// What a token must allow.
    pub(crate) scope: &'a str,
    /// The media types that are understood, when it matters.
    pub(crate) accept: Option<&'a HeaderValue>,
    /// Whether it is a blob: what its digest vouches for may come from elsewhere, such as an object store.
    pub(crate) is_blob: bool,
}

/// A good answer.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    url: Url,
}

impl Answer {
    /// Reads the body. An error names the server that sent it.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&[u8]) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        read(&self.body).map_err(|error| match error {
            CatalogError::Malformed(source) => CatalogError::Malformed(of_server(&self.url, source)),
            error => error,
        })
    }
}

impl Transport {
    pub(crate) fn new(options: &RegistryOptions) -> Result<Self, InvalidOptions> {
        let registry = options.base()?;
        let auth = Auth::new(registry.clone(), options)?;
        let user_agent = HeaderValue::from_str(&options.user_agent).map_err(|_| InvalidOptions::Text)?;
        // The client asks for one by itself only where it brings its own. It may be there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let builder = Client::builder()
                .user_agent(user_agent.clone())
                .default_headers([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))].into_iter().collect())
                .timeout(options.timeout)
                .redirect(Policy::none())
                .tls_danger_accept_invalid_certs(options.skip_tls_verify);
            // The environment's proxy is for the world outside.
            if registry.scheme() == "http" { builder.no_proxy() } else { builder }
        };
        let client = match builder().build() {
            // A system without CA certificates can still ask a registry without TLS.
            Err(_) if registry.scheme() == "http" => builder().tls_certs_only([]).build(),
            built => built,
        };
        let pace = options.requests_per_second.map(Pace::new);
        Ok(Self { client: client.map_err(InvalidOptions::Client)?, registry, auth, pace })
    }

    pub(crate) fn registry(&self) -> &Url {
        &self.registry
    }

    /// Asks and answers headers and body.
    pub(crate) async fn get(&self, ask: Ask<'_>, most_bytes: usize) -> Result<Answer, CatalogError> {
        let response = checked(self.send(Method::GET, ask).await?)?;
        let (headers, url) = (response.headers().clone(), response.url().clone());
        Ok(Answer { headers, body: body(response, most_bytes).await?, url })
    }

    /// Asks and answers headers.
    pub(crate) async fn head(&self, ask: Ask<'_>) -> Result<HeaderMap, CatalogError> {
        Ok(checked(self.send(Method::HEAD, ask).await?)?.headers().clone())
    }

    /// Sends a request, a second time with what the registry's challenge asks for.
    async fn send(&self, method: Method, ask: Ask<'_>) -> Result<Response, CatalogError> {
        let usual = self.auth.usual(&self.client, ask.scope).await?;
        let response = self.follow(&method, &ask, usual.as_ref()).await?;
        // The challenge of a host that the registry redirected to is none of ours.
        if response.status() != StatusCode::UNAUTHORIZED || response.url().origin() != self.registry.origin() {
            return Ok(response);
        }
        let answer = self.auth.answer(&self.client, &response, ask.scope, usual.as_ref()).await?;
        self.follow(&method, &ask, Some(&answer)).await
    }

    /// Sends a request, and of a blob follows a few redirects, but none that leaves TLS. Another host gets no
    /// authorization, and none after it.
    async fn follow(
        &self,
        method: &Method,
        ask: &Ask<'_>,
        mut authorization: Option<&HeaderValue>,
    ) -> Result<Response, CatalogError> {
        let mut url = ask.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            if let Some(pace) = &self.pace {
                pace.turn().await;
            }
            let mut request = self.client.request(method.clone(), url.clone());
            if let Some(accept) = ask.accept {
                request = request.header(ACCEPT, accept);
            }
            if let Some(authorization) = authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            let response = send(&url, request).await?;
            let Some(target) = redirect(&response).filter(|_| ask.is_blob) else { return Ok(response) };
            if url.scheme() == "https" && target.scheme() != "https" {
                return Err(CatalogError::Malformed(of_server(&url, "a redirect from TLS to plain HTTP")));
            }
            if target.origin() != url.origin() {
                authorization = None;
            }
            url = target;
        }
        Err(CatalogError::Malformed(of_server(&url, "too many redirects")))
    }
}
