//! What keeping old counts by month must do.
#![expect(missing_docs, reason = "a rule's name says what must hold")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::NaiveDate;
use staticreg_domain::{
    Digest,
    journal::{Appended, JournalBatch, TakeTurn, Turn},
    metrics::{
        AccessKind, CountKey, DateRange, Dimension, Filter, Folded, Measures, MetricsRepository, MetricsRow, Order,
        PullEvent, first_of_month,
    },
};
use uuid::Uuid;

use crate::{
    Subject,
    events::{Access, date, expected, now, pull, pulls_of, record, rows_of, time},
    lists::{self, List},
};

/// What is kept by month on the day of `now()` when 100 days are kept.
fn hundred_days() -> Folded {
    Folded { days_before: date("2026-08-01"), ..Folded::NOTHING }
}

fn without_digests() -> Folded {
    let Folded { days_before, .. } = hundred_days();
    Folded { days_before, digests_before: days_before }
}

/// Accesses of every kind from the end of May to the middle of August, several of each key.
fn accesses() -> Vec<Access> {
    let day = |ago: u64| date("2026-08-15") - chrono::Days::new(ago);
    (0..80)
        .flat_map(|ago| (0..4_u64).map(move |number| (ago, number)))
        .map(|(ago, number)| {
            let image =
                ["app:v1", "app:v2", "web:v1", "team/tool:latest"][usize::try_from((ago + number) % 4).expect("small")];
            pull(image, &format!("{}T{:02}:00:00Z", day(ago), (ago * 7 + number) % 24))
                .of_kind(AccessKind::ALL[usize::try_from(number).expect("small")])
                .on(if ago % 3 == 0 { "arm64" } else { "amd64" })
                .of_digest(ago % 5)
                .times(1 + i32::try_from(ago * number % 9).expect("small"))
        })
        .collect()
}

async fn all_rows(store: &dyn MetricsRepository) -> Vec<MetricsRow> {
    let mut rows = Vec::new();
    for kind in AccessKind::ALL {
        rows.extend(rows_of(store, kind).await);
    }
    rows
}

/// By month and key: the count, and when it was counted first and last.
async fn by_month(store: &dyn MetricsRepository, with_digests: bool) -> BTreeMap<CountKey, (u64, String, String)> {
    let mut months = BTreeMap::new();
    for MetricsRow { date, repository, tag, digest, architecture, kind, count, created_at, updated_at } in
        all_rows(store).await
    {
        let digest = if with_digests { digest } else { Digest::unknown() };
        let key = CountKey { kind, date: first_of_month(date), repository, tag, digest, architecture };
        let (created_at, updated_at) = (created_at.to_rfc3339(), updated_at.to_rfc3339());
        let (sum, first, last) = months.entry(key).or_insert((0, created_at.clone(), updated_at.clone()));
        *sum += count;
        *first = created_at.min(first.clone());
        *last = updated_at.max(last.clone());
    }
    months
}

async fn sum(store: &dyn MetricsRepository) -> u64 {
    all_rows(store).await.iter().map(|row| row.count).sum()
}

/// Folds to the end; answers how many rows.
async fn fold(store: &dyn MetricsRepository, at_most: u32) -> u64 {
    let (mut day, mut rows) = (None, 0);
    while let Some(next) = store.day_to_fold(day).await.expect("answers") {
        assert!(day < Some(next), "{day:?} {next}");
        day = Some(next);
        loop {
            let folded = store.fold_day(next, at_most).await.expect("folds");
            rows += folded;
            if folded == 0 {
                break;
            }
        }
    }
    rows
}

pub async fn nothing_is_kept_by_month_at_first(Subject { store, .. }: Subject) {
    record(&*store, &accesses()).await;
    let before = all_rows(&*store).await;
    assert_eq!(store.folded().await.expect("answers"), Folded::NOTHING);
    assert_eq!(fold(&*store, 10).await, 0);
    assert_eq!(store.fold_day(date("2026-06-10"), 10).await.expect("folds"), 0, "it is no day to fold");
    assert_eq!(all_rows(&*store).await, before);
}

