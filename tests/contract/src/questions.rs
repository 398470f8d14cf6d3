//! What the questions must answer.
#![expect(missing_docs, reason = "a rule's name says what must hold")]

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, NaiveDate, Utc};
use staticreg_domain::metrics::{
    AccessKind, Breakdown, DateRange, Dimension, Filter, FolderEntry, GroupKey, Measures, MetricsRepository,
    MetricsRow, Order, Page, Summary, Totals,
};

use crate::{
    Subject,
    events::{Access, date, digest, pull, record, rows_of, time},
    filters::{counted, each, passes, some_filters},
    lists::{self, lines},
};

/// Pulls of some days, enough to tell each order from others.
pub(crate) fn some_pulls() -> Vec<Access> {
    vec![
        pull("library/nginx:1.27", "2026-11-18T10:00:00Z").times(3),
        pull("library/nginx:1.27", "2026-11-19T10:00:00Z").times(2).on("arm64"),
        pull("library/nginx:1.27", "2026-11-20T10:00:00Z").of_digest(2),
        pull("library/nginx:latest", "2026-11-20T11:00:00Z").of_digest(2).times(4),
        pull("library/redis:7", "2026-11-18T09:00:00Z").of_digest(3).times(10),
        pull("library/redis:latest", "2026-11-19T08:00:00Z").of_digest(3),
        pull("app:latest", "2026-11-20T12:00:00Z").of_digest(4).on("arm64").times(5),
        pull("app:v1", "2026-11-17T12:00:00Z").of_digest(5).on("not-specified").times(5),
        pull("tools/app:v1", "2026-11-20T07:00:00Z").of_digest(6).times(10),
    ]
}

pub(crate) fn ever() -> Filter {
    Filter::of_dates(DateRange::EVER)
}

pub(crate) fn range(from: &str, to: &str) -> DateRange {
    DateRange::new(date(from), date(to)).expect("a range")
}

pub async fn an_empty_store_answers_every_question(Subject { store, .. }: Subject) {
    assert_eq!(counted(&*store, &ever()).await, each(0));
    assert_eq!(store.summary(date("2026-11-20")).await.expect("answers"), Summary::default());
}

pub async fn pulls_are_listed_by_date_then_group(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    assert_eq!(
        lines(&*store, lists::DAYS, &ever()).await,
        ["2026-11-17 5", "2026-11-18 13", "2026-11-19 3", "2026-11-20 20"]
    );
    assert_eq!(
        lines(&*store, lists::DAYS_BY_ARCHITECTURE, &ever()).await,
        [
            "2026-11-17 not-specified 5",
            "2026-11-18 amd64 13",
            "2026-11-19 amd64 1",
            "2026-11-19 arm64 2",
            "2026-11-20 amd64 15",
            "2026-11-20 arm64 5",
        ]
    );
    assert_eq!(
        lines(&*store, lists::DAYS_BY_REPOSITORY, &ever()).await,
        [
            "2026-11-17 app 5",
            "2026-11-18 library/nginx 3",
            "2026-11-18 library/redis 10",
            "2026-11-19 library/nginx 2",
            "2026-11-19 library/redis 1",
            "2026-11-20 app 5",
            "2026-11-20 library/nginx 5",
            "2026-11-20 tools/app 10",
        ]
    );
    assert_eq!(
        lines(&*store, lists::DAYS_BY_TAG, &ever()).await,
        [
            "2026-11-17 v1 5",
            "2026-11-18 1.27 3",
            "2026-11-18 7 10",
            "2026-11-19 1.27 2",
            "2026-11-19 latest 1",
            "2026-11-20 1.27 1",
            "2026-11-20 latest 9",
            "2026-11-20 v1 10",
        ]
    );

    record(&*store, &[pull("app", "2026-11-20T10:00:00Z").of_kind(AccessKind::PullByDigest)]).await;
    let by_digest = Filter { kind: AccessKind::PullByDigest.into(), ..ever() };
    assert_eq!(lines(&*store, lists::DAYS_BY_TAG, &by_digest).await, ["2026-11-20 - 1"]);
}

pub async fn repositories_are_listed_most_pulled_first(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    assert_eq!(
        lines(&*store, lists::REPOSITORIES, &ever()).await,
        [
            "library/redis 11 2 2026-11-19T08:00:00Z",
            "app 10 2 2026-11-20T12:00:00Z",
            "library/nginx 10 2 2026-11-20T11:00:00Z",
            "tools/app 10 1 2026-11-20T07:00:00Z",
        ]
    );

    let tagless = pull("app", "2026-11-20T10:00:00Z").of_kind(AccessKind::PullByDigest);
    record(&*store, &[tagless.clone(), tagless]).await;
    let by_digest = Filter { kind: AccessKind::PullByDigest.into(), ..ever() };
    let listed = lines(&*store, lists::REPOSITORIES, &by_digest).await;
    assert_eq!(listed, ["app 2 0 2026-11-20T10:00:00Z"], "no tag is not a tag");
}

