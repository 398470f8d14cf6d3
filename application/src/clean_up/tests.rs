//! What may go, and what keeps the rest.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use staticreg_domain::{
    Digest, ManifestKind,
    catalog::Artifact,
    metrics::{AccessKind, Folded},
    running::{MockRunningImages, Running, RunningImage},
};

use super::*;
use crate::{
    browse::testing::CountingStore,
    catalog::{Blob, ImageSummary, ReadFault, ReadStatus, RepositoryEntry, TagEntry, TagTarget},
};

const OLD: &str = "2020-01-01T00:00:00Z";

fn hex(seed: char) -> String {
    seed.to_string().repeat(64)
}

fn digest(seed: char) -> Digest {
    format!("sha256:{}", hex(seed)).parse().unwrap()
}

/// An image of 10 bytes of its own, and 1,000 of a layer that all have; or an index of some.
fn image(seed: char, created: &str, children: &[char]) -> TagTarget {
    TagTarget::Image(Arc::new(ImageSummary {
        digest: digest(seed),
        kind: if children.is_empty() { ManifestKind::Image } else { ManifestKind::Index },
        artifact: Artifact::Image,
        platforms: [].into(),
        children: children.iter().copied().map(digest).collect(),
        size: 1_010,
        created: created.parse().ok(),
        blobs: [Blob { id: u64::from(seed), size: 10 }, Blob { id: 0, size: 1_000 }].into(),
    }))
}

fn repository(name: &str, tags: Vec<(&str, TagTarget)>) -> RepositoryEntry {
    let mut tags: Vec<TagEntry> =
        tags.into_iter().map(|(tag, target)| TagEntry { tag: tag.parse().unwrap(), target }).collect();
    tags.sort_by(|a, b| a.tag.cmp(&b.tag));
    let read_at = OLD.parse().ok();
    RepositoryEntry { tags: tags.into(), read_at, ..RepositoryEntry::unread(name.parse().unwrap()) }
}

/// `app` with tags that point to images made long ago.
fn app(tags: &[(&str, char)]) -> RepositoryEntry {
    repository("app", tags.iter().map(|(tag, seed)| (*tag, image(*seed, OLD, &[]))).collect())
}

/// All of this was watched for a year, but nothing of it used.
async fn counted() -> CountingStore {
    let counted = CountingStore::new();
    counted.pulls("2025-11-21", "elsewhere:1", 1).await;
    counted
}

fn running(images: &[&str]) -> Running {
    let images: BTreeSet<_> = images.iter().flat_map(|image| RunningImage::of_reference(image).unwrap()).collect();
    Running { source: "cluster-a".parse().unwrap(), heard_at: "2026-11-21T11:00:00Z".parse().unwrap(), images }
}

async fn asked(
    counted: &CountingStore,
    repositories: Vec<RepositoryEntry>,
    runs: Vec<Running>,
    question: CleanupQuestion,
) -> Arc<Cleanup> {
    let repositories = repositories.into_iter().map(Arc::new).collect();
    let snapshot = CatalogSnapshot::new(1, repositories, ReadStatus::default());
    let mut kept = MockRunningImages::new();
    kept.expect_all().returning(move || Ok(runs.clone()));
    let clean_up = CleanUp::new(counted.ask.clone(), Some(CatalogSnapshots::fixed(snapshot)), Arc::new(kept));
    clean_up.list(question, Duration::from_mins(2)).await.unwrap()
}

/// Unused for 30 days; however new an image is, it may go.
fn question() -> CleanupQuestion {
    CleanupQuestion { unused_days: 30, keep_latest: 0, ..CleanupQuestion::default() }
}

fn all_kept() -> CleanupQuestion {
    CleanupQuestion { listed: Listed::Kept, ..question() }
}

async fn candidates(counted: &CountingStore, repository: RepositoryEntry) -> Vec<String> {
    names(&*asked(counted, vec![repository], Vec::new(), question()).await)
}

fn names(cleanup: &Cleanup) -> Vec<String> {
    cleanup.items.iter().map(|item| item.tag.to_string()).collect()
}