pub async fn a_month_that_is_folded_has_the_same_sums(Subject { store, second, .. }: Subject) {
    record(&*store, &accesses()).await;
    let (months, later) = (by_month(&*store, true).await, DateRange::new(date("2026-08-01"), NaiveDate::MAX));
    let later = Filter::of_dates(later.expect("a range"));
    let days = lists::lines(&*store, lists::DAYS, &later).await;
    store.keep_by_month(hundred_days()).await.expect("keeps");
    assert_eq!(by_month(&*second, true).await, months, "before anything is folded");
    assert!(fold(&*store, 7).await > 0);

    assert_eq!(by_month(&*second, true).await, months);
    let rows = all_rows(&*store).await;
    assert!(rows.iter().all(|row| row.date == hundred_days().date(row.date)), "{rows:?}");
    assert_eq!(
        rows.iter().filter(|row| row.date < date("2026-08-01")).count(),
        months.keys().filter(|key| key.date < date("2026-08-01")).count()
    );
    assert_eq!(lists::lines(&*store, lists::DAYS, &later).await, days, "what is not folded stays as it is");
    assert_eq!(fold(&*store, 7).await, 0, "once is enough");
    assert_eq!(second.folded().await.expect("answers"), hundred_days());
}

pub async fn every_question_sums_what_is_folded(Subject { store, .. }: Subject) {
    const BY_KIND: List = (&[Dimension::Kind], Measures::COUNT, Order::Key);
    record(&*store, &accesses()).await;
    let all = Filter::of_dates(DateRange::EVER);
    let july = DateRange::new(date("2026-07-01"), date("2026-07-31")).expect("a range");
    let mut before = Vec::new();
    let filters =
        || [all.clone(), Filter::of_dates(july), Filter { tag: "v1".parse().into_iter().collect(), ..all.clone() }];
    for filter in filters() {
        before.push(lists::lines(&*store, lists::REPOSITORIES, &filter).await);
        before.push(lists::lines(&*store, lists::ARCHITECTURES, &filter).await);
        before.push(lists::lines(&*store, BY_KIND, &filter).await);
    }
    let summary = store.summary(now().date_naive()).await.expect("answers");
    store.keep_by_month(hundred_days()).await.expect("keeps");
    fold(&*store, 1_000).await;
    let mut after = Vec::new();
    for filter in filters() {
        after.push(lists::lines(&*store, lists::REPOSITORIES, &filter).await);
        after.push(lists::lines(&*store, lists::ARCHITECTURES, &filter).await);
        after.push(lists::lines(&*store, BY_KIND, &filter).await);
    }
    assert_eq!(after, before);
    assert_eq!(store.summary(now().date_naive()).await.expect("answers"), summary);
    assert_eq!(store.folded().await.expect("answers").counted(july), july);
}

pub async fn a_fold_that_was_cut_short_goes_on(Subject { store, second, .. }: Subject) {
    record(&*store, &accesses()).await;
    let months = by_month(&*store, true).await;
    store.keep_by_month(hundred_days()).await.expect("keeps");
    for day in ["2026-06-10", "2026-07-31", "2026-06-10"] {
        store.fold_day(date(day), 1).await.expect("folds");
        assert_eq!(by_month(&*second, true).await, months, "{day}");
    }
    fold(&*second, 1_000).await;
    assert_eq!(by_month(&*store, true).await, months);
    assert_eq!(store.day_to_fold(None).await.expect("answers"), None);
}

pub async fn what_is_kept_by_month_is_so_for_good(Subject { store, second, .. }: Subject) {
    store.keep_by_month(without_digests()).await.expect("keeps");
    let less = Folded { days_before: date("2026-07-01"), ..Folded::NOTHING };
    second.keep_by_month(less).await.expect("keeps");
    assert_eq!(store.folded().await.expect("answers"), without_digests());
    let more = Folded { days_before: date("2026-09-01"), ..Folded::NOTHING };
    second.keep_by_month(more).await.expect("keeps");
    assert_eq!(store.folded().await.expect("answers"), Folded { digests_before: date("2026-08-01"), ..more });
}

/// Stores its events in its turn.
struct InTurn(Vec<PullEvent>);

impl TakeTurn for InTurn {
    fn take_turn(&mut self, turn: Turn) -> Option<JournalBatch> {
        Some(JournalBatch { behind: turn.end, id: Uuid::new_v4(), entries: vec![], events: self.0.clone() })
    }
}

/// Records events in turn, and then without; answers whether they were stored.
async fn append(store: &dyn MetricsRepository, in_turn: &Access, without: &Access) {
    /// Learns where the journal ends.
    struct Look(Option<Turn>);
    impl TakeTurn for Look {
        fn take_turn(&mut self, turn: Turn) -> Option<JournalBatch> {
            self.0 = Some(turn);
            None
        }
    }
    let mut turn = InTurn(vec![in_turn.event()]);
    assert_eq!(store.append_in_turn(None, &[], &mut turn, now()).await.expect("appends"), Appended::Stored);
    let mut look = Look(None);
    store.append_in_turn(None, &[], &mut look, now()).await.expect("looks");
    let behind = look.0.expect("its turn").end;
    let batch = JournalBatch { behind, id: Uuid::new_v4(), entries: vec![], events: vec![without.event()] };
    assert_eq!(store.append(&batch, now()).await.expect("appends"), Appended::Stored);
}

