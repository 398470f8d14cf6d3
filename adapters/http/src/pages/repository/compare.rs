//! Two tags of a repository, compared.

use std::collections::{BTreeSet, HashMap, HashSet};

use staticreg_application::catalog::{ImageDetails, ReadImageError, RepositoryEntry};
use staticreg_domain::{Digest, RepositoryName, Tag, catalog::Descriptor, version_order};

use super::image::{MAX_TEXT, NoImage, environment, facts, labels, layers, read_image, shown_step, steps};
use crate::pages::{addresses::repository_address_with, chosen::Chosen, site::Site, text};

/// Facts that are told elsewhere, or differ anyway.
const UNTOLD: [&str; 3] = ["Digest", "Index", "Layers"];

/// How many tags are offered to compare with.
const OFFERED: usize = 50;

/// The part of a tag's page that compares it with another tag.
pub(super) struct Compare {
    /// The tags to choose from, those before and behind this one in the order of versions.
    pub(super) offered: Vec<String>,
    /// What was asked for.
    pub(super) asked: String,
    pub(super) result: Option<Result<Comparison, String>>,
}

/// What differs.
pub(super) struct Comparison {
    pub(super) other: String,
    pub(super) other_address: String,
    /// Whether both are the same image.
    pub(super) same: bool,
    /// What is told of all layers: what, of the tag, of the other.
    pub(super) sums: Vec<(&'static str, String, String)>,
    /// The difference in words: `3.1 MB larger than 1.2`.
    pub(super) size: String,
    pub(super) shared: String,
    pub(super) layers: Vec<LayerDifference>,
    pub(super) facts: Vec<Difference>,
    pub(super) labels: Vec<Difference>,
    pub(super) environment: Vec<Difference>,
}

impl Comparison {
    /// What differs, by its kind; of facts the name says it.
    pub(super) fn differences(&self) -> [(&'static str, &[Difference]); 3] {
        [("", &self.facts), ("label", &self.labels), ("variable", &self.environment)]
    }
}

/// A layer that only one of them has.
pub(super) struct LayerDifference {
    /// Whether the other one has it.
    pub(super) of_other: bool,
    pub(super) short: String,
    pub(super) digest: String,
    pub(super) step: Option<String>,
    pub(super) size: String,
}

/// What one of them tells, and the other one; none where it does not tell it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) name: String,
    pub(super) own: Option<String>,
    pub(super) other: Option<String>,
}

/// Compares a tag with the one that is asked for; none where there is nothing to compare.
pub(super) async fn compare(
    site: &Site,
    name: &RepositoryName,
    entry: Option<&RepositoryEntry>,
    tag: &Tag,
    details: &ImageDetails,
    asked: Option<&str>,
    chosen: &Chosen,
) -> Option<Compare> {
    let entry = entry?;
    let offered = offered(entry, tag);
    let result = match asked.map(str::trim).filter(|asked| !asked.is_empty()) {
        None => None,
        Some(text) => Some(compared(site, name, entry, tag, details, text, chosen).await),
    };
    let asked = asked.unwrap_or_default().to_owned();
    (!offered.is_empty() || result.is_some()).then_some(Compare { offered, asked, result })
}

async fn compared(
    site: &Site,
    name: &RepositoryName,
    entry: &RepositoryEntry,
    tag: &Tag,
    details: &ImageDetails,
    asked: &str,
    chosen: &Chosen,
) -> Result<Comparison, String> {
    let none = || format!("There is no tag {} to compare with.", text::one_line(asked, Tag::MAX_LENGTH));
    let other: Tag = asked.parse().map_err(|_| none())?;
    if entry.tag(&other).is_none() {
        return Err(none());
    }
    // Like with like: the same platform, where it is one of several.
    let build = details.builds.iter().find(|build| build.descriptor.digest == details.image.digest);
    let platform = build.and_then(|build| build.platform.as_ref()).map(ToString::to_string);
    let read = async |platform| read_image(site, name, Some(entry), &other, platform).await;
    let other_details = read(platform.as_deref()).await.map_err(|reason| match (reason, &platform) {
        (NoImage::Unread(ReadImageError::NotFound), Some(platform)) => {
            format!("{other} has no image for {platform}.")
        }
        (reason, _) => reason.text().to_owned(),
    })?;
    let other_address = repository_address_with(name, Some(&other), platform.as_deref(), chosen);
    Ok(comparison(tag, details, &other, &other_details, other_address))
}

fn comparison(
    tag: &Tag,
    details: &ImageDetails,
    other: &Tag,
    other_details: &ImageDetails,
    other_address: String,
) -> Comparison {
    let (own_layers, other_layers) = (layers(details), layers(other_details));
    let digests = |layers: &[&Descriptor]| layers.iter().map(|layer| layer.digest.clone()).collect::<HashSet<Digest>>();
    let (own_digests, other_digests) = (digests(&own_layers), digests(&other_layers));
    let size = |layers: &[&Descriptor]| layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
    let (own_size, other_size) = (size(&own_layers), size(&other_layers));
    let shared: Vec<&Descriptor> =
        own_layers.iter().copied().filter(|layer| other_digests.contains(&layer.digest)).collect();
    let only = |of: &ImageDetails, layers: &[&Descriptor], elsewhere: &HashSet<Digest>, of_other: bool| {
        let steps = steps(layers, of.configuration.as_deref());
        let differing = layers.iter().zip(steps).filter(|(layer, _)| !elsewhere.contains(&layer.digest));
        differing
            .map(|(layer, step)| LayerDifference {
                of_other,
                short: text::short_digest(&layer.digest),
                digest: layer.digest.to_string(),
                step: step.map(shown_step),
                size: text::size(layer.size),
            })
            .collect::<Vec<_>>()
    };
    let mut differing = only(details, &own_layers, &other_digests, false);
    differing.extend(only(other_details, &other_layers, &own_digests, true));
    let by_name = |details: &ImageDetails| {
        let told = facts(details).into_iter().filter(|(name, _)| !UNTOLD.contains(name));
        told.map(|(name, value)| (name.to_owned(), value)).collect::<Vec<_>>()
    };
    let told = |details: &ImageDetails, read: fn(&_) -> Vec<(String, String)>| {
        details.configuration.as_deref().map(read).unwrap_or_default()
    };
    Comparison {
        other: other.to_string(),
        other_address,
        same: details.image.digest == other_details.image.digest,
        sums: vec![
            ("Size of the layers", text::size(own_size), text::size(other_size)),
            ("Layers", text::number(own_layers.len() as u64), text::number(other_layers.len() as u64)),
        ],
        size: match own_size.cmp(&other_size) {
            std::cmp::Ordering::Equal => format!("As large as {other}."),
            std::cmp::Ordering::Greater => format!("{} larger than {other}.", text::size(own_size - other_size)),
            std::cmp::Ordering::Less => format!("{} smaller than {other}.", text::size(other_size - own_size)),
        },
        shared: format!(
            "{tag} and {other} share {} of {}.",
            text::count(shared.len() as u64, "layer", "layers"),
            text::size(size(&shared))
        ),
        layers: differing,
        facts: differences(by_name(details), by_name(other_details)),
        labels: differences(told(details, labels), told(other_details, labels)),
        environment: differences(told(details, environment), told(other_details, environment)),
    }
}

/// What is not the same, by name.
fn differences(
    own: impl IntoIterator<Item = (String, String)>,
    other: impl IntoIterator<Item = (String, String)>,
) -> Vec<Difference> {
    let (mut own, mut other): (HashMap<_, _>, HashMap<_, _>) = (own.into_iter().collect(), other.into_iter().collect());
    let names: BTreeSet<String> = own.keys().chain(other.keys()).cloned().collect();
    names
        .into_iter()
        .map(|name| Difference { own: own.remove(&name), other: other.remove(&name), name })
        .filter(|difference| difference.own != difference.other)
        .map(|Difference { name, own, other }| {
            let shown = |text: String| text::one_line(&text, MAX_TEXT);
            Difference { name: shown(name), own: own.map(shown), other: other.map(shown) }
        })
        .collect()
}

/// The tags around one in the order of versions, the nearest first.
fn offered(entry: &RepositoryEntry, tag: &Tag) -> Vec<String> {
    let mut tags: Vec<&Tag> = entry.tags.iter().map(|entry| &entry.tag).collect();
    tags.sort_by(|a, b| version_order::compare(a.as_str(), b.as_str()));
    let Some(own) = tags.iter().position(|other| *other == tag) else { return Vec::new() };
    let from = own.saturating_sub(OFFERED / 2);
    let around = tags.iter().skip(from).take(OFFERED + 1);
    let mut around: Vec<(usize, &Tag)> =
        around.enumerate().map(|(at, tag)| ((from + at).abs_diff(own), *tag)).collect();
    around.sort_by_key(|(distance, _)| *distance);
    around.into_iter().filter(|(distance, _)| *distance > 0).map(|(_, tag)| tag.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use staticreg_application::catalog::{TagEntry, TagTarget};

    use super::*;

    #[test]
    fn what_differs_is_told_by_name() {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
        };
        let own = pairs(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let other = pairs(&[("d", "4"), ("a", "1"), ("b", "5")]);
        let told: Vec<_> = differences(own, other).into_iter().map(|it| (it.name, it.own, it.other)).collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("b".to_owned(), text("2"), text("5")),
                ("c".to_owned(), text("3"), None),
                ("d".to_owned(), None, text("4")),
            ]
        );
    }

    #[test]
    fn the_tags_nearest_by_version_are_offered_first() {
        let mut tags: Vec<Tag> = (0..200).map(|minor| format!("1.{minor}").parse().expect("a tag")).collect();
        tags.sort();
        let tags = tags.into_iter().map(|tag| TagEntry { tag, target: TagTarget::Unknown }).collect();
        let entry = RepositoryEntry { tags, ..RepositoryEntry::unread("a".parse().expect("a name")) };
        let offered = offered(&entry, &"1.100".parse().expect("a tag"));
        assert_eq!(offered.len(), OFFERED);
        assert_eq!(offered[..4], ["1.99", "1.101", "1.98", "1.102"]);
    }
}
