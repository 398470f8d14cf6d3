//! What a page is about, as its address says: the dates, the kind of access, the architecture, and how charts show them.

use std::time::Duration;

use chrono::{Datelike, NaiveDate};
use staticreg_application::{
    ask_metrics::Counted,
    browse::{Browse, CountQuestion, SplitBy},
    intervals::Interval,
};
use staticreg_domain::{
    Architecture,
    metrics::{AccessKind, DateRange, first_of_month},
};
use tokio::time::timeout;

use super::{layout::Notice, parameters::Parameters, text};

/// The days of a page whose address names none.
const DEFAULT: u32 = 30;

/// The days that are called 12 months.
const YEAR: u32 = 365;

/// The most days of a range.
pub(crate) const MAX_DAYS: u32 = 3_660;

/// How long a page waits to be told what is kept by month, and since when anything is. A store that takes longer has told
/// nothing of the counts either.
const PATIENCE: Duration = Duration::from_millis(500);

/// What was chosen.
pub(crate) struct Chosen {
    /// The counts.
    pub(crate) question: CountQuestion,
    /// What a bar of a chart stands for; none for what suits the dates.
    pub(crate) interval: Option<Interval>,
    /// What the chart of a repository is split by.
    pub(crate) split_by: SplitBy,
    /// What people should know about it.
    pub(crate) notices: Vec<Notice>,
    /// Whether it is known what the counts can be compared with.
    pub(crate) is_settled: bool,
    /// The counts of days before are kept by month; none when all of the range is kept by day.
    months_before: Option<NaiveDate>,
    span: Span,
}

/// The dates as they are asked for: most move on with the days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// So many days until today.
    Days(u32),
    /// From the first of this month until today.
    Month,
    /// From the first day that anything was counted on until today.
    All,
    /// A range of one's own.
    Own(DateRange),
}

/// The spans to choose from, with a long name and one for narrow screens.
pub(super) const SPANS: [(Span, &str, &str); 7] = [
    (Span::Days(1), "Today", "Today"),
    (Span::Days(7), "7 days", "7 d"),
    (Span::Days(DEFAULT), "30 days", "30 d"),
    (Span::Days(90), "90 days", "90 d"),
    (Span::Days(YEAR), "12 months", "12 m"),
    (Span::Month, "This month", "Month"),
    (Span::All, "All", "All"),
];

/// The intervals to choose from, as addresses have them.
pub(super) const INTERVALS: [(Interval, &str); 3] =
    [(Interval::Day, "day"), (Interval::Week, "week"), (Interval::Month, "month")];

impl Span {
    fn from_parameters(parameters: &Parameters, today: NaiveDate) -> Result<Self, String> {
        if parameters.get("from").is_some() || parameters.get("to").is_some() {
            return own(parameters, today).map(Self::Own);
        }
        Ok(match parameters.get("range") {
            Some("month") => Self::Month,
            Some("all") => Self::All,
            _ => Self::Days(parameters.parse("days").unwrap_or(DEFAULT).clamp(1, MAX_DAYS)),
        })
    }

    async fn dates(self, browse: &Browse) -> DateRange {
        let today = browse.ask().today();
        let since = |from: NaiveDate| DateRange::new(from, today).unwrap_or(DateRange::days_until(today, 1));
        match self {
            Self::Days(days) => DateRange::days_until(today, days),
            Self::Month => since(first_of_month(today)),
            Self::All => {
                let first = timeout(PATIENCE, browse.watched_since()).await;
                let first = first.ok().and_then(|shown| *shown.value?);
                since(first.unwrap_or(today).max(DateRange::days_until(today, MAX_DAYS).from()))
            }
            Self::Own(range) => range,
        }
    }