pub async fn images_are_listed_most_pulled_first(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    assert_eq!(
        lines(&*store, lists::IMAGES, &ever()).await,
        [
            "library/redis 7 10 2026-11-18T09:00:00Z",
            "tools/app v1 10 2026-11-20T07:00:00Z",
            "library/nginx 1.27 6 2026-11-20T10:00:00Z",
            "app latest 5 2026-11-20T12:00:00Z",
            "app v1 5 2026-11-17T12:00:00Z",
            "library/nginx latest 4 2026-11-20T11:00:00Z",
            "library/redis latest 1 2026-11-19T08:00:00Z",
        ]
    );
}

pub async fn architectures_are_listed_most_pulled_first(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    record(&*store, &[pull("app:v1", "2026-11-20T10:00:00Z").on("386").times(5)]).await;
    assert_eq!(
        lines(&*store, lists::ARCHITECTURES, &ever()).await,
        ["amd64 29 3", "arm64 7 2", "386 5 1", "not-specified 5 1"]
    );
}

pub async fn tags_are_listed_most_pulled_first(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    record(&*store, &[pull("library/nginx:1.27", "2026-11-20T09:00:00Z").on("s390x").times(2)]).await;
    let filter = Filter { repository: "library/nginx".parse().into_iter().collect(), ..ever() };
    assert_eq!(
        lines(&*store, lists::TAGS, &filter).await,
        [
            "1.27 amd64 4 2026-11-20T10:00:00Z",
            "latest amd64 4 2026-11-20T11:00:00Z",
            "1.27 arm64 2 2026-11-19T10:00:00Z",
            "1.27 s390x 2 2026-11-20T09:00:00Z",
        ]
    );
    let over_all = lines(&*store, lists::TAGS, &ever()).await;
    assert_eq!(over_all[0], "7 amd64 10 2026-11-18T09:00:00Z", "equal counts go by tag");
}

pub async fn digests_are_listed_latest_pulled_first(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    record(&*store, &[pull("library/nginx:1.27", "2026-11-20T10:00:00Z").of_digest(9).times(2)]).await;
    let filter = Filter {
        repository: "library/nginx".parse().into_iter().collect(),
        tag: "1.27".parse().into_iter().collect(),
        ..ever()
    };
    assert_eq!(
        lines(&*store, lists::DIGESTS, &filter).await,
        [
            format!("{} 1 2026-11-20 2026-11-20T10:00:00Z", digest(2)),
            format!("{} 2 2026-11-20 2026-11-20T10:00:00Z", digest(9)),
            format!("{} 5 2026-11-18 2026-11-19T10:00:00Z", digest(1)),
        ]
    );
}

pub async fn rows_are_listed_latest_date_first(Subject { store, .. }: Subject) {
    let same_day = [
        pull("a:v1", "2026-11-19T10:00:00Z"),
        pull("a:v1", "2026-11-19T10:00:00Z").on("arm64"),
        pull("a:v1", "2026-11-19T10:00:00Z").of_digest(2),
        pull("a:v2", "2026-11-19T10:00:00Z"),
        pull("b:v1", "2026-11-19T10:00:00Z"),
    ];
    let mut in_order = vec![pull("z:v1", "2026-11-20T10:00:00Z")];
    in_order.extend(same_day);
    in_order.push(pull("a:v1", "2026-11-18T10:00:00Z"));
    let backwards: Vec<_> = in_order.iter().rev().cloned().collect();
    record(&*store, &backwards).await;
    let items = store.rows(&ever(), &Page::first(100)).await.expect("answers").items;
    let keys: Vec<_> =
        items.iter().map(|row| (row.date, &row.repository, &row.tag, &row.digest, &row.architecture)).collect();
    let expected: Vec<_> = in_order
        .iter()
        .map(|Access { key, .. }| (key.date, &key.repository, &key.tag, &key.digest, &key.architecture))
        .collect();
    assert_eq!(keys, expected);
}

