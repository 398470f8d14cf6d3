//! The totals of every kind, from the sums of each day.

use chrono::NaiveDate;
use staticreg_domain::metrics::{AccessKind, DateRange, Summary, Totals};

use crate::{day::Sum, kept::Kept};

/// The days of the spans.
const WEEK: u32 = 7;
const MONTH: u32 = 30;

pub(crate) fn of_sums(kept: &Kept, today: NaiveDate) -> Summary {
    let [week, month] = [WEEK, MONTH].map(|days| DateRange::days_until(today, days));
    let totals = |kind| {
        let mut totals = Totals::default();
        for (date, Sum { count, .. }) in kept.totals(DateRange::EVER, kind) {
            totals.all += count;
            totals.today += if date == today { count } else { 0 };
            totals.last_7_days += if week.contains(date) { count } else { 0 };
            totals.last_30_days += if month.contains(date) { count } else { 0 };
        }
        totals
    };
    Summary {
        pulls_by_tag: totals(AccessKind::PullByTag),
        pulls_by_digest: totals(AccessKind::PullByDigest),
        version_checks: totals(AccessKind::VersionCheck),
        pushes: totals(AccessKind::Push),
        repositories: kept.pulled_repositories(),
        last_pulled_at: kept.totals(DateRange::EVER, AccessKind::PullByTag).filter_map(|(_, sum)| sum.last()).max(),
    }
}
