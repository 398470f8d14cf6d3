//! What a filter lets pass.
#![expect(missing_docs, reason = "a rule's name says what must hold")]

use staticreg_domain::metrics::{AccessKind, AnyOf, Filter, MetricsReader, MetricsRow, Page};

use crate::{
    Subject,
    events::{date, digest, pull, record},
    lists::{self, lines},
    questions::{ever, range, some_pulls},
};

/// Filters of one value and of several, of each sort.
pub(crate) fn some_filters() -> Vec<Filter> {
    let several = |names: &[&str]| names.iter().flat_map(|name| name.parse()).collect();
    let kinds = [AccessKind::PullByTag, AccessKind::Push].into_iter().collect();
    vec![
        ever(),
        Filter { kind: AccessKind::VersionCheck.into(), tag: "latest".parse().into_iter().collect(), ..ever() },
        Filter { kind: kinds, repository: several(&["app", "b/c", "none"]), ..ever() },
        Filter {
            kind: AnyOf::EVERY,
            folder: "library".parse().ok(),
            tag: ["latest", "7"].iter().flat_map(|tag| tag.parse()).collect(),
            ..ever()
        },
        Filter { kind: AnyOf::EVERY, part: "App".parse().ok(), ..ever() },
    ]
}

/// Whether a row agrees with a filter, dates and kinds aside.
pub(crate) fn passes(filter: &Filter, row: &MetricsRow) -> bool {
    let Filter { dates: _, kind: _, folder, part, repository, tag, digest, architecture } = filter;
    part.as_ref().is_none_or(|part| row.repository.as_str().to_lowercase().contains(part.as_str()))
        && folder.as_ref().is_none_or(|folder| folder.holds(row.repository.as_str()))
        && repository.has(&row.repository)
        && (tag.is_every() || row.tag.as_ref().is_some_and(|name| tag.has(name)))
        && digest.has(&row.digest)
        && architecture.has(&row.architecture)
}

/// The counts of every question's answer together.
pub(crate) async fn counted(store: &dyn MetricsReader, filter: &Filter) -> Vec<u64> {
    let mut counted = Vec::new();
    for list in lists::ALL {
        counted.push(lists::sum(store, list, filter).await);
    }
    let slice = store.rows(filter, &Page::first(100)).await.expect("answers");
    counted.push(slice.items.iter().map(|item| item.count).sum());
    counted
}

pub(crate) fn each(count: u64) -> Vec<u64> {
    vec![count; lists::ALL.len() + 1]
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
    let nginx = || Filter { repository: "library/nginx".parse().into_iter().collect(), ..ever() };
    for (filter, count) in [
        (ever(), 41),
        (nginx(), 10),
        (Filter { repository: "library/ngin".parse().into_iter().collect(), ..ever() }, 0),
        (Filter { tag: "latest".parse().into_iter().collect(), ..ever() }, 10),
        (Filter { tag: "LATEST".parse().into_iter().collect(), ..ever() }, 0),
        (Filter { digest: digest(2).parse().into_iter().collect(), ..ever() }, 5),
        (Filter { architecture: "arm64".parse().into_iter().collect(), ..ever() }, 7),
        (Filter::of_dates(range("2026-11-18", "2026-11-19")), 16),
        (Filter::of_dates(range("2026-11-17", "2026-11-17")), 5),
        (Filter::of_dates(range("2026-11-21", "2026-12-31")), 0),
        (Filter { tag: "1.27".parse().into_iter().collect(), ..nginx() }, 6),
        (Filter { architecture: "arm64".parse().into_iter().collect(), ..nginx() }, 2),
        (
            Filter {
                digest: digest(2).parse().into_iter().collect(),
                tag: "1.27".parse().into_iter().collect(),
                ..nginx()
            },
            1,
        ),
        (Filter { dates: range("2026-11-20", "2026-11-20"), ..nginx() }, 5),
        (Filter { kind: AccessKind::VersionCheck.into(), ..ever() }, 100),
        (Filter { kind: AccessKind::VersionCheck.into(), tag: "latest".parse().into_iter().collect(), ..ever() }, 100),
        (
            Filter {
                kind: AccessKind::VersionCheck.into(),
                architecture: "arm64".parse().into_iter().collect(),
                ..ever()
            },
            0,
        ),
        (
            Filter { kind: AccessKind::PullByDigest.into(), repository: "app".parse().into_iter().collect(), ..ever() },
            200,
        ),
        (Filter { kind: AccessKind::PullByDigest.into(), tag: "latest".parse().into_iter().collect(), ..ever() }, 0),
        (Filter { kind: AccessKind::Push.into(), ..ever() }, 0),
    ] {
        assert_eq!(counted(&*store, &filter).await, each(count), "{filter:?}");
    }
}

