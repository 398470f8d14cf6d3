//! The dates a page is about: the last 7, 30 or 90 days, or a range of one's own.

use std::time::Duration;

use chrono::NaiveDate;
use staticreg_application::ask_metrics::{AskMetrics, Counted};
use staticreg_domain::metrics::DateRange;
use tokio::time::timeout;

use super::{layout::Notice, parameters::Parameters, text};

/// The ranges to choose from, in days.
const CHOICES: [u32; 3] = [7, 30, 90];

const DEFAULT: u32 = 30;

/// The most days of a range.
pub(crate) const MAX_DAYS: u32 = 3_660;

/// How long a page waits to be told what is kept by month. A store that takes longer has told nothing of the counts either.
const PATIENCE: Duration = Duration::from_millis(500);

/// The dates as asked for.
pub(crate) struct ChosenRange {
    pub(crate) range: DateRange,
    pub(crate) notice: Option<Notice>,
    /// The counts of days before are kept by month; none when all of the range is kept by day.
    months_before: Option<NaiveDate>,
    /// The number of days until today; none for a range of one's own.
    days: Option<u32>,
}

/// A link to another range.
pub(crate) struct RangeChoice {
    pub(crate) label: String,
    pub(crate) address: String,
    pub(crate) chosen: bool,
}

impl ChosenRange {
    pub(crate) async fn from_parameters(parameters: &Parameters, ask: &AskMetrics) -> Self {
        let chosen = Self::asked_for(parameters, ask);
        let Ok(Ok(Counted { dates, months_before: Some(before) })) = timeout(PATIENCE, ask.counted(chosen.range)).await
        else {
            return chosen;
        };
        let text = format!(
            "Days before {} are kept by month. Here whole months are counted, from {} to {}.",
            text::date(before),
            text::date(dates.from()),
            text::date(dates.to())
        );
        let notice = chosen.notice.or(Some(Notice::hint(text)));
        Self { range: dates, notice, months_before: Some(before), ..chosen }
    }

    fn asked_for(parameters: &Parameters, ask: &AskMetrics) -> Self {
        let today = ask.today();
        if parameters.get("from").is_none() && parameters.get("to").is_none() {
            let days = parameters.parse("days").unwrap_or(DEFAULT).clamp(1, MAX_DAYS);
            let range = DateRange::days_until(today, days);
            return Self { range, notice: None, months_before: None, days: Some(days) };
        }
        let (range, notice) = match own(parameters, today) {
            Ok(range) => (range, None),
            Err(reason) => (DateRange::days_until(today, DEFAULT), Some(Notice::warning(reason))),
        };
        let days = notice.is_some().then_some(DEFAULT);
        Self { range, notice, months_before: None, days }
    }

    /// The same, as far as it matters to what is counted.
    pub(crate) fn counted(&self) -> Counted {
        Counted { dates: self.range, months_before: self.months_before }
    }

    /// The parameters that ask for the same dates.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        match self.days {
            Some(days) => vec![("days", days.to_string())],
            None => vec![("from", self.range.from().to_string()), ("to", self.range.to().to_string())],
        }
    }

    /// The same for a link to another page about the same dates, which needs none for the usual ones.
    pub(crate) fn kept(&self) -> Vec<(&'static str, String)> {
        if self.days == Some(DEFAULT) { Vec::new() } else { self.parameters() }
    }

    /// `in 30 days`, `from 1 Nov 2026 to 5 Nov 2026`.
    pub(crate) fn words(&self) -> String {
        match self.days {
            Some(1) => "today".to_owned(),
            Some(days) => format!("in {} days", text::number(days)),
            None => format!("from {} to {}", text::date(self.range.from()), text::date(self.range.to())),
        }
    }

    /// Links to the usual ranges on the same page.
    pub(crate) fn choices(&self, path: &str, others: &[(&str, &str)]) -> Vec<RangeChoice> {
        CHOICES
            .into_iter()
            .map(|days| {
                let value = days.to_string();
                let parameters: Vec<(&str, &str)> = others.iter().copied().chain([("days", value.as_str())]).collect();
                RangeChoice {
                    label: format!("{days} days"),
                    address: text::address(path, &parameters),
                    chosen: self.days == Some(days),
                }
            })
            .collect()
    }
}

fn own(parameters: &Parameters, today: NaiveDate) -> Result<DateRange, String> {
    let date = |name: &str, otherwise: Option<NaiveDate>| match parameters.get(name) {
        None => otherwise.ok_or_else(|| "Choose the first day too.".to_owned()),
        Some(text) => text.parse().map_err(|_| format!("Dates look like {today}; “{text}” does not.")),
    };
    let range = DateRange::new(date("from", None)?, date("to", Some(today))?)
        .map_err(|_| "The first day is after the last.".to_owned())?;
    if (range.to() - range.from()).num_days() >= i64::from(MAX_DAYS) {
        return Err(format!("A range holds at most {} days.", text::number(MAX_DAYS)));
    }
    Ok(range)
}
