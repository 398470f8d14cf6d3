//! The addresses of pages and tables.

use staticreg_domain::{RepositoryName, Tag};

use super::{chosen::Chosen, text};

/// The address of a folder's repositories.
pub(crate) fn folder_address(folder: &str) -> String {
    text::address("/", &[("folder", folder)])
}

/// The same about what is counted on another page.
pub(crate) fn folder_address_in(folder: &str, chosen: &Chosen) -> String {
    with_kept("/", &[("folder", folder)], chosen)
}

/// The address of the repositories whose names hold words.
pub(crate) fn search_address(words: &str) -> String {
    text::address("/", &[("q", words)])
}

/// The address of a repository's page.
pub(crate) fn repository_address(name: &str) -> String {
    format!("/repo/{name}")
}

/// The same about what is counted on another page.
pub(crate) fn repository_address_in(name: &RepositoryName, chosen: &Chosen) -> String {
    repository_address_with(name, None, None, chosen)
}

/// The address of a tag's page.
pub(crate) fn tag_address(name: &RepositoryName, tag: &Tag) -> String {
    text::address(&repository_address(name.as_str()), &[("tag", tag.as_str())])
}

/// The same about what is counted on another page.
pub(crate) fn tag_address_in(name: &RepositoryName, tag: &Tag, chosen: &Chosen) -> String {
    repository_address_with(name, Some(tag), None, chosen)
}

/// The address of a repository's page, or of a tag's and one of its platforms, about what is counted on another page.
pub(crate) fn repository_address_with(
    name: &RepositoryName,
    tag: Option<&Tag>,
    platform: Option<&str>,
    chosen: &Chosen,
) -> String {
    let own = [("tag", tag.map_or("", Tag::as_str)), ("platform", platform.unwrap_or_default())];
    with_kept(&repository_address(name.as_str()), &own, chosen)
}

/// The address of a table of what is counted on a page, of a repository or a tag where one is named.
pub(crate) fn csv_address(table: &str, name: Option<&RepositoryName>, tag: Option<&Tag>, chosen: &Chosen) -> String {
    let all = chosen.parameters();
    let name = name.map_or("", RepositoryName::as_str);
    let mut parameters = vec![("repository", name), ("tag", tag.map_or("", Tag::as_str))];
    parameters.extend(all.iter().map(|(name, value)| (*name, value.as_str())));
    text::address(&format!("/export/{table}.csv"), &parameters)
}

/// An address with its own parameters and what was chosen.
pub(crate) fn with_kept(path: &str, own: &[(&str, &str)], chosen: &Chosen) -> String {
    let kept = chosen.kept();
    let kept = kept.iter().map(|(name, value)| (*name, value.as_str()));
    text::address(path, &own.iter().copied().chain(kept).collect::<Vec<_>>())
}
