//! `GET /api/v1/summary`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json, types::Example};
use staticreg_application::{
    ask_metrics::AskMetrics,
    compare::SpansBefore,
    receive_notification::ReceiveNotification,
    recording::{Balance, Spooling},
};
use staticreg_domain::metrics::{AccessKind, Growth, Summary, Totals};

use super::{ApiTag, example_time, list::Compare, time::Time};
use crate::{
    access::{Access, LastRefusal, RefusalReason, Refused, SignedIn},
    problem::QuestionError,
};

pub(crate) struct SummaryApi {
    pub(crate) ask: AskMetrics,
    pub(crate) receive: Arc<ReceiveNotification>,
    pub(crate) spooling: Option<Arc<Spooling>>,
    pub(crate) access: Access,
}

#[OpenApi]
impl SummaryApi {
    /// The totals: today, in 7 days, in 30 days and in all.
    ///
    /// Days are UTC days; the spans end with today.
    #[oai(path = "/api/v1/summary", method = "get", operation_id = "get_summary", tag = "ApiTag::Statistics")]
    async fn get_summary(
        &self,
        /// `previous` tells beside each span what was counted in as many days before it, and the change.
        compare: Query<Option<Compare>>,
        _signed_in: SignedIn,
    ) -> Result<Totalled, QuestionError> {
        let events_spooled = self.spooling.as_ref().map_or(0, |spooling| spooling.waiting());
        let refused_posts = RefusedPosts::new(self.access.refused(), self.ask.now());
        let (clock_skew, balance) = (self.receive.clock_skew(), self.receive.balance());
        let summary = self.ask.summary().await?;
        let mut body = SummaryBody::new(&summary, events_spooled, clock_skew, refused_posts, balance);
        if let Some(Compare::Previous) = compare.0 {
            body.compare(&self.ask.spans_before().await?);
        }
        Ok(Totalled::Ok(Json(body)))
    }
}

#[derive(ApiResponse)]
enum Totalled {
    /// The totals.
    #[oai(status = 200)]
    Ok(Json<SummaryBody>),
}

/// How much is pulled.
#[derive(Object)]
#[oai(rename = "Summary", example, read_only_all)]
struct SummaryBody {
    /// The counts of each kind: `pull_by_tag`, `pull_by_digest`, `version_check` and `push`. Later versions may add more.
    by_kind: BTreeMap<String, TotalsBody>,
    /// Repositories that were ever pulled from by tag.
    repositories: u64,
    /// When an image was last pulled by tag; null when never.
    #[oai(nullable)]
    last_at: Option<Time>,
    /// Events that wait in the spool until the database is back; the counts do not hold them yet.
    events_spooled: u64,
    /// How far the registry's clock is ahead of the server's, when it is more than a day: one of the two is wrong, and
    /// pulls count on the server's date. Null when not.
    #[oai(nullable)]
    clock_skew_seconds: Option<i64>,
    /// POSTs to the webhook that were refused since the start: whose pulls are missing.
    refused_posts: RefusedPosts,
    /// What became of all events since the start of this server.
    balance: BalanceBody,
}

/// POSTs to the webhook that were refused.
#[derive(Default, Object)]
#[oai(read_only_all)]
struct RefusedPosts {
    /// All of them.
    total: u64,
    /// How many for each reason.
    by_reason: BTreeMap<String, u64>,
    /// When the last one came; null when there was none.
    #[oai(nullable)]
    last_at: Option<Time>,
    /// Why the last one was refused, as `by_reason` has it.
    #[oai(nullable)]
    last_reason: Option<String>,
    /// Why it was, and which setting to look at, in words.
    #[oai(nullable)]
    last_detail: Option<String>,
}

impl RefusedPosts {
    fn new(refused: Refused<RefusalReason>, now: DateTime<Utc>) -> Self {
        let Refused { total, by_reason, last } = refused;
        let by_reason = by_reason.into_iter().filter(|(_, count)| *count > 0);
        Self {
            total,
            by_reason: by_reason.map(|(reason, count)| (reason.as_str().to_owned(), count)).collect(),
            last_at: last.map(|last| TimeDelta::from_std(last.ago).map_or(now, |ago| now - ago).into()),
            last_reason: last.map(|last| last.reason.as_str().to_owned()),
            last_detail: last.map(|last| last.reason.to_string()),
        }
    }
}

/// What became of events: `received` is always the sum of the others. One that is sent again is received again, and what
/// the spool held at the start is received then.
#[derive(Default, Object)]
#[oai(rename = "Balance", read_only_all)]
struct BalanceBody {
    /// All events since the start.
    received: u64,
    /// Events that are stored.
    counted: u64,
    /// Events that do not count.
    skipped: u64,
    /// Events that were recorded before and changed nothing.
    duplicate: u64,
    /// Events that were not stored in time, which was answered 503, or that the store refuses.
    refused: u64,
    /// Events that are being stored, or wait in the spool.
    waiting: u64,
}

