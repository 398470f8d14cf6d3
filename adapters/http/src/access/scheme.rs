//! What the OpenAPI document says of who may post, and who may read.

use poem::{Request, RequestBody, Result};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

const TOKEN: &str = "webhook_token";
const PASSWORD: &str = "webhook_password";
const SIGNATURE: &str = "webhook_signature";
const USER: &str = "user";
const API_TOKEN: &str = "api_token";
const PROXY: &str = "proxy";

/// What a sender shows, for the document alone: the gate before the route has looked at it.
pub(crate) struct Proof;

fn scheme(scheme: &'static str, description: &'static str) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "http",
        description: Some(description),
        name: None,
        key_in: None,
        scheme: Some(scheme),
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}

fn header(name: &'static str, description: &'static str) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "apiKey",
        name: Some(name),
        key_in: Some("header"),
        scheme: None,
        ..scheme("", description)
    }
}

impl<'a> ApiExtractor<'a> for Proof {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let token = "One of `STATICREG_WEBHOOK_TOKENS`, or an API token with the scope `post`.";
        registry.create_security_scheme(TOKEN, scheme("bearer", token));
        let password = "The password is one of `STATICREG_WEBHOOK_TOKENS`, or an API token with the scope `post`; the \
                        user's name may be any.";
        registry.create_security_scheme(PASSWORD, scheme("basic", password));
        let signature = "`sha256=` and, in hexadecimal digits, the HMAC-SHA256 of the body by one of \
                         `STATICREG_WEBHOOK_SIGNATURE_SECRETS`. `X-Hub-Signature-256` is the same; the three headers of \
                         Standard Webhooks 1.0 sign the time as well.";
        registry.create_security_scheme(SIGNATURE, header("X-Registry-Signature-256", signature));
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![TOKEN, PASSWORD, SIGNATURE]
    }

    /// Where no token is configured, and where a network decides.
    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(_: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<()>) -> Result<Self> {
        Ok(Self)
    }
}

/// Who reads, for the document alone: the gate before the route has looked at it.
pub(crate) struct SignedIn;

impl<'a> ApiExtractor<'a> for SignedIn {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let user = "A user of `STATICREG_ACCESS_USERS_FILE`, where `STATICREG_ACCESS_READ` is `signed_in`; or any name, \
                    with an API token as its password.";
        registry.create_security_scheme(USER, scheme("basic", user));
        let token = "An API token with the scope `read`: `staticreg token create` makes one.";
        registry.create_security_scheme(API_TOKEN, scheme("bearer", token));
        let proxy = "Who has signed in, as a proxy of `STATICREG_HTTP_TRUSTED_PROXIES` says. The header is the one that \
                     `STATICREG_ACCESS_PROXY_HEADER` names.";
        registry.create_security_scheme(PROXY, header("Remote-User", proxy));
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![USER, API_TOKEN, PROXY]
    }

    /// Where anyone may read.
    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(_: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<()>) -> Result<Self> {
        Ok(Self)
    }
}
