//! `GET /`: the repositories, and how much they are pulled.

use std::sync::Arc;

use askama::Template;
use poem::{Request, Response, handler, http::StatusCode, web::Data};
use staticreg_application::{
    aside::aside,
    browse::{
        Compared, Folder, FolderDays, Listing, ListingQuestion, ListingRow, Overview, Presence, PullCounts, Shown, Sort,
    },
};
use staticreg_domain::Platform;

use super::{
    addresses::{folder_address_in, repository_address_in},
    change::Change,
    chart::{Share, Sparkline},
    chooser::Chooser,
    chosen::Chosen,
    folder::FolderSection,
    found::FoundSection,
    kinds::artifact_name,
    layout::{Figure, Layout, RENEWED_SOON, Section, balance, origin, page},
    list::{Column, Pages},
    list_parameters::{ListParameters, PER_PAGE, address, own_parameters},
    parameters::Parameters,
    set_up,
    site::Site,
    table::{NoTable, Table, time, with_head},
    text::{self, Moment},
};

/// Platforms named in a row.
const PLATFORMS_SHOWN: usize = 4;

/// How many folders are shown before the rest is folded up.
const FOLDERS_SHOWN: usize = 12;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    layout: Layout<'a>,
    state: State,
    has_registry: bool,
    /// What goes into the registry's, for the first steps.
    configuration: String,
    figures: Vec<Figure>,
    /// What the folder comes to that is shown.
    folder: Option<FolderSection>,
    trend: Option<Sparkline>,
    read_at: Option<Moment>,
    query: &'a ListParameters,
    chooser: Chooser,
    /// What the search keeps.
    kept: Vec<(&'static str, String)>,
    /// Whether there is a period before to compare with.
    compared: bool,
    path: Vec<FolderLink>,
    folders: Vec<FolderLink>,
    more_folders: Vec<FolderLink>,
    columns: Vec<Column>,
    rows: Vec<Row>,
    choices: Vec<PresenceChoice>,
    found: String,
    found_tags: Option<FoundSection>,
    pages: Pages,
    csv: String,
    /// What became of the events that the registry sent.
    balance: Option<String>,
}

/// What there is to show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Repositories.
    Listed,
    /// No repository is there.
    Empty,
    /// Nobody can tell yet: the pulls are not known, and no registry is.
    Unknown,
    /// Nobody can tell: neither the store nor the registry ever answered.
    Unanswered,
}

impl State {
    fn from_overview(overview: &Overview) -> Self {
        let is_registry_away = || {
            let snapshot = overview.snapshot.as_ref();
            snapshot.is_none_or(|snapshot| snapshot.status().fault.is_some())
        };
        match &overview.pull_counts {
            _ if !overview.is_empty() => Self::Listed,
            pull_counts if pull_counts.value.is_some() => Self::Empty,
            pull_counts if pull_counts.away && is_registry_away() => Self::Unanswered,
            _ => Self::Unknown,
        }
    }
}

struct FolderLink {
    name: String,
    address: String,
    /// What it comes to; nothing to say of those above.
    totals: String,
}

struct Row {
    folder: String,
    name: String,
    address: String,
    /// What it holds that is no image.
    artifacts: Vec<&'static str>,
    platforms: Vec<String>,
    more_platforms: usize,
    tags: String,
    size: String,
    last_push: Option<Moment>,
    pulls: String,
    sparkline: Option<Sparkline>,
    /// Its part of the most, where no days are known.
    share: Option<Share>,
    change: Option<Change>,
    last_pull: Option<Moment>,
    /// Whether the registry is known not to hold it.
    gone: bool,
}

/// A choice of what to list.
struct PresenceChoice {
    label: String,
    address: String,
    chosen: bool,
}

#[handler]
pub(super) async fn show(Data(site): Data<&Arc<Site>>, request: &Request) -> Response {
    let parameters = Parameters::from_request(request);
    let (query, origin) = (ListParameters::from_parameters(&parameters), origin(request));
    let chosen = Chosen::from_parameters(&parameters, &site.browse).await;
    let folder = async {
        let folder = query.folder().parse().ok()?;
        Some(site.browse.folder(&folder, &chosen.question).await)
    };
    let (overview, folder) = futures_util::join!(site.browse.overview_of(&chosen.question), folder);
    let site = Arc::clone(site);
    aside(move || page_of(&site, &query, &chosen, &origin, &overview, folder.as_ref())).await
}

