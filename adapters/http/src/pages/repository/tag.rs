//! A tag's page: what the tag points to, pointed to before, and how much it is pulled.

use std::{collections::HashSet, sync::Arc};

use askama::Template;
use chrono::{DateTime, Utc};
use poem::{Response, http::StatusCode};
use staticreg_application::{
    browse::{DigestPulls, RepositoryStatistics},
    catalog::{ImageDetails, ReadImageError, RepositoryEntry},
};
use staticreg_domain::{
    Digest, RepositoryName, Tag,
    catalog::{Artifact, Descriptor, ImageConfiguration, ManifestContent, Reference},
};

use super::{
    commands::{Command, artifact_name, commands},
    frame::{chart, figures, is_read, is_unknown, layout, path, statistics},
};
use crate::pages::{
    addresses::{csv_address, repository_address, repository_address_with},
    chart::Chart,
    chooser::Chooser,
    chosen::Chosen,
    error::not_found,
    layout::{Figure, Layout, RENEWED_SOON, page},
    parameters::Parameters,
    site::Site,
    table::{NoTable, Table, asked_repository, asked_tag, known, time, with_head},
    text::{self, Moment},
};

#[derive(Template)]
#[template(path = "tag.html")]
struct TagPage<'a> {
    layout: Layout<'a>,
    path: Vec<(String, String)>,
    repository: String,
    repository_address: String,
    tag: &'a str,
    digest: Option<String>,
    gone: bool,
    commands: Vec<Command>,
    figures: Vec<Figure>,
    chooser: Chooser,
    noun: &'static str,
    first: &'static str,
    last: &'static str,
    chart: Option<Chart>,
    history: Vec<HistoryRow>,
    history_csv: String,
    image: Option<ImageSection>,
    /// What the image is: `Image`, or what people call it.
    image_heading: &'static str,
    /// Why there is no image to show.
    no_image: &'static str,
    facts_csv: String,
    environment_csv: String,
    labels_csv: String,
    layers_csv: String,
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

struct ImageSection {
    platforms: Vec<PlatformLink>,
    /// Facts about the image: what, and its value as code or text.
    facts: Vec<(&'static str, String)>,
    environment: Vec<(String, String)>,
    labels: Vec<(String, String)>,
    layers: Vec<LayerRow>,
}

struct PlatformLink {
    name: String,
    address: String,
    chosen: bool,
}

struct LayerRow {
    short: String,
    digest: String,
    media_type: String,
    size: String,
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
        return not_found(
            site,
            "No such tag".to_owned(),
            detail,
            entry.map(|_| name.to_string()).into_iter().collect(),
        );
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
    let (image, no_image) = match details {
        Ok(details) => {
            let address = |platform: &str| repository_address_with(&name, Some(&tag), Some(platform), &chosen);
            (Some(section(address, &details, platform)), "")
        }
        Err(reason) => (None, reason.text()),
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
    let template = TagPage {
        layout,
        path,
        repository: name.to_string(),
        repository_address: repository_address_with(&name, None, None, &chosen),
        tag: tag.as_str(),
        digest: digest.map(ToString::to_string),
        gone,
        commands,
        figures,
        chooser: Chooser::new(
            &chosen,
            &repository_address(name.as_str()),
            &[("tag", tag.as_str()), ("platform", platform.unwrap_or_default())],
        )
        .with_intervals(&chosen),
        noun: chosen.noun(),
        first: chosen.first(),
        last: chosen.last(),
        chart,
        history: history(statistics, digest, now),
        history_csv: csv("digests"),
        image,
        image_heading: artifact_name(&artifact).unwrap_or("Image"),
        no_image,
        facts_csv: image_csv("image"),
        environment_csv: image_csv("environment"),
        labels_csv: image_csv("labels"),
        layers_csv: image_csv("layers"),
    };
    page(&template, StatusCode::OK)
}

/// Why there is no image to show.
#[derive(Clone, Copy)]
enum NoImage {
    NoRegistry,
    /// The registry does not hold the tag.
    NoTag,
    /// The registry was not asked for the tag yet.
    NotRead,
    Unread(ReadImageError),
}

impl NoImage {
    fn text(self) -> &'static str {
        match self {
            Self::NoRegistry => "No registry is configured to read the image from.",
            Self::NoTag => "The registry does not hold this tag any more.",
            Self::NotRead => "This tag was not read from the registry yet; it shows here in a moment.",
            Self::Unread(ReadImageError::NotFound) => {
                "The registry does not hold this image, or none for this platform."
            }
            Self::Unread(ReadImageError::Unavailable) => {
                "The registry does not answer now; it is asked again in a moment."
            }
            Self::Unread(ReadImageError::Malformed) => "What the registry holds under this tag is not understood.",
        }
    }
}

/// The image of a tag; of an index that of the platform.
async fn read_image(
    site: &Site,
    name: &RepositoryName,
    entry: Option<&RepositoryEntry>,
    tag: &Tag,
    platform: Option<&str>,
) -> Result<ImageDetails, NoImage> {
    let registry = site.registry.as_ref().ok_or(NoImage::NoRegistry)?;
    let missing = if is_read(site, entry) { NoImage::NoTag } else { NoImage::NotRead };
    let entry = entry.and_then(|entry| entry.tag(tag)).ok_or(missing)?;
    // Content under a digest is remembered; a tag would be asked for anew.
    let reference =
        entry.digest().map_or_else(|| Reference::Tag(tag.clone()), |digest| Reference::Digest(digest.clone()));
    registry.images.read(name.clone(), reference, platform.map(str::to_owned)).await.map_err(NoImage::Unread)
}

/// The digests, the latest pulled first; the present one also when nobody pulled it yet.
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
    unpulled.into_iter().chain(pulled).collect()
}

