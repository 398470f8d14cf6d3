//! `GET /repo/NAME`: a repository's tags and pulls. With `?tag=` the page is the [`super::tag`]'s.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use askama::Template;
use chrono::{DateTime, Utc};
use poem::{
    IntoResponse, Request, Response, handler,
    http::StatusCode,
    web::{Data, Path, Redirect},
};
use staticreg_application::{
    aside::aside,
    browse::{ListingQuestion, RepositoryStatistics, Shown, TagCounts},
    catalog::{ImageSummary, RepositoryEntry},
};
use staticreg_domain::{Digest, RepositoryName, Tag, catalog::Artifact, metrics::AccessKind};

use super::{
    Site,
    chart::{Chart, ChartInput},
    error::not_found,
    home::{Column, Figure, Pages, folder_address, order_name, repository_address},
    layout::{Layout, Notice, Part, origin, page},
    parameters::Parameters,
    range::{ChosenRange, RangeChoice},
    tag,
    text::{self, Moment},
};

/// Tags on a page.
const PER_PAGE: usize = 100;

/// Platforms named in a row of the table.
const PLATFORMS_SHOWN: usize = 4;

/// How many names are offered instead of one that is not there.
const SIMILAR: usize = 5;

#[derive(Template)]
#[template(path = "repository.html")]
struct RepositoryPage<'a> {
    layout: Layout<'a>,
    path: Vec<(String, String)>,
    own_name: String,
    name: &'a str,
    address: String,
    gone: bool,
    is_read: bool,
    read_at: Option<Moment>,
    commands: Vec<Command>,
    figures: Vec<Figure>,
    range_words: String,
    ranges: Vec<RangeChoice>,
    chart: Option<Chart>,
    search: &'a str,
    hidden: Vec<(&'static str, String)>,
    columns: Vec<Column>,
    rows: Vec<Row>,
    found: String,
    pages: Pages,
    truncated: bool,
    csv: String,
    badge: String,
    badge_markdown: String,
}

/// A command to copy.
pub(super) struct Command {
    /// What it is called: `the docker command`.
    pub(super) label: &'static str,
    pub(super) line: String,
}

/// How to fetch what a tag points to, by the tools it is made for.
pub(super) fn commands(site: &Site, name: &RepositoryName, tag: &Tag, artifact: &Artifact) -> Vec<Command> {
    let repository = format!("{}/{name}", site.host());
    let command = |label, line| Command { label, line };
    match artifact {
        Artifact::Image => vec![
            command("the docker command", format!("docker pull {repository}:{tag}")),
            command("the podman command", format!("podman pull {repository}:{tag}")),
        ],
        Artifact::Chart => {
            // Versions may hold a plus, which tags may not: Helm puts an underscore there.
            let version = tag.as_str().replace('_', "+");
            vec![command("the helm command", format!("helm pull oci://{repository} --version {version}"))]
        }
        Artifact::BuildCache => {
            let cache = format!("type=registry,ref={repository}:{tag}");
            vec![command("the docker command", format!("docker buildx build --cache-from {cache} ."))]
        }
        Artifact::Other(_) => vec![command("the oras command", format!("oras pull {repository}:{tag}"))],
    }
}

/// What people call it, when it is no image.
pub(super) fn artifact_name(artifact: &Artifact) -> Option<&'static str> {
    match artifact {
        Artifact::Image => None,
        Artifact::Chart => Some("Helm chart"),
        Artifact::BuildCache => Some("Build cache"),
        Artifact::Other(_) => Some("Artifact"),
    }
}

struct Row {
    tag: String,
    address: String,
    digest: Option<(String, String)>,
    /// What it is, when it is no image.
    artifact: Option<&'static str>,
    platforms: Vec<String>,
    more_platforms: usize,
    size: String,
    created: Option<Moment>,
    pulls: String,
    last_pull: Option<Moment>,
    /// Whether the registry is known not to hold it.
    gone: bool,
    commands: Vec<Command>,
}