    /// The parameters that ask for it.
    pub(super) fn parameters(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Days(days) => vec![("days", days.to_string())],
            Self::Month => vec![("range", "month".to_owned())],
            Self::All => vec![("range", "all".to_owned())],
            Self::Own(range) => vec![("from", range.from().to_string()), ("to", range.to().to_string())],
        }
    }

    /// The same, none for the usual one.
    pub(super) fn kept(self) -> Vec<(&'static str, String)> {
        if self == Self::Days(DEFAULT) { Vec::new() } else { self.parameters() }
    }
}

impl Chosen {
    /// What was chosen on a page before, for one that chooses nothing itself but keeps it on the way.
    pub(crate) fn passed_on(parameters: &Parameters) -> Vec<(&'static str, String)> {
        let names = ["days", "range", "from", "to", "kind", "architecture", "interval", "split"];
        names.into_iter().filter_map(|name| Some((name, parameters.get(name)?.to_owned()))).collect()
    }

    pub(crate) async fn from_parameters(parameters: &Parameters, browse: &Browse) -> Self {
        let mut notices = Vec::new();
        let span = Span::from_parameters(parameters, browse.ask().today()).unwrap_or_else(|reason| {
            notices.push(Notice::warning(reason));
            Span::Days(DEFAULT)
        });
        let asked = span.dates(browse).await;
        let counted = match timeout(PATIENCE, browse.ask().counted(asked)).await {
            Ok(Ok(counted)) => counted,
            _ => Counted { dates: asked, months_before: None },
        };
        let Counted { dates, months_before } = counted;
        if let Some(before) = months_before {
            notices.push(Notice::hint(format!(
                "Days before {} are kept by month. Here whole months are counted, from {} to {}.",
                text::date(before),
                text::date(dates.from()),
                text::date(dates.to())
            )));
        }
        let before = match span {
            // Before all there is nothing.
            Span::All => Some(None),
            _ => timeout(PATIENCE, browse.period_before(dates)).await.ok().flatten(),
        };
        let architecture = parameters.get("architecture").and_then(|name| {
            let architecture = architecture(name);
            if architecture.is_none() {
                notices.push(Notice::warning(format!("No architecture can be called “{name}”: all are shown.")));
            }
            architecture
        });
        let kind = parameters.get("kind").and_then(AccessKind::named).unwrap_or_default();
        let interval = parameters.get("interval");
        Self {
            question: CountQuestion { dates, before: before.flatten(), kind, architecture },
            is_settled: before.is_some(),
            interval: INTERVALS.into_iter().find(|(_, name)| interval == Some(name)).map(|(interval, _)| interval),
            split_by: if parameters.get("split") == Some("tag") { SplitBy::Tag } else { SplitBy::Architecture },
            notices,
            months_before,
            span,
        }
    }

    /// The dates that are counted.
    pub(crate) fn dates(&self) -> DateRange {
        self.question.dates
    }

    /// The same, with what of them is kept by month.
    pub(crate) fn counted(&self) -> Counted {
        Counted { dates: self.question.dates, months_before: self.months_before }
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// The parameters that ask for the same.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        self.span.parameters().into_iter().chain(self.how()).collect()
    }

    /// The same for a link to another page, which needs none for the usual.
    pub(crate) fn kept(&self) -> Vec<(&'static str, String)> {
        self.span.kept().into_iter().chain(self.how()).collect()
    }

    /// The parameters beside those of the dates, none for the usual.
    pub(super) fn how(&self) -> Vec<(&'static str, String)> {
        let CountQuestion { kind, architecture, .. } = &self.question;
        let kind = (*kind != AccessKind::default()).then(|| ("kind", kind.to_string()));
        let architecture = architecture.as_ref().map(|architecture| ("architecture", architecture.to_string()));
        let interval = INTERVALS.into_iter().find(|(interval, _)| self.interval == Some(*interval));
        let split = (self.split_by == SplitBy::Tag).then(|| ("split", "tag".to_owned()));
        let interval = interval.map(|(_, name)| ("interval", name.to_owned()));
        [kind, architecture, interval, split].into_iter().flatten().collect()
    }

