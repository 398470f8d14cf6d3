//! The OpenAPI document and Swagger UI.

use base64::{Engine, engine::general_purpose::STANDARD};
use poem::{Endpoint, EndpointExt, Response, endpoint::make_sync, get, http::header, web::headers::HeaderValue};
use sha2::{Digest, Sha256};

use crate::{Resource, pages::tagged, quirks};

/// The document in both its forms, and the page that shows it.
pub(crate) fn resources(document: &str, document_yaml: &str, swagger_ui: &str) -> [Resource; 3] {
    let [document, document_yaml, swagger_ui] = [document, document_yaml, swagger_ui].map(quirks::completed);
    let swagger_ui = quirks::framed(&swagger_ui, HEAD, BODY);
    let policy = policy(&swagger_ui);
    [
        Resource::new("/openapi.json", content("application/json", document, None)),
        Resource::new("/openapi.yaml", content("application/yaml", document_yaml, None)),
        Resource::new("/docs", content("text/html; charset=utf-8", swagger_ui, Some(policy))),
    ]
}

/// In the head of Swagger UI's page. It knows no dark look of its own: where people prefer one, its colours are turned
/// around, but those of code, which is dark as it is.
const HEAD: &str = "<title>staticreg API</title>
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
    <style>
    .back { max-width: 1460px; margin: 0 auto; padding: 16px 20px 0; font-family: sans-serif; font-size: 16px; }
    .back a { color: #0b6b64; }
    @media (prefers-color-scheme: dark) {
        html { background: #1a1a1a; }
        body { background: #fff; filter: invert(.9) hue-rotate(180deg); }
        .microlight { filter: invert(1) hue-rotate(180deg); }
    }
    </style>";

/// The way from there to the pages, above the place that Swagger UI fills.
const BODY: &str = "<nav class=\"back\" aria-label=\"Site\"><a href=\"/\">Back to staticreg</a></nav>
<div id=\"ui\"></div>";

/// What does not change while the server runs.
fn content(
    content_type: &'static str,
    content: String,
    policy: Option<HeaderValue>,
) -> impl Endpoint<Output = Response> + use<> {
    let answer = make_sync(move |_| {
        let response = Response::builder().content_type(content_type).header(header::CACHE_CONTROL, "no-cache");
        let mut response = response.body(content.clone());
        response.headers_mut().extend(policy.clone().map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
        response
    });
    get(answer).around(tagged)
}

/// What Swagger UI's page may do: run the very scripts it holds, and ask this server. Its styles are its own too, but
/// some it makes while it runs.
fn policy(html: &str) -> HeaderValue {
    let hash = |script| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script)));
    let scripts = inline_scripts(html).map(hash).collect::<Vec<_>>().join(" ");
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 and words are visible ASCII")
}

/// The contents of the script elements. What looks like the beginning of one inside a script is part of it.
fn inline_scripts(mut html: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (_, element) = html.split_once("<script")?;
        let (_, content) = element.split_once('>')?;
        let (script, rest) = content.split_once("</script>")?;
        html = rest;
        Some(script)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_the_scripts_of_the_page_and_no_other() {
        let html = "<head><script charset=\"UTF-8\">one('<script>')</script></head><script>\ntwo()\n</script>";
        assert_eq!(inline_scripts(html).collect::<Vec<_>>(), ["one('<script>')", "\ntwo()\n"]);
        let policy = policy("<script>alert(1)</script>");
        // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
        let expected = "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';";
        assert!(policy.to_str().unwrap().contains(expected), "{policy:?}");
    }
}
