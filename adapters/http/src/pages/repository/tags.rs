//! A repository's page: its tags and pulls.

use std::{
    cmp::{Ordering, Reverse},
    collections::HashMap,
    sync::Arc,
};

use askama::Template;
use chrono::{DateTime, Utc};
use poem::{IntoResponse, Response, http::StatusCode, web::Redirect};
use staticreg_application::{
    aside::aside,
    browse::{ListingQuestion, Presence, RepositoryStatistics, Shown, TagCounts},
    catalog::{ImageSummary, RepositoryEntry},
};
use staticreg_domain::{
    Digest, RepositoryName, Tag,
    catalog::{Artifact, Attachment},
    version_order,
};

use super::{
    commands::{Command, commands, tools},
    frame::{chart, figures, is_read, is_unknown, layout, path, statistics},
    image::chips,
};
use crate::pages::{
    addresses::{folder_address_in, repository_address, tag_address_in},
    change::Change,
    chart::Chart,
    chooser::Chooser,
    chosen::Chosen,
    error::not_found,
    kinds::artifact_name,
    layout::{Figure, Layout, page},
    list::{Column, Pages, is_reverse, order_name},
    parameters::Parameters,
    site::Site,
    table::{NoTable, Table, asked_repository, known, time, with_head},
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
    tools: Vec<&'static str>,
    commands: Vec<Command>,
    figures: Vec<Figure>,
    chooser: Chooser,
    /// What is counted, and when.
    counted: String,
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
    chart_file: String,
    chart_markdown: String,
}

struct Row {
    tag: String,
    address: String,
    digest: Option<(String, String)>,
    /// What it is, when it is no image.
    artifact: Option<&'static str>,
    /// What is attached to it, such as `signed`.
    chips: Vec<&'static str>,
    platforms: Vec<String>,
    more_platforms: usize,
    size: String,
    created: Option<Moment>,
    pulls: String,
    change: Option<Change>,
    last_pull: Option<Moment>,
    /// Whether the registry is known not to hold it.
    gone: bool,
    commands: Vec<Command>,
}

/// A tag of the registry, of the counts, or of both.
struct TagItem<'a> {
    tag: &'a Tag,
    digest: Option<&'a Digest>,
    image: Option<&'a Arc<ImageSummary>>,
    /// The repository, where it holds the tag.
    entry: Option<&'a RepositoryEntry>,
    counts: TagCounts,
    in_registry: bool,
}

impl TagItem<'_> {
    /// What it is; an image as long as nobody knows better.
    fn artifact(&self) -> &Artifact {
        self.image.map_or(&Artifact::Image, |image| &image.artifact)
    }

    /// What is attached to it, or to an image of it.
    fn attachments(&self) -> impl Iterator<Item = Attachment> {
        let digests = self.digest.into_iter().chain(self.image.into_iter().flat_map(|image| &image.children));
        let tags = digests.flat_map(|digest| self.entry.map(|entry| entry.attachments_of(digest)).unwrap_or_default());
        tags.filter_map(Tag::attachment)
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
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Name, "name", ""),
        (Self::Size, "size", "number wide"),
        (Self::Created, "created", "when wide"),
        (Self::Pulls, "pulls", "number"),
        (Self::LastPulled, "last_pulled", "when"),
    ];

    fn label(self, chosen: &Chosen) -> &'static str {
        match self {
            Self::Name => "Tag",
            Self::Size => "Size",
            Self::Created => "Created",
            Self::Pulls => chosen.noun(),
            Self::LastPulled => chosen.last(),
        }
    }

    fn from_parameters(parameters: &Parameters) -> Self {
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
            created(b).cmp(&created(a)).then_with(|| by_version(b, a))
        });
        match self {
            Self::Name => items.sort_by(by_version),
            Self::Size => items.sort_by_key(|item| Reverse(item.image.map(|image| image.size))),
            Self::Created => {}
            Self::Pulls => items.sort_by_key(|item| Reverse(item.counts.in_range.count)),
            Self::LastPulled => items.sort_by_key(|item| Reverse(item.counts.last_pulled_at)),
        }
        if reverse {
            items.reverse();
        }
    }
}

fn by_version(a: &TagItem<'_>, b: &TagItem<'_>) -> Ordering {
    version_order::compare(a.tag.as_str(), b.tag.as_str())
}

/// The tag whose command is shown first: `latest`, else the highest release, else the newest; one that is in the registry,
/// where that was read.
fn default_tag<'a, 'b>(items: &'b [TagItem<'a>], is_read: bool) -> Option<&'b TagItem<'a>> {
    let there = || items.iter().filter(|item| item.in_registry || !is_read);
    let released =
        || there().filter(|item| version_order::is_release(item.tag.as_str())).max_by(|a, b| by_version(a, b));
    let created = |item: &&TagItem<'_>| item.image.and_then(|image| image.created);
    let newest = || there().max_by(|a, b| created(a).cmp(&created(b)).then_with(|| by_version(a, b)));
    there().find(|item| item.tag.as_str() == "latest").or_else(released).or_else(newest)
}

