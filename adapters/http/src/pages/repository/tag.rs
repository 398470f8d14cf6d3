//! A tag's page: what the tag points to, pointed to before, and how much it is pulled.

use std::sync::Arc;

use askama::Template;
use chrono::{DateTime, Utc};
use poem::{Response, http::StatusCode};
use staticreg_application::{
    browse::{DigestPulls, RepositoryStatistics},
    catalog::RepositoryEntry,
};
use staticreg_domain::{Digest, RepositoryName, Tag};

use super::{
    commands::{Command, commands, tools},
    compare::{Compare, compare},
    frame::{chart, figures, is_read, is_unknown, layout, path, statistics},
    image::{About, ImageSection, about, chips, read_attached, read_image, section},
};
use crate::pages::{
    addresses::{csv_address, repository_address, repository_address_with},
    chart::Chart,
    chooser::Chooser,
    chosen::Chosen,
    error::not_found,
    kinds::kind_name,
    layout::{Figure, Layout, RENEWED_SOON, page},
    parameters::Parameters,
    site::Site,
    table::{NoTable, Table, asked_repository, asked_tag, known, time, with_head},
    text::{self, Moment},
};

/// How many digests are shown before somebody asks for all.
const DIGESTS_SHOWN: usize = 10;

/// How many are shown then; the table as CSV has all.
const MAX_DIGESTS_SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "tag.html")]
struct TagPage<'a> {
    layout: Layout<'a>,
    path: Vec<(String, String)>,
    repository: String,
    repository_address: String,
    /// The address of the repository's page without parameters.
    own_address: String,
    tag: &'a str,
    digest: Option<String>,
    gone: bool,
    /// What it is to people.
    kind: &'static str,
    /// What belongs to it, such as `signed`.
    chips: Vec<&'static str>,
    about: About,
    tools: Vec<&'static str>,
    commands: Vec<Command>,
    figures: Vec<Figure>,
    chooser: Chooser,
    noun: &'static str,
    first: &'static str,
    last: &'static str,
    chart: Option<Chart>,
    history: Vec<HistoryRow>,
    /// How many digests there are in all, and the address that shows them, when not all are shown.
    more_history: Option<(String, String)>,
    history_csv: String,
    image: Option<ImageSection>,
    /// Why there is no image to show.
    no_image: &'static str,
    facts_csv: String,
    environment_csv: String,
    labels_csv: String,
    layers_csv: String,
    attached_csv: String,
    compare: Option<Compare>,
    /// What the form to compare keeps.
    hidden: Vec<(&'static str, String)>,
}

/// A digest that the tag pointed to.
struct HistoryRow {
    short: String,
    digest: String,
    current: bool,
    pulls: String,
    first: String,
    last: Option<Moment>,
}

pub(super) async fn page_of(
    site: &Site,
    name: RepositoryName,
    entry: Option<Arc<RepositoryEntry>>,
    tag: Tag,
    parameters: &Parameters,
    chosen: Chosen,
) -> Response {
    let shown = statistics(site, &name, Some(&tag), &chosen).await;
    let tag_entry = entry.as_ref().and_then(|entry| entry.tag(&tag));
    if tag_entry.is_none() && is_unknown(site, &name, Some(&tag), &chosen, &shown).await {
        let detail = format!("{name} has no tag {tag}, and it was never pulled.");
        let similar = entry.map(|_| name.to_string()).into_iter().collect();
        return not_found(site, "No such tag".to_owned(), detail, similar);
    }
    let digest = tag_entry.and_then(|entry| entry.digest());
    let platform = parameters.get("platform");
    let details = read_image(site, &name, entry.as_deref(), &tag, platform).await;
    let gone = tag_entry.is_none() && is_read(site, entry.as_deref());
    let artifact = match (&details, tag_entry.and_then(|entry| entry.image())) {
        (Ok(details), _) => details.artifact(),
        (Err(_), image) => image.map(|image| image.artifact.clone()).unwrap_or_default(),
    };
    let commands = if gone { Vec::new() } else { commands(site, &name, &tag, &artifact) };
    let asked = parameters.get("compare");
    let (image, no_image, chips, about, compare) = match details {
        Ok(details) => {
            let attached = read_attached(site, &name, entry.as_deref(), &details).await;
            let compare = compare(site, &name, entry.as_deref(), &tag, &details, asked, &chosen).await;
            let address = |platform: &str| repository_address_with(&name, Some(&tag), Some(platform), &chosen);
            let section = section(address, &details, attached.as_deref(), platform);
            let attachments = attached.iter().flat_map(|attached| attached.iter()).flat_map(|item| &item.attachments);
            (Some(section), "", chips(attachments.copied()), about(&details), compare)
        }
        Err(reason) => (None, reason.text(), Vec::new(), About::default(), None),
    };
    let now = site.now();
    let title = format!("{name}:{tag}");
    let mut layout = layout(site, &title, entry.as_deref(), &shown, &chosen, now);
    // Who looks at an image may have just pulled it.
    layout.renewed_after = Some(RENEWED_SOON);
    let statistics = shown.value.as_deref();
    let csv = |table: &str| csv_address(table, Some(&name), Some(&tag), &chosen);
    let image_csv = |table: &str| {
        let parameters =
            [("repository", name.as_str()), ("tag", tag.as_str()), ("platform", platform.unwrap_or_default())];
        text::address(&format!("/export/{table}.csv"), &parameters)
    };
    let chart = statistics.map(|statistics| chart(statistics, &name, Some(&tag), &chosen, now));
    let mut figures = figures(statistics, &chosen, None, now);
    if let Some(summary) = tag_entry.and_then(|entry| entry.image()) {
        let created = summary.created.map_or_else(String::new, |at| format!("created {}", Moment::new(at, now).ago));
        figures.insert(0, Figure::new("Size", text::size(summary.size), created));
    }
    let (mut path, own_name) = path(name.as_str(), &chosen);
    path.push((own_name, repository_address_with(&name, None, None, &chosen)));
    let own_address = repository_address(name.as_str());
    let range = chosen.kept();
    let kept: Vec<(&str, &str)> = [("tag", tag.as_str()), ("platform", platform.unwrap_or_default())]
        .into_iter()
        .chain([("compare", asked.unwrap_or_default()), ("digests", parameters.get("digests").unwrap_or_default())])
        .collect();
    let mut history = history(statistics, digest, now);
    let (all, shows_all) = (history.len(), parameters.get("digests") == Some("all"));
    history.truncate(if shows_all { MAX_DIGESTS_SHOWN } else { DIGESTS_SHOWN });
    let is_cut = !shows_all && all > history.len();
    let more_history = is_cut.then(|| more_history(all, &own_address, &tag, platform, &range));
    let template = TagPage {
        layout,
        path,
        repository: name.to_string(),
        repository_address: repository_address_with(&name, None, None, &chosen),
        own_address: own_address.clone(),
        tag: tag.as_str(),
        digest: digest.map(ToString::to_string),
        gone,
        kind: kind_name(&artifact),
        chips,
        about,
        tools: tools(&commands),
        commands,
        figures,
        chooser: Chooser::new(&chosen, &own_address, &kept).with_intervals(&chosen),
        noun: chosen.noun(),
        first: chosen.first(),
        last: chosen.last(),
        chart,
        history,
        more_history,
        history_csv: csv("digests"),
        image,
        no_image,
        facts_csv: image_csv("image"),
        environment_csv: image_csv("environment"),
        labels_csv: image_csv("labels"),
        layers_csv: image_csv("layers"),
        attached_csv: image_csv("attached"),
        compare,
        hidden: hidden(&tag, platform, range),
    };
    page(&template, StatusCode::OK)
}