fn page_of(
    site: &Site,
    query: &ListParameters,
    chosen: &Chosen,
    origin: &str,
    overview: &Overview,
    folder: Option<&Shown<FolderDays>>,
) -> Response {
    let now = site.now();
    let listing = overview.listing(&query.question);
    let title = query.question.folder.clone().unwrap_or_else(|| "Repositories".to_owned());
    let mut layout = Layout::new(site, Section::Repositories, title);
    match &overview.period {
        Some(period) if overview.pull_counts.value.is_some() && !overview.pull_counts.away => {
            layout.about_counts(period, now);
        }
        _ => layout.about_counts(&overview.pull_counts, now),
    }
    layout.about(chosen);
    let is_coming = |folder: &Shown<FolderDays>| folder.value.is_none() && !folder.away;
    if overview.before.as_ref().is_some_and(|before| before.value.is_none() && !before.away)
        || folder.is_some_and(is_coming)
    {
        layout.renewed_after = Some(RENEWED_SOON);
    }
    layout.about_registry(site, overview.snapshot.as_deref(), now);
    layout.about_refusals(&site.access, now);
    let is_read = overview.snapshot.as_ref().is_some_and(|snapshot| snapshot.status().read_at.is_some());
    let most = listing.rows.iter().filter_map(|row| Some(row.counted?.count)).max().unwrap_or_default();
    let mut folders = folder_links(&listing.folders, &query.question, chosen, overview.counted().is_some());
    let found_tags = FoundSection::new(overview.find(query.search(), query.question.folder.as_deref()), chosen);
    let found = found(&listing);
    let more_folders = folders.split_off(FOLDERS_SHOWN.min(folders.len()));
    let days = folder.and_then(|folder| folder.value.as_deref());
    let home = Home {
        state: State::from_overview(overview),
        has_registry: overview.snapshot.is_some(),
        configuration: set_up::configuration(site, origin),
        figures: figures(overview, chosen),
        folder: listing
            .folder
            .as_ref()
            .map(|totals| FolderSection::new(query.folder(), totals, days, chosen, now.date_naive())),
        trend: overview.daily().and_then(|daily| Sparkline::of(&daily, &chosen.column())),
        read_at: overview
            .snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.status().read_at)
            .map(|read_at| Moment::new(read_at, now)),
        chooser: Chooser::new(chosen, "/", &own_parameters(&query.question)),
        kept: chosen.kept(),
        compared: chosen.question.before.is_some(),
        path: path(query.folder(), chosen),
        folders,
        more_folders,
        columns: columns(&query.question, chosen),
        rows: listing.rows.iter().map(|row| self::row(row, query.folder(), chosen, most, now, is_read)).collect(),
        choices: choices(&listing, &query.question, chosen),
        found: found_tags.as_ref().map_or(found.clone(), |tags| format!("{found}, {}", tags.words())),
        found_tags,
        pages: Pages::new(listing.page, listing.pages, |page| {
            address("/", &ListingQuestion { page, ..query.question.clone() }, chosen)
        }),
        csv: address("/export/repositories.csv", &ListingQuestion { page: 1, ..query.question.clone() }, chosen),
        layout,
        query,
        balance: balance(&site.receive.balance()),
    };
    page(&home, StatusCode::OK)
}

/// What may be listed; nothing to choose while nothing is gone.
fn choices(listing: &Listing, question: &ListingQuestion, chosen: &Chosen) -> Vec<PresenceChoice> {
    let Some(gone @ 1..) = listing.gone else { return Vec::new() };
    [
        (Presence::There, "In the registry".to_owned()),
        (Presence::Gone, format!("Gone ({})", text::number(gone as u64))),
        (Presence::Any, "All".to_owned()),
    ]
    .into_iter()
    .map(|(presence, label)| PresenceChoice {
        label,
        address: address("/", &ListingQuestion { presence, page: 1, ..question.clone() }, chosen),
        chosen: presence == question.presence,
    })
    .collect()
}

