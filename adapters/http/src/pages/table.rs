//! What all tables that are given as CSV have in common. The columns of each stand in the file of its page.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use staticreg_application::{
    ask_metrics::Counted,
    browse::{Daily, Shown},
};
use staticreg_domain::{RepositoryName, Tag};

use super::parameters::Parameters;

/// A table.
pub(crate) struct Table {
    /// The head first.
    pub(crate) rows: Vec<Vec<String>>,
    /// What is counted in it, where it is about some dates.
    pub(crate) counted: Option<Counted>,
}

impl Table {
    /// One about some dates.
    pub(crate) fn of(self, counted: Counted) -> Self {
        Self { counted: Some(counted), ..self }
    }
}

/// Why a table cannot be given.
pub(crate) enum NoTable {
    /// There is no such table, or a name is wrong.
    Unknown,
    /// The store does not answer.
    StoreAway,
    /// The registry does not answer.
    RegistryAway,
}

/// A table of its columns' names and its rows.
pub(crate) fn with_head(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let rows = std::iter::once(head.iter().map(|name| (*name).to_owned()).collect()).chain(rows).collect();
    Table { rows, counted: None }
}

/// The days of a chart, where there is something to count.
pub(crate) fn daily(daily: &Daily, name: &str, what: &str) -> Table {
    let days = daily.range.from().iter_days().take_while(|date| *date <= daily.range.to()).enumerate();
    let rows = days.flat_map(|(index, date)| {
        daily
            .series
            .iter()
            .map(move |series| (series, series.days.get(index).copied().unwrap_or_default()))
            .filter(|(_, pulls)| *pulls > 0)
            .map(move |(series, pulls)| vec![date.to_string(), series.name.clone(), pulls.to_string()])
    });
    let counted = Counted { dates: daily.range, months_before: daily.months_before };
    with_head(&["date", name, what], rows).of(counted)
}

/// What is shown, when the store ever told it.
pub(crate) fn known<V>(shown: Shown<V>) -> Result<Arc<V>, NoTable> {
    shown.value.ok_or(NoTable::StoreAway)
}

/// The repository that a table is asked for.
pub(crate) fn asked_repository(parameters: &Parameters) -> Result<RepositoryName, NoTable> {
    parameters.parse("repository").ok_or(NoTable::Unknown)
}

/// The tag that a table is asked for, if any.
pub(crate) fn asked_tag(parameters: &Parameters) -> Result<Option<Tag>, NoTable> {
    parameters.get("tag").map(str::parse).transpose().map_err(|_| NoTable::Unknown)
}

/// A time as tables have it: RFC 3339, or nothing.
pub(crate) fn time(at: Option<DateTime<Utc>>) -> String {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
}