/// Records accesses of every kind, and answers their rows.
async fn rows_of_every_kind(store: &dyn MetricsRepository) -> Vec<MetricsRow> {
    record(store, &some_pulls()).await;
    for (number, kind) in (1..).zip(AccessKind::ALL) {
        let more = [
            pull("app", "2026-11-19T12:00:00Z").of_kind(kind).of_digest(number).on("arm64").times(3),
            pull("app:v1", "2026-11-18T12:00:00Z").of_kind(kind).of_digest(number),
            pull("b/c:latest", "2026-11-20T12:00:00Z").of_kind(kind).times(2),
        ];
        let more: Vec<_> =
            more.into_iter().filter(|access| kind != AccessKind::PullByTag || access.key.tag.is_some()).collect();
        record(store, &more).await;
    }
    let mut rows = Vec::new();
    for kind in AccessKind::ALL {
        rows.extend(rows_of(store, kind).await);
    }
    rows
}

/// The rows of a breakdown as text.
async fn told(store: &dyn MetricsRepository, list: &Breakdown) -> Vec<String> {
    lists::page(store, list).await.items.iter().map(|row| format!("{row:?}")).collect()
}

/// Whatever counts are told apart by, whatever is told of them and in whichever order: the rows say the same.
pub async fn every_breakdown_sums_the_rows(Subject { store, .. }: Subject) {
    let rows = rows_of_every_kind(&*store).await;
    for by in sets() {
        let others = Dimension::ALL.into_iter().filter(|other| !by.contains(other)).map(Some);
        for (distinct, order) in others.chain([None]).zip(ORDERS.into_iter().cycle().skip(by.len())) {
            let measures = Measures { distinct, first: true, ..Measures::LAST };
            for filter in some_filters() {
                let list = Breakdown { by: by.clone(), measures, filter, order, page: Page::first(1000) };
                assert_eq!(told(&*store, &list).await, summed(&rows, &list), "{list:?}");
                // What is not asked for is left out, and may be answered from elsewhere.
                let fewer = Breakdown { measures: Measures { first: false, ..measures }, ..list.clone() };
                assert_eq!(told(&*store, &fewer).await, summed(&rows, &fewer), "{fewer:?}");
            }
        }
    }
}

/// The same where the counts of the dates before are told beside.
pub async fn every_breakdown_tells_the_counts_of_the_dates_before(Subject { store, .. }: Subject) {
    let rows = rows_of_every_kind(&*store).await;
    let dates = range("2026-11-19", "2026-11-20");
    let orders = ORDERS.into_iter().chain([Order::MostGrownFirst, Order::LeastGrownFirst]);
    for by in sets().into_iter().filter(|by| !by.contains(&Dimension::Date)) {
        let others = Dimension::ALL.into_iter().filter(|other| !by.contains(other)).map(Some);
        for (distinct, order) in others.chain([None]).zip(orders.clone().cycle().skip(by.len())) {
            for filter in some_filters() {
                let previous_from = Some(date("2026-11-18"));
                let measures = Measures { distinct, previous_from, ..Measures::LAST };
                let filter = Filter { dates, ..filter };
                let list = Breakdown { by: by.clone(), measures, filter, order, page: Page::first(1000) };
                assert_eq!(told(&*store, &list).await, summed(&rows, &list), "{list:?}");
                let more = Breakdown { measures: Measures { first: true, ..measures }, ..list.clone() };
                assert_eq!(told(&*store, &more).await, summed(&rows, &more), "{more:?}");
            }
        }
    }
}

pub async fn what_grew_and_what_shrank_is_told(Subject { store, .. }: Subject) {
    let pulls =
        [("grew", 2, 3), ("shrank", 3, 1), ("stayed", 7, 7), ("began", 0, 1), ("ended", 5, 0), ("also-new", 0, 9)];
    for (name, before, now) in pulls {
        let image = format!("{name}:v1");
        let of_day = |day: &str, count| (count > 0).then(|| pull(&image, &format!("{day}T10:00:00Z")).times(count));
        let accesses: Vec<_> =
            [of_day("2026-11-18", before), of_day("2026-11-20", now)].into_iter().flatten().collect();
        record(&*store, &accesses).await;
    }
    record(&*store, &[pull("long-ago:v1", "2026-11-16T10:00:00Z")]).await;
    let listed = async |order| {
        let measures =
            Measures { distinct: Some(Dimension::Tag), previous_from: Some(date("2026-11-17")), ..Measures::COUNT };
        let filter = Filter::of_dates(range("2026-11-19", "2026-11-20"));
        lines(&*store, (&[Dimension::Repository], measures, order), &filter).await
    };
    let most_first = [
        "also-new 9 after 0 1",
        "began 1 after 0 1",
        "grew 3 after 2 1",
        "stayed 7 after 7 1",
        "shrank 1 after 3 1",
        "ended 0 after 5 0",
    ];
    assert_eq!(listed(Order::MostGrownFirst).await, most_first);
    let [also_new, began, rest @ ..] = most_first;
    let least_first: Vec<_> = rest.into_iter().rev().chain([also_new, began]).collect();
    assert_eq!(listed(Order::LeastGrownFirst).await, least_first);
}

