//! What years of counts cost: the room on disk, the questions of a month, a restart, the folding of a month, and carrying
//! all out and in.

use std::{
    env,
    process::Stdio,
    time::{Duration, Instant},
};

use chrono::{Days, NaiveDate};
use staticreg_domain::metrics::{Folded, MetricsRepository as _, first_of_month, last_of_month};
use staticreg_sql::{Options, SqlMetrics};
use staticreg_test_support::postgres::{Durability, Postgres};
use tokio::{process::Command, time::sleep};

use crate::{
    program::Program,
    questions::{self, WARM_LIMIT},
};

/// A million rows are of so many days.
const DAYS_OF_A_MILLION: f64 = 36.5;

/// How many rows are folded in one step, as the server does it.
const STEP: u32 = 1_000;

/// What people look at, of the last 30 days.
const QUESTIONS: [&str; 9] = [
    "/api/v1/summary",
    "/api/v1/pulls",
    "/api/v1/pulls?group_by=architecture",
    "/api/v1/repositories",
    "/api/v1/images",
    "/api/v1/architectures",
    "/api/v1/tags?repository=team-7/service-7",
    "/api/v1/digests?repository=team-7/service-7&tag=v1",
    "/api/v1/metrics",
];

const TIMES: usize = 30;

/// The most million rows that are carried out and in: more takes as long a million, and the disk twice.
const MOST_CARRIED: u32 = 10;

/// Measures at so many million rows, one after the other, and prints a table.
pub(crate) async fn measure(millions: &[u32]) {
    println!("## Growth\n");
    println!(
        "| rows | days | on disk, a million rows | sums of these | whole answer after the first start | after a restart \
         | slowest question of a month, p95 | peak memory | a month folded | longest step | exported | imported |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for millions in millions {
        measure_at(*millions).await;
    }
    println!();
}

async fn measure_at(millions: u32) {
    let postgres = Postgres::start(Durability::Durable);
    let database = postgres.new_database();
    let store = SqlMetrics::open(&Options::new(database.parse().expect("a URL"))).await.expect("opens");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand")]
    let days = (f64::from(millions) * DAYS_OF_A_MILLION).ceil() as u32;
    questions::fill(&postgres, &database, days);
    let rows: f64 = number(&postgres.psql(&database, "SELECT count(*) FROM container_pull_metrics"));
    let pulls = number(&postgres.psql(&database, "SELECT sum(pull_count) FROM container_pull_metrics"));
    let size = "SELECT pg_total_relation_size('container_pull_metrics') / 1048576.0";
    let size: f64 = number(&postgres.psql(&database, size));

    let start = async || {
        let server = Program::start("staticreg", &[("STATICREG_DB_URL", &*database)]).await;
        let whole = match questions::wait_until_warm(&server, pulls).await {
            Some(time) => format!("{:.1} s", time.as_secs_f64()),
            None => format!("not after {} s", WARM_LIMIT.as_secs()),
        };
        (server, whole)
    };
    let (server, first_whole) = start().await;
    // All days but the last two are over.
    let put_aside = || number::<u32>(&postgres.psql(&database, "SELECT count(*) FROM day_sums"));
    while put_aside() + 2 < days {
        sleep(Duration::from_secs(1)).await;
    }
    drop(server);
    let sums: f64 = number(&postgres.psql(&database, "SELECT pg_total_relation_size('day_sums') / 1048576.0"));
    let (server, whole) = start().await;
    let slowest = slowest(&server).await;
    let memory = server.peak_memory();
    drop(server);
    eprintln!(
        "{millions} million: whole {first_whole} after the first start, {whole} after a restart; slowest {} ms",
        slowest.as_millis()
    );

    let (exported, imported) = if millions <= MOST_CARRIED {
        let exported = carried(&database, None).await;
        let imported = carried(&database, Some(&postgres.new_database())).await.saturating_sub(exported);
        (format!("{:.1} s", exported.as_secs_f64()), format!("{:.1} s", imported.as_secs_f64()))
    } else {
        (String::new(), String::new())
    };
    eprintln!("{millions} million: exported in {exported:?}, imported in {imported:?}");
    let first: NaiveDate =
        postgres.psql(&database, "SELECT min(pull_date) FROM container_pull_metrics").parse().expect("a date");
    let (folded, longest) = fold(&store, first).await;
    println!(
        "| {rows:.0} | {days} | {:.0} MiB | {:.0} MiB | {first_whole} | {whole} | {:.1} ms | {memory:.0} MiB | {:.1} s | {:.0} ms | {exported} | {imported} |",
        size / rows * 1e6,
        sums / rows * 1e6,
        slowest.as_secs_f64() * 1e3,
        folded.as_secs_f64(),
        longest.as_secs_f64() * 1e3,
    );
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a number")
}

/// The 95th percentile of the slowest question.
async fn slowest(server: &Program) -> Duration {
    let client = reqwest::Client::new();
    let mut slowest = Duration::ZERO;
    for path in QUESTIONS {
        questions::settle(&client, server, path).await;
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            times.push(questions::ask(&client, server, path).await.0);
        }
        times.sort_unstable();
        slowest = slowest.max(times[TIMES * 95 / 100]);
    }
    slowest
}

/// How long it takes to carry all counts out, and, when there is one, into another database at the same time.
async fn carried(from: &str, to: Option<&str>) -> Duration {
    let program = env::current_exe().expect("this program's file").with_file_name("staticreg");
    let start = Instant::now();
    let mut export = Command::new(&program);
    export.args(["export", "--db-url", from]).stderr(Stdio::null());
    let Some(to) = to else {
        let exported = export.stdout(Stdio::null()).status().await.expect("it runs");
        assert!(exported.success(), "{exported}");
        return start.elapsed();
    };
    let (output, input) = std::io::pipe().map(|(read, write)| (write, read)).expect("a pipe");
    let mut exporting = export.stdout(output).spawn().expect("it runs");
    // The pipe ends with the program.
    drop(export);
    let mut import = Command::new(&program);
    let imported = import.args(["import", "--db-url", to]).stdin(input).stderr(Stdio::null()).status();
    let imported = imported.await.expect("it runs");
    assert!(imported.success() && exporting.wait().await.expect("it ends").success(), "{imported}");
    start.elapsed()
}

/// Folds the first whole month; tells how long that took, and its longest step.
async fn fold(store: &SqlMetrics, first: NaiveDate) -> (Duration, Duration) {
    let begin = if first == first_of_month(first) { first } else { last_of_month(first) + Days::new(1) };
    let next = last_of_month(begin) + Days::new(1);
    store.keep_by_month(Folded { days_before: next, ..Folded::NOTHING }).await.expect("keeps");
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    let mut after = begin.pred_opt();
    while let Some(day) = store.day_to_fold(after).await.expect("answers") {
        after = Some(day);
        loop {
            let step = Instant::now();
            if store.fold_day(day, STEP).await.expect("folds") == 0 {
                break;
            }
            longest = longest.max(step.elapsed());
        }
    }
    (start.elapsed(), longest)
}
