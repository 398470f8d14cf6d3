//! Counts that are carried from one database to another.

use std::{convert::Infallible, time::Duration};

use chrono::Days;
use staticreg_contract::events::{date, pull, record, rows_of};
use staticreg_domain::metrics::{AccessKind, Folded, MetricsReader as _, MetricsRepository as _, MetricsRow};
use staticreg_sql::{CarriedRow, Exported, ImportError, Options, SqlMetrics};
use staticreg_test_support::postgres::Postgres;
use tempfile::TempDir;

async fn open(url: &str) -> SqlMetrics {
    let limit = Duration::from_mins(2);
    let options =
        Options { answer_timeout: limit, question_timeout: limit, ..Options::new(url.parse().expect("a URL")) };
    SqlMetrics::open(&options).await.expect("opens")
}

/// An empty database of each kind.
async fn databases(folder: &TempDir, name: &str) -> [SqlMetrics; 3] {
    let cluster = Postgres::shared();
    let of_go = cluster.new_database();
    cluster.psql(&of_go, include_str!("go_schema.sql"));
    let file = format!("sqlite://{}", folder.path().join(name).display());
    [open(&cluster.new_database()).await, open(&of_go).await, open(&file).await]
}

/// Counts of every kind over four months, of which the first two are kept by month, one without digests.
async fn fill(database: &SqlMetrics) {
    let day = |number: u64| date("2026-06-01") + Days::new(number % 120);
    let accesses = (0..2_500_u64).map(|number| {
        let images = ["app:v1", "app:v2", "team/web_2:latest", "tools"];
        pull(
            images[usize::try_from(number % 4).expect("small")],
            &format!("{}T10:00:{:02}.000123Z", day(number), number % 60),
        )
        .of_kind(AccessKind::ALL[usize::try_from(number / 5 % 4).expect("small")])
        .on(["amd64", "arm64", "not-specified"][usize::try_from(number % 3).expect("small")])
        .of_digest(number % 17)
        .times(1 + i32::try_from(number % 9).expect("small"))
    });
    record(database, &accesses.collect::<Vec<_>>()).await;
    database.keep_by_month(Folded { days_before: date("2026-08-01"), ..Folded::NOTHING }).await.expect("keeps");
    while let Some(day) = database.day_to_fold(None).await.expect("answers") {
        database.fold_day(day, 10_000).await.expect("folds");
    }
}

async fn all_rows(database: &SqlMetrics) -> Vec<MetricsRow> {
    let mut rows = Vec::new();
    for kind in AccessKind::ALL {
        rows.extend(rows_of(database, kind).await);
    }
    rows
}

async fn exported(database: &SqlMetrics) -> Vec<CarriedRow> {
    let mut rows = Vec::new();
    let take = |row| {
        rows.push(row);
        Ok::<_, Infallible>(())
    };
    let Exported { rows: count, nameless } = database.export(take).await.expect("exports");
    assert_eq!((count, nameless), (rows.len() as u64, 0));
    assert_eq!(database.count_rows().await.expect("answers"), count);
    rows
}

