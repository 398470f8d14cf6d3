//! Requests to the registry: authorized, and bounded in time and size.

use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue},
    redirect::{Attempt, Policy},
};
use staticreg_domain::catalog::CatalogError;

use crate::{
    auth::Auth,
    options::{InvalidOptions, RegistryOptions},
};

/// More redirects than this lead nowhere.
const MOST_REDIRECTS: usize = 5;

/// The HTTP client of one registry.
pub(crate) struct Transport {
    client: Client,
    registry: Url,
    auth: Auth,
}

/// What a request asks for.
pub(crate) struct Ask<'a> {
    /// An address on the registry.
    pub(crate) url: Url,
    /// What a token must allow.
    pub(crate) scope: &'a str,
    /// The media types that are understood, when it matters.
    pub(crate) accept: Option<&'a HeaderValue>,
}

/// A good answer.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Transport {
    pub(crate) fn new(options: &RegistryOptions) -> Result<Self, InvalidOptions> {
        let registry = options.base()?;
        let auth = Auth::new(registry.clone(), options)?;
        let user_agent = HeaderValue::from_str(&options.user_agent).map_err(|_| InvalidOptions::Text)?;
        let builder = || {
            let builder = Client::builder()
                .user_agent(user_agent.clone())
                .timeout(options.timeout)
                .redirect(Policy::custom(follow))
                .tls_danger_accept_invalid_certs(options.skip_tls_verify);
            // The environment's proxy is for the world outside.
            if registry.scheme() == "http" { builder.no_proxy() } else { builder }
        };
        let client = match builder().build() {
            // A system without CA certificates can still ask a registry without TLS.
            Err(_) if registry.scheme() == "http" => builder().tls_certs_only([]).build(),
            built => built,
        };
        Ok(Self { client: client.map_err(InvalidOptions::Client)?, registry, auth })
    }

    pub(crate) fn registry(&self) -> &Url {
        &self.registry
    }

    /// Asks and answers headers and body.
    pub(crate) async fn get(&self, ask: Ask<'_>, most_bytes: usize) -> Result<Answer, CatalogError> {
        let response = checked(self.send(Method::GET, ask).await?)?;
        Ok(Answer { headers: response.headers().clone(), body: body(response, most_bytes).await? })
    }

    /// Asks and answers headers.
    pub(crate) async fn head(&self, ask: Ask<'_>) -> Result<HeaderMap, CatalogError> {
        Ok(checked(self.send(Method::HEAD, ask).await?)?.headers().clone())
    }

    /// Sends a request, a second time with what the registry's challenge asks for.
    async fn send(&self, method: Method, ask: Ask<'_>) -> Result<Response, CatalogError> {
        let usual = self.auth.usual(&self.client, ask.scope).await?;
        let response = self.send_once(&method, &ask, usual.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        // The challenge of a host that the registry redirected to is none of ours.
        if response.url().origin() != self.registry.origin() {
            return Err(CatalogError::Denied("a host the registry redirects to refuses access".into()));
        }
        let answer = self.auth.answer(&self.client, response.headers(), ask.scope, usual.as_ref()).await?;
        self.send_once(&method, &ask, Some(&answer)).await
    }

    async fn send_once(
        &self,
        method: &Method,
        ask: &Ask<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, CatalogError> {
        let mut request = self.client.request(method.clone(), ask.url.clone());
        if let Some(accept) = ask.accept {
            request = request.header(ACCEPT, accept);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(unavailable)
    }
}

/// Follows a few redirects, such as of blobs to an object store, but none that leaves TLS. The client takes the
/// authorization off when the host changes.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from_tls = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > MOST_REDIRECTS {
        attempt.error("too many redirects")
    } else if from_tls && attempt.url().scheme() != "https" {
        attempt.error("a redirect from TLS to plain HTTP")
    } else {
        attempt.follow()
    }
}

/// What became of a request that had no answer.
pub(crate) fn unavailable(error: reqwest::Error) -> CatalogError {
    if error.is_redirect() { CatalogError::Malformed(error.into()) } else { CatalogError::Unavailable(error.into()) }
}

/// The answer when it is a good one.
pub(crate) fn checked(response: Response) -> Result<Response, CatalogError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let cause = || format!("{} answers {status}", response.url()).into();
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CatalogError::Denied(cause()),
        StatusCode::NOT_FOUND => CatalogError::NotFound,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => CatalogError::Unavailable(cause()),
        status if status.is_server_error() => CatalogError::Unavailable(cause()),
        _ => CatalogError::Malformed(cause()),
    })
}

/// The body of an answer, refused when it is longer than it may be.
pub(crate) async fn body(mut response: Response, most_bytes: usize) -> Result<Vec<u8>, CatalogError> {
    let too_long = || CatalogError::Malformed(format!("an answer of more than {most_bytes} bytes").into());
    let told = response.content_length().unwrap_or_default();
    if told > most_bytes as u64 {
        return Err(too_long());
    }
    let mut body = Vec::with_capacity(usize::try_from(told).unwrap_or_default());
    while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
        if body.len() + chunk.len() > most_bytes {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