fn found(listing: &Listing) -> String {
    let found = text::count(listing.found as u64, "repository", "repositories");
    if listing.pages == 1 {
        return found;
    }
    let first = (listing.page - 1) * PER_PAGE;
    let (first, last) = (text::number(first as u64 + 1), text::number((first + listing.rows.len()) as u64));
    format!("{first} to {last} of {found}")
}

fn figures(overview: &Overview, chosen: &Chosen) -> Vec<Figure> {
    let mut figures = Vec::new();
    let pull_counts = overview.pull_counts.value.as_deref();
    let figure = |label, count: Option<u64>, note: String| {
        Figure::of_count(label, count.map(|count| Compared { count, before: None }), note)
    };
    match &overview.snapshot {
        Some(snapshot) => {
            // A registry that never answered is not empty.
            let is_known = snapshot.status().read_at.is_some() || snapshot.totals().repositories > 0;
            let totals = is_known.then(|| snapshot.totals());
            figures.push(figure("Repositories", totals.map(|totals| totals.repositories as u64), String::new()));
            let images = totals.map_or_else(String::new, |totals| {
                let images = text::count(totals.images as u64, "image", "images");
                format!("{images}, {}", text::size(totals.size))
            });
            figures.push(figure("Tags", totals.map(|totals| totals.tags as u64), images));
        }
        None => figures.push(figure(
            "Repositories",
            pull_counts.map(|pull_counts| pull_counts.repositories().len() as u64),
            "pulled from".into(),
        )),
    }
    let pulls = pull_counts.map(PullCounts::totals);
    figures.push(Figure::of_count(chosen.noun(), overview.counted(), chosen.words()));
    if chosen.question.is_of_all_pulls() {
        figures.push(figure("Pulls today", pulls.map(|pulls| pulls.today), String::new()));
        figures.push(figure("Pulls in all", pulls.map(|pulls| pulls.all), String::new()));
    }
    figures
}

fn row(
    row: &ListingRow,
    shown_folder: &str,
    chosen: &Chosen,
    most: u64,
    now: chrono::DateTime<chrono::Utc>,
    is_read: bool,
) -> Row {
    let ListingRow { name, tags, counted, days, counts, summary, last_pushed_at, in_registry } = row;
    let platforms = summary.as_ref().map(|summary| &*summary.platforms).unwrap_or_default();
    let artifacts = summary.as_ref().map(|summary| &*summary.artifacts).unwrap_or_default();
    let mut artifacts: Vec<&'static str> = artifacts.iter().filter_map(artifact_name).collect();
    artifacts.sort_unstable();
    artifacts.dedup();
    let shown = name.as_str().strip_prefix(shown_folder).map_or(name.as_str(), |rest| rest.trim_start_matches('/'));
    let (folder, own_name) = shown.rsplit_once('/').map_or(("", shown), |(folder, own_name)| (folder, own_name));
    let pulls = counted.map_or(0, |counted| counted.count);
    Row {
        folder: if folder.is_empty() { String::new() } else { format!("{folder}/") },
        name: own_name.to_owned(),
        address: repository_address_in(name, chosen),
        artifacts,
        platforms: platforms.iter().take(PLATFORMS_SHOWN).map(ToString::to_string).collect(),
        more_platforms: platforms.len().saturating_sub(PLATFORMS_SHOWN),
        size: summary.as_ref().map_or_else(|| "–".to_owned(), |summary| text::size(summary.size)),
        last_push: last_pushed_at.map(|at| Moment::new(at, now)),
        tags: tags.map_or_else(|| "–".to_owned(), |tags| text::number(tags as u64)),
        pulls: if counted.is_some() { text::number(pulls) } else { "–".to_owned() },
        sparkline: if pulls > 0 { Sparkline::new(days, &chosen.column()) } else { None },
        share: (pulls > 0 && days.is_empty()).then(|| Share::new(pulls, most)),
        change: counted.and_then(Change::new),
        last_pull: counts.as_ref().and_then(|counts| counts.last_pulled_at).map(|at| Moment::new(at, now)),
        gone: is_read && !in_registry,
    }
}

