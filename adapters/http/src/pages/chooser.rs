//! What a page counts, and the links and forms to choose something else.

use askama::Template;
use staticreg_application::browse::SplitBy;
use staticreg_domain::{Architecture, metrics::AccessKind};

use super::{
    chosen::{Chosen, INTERVALS, SPANS, dates_of, noun},
    text,
};

/// The architectures to choose from; another one can stand in the address.
const ARCHITECTURES: [&str; 9] =
    ["amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64", Architecture::NOT_SPECIFIED];

/// A link to another range.
pub(crate) struct RangeChoice {
    pub(crate) label: String,
    /// For narrow screens.
    pub(crate) brief: &'static str,
    pub(crate) address: String,
    pub(crate) chosen: bool,
}

/// The links and forms of a page.
#[derive(Template)]
#[template(path = "chooser.html")]
pub(crate) struct Chooser {
    path: String,
    ranges: Vec<RangeChoice>,
    /// The dates that are counted, in words.
    dates: String,
    from: String,
    to: String,
    /// The dates they are compared with, in words.
    before: Option<String>,
    /// What is counted, in words.
    what: String,
    selects: Vec<Select>,
    /// The parameters beside those of the dates.
    beside_dates: Vec<(String, String)>,
    /// The parameters of the dates and all others.
    all: Vec<(String, String)>,
}

struct Select {
    label: &'static str,
    name: &'static str,
    options: Vec<Choice>,
}

struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

impl Choice {
    fn new(value: &str, label: &str, chosen: bool) -> Self {
        Self { value: value.to_owned(), label: label.to_owned(), chosen }
    }
}

impl Chooser {
    /// The choices of a page at a path, which has some parameters of its own.
    pub(crate) fn new(chosen: &Chosen, path: &str, own: &[(&str, &str)]) -> Self {
        let how = chosen.how();
        let own: Vec<(&str, &str)> = own.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
        let kept = |beside: &[(&str, String)]| {
            let own = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            own.chain(beside.iter().map(|(name, value)| ((*name).to_owned(), value.clone()))).collect()
        };
        let ranges = SPANS.into_iter().map(|(span, label, brief)| {
            let parameters = span.kept();
            let parameters = parameters.iter().chain(&how).map(|(name, value)| (*name, value.as_str()));
            RangeChoice {
                label: label.to_owned(),
                brief,
                address: text::address(path, &own.iter().copied().chain(parameters).collect::<Vec<_>>()),
                chosen: chosen.span() == span,
            }
        });
        Self {
            path: path.to_owned(),
            ranges: ranges.collect(),
            dates: dates_of(chosen.dates()),
            from: chosen.dates().from().to_string(),
            to: chosen.dates().to().to_string(),
            before: chosen.question.before.map(dates_of),
            what: match chosen.question.kind {
                AccessKind::PullByTag if chosen.question.architecture.is_none() => "Pulls by tag".to_owned(),
                _ => chosen.what(),
            },
            selects: vec![kinds(chosen), architectures(chosen)],
            beside_dates: kept(&how),
            all: kept(&chosen.kept()),
        }
    }

    /// The parameters that none of the selects asks for.
    fn beside_selects(&self) -> impl Iterator<Item = &(String, String)> {
        self.all.iter().filter(|(name, _)| self.selects.iter().all(|select| select.name != name))
    }

    /// With what a bar stands for.
    pub(crate) fn with_intervals(mut self, chosen: &Chosen) -> Self {
        let mut options = vec![Choice::new("", "as it suits", chosen.interval.is_none())];
        options.extend(INTERVALS.map(|(interval, name)| Choice::new(name, name, chosen.interval == Some(interval))));
        self.selects.push(Select { label: "A bar is a", name: "interval", options });
        self
    }

    /// With what bars are split by.
    pub(crate) fn with_split(mut self, chosen: &Chosen) -> Self {
        let option = |value, label, split_by| Choice::new(value, label, chosen.split_by == split_by);
        let options = vec![option("", "architecture", SplitBy::Architecture), option("tag", "tag", SplitBy::Tag)];
        self.selects.push(Select { label: "Bars split by", name: "split", options });
        self
    }
}

fn kinds(chosen: &Chosen) -> Select {
    let options = AccessKind::ALL.map(|kind| {
        let (value, label) = match kind {
            AccessKind::PullByTag => ("", "Pulls by tag"),
            _ => (kind.as_str(), noun(kind)),
        };
        Choice::new(value, label, chosen.question.kind == kind)
    });
    Select { label: "Count", name: "kind", options: options.into() }
}

fn architectures(chosen: &Chosen) -> Select {
    let wanted = chosen.question.architecture.as_ref().map(Architecture::as_str);
    let other = wanted.filter(|wanted| !ARCHITECTURES.contains(wanted));
    let named = ARCHITECTURES.into_iter().chain(other);
    let mut options = vec![Choice::new("", "all", wanted.is_none())];
    options.extend(named.map(|name| Choice::new(name, name, wanted == Some(name))));
    Select { label: "Architecture", name: "architecture", options }
}