    /// `in 30 days`, `from 1 Nov 2026 to 5 Nov 2026`.
    pub(crate) fn words(&self) -> String {
        match self.span {
            Span::Days(1) => "today".to_owned(),
            Span::Days(YEAR) => "in 12 months".to_owned(),
            Span::Days(days) => format!("in {} days", text::number(days)),
            Span::Month => "this month".to_owned(),
            Span::All => format!("since {}", text::date(self.dates().from())),
            Span::Own(_) => format!("from {} to {}", text::date(self.dates().from()), text::date(self.dates().to())),
        }
    }

    /// What is counted: `Pulls`, `Version checks`.
    pub(crate) fn noun(&self) -> &'static str {
        noun(self.question.kind)
    }

    /// The same, and of which architecture: `Pulls of arm64`.
    pub(crate) fn what(&self) -> String {
        match &self.question.architecture {
            Some(architecture) => format!("{} of {architecture}", self.noun()),
            None => self.noun().to_owned(),
        }
    }

    /// The same in the head of a column: `Pulls in 30 days`.
    pub(crate) fn column(&self) -> String {
        match self.span {
            Span::Own(_) => format!("{} in these days", self.what()),
            _ => format!("{} {}", self.what(), self.words()),
        }
    }

    /// What the last of what is counted is called.
    pub(crate) fn last(&self) -> &'static str {
        match self.question.kind {
            AccessKind::PullByTag | AccessKind::PullByDigest => "Last pull",
            AccessKind::VersionCheck => "Last check",
            AccessKind::Push => "Last push",
        }
    }

    /// What the first is called.
    pub(crate) fn first(&self) -> &'static str {
        match self.question.kind {
            AccessKind::PullByTag | AccessKind::PullByDigest => "First pulled on",
            AccessKind::VersionCheck => "First checked on",
            AccessKind::Push => "First pushed on",
        }
    }

    /// The last, as tables have it.
    pub(crate) fn last_at(&self) -> &'static str {
        match self.question.kind {
            AccessKind::PullByTag | AccessKind::PullByDigest => "last_pulled_at",
            AccessKind::VersionCheck => "last_checked_at",
            AccessKind::Push => "last_pushed_at",
        }
    }

    /// The first, in the same way.
    pub(crate) fn first_on(&self) -> &'static str {
        match self.question.kind {
            AccessKind::PullByTag | AccessKind::PullByDigest => "first_pulled_on",
            AccessKind::VersionCheck => "first_checked_on",
            AccessKind::Push => "first_pushed_on",
        }
    }

    /// What was counted in the period before, as tables have it.
    pub(crate) fn measure_before(&self) -> String {
        format!("{}_before", self.measure())
    }

    /// What is counted, as tables have it.
    pub(crate) fn measure(&self) -> &'static str {
        match self.question.kind {
            AccessKind::PullByTag | AccessKind::PullByDigest => "pulls",
            AccessKind::VersionCheck => "version_checks",
            AccessKind::Push => "pushes",
        }
    }
}

/// What a kind counts.
pub(crate) fn noun(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::PullByTag => "Pulls",
        AccessKind::PullByDigest => "Pulls by digest",
        AccessKind::VersionCheck => "Version checks",
        AccessKind::Push => "Pushes",
    }
}

/// The architecture of a name; none when no architecture has such a one.
fn architecture(name: &str) -> Option<Architecture> {
    let Ok(architecture) = name.parse::<Architecture>();
    (architecture.is_specified() || name == Architecture::NOT_SPECIFIED).then_some(architecture)
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

/// `29 Oct to 27 Nov 2026`.
pub(super) fn dates_of(range: DateRange) -> String {
    if range.from() == range.to() {
        return text::date(range.to());
    }
    let from = if range.from().year() == range.to().year() {
        range.from().format("%-d %b").to_string()
    } else {
        text::date(range.from())
    };
    format!("{from} to {}", text::date(range.to()))
}
