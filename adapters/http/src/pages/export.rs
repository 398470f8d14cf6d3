//! `GET /export/TABLE.csv`: every table of the pages as CSV.

use std::{borrow::Cow, sync::Arc};

use ::csv::Writer;
use chrono::{DateTime, Utc};
use poem::{
    IntoResponse, Request, Response, handler,
    http::{StatusCode, header},
    web::{Data, Path},
};
use staticreg_application::{
    aside::aside,
    browse::{Daily, ListingQuestion, RepositoryStatistics, Shown, Unused},
    catalog::{ImageDetails, ReadImageError, RepositoryEntry},
};
use staticreg_domain::{RepositoryName, Tag};

use super::{
    home::Query,
    insights::{by_kind, unused_days},
    parameters::Parameters,
    range::ChosenRange,
    repository::{
        tag::{self, NoImage},
        tags::chosen_tags,
    },
    site::Site,
};
use crate::{csv, problem::Problem};

/// The rows of a table, its head first.
type Table = Vec<Vec<String>>;

/// Why a table cannot be given.
enum NoTable {
    /// There is no such table, or a name is wrong.
    Unknown,
    /// The store does not answer.
    StoreAway,
    /// The registry does not answer.
    RegistryAway,
}

#[handler]
pub(super) async fn show(Data(site): Data<&Arc<Site>>, Path(file): Path<String>, request: &Request) -> Response {
    let Some(table) = file.strip_suffix(".csv") else {
        return problem(&NoTable::Unknown);
    };
    let rows = match read(site, table, request).await {
        Ok(rows) => rows,
        Err(reason) => return problem(&reason),
    };
    let response = Response::builder()
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{table}.csv\""));
    let write = move |writer: &mut Writer<Vec<u8>>| {
        rows.iter().try_for_each(|row| writer.write_record(row.iter().map(|cell| harmless(cell))))
    };
    aside(move || csv::answer(response, write)).await
}

fn problem(reason: &NoTable) -> Response {
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
    .into_response()
}

/// What a spreadsheet would take for a formula is marked as a text: labels and variables are untrusted.
fn harmless(cell: &str) -> Cow<'_, [u8]> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{cell}").into_bytes())
    } else {
        Cow::Borrowed(cell.as_bytes())
    }
}

async fn read(site: &Site, table: &str, request: &Request) -> Result<Table, NoTable> {
    let parameters = Parameters::of(request);
    let chosen = ChosenRange::of(&parameters, site.browse.ask());
    match table {
        "repositories" => repositories(site, request).await,
        "tags" => tags(site, parameters, &chosen).await,
        "digests" => {
            let tag = tag(&parameters)?.ok_or(NoTable::Unknown)?;
            let statistics = known(site.browse.repository(&repository(&parameters)?, Some(&tag), chosen.range).await)?;
            let rows = statistics.digests.iter().map(|digest| {
                vec![
                    digest.digest.to_string(),
                    digest.pulls.to_string(),
                    digest.first_pulled_on.to_string(),
                    time(Some(digest.last_pulled_at)),
                ]
            });
            Ok(with_head(&["digest", "pulls", "first_pulled_on", "last_pulled_at"], rows))
        }
        "daily" if parameters.get("repository").is_some() => {
            let (name, tag) = (repository(&parameters)?, tag(&parameters)?);
            let statistics = known(site.browse.repository(&name, tag.as_ref(), chosen.range).await)?;
            Ok(daily(&statistics.daily, "architecture", "pulls"))
        }
        "daily" => {
            let insights = known(site.browse.insights(chosen.range).await)?;
            Ok(daily(&insights.by_architecture, "architecture", "pulls"))
        }
        "kinds" => Ok(daily(&by_kind(&*known(site.browse.insights(chosen.range).await)?), "kind", "count")),
        "images" => {
            let insights = known(site.browse.insights(chosen.range).await)?;
            let rows = insights.images.iter().map(|image| {
                vec![
                    image.repository.to_string(),
                    image.tag.as_ref().map(ToString::to_string).unwrap_or_default(),
                    image.pulls.to_string(),
                    time(Some(image.last_pulled_at)),
                ]
            });
            Ok(with_head(&["repository", "tag", "pulls", "last_pulled_at"], rows))
        }
        "architectures" => {
            let insights = known(site.browse.insights(chosen.range).await)?;
            let rows = insights
                .architectures
                .iter()
                .map(|item| vec![item.architecture.to_string(), item.pulls.to_string(), item.repositories.to_string()]);
            Ok(with_head(&["architecture", "pulls", "repositories"], rows))
        }
        "unused" => {
            let unused = known(site.browse.unused(unused_days(&parameters)).await)?;
            Ok(aside(move || unused_images(&unused)).await)
        }
        "image" => {
            let facts = tag::facts(&image(site, &parameters).await?);
            Ok(with_head(&["fact", "value"], facts.into_iter().map(|(fact, value)| vec![fact.to_owned(), value])))
        }
        "labels" => {
            let image = image(site, &parameters).await?;
            Ok(pairs("label", image.configuration.as_deref().map(tag::labels)))
        }
        "environment" => {
            let image = image(site, &parameters).await?;
            Ok(pairs("variable", image.configuration.as_deref().map(tag::environment)))
        }
        "layers" => {
            let image = image(site, &parameters).await?;
            let rows = tag::layers(&image)
                .into_iter()
                .map(|layer| vec![layer.digest.to_string(), layer.media_type.clone(), layer.size.to_string()]);
            Ok(with_head(&["digest", "media_type", "size"], rows))
        }
        _ => Err(NoTable::Unknown),
    }
}

