//! The image of a tag's page: what the registry tells of it.

use std::{collections::HashSet, sync::Arc};

use staticreg_application::catalog::{Attached, ImageDetails, ReadImageError, RepositoryEntry};
use staticreg_domain::{
    RepositoryName, Tag,
    catalog::{Artifact, Attachment, Descriptor, ImageConfiguration, ManifestContent},
};

use super::frame::is_read;
use crate::pages::{
    chart::Share,
    links::WebLink,
    parameters::Parameters,
    site::Site,
    table::{NoTable, Table, asked_repository, asked_tag, with_head},
    text,
};

/// The labels whose addresses are links (OCI image specification, annotations).
const LINKS: [(&str, &str); 3] = [
    ("org.opencontainers.image.source", "Source"),
    ("org.opencontainers.image.url", "Website"),
    ("org.opencontainers.image.documentation", "Documentation"),
];
const DESCRIPTION: &str = "org.opencontainers.image.description";
const LICENCES: &str = "org.opencontainers.image.licenses";

/// A longer description or step of a build is cut.
pub(super) const MAX_TEXT: usize = 300;

/// What there is to say of an image at once.
#[derive(Default)]
pub(super) struct About {
    pub(super) description: Option<String>,
    /// What they lead to, and where.
    pub(super) links: Vec<(&'static str, WebLink)>,
    pub(super) licence: Option<String>,
}

pub(super) struct ImageSection {
    pub(super) platforms: Vec<PlatformLink>,
    /// Facts about the image: what, and its value as code or text.
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) labels: Vec<LabelRow>,
    pub(super) layers: Vec<LayerRow>,
    /// What belongs to it; none when the registry does not tell.
    pub(super) attached: Option<Vec<AttachedRow>>,
}

pub(super) struct PlatformLink {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) chosen: bool,
}

pub(super) struct LabelRow {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) link: Option<WebLink>,
}

pub(super) struct LayerRow {
    pub(super) short: String,
    pub(super) digest: String,
    /// The step of the build that made it; none when that cannot be told.
    pub(super) step: Option<String>,
    pub(super) media_type: String,
    pub(super) size: String,
    pub(super) share: Share,
}

pub(super) struct AttachedRow {
    pub(super) what: String,
    pub(super) told: String,
    pub(super) short: String,
    pub(super) digest: String,
    /// Whether it belongs to the index.
    pub(super) of_index: bool,
    pub(super) tag: Option<String>,
}

/// Why there is no image to show.
#[derive(Clone, Copy)]
pub(super) enum NoImage {
    NoRegistry,
    /// The registry does not hold the tag.
    NoTag,
    /// The registry was not asked for the tag yet.
    NotRead,
    Unread(ReadImageError),
}

impl NoImage {
    pub(super) fn text(self) -> &'static str {
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
pub(super) async fn read_image(
    site: &Site,
    name: &RepositoryName,
    entry: Option<&RepositoryEntry>,
    tag: &Tag,
    platform: Option<&str>,
) -> Result<ImageDetails, NoImage> {
    let registry = site.registry.as_ref().ok_or(NoImage::NoRegistry)?;
    let missing = if is_read(site, entry) { NoImage::NoTag } else { NoImage::NotRead };
    let entry = entry.and_then(|entry| entry.tag(tag)).ok_or(missing)?;
    registry.images.read(name.clone(), entry.reference(), platform.map(str::to_owned)).await.map_err(NoImage::Unread)
}

/// What belongs to an image; none when the registry does not tell.
pub(super) async fn read_attached(
    site: &Site,
    name: &RepositoryName,
    entry: Option<&RepositoryEntry>,
    details: &ImageDetails,
) -> Option<Arc<[Attached]>> {
    let tags = entry.map(|entry| details.attachment_tags(entry)).unwrap_or_default();
    site.registry.as_ref()?.images.attachments(name, details, tags).await
}

/// What an attachment is called on a chip; none of what says nothing by being there.
pub(super) fn chip(attachment: Attachment) -> Option<&'static str> {
    match attachment {
        Attachment::Signature => Some("signed"),
        Attachment::Provenance => Some("provenance"),
        Attachment::Sbom => Some("SBOM"),
        Attachment::Attestation => Some("attestation"),
        Attachment::Other => None,
    }
}

