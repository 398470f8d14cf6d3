//! The totals of every kind, from the sums of each day.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use staticreg_domain::metrics::{AccessKind, DateRange, Spans, Summary, Totals};

use crate::{day::Sum, day_sums::DaySums};

pub(crate) fn of_sums(kept: &DaySums, today: NaiveDate) -> Summary {
    let (mut by_kind, spans) = (BTreeMap::<AccessKind, Totals>::new(), Spans::until(today));
    for kind in AccessKind::ALL {
        for (date, Sum { count, .. }) in kept.totals(DateRange::EVER, kind) {
            spans.add(by_kind.entry(kind).or_default(), date, count);
        }
    }
    Summary {
        by_kind,
        repositories: kept.pulled_repositories(),
        last_pulled_at: kept.totals(DateRange::EVER, AccessKind::PullByTag).filter_map(|(_, sum)| sum.last()).max(),
    }
}
