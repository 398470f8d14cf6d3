//! The OpenAPI document.

use poem::{Endpoint, EndpointExt, Response, endpoint::make_sync, get, http::header};

use crate::{Resource, described::Described, pages::tagged};

/// The document in both its forms.
pub(crate) fn resources(Described { json, yaml }: Described) -> [Resource; 2] {
    [
        Resource::new("/openapi.json", content("application/json", json)),
        Resource::new("/openapi.yaml", content("application/yaml", yaml)),
    ]
}

/// What does not change while the server runs.
fn content(content_type: &'static str, content: String) -> impl Endpoint<Output = Response> + use<> {
    let answer = make_sync(move |_| {
        let response = Response::builder().content_type(content_type).header(header::CACHE_CONTROL, "no-cache");
        response.body(content.clone())
    });
    get(answer).around(tagged)
}
