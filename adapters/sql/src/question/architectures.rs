//! Architectures that somebody wrote in another way than staticreg does: in capitals, as `Unknown`, with a space. They
//! are what [`Architecture`] makes of them, so a question takes them for the same.
//!
//! The names that are there are few, and found by leaps through an index. Where all are written as they should be, which
//! is nearly always so, a question is asked as it would be without this.

use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sea_query_sqlx::SqlxValues;
use staticreg_domain::{
    Architecture,
    metrics::{Breakdown, Dimension, MetricsError},
};

use crate::query::{Query, Row, parse};

/// The names as they are written, of both tables.
const NAMES: &str = "\
WITH RECURSIVE pulled (name) AS (
    SELECT min(architecture) FROM container_pull_metrics
    UNION ALL
    SELECT (SELECT min(architecture) FROM container_pull_metrics WHERE architecture > name)
    FROM pulled WHERE name IS NOT NULL
), accessed (name) AS (
    SELECT min(architecture) FROM container_access_metrics
    UNION ALL
    SELECT (SELECT min(architecture) FROM container_access_metrics WHERE architecture > name)
    FROM accessed WHERE name IS NOT NULL
)
SELECT name FROM pulled WHERE name IS NOT NULL
UNION ALL
SELECT name FROM accessed WHERE name IS NOT NULL";

/// The names that are written in another way, and what they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct OddNames(Vec<(String, Architecture)>);

impl OddNames {
    /// Asks for the names as they are written.
    pub(crate) fn query() -> Query {
        Query { text: NAMES.to_owned(), values: SqlxValues(sea_orm::sea_query::Values(Vec::new())) }
    }

    pub(crate) fn answer(rows: &[Row]) -> Result<Self, MetricsError> {
        let mut odd = Vec::new();
        for row in rows {
            let written = row.text(0)?;
            let name: Architecture = parse(&written)?;
            if name.as_str() != written {
                odd.push((written, name));
            }
        }
        odd.sort_unstable();
        odd.dedup();
        Ok(Self(odd))
    }

    /// Whether they matter to a breakdown.
    pub(crate) fn matter_to(breakdown: &Breakdown) -> bool {
        !breakdown.filter.architecture.is_every()
            || breakdown.tells(Dimension::Architecture)
            || breakdown.measures.distinct == Some(Dimension::Architecture)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A column of architectures, each as it should be written.
    pub(crate) fn mended(&self, column: Expr) -> Expr {
        if self.is_empty() {
            return column;
        }
        let mended = self.0.iter().fold(CaseStatement::new(), |mended, (written, name)| {
            mended.case(column.clone().eq(written.as_str()), name.as_str())
        });
        mended.finally(column).into()
    }
}
