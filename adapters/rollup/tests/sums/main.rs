//! Sums answer what the database answers, whoever changed the counts and whenever.

mod changes;
mod shelf;

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use staticreg_contract::{
    by_hand,
    events::{Access, date, now, pull, record},
    lists,
};
use staticreg_domain::metrics::{
    AccessKind, AnyOf, Breakdown, BreakdownRow, DateRange, Dimension, Filter, Listed, Measures, MetricsError,
    MetricsReader, MetricsRepository, Order,
};
use staticreg_rollup::{Options, Rollup};
use staticreg_sql::SqlMetrics;
use staticreg_test_support::{
    postgres::{Durability, Postgres},
    sample::FixedClock,
};
use tokio::time::sleep;

/// How long it may take until all days were read in the background. The first is mostly enough; but who looks takes the
/// counts away and so ends the reading, which is taken up again 10 seconds later. In seconds.
const READ_TIMES: [u64; 6] = [1, 15, 20, 40, 80, 160];

const DAYS: u32 = 60;

/// Longer than anything takes.
const LONG: Duration = Duration::from_mins(1);

/// However busy the machine is.
const LIMIT: Duration = Duration::from_mins(2);

/// All that is counted here is over.
fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock("2026-12-01T12:00:00Z".parse().expect("a time")))
}

/// The database itself.
async fn open_plain(url: &str) -> SqlMetrics {
    let options = staticreg_sql::Options {
        answer_timeout: LIMIT,
        question_timeout: LIMIT,
        ..staticreg_sql::Options::new(url.parse().expect("a URL"))
    };
    SqlMetrics::open(&options).await.expect("opens")
}

/// The database behind sums.
async fn open(url: &str, memory: usize) -> Rollup {
    Rollup::new(Arc::new(open_plain(url).await), clock(), Options { memory, question_timeout: LIMIT })
}

const ROOM: usize = 1 << 20;

/// Accesses of every kind on the sixty days until 2026-11-20, on each other ones.
fn accesses() -> Vec<Access> {
    let mut accesses = Vec::new();
    for ago in 0..DAYS {
        let day = date("2026-11-20") - chrono::Days::new(u64::from(ago));
        for number in 0..7 {
            let repository = ["app", "library/nginx", "a-b/c", "a/b"][((ago + number) % 4) as usize];
            let tag = [":v1", ":latest", ":v2", ""][((ago / 3 + number) % 4) as usize];
            let kind = AccessKind::ALL[(number % 4) as usize];
            let tag = if kind == AccessKind::PullByTag && tag.is_empty() { ":v1" } else { tag };
            let access = pull(&format!("{repository}{tag}"), &format!("{day}T{:02}:00:00Z", number + ago % 9))
                .on(["amd64", "arm64", "not-specified"][((ago + number / 2) % 3) as usize])
                .of_digest(u64::from((ago + number) % 5));
            accesses.push(access.of_kind(kind).times(1 + i32::try_from((ago * number) % 11).expect("small")));
        }
    }
    accesses
}

/// Every answer, page by page, as text.
async fn answers(store: &impl MetricsReader) -> Vec<String> {
    let mut answers = vec![format!("{:?}", store.summary(date("2026-11-20")).await.expect("answers"))];
    let range = |from: &str, to: &str| DateRange::new(date(from), date(to)).expect("a range");
    let ranges = [DateRange::EVER, range("2026-10-22", "2026-11-20"), range("2026-10-03", "2026-10-03")];
    for filter in ranges.into_iter().flat_map(filters) {
        answers.push(format!("{filter:?}"));
        for list in lists::ALL {
            answers.push(pages(store, lists::breakdown(list, &filter, 40)).await);
        }
        for by in [&[Dimension::Kind][..], &[Dimension::Date, Dimension::Kind], &[Dimension::Kind, Dimension::Tag]] {
            let list = (by, Measures { distinct: Some(Dimension::Repository), ..Measures::LAST }, Order::Key);
            answers.push(pages(store, lists::breakdown(list, &filter, 40)).await);
        }
        let measures = Measures { previous_from: Some(filter.dates.previous().from()), ..Measures::LAST };
        for (by, order) in [(lists::FOLDERS.0, Order::MostGrownFirst), (&[Dimension::Kind], Order::MostFirst)] {
            answers.push(pages(store, lists::breakdown((by, measures, order), &filter, 40)).await);
        }
    }
    answers
}

