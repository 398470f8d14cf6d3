//! What the questions must answer.
#![expect(missing_docs, reason = "a rule's name says what must hold")]

use staticreg_domain::metrics::{
    AccessKind, ArchitecturePulls, DateRange, DayPulls, DigestPulls, Filter, ImagePulls, MetricsRepository, Page,
    PullGroup, RepositoryPulls, Summary, TagPulls, Totals,
};

use crate::{
    Subject,
    events::{Access, date, digest, pull, record, time},
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

fn ever() -> Filter {
    Filter::of_dates(DateRange::EVER)
}

fn range(from: &str, to: &str) -> DateRange {
    DateRange::new(date(from), date(to)).expect("a range")
}

pub async fn an_empty_store_answers_every_question(Subject { store, .. }: Subject) {
    let answers = Counted::of(&*store, &ever()).await;
    assert_eq!(answers, Counted::default());
    assert_eq!(store.summary(date("2026-11-20")).await.expect("answers"), Summary::default());
}

pub async fn pulls_are_listed_by_date_then_group(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    let listed = async |group| {
        let slice = store.pulls(&ever(), group, &Page::first(100)).await.expect("answers");
        assert!(!slice.more);
        slice
            .items
            .into_iter()
            .map(|DayPulls { date, group, pulls }| (date.to_string(), group, pulls))
            .collect::<Vec<_>>()
    };
    let row = |day: &str, group: Option<&str>, pulls| (format!("2026-11-{day}"), group.map(str::to_owned), pulls);
    assert_eq!(listed(None).await, [row("17", None, 5), row("18", None, 13), row("19", None, 3), row("20", None, 20)]);
    assert_eq!(
        listed(Some(PullGroup::Architecture)).await,
        [
            row("17", Some("not-specified"), 5),
            row("18", Some("amd64"), 13),
            row("19", Some("amd64"), 1),
            row("19", Some("arm64"), 2),
            row("20", Some("amd64"), 15),
            row("20", Some("arm64"), 5),
        ]
    );
    assert_eq!(
        listed(Some(PullGroup::Repository)).await,
        [
            row("17", Some("app"), 5),
            row("18", Some("library/nginx"), 3),
            row("18", Some("library/redis"), 10),
            row("19", Some("library/nginx"), 2),
            row("19", Some("library/redis"), 1),
            row("20", Some("app"), 5),
            row("20", Some("library/nginx"), 5),
            row("20", Some("tools/app"), 10),
        ]
    );
    assert_eq!(
        listed(Some(PullGroup::Tag)).await,
        [
            row("17", Some("v1"), 5),
            row("18", Some("1.27"), 3),
            row("18", Some("7"), 10),
            row("19", Some("1.27"), 2),
            row("19", Some("latest"), 1),
            row("20", Some("1.27"), 1),
            row("20", Some("latest"), 9),
            row("20", Some("v1"), 10),
        ]
    );

    record(&*store, &[pull("app", "2026-11-20T10:00:00Z").of_kind(AccessKind::PullByDigest)]).await;
    let by_digest = Filter { kind: AccessKind::PullByDigest, ..ever() };
    let tagless = store.pulls(&by_digest, Some(PullGroup::Tag), &Page::first(10)).await.expect("answers").items;
    assert_eq!(tagless, [DayPulls { date: date("2026-11-20"), group: Some(String::new()), pulls: 1 }]);
}

pub async fn repositories_are_listed_most_pulled_first(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    let items = store.repositories(&ever(), &Page::first(100)).await.expect("answers").items;
    let row = |name: &str, pulls, tags, last| RepositoryPulls {
        repository: name.parse().expect(name),
        pulls,
        tags,
        last_pulled_at: time(last),
    };
    assert_eq!(
        items,
        [
            row("library/redis", 11, 2, "2026-11-19T08:00:00Z"),
            row("app", 10, 2, "2026-11-20T12:00:00Z"),
            row("library/nginx", 10, 2, "2026-11-20T11:00:00Z"),
            row("tools/app", 10, 1, "2026-11-20T07:00:00Z"),
        ]
    );

    let tagless = pull("app", "2026-11-20T10:00:00Z").of_kind(AccessKind::PullByDigest);
    record(&*store, &[tagless.clone(), tagless]).await;
    let by_digest = Filter { kind: AccessKind::PullByDigest, ..ever() };
    let items = store.repositories(&by_digest, &Page::first(10)).await.expect("answers").items;
    assert_eq!(items, [row("app", 2, 0, "2026-11-20T10:00:00Z")], "no tag is not a tag");
}

pub async fn images_are_listed_most_pulled_first(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    let items = store.images(&ever(), &Page::first(100)).await.expect("answers").items;
    let row = |name: &str, tag: &str, pulls, last| ImagePulls {
        repository: name.parse().expect(name),
        tag: tag.parse().ok(),
        pulls,
        last_pulled_at: time(last),
    };
    assert_eq!(
        items,
        [
            row("library/redis", "7", 10, "2026-11-18T09:00:00Z"),
            row("tools/app", "v1", 10, "2026-11-20T07:00:00Z"),
            row("library/nginx", "1.27", 6, "2026-11-20T10:00:00Z"),
            row("app", "latest", 5, "2026-11-20T12:00:00Z"),
            row("app", "v1", 5, "2026-11-17T12:00:00Z"),
            row("library/nginx", "latest", 4, "2026-11-20T11:00:00Z"),
            row("library/redis", "latest", 1, "2026-11-19T08:00:00Z"),
        ]
    );
}

pub async fn architectures_are_listed_most_pulled_first(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    record(&*store, &[pull("app:v1", "2026-11-20T10:00:00Z").on("386").times(5)]).await;
    let items = store.architectures(&ever(), &Page::first(100)).await.expect("answers").items;
    let row = |architecture: &str, pulls, repositories| ArchitecturePulls {
        architecture: architecture.parse().expect("never fails"),
        pulls,
        repositories,
    };
    assert_eq!(items, [row("amd64", 29, 3), row("arm64", 7, 2), row("386", 5, 1), row("not-specified", 5, 1)]);
}

pub async fn tags_are_listed_most_pulled_first(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    record(&*store, &[pull("library/nginx:1.27", "2026-11-20T09:00:00Z").on("s390x").times(2)]).await;
    let filter = Filter { repository: "library/nginx".parse().ok(), ..ever() };
    let items = store.tags(&filter, &Page::first(100)).await.expect("answers").items;
    let row = |tag: &str, architecture: &str, pulls, last| TagPulls {
        tag: tag.parse().ok(),
        architecture: architecture.parse().expect("never fails"),
        pulls,
        last_pulled_at: time(last),
    };
    assert_eq!(
        items,
        [
            row("1.27", "amd64", 4, "2026-11-20T10:00:00Z"),
            row("latest", "amd64", 4, "2026-11-20T11:00:00Z"),
            row("1.27", "arm64", 2, "2026-11-19T10:00:00Z"),
            row("1.27", "s390x", 2, "2026-11-20T09:00:00Z"),
        ]
    );
    let over_all = store.tags(&ever(), &Page::first(1)).await.expect("answers").items;
    assert_eq!(over_all, [row("7", "amd64", 10, "2026-11-18T09:00:00Z")], "equal counts go by tag");
}

pub async fn digests_are_listed_latest_pulled_first(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    record(&*store, &[pull("library/nginx:1.27", "2026-11-20T10:00:00Z").of_digest(9).times(2)]).await;
    let filter = Filter { repository: "library/nginx".parse().ok(), tag: "1.27".parse().ok(), ..ever() };
    let items = store.digests(&filter, &Page::first(100)).await.expect("answers").items;
    let row = |number, pulls, first, last| DigestPulls {
        digest: digest(number).parse().expect("a digest"),
        pulls,
        first_pulled_on: date(first),
        last_pulled_at: time(last),
    };
    assert_eq!(
        items,
        [
            row(2, 1, "2026-11-20", "2026-11-20T10:00:00Z"),
            row(9, 2, "2026-11-20", "2026-11-20T10:00:00Z"),
            row(1, 5, "2026-11-18", "2026-11-19T10:00:00Z"),
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

/// The counts of every question's answer together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    pulls: [u64; 4],
    repositories: u64,
    images: u64,
    architectures: u64,
    tags: u64,
    digests: u64,
    rows: u64,
}

impl Counted {
    async fn of(store: &dyn MetricsRepository, filter: &Filter) -> Self {
        let mut counted = Self::default();
        let groups = [None, Some(PullGroup::Architecture), Some(PullGroup::Repository), Some(PullGroup::Tag)];
        for (pulls, group) in counted.pulls.iter_mut().zip(groups) {
            let slice = store.pulls(filter, group, &Page::first(100)).await.expect("answers");
            *pulls = slice.items.iter().map(|item| item.pulls).sum();
        }
        let slice = store.repositories(filter, &Page::first(100)).await.expect("answers");
        counted.repositories = slice.items.iter().map(|item| item.pulls).sum();
        let slice = store.images(filter, &Page::first(100)).await.expect("answers");
        counted.images = slice.items.iter().map(|item| item.pulls).sum();
        let slice = store.architectures(filter, &Page::first(100)).await.expect("answers");
        counted.architectures = slice.items.iter().map(|item| item.pulls).sum();
        let slice = store.tags(filter, &Page::first(100)).await.expect("answers");
        counted.tags = slice.items.iter().map(|item| item.pulls).sum();
        let slice = store.digests(filter, &Page::first(100)).await.expect("answers");
        counted.digests = slice.items.iter().map(|item| item.pulls).sum();
        let slice = store.rows(filter, &Page::first(100)).await.expect("answers");
        counted.rows = slice.items.iter().map(|item| item.count).sum();
        counted
    }

    fn each(count: u64) -> Self {
        Self {
            pulls: [count; 4],
            repositories: count,
            images: count,
            architectures: count,
            tags: count,
            digests: count,
            rows: count,
        }
    }
}

pub async fn every_question_takes_every_filter(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    record(
        &*store,
        &[
            pull("app:latest", "2026-11-20T12:00:00Z").of_kind(AccessKind::VersionCheck).times(100),
            pull("app", "2026-11-20T12:00:00Z").of_kind(AccessKind::PullByDigest).times(200),
        ],
    )
    .await;
    let nginx = || Filter { repository: "library/nginx".parse().ok(), ..ever() };
    for (filter, count) in [
        (ever(), 41),
        (nginx(), 10),
        (Filter { repository: "library/ngin".parse().ok(), ..ever() }, 0),
        (Filter { tag: "latest".parse().ok(), ..ever() }, 10),
        (Filter { tag: "LATEST".parse().ok(), ..ever() }, 0),
        (Filter { digest: digest(2).parse().ok(), ..ever() }, 5),
        (Filter { architecture: "arm64".parse().ok(), ..ever() }, 7),
        (Filter::of_dates(range("2026-11-18", "2026-11-19")), 16),
        (Filter::of_dates(range("2026-11-17", "2026-11-17")), 5),
        (Filter::of_dates(range("2026-11-21", "2026-12-31")), 0),
        (Filter { tag: "1.27".parse().ok(), ..nginx() }, 6),
        (Filter { architecture: "arm64".parse().ok(), ..nginx() }, 2),
        (Filter { digest: digest(2).parse().ok(), tag: "1.27".parse().ok(), ..nginx() }, 1),
        (Filter { dates: range("2026-11-20", "2026-11-20"), ..nginx() }, 5),
        (Filter { kind: AccessKind::VersionCheck, ..ever() }, 100),
        (Filter { kind: AccessKind::VersionCheck, tag: "latest".parse().ok(), ..ever() }, 100),
        (Filter { kind: AccessKind::VersionCheck, architecture: "arm64".parse().ok(), ..ever() }, 0),
        (Filter { kind: AccessKind::PullByDigest, repository: "app".parse().ok(), ..ever() }, 200),
        (Filter { kind: AccessKind::PullByDigest, tag: "latest".parse().ok(), ..ever() }, 0),
        (Filter { kind: AccessKind::Push, ..ever() }, 0),
    ] {
        assert_eq!(Counted::of(&*store, &filter).await, Counted::each(count), "{filter:?}");
    }
}

pub async fn dates_decide_ranges_and_times_do_not(Subject { store, .. }: Subject) {
    record(&*store, &[pull("app:v1", "2026-11-21T00:30:00Z").counted_on("2026-11-20")]).await;
    let counted_on = Filter::of_dates(range("2026-11-20", "2026-11-20"));
    assert_eq!(Counted::of(&*store, &counted_on).await, Counted::each(1));
    let happened_on = Filter::of_dates(range("2026-11-21", "2026-11-21"));
    assert_eq!(Counted::of(&*store, &happened_on).await, Counted::each(0));
    assert_eq!(store.summary(date("2026-11-20")).await.expect("answers").pulls_by_tag.today, 1);
    assert_eq!(store.summary(date("2026-11-21")).await.expect("answers").pulls_by_tag.today, 0);
}

pub async fn all_of_time_is_a_range(Subject { store, .. }: Subject) {
    record(&*store, &[pull("app:v1", "1970-01-01T00:00:00Z"), pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    assert_eq!(Counted::of(&*store, &ever()).await, Counted::each(2));
    let until = Filter::of_dates(DateRange::days_until(date("2026-11-20"), u32::MAX));
    assert_eq!(Counted::of(&*store, &until).await, Counted::each(2));
}

pub async fn text_is_ordered_by_its_bytes(Subject { store, .. }: Subject) {
    let tags = ["1.0", "10", "A", "B-1", "Z", "_a", "a", "a-b", "a.b", "ab", "b"];
    let repositories = ["a", "a-b", "a.b", "a/b", "a0", "a_b", "aa", "b-c/d", "b/c"];
    let mut accesses: Vec<_> = tags.iter().map(|tag| pull(&format!("a:{tag}"), "2026-11-20T10:00:00Z")).collect();
    accesses.extend(repositories[1..].iter().map(|name| pull(&format!("{name}:A"), "2026-11-20T10:00:00Z")));
    accesses.reverse();
    record(&*store, &accesses).await;

    let of_a = Filter { repository: "a".parse().ok(), ..ever() };
    let items = store.images(&of_a, &Page::first(100)).await.expect("answers").items;
    let listed: Vec<_> = items.iter().map(|item| item.tag.as_ref().expect("a tag").as_str()).collect();
    assert_eq!(listed, tags);
    let items = store.tags(&of_a, &Page::first(100)).await.expect("answers").items;
    let listed: Vec<_> = items.iter().map(|item| item.tag.as_ref().expect("a tag").as_str()).collect();
    assert_eq!(listed, tags);
    let items = store.pulls(&of_a, Some(PullGroup::Tag), &Page::first(100)).await.expect("answers").items;
    let listed: Vec<_> = items.iter().map(|item| item.group.as_deref().expect("a tag")).collect();
    assert_eq!(listed, tags);

    let of_tag = Filter { tag: "A".parse().ok(), ..ever() };
    let items = store.repositories(&of_tag, &Page::first(100)).await.expect("answers").items;
    let listed: Vec<_> = items.iter().map(|item| item.repository.as_str()).collect();
    assert_eq!(listed, repositories);
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
            pulls_by_tag: totals(1),
            pulls_by_digest: totals(10),
            version_checks: totals(100),
            pushes: totals(1000),
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