/// A tag of the registry, of the counts, or of both.
pub(super) struct TagItem<'a> {
    pub(super) tag: &'a Tag,
    pub(super) digest: Option<&'a Digest>,
    pub(super) image: Option<&'a Arc<ImageSummary>>,
    pub(super) counts: TagCounts,
    in_registry: bool,
}

impl TagItem<'_> {
    /// What it is; an image as long as nobody knows better.
    fn artifact(&self) -> &Artifact {
        self.image.map_or(&Artifact::Image, |image| &image.artifact)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Size,
    Created,
    Pulls,
    LastPulled,
}

impl Sort {
    const ALL: [(Self, &'static str, &'static str, &'static str); 5] = [
        (Self::Name, "name", "Tag", ""),
        (Self::Size, "size", "Size", "number wide"),
        (Self::Created, "created", "Created", "when wide"),
        (Self::Pulls, "pulls", "Pulls", "number"),
        (Self::LastPulled, "last_pulled", "Last pull", "when"),
    ];

    fn of(parameters: &Parameters) -> Self {
        let wanted = parameters.get("sort");
        Self::ALL.into_iter().find(|(_, name, ..)| wanted == Some(name)).map_or(Self::Pulls, |(sort, ..)| sort)
    }

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(sort, ..)| *sort == self).map_or("", |(_, name, ..)| name)
    }

    fn order(self, items: &mut [TagItem<'_>], reverse: bool) {
        // Newer things first where nothing else tells: the image's age, then the name, which mostly is a version.
        items.sort_by(|a, b| {
            let created = |item: &TagItem<'_>| item.image.and_then(|image| image.created);
            (Reverse(created(a)), Reverse(a.tag)).cmp(&(Reverse(created(b)), Reverse(b.tag)))
        });
        match self {
            Self::Name => items.sort_by(|a, b| a.tag.cmp(b.tag)),
            Self::Size => items.sort_by_key(|item| Reverse(item.image.map(|image| image.size))),
            Self::Created => {}
            Self::Pulls => items.sort_by_key(|item| Reverse(item.counts.in_range)),
            Self::LastPulled => items.sort_by_key(|item| Reverse(item.counts.last_pulled_at)),
        }
        if reverse {
            items.reverse();
        }
    }
}

#[handler]
pub(super) async fn show(Data(site): Data<&Arc<Site>>, Path(path): Path<String>, request: &Request) -> Response {
    let parameters = Parameters::of(request);
    let Ok(name) = path.parse::<RepositoryName>() else {
        let detail = "Repository names are lower-case letters and digits, such as library/nginx.".to_owned();
        return not_found(site, "No repository can have this name".to_owned(), detail, Vec::new());
    };
    let chosen = ChosenRange::of(&parameters, site.browse.ask());
    let snapshot = site.browse.snapshot();
    let entry = snapshot.as_ref().and_then(|snapshot| snapshot.repository(&name)).cloned();
    match parameters.get("tag").map(str::parse::<Tag>) {
        Some(Ok(tag)) => tag::page_of(site, name, entry, tag, &parameters, chosen).await,
        Some(Err(_)) => {
            let detail = "Tags are letters, digits, “_”, “.” and “-”, at most 128.".to_owned();
            not_found(site, "No tag can have this name".to_owned(), detail, Vec::new())
        }
        None => page_of(site, name, entry, parameters, chosen, origin(request)).await,
    }
}

async fn page_of(
    site: &Arc<Site>,
    name: RepositoryName,
    entry: Option<Arc<RepositoryEntry>>,
    parameters: Parameters,
    chosen: ChosenRange,
    origin: String,
) -> Response {
    let shown = site.browse.repository(&name, None, chosen.range).await;
    if entry.is_none() && shown.value.as_deref().is_some_and(never_seen) {
        return unknown(site, &name).await;
    }
    let site = Arc::clone(site);
    aside(move || page_about(&site, &name, entry.as_deref(), &parameters, &chosen, &origin, &shown)).await
}

