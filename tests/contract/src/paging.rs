//! Lists read in pages.
#![expect(missing_docs, reason = "a rule's name says what must hold")]

use std::fmt::Debug;

use staticreg_domain::metrics::{
    AccessKind, Breakdown, DateRange, Dimension, Filter, GroupKey, Listed, Measures, MetricsReader, Order, Page,
    Position, Slice,
};

use crate::{
    Subject,
    events::{Access, date, pull, record},
    lists,
    questions::ORDERS,
};

/// Counts with many equal values, so that pages end between items that only their names tell apart.
fn many_pulls(kind: AccessKind) -> Vec<Access> {
    let tags = ["V", "v", "_", "1."].into_iter().cycle();
    let architectures = ["amd64", "arm64", "not-specified"].into_iter().cycle();
    let counts = [1, 2].into_iter().cycle();
    (0..40_u64)
        .zip(tags.zip(architectures.zip(counts)))
        .map(|(number, (tag, (architecture, count)))| {
            let repository = format!("team-{}/app", number % 5);
            let has_tag = kind == AccessKind::PullByTag || number % 9 > 0;
            let image = if has_tag { format!("{repository}:{tag}{}", number % 6) } else { repository };
            let at = format!("2026-11-{:02}T10:00:{:02}Z", 10 + number % 7, number % 3);
            pull(&image, &at).of_kind(kind).of_digest(number % 8).on(architecture).times(count)
        })
        .collect()
}

/// Reads a list in pages of every small size and compares with the list as a whole.
async fn pages_make_the_list<T>(name: &str, ask: impl AsyncFn(Page<T>) -> Slice<T>)
where
    T: Listed + Debug + PartialEq,
{
    let whole = ask(Page::first(10_000)).await;
    assert!(!whole.more, "{name}");
    assert!(whole.items.len() > 2, "{name}: too few items to page through");
    let total = u32::try_from(whole.items.len()).expect("a short list");
    for limit in [1, 2, 3, 7, total - 1, total, total + 1] {
        let mut read = Vec::new();
        let mut after = None;
        loop {
            let slice = ask(Page { limit, after: after.clone() }).await;
            assert!(slice.items.len() <= limit as usize, "{name}: more than the limit");
            let Some(last) = slice.items.last() else {
                panic!("{name}: an empty page after {} items, limit {limit}", read.len());
            };
            after = Some(last.position());
            let is_full = slice.items.len() == limit as usize;
            read.extend(slice.items);
            if !slice.more {
                break;
            }
            assert!(is_full, "{name}: a page that is not full, and more follow");
        }
        assert_eq!(read, whole.items, "{name}, limit {limit}");
        let beyond = ask(Page { limit, after }).await;
        assert!(beyond.items.is_empty() && !beyond.more, "{name}: nothing follows the last");
    }
}

pub async fn no_page_loses_or_doubles_an_item(Subject { store, .. }: Subject) {
    for kind in [AccessKind::PullByTag, AccessKind::PullByDigest] {
        record(&*store, &many_pulls(kind)).await;
        let filter = Filter { kind: kind.into(), ..Filter::of_dates(DateRange::EVER) };
        every_list_pages(&*store, &filter).await;
        every_list_pages(&*store, &Filter { architecture: "arm64".parse().into_iter().collect(), ..filter.clone() })
            .await;
    }
    let kind = [AccessKind::PullByTag, AccessKind::PullByDigest].into_iter().collect();
    every_list_pages(&*store, &Filter { kind, ..Filter::of_dates(DateRange::EVER) }).await;
}

async fn every_list_pages(store: &dyn MetricsReader, filter: &Filter) {
    let by_kind: lists::List = (&[Dimension::Kind, Dimension::Repository], Measures::COUNT, Order::Key);
    let by_day: lists::List = (&[Dimension::Date, Dimension::Tag], Measures::LAST, Order::MostFirst);
    let in_every_order = ORDERS.into_iter().flat_map(|order| {
        let measures = Measures { distinct: Some(Dimension::Repository), ..Measures::LAST };
        [(lists::IMAGES.0, Measures::LAST, order), (&[Dimension::Date, Dimension::Folder], measures, order)]
    });
    for list in lists::ALL.into_iter().chain([by_kind, by_day]).chain(in_every_order) {
        if list == lists::ARCHITECTURES && filter.architecture.single().is_some() {
            continue;
        }
        pages_make_the_list(&format!("{list:?}"), async |page| {
            lists::page(store, &Breakdown { page, ..lists::breakdown(list, filter, 1) }).await
        })
        .await;
    }
    let dates = DateRange::new(date("2026-11-13"), date("2026-11-20")).expect("a range");
    let filter_of_dates = Filter { dates, ..filter.clone() };
    let measures = Measures { previous_from: Some(date("2026-11-11")), ..Measures::LAST };
    for order in ORDERS.into_iter().chain([Order::MostGrownFirst, Order::LeastGrownFirst]) {
        let list = lists::breakdown((lists::IMAGES.0, measures, order), &filter_of_dates, 1);
        pages_make_the_list(&format!("{list:?}"), async |page| {
            lists::page(store, &Breakdown { page, ..list.clone() }).await
        })
        .await;
    }
    pages_make_the_list("rows", async |page| store.rows(filter, &page).await.expect("answers")).await;
}

pub async fn a_place_between_items_is_a_place_too(Subject { store, .. }: Subject) {
    record(
        &*store,
        &[
            pull("a:v1", "2026-11-20T10:00:00Z").times(9),
            pull("c:v1", "2026-11-20T10:00:00Z").times(5),
            pull("d:v1", "2026-11-20T10:00:00Z"),
        ],
    )
    .await;
    let filter = Filter::of_dates(DateRange::EVER);
    // The item the page ended with has changed since.
    for (pulls, name, expected) in [
        (u64::MAX, "z", &["a", "c", "d"][..]),
        (9, "0", &["a", "c", "d"]),
        (7, "a", &["c", "d"]),
        (5, "b", &["c", "d"]),
        (5, "cc", &["d"]),
        (0, "a", &[]),
    ] {
        let key = GroupKey { repository: Some(name.parse().expect(name)), ..GroupKey::default() };
        let mut breakdown = lists::breakdown(lists::REPOSITORIES, &filter, 10);
        breakdown.page.after = Some(Position { count: pulls, key, ..Position::default() });
        let slice = lists::page(&*store, &breakdown).await;
        let names: Vec<_> = slice.items.iter().map(|row| row.key.borrowed().text(Dimension::Repository)).collect();
        assert_eq!(names, expected, "after {pulls} {name}");
    }
}