async fn import(database: &SqlMetrics, rows: Vec<CarriedRow>, merge: bool) -> Result<u64, ImportError<Infallible>> {
    database.import((1..).zip(rows).map(Ok), merge).await
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_the_same_wherever_they_are_carried() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, from) in databases(&folder, "from.db").await.into_iter().enumerate() {
        fill(&from).await;
        let (rows, mark) = (all_rows(&from).await, from.folded().await.expect("answers"));
        let carried = exported(&from).await;
        for to in databases(&folder, &format!("to{number}.db")).await {
            assert_eq!(import(&to, carried.clone(), false).await.expect("imports"), rows.len() as u64);
            assert_eq!(all_rows(&to).await, rows);
            assert_eq!(to.folded().await.expect("answers"), mark);
            assert_eq!(to.day_to_fold(None).await.expect("answers"), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_added_to_others_only_where_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    for database in databases(&folder, "counts.db").await {
        fill(&database).await;
        let (rows, carried) = (all_rows(&database).await, exported(&database).await);
        let refused = import(&database, carried.clone(), false).await;
        assert!(matches!(refused, Err(ImportError::HoldsCounts)), "{refused:?}");
        assert_eq!(all_rows(&database).await, rows);

        import(&database, carried, true).await.expect("imports");
        let twice = |row: MetricsRow| MetricsRow { count: 2 * row.count, ..row };
        assert_eq!(all_rows(&database).await, rows.into_iter().map(twice).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_imported_month_makes_months_of_days_that_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, from) in databases(&folder, "from.db").await.into_iter().enumerate() {
        fill(&from).await;
        let months: Vec<_> = exported(&from).await.into_iter().filter(|carried| carried.of_month).collect();
        for to in databases(&folder, &format!("days{number}.db")).await {
            record(&to, &[pull("app:v1", "2026-07-31T10:00:00Z")]).await;
            let rows = all_rows(&to).await;
            let refused = import(&to, months.clone(), true).await;
            let is_refused = matches!(refused, Err(ImportError::KeepsDays { first_day, months_before })
                if (first_day, months_before) == (date("2026-07-31"), date("2026-08-01")));
            assert!(is_refused, "{refused:?}");
            assert_eq!((all_rows(&to).await, to.folded().await.expect("answers")), (rows, Folded::NOTHING));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_imported_or_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for database in databases(&folder, "counts.db").await {
        fill(&database).await;
        let (rows, carried) = (all_rows(&database).await, exported(&database).await);
        let broken = (1..).zip(carried.iter().cloned()).map(Ok).chain([Err("the last line")]);
        let refused = database.import(broken, true).await;
        assert!(matches!(refused, Err(ImportError::Row("the last line"))), "{refused:?}");
        assert_eq!(all_rows(&database).await, rows);

        let mut too_much = carried;
        too_much[1].row.count = u64::from(i32::MAX.unsigned_abs());
        let refused = import(&database, too_much, true).await;
        assert!(matches!(refused, Err(ImportError::TooMany { number: 2 })), "{refused:?}");
        assert_eq!(all_rows(&database).await, rows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_none_of_its_names_is_left_out_and_told() {
    let cluster = Postgres::shared();
    let url = cluster.new_database();
    let database = open(&url).await;
    record(&database, &[pull("app:v1", "2026-11-20T10:00:00Z")]).await;
    cluster.psql(
        &url,
        "INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture) \
         VALUES ('2026-11-20', 'no name', 'v1', 'sha256:1', 'amd64')",
    );
    let mut rows = Vec::new();
    let take = |row: CarriedRow| {
        rows.push(row.row);
        Ok::<_, Infallible>(())
    };
    assert_eq!(database.export(take).await.expect("exports"), Exported { rows: 1, nameless: 1 });
    assert_eq!(rows, all_rows(&database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_one_key_that_are_too_many_together_are_told_by_the_first_that_is() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, from) in databases(&folder, "from.db").await.into_iter().enumerate() {
        let kinds = [AccessKind::PullByTag, AccessKind::Push];
        record(&from, &kinds.map(|kind| pull("app:v1", "2026-11-20T10:00:00Z").of_kind(kind))).await;
        let carried = exported(&from).await;
        for (to, of_kind) in databases(&folder, &format!("to{number}.db")).await.iter().zip(kinds.into_iter().cycle()) {
            let mut row = carried.iter().find(|carried| carried.row.kind == of_kind).expect("a row").clone();
            row.row.count = u64::from(i32::MAX.unsigned_abs()) / 2;
            // Twice there is room for, also with one more.
            let mut rows = vec![row; 4];
            rows.insert(1, carried[0].clone());
            let refused = import(to, rows, false).await;
            assert!(matches!(refused, Err(ImportError::TooMany { number: 4 })), "{refused:?}");
            assert_eq!(all_rows(to).await, []);
        }
    }
}
