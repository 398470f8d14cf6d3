//! The parameters that every question shares, as domain values.

use std::{fmt::Display, str::FromStr};

use chrono::NaiveDate;
use poem_openapi::Enum;
use serde::Serialize;
use staticreg_application::ask_metrics::{AskMetrics, Counted, Dates};
use staticreg_domain::{
    Architecture,
    metrics::{AccessKind, AnyOf, Filter},
};

use crate::problem::QuestionError;

/// Which accesses are counted.
#[derive(Clone, Copy, Debug, Default, Enum, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Images pulled by tag.
    #[default]
    PullByTag,
    /// Images pulled by digest.
    PullByDigest,
    /// Tags looked up without fetching anything.
    VersionCheck,
    /// Manifests pushed.
    Push,
}

impl From<Kind> for AccessKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::PullByTag => Self::PullByTag,
            Kind::PullByDigest => Self::PullByDigest,
            Kind::VersionCheck => Self::VersionCheck,
            Kind::Push => Self::Push,
        }
    }
}

impl From<AccessKind> for Kind {
    fn from(kind: AccessKind) -> Self {
        match kind {
            AccessKind::PullByTag => Self::PullByTag,
            AccessKind::PullByDigest => Self::PullByDigest,
            AccessKind::VersionCheck => Self::VersionCheck,
            AccessKind::Push => Self::Push,
        }
    }
}

/// A parameter that names any number of values, one each time it is given.
pub(crate) type Several = Option<Vec<String>>;

/// A parameter that names values.
pub(crate) trait Named {
    /// The values.
    fn values(self) -> Vec<String>;
}

impl Named for String {
    fn values(self) -> Vec<String> {
        vec![self]
    }
}

impl Named for Several {
    fn values(self) -> Vec<String> {
        self.unwrap_or_default()
    }
}

/// The filters of a question as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) from: Option<NaiveDate>,
    pub(crate) to: Option<NaiveDate>,
    pub(crate) days: Option<u32>,
    pub(crate) kind: Vec<Kind>,
    pub(crate) folder: Option<String>,
    pub(crate) q: Option<String>,
    pub(crate) repository: Vec<String>,
    pub(crate) tag: Vec<String>,
    pub(crate) digest: Vec<String>,
    pub(crate) architecture: Vec<String>,
}

impl Selection {
    /// The filter they stand for and what of it is kept by month, or which parameter is wrong.
    pub(crate) async fn filter(self, ask: &AskMetrics) -> Result<(Filter, Counted), QuestionError> {
        let Self { from, to, days, kind, folder, q, repository, tag, digest, architecture } = self;
        if from.is_some() && days.is_some() {
            return Err(QuestionError::parameter("days", "give either `from` or `days`"));
        }
        let dates = ask
            .range(Dates { from, to, days })
            .map_err(|_| QuestionError::parameter("from", "is after `to`, or after today when `to` is not given"))?;
        let kind = if kind.is_empty() { vec![Kind::default()] } else { kind };
        let filter = Filter {
            dates,
            kind: kind.into_iter().map(AccessKind::from).collect(),
            folder: folder.map(|folder| parse("folder", &folder)).transpose()?,
            part: q.map(|part| parse("q", &part)).transpose()?,
            repository: parse_all("repository", &repository)?,
            tag: parse_all("tag", &tag)?,
            digest: parse_all("digest", &digest)?,
            architecture: architecture.iter().map(|name| exact_architecture(name)).collect::<Result<_, _>>()?,
        };
        let counted = ask.counted(dates).await?;
        Ok((Filter { dates: counted.dates, ..filter }, counted))
    }
}

/// What the Go staticreg calls an architecture nobody told.
const UNKNOWN: &str = "unknown";

/// A name nobody can have stored is an error, not `not-specified`.
fn exact_architecture(name: &str) -> Result<Architecture, QuestionError> {
    let Ok(architecture) = name.parse::<Architecture>();
    if architecture.is_specified() || name == Architecture::NOT_SPECIFIED || name.eq_ignore_ascii_case(UNKNOWN) {
        Ok(architecture)
    } else {
        Err(QuestionError::parameter("architecture", "not an architecture such as amd64 or not-specified"))
    }
}

pub(super) fn parse_all<T>(name: &str, texts: &[String]) -> Result<AnyOf<T>, QuestionError>
where
    T: FromStr<Err: Display> + Ord,
{
    texts.iter().map(|text| parse(name, text)).collect()
}

pub(super) fn parse<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, QuestionError> {
    text.parse().map_err(|error| QuestionError::parameter(name, error))
}
