//! How fast questions and pages are answered over ten million rows, with a registry of the same repositories beside them.

use std::time::{Duration, Instant};

use staticreg_test_support::postgres::{Durability, Postgres};

use tokio::time::sleep;

use crate::{
    fake_registry::{FakeRegistry, Repository},
    program::Program,
    registry,
};

/// The days in a year, of which there are ten million rows.
pub(crate) const MAX_DAYS: u32 = 365;

/// Repositories in all, and how many of them are pulled every day, by so many tags.
const REPOSITORIES: usize = 20_000;
const BUSY: usize = 2_000;
const BUSY_TAGS: usize = 4;

/// The busy repositories are pulled every day by each tag on two architectures, some of the others each day: in a year
/// ten million rows. `LAST` stands for how many days ago the first day is.
const ROWS: &str = "\
INSERT INTO container_pull_metrics (pull_date, repo_name, tag, digest, architecture, pull_count, created_at, updated_at)
SELECT day, 'team-' || repo % 50 || '/service-' || repo, 'v' || tag, 'sha256:' || md5(repo || '-' || tag) || md5(tag || '-' || repo),
    architecture, 1 + 10000 / repo, day + time '08:00', day + time '20:00'
FROM (
    SELECT current_date - ago AS day, repo, tag, architecture
    FROM generate_series(0, LAST) AS ago, generate_series(1, 2000) AS repo, generate_series(1, 4) AS tag,
        unnest(ARRAY['amd64', 'arm64']) AS architecture
    UNION ALL
    SELECT current_date - ago, 2001 + (number * 18000 / 11400 + ago * 7) % 18000, 1, 'amd64'
    FROM generate_series(0, LAST) AS ago, generate_series(1, 11400) AS number
) AS pulled
ORDER BY day, repo";

/// The repositories of the rows, with their tags, as the registry has them.
fn repositories() -> impl Iterator<Item = Repository> {
    (1..=REPOSITORIES).map(|number| Repository {
        name: format!("team-{}/service-{number}", number % 50),
        images: if number <= BUSY { BUSY_TAGS } else { 1 },
        latest: false,
    })
}

/// How long the server may take to catch up with the rows.
pub(crate) const WARM_LIMIT: Duration = Duration::from_mins(5);

/// An answer that takes no longer comes from what is kept at hand.
const WARM: Duration = Duration::from_millis(150);

/// What pages say, and badges, as long as they do not know yet.
const INCOMPLETE: [&str; 3] = ["in a moment", "pulls: unknown", r#""message":"unknown""#];

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
    "/api/v1/pulls?days=365&interval=week&group_by=folder&kind=pull_by_tag&kind=version_check",
    "/api/v1/pulls?days=365&repository=team-7/service-7",
    "/api/v1/repositories",
    "/api/v1/repositories?days=7",
    "/api/v1/repositories?days=365",
    "/api/v1/repositories?compare=previous&sort=change",
    "/api/v1/repositories?days=180&compare=previous&sort=change",
    "/api/v1/repositories?q=service-7",
    "/api/v1/folders?days=365",
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
    "/api/v1/metrics?days=365&tag=v4",
    "/api/v1/metrics?days=365&tag=none",
    "/api/v1/metrics?days=365&architecture=s390x",
    "/api/v1/repositories?days=365&tag=v2&architecture=arm64",
    "/api/v1/registry/repositories",
    "/api/v1/registry/tags?repository=team-7/service-7",
    "/api/v1/registry/images?limit=1000",
    "/api/v1/pulls?days=365&digest=sha256:a514839c4971406ff865a3f340e4ea366813b5c7ce3f920487e5ffcd5f799feb",
];

const PAGES: &[&str] = &[
    "/",
    "/?sort=name",
    "/?sort=tags",
    "/?sort=change",
    "/?days=365&sort=change",
    "/?days=90&kind=version_check&architecture=arm64",
    "/?sort=last_pulled&order=reverse",
    "/?page=400",
    "/?q=service-7",
    "/?q=v1",
    "/?folder=team-7",
    "/?folder=team-7&days=365&interval=week&kind=pull_by_tag&architecture=amd64",
    "/repo/team-7/service-7",
    "/repo/team-7/service-7?days=365",
    "/repo/team-7/service-7?days=365&interval=day&split=tag",
    "/repo/team-7/service-7?tag=v1",
    "/repo/team-8/service-8?tag=v1&days=365",
    "/insights",
    "/insights?days=90",
    "/insights?days=365",
    "/insights?days=365&interval=month&architecture=arm64",
    "/insights?unused=30",
    "/cleanup",
    "/status",
    "/chart/team-7/service-7.svg",
    "/chart/team-7/service-7.svg?days=365&tag=v1&theme=dark",
    "/badge/team-7/service-7.svg",
    "/badge/team-7/service-7.json",
    "/badge/team-7/service-7.json?tag=v1&show=month",
    "/export/repositories.csv",
];

