//! What the OpenAPI document says of who may post, and who may read.

use poem::{Request, RequestBody, Result};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

const TOKEN: &str = "webhook_token";
const PASSWORD: &str = "webhook_password";
const USER: &str = "user";
const API_TOKEN: &str = "api_token";

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
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![TOKEN, PASSWORD]
    }

    /// Where no token is configured, and where a signature or a network decides.
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
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![USER, API_TOKEN]
    }

    /// Where anyone may read, and where a proxy says who has signed in.
    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(_: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<()>) -> Result<Self> {
        Ok(Self)
    }
}
