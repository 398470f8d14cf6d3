//! The lists that people ask for, as breakdowns, and rows as text.

use std::fmt::Write as _;

use staticreg_domain::metrics::{
    Breakdown, BreakdownRow, Dimension, Filter, Measures, MetricsReader, Order, Page, Slice,
};

/// A list: what counts are told apart by, what is told of them, and in which order.
pub type List = (&'static [Dimension], Measures, Order);

/// Counts per day.
pub const DAYS: List = (&[Dimension::Date], Measures::COUNT, Order::Key);
/// Counts per day and architecture.
pub const DAYS_BY_ARCHITECTURE: List = (&[Dimension::Date, Dimension::Architecture], Measures::COUNT, Order::Key);
/// Counts per day and what lies right in a folder.
pub const DAYS_BY_FOLDER: List = (&[Dimension::Date, Dimension::Folder], Measures::COUNT, Order::Key);
/// Counts per day and repository.
pub const DAYS_BY_REPOSITORY: List = (&[Dimension::Date, Dimension::Repository], Measures::COUNT, Order::Key);
/// Counts per day and tag.
pub const DAYS_BY_TAG: List = (&[Dimension::Date, Dimension::Tag], Measures::COUNT, Order::Key);
/// Counts and tags per repository.
pub const REPOSITORIES: List =
    (&[Dimension::Repository], Measures { distinct: Some(Dimension::Tag), ..Measures::LAST }, Order::MostFirst);
/// Counts per repository and tag.
pub const IMAGES: List = (&[Dimension::Repository, Dimension::Tag], Measures::LAST, Order::MostFirst);
/// Counts and repositories per architecture.
pub const ARCHITECTURES: List = (
    &[Dimension::Architecture],
    Measures { distinct: Some(Dimension::Repository), ..Measures::COUNT },
    Order::MostFirst,
);
/// Counts and repositories of what lies right in a folder.
pub const FOLDERS: List =
    (&[Dimension::Folder], Measures { distinct: Some(Dimension::Repository), ..Measures::LAST }, Order::MostFirst);
/// Counts per tag and architecture.
pub const TAGS: List = (&[Dimension::Tag, Dimension::Architecture], Measures::LAST, Order::MostFirst);
/// Counts per digest.
pub const DIGESTS: List = (&[Dimension::Digest], Measures { first: true, ..Measures::LAST }, Order::LatestFirst);

/// Every list.
pub const ALL: [List; 11] = [
    DAYS,
    DAYS_BY_ARCHITECTURE,
    DAYS_BY_FOLDER,
    DAYS_BY_REPOSITORY,
    DAYS_BY_TAG,
    FOLDERS,
    REPOSITORIES,
    IMAGES,
    ARCHITECTURES,
    TAGS,
    DIGESTS,
];

/// The question for the first rows of a list.
#[must_use]
pub fn breakdown((by, measures, order): List, filter: &Filter, limit: u32) -> Breakdown {
    Breakdown { by: by.to_vec(), measures, filter: filter.clone(), order, page: Page::first(limit) }
}

/// A page of a list.
pub async fn page(store: &(impl MetricsReader + ?Sized), breakdown: &Breakdown) -> Slice<BreakdownRow> {
    store.breakdown(breakdown).await.expect("answers")
}

/// The rows of a list, which are few.
pub async fn rows(store: &(impl MetricsReader + ?Sized), list: List, filter: &Filter) -> Vec<BreakdownRow> {
    let Slice { items, more } = page(store, &breakdown(list, filter, 1000)).await;
    assert!(!more, "they are many");
    items
}

/// The rows of a list as text: the parts of the key with `-` for no tag, the count, and what else is told.
pub async fn lines(store: &(impl MetricsReader + ?Sized), list: List, filter: &Filter) -> Vec<String> {
    rows(store, list, filter).await.iter().map(|row| line(row, list.0)).collect()
}

fn line(row: &BreakdownRow, by: &[Dimension]) -> String {
    let BreakdownRow { key, count, previous, distinct, first_on, last_at } = row;
    let mut line = String::new();
    for dimension in by {
        let text = match (dimension, key.date) {
            (Dimension::Date, Some(date)) => date.to_string(),
            _ => key.borrowed().text(*dimension).to_owned(),
        };
        let text = if text.is_empty() { "-" } else { &text };
        write!(line, "{text} ").expect("writes");
    }
    write!(line, "{count}").expect("writes");
    let told = [
        previous.map(|previous| format!("after {previous}")),
        distinct.map(|distinct| distinct.to_string()),
        first_on.map(|date| date.to_string()),
        last_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
    ];
    for told in told.into_iter().flatten() {
        write!(line, " {told}").expect("writes");
    }
    line
}

/// The sum of a list's counts.
pub async fn sum(store: &(impl MetricsReader + ?Sized), list: List, filter: &Filter) -> u64 {
    rows(store, list, filter).await.iter().map(|row| row.count).sum()
}
