//! Credentials: basic authentication (RFC 7617) and the token flow of registries
//! (<https://distribution.github.io/distribution/spec/auth/token/>).

use std::{collections::HashMap, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use parking_lot::{Mutex, RwLock};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use serde_json::Value;
use staticreg_domain::catalog::CatalogError;
use staticreg_lenient::Lenient;
use tokio::time::Instant;

use crate::{
    challenge,
    exchange::{self, of_server},
    options::{InvalidOptions, RegistryOptions, is_loopback},
};

/// How long a token is good when its server does not tell (token authentication specification).
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);
/// No token is used longer than this without asking again.
const LONGEST_LIFETIME: Duration = Duration::from_hours(1);
/// A token is not used in the last moments of its life: it could end on the way.
const MARGIN: Duration = Duration::from_secs(5);
/// Tokens kept; each repository has its own.
const MAX_TOKENS: usize = 256;
/// The longest answer of a token server.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// Answers the registry's challenges.
pub(crate) struct Auth {
    registry: Url,
    /// The value of `Authorization` for basic authentication.
    basic: Option<HeaderValue>,
    /// What the registry asked for last.
    scheme: RwLock<Option<Scheme>>,
    /// By scope.
    tokens: Mutex<HashMap<String, Token>>,
}

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

struct Token {
    authorization: HeaderValue,
    good_until: Instant,
}

/// A challenge that can be answered: its scheme and, of a bearer's, the scope it asks for.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: Scheme,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct TokenJson {
    #[serde(default)]
    token: Lenient<String>,
    #[serde(default)]
    access_token: Lenient<String>,
    #[serde(default)]
    expires_in: Lenient<Value>,
}

impl TokenJson {
    /// The token, by whichever name it comes.
    fn token(&self) -> Option<&str> {
        let tokens = [&self.token, &self.access_token].into_iter().filter_map(|token| token.0.as_deref());
        tokens.map(str::trim).find(|token| !token.is_empty())
    }

    /// How long the token is good.
    fn lifetime(&self) -> Duration {
        let seconds = match &self.expires_in.0 {
            Some(Value::Number(seconds)) => seconds.as_f64(),
            Some(Value::String(seconds)) => seconds.trim().parse().ok(),
            _ => None,
        };
        // Nothing and less is what servers tell that do not know.
        let seconds = seconds.filter(|seconds| *seconds > 0.0);
        seconds.map_or(DEFAULT_LIFETIME, |seconds| Duration::from_secs_f64(seconds.min(LONGEST_LIFETIME.as_secs_f64())))
    }
}

