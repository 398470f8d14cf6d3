//! `GET /repo/NAME`: a repository's page. With `?tag=` it is a tag's, and with `?compare=` beside that compares two.

mod commands;
mod compare;
pub(super) mod frame;
pub(super) mod image;
pub(super) mod tag;
pub(super) mod tags;

use std::sync::Arc;

use poem::{
    Request, Response, handler,
    web::{Data, Path},
};
use staticreg_domain::{RepositoryName, Tag};

use super::{chosen::Chosen, error::not_found, layout::origin, parameters::Parameters, site::Site};

#[handler]
pub(super) async fn show(Data(site): Data<&Arc<Site>>, Path(path): Path<String>, request: &Request) -> Response {
    let parameters = Parameters::from_request(request);
    let Ok(name) = RepositoryName::as_stored(&path) else {
        let detail = "Repository names are lower-case letters and digits, such as library/nginx.".to_owned();
        return not_found(site, "No repository can have this name".to_owned(), detail, Vec::new());
    };
    let chosen = Chosen::from_parameters(&parameters, &site.browse).await;
    let snapshot = site.browse.snapshot();
    let entry = snapshot.as_ref().and_then(|snapshot| snapshot.repository(&name)).cloned();
    match parameters.get("tag").map(str::parse::<Tag>) {
        Some(Ok(tag)) => tag::page_of(site, name, entry, tag, &parameters, chosen).await,
        Some(Err(_)) => {
            let detail = "Tags are letters, digits, “_”, “.” and “-”, at most 128.".to_owned();
            not_found(site, "No tag can have this name".to_owned(), detail, Vec::new())
        }
        None => tags::page_of(site, name, entry, parameters, chosen, origin(request)).await,
    }
}