/// What keeps each tag that stays, by tag.
fn keepers(cleanup: &Cleanup) -> Vec<(&str, &Keeper)> {
    let keeper = |item: &'_ CleanupItem| match &item.verdict {
        Verdict::Kept(_) => {}
        other => panic!("{} {other:?}", item.tag),
    };
    cleanup.items.iter().for_each(keeper);
    let mut keepers: Vec<_> = cleanup
        .items
        .iter()
        .filter_map(|item| match &item.verdict {
            Verdict::Kept(keeper) => Some((item.tag.as_str(), keeper)),
            _ => None,
        })
        .collect();
    keepers.sort_by_key(|(tag, _)| *tag);
    keepers
}

#[tokio::test]
async fn never_pulled_comes_first_then_the_longest_ago() {
    let counted = counted().await;
    counted.pulls("2026-08-01", "app:old", 3).await;
    counted.pulls("2026-05-01", "app:older", 1).await;
    counted.count(AccessKind::Push, "2026-04-01", "app:older", &hex('b'), 1).await;
    let app = app(&[("old", '1'), ("older", '2'), ("never", '3')]);
    let cleanup = asked(&counted, vec![app], Vec::new(), question()).await;
    assert_eq!(names(&cleanup), ["never", "older", "old"]);
    let verdicts: Vec<_> = cleanup.items.iter().map(|item| item.verdict.clone()).collect();
    assert_eq!(verdicts, [Verdict::NeverPulled, Verdict::NotPulledSince, Verdict::NotPulledSince]);
    let item = &cleanup.items[1];
    assert_eq!(item.last_pulled_at, Some("2026-05-01T10:00:00Z".parse().unwrap()));
    // From the push on: before, the tag was another image's.
    assert_eq!(item.watched_since, Some("2026-04-01".parse().unwrap()));
    assert_eq!((cleanup.candidates, cleanup.kept), (3, 0));
}

#[tokio::test]
async fn whatever_was_used_in_the_days_stays() {
    let counted = counted().await;
    counted.pulls("2026-10-23", "app:pulled", 2).await;
    counted.pulls("2026-10-22", "app:before", 1).await;
    counted.count(AccessKind::Push, "2026-11-18", "app:pushed", &hex('c'), 1).await;
    counted.count(AccessKind::VersionCheck, "2026-11-18", "app:checked", &hex('d'), 4).await;
    counted.count(AccessKind::PullByDigest, "2026-11-19", "app", &hex('e'), 1).await;
    counted.count(AccessKind::PullByDigest, "2026-11-19", "app", &hex('2'), 1).await;
    counted.count(AccessKind::PullByTag, "2026-11-19", "app:moved", &hex('f'), 1).await;
    let mut tags: Vec<_> = [
        ("pulled", '1'),
        ("before", 'b'),
        ("pushed", 'c'),
        ("checked", 'd'),
        ("by-digest", 'e'),
        ("by-another-tag", 'f'),
    ]
    .map(|(tag, seed)| (tag, image(seed, OLD, &[])))
    .into();
    tags.push(("made", image('0', "2026-11-17T00:00:00Z", &[])));
    tags.push(("child-by-digest", image('3', OLD, &['2'])));
    let app = repository("app", tags);
    assert_eq!(names(&*asked(&counted, vec![app.clone()], Vec::new(), question()).await), ["before"]);
    let at = |time: &str| time.parse().unwrap();
    let kept = asked(&counted, vec![app], Vec::new(), all_kept()).await;
    assert_eq!(
        keepers(&kept),
        [
            ("by-another-tag", &Keeper::PulledByAnotherTag(digest('f'))),
            ("by-digest", &Keeper::PulledByDigest(digest('e'))),
            ("checked", &Keeper::VersionChecks(4)),
            ("child-by-digest", &Keeper::PulledByDigest(digest('2'))),
            ("made", &Keeper::Made(at("2026-11-17T00:00:00Z"))),
            ("pulled", &Keeper::Pulled(at("2026-10-23T10:00:00Z"))),
            ("pushed", &Keeper::Pushed(at("2026-11-18T10:00:00Z"))),
        ]
    );
    let pulled = kept.items.iter().find(|item| item.tag.as_str() == "pulled").unwrap();
    assert_eq!(pulled.pulls, 2);
    assert_eq!((kept.candidates, kept.kept), (1, 7));
}