/// Filters of some dates: by each kind and by names, one and several.
fn filters(dates: DateRange) -> Vec<Filter> {
    let of_kind = |kind: AccessKind| Filter { kind: kind.into(), ..Filter::of_dates(dates) };
    let mut filters: Vec<_> = AccessKind::ALL.map(of_kind).into();
    for (tag, architecture) in [("latest", ""), ("", "arm64"), ("v1", "amd64"), ("none", "")] {
        filters.push(Filter {
            tag: tag.parse().into_iter().collect(),
            architecture: architecture.split_terminator(' ').flat_map(str::parse).collect(),
            ..Filter::of_dates(dates)
        });
    }
    filters.extend(several(dates));
    filters
}

/// Filters of several names and kinds, and of a folder.
fn several(dates: DateRange) -> [Filter; 2] {
    [
        Filter {
            kind: [AccessKind::PullByTag, AccessKind::Push].into_iter().collect(),
            repository: ["app", "a/b", "none"].iter().flat_map(|name| name.parse()).collect(),
            tag: ["v1", "v2"].iter().flat_map(|tag| tag.parse()).collect(),
            ..Filter::of_dates(dates)
        },
        Filter {
            kind: AnyOf::EVERY,
            folder: "library".parse().ok(),
            part: "IN".parse().ok(),
            ..Filter::of_dates(dates)
        },
    ]
}

async fn pages(store: &impl MetricsReader, mut question: Breakdown) -> String {
    let mut text = String::new();
    loop {
        let slice = lists::page(store, &question).await;
        writeln!(text, "{slice:?}").expect("writes");
        question.page.after = slice.items.last().map(Listed::position);
        if !slice.more {
            return text;
        }
    }
}

/// Changes as people make them with `psql` or `sqlite3`.
const BY_HAND: &[&str] = &[
    "UPDATE container_pull_metrics SET pull_count = pull_count + 5 WHERE pull_date = '2026-10-03'",
    "UPDATE container_pull_metrics SET pull_count = 0 WHERE pull_date = '2026-11-20'",
    "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture) \
     VALUES ('2020-02-29', 'old', 'v0', 'sha256:0000000000000000000000000000000000000000000000000000000000000001', 's390x')",
    "DELETE FROM container_pull_metrics WHERE pull_date = '2026-10-22'",
    "UPDATE container_pull_metrics SET pull_date = '2021-01-01' WHERE pull_date = '2026-11-01'",
    "UPDATE container_access_metrics SET event_count = event_count * 2 WHERE kind = 'version_check'",
    "UPDATE container_access_metrics SET kind = 'push', event_date = '2021-01-01' WHERE event_date = '2026-11-02'",
    "DELETE FROM container_access_metrics WHERE event_date > '2026-11-18'",
    "DELETE FROM container_pull_metrics",
];

