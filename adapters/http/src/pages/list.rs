//! What all lists have in common: columns to sort by, and pages.

use super::{parameters::Parameters, text};

/// The head of a column that the list can be sorted by.
pub(crate) struct Column {
    pub(crate) label: String,
    pub(crate) class: &'static str,
    pub(crate) address: String,
    /// `ascending` or `descending` for the column it is sorted by.
    pub(crate) sorted: Option<&'static str>,
}

/// The order, as addresses tell it.
pub(crate) fn order_name(reverse: bool) -> &'static str {
    if reverse { "reverse" } else { "" }
}

/// Whether an address asks for the list the other way around.
pub(crate) fn is_reverse(parameters: &Parameters) -> bool {
    parameters.get("order") == Some("reverse")
}

/// The links between pages.
#[derive(Default)]
pub(crate) struct Pages {
    /// The page's number.
    pub(crate) number: String,
    /// How many there are.
    pub(crate) count: String,
    pub(crate) first: Option<String>,
    pub(crate) previous: Option<String>,
    pub(crate) next: Option<String>,
    pub(crate) last: Option<String>,
}

impl Pages {
    /// The links around a page.
    pub(crate) fn new(page: usize, pages: usize, address: impl Fn(usize) -> String) -> Self {
        let to = |wanted: bool, page: usize| wanted.then(|| address(page));
        Self {
            number: text::number(page as u64),
            count: text::number(pages as u64),
            first: to(page > 2, 1),
            previous: to(page > 1, page.saturating_sub(1)),
            next: to(page < pages, page + 1),
            last: to(page + 1 < pages, pages),
        }
    }

    /// Whether there is more than one page.
    pub(crate) fn any(&self) -> bool {
        self.previous.is_some() || self.next.is_some()
    }
}
