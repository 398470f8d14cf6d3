//! The parameters that every question shares, as domain values.

use chrono::NaiveDate;
use poem_openapi::Enum;
use serde::Serialize;
use staticreg_application::ask_metrics::{AskMetrics, Counted, Dates};
use staticreg_domain::{
    Architecture,
    metrics::{AccessKind, Filter},
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

/// The filters of a question as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) from: Option<NaiveDate>,
    pub(crate) to: Option<NaiveDate>,
    pub(crate) days: Option<u32>,
    pub(crate) kind: Option<Kind>,
    pub(crate) repository: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<String>,
    pub(crate) architecture: Option<String>,
}

impl Selection {
    /// The filter they stand for and what of it is kept by month, or which parameter is wrong.
    pub(crate) async fn filter(self, ask: &AskMetrics) -> Result<(Filter, Counted), QuestionError> {
        let Self { from, to, days, kind, repository, tag, digest, architecture } = self;
        if from.is_some() && days.is_some() {
            return Err(QuestionError::parameter("days", "give either `from` or `days`"));
        }
        let dates = ask
            .range(Dates { from, to, days })
            .map_err(|_| QuestionError::parameter("from", "is after `to`, or after today when `to` is not given"))?;
        let filter = Filter {
            dates,
            kind: kind.unwrap_or_default().into(),
            repository: parse("repository", repository)?,
            tag: parse("tag", tag)?,
            digest: parse("digest", digest)?,
            architecture: architecture.map(|name| exact_architecture(&name)).transpose()?,
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

fn parse<T>(name: &str, text: Option<String>) -> Result<Option<T>, QuestionError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.map(|text| text.parse()).transpose().map_err(|error| QuestionError::parameter(name, error))
}