fn section(address: impl Fn(&str) -> String, details: &ImageDetails, wanted: Option<&str>) -> ImageSection {
    let configuration = details.configuration.as_deref();
    ImageSection {
        platforms: platforms(address, details, wanted),
        facts: facts(details),
        environment: configuration.map(environment).unwrap_or_default(),
        labels: configuration.map(labels).unwrap_or_default(),
        layers: layers(details)
            .iter()
            .map(|layer| LayerRow {
                short: text::short_digest(&layer.digest),
                digest: layer.digest.to_string(),
                media_type: layer.media_type.clone(),
                size: text::size(layer.size),
            })
            .collect(),
    }
}

/// What there is to say of an image, beside its lists.
fn facts(details: &ImageDetails) -> Vec<(&'static str, String)> {
    let ImageDetails { index, builds: _, image, configuration } = details;
    let mut facts = vec![("Digest", image.digest.to_string()), ("Media type", image.media_type.clone())];
    if let Some(index) = index {
        facts.insert(0, ("Index", format!("{} ({})", index.digest, index.media_type)));
    }
    match details.artifact() {
        Artifact::Image => {}
        Artifact::Chart => facts.push(("Artifact", "Helm chart".to_owned())),
        Artifact::BuildCache => facts.push(("Artifact", "Build cache of BuildKit".to_owned())),
        Artifact::Other(artifact_type) => facts.push(("Artifact", artifact_type)),
    }
    let layers = layers(details);
    if !layers.is_empty() {
        let size = layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
        facts.push(("Layers", format!("{}, {} compressed", layers.len(), text::size(size))));
    }
    let none = ImageConfiguration::default();
    let ImageConfiguration {
        platform,
        created,
        labels: _,
        entry_point,
        command,
        user,
        working_directory,
        environment: _,
        exposed_ports,
    } = configuration.as_deref().unwrap_or(&none);
    let list = |items: &[String]| (!items.is_empty()).then(|| words(items));
    facts.extend(
        [
            ("Platform", platform.as_ref().map(ToString::to_string)),
            ("Created", created.map(|at| at.format("%-d %b %Y, %H:%M UTC").to_string())),
            ("Entry point", list(entry_point)),
            ("Command", list(command)),
            ("Working directory", working_directory.clone()),
            ("User", user.clone()),
            ("Ports", (!exposed_ports.is_empty()).then(|| exposed_ports.join(", "))),
        ]
        .into_iter()
        .filter_map(|(label, value)| Some((label, value?)))
        .filter(|(_, value)| !value.is_empty()),
    );
    facts
}

