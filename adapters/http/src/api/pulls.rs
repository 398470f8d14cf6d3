//! `GET /api/v1/pulls`.

use chrono::NaiveDate;
use poem_openapi::{
    Enum, Object,
    types::{Example, MaybeUndefined},
};
use serde::{Serialize, Serializer};
use staticreg_application::{
    ask_metrics::AskMetrics,
    intervals::{self, Period},
};
use staticreg_domain::{
    RepositoryName,
    metrics::{BreakdownRow, Dimension, FolderEntry, Measures, Order},
};

use super::{
    example_time,
    list::{Declaration, Item, ListAnswer},
    operation::list_operation,
    selection::Several,
};
use crate::problem::QuestionError;

pub(crate) struct PullsApi {
    pub(crate) ask: AskMetrics,
}

list_operation! {
    /// Counts per day, week or month.
    ///
    /// By date, then by group. `group_by` splits each day. `interval` counts weeks or months in the place of days; the
    /// first and the last hold only the dates that are asked for, from `first_on` to `last_on`. Periods without counts are
    /// left out unless `fill=zero` asks for them.
    GET "/api/v1/pulls" as "list_pulls" on PullsApi(
        /// Only these repositories.
        #[oai(validator(max_items = 20))]
        repository: Several,
        /// Only these tags.
        #[oai(validator(max_items = 20))]
        tag: Several,
        /// What to split each day by.
        group_by: Option<GroupBy>,
        /// What is counted together; `day` when not given.
        interval: Option<Interval>,
        /// `zero` tells periods without counts too, with a count of 0. Not together with `group_by`.
        fill: Option<Fill>,
    ) -> DailyPulls, |ask, filter, counted, paging, format| {
        let split_by = group_by.0.map(Dimension::from);
        if fill.0.is_some() && split_by.is_some() {
            return Err(QuestionError::parameter("fill", "not together with `group_by`"));
        }
        let list = Declaration {
            by: std::iter::once(Dimension::Date).chain(split_by).collect(),
            measures: Measures::COUNT,
            order: Order::Key,
        };
        let breakdown = list.breakdown(filter, paging)?;
        let interval = interval.0.map(intervals::Interval::from).unwrap_or_default();
        let rows = match fill.0 {
            Some(Fill::Zero) => ask.by_every_interval(interval, &breakdown, counted).await?,
            None => ask.by_interval(interval, &breakdown).await?,
        };
        let period = |first| interval.period(first, counted, ask.today());
        ListAnswer::of_rows(&breakdown, rows, paging.question, format, |row| DailyPulls::from_row(row, split_by, period))
    }
}

/// What each day is split by.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum GroupBy {
    /// Architecture.
    Architecture,
    /// What lies right in `folder`, or at the top: a folder with all below it, or a repository.
    Folder,
    /// Repository.
    Repository,
    /// Tag.
    Tag,
}

impl From<GroupBy> for Dimension {
    fn from(group: GroupBy) -> Self {
        match group {
            GroupBy::Architecture => Self::Architecture,
            GroupBy::Folder => Self::Folder,
            GroupBy::Repository => Self::Repository,
            GroupBy::Tag => Self::Tag,
        }
    }
}

/// The dates that are counted together.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum Interval {
    /// Each day.
    Day,
    /// Each week, from Monday on.
    Week,
    /// Each month.
    Month,
}

/// What is told of periods without counts.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum Fill {
    /// A count of 0.
    Zero,
}

impl From<Interval> for intervals::Interval {
    fn from(interval: Interval) -> Self {
        match interval {
            Interval::Day => Self::Day,
            Interval::Week => Self::Week,
            Interval::Month => Self::Month,
        }
    }
}

/// Counts of a day, week or month, or of one group of it.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct DailyPulls {
    /// The day, in UTC; the first one of a week or month.
    date: NaiveDate,
    /// The first date that is counted: `date`, or the first that was asked for.
    first_on: NaiveDate,
    /// The last date that is counted. Of days that are kept by month, the month's last.
    last_on: NaiveDate,
    /// False when only a part of the day, week or month is counted: it is not over yet, or not all of it was asked for.
    complete: bool,
    /// The architecture; only with `group_by=architecture`.
    #[oai(skip_serializing_if_is_none)]
    architecture: Option<String>,
    /// The path of the folder; only with `group_by=folder`, and not for a repository.
    #[oai(skip_serializing_if_is_none)]
    folder: Option<String>,
    /// The repository; only with `group_by=repository`, or with `group_by=folder` for one that lies there itself.
    #[oai(skip_serializing_if_is_none)]
    repository: Option<String>,
    /// The tag; only with `group_by=tag`, and null for accesses that named none.
    #[oai(nullable)]
    #[serde(serialize_with = "cell")]
    tag: MaybeUndefined<String>,
    /// The count.
    count: u64,
}

impl DailyPulls {
    fn from_row(row: BreakdownRow, split_by: Option<Dimension>, period: impl Fn(NaiveDate) -> Period) -> Option<Self> {
        let BreakdownRow { key, count, .. } = row;
        let entry = key.folder.as_ref();
        let repository = key.repository.as_ref().map(RepositoryName::as_str);
        let Period { first_on, last_on, is_complete } = period(key.date?);
        Some(Self {
            date: key.date?,
            first_on,
            last_on,
            complete: is_complete,
            architecture: key.architecture.map(|name| name.to_string()),
            folder: entry.and_then(FolderEntry::folder).map(str::to_owned),
            repository: repository.or_else(|| entry?.repository()).map(str::to_owned),
            tag: match split_by {
                Some(Dimension::Tag) => MaybeUndefined::from_opt_null(key.tag.map(|tag| tag.to_string())),
                _ => MaybeUndefined::Undefined,
            },
            count,
        })
    }
}

impl Example for DailyPulls {
    fn example() -> Self {
        let date = example_time().date_naive();
        Self {
            date,
            first_on: date,
            last_on: date,
            complete: true,
            architecture: Some("amd64".to_owned()),
            folder: None,
            repository: None,
            tag: MaybeUndefined::Undefined,
            count: 42,
        }
    }
}

/// What may be missing, in CSV: then it is empty.
fn cell<S: Serializer>(text: &MaybeUndefined<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.value().map_or("", String::as_str))
}

impl Item for DailyPulls {
    const COLUMNS: &'static [&'static str] =
        &["date", "first_on", "last_on", "complete", "architecture", "folder", "repository", "tag", "count"];
}
