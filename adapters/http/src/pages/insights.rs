//! `GET /insights`: what is pulled in all, and what is not.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use chrono::{DateTime, NaiveDate, Utc};
use poem::{Request, Response, handler, http::StatusCode, web::Data};
use staticreg_application::{
    aside::aside,
    browse::{Compared, Daily, Insights, Series, Shown, Unused, UnusedImage},
};
use staticreg_domain::{Architecture, metrics::AccessKind};

use super::{
    addresses::{csv_address, repository_address_in, tag_address_in, with_kept},
    change::Change,
    chart::{Chart, ChartInput, Share},
    chooser::{Chooser, RangeChoice},
    chosen::{Chosen, noun},
    layout::{Figure, Layout, RENEWED_SOON, Section, page},
    list::Pages,
    parameters::Parameters,
    site::Site,
    table::{NoTable, Table, daily, known, time, with_head},
    text::{self, Moment},
};

/// Unused images on a page.
const PER_PAGE: usize = 50;

/// For how many days an image may be unused, to choose from.
const UNUSED_CHOICES: [u32; 5] = [14, 30, 90, 180, 365];

const UNUSED_DEFAULT: u32 = 90;

/// The longest time an image may be unused, in days.
const UNUSED_MOST: u32 = 3_660;

#[derive(Template)]
#[template(path = "insights.html")]
struct InsightsPage<'a> {
    layout: Layout<'a>,
    chooser: Chooser,
    range_words: String,
    what: String,
    noun: &'static str,
    last: &'static str,
    figures: Vec<Figure>,
    by_architecture: Option<Chart>,
    by_kind: Option<Chart>,
    /// Whether the counts are known.
    known: bool,
    images: Vec<ImageRow>,
    images_csv: String,
    architectures: Vec<ArchitectureRow>,
    architectures_csv: String,
    unused: UnusedSection,
}

struct ImageRow {
    image: String,
    address: String,
    pulls: String,
    change: Option<Change>,
    share: Share,
    last_pull: Moment,
}

struct ArchitectureRow {
    name: String,
    pulls: String,
    change: Option<Change>,
    share: Share,
    repositories: String,
}

struct UnusedSection {
    days: u32,
    choices: Vec<RangeChoice>,
    /// What is known about how long was watched.
    watched: String,
    /// Whether it was watched for less than the time asked for.
    too_short: bool,
    /// Whether anything can be said.
    known: bool,
    /// Whether there is a registry that was not read to its end.
    unread: bool,
    found: String,
    rows: Vec<UnusedRow>,
    pages: Pages,
    csv: String,
    /// The page that tells what may go of these.
    cleanup: String,
}

struct UnusedRow {
    image: String,
    address: String,
    size: String,
    created: Option<Moment>,
    last_pull: Option<Moment>,
    version_checks: String,
}

/// For how many days images are unused.
fn unused_days(parameters: &Parameters) -> u32 {
    parameters.parse("unused").unwrap_or(UNUSED_DEFAULT).clamp(1, UNUSED_MOST)
}

#[handler]
pub(super) async fn show(Data(site): Data<&Arc<Site>>, request: &Request) -> Response {
    let parameters = Parameters::from_request(request);
    let chosen = Chosen::from_parameters(&parameters, &site.browse).await;
    let unused_days = unused_days(&parameters);
    let (shown, unused) = futures_util::join!(site.browse.insights(&chosen.question), site.browse.unused(unused_days));
    let now = site.now();
    let mut layout = Layout::new(site, Section::Insights, "Insights");
    layout.about_counts(&shown, now);
    layout.about_registry(site, site.browse.snapshot().as_deref(), now);
    layout.about(&chosen);
    if unused.value.is_none() && !unused.away {
        layout.renewed_after = Some(RENEWED_SOON);
    }
    let insights = shown.value.as_deref();
    let csv = |table: &str| csv_address(table, None, None, &chosen);
    let unused_value = unused_days.to_string();
    let own = [("unused", if unused_days == UNUSED_DEFAULT { "" } else { unused_value.as_str() })];
    let (by_architecture, by_kind) = insights.map(|insights| charts(insights, &chosen, now.date_naive(), csv)).unzip();
    let template = InsightsPage {
        chooser: Chooser::new(&chosen, "/insights", &own).with_intervals(&chosen),
        range_words: chosen.words(),
        what: chosen.what(),
        noun: chosen.noun(),
        last: chosen.last(),
        figures: figures(insights, &chosen),
        by_architecture,
        by_kind,
        known: insights.is_some(),
        images: insights.map(|insights| image_rows(insights, &chosen, now)).unwrap_or_default(),
        images_csv: csv("images"),
        architectures: insights.map(architecture_rows).unwrap_or_default(),
        architectures_csv: csv("architectures"),
        unused: UnusedSection {
            unread: site.registry.is_some() && !site.is_registry_read(),
            ..unused_section(&unused, unused_days, &chosen, &parameters, now)
        },
        layout,
    };
    page(&template, StatusCode::OK)
}

