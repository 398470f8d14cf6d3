//! What the address of the list of repositories asks for, and the addresses of such lists.

use staticreg_application::browse::{ListingQuestion, Presence, Sort};

use super::{
    addresses::with_kept,
    chosen::Chosen,
    list::{is_reverse, order_name},
    parameters::Parameters,
};

/// Repositories on a page.
pub(super) const PER_PAGE: usize = 50;

/// What the address asks for.
pub(super) struct ListParameters {
    pub(super) question: ListingQuestion,
}

impl ListParameters {
    pub(super) fn from_parameters(parameters: &Parameters) -> Self {
        let sort = match parameters.get("sort") {
            Some("name") => Sort::Name,
            Some("tags") => Sort::Tags,
            Some("size") => Sort::Size,
            Some("last_pushed") => Sort::LastPushed,
            Some("last_pulled") => Sort::LastPulled,
            Some("change") => Sort::Change,
            _ => Sort::Pulls,
        };
        let search = parameters.get("q").unwrap_or_default().to_owned();
        let presence = match parameters.get("show") {
            Some("there") => Presence::There,
            Some("gone") => Presence::Gone,
            Some("all") => Presence::Any,
            // Who searches means whatever there is.
            _ if search.is_empty() => Presence::There,
            _ => Presence::Any,
        };
        let folder = parameters.get("folder").map(|folder| folder.trim_matches('/').to_owned());
        Self {
            question: ListingQuestion {
                search,
                presence,
                folder: folder.filter(|folder| !folder.is_empty()),
                sort,
                reverse: is_reverse(parameters),
                page: parameters.parse("page").unwrap_or(1),
                per_page: PER_PAGE,
            },
        }
    }

    pub(super) fn folder(&self) -> &str {
        self.question.folder.as_deref().unwrap_or_default()
    }

    pub(super) fn search(&self) -> &str {
        &self.question.search
    }

    pub(super) fn shows_gone(&self) -> bool {
        self.question.presence == Presence::Gone
    }

    pub(super) fn sort_name(&self) -> &'static str {
        sort_name(self.question.sort)
    }

    pub(super) fn order_name(&self) -> &'static str {
        order_name(self.question.reverse)
    }
}

/// The name of what is shown, unless that is shown anyway.
fn presence_name(question: &ListingQuestion) -> &'static str {
    match (question.presence, question.search.is_empty()) {
        (Presence::There, true) | (Presence::Any, false) => "",
        (Presence::There, false) => "there",
        (Presence::Gone, _) => "gone",
        (Presence::Any, true) => "all",
    }
}

fn sort_name(sort: Sort) -> &'static str {
    match sort {
        Sort::Name => "name",
        Sort::Tags => "tags",
        Sort::Size => "size",
        Sort::LastPushed => "last_pushed",
        Sort::Pulls => "",
        Sort::Change => "change",
        Sort::LastPulled => "last_pulled",
    }
}

/// The address of the list, or of the same as CSV.
pub(super) fn address(path: &str, question: &ListingQuestion, chosen: &Chosen) -> String {
    let page = if question.page > 1 { question.page.to_string() } else { String::new() };
    let mut own = own_parameters(question);
    own.push(("page", &page));
    with_kept(path, &own, chosen)
}

/// What the address says beside what is counted, and the page.
pub(super) fn own_parameters(question: &ListingQuestion) -> Vec<(&str, &str)> {
    vec![
        ("q", &question.search),
        ("folder", question.folder.as_deref().unwrap_or_default()),
        ("show", presence_name(question)),
        ("sort", sort_name(question.sort)),
        ("order", order_name(question.reverse)),
    ]
}