/// How many digests there are, and the address that shows them.
fn more_history(
    all: usize,
    address: &str,
    tag: &Tag,
    platform: Option<&str>,
    range: &[(&str, String)],
) -> (String, String) {
    let mut parameters = vec![("tag", tag.as_str()), ("platform", platform.unwrap_or_default()), ("digests", "all")];
    parameters.extend(range.iter().map(|(name, value)| (*name, value.as_str())));
    (text::number(all as u64), text::address(address, &parameters) + "#digests")
}

/// What the form to compare keeps.
fn hidden(tag: &Tag, platform: Option<&str>, range: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    [("tag", tag.to_string()), ("platform", platform.unwrap_or_default().to_owned())]
        .into_iter()
        .chain(range)
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// The digests: the present one, also when nobody pulled it yet, then the latest pulled first.
fn history(statistics: Option<&RepositoryStatistics>, current: Option<&Digest>, now: DateTime<Utc>) -> Vec<HistoryRow> {
    let pulled = statistics.map(|statistics| statistics.digests.as_slice()).unwrap_or_default();
    let unpulled = current.filter(|current| pulled.iter().all(|pulled| pulled.digest != **current));
    let unpulled = unpulled.map(|digest| HistoryRow {
        short: text::short_digest(digest),
        digest: digest.to_string(),
        current: true,
        pulls: if statistics.is_some() { "0".to_owned() } else { "–".to_owned() },
        first: "–".to_owned(),
        last: None,
    });
    let pulled = pulled.iter().map(|DigestPulls { digest, pulls, first_pulled_on, last_pulled_at }| HistoryRow {
        short: text::short_digest(digest),
        digest: digest.to_string(),
        current: current == Some(digest),
        pulls: text::number(*pulls),
        first: text::date(*first_pulled_on),
        last: Some(Moment::new(*last_pulled_at, now)),
    });
    let mut history: Vec<HistoryRow> = unpulled.into_iter().chain(pulled).collect();
    history.sort_by_key(|row| !row.current);
    history
}

/// The digests that the tag pointed to as CSV.
pub(crate) async fn digests_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let (name, tag) = (asked_repository(parameters)?, asked_tag(parameters)?.ok_or(NoTable::Unknown)?);
    let chosen = Chosen::from_parameters(parameters, &site.browse).await;
    let statistics = known(statistics(site, &name, Some(&tag), &chosen).await)?;
    let rows = statistics.digests.iter().map(|digest| {
        vec![
            digest.digest.to_string(),
            digest.pulls.to_string(),
            digest.first_pulled_on.to_string(),
            time(Some(digest.last_pulled_at)),
        ]
    });
    Ok(with_head(&["digest", chosen.measure(), chosen.first_on(), chosen.last_at()], rows).of(chosen.counted()))
}