fn page_about(
    site: &Site,
    name: &RepositoryName,
    entry: Option<&RepositoryEntry>,
    parameters: &Parameters,
    chosen: &ChosenRange,
    origin: &str,
    shown: &Shown<RepositoryStatistics>,
) -> Response {
    let now = site.now();
    let layout = layout(site, name.as_str(), entry, shown, chosen, now);
    let statistics = shown.value.as_deref();
    let address = repository_address(name.as_str());
    let (sort, reverse) = (Sort::of(parameters), is_reverse(parameters));
    let search = parameters.get("q").unwrap_or_default();
    let range_parameters = chosen.parameters();
    let link = |path: &str, sort: Sort, reverse: bool, page: usize| {
        let page = if page > 1 { page.to_string() } else { String::new() };
        let mut all = vec![("q", search)];
        all.extend(path.starts_with("/export/").then_some(("repository", name.as_str())));
        all.extend(range_parameters.iter().map(|(name, value)| (*name, value.as_str())));
        all.extend([("sort", sort.name()), ("order", order_name(reverse)), ("page", &page)]);
        text::address(path, &all)
    };

    let in_all = tag_items(entry, statistics).len();
    let items = chosen_tags(entry, statistics, parameters);
    let is_read = is_read(site, entry);
    let best = items.iter().find(|item| item.in_registry).or(items.first().filter(|_| !is_read));
    let pages = items.len().div_ceil(PER_PAGE).max(1);
    let page_number = parameters.parse("page").unwrap_or(1_usize).clamp(1, pages);
    let rows: Vec<Row> = items
        .iter()
        .skip((page_number - 1) * PER_PAGE)
        .take(PER_PAGE)
        .map(|item| row(site, name, item, chosen, statistics.is_some(), is_read, now))
        .collect();
    let export = |table: &str| csv_address(table, name, None, chosen);
    let chart = statistics.map(|statistics| {
        Chart::stacked(ChartInput {
            id: "pulls",
            title: "Pulls by architecture".to_owned(),
            daily: &statistics.daily,
            today: now.date_naive(),
            csv: export("daily"),
        })
    });
    let badge = format!("/badge/{name}.svg");
    let (folders, own_name) = path(name.as_str());
    let template = RepositoryPage {
        path: folders,
        own_name,
        name: name.as_str(),
        gone: is_read && entry.is_none(),
        is_read: is_read || site.registry.is_none(),
        read_at: entry.and_then(|entry| entry.read_at).map(|at| Moment::new(at, now)),
        commands: best.map(|item| commands(site, name, item.tag, item.artifact())).unwrap_or_default(),
        figures: figures(statistics, chosen, Some(in_all), now),
        range_words: chosen.words(),
        ranges: chosen.choices(&address, &[("q", search), ("sort", sort.name()), ("order", order_name(reverse))]),
        chart,
        search,
        hidden: chosen
            .parameters()
            .into_iter()
            .chain([("sort", sort.name().to_owned()), ("order", order_name(reverse).to_owned())])
            .filter(|(_, value)| !value.is_empty())
            .collect(),
        columns: columns(sort, reverse, |sort, reverse| link(&address, sort, reverse, 1)),
        rows,
        found: text::count(items.len() as u64, "tag", "tags"),
        pages: Pages::new(page_number, pages, |page| link(&address, sort, reverse, page)),
        truncated: entry.is_some_and(|entry| entry.truncated),
        csv: link("/export/tags.csv", sort, reverse, 1),
        badge_markdown: format!("![pulls]({origin}{badge})"),
        badge,
        address: address.clone(),
        layout,
    };
    page(&template, StatusCode::OK)
}

