//! `GET /export/TABLE.csv`: every table of the pages as CSV. A new table is a line in `read`.

use std::{borrow::Cow, sync::Arc};

use ::csv::Writer;
use poem::{
    IntoResponse, Request, Response, handler,
    http::{StatusCode, header},
    web::{Data, Path},
};
use staticreg_application::aside::aside;

use super::{
    cleanup, folder, home, insights,
    parameters::Parameters,
    repository::{frame, image, tag, tags},
    site::Site,
    table::{NoTable, Table},
};
use crate::{csv, problem::Problem};

#[handler]
pub(super) async fn show(Data(site): Data<&Arc<Site>>, Path(file): Path<String>, request: &Request) -> Response {
    let Some(table) = file.strip_suffix(".csv") else {
        return problem(&NoTable::Unknown);
    };
    let Table { rows, counted } = match read(site, table, &Parameters::from_request(request)).await {
        Ok(table) => table,
        Err(reason) => return problem(&reason),
    };
    let whole_months = counted.and_then(|counted| Some((counted.dates, csv::granularity(counted)?)));
    // Who saves a file sees its name, and no header.
    let name = match &whole_months {
        Some((dates, _)) => format!("{table}_{}_{}.csv", dates.from(), dates.to()),
        None => format!("{table}.csv"),
    };
    let mut response = Response::builder()
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""));
    if let Some((_, granularity)) = whole_months {
        response = response.header(csv::GRANULARITY, granularity);
    }
    let write = move |writer: &mut Writer<Vec<u8>>| {
        rows.iter().try_for_each(|row| writer.write_record(row.iter().map(|cell| harmless(cell))))
    };
    aside(move || csv::answer(response, write)).await
}

fn problem(reason: &NoTable) -> Response {
    problem_of(reason).into_response()
}

/// One of each error that is the tables' own, for the document.
pub(crate) fn error_examples() -> [Problem; 2] {
    [&NoTable::Unknown, &NoTable::StoreAway].map(problem_of)
}

fn problem_of(reason: &NoTable) -> Problem {
    match reason {
        NoTable::Unknown => {
            Problem::new(StatusCode::NOT_FOUND, "There is no such table, or no such repository or tag.")
        }
        NoTable::StoreAway => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The store of pull metrics does not answer; try again.")
        }
        NoTable::RegistryAway => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The registry does not answer; try again.")
        }
    }
}

/// What a spreadsheet would take for a formula is marked as a text: labels and variables are untrusted.
fn harmless(cell: &str) -> Cow<'_, [u8]> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{cell}").into_bytes())
    } else {
        Cow::Borrowed(cell.as_bytes())
    }
}

async fn read(site: &Site, table: &str, parameters: &Parameters) -> Result<Table, NoTable> {
    match table {
        "repositories" => home::table(site, parameters).await,
        "tags" => tags::table(site, parameters).await,
        "digests" => tag::digests_table(site, parameters).await,
        "image" => image::facts_table(site, parameters).await,
        "labels" => image::labels_table(site, parameters).await,
        "environment" => image::environment_table(site, parameters).await,
        "layers" => image::layers_table(site, parameters).await,
        "attached" => image::attached_table(site, parameters).await,
        "daily" if parameters.get("repository").is_some() => frame::daily_table(site, parameters).await,
        "daily" if parameters.get("folder").is_some() => folder::daily_table(site, parameters).await,
        "daily" => insights::daily_table(site, parameters).await,
        "kinds" => insights::kinds_table(site, parameters).await,
        "images" => insights::images_table(site, parameters).await,
        "architectures" => insights::architectures_table(site, parameters).await,
        "unused" => insights::unused_table(site, parameters).await,
        "cleanup" => cleanup::table(site, parameters).await,
        _ => Err(NoTable::Unknown),
    }
}