impl Auth {
    pub(crate) fn new(registry: Url, options: &RegistryOptions) -> Result<Self, InvalidOptions> {
        let basic = options.user.as_ref().map(|user| {
            let password = options.password.as_deref().unwrap_or_default();
            sensitive(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
        });
        let basic = basic.transpose().map_err(|_| InvalidOptions::Text)?;
        Ok(Self { registry, basic, scheme: RwLock::default(), tokens: Mutex::default() })
    }

    /// The authorization for a scope, as far as it is known what the registry asks for.
    pub(crate) async fn usual(&self, client: &Client, scope: &str) -> Result<Option<HeaderValue>, CatalogError> {
        let scheme = self.scheme.read().clone();
        match scheme {
            None => Ok(None),
            Some(Scheme::Basic) => Ok(self.basic.clone()),
            Some(Scheme::Bearer { realm, service }) => {
                let kept = self.kept(scope);
                if kept.is_some() {
                    return Ok(kept);
                }
                self.fetch(client, realm, service.as_deref(), scope, scope).await.map(Some)
            }
        }
    }

    /// The authorization that a refusal (401) of a request asks for. `refused` is what the request carried.
    pub(crate) async fn answer(
        &self,
        client: &Client,
        refusal: &Response,
        scope: &str,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, CatalogError> {
        let denied = |cause| Err(CatalogError::Denied(of_server(refusal.url(), cause)));
        let Some(challenge) = choose(refusal.headers(), &self.registry) else {
            return denied("the answer is 401 and does not say how to authenticate");
        };
        *self.scheme.write() = Some(challenge.scheme.clone());
        match challenge.scheme {
            Scheme::Basic => match &self.basic {
                None => denied("it asks for a user and password"),
                Some(basic) if refused == Some(basic) => denied("it refuses the user or password"),
                Some(basic) => Ok(basic.clone()),
            },
            Scheme::Bearer { realm, service } => {
                let asked = challenge.scope.as_deref().unwrap_or(scope);
                self.fetch(client, realm, service.as_deref(), asked, scope).await
            }
        }
    }

    fn kept(&self, scope: &str) -> Option<HeaderValue> {
        let tokens = self.tokens.lock();
        tokens.get(scope).filter(|token| Instant::now() < token.good_until).map(|token| token.authorization.clone())
    }

    /// Asks for a token of one scope and keeps it under another: the one that requests are made with.
    async fn fetch(
        &self,
        client: &Client,
        mut realm: Url,
        service: Option<&str>,
        asked: &str,
        scope: &str,
    ) -> Result<HeaderValue, CatalogError> {
        let asked_at = Instant::now();
        realm
            .query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .extend_pairs(asked.split_ascii_whitespace().map(|scope| ("scope", scope)));
        let mut request = client.get(realm.clone());
        if let Some(basic) = &self.basic {
            if !self.may_see_password(&realm) {
                let cause = "the registry's token server is another host without TLS: it does not get the password";
                return Err(CatalogError::Denied(of_server(&realm, cause)));
            }
            request = request.header(AUTHORIZATION, basic.clone());
        }
        let response = exchange::send(&realm, request).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => {
                return Err(CatalogError::Denied(of_server(&realm, "it refuses the user or password")));
            }
            // Not to be taken for the registry's word on what was asked for.
            StatusCode::NOT_FOUND => {
                return Err(CatalogError::Malformed(of_server(&realm, "there is no token server")));
            }
            _ => {}
        }
        let malformed = |cause| CatalogError::Malformed(of_server(&realm, cause));
        let body = exchange::body(exchange::checked(response)?, MAX_TOKEN_BYTES).await?;
        let json: TokenJson = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
        let token = json.token().and_then(|token| sensitive(&format!("Bearer {token}")).ok());
        let authorization = token.ok_or_else(|| malformed("it answers without a token".to_owned()))?;
        let lifetime = json.lifetime();
        self.keep(
            scope,
            Token { authorization: authorization.clone(), good_until: asked_at + lifetime - lifetime.min(MARGIN) },
        );
        Ok(authorization)
    }

    fn keep(&self, scope: &str, token: Token) {
        let mut tokens = self.tokens.lock();
        if tokens.len() >= MAX_TOKENS {
            let now = Instant::now();
            tokens.retain(|_, token| now < token.good_until);
        }
        if tokens.len() >= MAX_TOKENS {
            // The catalog's own scope is asked for again and again, a repository's seldom; which goes matters little.
            let ends_first = tokens.iter().min_by_key(|(_, token)| token.good_until).map(|(scope, _)| scope.clone());
            ends_first.and_then(|scope| tokens.remove(&scope));
        }
        tokens.insert(scope.to_owned(), token);
    }

    /// Whether the password may be sent to a token server: over TLS, on this machine, or to the registry's own host
    /// when that gets it in plain text anyway.
    fn may_see_password(&self, realm: &Url) -> bool {
        let host = realm.host_str().unwrap_or_default();
        realm.scheme() == "https"
            || is_loopback(host)
            || (self.registry.scheme() == "http" && self.registry.host_str() == Some(host))
    }
}

/// The challenge to answer: a bearer's before basic.
fn choose(headers: &HeaderMap, registry: &Url) -> Option<Challenge> {
    let mut basic = None;
    for header in headers.get_all(WWW_AUTHENTICATE) {
        for challenge in challenge::parse(&String::from_utf8_lossy(header.as_bytes())) {
            if challenge.is("bearer") {
                // Of a realm without host the registry is the host.
                let realm = challenge.parameter("realm").and_then(|realm| {
                    if realm.starts_with('/') { registry.join(realm).ok() } else { Url::parse(realm).ok() }
                });
                if let Some(realm) = realm.filter(|realm| matches!(realm.scheme(), "http" | "https")) {
                    let parameter = |name| challenge.parameter(name).map(str::to_owned);
                    let scheme = Scheme::Bearer { realm, service: parameter("service") };
                    return Some(Challenge { scheme, scope: parameter("scope") });
                }
            } else if challenge.is("basic") {
                basic = Some(Challenge { scheme: Scheme::Basic, scope: None });
            }
        }
    }
    basic
}

/// A header's value that shows in no log.
fn sensitive(value: &str) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(value)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge_of(values: &[&str]) -> Option<Challenge> {
        let headers = values.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        choose(&headers.collect(), &"https://registry.example/".parse().unwrap())
    }