#[tokio::test]
async fn who_needs_a_tag_needs_all_that_it_points_to() {
    let counted = counted().await;
    counted.pulls("2026-11-20", "app:1.2", 1).await;
    let app = repository(
        "app",
        vec![
            ("1.2", image('1', OLD, &['7', 'b'])),
            ("1.2.0", image('1', OLD, &['7', 'b'])),
            ("1.2-amd64", image('7', OLD, &[])),
            ("1.1", image('2', OLD, &['c'])),
            ("1.1-amd64", image('c', OLD, &[])),
        ],
    );
    assert_eq!(candidates(&counted, app.clone()).await, ["1.1", "1.1-amd64"]);
    let kept = asked(&counted, vec![app], Vec::new(), all_kept()).await;
    let holder = || "1.2".parse().unwrap();
    assert_eq!(keepers(&kept)[1..], [("1.2-amd64", &Keeper::Index(holder())), ("1.2.0", &Keeper::SameImage(holder()))]);
}

#[tokio::test]
async fn what_is_signed_stays() {
    let counted = counted().await;
    let [signature, of_child] = [format!("sha256-{}.sig", hex('a')), format!("sha256-{}", hex('c'))];
    let tags = vec![
        ("signed", image('a', OLD, &[])),
        ("signed-child", image('b', OLD, &['c'])),
        ("unsigned", image('d', OLD, &[])),
    ];
    let attachments = [&of_child, &signature].map(|tag| tag.parse().unwrap()).into();
    let app = RepositoryEntry { attachments, ..repository("app", tags) };
    assert_eq!(candidates(&counted, app.clone()).await, ["unsigned"]);
    let attested = format!("sha256-{}.att", hex('d'));
    let attachments = [&of_child, &signature, &attested].map(|tag| tag.parse().unwrap()).into();
    assert_eq!(candidates(&counted, RepositoryEntry { attachments, ..app.clone() }).await, [""; 0]);
    let kept = asked(&counted, vec![app], Vec::new(), all_kept()).await;
    let tag = |tag: &str| Keeper::Signed(tag.parse().unwrap());
    assert_eq!(keepers(&kept), [("signed", &tag(&signature)), ("signed-child", &tag(&of_child))]);
}

#[tokio::test]
async fn what_runs_stays_by_whatever_it_is_called() {
    let counted = counted().await;
    let app = repository(
        "app",
        vec![
            ("by-tag", image('a', OLD, &[])),
            ("by-digest", image('b', OLD, &[])),
            ("by-platform", image('c', OLD, &['d'])),
            ("by-configuration", {
                let TagTarget::Image(image) = image('e', OLD, &[]) else { unreachable!() };
                let blobs = [Blob::new(&digest('f'), 5)].into();
                TagTarget::Image(Arc::new(ImageSummary { blobs, ..(*image).clone() }))
            }),
            ("idle", image('0', OLD, &[])),
        ],
    );
    let runs = vec![running(&[
        "registry.example:5000/app:by-tag",
        "registry.example:5000/other:idle",
        &format!("registry.example:5000/app@sha256:{}", hex('b')),
        &format!("docker-pullable://mirror.example/app@sha256:{}", hex('d')),
        &format!("docker://sha256:{}", hex('f')),
    ])];
    let cleanup = asked(&counted, vec![app.clone()], runs.clone(), question()).await;
    assert_eq!(names(&cleanup), ["idle"]);
    assert_eq!(cleanup.heard_at(), Some("2026-11-21T11:00:00Z".parse().unwrap()));
    let runs = asked(&counted, vec![app], runs, all_kept()).await;
    let source = Keeper::Running("cluster-a".parse().unwrap());
    assert_eq!(keepers(&runs).iter().filter(|(_, keeper)| **keeper == source).count(), 4);
}

