//! The part of the home page that tells which tags a search found.

use askama::Template;
use staticreg_application::browse::{Found, FoundTag};
use staticreg_domain::Digest;

use super::{addresses::repository_address_with, chosen::Chosen, text};

/// Tags that a search found.
#[derive(Template)]
#[template(path = "found.html")]
pub(super) struct FoundSection {
    rows: Vec<FoundRow>,
    more: bool,
}

struct FoundRow {
    repository: String,
    tag: String,
    address: String,
    digest: Option<(String, String)>,
}

impl FoundSection {
    /// What there is to show; none where nothing was found.
    pub(super) fn new(found: Found, chosen: &Chosen) -> Option<Self> {
        let Found { tags, more } = found;
        let row = |FoundTag { repository, tag, digest, is_child }: FoundTag| {
            // An image of an index is shown on the page of the index.
            let platform = digest.as_ref().filter(|_| is_child).map(Digest::as_str).unwrap_or_default();
            FoundRow {
                address: repository_address_with(
                    &repository,
                    Some(&tag),
                    (!platform.is_empty()).then_some(platform),
                    chosen,
                ),
                digest: digest.map(|digest| (text::short_digest(&digest), digest.to_string())),
                repository: repository.to_string(),
                tag: tag.to_string(),
            }
        };
        let rows: Vec<FoundRow> = tags.into_iter().map(row).collect();
        (!rows.is_empty()).then_some(Self { rows, more })
    }

    /// How many there are, in words.
    pub(super) fn words(&self) -> String {
        let more = if self.more { "more than " } else { "" };
        format!("{more}{}", text::count(self.rows.len() as u64, "tag", "tags"))
    }
}