pub async fn several_values_are_counted_together(Subject { store, .. }: Subject) {
    record(&*store, &some_pulls()).await;
    let by_digest = pull("app", "2026-11-20T12:00:00Z").of_kind(AccessKind::PullByDigest).of_digest(2).times(200);
    let check = pull("app:v1", "2026-11-20T12:00:00Z").of_kind(AccessKind::VersionCheck).times(100);
    record(&*store, &[by_digest, check]).await;
    let repositories = || ["library/nginx", "tools/app", "none"].iter().flat_map(|name| name.parse()).collect();
    let pulls = || [AccessKind::PullByDigest, AccessKind::PullByTag].into_iter().collect();
    let tags = || ["1.27", "7"].iter().flat_map(|tag| tag.parse()).collect();
    for (filter, count) in [
        (Filter { repository: repositories(), ..ever() }, 20),
        (Filter { tag: tags(), ..ever() }, 16),
        (Filter { repository: repositories(), tag: tags(), ..ever() }, 6),
        (Filter { digest: [2, 9].iter().flat_map(|number| digest(*number).parse()).collect(), ..ever() }, 5),
        (
            Filter {
                architecture: ["arm64", "not-specified"].iter().flat_map(|name| name.parse()).collect(),
                ..ever()
            },
            12,
        ),
        (Filter { tag: ["none", "0"].iter().flat_map(|tag| tag.parse()).collect(), ..ever() }, 0),
        (Filter { kind: pulls(), ..ever() }, 241),
        (Filter { kind: pulls(), tag: "v1".parse().into_iter().collect(), ..ever() }, 15),
        (Filter { kind: pulls(), digest: digest(2).parse().into_iter().collect(), ..ever() }, 205),
        (Filter { kind: pulls(), dates: range("2026-11-17", "2026-11-19"), ..ever() }, 21),
        (
            Filter {
                kind: AnyOf::EVERY,
                repository: ["app", "none"].iter().flat_map(|name| name.parse()).collect(),
                ..ever()
            },
            310,
        ),
        (Filter { kind: [AccessKind::Push, AccessKind::VersionCheck].into_iter().collect(), ..ever() }, 100),
    ] {
        assert_eq!(counted(&*store, &filter).await, each(count), "{filter:?}");
    }
    let listed = lines(&*store, lists::REPOSITORIES, &Filter { kind: pulls(), ..ever() }).await;
    assert_eq!(listed[0], "app 210 2 2026-11-20T12:00:00Z", "{listed:?}");
    let rows = store.rows(&Filter { kind: AnyOf::EVERY, ..ever() }, &Page::first(100)).await.expect("answers").items;
    let of_v1 = rows.iter().filter(|row| row.repository.as_str() == "app" && row.date == date("2026-11-20"));
    let kinds: Vec<_> = of_v1.map(|row| (row.kind, row.count)).collect();
    for row in [(AccessKind::PullByTag, 5), (AccessKind::PullByDigest, 200), (AccessKind::VersionCheck, 100)] {
        assert!(kinds.contains(&row), "{kinds:?}");
    }
}

