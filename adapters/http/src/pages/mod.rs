//! The web pages: complete without JavaScript, with nothing from any other host.
//!
//! A page is a file here and a template of the same name; `chart` draws, `text` puts numbers and times into words,
//! `export` gives every table as CSV. Templates escape all they are given: names and labels of the registry are
//! untrusted text.

mod assets;
mod badge;
mod chart;
mod error;
mod export;
mod home;
mod insights;
pub(crate) mod layout;
mod parameters;
mod range;
mod repository;
mod tag;
mod text;

pub(crate) use error::of_status;

use std::sync::Arc;

use poem::{
    Endpoint, EndpointExt, Response, Route, get, handler,
    http::{StatusCode, header},
    web::Data,
};
use staticreg_application::browse::Browse;

use assets::Assets;
use layout::with_entity_tag;

/// What the pages need.
pub(crate) struct Site {
    browse: Browse,
    registry: Option<crate::Registry>,
    store: &'static str,
    assets: Assets,
}

impl Site {
    pub(crate) fn new(
        browse: Browse,
        registry: Option<crate::Registry>,
        store: &'static str,
    ) -> Self {
        Self { browse, registry, store, assets: Assets::new() }
    }

    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.browse.ask().now()
    }

    /// What stands before a repository's name in a command.
    fn host(&self) -> &str {
        self.registry.as_ref().map_or("REGISTRY", |registry| &registry.host)
    }
}

/// Adds the pages to the routes.
pub(crate) fn routes(routes: Route, site: &Arc<Site>) -> Route {
    let page = |endpoint| with_site(endpoint, site);
    routes
        .at("/", page(get(home::home)))
        .at("/repo/*name", page(get(repository::repository)))
        .at("/insights", page(get(insights::insights)))
        .at("/badge/*name", page(get(badge::badge)))
        .at("/export/:table", page(get(export::export)))
        .at("/assets/*file", page(get(asset)))
        .at("/favicon.ico", page(get(icon)))
}

/// A page with its entity tag.
fn with_site(endpoint: impl Endpoint<Output = Response> + 'static, site: &Arc<Site>) -> impl Endpoint + use<> {
    endpoint
        .around(|endpoint, request| async move {
            let headers = request.headers().clone();
            Ok(with_entity_tag(&headers, endpoint.call(request).await?).await)
        })
        .data(site.clone())
}

#[handler]
fn asset(site: Data<&Arc<Site>>, request: &poem::Request) -> Response {
    site.assets.get(request.uri().path()).unwrap_or_else(|| {
        error::of_status(&site, StatusCode::NOT_FOUND, "This file belongs to another version of the pages.")
    })
}

/// Browsers ask for this whatever the page says.
#[handler]
fn icon(site: Data<&Arc<Site>>) -> Response {
    Response::builder().status(StatusCode::MOVED_PERMANENTLY).header(header::LOCATION, &site.assets.icon.path).finish()
}