/// The folders above and the folder itself.
fn path(folder: &str, chosen: &Chosen) -> Vec<FolderLink> {
    folder
        .match_indices('/')
        .map(|(end, _)| &folder[..end])
        .chain((!folder.is_empty()).then_some(folder))
        .map(|path| FolderLink {
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            address: folder_address_in(path, chosen),
            totals: String::new(),
        })
        .collect()
}

fn folder_links(folders: &[Folder], question: &ListingQuestion, chosen: &Chosen, is_known: bool) -> Vec<FolderLink> {
    let of = |folder: &Folder| ListingQuestion { folder: Some(folder.path.clone()), page: 1, ..question.clone() };
    folders
        .iter()
        .map(|folder| FolderLink {
            name: format!("{}/", folder.name),
            address: address("/", &of(folder), chosen),
            totals: {
                let repositories = text::count(folder.repositories as u64, "repository", "repositories");
                let counted = || format!("{} {}", text::number(folder.count), chosen.what().to_lowercase());
                if is_known { format!("{repositories}, {}", counted()) } else { repositories }
            },
        })
        .collect()
}

fn columns(question: &ListingQuestion, counted: &Chosen) -> Vec<Column> {
    let is_compared = counted.question.before.is_some();
    // What is compared with nothing is sorted by the counts themselves.
    let sorted = if question.sort == Sort::Change && !is_compared { Sort::Pulls } else { question.sort };
    [
        ("Repository".to_owned(), "", Sort::Name),
        ("Tags".to_owned(), "number wide", Sort::Tags),
        ("Size".to_owned(), "number wide roomy", Sort::Size),
        ("Last push".to_owned(), "when wide roomy", Sort::LastPushed),
        (counted.column(), "number", Sort::Pulls),
        ("Change".to_owned(), "number wide", Sort::Change),
        ("Last pull".to_owned(), "when", Sort::LastPulled),
    ]
    .into_iter()
    .filter(|(.., sort)| *sort != Sort::Change || is_compared)
    .map(|(label, class, sort)| {
        let chosen = sorted == sort;
        let reverse = chosen && !question.reverse;
        let rising = (sort == Sort::Name) != question.reverse;
        Column {
            label,
            class,
            address: address("/", &ListingQuestion { sort, reverse, page: 1, ..question.clone() }, counted),
            sorted: chosen.then_some(if rising { "ascending" } else { "descending" }),
        }
    })
    .collect()
}

/// The repositories as CSV: all that the list has on its pages.
pub(super) async fn table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let chosen = Chosen::from_parameters(parameters, &site.browse).await;
    let overview = site.browse.overview_of(&chosen.question).await;
    if overview.pull_counts.value.is_none() || overview.counted().is_none() {
        return Err(NoTable::StoreAway);
    }
    let question =
        ListingQuestion { page: 1, per_page: usize::MAX, ..ListParameters::from_parameters(parameters).question };
    let list = aside(move || {
        let rows = overview.listing(&question).rows.into_iter().map(|row| {
            let (counts, counted) = (row.counts.unwrap_or_default(), row.counted.unwrap_or_default());
            vec![
                row.name.to_string(),
                row.tags.map(|tags| tags.to_string()).unwrap_or_default(),
                counted.count.to_string(),
                counted.before.map(|before| before.to_string()).unwrap_or_default(),
                counts.all.to_string(),
                time(counts.last_pulled_at),
                row.summary.as_ref().map(|summary| summary.size.to_string()).unwrap_or_default(),
                row.summary.map(|summary| joined(&summary.platforms)).unwrap_or_default(),
                time(row.last_pushed_at),
            ]
        });
        let (measure, before) = (chosen.measure(), chosen.measure_before());
        let head = [
            "repository",
            "tags",
            measure,
            &before,
            "pulls_total",
            "last_pulled_at",
            "size",
            "platforms",
            "last_pushed_at",
        ];
        with_head(&head, rows).of(chosen.counted())
    });
    Ok(list.await)
}

fn joined(platforms: &[Platform]) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
