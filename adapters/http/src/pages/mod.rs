//! The web pages: complete without JavaScript, with nothing from any other host.
//!
//! A page is a file here and a template of the same name. `layout` and `list` are what pages have in common, `chosen` is
//! what a page counts and `chooser` lets people choose it, `change` compares it with the period before, `chart` draws,
//! `text` puts numbers and times into words, `kinds` names artifacts, `links` says which addresses from outside may be
//! links, and `embed` has what stands in pages of others. `folder` and `found` are parts of the home page. A page also says
//! which tables it gives as CSV: `table` is what they have in common, and `export` is their route. No page imports from
//! another. Templates escape all they are given: names and labels of the registry are untrusted text.

mod addresses;
mod assets;
mod change;
mod chart;
mod chooser;
mod chosen;
mod cleanup;
pub(crate) mod docs;
mod embed;
mod error;
mod export;
mod folder;
mod found;
mod home;
mod insights;
mod kinds;
mod layout;
mod links;
mod list;
mod list_parameters;
mod parameters;
mod repository;
mod set_up;
mod site;
mod status;
mod table;
pub(crate) mod text;

pub(crate) use addresses::{folder_address, repository_address, search_address};
pub(crate) use error::of_status;
pub(crate) use export::error_examples;
pub(crate) use layout::tagged;
pub(crate) use parameters::query_of;
pub(crate) use site::Site;

use std::sync::Arc;

use poem::{
    Endpoint, EndpointExt, Response, RouteMethod, get, handler,
    http::{StatusCode, header},
    web::Data,
};

use crate::{Resource, access::Rule};

/// The pages, and what belongs to them.
pub(crate) fn resources(site: &Arc<Site>) -> [Resource; 10] {
    let page = |path, method| Resource::new(path, with_site(method, site));
    [
        page("/", get(home::show)),
        page("/repo/*name", get(repository::show)),
        page("/insights", get(insights::show)),
        page("/cleanup", get(cleanup::show)),
        page("/status", get(status::show)),
        page("/badge/*name", get(embed::badge::show)).behind(Rule::Badge),
        page("/chart/*name", get(embed::chart::show)).behind(Rule::Badge),
        page("/export/:table", get(export::show)),
        page("/assets/*file", get(show_asset)),
        page("/favicon.ico", get(show_icon)),
    ]
}

/// A page with its entity tag.
fn with_site(method: RouteMethod, site: &Arc<Site>) -> impl Endpoint<Output = Response> + use<> {
    method.around(tagged).data(site.clone())
}

#[handler]
fn show_asset(Data(site): Data<&Arc<Site>>, request: &poem::Request) -> Response {
    site.assets.get(request.uri().path()).unwrap_or_else(|| {
        error::of_status(site, StatusCode::NOT_FOUND, "This file belongs to another version of the pages.")
    })
}

/// Browsers ask for this whatever the page says. Not for ever: another version has its icon elsewhere.
#[handler]
fn show_icon(Data(site): Data<&Arc<Site>>) -> Response {
    Response::builder().status(StatusCode::FOUND).header(header::LOCATION, &site.assets.icon.path).finish()
}
