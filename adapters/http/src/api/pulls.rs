//! `GET /api/v1/pulls`.

use chrono::NaiveDate;
use poem_openapi::{
    Enum, Object,
    types::{Example, MaybeUndefined},
};
use serde::Serialize;
use staticreg_application::{
    ask_metrics::AskMetrics,
    compare::DaysBefore,
    intervals::{self, Period},
};
use staticreg_domain::{
    RepositoryName,
    metrics::{BreakdownRow, Dimension, FolderEntry, Measures, Order},
};

use super::{
    example_time,
    list::{Compare, Declaration, Item, ListAnswer, cell, change},
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
    /// left out unless `fill=zero` or `compare=previous` asks for them.
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
        /// `previous` tells beside each period what was counted as many days before as are asked for, and the change. Not
        /// together with `group_by`.
        compare: Option<Compare>,
    ) -> DailyPulls, |ask, filter, counted, paging, format| {
        let split_by = group_by.0.map(Dimension::from);
        if fill.0.is_some() && split_by.is_some() {
            return Err(QuestionError::parameter("fill", "not together with `group_by`"));
        }
        if compare.0.is_some() && split_by.is_some() {
            return Err(QuestionError::parameter("compare", "not together with `group_by`"));
        }
        let before = match compare.0 {
            Some(Compare::Previous) => Some(ask.days_before(&filter).await?),
            None => None,
        };
        let list = Declaration {
            by: std::iter::once(Dimension::Date).chain(split_by).collect(),
            measures: Measures::COUNT,
            order: Order::Key,
        };
        let breakdown = list.breakdown(filter, paging)?;
        let interval = interval.0.map(intervals::Interval::from).unwrap_or_default();
        let rows = match (fill.0, &before) {
            (None, None) => ask.by_interval(interval, &breakdown).await?,
            (Some(Fill::Zero), _) | (_, Some(_)) => ask.by_every_interval(interval, &breakdown, counted).await?,
        };
        let period = |first| interval.period(first, counted, ask.today());
        let item = |row| DailyPulls::from_row(row, split_by, period, before.as_ref());
        let answer = ListAnswer::of_rows(&breakdown, rows, paging.question, format, item)?;
        Ok(answer.compared_with(before.as_ref().map(DaysBefore::dates)))
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
    /// What was counted as many days before; null where days are kept by month. Only with `compare=previous`.
    #[oai(nullable)]
    #[serde(serialize_with = "cell")]
    previous: MaybeUndefined<u64>,
    /// By how much the count changed since, in per cent; null where that cannot be told. Only with `compare=previous`.
    #[oai(nullable)]
    #[serde(serialize_with = "cell")]
    change: MaybeUndefined<f64>,
}

impl DailyPulls {
    fn from_row(
        row: BreakdownRow,
        split_by: Option<Dimension>,
        period: impl Fn(NaiveDate) -> Period,
        before: Option<&DaysBefore>,
    ) -> Option<Self> {
        let BreakdownRow { key, count, .. } = row;
        let entry = key.folder.as_ref();
        let repository = key.repository.as_ref().map(RepositoryName::as_str);
        let period = period(key.date?);
        let Period { first_on, last_on, is_complete } = period;
        let previous =
            before.map_or(MaybeUndefined::Undefined, |before| MaybeUndefined::from_opt_null(before.of(period)));
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
            change: if previous.is_null() { MaybeUndefined::Null } else { change(count, previous.value().copied()) },
            previous,
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
            previous: MaybeUndefined::Undefined,
            change: MaybeUndefined::Undefined,
        }
    }
}

impl Item for DailyPulls {
    const COLUMNS: &'static [&'static str] = &[
        "date",
        "first_on",
        "last_on",
        "complete",
        "architecture",
        "folder",
        "repository",
        "tag",
        "count",
        "previous",
        "change",
    ];
}
