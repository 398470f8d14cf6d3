//! `GET /api/v1/pulls`.

use chrono::NaiveDate;
use poem_openapi::{Enum, Object, OpenApi, param::Query, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{DayPulls, Listed, PullGroup};

use super::{
    ApiTag, example_time,
    list::{self, Format, Item, ListAnswer},
    selection::{Kind, Selection},
};
use crate::problem::QuestionError;

pub(crate) struct PullsApi {
    pub(crate) ask: AskMetrics,
}

#[OpenApi]
impl PullsApi {
    /// Counts per day.
    ///
    /// By date, then by group. `group_by` splits each day; days without counts are left out.
    #[oai(path = "/api/v1/pulls", method = "get", operation_id = "list_pulls", tag = "ApiTag::Statistics")]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn list_pulls(
        &self,
        /// The first date, inclusive. Not together with `days`.
        from: Query<Option<NaiveDate>>,
        /// The last date, inclusive; today when not given.
        to: Query<Option<NaiveDate>>,
        /// The number of days until `to`; 30 when neither `from` nor `days` is given.
        #[oai(validator(minimum(value = "1"), maximum(value = "3660")))]
        days: Query<Option<u32>>,
        /// Which accesses are counted; `pull_by_tag` when not given.
        kind: Query<Option<Kind>>,
        /// Only this repository.
        #[oai(validator(max_length = 255))]
        repository: Query<Option<String>>,
        /// Only this tag.
        #[oai(validator(max_length = 128))]
        tag: Query<Option<String>>,
        /// Only this digest.
        #[oai(validator(max_length = 255))]
        digest: Query<Option<String>>,
        /// Only this architecture, such as `amd64` or `not-specified`.
        #[oai(validator(max_length = 32))]
        architecture: Query<Option<String>>,
        /// What to split each day by.
        group_by: Query<Option<GroupBy>>,
        /// The most items of a page; 100 when not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
        limit: Query<Option<u32>>,
        /// Where to read on: the `next_cursor` of the page before.
        #[oai(validator(max_length = 2048))]
        cursor: Query<Option<String>>,
        format: Format,
    ) -> Result<ListAnswer<DailyPulls>, QuestionError> {
        let selection = Selection {
            from: from.0,
            to: to.0,
            days: days.0,
            kind: kind.0,
            repository: repository.0,
            tag: tag.0,
            digest: digest.0,
            architecture: architecture.0,
        };
        let group = group_by.0.map(PullGroup::from);
        let page = list::page::<DailyPulls>(limit.0, cursor.as_deref())?;
        let slice = self.ask.pulls(&selection.filter(&self.ask)?, group, &page).await?;
        Ok(ListAnswer::new(slice, format, |day| DailyPulls::new(day, group)))
    }
}

/// What each day is split by.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum GroupBy {
    /// Architecture.
    Architecture,
    /// Repository.
    Repository,
    /// Tag.
    Tag,
}

impl From<GroupBy> for PullGroup {
    fn from(group: GroupBy) -> Self {
        match group {
            GroupBy::Architecture => Self::Architecture,
            GroupBy::Repository => Self::Repository,
            GroupBy::Tag => Self::Tag,
        }
    }
}

/// Counts of one day, or of one group of it.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct DailyPulls {
    /// The day, in UTC.
    date: NaiveDate,
    /// The architecture; only with `group_by=architecture`.
    #[oai(skip_serializing_if_is_none)]
    architecture: Option<String>,
    /// The repository; only with `group_by=repository`.
    #[oai(skip_serializing_if_is_none)]
    repository: Option<String>,
    /// The tag; only with `group_by=tag`, and empty for accesses that named none.
    #[oai(skip_serializing_if_is_none)]
    tag: Option<String>,
    /// The count.
    pulls: u64,
}

impl DailyPulls {
    fn new(day: DayPulls, split_by: Option<PullGroup>) -> Self {
        let DayPulls { date, group, pulls } = day;
        let mut item = Self { date, architecture: None, repository: None, tag: None, pulls };
        match split_by {
            Some(PullGroup::Architecture) => item.architecture = group,
            Some(PullGroup::Repository) => item.repository = group,
            Some(PullGroup::Tag) => item.tag = group,
            None => {}
        }
        item
    }
}

impl Example for DailyPulls {
    fn example() -> Self {
        let date = example_time().date_naive();
        Self { date, architecture: Some("amd64".to_owned()), repository: None, tag: None, pulls: 42 }
    }
}

impl Item for DailyPulls {
    type Source = DayPulls;
    type Wire = (NaiveDate, Option<String>);

    const COLUMNS: &'static [&'static str] = &["date", "architecture", "repository", "tag", "pulls"];

    fn to_wire(position: <DayPulls as Listed>::Position) -> Self::Wire {
        position
    }

    fn from_wire((date, group): Self::Wire) -> Option<<DayPulls as Listed>::Position> {
        let printable = |text: &String| !text.chars().any(char::is_control);
        group.as_ref().is_none_or(printable).then_some((date, group))
    }
}