pub(super) async fn page_of(
    site: &Arc<Site>,
    name: RepositoryName,
    entry: Option<Arc<RepositoryEntry>>,
    parameters: Parameters,
    chosen: Chosen,
    origin: String,
) -> Response {
    let shown = statistics(site, &name, None, &chosen).await;
    if entry.is_none() && is_unknown(site, &name, None, &chosen, &shown).await {
        return unknown(site, &name, &chosen).await;
    }
    let site = Arc::clone(site);
    aside(move || page_about(&site, &name, entry.as_deref(), &parameters, &chosen, &origin, &shown)).await
}

fn page_about(
    site: &Site,
    name: &RepositoryName,
    entry: Option<&RepositoryEntry>,
    parameters: &Parameters,
    chosen: &Chosen,
    origin: &str,
    shown: &Shown<RepositoryStatistics>,
) -> Response {
    let now = site.now();
    let layout = layout(site, name.as_str(), entry, shown, chosen, now);
    let statistics = shown.value.as_deref();
    let address = repository_address(name.as_str());
    let (sort, reverse) = (Sort::from_parameters(parameters), is_reverse(parameters));
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
    let best = default_tag(&items, is_read);
    let pages = items.len().div_ceil(PER_PAGE).max(1);
    let page_number = parameters.parse("page").unwrap_or(1_usize).clamp(1, pages);
    let rows: Vec<Row> = items
        .iter()
        .skip((page_number - 1) * PER_PAGE)
        .take(PER_PAGE)
        .map(|item| row(site, name, item, chosen, statistics.is_some(), is_read, now))
        .collect();
    let chart = statistics.map(|statistics| chart(statistics, name, None, chosen, now));
    let (badge, chart_file) = (format!("/badge/{name}.svg"), format!("/chart/{name}.svg?days=90"));
    // A picture that leads here.
    let markdown = |text: &str, picture: &str| format!("[![{text}]({origin}{picture})]({origin}{address})");
    let (folders, own_name) = path(name.as_str(), chosen);
    let commands = best.map(|item| commands(site, name, item.tag, item.artifact())).unwrap_or_default();
    let template = RepositoryPage {
        path: folders,
        own_name,
        name: name.as_str(),
        gone: is_read && entry.is_none(),
        is_read: is_read || site.registry.is_none(),
        read_at: entry.and_then(|entry| entry.read_at).map(|at| Moment::new(at, now)),
        tools: tools(&commands),
        commands,
        figures: figures(statistics, chosen, Some(in_all), now),
        chooser: Chooser::new(
            chosen,
            &address,
            &[("q", search), ("sort", sort.name()), ("order", order_name(reverse))],
        )
        .with_intervals(chosen)
        .with_split(chosen),
        counted: format!("{} {}", chosen.what().to_lowercase(), chosen.words()),
        chart,
        search,
        hidden: chosen
            .parameters()
            .into_iter()
            .chain([("sort", sort.name().to_owned()), ("order", order_name(reverse).to_owned())])
            .filter(|(_, value)| !value.is_empty())
            .collect(),
        columns: columns(sort, reverse, chosen, |sort, reverse| link(&address, sort, reverse, 1)),
        rows,
        found: text::count(items.len() as u64, "tag", "tags"),
        pages: Pages::new(page_number, pages, |page| link(&address, sort, reverse, page)),
        truncated: entry.is_some_and(|entry| entry.truncated),
        csv: link("/export/tags.csv", sort, reverse, 1),
        badge_markdown: markdown("pulls", &badge),
        badge,
        chart_markdown: markdown(&format!("pulls of {name}"), &chart_file),
        chart_file,
        address: address.clone(),
        layout,
    };
    page(&template, StatusCode::OK)
}

/// A name that may be a folder's, or a mistake.
async fn unknown(site: &Site, name: &RepositoryName, chosen: &Chosen) -> Response {
    let overview = site.browse.overview().await;
    let folder = Some(name.to_string());
    let last = name.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    let (inside, similar) = aside(move || {
        let listing = |question: ListingQuestion| {
            overview.listing(&ListingQuestion { presence: Presence::Any, per_page: SIMILAR, ..question })
        };
        let inside = listing(ListingQuestion { folder, ..Default::default() }).found;
        (inside, listing(ListingQuestion { search: last, ..Default::default() }).rows)
    })
    .await;
    if inside > 0 {
        return Redirect::see_other(folder_address_in(name.as_str(), chosen)).into_response();
    }
    let similar = similar.into_iter().map(|row| row.name.to_string()).collect();
    let detail = format!("{name} is not in the registry, and was never pulled.");
    not_found(site, "No such repository".to_owned(), detail, similar)
}

/// The tags that the address asks for, in its order.
fn chosen_tags<'a>(
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
    Sort::from_parameters(parameters).order(&mut items, is_reverse(parameters));
    items
}