/// Asks two servers that keep sums and one that does not, before and after each change.
async fn sums_follow_every_change(url: &str, change: impl AsyncFn(&'static str), last: &[&'static str]) {
    let stores = [open(url, ROOM).await, open(url, 2000).await];
    let plain = open_plain(url).await;
    record(&stores[1], &accesses()).await;
    let agree = async |after: &str| {
        let expected = answers(&plain).await;
        for store in &stores {
            let answered = answers(store).await;
            for (answered, expected) in answered.iter().zip(&expected) {
                assert_eq!(answered, expected, "after {after}");
            }
        }
        expected
    };
    let mut before = agree("the start").await;
    let mut batch =
        vec![pull("new:v1", "2026-11-20T23:59:59Z").event(), pull("app:v1", "2026-10-30T10:00:00Z").event()];
    for more in ["2026-10-29T10:00:00Z", "2026-10-28T10:00:00Z"] {
        // At first every event is new, then some are known.
        stores[0].record(&batch, now()).await.expect("records");
        let after = agree("a batch").await;
        assert_ne!(before, after);
        before = after;
        batch.push(pull("app:v1", more).event());
    }
    for step in BY_HAND.iter().chain(last) {
        change(step).await;
        let after = agree(step).await;
        assert_ne!(before, after, "{step} changes nothing");
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_sums_follow_every_change() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let change = async |sql: &str| drop(cluster.psql(&url, sql));
    sums_follow_every_change(&url, change, &["TRUNCATE container_access_metrics"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_sums_follow_every_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("counts.db").display());
    let change = async |sql: &'static str| {
        let mut connection = SqliteConnection::connect(&url).await.expect("connects");
        connection.execute(AssertSqlSafe(sql)).await.expect(sql);
    };
    sums_follow_every_change(&url, change, &["DELETE FROM container_access_metrics"]).await;
}

/// Runs a call while nobody can read the counts themselves.
async fn without_counts<T>(cluster: &Postgres, url: &str, call: impl AsyncFnOnce() -> T) -> T {
    cluster.psql(url, "ALTER TABLE container_pull_metrics RENAME pull_count TO away");
    let answer = call().await;
    cluster.psql(url, "ALTER TABLE container_pull_metrics RENAME away TO pull_count");
    answer
}

/// The sum of the pulls of so many days, when sums alone can tell it.
async fn kept(cluster: &Postgres, url: &str, store: &Rollup, days: u32) -> Option<u64> {
    let filter = Filter::of_dates(DateRange::days_until(date("2026-11-20"), days));
    let ask = async || store.breakdown(&lists::breakdown(lists::REPOSITORIES, &filter, 100)).await.ok();
    let slice = without_counts(cluster, url, ask).await?;
    Some(slice.items.iter().map(|row| row.count).sum())
}

/// The same, once nobody reads at the time: who asks while a busy machine reads long is answered by the database.
async fn kept_now(cluster: &Postgres, url: &str, store: &Rollup, days: u32) -> u64 {
    match kept(cluster, url, store, days).await {
        Some(pulls) => pulls,
        None => wait_until_kept(cluster, url, store, days).await,
    }
}

async fn wait_until_kept(cluster: &Postgres, url: &str, store: &Rollup, days: u32) -> u64 {
    for time in READ_TIMES {
        sleep(Duration::from_secs(time)).await;
        if let Some(pulls) = kept(cluster, url, store, days).await {
            return pulls;
        }
    }
    panic!("{days} days were not read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_days_are_read_in_the_background_and_a_day_that_changed_again() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    record(&open_plain(&url).await, &accesses()).await;
    let store = open(&url, ROOM).await;
    let pulls = wait_until_kept(cluster, &url, &store, DAYS).await;
    assert_eq!(pulls.to_string(), cluster.psql(&url, "SELECT sum(pull_count) FROM container_pull_metrics"));
    let summary = async || store.summary(date("2026-11-20")).await;
    while without_counts(cluster, &url, summary).await.is_err() {
        wait_until_kept(cluster, &url, &store, DAYS).await;
    }

    for filter in several(DateRange::EVER) {
        for list in [lists::DAYS_BY_FOLDER, lists::FOLDERS, lists::REPOSITORIES, lists::IMAGES] {
            let question = lists::breakdown(list, &filter, 100);
            let ask = async || store.breakdown(&question).await;
            let mut answer = without_counts(cluster, &url, ask).await;
            for time in READ_TIMES {
                if answer.is_ok() {
                    break;
                }
                sleep(Duration::from_secs(time)).await;
                answer = without_counts(cluster, &url, ask).await;
            }
            assert!(!answer.expect("the sums answer").items.is_empty(), "{question:?}");
        }
    }

    record(&store, &[pull("app:v1", "2026-11-01T10:00:00Z")]).await;
    assert_eq!(kept(cluster, &url, &store, DAYS).await, None, "what changed has to be read");
    let filter = Filter::of_dates(DateRange::EVER);
    assert!(!lists::rows(&store, lists::REPOSITORIES, &filter).await.is_empty());
    assert_eq!(kept_now(cluster, &url, &store, DAYS).await, pulls + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_as_many_days_are_kept_as_there_is_room_for_the_latest_first() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    record(&open_plain(&url).await, &accesses()).await;
    let store = open(&url, 4000).await;
    wait_until_kept(cluster, &url, &store, 2).await;
    assert_eq!(kept(cluster, &url, &store, DAYS).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_with_very_many_counts_is_left_to_the_database() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    record(&open_plain(&url).await, &accesses()).await;
    cluster.psql(
        &url,
        "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture) \
         SELECT '2026-11-01', 'large/app' || number, 'v1', 'sha256:' || repeat('0', 64), 'amd64' \
         FROM generate_series(0, 150000) AS given (number)",
    );
    let store = open(&url, 100 * ROOM).await;
    wait_until_kept(cluster, &url, &store, 10).await;
    let all = Filter::of_dates(DateRange::days_until(date("2026-11-20"), DAYS));
    for pulls in [1, 2] {
        let first = &lists::page(&store, &lists::breakdown(lists::REPOSITORIES, &all, 1)).await.items[0];
        assert!(first.count > 1, "{first:?}");
        let large = Filter { repository: "large/app7".parse().into_iter().collect(), ..all.clone() };
        assert_eq!(lists::sum(&store, lists::REPOSITORIES, &large).await, pulls);
        cluster.psql(&url, "UPDATE container_pull_metrics SET pull_count = 2 WHERE repo_name = 'large/app7'");
    }
    assert_eq!(kept(cluster, &url, &store, DAYS).await, None);
    kept_now(cluster, &url, &store, 10).await;
}

/// The pulls of each repository and in all, as a store tells them that keeps sums.
async fn pulls(store: &Rollup) -> String {
    let filter = Filter::of_dates(DateRange::EVER);
    let rows = lists::rows(store, lists::REPOSITORIES, &filter).await;
    let name = |row: &BreakdownRow| row.key.borrowed().text(Dimension::Repository).to_owned();
    let listed: Vec<_> = rows.iter().map(|row| format!("{} {}", name(row), row.count)).collect();
    let all = store.summary(date("2026-11-20")).await.expect("answers").totals(AccessKind::PullByTag).all;
    format!("{}, {all}", listed.join(", "))
}

/// A fail-over to a replica that lagged, or a restored backup: the counts are changed as often again, in another way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_follow_a_database_that_is_put_back_to_an_older_state() {
    let cluster = Postgres::start(Durability::Volatile);
    let url = cluster.new_database();
    let store = open(&url, ROOM).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    wait_until_kept(&cluster, &url, &store, 1).await;
    cluster.save();
    for change in ["lost", "late"] {
        // Questions find a connection that ended, recording too.
        while store.check().await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
        record(&store, &[pull(&format!("{change}:v1"), "2026-11-20T10:00:00Z")]).await;
        assert_eq!(pulls(&store).await, format!("app 1, {change} 1, 2"));
        cluster.put_back();
    }
    assert_eq!(pulls(&store).await, "app 1, 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_has_one_limit_however_much_it_asks() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let name = url.rsplit('/').next().expect("a name");
    cluster.psql(&url, &format!("ALTER DATABASE {name} SET log_statement = 'all'"));
    let question_timeout = Duration::from_secs(2);
    let store = Rollup::new(Arc::new(open_plain(&url).await), clock(), Options { memory: ROOM, question_timeout });
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    let today = date("2026-11-20");
    // How often the rows themselves were gone through.
    let totals = || cluster.log().matches(r#"MAX("last")"#).count();
    let started = Instant::now();
    loop {
        let before = totals();
        if store.summary(today).await.is_ok() && totals() == before {
            break;
        }
        assert!(started.elapsed() < LONG, "the sums never answer");
    }

    let mut other = PgConnection::connect(&url).await.expect("connects");
    loop {
        let before = totals();
        let mut holder = other.begin().await.expect("begins");
        holder.execute("LOCK TABLE container_pull_metrics, container_access_metrics").await.expect("locks");
        cluster.psql(&url, "UPDATE day_version SET version = version + 1");
        // The day that changed cannot be read. To ask for the rows in its place takes as long again.
        let answer = store.summary(today).await;
        assert!(matches!(answer, Err(MetricsError::Unavailable(_))), "{answer:?}");
        holder.rollback().await.expect("unlocks");
        // When the days were being read behind it, it did not wait for its turn.
        if totals() == before {
            break;
        }
        assert!(started.elapsed() < LONG, "it was asked on");
    }
    // The limit is short for a busy machine.
    let summary = loop {
        if let Ok(summary) = store.summary(today).await {
            break summary;
        }
        assert!(started.elapsed() < 2 * LONG, "nothing is answered any more");
    };
    assert_eq!(summary.totals(AccessKind::PullByTag).all, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn architectures_in_other_words_are_the_same() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let write = async |statements: Vec<String>| drop(cluster.psql(&url, &statements.join(";")));
    by_hand::architectures_are_the_same_in_other_words(&open(&url, ROOM).await, write).await;
}
