//! `GET /api/v1/pulls`.

use chrono::NaiveDate;
use poem_openapi::{Enum, Object, types::Example};
use serde::Serialize;
use staticreg_application::ask_metrics::AskMetrics;
use staticreg_domain::metrics::{DayPulls, Listed, PullGroup};

use super::{example_time, list::Item, operation::list_operation};

pub(crate) struct PullsApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts per day.
    ///
    /// By date, then by group. `group_by` splits each day; days without counts are left out.
    GET "/api/v1/pulls" as "list_pulls" on PullsApi(
        /// Only this repository.
        repository: Option<String>,
        /// Only this tag.
        tag: Option<String>,
        /// What to split each day by.
        group_by: Option<GroupBy>,
    ) -> DailyPulls, |ask, filter, page| {
        let group = group_by.0.map(PullGroup::from);
        (ask.pulls(filter, group, page).await?, move |day| DailyPulls::new(day, group))
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