pub async fn repositories_are_found_by_a_part_of_their_names(Subject { store, .. }: Subject) {
    let names = ["nginx", "library/nginx", "team-a/x.y", "team-a/x_y", "team-a/x-y", "team-a/x/y", "engine/x"];
    let accesses: Vec<_> = (0..)
        .zip(names)
        .map(|(power, name)| pull(&format!("{name}:v1"), "2026-11-20T10:00:00Z").times(10_i32.pow(power)))
        .collect();
    record(&*store, &accesses).await;
    let of_part = |part: &str| Filter { part: Some(part.parse().expect(part)), ..ever() };
    for (part, count) in [
        ("nginx", 11_u64),
        ("NGinx", 11),
        ("Y/N", 10),
        ("x_y", 1_000),
        ("x.y", 100),
        ("x/y", 100_000),
        ("team-a", 111_100),
        ("%", 0),
        ("_", 1_000),
        ("*", 0),
        ("\\", 0),
        ("'", 0),
        ("[", 0),
        ("library/nginx", 10),
        ("library/nginx/", 0),
        ("x", 1_111_111),
    ] {
        assert_eq!(counted(&*store, &of_part(part)).await, each(count), "{part}");
    }
    let both = Filter { folder: "team-a".parse().ok(), ..of_part("x-") };
    assert_eq!(counted(&*store, &both).await, each(10_000));
    let two = ["engine/x", "nginx"].iter().flat_map(|name| name.parse()).collect();
    assert_eq!(counted(&*store, &Filter { repository: two, ..of_part("GIN") }).await, each(1_000_001));
    assert_eq!(
        lines(&*store, lists::FOLDERS, &of_part("ngin")).await,
        [
            "engine/ 1000000 1 2026-11-20T10:00:00Z",
            "library/ 10 1 2026-11-20T10:00:00Z",
            "nginx 1 1 2026-11-20T10:00:00Z"
        ]
    );
}

pub async fn folders_hold_what_lies_below_their_path(Subject { store, .. }: Subject) {
    let images = [
        "nginx",
        "team-a",
        "team-a-b/x",
        "team-a/x",
        "team-a/x/y",
        "team-a/x/z",
        "team-a0/x",
        "team-a/w/y",
        "team-ab/x",
    ];
    let accesses: Vec<_> = (0..)
        .zip(images)
        .map(|(power, name)| pull(&format!("{name}:v1"), "2026-11-20T10:00:00Z").times(10_i32.pow(power)))
        .collect();
    record(&*store, &accesses).await;
    let of_folder = |path: &str| Filter { folder: Some(path.parse().expect(path)), ..ever() };
    for (path, count) in
        [("team-a", 10_111_000_u64), ("team-a/x", 110_000), ("team-ab", 100_000_000), ("team", 0), ("nginx", 0)]
    {
        assert_eq!(counted(&*store, &of_folder(path)).await, each(count), "{path}");
    }
    let last = "2026-11-20T10:00:00Z";
    let entries = |entries: &[(&str, u64, u32)]| -> Vec<String> {
        entries.iter().map(|(entry, count, repositories)| format!("{entry} {count} {repositories} {last}")).collect()
    };
    assert_eq!(
        lines(&*store, lists::FOLDERS, &ever()).await,
        entries(&[
            ("team-ab/", 100_000_000, 1),
            ("team-a/", 10_111_000, 4),
            ("team-a0/", 1_000_000, 1),
            ("team-a-b/", 100, 1),
            ("team-a", 10, 1),
            ("nginx", 1, 1),
        ])
    );
    assert_eq!(
        lines(&*store, lists::FOLDERS, &of_folder("team-a")).await,
        entries(&[("team-a/w/", 10_000_000, 1), ("team-a/x/", 110_000, 2), ("team-a/x", 1_000, 1)])
    );
    let one = Filter { repository: "team-a/x".parse().into_iter().collect(), ..of_folder("team-a") };
    assert_eq!(lines(&*store, lists::DAYS_BY_FOLDER, &one).await, ["2026-11-20 team-a/x 1000"]);
}
