//! `GET /api/v1/metrics`.

use chrono::NaiveDate;
use poem_openapi::{Object, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::{
    Digest, RepositoryName,
    metrics::{AccessKind, Listed, MetricsRow, Page, Slice},
};

use super::{
    cursor::{self, Question},
    example_time,
    list::{Item, ListAnswer},
    operation::list_operation,
    selection::{Kind, Several},
    time::Time,
};

pub(crate) struct MetricsApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// The stored rows, newest first.
    ///
    /// One row per date, repository, tag, digest, architecture and kind; rows of one date follow each other in this order.
    GET "/api/v1/metrics" as "list_metrics" on MetricsApi(
        /// Only these repositories.
        #[oai(validator(max_items = 20))]
        repository: Several,
        /// Only these tags.
        #[oai(validator(max_items = 20))]
        tag: Several,
    ) -> MetricsRowItem, |ask, filter, counted, paging, format| {
        let page = Page { limit: paging.limit(), after: paging.after(|cursor| position(paging.question, cursor))? };
        let Slice { items, more } = ask.store().rows(&filter, &page).await?;
        let next_cursor = items.last().filter(|_| more).and_then(|row| cursor_after(paging.question, row));
        Ok(ListAnswer::new(items.into_iter().map(MetricsRowItem::from).collect(), next_cursor, format))
    }
}

/// One item of the list.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct MetricsRowItem {
    /// The day, in UTC.
    pub(crate) date: NaiveDate,
    /// The repository.
    pub(crate) repository: String,
    /// The tag; null for accesses that named none.
    #[oai(nullable)]
    pub(crate) tag: Option<String>,
    /// The digest; of the index where the tag is an index's.
    pub(crate) digest: String,
    /// The architecture; `not-specified` when nobody told.
    pub(crate) architecture: String,
    // Without a comment of its own: a reference beside a description becomes a schema that client generators refuse.
    pub(crate) kind: Kind,
    /// The count.
    pub(crate) count: u64,
    /// When the first access of the row's first batch happened.
    pub(crate) created_at: Time,
    /// The latest access that was counted.
    pub(crate) updated_at: Time,
}

impl Example for MetricsRowItem {
    fn example() -> Self {
        Self {
            date: example_time().date_naive(),
            repository: "library/nginx".to_owned(),
            tag: Some("latest".to_owned()),
            digest: "sha256:d7733008a9eb1bdae2308ebe4cc9b17a327adfb2bfd492b92fef97f1aa83210d".to_owned(),
            architecture: "amd64".to_owned(),
            kind: Kind::PullByTag,
            count: 5,
            created_at: example_time().into(),
            updated_at: example_time().into(),
        }
    }
}

impl From<MetricsRow> for MetricsRowItem {
    fn from(item: MetricsRow) -> Self {
        let MetricsRow { date, repository, tag, digest, architecture, kind, count, created_at, updated_at } = item;
        Self {
            date,
            repository: repository.to_string(),
            tag: tag.map(|tag| tag.to_string()),
            digest: digest.to_string(),
            architecture: architecture.to_string(),
            kind: kind.into(),
            count,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

impl Item for MetricsRowItem {
    const COLUMNS: &'static [&'static str] =
        &["date", "repository", "tag", "digest", "architecture", "kind", "count", "created_at", "updated_at"];
}

/// A place of this list inside a cursor: date, repository, tag, digest, architecture and kind.
type CursorParts = (NaiveDate, String, Option<String>, String, String, String);

fn cursor_after(question: Question, row: &MetricsRow) -> Option<String> {
    let (date, repository, tag, digest, architecture, kind) = row.position();
    let tag = tag.map(|tag| tag.to_string());
    let (repository, digest, architecture) = (repository.to_string(), digest.to_string(), architecture.to_string());
    cursor::encode(question, &(date, repository, tag, digest, architecture, kind.as_str()))
}

fn position(question: Question, cursor: &str) -> Option<<MetricsRow as Listed>::Position> {
    let (date, repository, tag, digest, architecture, kind) = cursor::decode::<CursorParts>(question, cursor)?;
    // An access without tag has none, and only a text that is no tag is wrong.
    let tag = tag.map(|tag| tag.parse()).transpose().ok()?;
    Some((
        date,
        RepositoryName::as_stored(&repository).ok()?,
        tag,
        Digest::as_stored(&digest).ok()?,
        architecture.parse().ok()?,
        AccessKind::named(&kind)?,
    ))
}