/// The chips of some attachments, each once.
pub(super) fn chips(attachments: impl Iterator<Item = Attachment>) -> Vec<&'static str> {
    let mut attachments: Vec<Attachment> = attachments.collect();
    attachments.sort_unstable();
    attachments.dedup();
    attachments.into_iter().filter_map(chip).collect()
}

pub(super) fn section(
    address: impl Fn(&str) -> String,
    details: &ImageDetails,
    attached: Option<&[Attached]>,
    wanted: Option<&str>,
) -> ImageSection {
    let configuration = details.configuration.as_deref();
    let layers = layers(details);
    let whole = layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
    let steps = steps(&layers, configuration);
    ImageSection {
        platforms: platforms(address, details, wanted),
        facts: facts(details),
        environment: configuration.map(environment).unwrap_or_default(),
        labels: configuration.map(label_rows).unwrap_or_default(),
        layers: layers
            .iter()
            .zip(steps)
            .map(|(layer, step)| LayerRow {
                short: text::short_digest(&layer.digest),
                digest: layer.digest.to_string(),
                step: step.map(shown_step),
                media_type: layer.media_type.clone(),
                size: text::size(layer.size),
                share: Share::new(layer.size, whole),
            })
            .collect(),
        attached: attached.map(|attached| attached.iter().map(|item| attached_row(item, details)).collect()),
    }
}

/// What there is to say of an image at once: by its labels, or else by its manifest's or its index's annotations.
pub(super) fn about(details: &ImageDetails) -> About {
    let told = |name: &str| {
        let label = details.configuration.as_ref().and_then(|configuration| configuration.labels.get(name));
        let annotation = || details.image.annotations.get(name);
        let of_index = || details.index.as_ref().and_then(|index| index.annotations.get(name));
        label.or_else(annotation).or_else(of_index).map(|value| value.trim()).filter(|value| !value.is_empty())
    };
    About {
        description: told(DESCRIPTION).map(|text| text::one_line(text, MAX_TEXT)),
        links: LINKS.iter().filter_map(|(name, what)| Some((*what, WebLink::parse(told(name)?)?))).collect(),
        licence: told(LICENCES).map(|text| text::one_line(text, MAX_TEXT)),
    }
}