fn unused_images(unused: &Unused) -> Table {
    let rows = unused.images.iter().map(|image| {
        vec![
            image.repository.to_string(),
            image.tag.to_string(),
            image.size.map(|size| size.to_string()).unwrap_or_default(),
            time(image.created),
            time(image.last_pulled_at),
            image.version_checks.to_string(),
        ]
    });
    with_head(&["repository", "tag", "size", "created_at", "last_pulled_at", "version_checks"], rows)
}

/// The image of a tag, and of a platform.
async fn image(site: &Site, parameters: &Parameters) -> Result<ImageDetails, NoTable> {
    let (name, tag) = (repository(parameters)?, tag(parameters)?.ok_or(NoTable::Unknown)?);
    let snapshot = site.browse.snapshot();
    let entry = snapshot.as_ref().and_then(|snapshot| snapshot.repository(&name));
    let read = tag::read_image(site, &name, entry.map(AsRef::as_ref), &tag, parameters.get("platform"));
    read.await.map_err(|reason| match reason {
        NoImage::NotRead | NoImage::Unread(ReadImageError::Unavailable) => NoTable::RegistryAway,
        NoImage::NoRegistry | NoImage::NoTag | NoImage::Unread(_) => NoTable::Unknown,
    })
}

fn pairs(name: &str, pairs: Option<Vec<(String, String)>>) -> Table {
    with_head(&[name, "value"], pairs.unwrap_or_default().into_iter().map(|(name, value)| vec![name, value]))
}

async fn repositories(site: &Site, request: &Request) -> Result<Table, NoTable> {
    let overview = site.browse.overview().await;
    if overview.picture.value.is_none() {
        return Err(NoTable::StoreAway);
    }
    let question = ListingQuestion { page: 1, per_page: usize::MAX, ..Query::of(request).question };
    let list = aside(move || {
        let rows = overview.listing(&question).rows.into_iter().map(|row| {
            let counts = row.counts.unwrap_or_default();
            vec![
                row.name.to_string(),
                row.tags.map(|tags| tags.to_string()).unwrap_or_default(),
                counts.last_30_days().to_string(),
                counts.all.to_string(),
                time(counts.last_pulled_at),
            ]
        });
        with_head(&["repository", "tags", "pulls_last_30_days", "pulls_total", "last_pulled_at"], rows)
    });
    Ok(list.await)
}

async fn tags(site: &Site, parameters: Parameters, chosen: &ChosenRange) -> Result<Table, NoTable> {
    let name = repository(&parameters)?;
    let statistics = known(site.browse.repository(&name, None, chosen.range).await)?;
    let entry = site.browse.snapshot().and_then(|snapshot| snapshot.repository(&name).cloned());
    Ok(aside(move || tag_list(entry.as_deref(), &statistics, &parameters)).await)
}

fn tag_list(entry: Option<&RepositoryEntry>, statistics: &RepositoryStatistics, parameters: &Parameters) -> Table {
    let rows = chosen_tags(entry, Some(statistics), parameters).into_iter().map(|item| {
        let platforms = item.image.map(|image| &*image.platforms).unwrap_or_default();
        let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
        vec![
            item.tag.to_string(),
            item.digest.map(ToString::to_string).unwrap_or_default(),
            platforms.join(" "),
            item.image.map(|image| image.size.to_string()).unwrap_or_default(),
            time(item.image.and_then(|image| image.created)),
            item.counts.in_range.to_string(),
            item.counts.all.to_string(),
            time(item.counts.last_pulled_at),
        ]
    });
    let head = ["tag", "digest", "platforms", "size", "created_at", "pulls", "pulls_total", "last_pulled_at"];
    with_head(&head, rows)
}

fn daily(daily: &Daily, name: &str, what: &str) -> Table {
    let days = daily.range.from().iter_days().take_while(|date| *date <= daily.range.to()).enumerate();
    let rows = days.flat_map(|(index, date)| {
        daily
            .series
            .iter()
            .map(move |series| (series, series.days.get(index).copied().unwrap_or_default()))
            .filter(|(_, pulls)| *pulls > 0)
            .map(move |(series, pulls)| vec![date.to_string(), series.name.clone(), pulls.to_string()])
    });
    with_head(&["date", name, what], rows)
}

fn with_head(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    std::iter::once(head.iter().map(|name| (*name).to_owned()).collect()).chain(rows).collect()
}

fn known<V>(shown: Shown<V>) -> Result<Arc<V>, NoTable> {
    shown.value.ok_or(NoTable::StoreAway)
}

fn repository(parameters: &Parameters) -> Result<RepositoryName, NoTable> {
    parameters.parse("repository").ok_or(NoTable::Unknown)
}

fn tag(parameters: &Parameters) -> Result<Option<Tag>, NoTable> {
    parameters.get("tag").map(str::parse).transpose().map_err(|_| NoTable::Unknown)
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)).unwrap_or_default()
}