/// The kinds that are drawn: every kind of pull against the look-ups that fetched nothing.
const DRAWN: [(AccessKind, &str); 3] = [
    (AccessKind::PullByTag, "pulls by tag"),
    (AccessKind::VersionCheck, "version checks"),
    (AccessKind::PullByDigest, "pulls by digest"),
];

/// The days of the kinds that are drawn.
fn by_kind(counted: &BTreeMap<AccessKind, Daily>, like: &Daily) -> Daily {
    let Daily { range, months_before, .. } = *like;
    let length = usize::try_from((range.to() - range.from()).num_days() + 1).unwrap_or_default();
    let series = |(kind, name): (AccessKind, &str)| {
        let counted = counted.get(&kind).and_then(|daily| daily.series.first());
        Series { name: name.to_owned(), days: counted.map_or_else(|| vec![0; length], |series| series.days.clone()) }
    };
    Daily { range, months_before, series: DRAWN.map(series).into() }
}

/// The charts by architecture and by kind.
fn charts(insights: &Insights, chosen: &Chosen, today: NaiveDate, csv: impl Fn(&str) -> String) -> (Chart, Chart) {
    let before = insights.before.get(&chosen.question.kind);
    let chart =
        |id, title, daily, before, csv| ChartInput { id, title, daily, before, interval: chosen.interval, today, csv };
    let title = match &chosen.question.architecture {
        Some(_) => chosen.what(),
        None => format!("{} by architecture", chosen.noun()),
    };
    let kinds = by_kind(&insights.by_kind, &insights.by_architecture);
    let kinds_before = before.map(|before| by_kind(&insights.before, before));
    let of_architecture = |architecture: &Architecture| format!(" of {architecture}");
    let of_architecture = chosen.question.architecture.as_ref().map(of_architecture).unwrap_or_default();
    let kinds_title = format!("Pulls and version checks{of_architecture}");
    (
        Chart::stacked(chart("architectures", title, &insights.by_architecture, before, csv("daily"))),
        Chart::lines(chart("kinds", kinds_title, &kinds, kinds_before.as_ref(), csv("kinds"))),
    )
}

fn figures(insights: Option<&Insights>, chosen: &Chosen) -> Vec<Figure> {
    [AccessKind::PullByTag, AccessKind::VersionCheck, AccessKind::PullByDigest, AccessKind::Push]
        .map(|kind| Figure::of_count(noun(kind), insights.map(|insights| insights.total(kind)), chosen.words()))
        .into()
}

fn image_rows(insights: &Insights, chosen: &Chosen, now: DateTime<Utc>) -> Vec<ImageRow> {
    let most = insights.images.first().map_or(0, |(image, _)| image.pulls);
    insights
        .images
        .iter()
        .map(|(image, before)| {
            let (name, address) = match &image.tag {
                Some(tag) => (format!("{}:{tag}", image.repository), tag_address_in(&image.repository, tag, chosen)),
                None => (image.repository.to_string(), repository_address_in(&image.repository, chosen)),
            };
            ImageRow {
                image: name,
                address,
                pulls: text::number(image.pulls),
                change: Change::new(Compared { count: image.pulls, before: *before }),
                share: Share::new(image.pulls, most),
                last_pull: Moment::new(image.last_pulled_at, now),
            }
        })
        .collect()
}

fn architecture_rows(insights: &Insights) -> Vec<ArchitectureRow> {
    let whole = insights.architectures.iter().map(|(architecture, _)| architecture.pulls).sum();
    insights
        .architectures
        .iter()
        .map(|(architecture, before)| ArchitectureRow {
            name: architecture.architecture.to_string(),
            pulls: text::number(architecture.pulls),
            change: Change::new(Compared { count: architecture.pulls, before: *before }),
            share: Share::new(architecture.pulls, whole),
            repositories: text::number(architecture.repositories),
        })
        .collect()
}