/// Fills a database, with a registry of the same repositories beside it, asks everything and prints the tables.
pub(crate) async fn measure(days: u32) {
    let postgres = Postgres::start(Durability::Durable);
    let database = postgres.new_database();
    let registry = FakeRegistry::start(repositories(), registry::DELAY).await.expect("a registry");
    let start = Instant::now();
    let settings = [("STATICREG_DB_URL", &*database), ("STATICREG_REGISTRY_HOSTNAME", &*registry.hostname())];
    let server = Program::start("staticreg", &settings).await;
    server.wait_for_log("Registry read", registry::LIMIT).await;
    let (read_in, memory) = (start.elapsed(), server.peak_memory());

    let start = Instant::now();
    fill(&postgres, &database, days);
    let rows = postgres.psql(&database, "SELECT count(*) FROM container_pull_metrics");
    let pulls = postgres.psql(&database, "SELECT sum(pull_count) FROM container_pull_metrics");
    let pulls = pulls.parse().expect("a number");
    eprintln!("{rows} rows made in {:.0} s", start.elapsed().as_secs_f64());
    let warm_after = wait_until_warm(&server, pulls).await;

    println!("## Questions over {rows} rows of {REPOSITORIES} repositories, {TIMES} times each\n");
    match warm_after {
        Some(time) => println!("At hand {:.0} s after the rows were there.\n", time.as_secs_f64()),
        None => println!("Not at hand after {} s.\n", WARM_LIMIT.as_secs()),
    }
    print_table(&server, QUESTIONS).await;
    println!("\n## Pages over the same rows, beside a registry of the same repositories, {TIMES} times each\n");
    println!(
        "The registry takes {} ms for an answer. First full read: {:.0} s; peak memory {memory:.0} MiB.\n",
        registry::DELAY.as_millis(),
        read_in.as_secs_f64()
    );
    print_table(&server, PAGES).await;
    println!("\nPeak memory of the server: {:.0} MiB\n", server.peak_memory());
}

/// Fills an empty database with the rows of so many days. Indexes that only questions need are made afterwards: to keep them
/// up to date with each of many million rows takes hours.
pub(crate) fn fill(postgres: &Postgres, database: &str, days: u32) {
    const OTHERS: &str =
        "FROM pg_indexes WHERE tablename = 'container_pull_metrics' AND indexdef NOT LIKE 'CREATE UNIQUE %'";
    let indexes = postgres.psql(database, &format!("SELECT string_agg(indexdef, ';') {OTHERS}"));
    let names = postgres.psql(database, &format!("SELECT string_agg(quote_ident(indexname), ', ') {OTHERS}"));
    postgres.psql(database, &format!("DROP INDEX {names}"));
    postgres.psql(database, &ROWS.replace("LAST", &(days - 1).to_string()));
    postgres.psql(database, &format!("SET maintenance_work_mem = '1GB'; {indexes}"));
    postgres.psql(database, "VACUUM ANALYZE");
}

/// Waits until the server knows the rows, which came behind its back, and answers at once; tells how long that took.
/// None when it never does: what follows is measured all the same.
pub(crate) async fn wait_until_warm(server: &Program, pulls: u64) -> Option<Duration> {
    let client = reqwest::Client::new();
    let start = Instant::now();
    while start.elapsed() < WARM_LIMIT {
        let asked = Instant::now();
        let answer = client.get(server.url("/api/v1/summary")).send().await.expect("an answer");
        // Until then the database answers, which may take longer than a question may.
        if answer.status().is_success() {
            let summary: serde_json::Value = answer.json().await.expect("JSON");
            let is_whole = summary["by_kind"]["pull_by_tag"]["total"].as_u64() == Some(pulls);
            if is_whole && asked.elapsed() <= WARM {
                return Some(start.elapsed());
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
    None
}

/// An answer, and how long it took.
pub(crate) async fn ask(client: &reqwest::Client, server: &Program, path: &str) -> (Duration, String) {
    let start = Instant::now();
    let answer = client.get(server.url(path)).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    let body = answer.text().await.expect("a body");
    let time = start.elapsed();
    assert!(!body.is_empty(), "{path}: an empty answer");
    (time, body)
}

/// Asks until a page knows all it shows; tells how long that took.
pub(crate) async fn settle(client: &reqwest::Client, server: &Program, path: &str) -> Duration {
    let start = Instant::now();
    loop {
        let (_, body) = ask(client, server, path).await;
        if !INCOMPLETE.iter().any(|sign| body.contains(sign)) {
            // Else the rows' repositories are not the registry's.
            assert!(!body.contains("not in the registry"), "{path}: {body}");
            return start.elapsed();
        }
        assert!(start.elapsed() < WARM_LIMIT, "{path} is never complete");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn print_table(server: &Program, paths: &[&str]) {
    println!("| asked | first complete | p50 | p95 | compressed |\n| --- | --- | --- | --- | --- |");
    let client = reqwest::Client::new();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    for path in paths {
        let first = settle(&client, server, path).await;
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            times.push(ask(&client, server, path).await.0);
        }
        times.sort_unstable();
        println!(
            "| `{path}` | {:.0} ms | {:.1} ms | {:.1} ms | {:.1} kB |",
            milliseconds(first),
            milliseconds(times[times.len() / 2]),
            milliseconds(times[times.len() * 95 / 100]),
            weight(&client, server, path).await / 1e3
        );
    }
}

/// How many bytes a browser gets.
async fn weight(client: &reqwest::Client, server: &Program, path: &str) -> f64 {
    let asked = client.get(server.url(path)).header("accept-encoding", "gzip, br");
    let body = asked.send().await.expect("an answer").bytes().await.expect("a body");
    f64::from(u32::try_from(body.len()).expect("far less"))
}