impl From<Balance> for BalanceBody {
    fn from(balance: Balance) -> Self {
        let Balance { received, counted, skipped, duplicate, refused, waiting } = balance;
        Self { received, counted, skipped, duplicate, refused, waiting }
    }
}

/// Counts over the spans people look at.
#[derive(Default, Object)]
#[oai(rename = "Totals", read_only_all)]
struct TotalsBody {
    /// Today.
    today: u64,
    /// Today and the six days before.
    last_7_days: u64,
    /// Today and the 29 days before.
    last_30_days: u64,
    /// Ever.
    total: u64,
    /// What was counted before, in as many days each; only with `compare=previous`.
    #[oai(skip_serializing_if_is_none)]
    previous: Option<SpansBody>,
    /// By how much that changed since; only with `compare=previous`.
    #[oai(skip_serializing_if_is_none)]
    change: Option<ChangesBody>,
}

/// Counts before the spans people look at.
#[derive(Object)]
#[oai(rename = "SpansBefore", read_only_all)]
struct SpansBody {
    /// Yesterday, all of it.
    today: u64,
    /// The seven days before the last seven.
    last_7_days: u64,
    /// The 30 days before the last 30.
    last_30_days: u64,
}

/// Changes in per cent; null where nothing was counted before.
#[derive(Object)]
#[oai(rename = "SpansChange", read_only_all)]
struct ChangesBody {
    /// Today, which is not over, after all of yesterday.
    #[oai(nullable)]
    today: Option<f64>,
    /// The last seven days after the seven before.
    #[oai(nullable)]
    last_7_days: Option<f64>,
    /// The last 30 days after the 30 before.
    #[oai(nullable)]
    last_30_days: Option<f64>,
}

impl TotalsBody {
    fn compare(&mut self, before: SpansBefore) {
        let SpansBefore { today, last_7_days, last_30_days } = before;
        self.change = Some(ChangesBody {
            today: Growth::new(self.today, today).per_cent(),
            last_7_days: Growth::new(self.last_7_days, last_7_days).per_cent(),
            last_30_days: Growth::new(self.last_30_days, last_30_days).per_cent(),
        });
        self.previous = Some(SpansBody { today, last_7_days, last_30_days });
    }
}

impl From<Totals> for TotalsBody {
    fn from(totals: Totals) -> Self {
        let Totals { today, last_7_days, last_30_days, all } = totals;
        Self { today, last_7_days, last_30_days, total: all, previous: None, change: None }
    }
}

impl SummaryBody {
    /// Tells what was counted before, of every kind.
    fn compare(&mut self, before: &BTreeMap<AccessKind, SpansBefore>) {
        for kind in AccessKind::ALL {
            if let Some(totals) = self.by_kind.get_mut(kind.as_str()) {
                totals.compare(before.get(&kind).copied().unwrap_or_default());
            }
        }
    }

    fn new(
        summary: &Summary,
        events_spooled: u64,
        clock_skew: Option<TimeDelta>,
        refused_posts: RefusedPosts,
        balance: Balance,
    ) -> Self {
        let totals = |kind: AccessKind| (kind.as_str().to_owned(), summary.totals(kind).into());
        Self {
            by_kind: AccessKind::ALL.into_iter().map(totals).collect(),
            repositories: summary.repositories,
            last_at: summary.last_pulled_at.map(Time::from),
            events_spooled,
            clock_skew_seconds: clock_skew.map(|skew| skew.num_seconds()),
            refused_posts,
            balance: balance.into(),
        }
    }
}

impl Example for SummaryBody {
    fn example() -> Self {
        let totals = |today, last_7_days, last_30_days, all| Totals { today, last_7_days, last_30_days, all };
        let summary = Summary {
            by_kind: BTreeMap::from([
                (AccessKind::PullByTag, totals(12, 96, 420, 10_240)),
                (AccessKind::PullByDigest, totals(1, 3, 17, 160)),
                (AccessKind::VersionCheck, totals(48, 310, 1_260, 30_720)),
                (AccessKind::Push, totals(0, 2, 9, 81)),
            ]),
            repositories: 14,
            last_pulled_at: Some(example_time()),
        };
        let last = LastRefusal { peer: None, reason: RefusalReason::WrongToken, ago: Duration::from_mins(3) };
        let by_reason = vec![(RefusalReason::WrongToken, 17)];
        let refused = Refused { total: 17, by_reason, last: Some(last) };
        let balance = Balance { received: 520, counted: 380, skipped: 140, ..Balance::default() };
        Self::new(&summary, 0, None, RefusedPosts::new(refused, example_time()), balance)
    }
}