/// The variables and their values.
fn environment(configuration: &ImageConfiguration) -> Vec<(String, String)> {
    let variables = configuration.environment.iter();
    variables
        .map(|variable| variable.split_once('=').unwrap_or((variable, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The labels and their values.
fn labels(configuration: &ImageConfiguration) -> Vec<(String, String)> {
    configuration.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The layers, the lowest first; of a build cache all that it lists.
fn layers(details: &ImageDetails) -> Vec<&Descriptor> {
    match &details.image.content {
        ManifestContent::Image { layers, .. } => layers.iter().collect(),
        ManifestContent::Index(entries) if details.image.artifact() == Artifact::BuildCache => {
            entries.iter().map(|entry| &entry.descriptor).collect()
        }
        ManifestContent::Index(_) => Vec::new(),
    }
}

/// A command's words, as its JSON form has them: so spaces inside a word show.
fn words(words: &[String]) -> String {
    serde_json::to_string(words).unwrap_or_else(|_| words.join(" "))
}

fn platforms(address: impl Fn(&str) -> String, details: &ImageDetails, wanted: Option<&str>) -> Vec<PlatformLink> {
    let mut named = HashSet::new();
    let builds = details.builds.iter();
    builds
        .filter_map(|build| Some((build.platform.as_ref()?.to_string(), &build.descriptor.digest)))
        .map(|(platform, digest)| {
            // A second build that tells the same platform is known by its digest alone.
            let (name, value) = if named.insert(platform.clone()) {
                (platform.clone(), platform)
            } else {
                (format!("{platform} {}", text::short_digest(digest)), digest.to_string())
            };
            PlatformLink {
                address: format!("{}#image", address(&value)),
                chosen: wanted.map_or(*digest == details.image.digest, |wanted| wanted == value),
                name,
            }
        })
        .collect()
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

/// The facts about the image as CSV.
pub(crate) async fn facts_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let facts = facts(&asked_image(site, parameters).await?);
    Ok(with_head(&["fact", "value"], facts.into_iter().map(|(fact, value)| vec![fact.to_owned(), value])))
}

/// The image's labels as CSV.
pub(crate) async fn labels_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let image = asked_image(site, parameters).await?;
    Ok(pairs("label", image.configuration.as_deref().map(labels)))
}

/// The image's variables as CSV.
pub(crate) async fn environment_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let image = asked_image(site, parameters).await?;
    Ok(pairs("variable", image.configuration.as_deref().map(environment)))
}

/// The image's layers as CSV.
pub(crate) async fn layers_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let image = asked_image(site, parameters).await?;
    let rows = layers(&image)
        .into_iter()
        .map(|layer| vec![layer.digest.to_string(), layer.media_type.clone(), layer.size.to_string()]);
    Ok(with_head(&["digest", "media_type", "size"], rows))
}

/// The image of a tag, and of a platform.
async fn asked_image(site: &Site, parameters: &Parameters) -> Result<ImageDetails, NoTable> {
    let (name, tag) = (asked_repository(parameters)?, asked_tag(parameters)?.ok_or(NoTable::Unknown)?);
    let snapshot = site.browse.snapshot();
    let entry = snapshot.as_ref().and_then(|snapshot| snapshot.repository(&name));
    let read = read_image(site, &name, entry.map(AsRef::as_ref), &tag, parameters.get("platform"));
    read.await.map_err(|reason| match reason {
        NoImage::NotRead | NoImage::Unread(ReadImageError::Unavailable) => NoTable::RegistryAway,
        NoImage::NoRegistry | NoImage::NoTag | NoImage::Unread(_) => NoTable::Unknown,
    })
}

fn pairs(name: &str, pairs: Option<Vec<(String, String)>>) -> Table {
    with_head(&[name, "value"], pairs.unwrap_or_default().into_iter().map(|(name, value)| vec![name, value]))
}