fn unused_section(
    shown: &Shown<Unused>,
    days: u32,
    chosen: &Chosen,
    parameters: &Parameters,
    now: DateTime<Utc>,
) -> UnusedSection {
    let address = |days: u32, page: usize| {
        let (days, page) = (days.to_string(), if page > 1 { page.to_string() } else { String::new() });
        format!("{}#unused", with_kept("/insights", &[("unused", &days), ("unused_page", &page)], chosen))
    };
    let unused = shown.value.as_deref();
    let images = unused.map(|unused| unused.images.as_slice()).unwrap_or_default();
    let pages = images.len().div_ceil(PER_PAGE).max(1);
    let page = parameters.parse("unused_page").unwrap_or(1_usize).clamp(1, pages);
    let (watched, too_short) = watched(shown, days, now);
    let found = text::count(images.len() as u64, "image", "images");
    let size = unused.map_or(0, |unused| unused.size);
    UnusedSection {
        days,
        choices: UNUSED_CHOICES
            .into_iter()
            .map(|choice| RangeChoice {
                label: format!("{choice} days"),
                brief: "",
                address: address(choice, 1),
                chosen: choice == days,
            })
            .collect(),
        watched,
        too_short,
        unread: false,
        known: unused.is_some_and(|unused| unused.watched_since.is_some()),
        found: if size > 0 { format!("{found}, {}", text::size(size)) } else { found },
        rows: images
            .iter()
            .skip((page - 1) * PER_PAGE)
            .take(PER_PAGE)
            .map(|image| unused_row(image, chosen, now))
            .collect(),
        pages: Pages::new(page, pages, |page| address(days, page)),
        cleanup: with_kept("/cleanup", &[("unused_days", &days.to_string())], chosen),
        csv: text::address("/export/unused.csv", &[("unused", &days.to_string())]),
    }
}

/// How long was watched, and whether that is shorter than asked for.
fn watched(shown: &Shown<Unused>, days: u32, now: DateTime<Utc>) -> (String, bool) {
    let Some(unused) = shown.value.as_deref() else {
        let text =
            if shown.away { "The store is away." } else { "This is being worked out; it shows here in a moment." };
        return (text.to_owned(), false);
    };
    match unused.watched_since {
        None => ("Nothing was counted yet, so no image can be said to be unused.".to_owned(), false),
        Some(since) => {
            let watched = (now.date_naive() - since).num_days() + 1;
            (format!("Watched since {}.", text::date(since)), watched < i64::from(days))
        }
    }
}

fn unused_row(image: &UnusedImage, chosen: &Chosen, now: DateTime<Utc>) -> UnusedRow {
    let UnusedImage { repository, tag, size, created, last_pulled_at, version_checks } = image;
    UnusedRow {
        image: format!("{repository}:{tag}"),
        address: tag_address_in(repository, tag, chosen),
        size: size.map_or_else(|| "–".to_owned(), text::size),
        created: created.map(|at| Moment::new(at, now)),
        last_pull: last_pulled_at.map(|at| Moment::new(at, now)),
        version_checks: text::number(*version_checks),
    }
}

async fn insights(site: &Site, parameters: &Parameters) -> Result<(Arc<Insights>, Chosen), NoTable> {
    let chosen = Chosen::from_parameters(parameters, &site.browse).await;
    Ok((known(site.browse.insights(&chosen.question).await)?, chosen))
}

/// The pulls by day and architecture as CSV.
pub(super) async fn daily_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let (insights, chosen) = insights(site, parameters).await?;
    Ok(daily(&insights.by_architecture, "architecture", chosen.measure()))
}

/// What is counted by day and kind as CSV.
pub(super) async fn kinds_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let insights = insights(site, parameters).await?.0;
    Ok(daily(&by_kind(&insights.by_kind, &insights.by_architecture), "kind", "count"))
}

/// The most pulled images as CSV.
pub(super) async fn images_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let (insights, chosen) = insights(site, parameters).await?;
    let rows = insights.images.iter().map(|(image, before)| {
        vec![
            image.repository.to_string(),
            image.tag.as_ref().map(ToString::to_string).unwrap_or_default(),
            image.pulls.to_string(),
            before.map(|before| before.to_string()).unwrap_or_default(),
            time(Some(image.last_pulled_at)),
        ]
    });
    let head = ["repository", "tag", chosen.measure(), &chosen.measure_before(), chosen.last_at()];
    Ok(with_head(&head, rows).of(chosen.counted()))
}

/// The architectures as CSV.
pub(super) async fn architectures_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let (insights, chosen) = insights(site, parameters).await?;
    let rows = insights.architectures.iter().map(|(item, before)| {
        vec![
            item.architecture.to_string(),
            item.pulls.to_string(),
            before.map(|before| before.to_string()).unwrap_or_default(),
            item.repositories.to_string(),
        ]
    });
    let head = ["architecture", chosen.measure(), &chosen.measure_before(), "repositories"];
    Ok(with_head(&head, rows).of(chosen.counted()))
}

/// The unused images as CSV, those of all pages.
pub(super) async fn unused_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let unused = known(site.browse.unused(unused_days(parameters)).await)?;
    Ok(aside(move || unused_images(&unused)).await)
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
