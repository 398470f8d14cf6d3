//! How fast questions and pages are answered over ten million rows.

use std::time::{Duration, Instant};

use staticreg_test_support::postgres::{Durability, Postgres};

use crate::program::Program;

/// A year of 2,000 repositories that are pulled every day by four tags on two architectures, and of 18,000 more of
/// which some are pulled each day: ten million rows.
const ROWS: &str = "\
INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
SELECT day, 'team-' || repo % 50 || '/service-' || repo, 'v' || tag, 'sha256:' || md5(repo || '-' || tag) || md5(tag || '-' || repo),
    architecture, 1 + 10000 / repo, day + time '08:00', day + time '20:00'
FROM (
    SELECT current_date - ago AS day, repo, tag, architecture
    FROM generate_series(0, 364) AS ago, generate_series(1, 2000) AS repo, generate_series(1, 4) AS tag,
        unnest(ARRAY['amd64', 'arm64']) AS architecture
    UNION ALL
    SELECT current_date - ago, 2001 + (number * 18000 / 11400 + ago * 7) % 18000, 1, 'amd64'
    FROM generate_series(0, 364) AS ago, generate_series(1, 11400) AS number
) AS pulled
ORDER BY day, repo";

/// How often each is asked.
const TIMES: usize = 30;

const QUESTIONS: &[&str] = &[
    "/api/v1/summary",
    "/api/v1/pulls",
    "/api/v1/pulls?group_by=architecture",
    "/api/v1/pulls?group_by=repository",
    "/api/v1/pulls?group_by=tag",
    "/api/v1/pulls?days=365",
    "/api/v1/pulls?days=365&group_by=architecture",
    "/api/v1/pulls?days=365&repository=team-7/service-7",
    "/api/v1/repositories",
    "/api/v1/repositories?days=7",
    "/api/v1/repositories?days=365",
    "/api/v1/images",
    "/api/v1/images?days=365",
    "/api/v1/architectures",
    "/api/v1/architectures?days=365",
    "/api/v1/tags?repository=team-7/service-7",
    "/api/v1/tags?days=365&repository=team-7/service-7",
    "/api/v1/digests?repository=team-7/service-7&tag=v1",
    "/api/v1/digests?days=365&repository=team-7/service-7&tag=v1",
    "/api/v1/metrics",
    "/api/v1/metrics?days=365",
    "/api/v1/metrics?repository=team-7/service-7",
    "/api/v1/metrics?architecture=arm64&limit=1000",
];

const PAGES: &[&str] = &[
    "/",
    "/?sort=pulls&page=5",
    "/?q=service-7",
    "/repo/team-7/service-7",
    "/insights",
    "/insights?days=90",
    "/badge/team-7/service-7.svg",
];

/// Fills a database, asks everything and prints the table.
pub(crate) async fn measure() {
    let postgres = Postgres::start(Durability::Durable);
    let database = postgres.new_database();
    let server = Program::start("staticreg", &[("STATICREG_DB_URL", &database)]).await;
    let start = Instant::now();
    postgres.psql(&database, ROWS);
    postgres.psql(&database, "VACUUM ANALYZE");
    let rows = postgres.psql(&database, "SELECT count(*) FROM container_pull_metrics");
    eprintln!("{rows} rows made in {:.0} s", start.elapsed().as_secs_f64());
    println!("## Questions over {rows} rows of 20,000 repositories, {TIMES} times each\n");
    print_table(&server, QUESTIONS).await;
    println!("\n## Pages over the same rows, {TIMES} times each\n");
    print_table(&server, PAGES).await;
    println!("\nPeak memory of the server: {:.0} MiB\n", server.peak_memory());
}

async fn print_table(server: &Program, paths: &[&str]) {
    println!("| asked | p50 | p95 |\n| --- | --- | --- |");
    let client = reqwest::Client::new();
    for path in paths {
        let mut times = Vec::with_capacity(TIMES);
        // The first answer warms the caches up and is not counted.
        for number in 0..=TIMES {
            let start = Instant::now();
            let answer = client.get(server.url(path)).send().await.expect("an answer");
            assert!(answer.status().is_success(), "{path}: {}", answer.status());
            let body = answer.bytes().await.expect("a body");
            assert!(!body.is_empty(), "{path}: an empty answer");
            if number > 0 {
                times.push(start.elapsed());
            }
        }
        times.sort_unstable();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "| `{path}` | {:.1} ms | {:.1} ms |",
            milliseconds(times[times.len() / 2]),
            milliseconds(times[times.len() * 95 / 100])
        );
    }
}
