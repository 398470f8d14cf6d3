//! The OpenAPI document and Swagger UI.

use poem::{Route, endpoint::make_sync, get, web::Html};

/// The document in both its forms, and the page that shows it.
pub(crate) fn routes(document: &str, document_yaml: String, swagger_ui: String) -> Route {
    let json = document.to_owned();
    Route::new()
        .at(
            "/openapi.json",
            get(make_sync(move |_| poem::Response::builder().content_type("application/json").body(json.clone()))),
        )
        .at(
            "/openapi.yaml",
            get(make_sync(move |_| {
                poem::Response::builder().content_type("application/yaml").body(document_yaml.clone())
            })),
        )
        .at("/docs", get(make_sync(move |_| Html(swagger_ui.clone()))))
}
