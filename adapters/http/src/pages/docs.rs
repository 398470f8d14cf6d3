//! The API's documentation: Swagger UI in the frame of the site.

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use poem::{EndpointExt, Response, endpoint::make_sync, get, http::header, web::headers::HeaderValue};
use sha2::{Digest, Sha256};

use super::{
    layout::{Layout, Section, tagged},
    site::Site,
};
use crate::{Resource, quirks::SwaggerUi};

#[derive(Template)]
#[template(path = "docs.html")]
struct Docs<'a> {
    layout: Layout<'a>,
    swagger_ui: SwaggerUi<'a>,
}

/// The page that shows a document, as the framework makes it. It does not change while the server runs.
pub(crate) fn resource(site: &Site, swagger_ui: &str) -> Resource {
    let swagger_ui = SwaggerUi::of_page(swagger_ui);
    let policy = policy(&swagger_ui);
    let html = Docs { layout: Layout::new(site, Section::Api, "API"), swagger_ui }.render();
    let html =
        html.map_err(|error| tracing::error!(%error, "The page of the API could not be made")).unwrap_or_default();
    let answer = make_sync(move |_| {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::CONTENT_SECURITY_POLICY, policy.clone())
            .body(html.clone())
    });
    Resource::new("/docs", get(answer).around(tagged))
}

/// What the page may do: what every page may, run the very scripts of Swagger UI, and have the styles it makes while it
/// runs.
fn policy(SwaggerUi { scripts, .. }: &SwaggerUi<'_>) -> HeaderValue {
    let hash = |script: &String| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script)));
    let scripts = scripts.iter().map(hash).collect::<Vec<_>>().join(" ");
    let policy = format!(
        "default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 and words are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_the_scripts_of_the_page_and_no_other() {
        let swagger_ui = SwaggerUi { style: "", scripts: vec!["alert(1)".to_owned()] };
        let policy = policy(&swagger_ui);
        // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
        let expected = "script-src 'self' 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';";
        assert!(policy.to_str().unwrap().contains(expected), "{policy:?}");
    }
}