    #[test]
    fn a_bearers_challenge_is_chosen_before_basic() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let scheme = Scheme::Bearer { realm: realm.parse().unwrap(), service: service.map(str::to_owned) };
            Some(Challenge { scheme, scope: scope.map(str::to_owned) })
        };
        let realm = "https://auth.example/token";
        let basic = || Some(Challenge { scheme: Scheme::Basic, scope: None });
        for (values, expected) in [
            (
                &[r#"Bearer realm="https://auth.example/token",service="a, b",scope="repository:a/b:pull,push""#][..],
                bearer(realm, Some("a, b"), Some("repository:a/b:pull,push")),
            ),
            (&[r#"bearer REALM="https://auth.example/token",service="",scope="""#], bearer(realm, None, None)),
            (&[r#"Basic realm="x", Bearer realm="https://auth.example/token""#], bearer(realm, None, None)),
            (&[r#"Basic realm="x""#, "Bearer realm=https://auth.example/token"], bearer(realm, None, None)),
            (&["Basic realm=\"\u{e4}\""], basic()),
            (&[r#"Bearer realm="/token""#], bearer("https://registry.example/token", None, None)),
            (&[r#"Bearer realm="relative/token", Basic realm="x""#], basic()),
            (&[r#"Bearer realm="file:///etc/passwd""#], None),
            (&["Bearer"], None),
            (&["Negotiate"], None),
            (&[], None),
        ] {
            assert_eq!(challenge_of(values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_token_and_its_lifetime_are_read_as_servers_send_them() {
        for (json, token, lifetime) in [
            (r#"{"token": "a", "expires_in": 300}"#, Some("a"), 300.0),
            (r#"{"token": "a", "access_token": "b"}"#, Some("a"), 60.0),
            (r#"{"token": "", "access_token": "b", "expires_in": "300"}"#, Some("b"), 300.0),
            (r#"{"token": null, "access_token": " b\n", "expires_in": " 299.5 "}"#, Some("b"), 299.5),
            (r#"{"token": 7, "access_token": "b", "expires_in": 0.5}"#, Some("b"), 0.5),
            (r#"{"token": "a", "expires_in": -1}"#, Some("a"), 60.0),
            (r#"{"token": "a", "expires_in": "-300"}"#, Some("a"), 60.0),
            (r#"{"token": "a", "expires_in": 0}"#, Some("a"), 60.0),
            (r#"{"token": "a", "expires_in": null}"#, Some("a"), 60.0),
            (r#"{"token": "a", "expires_in": "soon"}"#, Some("a"), 60.0),
            (r#"{"token": "a", "expires_in": "NaN"}"#, Some("a"), 60.0),
            (r#"{"token": "a", "expires_in": {}}"#, Some("a"), 60.0),
            (r#"{"token": "a", "expires_in": 18446744073709551616000}"#, Some("a"), 3_600.0),
            (r#"{"token": "a", "expires_in": 1e400}"#, Some("a"), 60.0),
            (r#"{"token": "a", "expires_in": "inf"}"#, Some("a"), 3_600.0),
            (r#"{"token": " ", "access_token": ""}"#, None, 60.0),
            ("{}", None, 60.0),
        ] {
            let read: TokenJson = serde_json::from_str(json).expect(json);
            assert_eq!((read.token(), read.lifetime()), (token, Duration::from_secs_f64(lifetime)), "{json}");
        }
    }

    #[test]
    fn the_password_goes_to_another_host_over_tls_only() {
        let auth = |registry: &str| Auth {
            registry: registry.parse().unwrap(),
            basic: None,
            scheme: RwLock::default(),
            tokens: Mutex::default(),
        };
        for (registry, realm, expected) in [
            ("https://registry.example/", "https://auth.example/token", true),
            ("https://registry.example/", "http://auth.example/token", false),
            ("https://registry.example/", "http://registry.example/token", false),
            ("http://registry:5000/", "http://registry:5001/token", true),
            ("http://registry:5000/", "http://auth:5001/token", false),
            ("http://registry:5000/", "http://localhost:5001/token", true),
            ("http://registry:5000/", "http://127.0.0.1:5001/token", true),
            ("http://registry:5000/", "http://[::1]:5001/token", true),
        ] {
            assert_eq!(auth(registry).may_see_password(&realm.parse().unwrap()), expected, "{registry} {realm}");
        }
    }

    #[tokio::test]
    async fn tokens_kept_are_few() {
        let auth = Auth {
            registry: "http://registry/".parse().unwrap(),
            basic: None,
            scheme: RwLock::default(),
            tokens: Mutex::default(),
        };
        for n in 0..2 * MAX_TOKENS {
            let good_until = Instant::now() + Duration::from_mins(1);
            auth.keep(&n.to_string(), Token { authorization: HeaderValue::from_static("x"), good_until });
        }
        assert_eq!(auth.tokens.lock().len(), MAX_TOKENS);
        assert!(auth.kept(&(2 * MAX_TOKENS - 1).to_string()).is_some());
    }
}