/// Every order of what is counted once.
pub(crate) const ORDERS: [Order; 6] =
    [Order::MostFirst, Order::Key, Order::LatestFirst, Order::LastKeyFirst, Order::FewestFirst, Order::EarliestFirst];

/// Every set of up to two dimensions, and some larger ones.
fn sets() -> Vec<Vec<Dimension>> {
    use Dimension::{Architecture, Date, Kind, Repository, Tag};
    let mut sets =
        vec![vec![], vec![Date, Repository, Tag], vec![Kind, Tag, Repository, Architecture], Dimension::ALL.to_vec()];
    for (index, one) in Dimension::ALL.into_iter().enumerate() {
        sets.push(vec![one]);
        sets.extend(Dimension::ALL[index + 1..].iter().map(|other| vec![one, *other]));
    }
    sets
}

/// The rows of a breakdown, summed here.
fn summed(rows: &[MetricsRow], list: &Breakdown) -> Vec<String> {
    struct Sum {
        key: GroupKey,
        count: u64,
        previous: u64,
        values: BTreeSet<String>,
        first: NaiveDate,
        last: DateTime<Utc>,
    }
    let Breakdown { measures, filter, order, .. } = list;
    let mut sums: BTreeMap<Vec<String>, Sum> = BTreeMap::new();
    let is_counted = |row: &&MetricsRow| list.kinds().contains(&row.kind) && list.dates().contains(row.date);
    for row in rows.iter().filter(is_counted).filter(|row| passes(filter, row)) {
        let entry = FolderEntry::text_of(row.repository.as_str(), filter.folder.as_ref());
        let whole = GroupKey {
            date: Some(row.date),
            folder: FolderEntry::as_stored(entry).ok(),
            repository: Some(row.repository.clone()),
            tag: row.tag.clone(),
            digest: Some(row.digest.clone()),
            architecture: Some(row.architecture.clone()),
            kind: Some(row.kind),
        };
        let text = |dimension| match dimension {
            Dimension::Date => row.date.to_string(),
            _ => whole.borrowed().text(dimension).to_owned(),
        };
        let sum = sums.entry(list.dimensions().map(text).collect()).or_insert_with(|| {
            let mut key = GroupKey::default();
            for dimension in list.dimensions() {
                key.set(dimension, &text(dimension)).expect("a part");
            }
            Sum { key, count: 0, previous: 0, values: BTreeSet::new(), first: row.date, last: row.updated_at }
        });
        let is_previous = row.date < filter.dates.from();
        *(if is_previous { &mut sum.previous } else { &mut sum.count }) += row.count;
        sum.first = sum.first.min(row.date);
        sum.last = sum.last.max(row.updated_at);
        let value = measures.distinct.filter(|_| !is_previous).map(text);
        sum.values.extend(value.filter(|value| measures.distinct != Some(Dimension::Tag) || !value.is_empty()));
    }
    let mut sums: Vec<_> = sums.into_values().collect();
    let by_growth = |a: &Sum, b: &Sum| match (a.previous, b.previous) {
        (0, 0) => Ordering::Equal,
        (0, _) => Ordering::Greater,
        (_, 0) => Ordering::Less,
        _ => (a.count * b.previous).cmp(&(b.count * a.previous)),
    };
    // Equal ones stay in the order of their keys.
    match order {
        Order::Key => {}
        Order::LastKeyFirst => sums.reverse(),
        Order::FewestFirst => sums.sort_by_key(|sum| sum.count),
        Order::EarliestFirst => sums.sort_by_key(|sum| sum.last),
        Order::MostFirst => sums.sort_by_key(|sum| std::cmp::Reverse(sum.count)),
        Order::LatestFirst => sums.sort_by_key(|sum| std::cmp::Reverse(sum.last)),
        Order::LeastGrownFirst => sums.sort_by(by_growth),
        Order::MostGrownFirst => sums.sort_by(|a, b| by_growth(b, a)),
    }
    let row = |Sum { key, count, previous, values, first, last }| staticreg_domain::metrics::BreakdownRow {
        key,
        count,
        previous: measures.previous_from.map(|_| previous),
        distinct: measures.distinct.map(|_| values.len() as u64),
        first_on: measures.first.then_some(first),
        last_at: measures.last.then_some(last),
    };
    sums.into_iter().map(|sum| format!("{:?}", row(sum))).collect()
}