#[tokio::test]
async fn a_source_is_silent_after_a_day() {
    let counted = counted().await;
    let cleanup = asked(&counted, vec![], vec![running(&[])], question()).await;
    let silent = |now: &str| cleanup.silent_sources(now.parse().unwrap()).count();
    assert_eq!((silent("2026-11-22T11:00:00Z"), silent("2026-11-22T11:00:01Z")), (0, 1));
    assert_eq!(asked(&counted, vec![], Vec::new(), question()).await.heard_at(), None);
}

#[tokio::test]
async fn the_newest_images_and_chosen_tags_stay() {
    let counted = counted().await;
    counted.count(AccessKind::Push, "2026-06-01", "app:1.0", &hex('1'), 1).await;
    let app = repository(
        "app",
        vec![
            ("1.0", image('1', OLD, &[])),
            ("1.9", image('2', "2026-02-01T00:00:00Z", &[])),
            ("stable", image('2', "2026-02-01T00:00:00Z", &[])),
            ("1.8", image('3', "2026-01-01T00:00:00Z", &[])),
            ("1.7", image('4', "2025-12-01T00:00:00Z", &[])),
            ("chart-9", image('5', "", &[])),
            ("chart-10", image('6', "", &[])),
        ],
    );
    let keeping = |keep_latest, pattern: &str| {
        let keep_tags = Some(TagPattern::parse(pattern).unwrap());
        asked(&counted, vec![app.clone()], Vec::new(), CleanupQuestion { keep_latest, keep_tags, ..question() })
    };
    assert_eq!(names(&*keeping(2, "^1\\.7$").await), ["1.8", "chart-10", "chart-9"]);
    assert_eq!(names(&*keeping(5, "nothing").await), ["chart-9"]);
    assert_eq!(names(&*keeping(0, "1.[089]|STABLE").await), ["1.7", "chart-10", "chart-9"]);
}

#[test]
fn a_pattern_is_of_bounded_size() {
    for pattern in ["(", "a{1000}{1000}", &"a".repeat(257), "\\p{L}"] {
        assert_eq!(TagPattern::parse(pattern).err(), Some(InvalidTagPattern), "{pattern}");
    }
    assert_eq!(TagPattern::parse(r"^v\d+\.").unwrap().as_str(), r"^v\d+\.");
}

#[tokio::test]
async fn what_was_not_watched_long_enough_stays() {
    let counted = CountingStore::new();
    let app = app(&[("1", '7')]);
    assert_eq!(candidates(&counted, app.clone()).await, [""; 0]);
    counted.pulls("2026-10-24", "elsewhere:1", 1).await;
    assert_eq!(candidates(&counted, app.clone()).await, [""; 0]);
    let kept = asked(&counted, vec![app.clone()], Vec::new(), all_kept()).await;
    assert_eq!(keepers(&kept), [("1", &Keeper::NotWatched)]);
    assert_eq!(kept.watched_since, Some("2026-10-24".parse().unwrap()));
    counted.pulls("2026-10-23", "elsewhere:1", 1).await;
    assert_eq!(candidates(&counted, app).await, ["1"]);
}

#[tokio::test]
async fn in_doubt_a_tag_stays() {
    let counted = counted().await;
    let (lost, unread) = (TagTarget::Unknown, TagTarget::Unread(digest('b')));
    assert_eq!(candidates(&counted, repository("app", vec![("lost", lost), ("unread", unread)])).await, [""; 0]);
    let known = app(&[("1", 'a')]);
    let fault = Some(ReadFault { text: "away".into(), at: OLD.parse().unwrap() });
    for unknown in [
        RepositoryEntry { truncated: true, ..known.clone() },
        RepositoryEntry { read_at: None, ..known.clone() },
        RepositoryEntry { fault, ..known.clone() },
    ] {
        let cleanup = asked(&counted, vec![unknown], Vec::new(), question()).await;
        assert_eq!((names(&cleanup), cleanup.unread_repositories), (Vec::new(), 1));
    }
    assert_eq!(candidates(&counted, known).await, ["1"]);
}