/// The frame of a repository's or tag's page, with what people should know about it.
pub(super) fn layout<'a>(
    site: &'a Site,
    title: &str,
    entry: Option<&RepositoryEntry>,
    shown: &Shown<RepositoryStatistics>,
    chosen: &ChosenRange,
    now: DateTime<Utc>,
) -> Layout<'a> {
    let mut layout = Layout::new(site, Part::Repositories, title);
    layout.about_counts(shown, now);
    match entry {
        None => layout.about_registry(site.browse.snapshot().as_deref(), now),
        Some(entry) => {
            if let Some(fault) = &entry.fault {
                let at = Moment::new(fault.at, now).ago;
                layout.notices.push(Notice::warning(format!("{} This was seen {at}; older things stay.", fault.text)));
            }
        }
    }
    if let Some(notice) = &chosen.notice {
        layout.notices.push(Notice::warning(notice.text.clone()));
    }
    layout
}

/// Whether a repository's tags were read, all of them: only then can a page tell which it does not hold.
pub(super) fn is_read(site: &Site, entry: Option<&RepositoryEntry>) -> bool {
    entry.map_or_else(|| site.is_registry_read(), |entry| entry.read_at.is_some() && !entry.truncated)
}

/// Whether nothing was ever counted.
pub(super) fn never_seen(statistics: &RepositoryStatistics) -> bool {
    statistics.all == 0 && statistics.others.values().all(|count| *count == 0)
}

/// A name that may be a folder's, or a mistake.
async fn unknown(site: &Site, name: &RepositoryName) -> Response {
    let overview = site.browse.overview().await;
    let folder = Some(name.to_string());
    let last = name.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    let (inside, similar) = aside(move || {
        let listing = |question: ListingQuestion| overview.listing(&ListingQuestion { per_page: SIMILAR, ..question });
        let inside = listing(ListingQuestion { folder, ..Default::default() }).found;
        (inside, listing(ListingQuestion { search: last, ..Default::default() }).rows)
    })
    .await;
    if inside > 0 {
        return Redirect::see_other(folder_address(name.as_str())).into_response();
    }
    let similar = similar.into_iter().map(|row| row.name.to_string()).collect();
    let detail = format!("{name} is not in the registry, and was never pulled.");
    not_found(site, "No such repository".to_owned(), detail, similar)
}

/// The folders above a name, with their addresses, and its last part.
pub(super) fn path(name: &str) -> (Vec<(String, String)>, String) {
    let folders = name
        .match_indices('/')
        .map(|(end, _)| &name[..end])
        .map(|path| (path.rsplit('/').next().unwrap_or(path).to_owned(), folder_address(path)))
        .collect();
    (folders, name.rsplit('/').next().unwrap_or(name).to_owned())
}

pub(super) fn csv_address(table: &str, name: &RepositoryName, tag: Option<&Tag>, chosen: &ChosenRange) -> String {
    let range = chosen.parameters();
    let mut parameters = vec![("repository", name.as_str()), ("tag", tag.map_or("", Tag::as_str))];
    parameters.extend(range.iter().map(|(name, value)| (*name, value.as_str())));
    text::address(&format!("/export/{table}.csv"), &parameters)
}

pub(super) fn figures(
    statistics: Option<&RepositoryStatistics>,
    chosen: &ChosenRange,
    tags: Option<usize>,
    now: DateTime<Utc>,
) -> Vec<Figure> {
    let number = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), text::number);
    let last_pull = statistics
        .map(|statistics| statistics.last_pulled_at.map_or_else(|| "never".to_owned(), |at| Moment::new(at, now).ago));
    let mut figures = Vec::new();
    if let Some(tags) = tags {
        figures.push(Figure { label: "Tags", value: text::number(tags as u64), note: String::new() });
    }
    figures.push(Figure {
        label: "Pulls",
        value: number(statistics.map(|statistics| statistics.daily.total())),
        note: chosen.words(),
    });
    figures.push(Figure {
        label: "Version checks",
        value: number(statistics.map(|statistics| statistics.in_range(AccessKind::VersionCheck))),
        note: chosen.words(),
    });
    figures.push(Figure {
        label: "Pulls in all",
        value: number(statistics.map(|statistics| statistics.all)),
        note: String::new(),
    });
    figures.push(Figure {
        label: "Last pull",
        value: last_pull.unwrap_or_else(|| "–".to_owned()),
        note: String::new(),
    });
    figures
}