pub async fn dates_decide_ranges_and_times_do_not(Subject { store, .. }: Subject) {
    record(&*store, &[pull("app:v1", "2026-11-21T00:30:00Z").counted_on("2026-11-20")]).await;
    let counted_on = Filter::of_dates(range("2026-11-20", "2026-11-20"));
    assert_eq!(counted(&*store, &counted_on).await, each(1));
    let happened_on = Filter::of_dates(range("2026-11-21", "2026-11-21"));
    assert_eq!(counted(&*store, &happened_on).await, each(0));
    assert_eq!(store.summary(date("2026-11-20")).await.expect("answers").totals(AccessKind::PullByTag).today, 1);
    assert_eq!(store.summary(date("2026-11-21")).await.expect("answers").totals(AccessKind::PullByTag).today, 0);
}

pub async fn all_of_time_is_a_range(Subject { store, .. }: Subject) {
    record(&*store, &[pull("app:v1", "1970-01-01T00:00:00Z"), pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    assert_eq!(counted(&*store, &ever()).await, each(2));
    let until = Filter::of_dates(DateRange::days_until(date("2026-11-20"), u32::MAX));
    assert_eq!(counted(&*store, &until).await, each(2));
}

pub async fn text_is_ordered_by_its_bytes(Subject { store, .. }: Subject) {
    let tags = ["1.0", "10", "A", "B-1", "Z", "_a", "a", "a-b", "a.b", "ab", "b"];
    let repositories = ["a", "a-b", "a.b", "a/b", "a0", "a_b", "aa", "b-c/d", "b/c"];
    let mut accesses: Vec<_> = tags.iter().map(|tag| pull(&format!("a:{tag}"), "2026-11-20T10:00:00Z")).collect();
    accesses.extend(repositories[1..].iter().map(|name| pull(&format!("{name}:A"), "2026-11-20T10:00:00Z")));
    accesses.reverse();
    record(&*store, &accesses).await;

    let of_a = Filter { repository: "a".parse().into_iter().collect(), ..ever() };
    let part = async |list: lists::List, filter: &Filter, dimension| {
        let rows = lists::rows(&*store, list, filter).await;
        rows.iter().map(|row| row.key.borrowed().text(dimension).to_owned()).collect::<Vec<_>>()
    };
    for list in [lists::IMAGES, lists::TAGS, lists::DAYS_BY_TAG] {
        assert_eq!(part(list, &of_a, Dimension::Tag).await, tags);
    }

    let of_tag = Filter { tag: "A".parse().into_iter().collect(), ..ever() };
    assert_eq!(part(lists::REPOSITORIES, &of_tag, Dimension::Repository).await, repositories);
    let items = store.rows(&of_tag, &Page::first(100)).await.expect("answers").items;
    let listed: Vec<_> = items.iter().map(|item| item.repository.as_str()).collect();
    assert_eq!(listed, repositories);
}

pub async fn the_summary_counts_spans_that_end_today(Subject { store, .. }: Subject) {
    let mut accesses = Vec::new();
    for (factor, kind) in [1, 10, 100, 1000].into_iter().zip(AccessKind::ALL) {
        for (day, count) in [
            ("2026-11-21", 1), // tomorrow, by the clock of a registry that is fast
            ("2026-11-20", 1),
            ("2026-11-14", 1),
            ("2026-11-13", 1),
            ("2026-10-22", 1),
            ("2026-10-21", 1),
        ] {
            accesses.push(pull("app:v1", &format!("{day}T10:00:00Z")).of_kind(kind).times(count * factor));
        }
    }
    record(&*store, &accesses).await;
    let summary = store.summary(date("2026-11-20")).await.expect("answers");
    let totals = |factor| Totals { today: factor, last_7_days: 2 * factor, last_30_days: 4 * factor, all: 6 * factor };
    assert_eq!(
        summary,
        Summary {
            by_kind: AccessKind::ALL.into_iter().zip([1, 10, 100, 1000].map(totals)).collect(),
            repositories: 1,
            last_pulled_at: Some(time("2026-11-21T10:00:00Z")),
        }
    );
}

pub async fn the_summary_tells_repositories_and_the_last_pull(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    record(&*store, &[pull("checked:v1", "2026-11-21T10:00:00Z").of_kind(AccessKind::VersionCheck)]).await;
    let summary = store.summary(date("2026-11-20")).await.expect("answers");
    assert_eq!(summary.repositories, 4);
    assert_eq!(summary.last_pulled_at, Some(time("2026-11-20T12:00:00Z")));
}