pub async fn what_changes_old_counts_later_changes_those_of_the_month(Subject { store, second, .. }: Subject) {
    let at = |day: &str| pull("app:v1", &format!("2026-{day}T10:00:00Z"));
    record(&*store, &[at("06-10").times(5), at("06-20").times(5), at("08-10").times(5)]).await;
    store.keep_by_month(hundred_days()).await.expect("keeps");
    fold(&*store, 100).await;
    for (store, way) in [(&store, "its own"), (&second, "another's")] {
        // Several days of a batch are one row.
        record(&**store, &[at("06-11"), at("06-30"), at("06-01"), at("08-10"), at("05-31")]).await;
        append(&**store, &at("06-12"), &at("06-13")).await;
        assert_eq!(sum(&**store).await % 1_000, if way == "its own" { 22 } else { 29 }, "{way}");
    }
    assert_eq!(
        pulls_of(&*store).await,
        expected(&[("2026-08-10 app:v1", 7), ("2026-06-01 app:v1", 20), ("2026-05-01 app:v1", 2)])
    );
    record(&*store, &[at("06-25").times(-3)]).await;
    append(&*second, &at("06-12").times(-1), &at("06-13").times(-16)).await;
    assert_eq!(pulls_of(&*store).await, expected(&[("2026-08-10 app:v1", 7), ("2026-05-01 app:v1", 2)]));
    let refused = second.record(&[at("06-25").times(-1).event()], now()).await;
    assert!(refused.is_err(), "{refused:?}");
}

pub async fn what_is_taken_back_before_it_is_folded_is_found(Subject { store, second, .. }: Subject) {
    let at = |day: &str| pull("app:v1", &format!("2026-{day}T10:00:00Z"));
    for kind in [AccessKind::PullByTag, AccessKind::VersionCheck] {
        record(&*store, &[at("06-10").times(5).of_kind(kind), at("06-20").times(5).of_kind(kind)]).await;
        store.keep_by_month(hundred_days()).await.expect("keeps");
        record(&*second, &[at("06-10").times(-1).of_kind(kind)]).await;
        append(&*second, &at("06-20").times(-2).of_kind(kind), &at("06-21").times(-3).of_kind(kind)).await;
        let rows = rows_of(&*store, kind).await;
        assert_eq!(rows.iter().map(|row| (row.date, row.count)).collect::<Vec<_>>(), [(date("2026-06-01"), 4)]);
    }
    let mut moved = at("06-20").times(-1).event();
    moved.changes.push(at("06-20").on("arm64").change());
    store.record(&[moved], now()).await.expect("records");
    let rows = rows_of(&*store, AccessKind::PullByTag).await;
    let rows: Vec<_> = rows.iter().map(|row| (row.architecture.as_str(), row.count)).collect();
    assert_eq!(rows, [("amd64", 3), ("arm64", 1)]);
}

/// Two servers fold at once, while both are told of old days.
pub async fn sums_stay_exact_while_old_days_change(Subject { store, second, .. }: Subject) {
    record(&*store, &accesses()).await;
    let mut months = by_month(&*store, true).await;
    store.keep_by_month(hundred_days()).await.expect("keeps");
    let is_folded = Arc::new(AtomicBool::new(false));
    let change = |store: Arc<dyn MetricsRepository>, is_folded: Arc<AtomicBool>, first: usize| async move {
        let (accesses, mut rounds) = (accesses(), 0);
        while !is_folded.load(Ordering::Relaxed) || rounds < 3 {
            for access in accesses.iter().skip(first).step_by(11) {
                let add = access.clone().times(2);
                store.record(&[add.event()], now()).await.expect("neither refuses nor gives up");
                let take = access.clone().times(-1);
                store.record(&[take.event()], now()).await.expect("neither refuses nor gives up");
            }
            rounds += 1;
            // A store that never waits would keep the others from folding.
            tokio::task::yield_now().await;
        }
        (first, rounds)
    };
    let changing = [
        tokio::spawn(change(Arc::clone(&store), Arc::clone(&is_folded), 0)),
        tokio::spawn(change(Arc::clone(&second), Arc::clone(&is_folded), 5)),
    ];
    let folding = [&store, &second].map(Arc::clone).map(|store| tokio::spawn(async move { fold(&*store, 5).await }));
    for folding in folding {
        folding.await.expect("ends");
    }
    is_folded.store(true, Ordering::Relaxed);
    for changing in changing {
        let (first, rounds) = changing.await.expect("ends");
        for access in accesses().iter().skip(first).step_by(11) {
            let key = CountKey { date: first_of_month(access.key.date), ..access.key.clone() };
            months.get_mut(&key).expect("was counted").0 += rounds;
        }
    }
    let counts = |months: &BTreeMap<CountKey, (u64, String, String)>| {
        months.iter().map(|(key, (count, ..))| (key.clone(), *count)).collect::<Vec<_>>()
    };
    assert_eq!(counts(&by_month(&*store, true).await), counts(&months));
    assert_eq!(store.day_to_fold(None).await.expect("answers"), None);
}