/// What there is to say of an image, beside its lists.
pub(super) fn facts(details: &ImageDetails) -> Vec<(&'static str, String)> {
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
        history: _,
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
pub(super) fn environment(configuration: &ImageConfiguration) -> Vec<(String, String)> {
    let variables = configuration.environment.iter();
    variables
        .map(|variable| variable.split_once('=').unwrap_or((variable, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The labels and their values.
pub(super) fn labels(configuration: &ImageConfiguration) -> Vec<(String, String)> {
    configuration.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn label_rows(configuration: &ImageConfiguration) -> Vec<LabelRow> {
    let link = |name: &str, value: &str| {
        let is_link = LINKS.iter().any(|(link, _)| *link == name);
        is_link.then(|| WebLink::parse(value)).flatten()
    };
    let row = |(name, value): (String, String)| LabelRow { link: link(&name, &value), name, value };
    labels(configuration).into_iter().map(row).collect()
}

/// The layers, the lowest first; of a build cache all that it lists.
pub(super) fn layers(details: &ImageDetails) -> Vec<&Descriptor> {
    match &details.image.content {
        ManifestContent::Image { layers, .. } => layers.iter().collect(),
        ManifestContent::Index(entries) if details.image.artifact() == Artifact::BuildCache => {
            entries.iter().map(|entry| &entry.descriptor).collect()
        }
        ManifestContent::Index(_) => Vec::new(),
    }
}

/// The step of the build that made each layer; none where there are not as many of them as layers.
pub(super) fn steps<'a>(layers: &[&Descriptor], configuration: Option<&'a ImageConfiguration>) -> Vec<Option<&'a str>> {
    let history = configuration.map(|configuration| configuration.history.as_slice()).unwrap_or_default();
    let steps: Vec<Option<&str>> =
        history.iter().filter(|step| step.has_layer).map(|step| command(&step.command)).collect();
    if steps.len() == layers.len() { steps } else { vec![None; layers.len()] }
}

/// A step without what builders put around it; none of one that says nothing.
fn command(step: &str) -> Option<&str> {
    let step = step.trim();
    let step = step.strip_suffix("# buildkit").map_or(step, str::trim_end);
    let step = step.strip_prefix("/bin/sh -c #(nop)").map_or(step, str::trim_start);
    (!step.is_empty()).then_some(step)
}

/// A step of a build as people read it.
pub(super) fn shown_step(step: &str) -> String {
    let step = step
        .strip_prefix("RUN /bin/sh -c ")
        .or_else(|| step.strip_prefix("/bin/sh -c "))
        .map_or_else(|| step.to_owned(), |command| format!("RUN {command}"));
    text::one_line(&step, MAX_TEXT)
}

/// A command's words, as its JSON form has them: so spaces inside a word show.
fn words(words: &[String]) -> String {
    serde_json::to_string(words).unwrap_or_else(|_| words.join(" "))
}

fn attached_row(item: &Attached, details: &ImageDetails) -> AttachedRow {
    let what = |attachment: &Attachment| match attachment {
        Attachment::Signature => "Signature",
        Attachment::Provenance => "Provenance",
        Attachment::Sbom => "SBOM",
        Attachment::Attestation => "Attestation",
        Attachment::Other => "Something else",
    };
    AttachedRow {
        what: item.attachments.iter().map(what).collect::<Vec<_>>().join(", "),
        told: text::visible(&item.told),
        short: text::short_digest(&item.digest),
        digest: item.digest.to_string(),
        of_index: details.index.as_ref().is_some_and(|index| index.digest == item.subject),
        tag: item.tag.as_ref().map(ToString::to_string),
    }
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
    let layers = layers(&image);
    let steps = steps(&layers, image.configuration.as_deref());
    let rows = layers.into_iter().zip(steps).map(|(layer, step)| {
        let step = step.unwrap_or_default().to_owned();
        vec![layer.digest.to_string(), layer.media_type.clone(), layer.size.to_string(), step]
    });
    Ok(with_head(&["digest", "media_type", "size", "step"], rows))
}

/// What belongs to the image as CSV.
pub(crate) async fn attached_table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let image = asked_image(site, parameters).await?;
    let name = asked_repository(parameters)?;
    let snapshot = site.browse.snapshot();
    let entry = snapshot.as_ref().and_then(|snapshot| snapshot.repository(&name));
    let attached = read_attached(site, &name, entry.map(AsRef::as_ref), &image).await.ok_or(NoTable::RegistryAway)?;
    let rows = attached.iter().map(|item| {
        let AttachedRow { what, told, digest, tag, .. } = attached_row(item, &image);
        vec![what, told, digest, item.subject.to_string(), tag.unwrap_or_default()]
    });
    Ok(with_head(&["what", "type", "digest", "subject", "tag"], rows))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_without_what_builders_put_around_it() {
        for (step, expected) in [
            ("/bin/sh -c #(nop) ADD file:0b2bf72 in / ", Some("ADD file:0b2bf72 in /")),
            ("/bin/sh -c apk add  curl", Some("RUN apk add curl")),
            ("RUN /bin/sh -c apk add \\\n\tcurl # buildkit", Some("RUN apk add \\ curl")),
            ("COPY . /srv # buildkit", Some("COPY . /srv")),
            ("COPY \u{202e}x", Some("COPY \\u{202e}x")),
            (" ", None),
            ("# buildkit", None),
        ] {
            assert_eq!(command(step).map(shown_step).as_deref(), expected, "{step}");
        }
    }
}
