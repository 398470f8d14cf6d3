//! Charts as small as a word.

use askama::Template;
use staticreg_application::browse::Daily;

use super::{as_f64, buckets::Cut};
use crate::pages::text;

/// The shape of some days.
#[derive(Template)]
#[template(path = "sparkline.html")]
pub(crate) struct Sparkline {
    line: String,
    area: String,
    /// The number of the last point.
    last: usize,
    description: String,
}

impl Sparkline {
    /// The box it is drawn in: one unit a day, and a height of [`Self::TOP`] below a margin for the line's own width.
    const TOP: f64 = 20.0;

    /// None for a single day, which has no shape. `what` is what is counted and when: `Pulls in 30 days`.
    pub(crate) fn new(days: &[u64], what: &str) -> Option<Self> {
        Self::of_parts(days, what, "day")
    }

    fn of_parts(days: &[u64], what: &str, part: &str) -> Option<Self> {
        let last = days.len().checked_sub(1).filter(|last| *last > 0)?;
        let most = days.iter().copied().max().unwrap_or_default();
        let sum: u64 = days.iter().sum();
        let y = |count: u64| Self::TOP + 1.0 - as_f64(count) / as_f64(most.max(1)) * Self::TOP;
        let points: Vec<String> =
            days.iter().enumerate().map(|(day, count)| format!("{day} {:.1}", y(*count))).collect();
        let line = format!("M{}", points.join("L"));
        Some(Self {
            area: format!("{line}V{bottom}H0Z", bottom = Self::TOP + 1.0),
            line,
            last,
            description: match most {
                0 => format!("{what}: none"),
                _ => format!("{what}: {}, at most {} a {part}", text::number(sum), text::number(most)),
            },
        })
    }

    /// The shape of all series together; by month, where some of it is kept so.
    pub(crate) fn of(daily: &Daily, what: &str) -> Option<Self> {
        let (cut, part) = if daily.months_before.is_some() { (Cut::Months, "month") } else { (Cut::Days(1), "day") };
        let buckets = cut.buckets(daily, &daily.series, &[], daily.range.to());
        let sums: Vec<u64> = buckets.iter().map(|bucket| bucket.values.iter().sum()).collect();
        Self::of_parts(&sums, what, part)
    }
}

/// A share of a whole, as a bar.
#[derive(Template)]
#[template(
    source = r#"<svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="share-of" width="100" height="4"/><rect class="share-part" width="{{ percent }}" height="4"/></svg>"#,
    ext = "html"
)]
pub(crate) struct Share {
    percent: String,
}

impl Share {
    pub(crate) fn new(part: u64, whole: u64) -> Self {
        Self { percent: format!("{:.1}", as_f64(part) / as_f64(whole.max(1)) * 100.0) }
    }
}
