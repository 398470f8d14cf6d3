//! The addresses of pages and tables.

use staticreg_domain::{RepositoryName, Tag};

use super::{range::ChosenRange, text};

/// The address of a folder's repositories.
pub(crate) fn folder_address(folder: &str) -> String {
    text::address("/", &[("folder", folder)])
}

/// The address of the repositories whose names hold words.
pub(crate) fn search_address(words: &str) -> String {
    text::address("/", &[("q", words)])
}

/// The address of a repository's page.
pub(crate) fn repository_address(name: &str) -> String {
    format!("/repo/{name}")
}

/// The address of a tag's page.
pub(crate) fn tag_address(name: &RepositoryName, tag: &Tag) -> String {
    text::address(&repository_address(name.as_str()), &[("tag", tag.as_str())])
}

/// The address of a tag's page about the same dates.
pub(crate) fn tag_address_in(name: &RepositoryName, tag: &Tag, chosen: &ChosenRange) -> String {
    repository_address_with(name, Some(tag), None, chosen)
}

/// The address of a repository's page, or of a tag's and one of its platforms, about the same dates.
pub(crate) fn repository_address_with(
    name: &RepositoryName,
    tag: Option<&Tag>,
    platform: Option<&str>,
    chosen: &ChosenRange,
) -> String {
    let kept = chosen.kept();
    let mut parameters = vec![("tag", tag.map_or("", Tag::as_str)), ("platform", platform.unwrap_or_default())];
    parameters.extend(kept.iter().map(|(name, value)| (*name, value.as_str())));
    text::address(&repository_address(name.as_str()), &parameters)
}

/// The address of a repository's or a tag's table about the same dates.
pub(crate) fn csv_address(table: &str, name: &RepositoryName, tag: Option<&Tag>, chosen: &ChosenRange) -> String {
    let range = chosen.parameters();
    let mut parameters = vec![("repository", name.as_str()), ("tag", tag.map_or("", Tag::as_str))];
    parameters.extend(range.iter().map(|(name, value)| (*name, value.as_str())));
    text::address(&format!("/export/{table}.csv"), &parameters)
}
