//! What is SQLite's own: the file and its lock.

use std::{path::Path, time::Duration};

use sea_orm::sqlx::{self, AssertSqlSafe, Connection, SqliteConnection};
use staticreg_contract::{
    by_hand,
    events::{expected, now, pull, pulls_of, record},
    journal, lists,
};
use staticreg_domain::metrics::{
    DateRange, Dimension, Filter, Listed as _, Measures, MetricsError, MetricsReader, MetricsRepository, Order, Page,
    Recording,
};
use staticreg_sql::{OpenError, Options, SqlMetrics};

/// Longer than a busy machine keeps anybody waiting.
const LONG: Duration = Duration::from_mins(2);

fn options(file: &Path) -> Options {
    let url = format!("sqlite://{}", file.display()).parse().expect("a URL");
    Options { answer_timeout: LONG, question_timeout: LONG, ..Options::new(url) }
}

async fn open(file: &Path) -> SqlMetrics {
    SqlMetrics::open(&options(file)).await.expect("opens")
}

async fn connect(file: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.expect("connects")
}

#[tokio::test]
async fn a_file_is_made_when_missing_and_keeps_its_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts.db");
    let event = pull("app:v1", "2026-11-20T10:00:00Z").event();
    let batch = std::slice::from_ref(&event);
    assert_eq!(open(&file).await.record(batch, now()).await.expect("records"), [Recording::Counted]);
    let again = open(&file).await;
    assert_eq!(again.record(batch, now()).await.expect("records"), [Recording::Duplicate]);
    assert_eq!(pulls_of(&again).await, expected(&[("2026-11-20 app:v1", 1)]));
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connect(&file).await).await.expect("asks");
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn times_and_dates_are_text_that_people_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts.db");
    record(&open(&file).await, &[pull("app:v1", "2026-11-20T10:00:00.5Z")]).await;
    let row: (String, String, String) =
        sqlx::query_as("SELECT pull_date, created_at, updated_at FROM container_pull_metrics")
            .fetch_one(&mut connect(&file).await)
            .await
            .expect("asks");
    let time = "2026-11-20T10:00:00.500000Z".to_owned();
    assert_eq!(row, ("2026-11-20".to_owned(), time.clone(), time));
}

#[tokio::test]
async fn a_file_that_was_removed_or_replaced_takes_nothing_until_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, aside) = (folder.path().join("counts.db"), folder.path().join("aside.db"));
    let store = open(&file).await;
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    std::fs::rename(&file, &aside).expect("moves");
    for told in ["removed", "replaced"] {
        let batch = [pull("app:v1", "2026-11-20T10:00:00Z").event()];
        for refused in [store.record(&batch, now()).await.map(drop), store.check().await] {
            let Err(MetricsError::Unavailable(reason)) = refused else { panic!("{told}: {refused:?}") };
            let reason = reason.to_string();
            assert!(reason.contains(told) && reason.contains(file.to_str().expect("text")), "{reason}");
        }
        if told == "removed" {
            let answer = store.summary(now().date_naive()).await;
            assert!(matches!(answer, Err(MetricsError::Unavailable(_))), "{answer:?}");
            assert!(!file.exists(), "nobody asked for a new one");
            std::fs::write(&file, "").expect("another file");
        }
    }
    std::fs::rename(&aside, &file).expect("moves");
    record(&store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 2)]));
}

#[tokio::test]
async fn rows_of_the_journal_that_are_written_by_hand_do_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts.db");
    let write = async |statements: Vec<String>| {
        sqlx::raw_sql(AssertSqlSafe(statements.join(";"))).execute(&mut connect(&file).await).await.expect("writes");
    };
    journal::rows_written_by_hand_do_no_harm(&open(&file).await, write).await;
}

#[tokio::test]
async fn architectures_in_other_words_are_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts.db");
    let store = open(&file).await;
    let write = async |statements: Vec<String>| {
        sqlx::raw_sql(AssertSqlSafe(statements.join(";"))).execute(&mut connect(&file).await).await.expect("writes");
    };
    by_hand::architectures_are_the_same_in_other_words(&store, write).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("missing/counts.db");
    let error = SqlMetrics::open(&options(&file)).await.expect_err("no folder");
    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
    let missing = format!("there is no folder {}", folder.path().join("missing").display());
    for words in ["unable to open database file", file.to_str().expect("text"), &missing] {
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = SqlMetrics::open(&options(folder.path())).await.expect_err("a folder").to_string();
    assert!(error.contains(folder.path().to_str().expect("text")) && !error.contains("no folder"), "{error}");
}