/// The tags that the address asks for, in its order.
pub(super) fn chosen_tags<'a>(
    entry: Option<&'a RepositoryEntry>,
    statistics: Option<&'a RepositoryStatistics>,
    parameters: &Parameters,
) -> Vec<TagItem<'a>> {
    let search = parameters.get("q").unwrap_or_default().to_lowercase();
    let mut items = tag_items(entry, statistics);
    items.retain(|item| {
        let tag = item.tag.as_str().to_lowercase();
        search.split_whitespace().all(|word| tag.contains(word))
    });
    Sort::of(parameters).order(&mut items, is_reverse(parameters));
    items
}

fn is_reverse(parameters: &Parameters) -> bool {
    parameters.get("order") == Some("reverse")
}

fn tag_items<'a>(entry: Option<&'a RepositoryEntry>, statistics: Option<&'a RepositoryStatistics>) -> Vec<TagItem<'a>> {
    let mut counts: HashMap<&Tag, TagCounts> = statistics
        .map(|statistics| statistics.tags.iter().map(|(tag, counts)| (tag, *counts)).collect())
        .unwrap_or_default();
    let mut items: Vec<TagItem<'a>> = entry
        .map(|entry| &*entry.tags)
        .unwrap_or_default()
        .iter()
        .map(|entry| TagItem {
            tag: &entry.tag,
            digest: entry.digest(),
            image: entry.image(),
            counts: counts.remove(&entry.tag).unwrap_or_default(),
            in_registry: true,
        })
        .collect();
    let elsewhere = counts.into_iter().filter(|(tag, _)| !tag.is_referrer());
    items.extend(elsewhere.map(|(tag, counts)| TagItem { tag, digest: None, image: None, counts, in_registry: false }));
    items
}

fn row(
    site: &Site,
    name: &RepositoryName,
    item: &TagItem<'_>,
    chosen: &ChosenRange,
    is_known: bool,
    is_read: bool,
    now: DateTime<Utc>,
) -> Row {
    let gone = is_read && !item.in_registry;
    let platforms = item.image.map(|image| &*image.platforms).unwrap_or_default();
    Row {
        tag: item.tag.to_string(),
        address: tag::address_in(name, item.tag, chosen),
        digest: item.digest.map(|digest| (text::short_digest(digest), digest.to_string())),
        artifact: artifact_name(item.artifact()),
        platforms: platforms.iter().take(PLATFORMS_SHOWN).map(ToString::to_string).collect(),
        more_platforms: platforms.len().saturating_sub(PLATFORMS_SHOWN),
        size: item.image.map_or_else(|| "–".to_owned(), |image| text::size(image.size)),
        created: item.image.and_then(|image| image.created).map(|at| Moment::new(at, now)),
        pulls: if is_known { text::number(item.counts.in_range) } else { "–".to_owned() },
        last_pull: item.counts.last_pulled_at.map(|at| Moment::new(at, now)),
        gone,
        commands: if gone { Vec::new() } else { commands(site, name, item.tag, item.artifact()) },
    }
}

fn columns(chosen: Sort, reverse: bool, address: impl Fn(Sort, bool) -> String) -> Vec<Column> {
    Sort::ALL
        .into_iter()
        .map(|(sort, _, label, class)| {
            let is_chosen = sort == chosen;
            let rising = (sort == Sort::Name) != reverse;
            Column {
                label,
                class,
                address: address(sort, is_chosen && !reverse),
                sorted: is_chosen.then_some(if rising { "ascending" } else { "descending" }),
            }
        })
        .collect()
}