fn tag_items<'a>(entry: Option<&'a RepositoryEntry>, statistics: Option<&'a RepositoryStatistics>) -> Vec<TagItem<'a>> {
    let mut counts: HashMap<&Tag, TagCounts> = statistics
        .map(|statistics| statistics.tags.iter().map(|(tag, counts)| (tag, *counts)).collect())
        .unwrap_or_default();
    let mut items: Vec<TagItem<'a>> = entry
        .map(|entry| &*entry.tags)
        .unwrap_or_default()
        .iter()
        .map(|tag| TagItem {
            tag: &tag.tag,
            digest: tag.digest(),
            image: tag.image(),
            entry,
            counts: counts.remove(&tag.tag).unwrap_or_default(),
            in_registry: true,
        })
        .collect();
    let elsewhere = counts.into_iter().filter(|(tag, _)| !tag.is_referrer());
    let gone = |(tag, counts)| TagItem { tag, digest: None, image: None, entry: None, counts, in_registry: false };
    items.extend(elsewhere.map(gone));
    items
}

fn row(
    site: &Site,
    name: &RepositoryName,
    item: &TagItem<'_>,
    chosen: &Chosen,
    is_known: bool,
    is_read: bool,
    now: DateTime<Utc>,
) -> Row {
    let gone = is_read && !item.in_registry;
    let platforms = item.image.map(|image| &*image.platforms).unwrap_or_default();
    Row {
        tag: item.tag.to_string(),
        address: tag_address_in(name, item.tag, chosen),
        digest: item.digest.map(|digest| (text::short_digest(digest), digest.to_string())),
        artifact: artifact_name(item.artifact()),
        chips: chips(item.attachments()),
        platforms: platforms.iter().take(PLATFORMS_SHOWN).map(ToString::to_string).collect(),
        more_platforms: platforms.len().saturating_sub(PLATFORMS_SHOWN),
        size: item.image.map_or_else(|| "–".to_owned(), |image| text::size(image.size)),
        created: item.image.and_then(|image| image.created).map(|at| Moment::new(at, now)),
        pulls: if is_known { text::number(item.counts.in_range.count) } else { "–".to_owned() },
        change: Change::new(item.counts.in_range),
        last_pull: item.counts.last_pulled_at.map(|at| Moment::new(at, now)),
        gone,
        commands: if gone { Vec::new() } else { commands(site, name, item.tag, item.artifact()) },
    }
}

fn columns(sorted: Sort, reverse: bool, chosen: &Chosen, address: impl Fn(Sort, bool) -> String) -> Vec<Column> {
    Sort::ALL
        .into_iter()
        .map(|(sort, _, class)| {
            let is_chosen = sort == sorted;
            let rising = (sort == Sort::Name) != reverse;
            Column {
                label: sort.label(chosen).to_owned(),
                class,
                address: address(sort, is_chosen && !reverse),
                sorted: is_chosen.then_some(if rising { "ascending" } else { "descending" }),
            }
        })
        .collect()
}

/// The tags as CSV: all that the list has on its pages.
pub(crate) async fn table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let chosen = Chosen::from_parameters(parameters, &site.browse).await;
    let name = asked_repository(parameters)?;
    let statistics = known(statistics(site, &name, None, &chosen).await)?;
    let entry = site.browse.snapshot().and_then(|snapshot| snapshot.repository(&name).cloned());
    let parameters = parameters.clone();
    Ok(aside(move || tag_list(entry.as_deref(), &statistics, &chosen, &parameters)).await)
}

fn tag_list(
    entry: Option<&RepositoryEntry>,
    statistics: &RepositoryStatistics,
    chosen: &Chosen,
    parameters: &Parameters,
) -> Table {
    let rows = chosen_tags(entry, Some(statistics), parameters).into_iter().map(|item| {
        let platforms = item.image.map(|image| &*image.platforms).unwrap_or_default();
        let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
        vec![
            item.tag.to_string(),
            item.digest.map(ToString::to_string).unwrap_or_default(),
            platforms.join(" "),
            item.image.map(|image| image.size.to_string()).unwrap_or_default(),
            time(item.image.and_then(|image| image.created)),
            item.counts.in_range.count.to_string(),
            item.counts.in_range.before.map(|before| before.to_string()).unwrap_or_default(),
            item.counts.all.to_string(),
            time(item.counts.last_pulled_at),
        ]
    });
    let (measure, before) = (chosen.measure(), chosen.measure_before());
    let total = format!("{measure}_total");
    let head = ["tag", "digest", "platforms", "size", "created_at", measure, &before, &total, chosen.last_at()];
    with_head(&head, rows).of(chosen.counted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_command_is_of_latest_else_of_the_highest_release_else_of_the_newest() {
        for (tags, expected) in [
            (&["v1.9", "latest", "v1.10"][..], "latest"),
            (&["v1.9", "v1.10", "v1.11-rc1", "main"], "v1.10"),
            (&["pr-9", "pr-10", "main"], "pr-10"),
            (&["gone"], ""),
        ] {
            let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().expect("a tag")).collect();
            let item = |tag| {
                let in_registry = tag != &tags[0] || tags.len() > 1;
                TagItem { tag, digest: None, image: None, entry: None, counts: TagCounts::default(), in_registry }
            };
            let items: Vec<_> = tags.iter().map(item).collect();
            assert_eq!(default_tag(&items, true).map_or("", |item| item.tag.as_str()), expected);
            assert!(default_tag(&items, false).is_some());
        }
    }
}