/// Whether somebody still reads an older state of the file.
async fn is_read(other: &mut SqliteConnection) -> bool {
    let busy: i64 =
        sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(other).await.expect("a row, whoever reads");
    busy != 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_without_end_is_given_up_and_leaves_nothing_behind() {
    /// Counts for ever before it has a row.
    const ENDLESS: &str = "ALTER TABLE container_pull_metrics RENAME TO kept; CREATE VIEW container_pull_metrics AS \
         WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) \
         SELECT kept.* FROM kept, (SELECT max(n) FROM number)";
    const AS_BEFORE: &str = "DROP VIEW container_pull_metrics; ALTER TABLE kept RENAME TO container_pull_metrics";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts.db");
    let options = Options {
        // One of them for questions.
        max_connections: 2.try_into().expect("not zero"),
        question_timeout: Duration::from_secs(2),
        ..options(&file)
    };
    let store = std::sync::Arc::new(SqlMetrics::open(&options).await.expect("opens"));
    record(&*store, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    let mut other = connect(&file).await;
    let question = lists::breakdown(lists::REPOSITORIES, &Filter::of_dates(DateRange::EVER), 1);

    sqlx::raw_sql(ENDLESS).execute(&mut other).await.expect("a view");
    for _ in 0..2 {
        let answer = store.breakdown(&question).await;
        assert!(matches!(answer, Err(MetricsError::Unavailable(_))), "{answer:?}");
        // Nobody waits for the answer any more.
        let (asking, asked) = (std::sync::Arc::clone(&store), question.clone());
        let given_up = tokio::spawn(async move { asking.breakdown(&asked).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        given_up.abort();
    }
    sqlx::raw_sql(AS_BEFORE).execute(&mut other).await.expect("the table");
    // A statement that went on would read for ever.
    while is_read(&mut other).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The limit is short for a busy machine.
    let list = loop {
        if let Ok(list) = store.breakdown(&question).await {
            break list;
        }
    };
    assert_eq!(list.items.len(), 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts.db");
    std::fs::write(&file, "these are some notes, ".repeat(100)).expect("writes");
    let error = SqlMetrics::open(&options(&file)).await.expect_err("no database");
    assert!(error.to_string().contains("not a database"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_only_so_long_and_questions_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts.db");
    let patient = open(&file).await;
    record(&patient, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    let answer_timeout = Duration::from_secs(2);
    let store = loop {
        // The limit is short for a busy machine.
        if let Ok(store) = SqlMetrics::open(&Options { answer_timeout, ..options(&file) }).await {
            break store;
        }
    };

    let mut other = connect(&file).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.expect("locks");
    let batch = [pull("app:v1", "2026-11-20T11:00:00Z").event()];
    for _ in 0..3 {
        let refused = store.record(&batch, now()).await;
        assert!(matches!(refused, Err(MetricsError::Unavailable(_))), "{refused:?}");
        assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 1)]));
    }
    lock.rollback().await.expect("unlocks");
    assert_eq!(patient.record(&batch, now()).await.expect("records"), [Recording::Counted], "none was before");
    while store.record(&batch, now()).await.is_err() {}
    assert_eq!(pulls_of(&store).await, expected(&[("2026-11-20 app:v1", 2)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_wait_for_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts.db");
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let options = options(&file);
            tokio::spawn(async move { SqlMetrics::open(&options).await })
        })
        .collect();
    for start in starts {
        start.await.expect("ends").expect("opens");
    }
}

#[tokio::test]
async fn times_that_people_wrote_are_read_and_others_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts.db");
    let store = open(&file).await;
    record(&store, &["a:v1", "b:v1", "c:v1"].map(|image| pull(image, "2026-11-20T10:00:00Z"))).await;
    let write = async |text: &str| {
        let update = format!("UPDATE container_pull_metrics SET updated_at = '{text}' WHERE repo_name <> 'c'");
        sqlx::query(AssertSqlSafe(update)).execute(&mut connect(&file).await).await.expect("writes");
    };
    let filter = Filter::of_dates(DateRange::EVER);
    let latest: lists::List = (&[Dimension::Repository], Measures::LAST, Order::LatestFirst);
    for text in ["2026-11-21 10:00:00", "2026-11-21 10:00", "2026-11-21T12:00:00+02:00"] {
        write(text).await;
        let mut question = lists::breakdown(latest, &filter, 1);
        let mut read = Vec::new();
        while read.len() <= 3 {
            let page = lists::page(&store, &question).await;
            let Some(row) = page.items.into_iter().next() else { break };
            question.page.after = Some(row.position());
            read.push((row.key.repository.expect("a name").to_string(), row.last_at.expect("a time").to_string()));
        }
        let (odd, own) = ("2026-11-21 10:00:00 UTC", "2026-11-20 10:00:00 UTC");
        let expected = [("a", odd), ("b", odd), ("c", own)];
        assert_eq!(read, expected.map(|(name, time)| (name.to_owned(), time.to_owned())), "{text}");
        assert!(store.rows(&filter, &Page::first(3)).await.is_ok(), "{text}");
    }
    write("yesterday").await;
    for told in [
        store.breakdown(&lists::breakdown(latest, &filter, 3)).await.map(drop),
        store.summary(now().date_naive()).await.map(drop),
    ] {
        let Err(MetricsError::Corrupt(why)) = told else { panic!("{told:?}") };
        let expected =
            "the column updated_at of a table of counts or tokens holds \"yesterday\", which is no time such as";
        assert!(why.to_string().starts_with(expected), "{why}");
    }
}