pub async fn a_count_that_a_month_has_no_room_for_stays(Subject { store, .. }: Subject) {
    let at = |day: &str| pull("app:v1", &format!("2026-{day}T10:00:00Z"));
    record(&*store, &[at("06-10").times(i32::MAX), at("06-20").times(i32::MAX - 1), at("06-20").on("arm64")]).await;
    record(&*store, &[at("06-25"), at("06-25").on("arm64")]).await;
    store.keep_by_month(hundred_days()).await.expect("keeps");
    assert!(fold(&*store, 100).await > 0);
    assert_eq!(sum(&*store).await, 2 * u64::from(i32::MAX.unsigned_abs()) + 2);
    let rows = rows_of(&*store, AccessKind::PullByTag).await;
    let of_arm: Vec<_> = rows.iter().filter(|row| row.architecture.as_str() == "arm64").collect();
    assert_eq!(of_arm.iter().map(|row| (row.date, row.count)).collect::<Vec<_>>(), [(date("2026-06-01"), 2)]);
}

pub async fn digests_are_dropped_where_that_is_asked_for(Subject { store, second, .. }: Subject) {
    record(&*store, &accesses()).await;
    let months = by_month(&*store, false).await;
    // First with them, so that they are dropped from rows of months too.
    store.keep_by_month(hundred_days()).await.expect("keeps");
    fold(&*store, 1_000).await;
    store.keep_by_month(without_digests()).await.expect("keeps");
    assert_eq!(by_month(&*store, false).await, months, "before any is dropped");
    assert!(fold(&*second, 3).await > 0);
    assert_eq!(by_month(&*store, false).await, months);
    let rows = all_rows(&*store).await;
    let has_digest = |row: &MetricsRow| row.digest != Digest::unknown();
    assert!(rows.iter().all(|row| has_digest(row) == (row.date >= date("2026-08-01"))), "{rows:?}");
    assert_eq!(fold(&*store, 1_000).await, 0, "once is enough");

    let before = sum(&*store).await;
    let late = pull("new:v1", "2026-06-10T10:00:00Z").of_digest(3);
    record(&*second, &[late.clone().times(4), late.of_digest(4).times(-3)]).await;
    assert_eq!(sum(&*store).await, before + 1);
}

pub async fn counts_of_days_before_one_are_forgotten(Subject { store, second, .. }: Subject) {
    record(&*store, &accesses()).await;
    let rows = all_rows(&*store).await;
    let kept: Vec<_> = rows.iter().filter(|row| row.date >= date("2026-07-01")).cloned().collect();
    let mut forgotten = 0;
    loop {
        let now = store.forget_counts(date("2026-07-01"), 10).await.expect("forgets");
        assert!(now <= 20, "{now}");
        forgotten += now;
        if now == 0 {
            break;
        }
    }
    assert_eq!(forgotten, (rows.len() - kept.len()) as u64);
    assert_eq!(all_rows(&*second).await, kept);
    let summary = second.summary(now().date_naive()).await.expect("answers");
    let pulls = kept.iter().filter(|row| row.kind == AccessKind::PullByTag);
    assert_eq!(summary.last_pulled_at, pulls.clone().map(|row| row.updated_at).max());
    assert_eq!(summary.totals(AccessKind::PullByTag).all, pulls.map(|row| row.count).sum::<u64>());
    assert_eq!(second.forget_counts(time("2026-07-01T00:00:00Z").date_naive(), 10).await.expect("forgets"), 0);
}