#[tokio::test]
async fn only_what_nothing_else_holds_becomes_free() {
    let counted = counted().await;
    counted.pulls("2026-11-20", "app:new", 1).await;
    let freed = async |repository| {
        let cleanup = asked(&counted, vec![repository], Vec::new(), question()).await;
        (cleanup.items.iter().map(|item| item.freed.bytes).collect::<Vec<_>>(), cleanup.freed)
    };
    // The layer that all have stays with what was pulled.
    let exact = |bytes| Freed { bytes, is_exact: true };
    let tags = [("new", '1'), ("a", '7'), ("a-again", '7'), ("b", 'b')];
    assert_eq!(freed(app(&tags)).await, (vec![10, 10, 10], exact(20)));
    assert_eq!(freed(app(&tags[1..])).await, (vec![1_010, 1_010, 1_010], exact(1_020)));
    // Of an index not all is known.
    let index = repository("app", vec![("new", image('1', OLD, &['2'])), ("a", image('7', OLD, &[]))]);
    assert_eq!(freed(index).await, (vec![10], Freed { bytes: 10, is_exact: false }));
}

#[tokio::test]
async fn a_folder_is_looked_at_alone_and_pages_follow_each_other() {
    let counted = counted().await;
    let repositories = ["team/a", "team/b", "team-b/a", "team"]
        .map(|name| repository(name, vec![("1", image('a', OLD, &[])), ("2", image('b', OLD, &[]))]));
    let question = CleanupQuestion { folder: Some("team".parse().expect("a folder")), ..question() };
    let cleanup = asked(&counted, repositories.into(), Vec::new(), question).await;
    let mut after = None;
    let mut all = Vec::new();
    loop {
        let (page, more) = cleanup.page(after.as_ref(), 3);
        all.extend(page.iter().map(|item| format!("{}:{}", item.repository, item.tag)));
        after = page.last().map(CleanupItem::place);
        if !more {
            break;
        }
    }
    assert_eq!(all, ["team/a:1", "team/a:2", "team/b:1", "team/b:2"]);
}

#[tokio::test]
async fn without_a_registry_nothing_may_go() {
    let counted = counted().await;
    let mut kept = MockRunningImages::new();
    kept.expect_all().returning(|| Ok(Vec::new()));
    let asking = CleanUp::new(counted.ask.clone(), None, Arc::new(kept));
    let cleanup = asking.list(question(), Duration::from_mins(2)).await.unwrap();
    assert_eq!((cleanup.has_registry, cleanup.items.len()), (false, 0));
}

#[tokio::test]
async fn with_the_store_of_what_runs_away_there_is_no_list() {
    let counted = counted().await;
    let mut kept = MockRunningImages::new();
    kept.expect_all().returning(|| Err(MetricsError::Unavailable("away".into())));
    let asking = CleanUp::new(counted.ask.clone(), None, Arc::new(kept));
    let answer = asking.list(question(), Duration::from_mins(2)).await;
    assert_eq!(answer.err(), Some(NotYet::StoreAway));
}

#[tokio::test]
async fn months_that_are_kept_are_not_known_to_have_been_watched_whole_nor_by_digest() {
    let counted = counted().await;
    let (app, year) = (app(&[("1", '7')]), CleanupQuestion { unused_days: 365, ..question() });
    counted.pulls("2025-11-03", "elsewhere:1", 1).await;
    let days_before = "2026-09-01".parse().unwrap();
    for (folded, expected) in [
        (Folded { days_before, ..Folded::NOTHING }, "2025-11-30"),
        (Folded { days_before, digests_before: days_before }, "2026-09-01"),
    ] {
        counted.keep_by_month(folded).await;
        let cleanup = asked(&counted, vec![app.clone()], Vec::new(), year.clone()).await;
        assert_eq!(cleanup.watched_since, expected.parse().ok());
        assert_eq!(cleanup.candidates, 0);
    }
    assert_eq!(candidates(&counted, app).await, ["1"]);
}
