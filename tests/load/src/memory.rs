//! What a full store in memory costs, and whom its questions keep waiting.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Days, SecondsFormat, Utc};
use tokio::task::JoinSet;

use crate::{
    events::{Client, write_pulls},
    program::Program,
    questions::{ask, settle},
    sender::{Load, exchange, send},
};

/// As many rows as there may be by default, each made by an event.
const ROWS: usize = 1_000_000;

/// Of so many repositories: as a large registry has them, and the most there can be.
const REPOSITORIES: [usize; 2] = [20_000, 1_000_000];

/// Events in a notification.
const EVENTS: usize = 5_000;

/// The rows' days.
const DAYS: u64 = 30;

/// The longest that the first page may take.
const WANTED: Duration = Duration::from_secs(5);

const FILLERS: usize = 2;

/// Fills the store, asks for the first page beside notifications, and prints the table.
pub(crate) async fn measure(duration: Duration, now: DateTime<Utc>) {
    println!("## {ROWS} rows in memory: the first page for {} s, beside notifications\n", duration.as_secs());
    println!("| repositories | filled in | memory then | asked | first complete | p50 | p99 | longest |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut too_late = Vec::new();
    for repositories in REPOSITORIES {
        let server = Arc::new(Program::start("staticreg", &[]).await);
        let start = Instant::now();
        fill(&server, repositories, now).await;
        let (filled, memory) = (start.elapsed().as_secs_f64(), server.peak_memory());
        let head = format!("| {repositories} | {filled:.0} s | {memory:.0} MiB");

        let client = reqwest::Client::new();
        let until = Instant::now() + duration;
        let pages = async {
            let first = settle(&client, &server, "/").await;
            (first, again_and_again(&client, &server, "/", until).await)
        };
        let health = again_and_again(&client, &server, "/healthz", until);
        let load = Load { client: Client::Podman, connections: 1, keep_alive: false, duration };
        let timestamp = now.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let posts = send(server.address, load, &timestamp, 1);
        let ((first, pages), health, posts) = tokio::join!(pages, health, posts);

        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let print = |what: &str, first: &str, [p50, p99, longest]: [Duration; 3]| {
            let [p50, p99, longest] = [p50, p99, longest].map(milliseconds);
            println!("{head} | {what} | {first} | {p50:.1} ms | {p99:.1} ms | {longest:.0} ms |");
        };
        print("`/`", &format!("{:.0} ms", milliseconds(first)), of(pages));
        print("`/healthz`", "", of(health));
        print("POST", "", [posts.percentile(50), posts.percentile(99), posts.longest()]);
        assert_eq!(posts.failed, 0, "every event is stored at once");
        println!("\nPeak memory of the server: {:.0} MiB\n", server.peak_memory());
        if first > WANTED {
            too_late.push(repositories);
        }
    }
    assert!(too_late.is_empty(), "`/` takes more than {WANTED:?} with {too_late:?} repositories");
}

/// Makes the rows, from the oldest day to the latest.
async fn fill(server: &Arc<Program>, repositories: usize, now: DateTime<Utc>) {
    let mut fillers = JoinSet::new();
    for filler in 0..FILLERS {
        let server = Arc::clone(server);
        fillers.spawn(async move {
            let (mut connection, mut request) = (None, Vec::new());
            for part in (filler..ROWS / EVENTS).step_by(FILLERS) {
                let rows = part * EVENTS..(part + 1) * EVENTS;
                let ago = DAYS - 1 - rows.start as u64 * DAYS / ROWS as u64;
                let at = (now - Days::new(ago)).to_rfc3339_opts(SecondsFormat::Secs, true);
                write_pulls(rows.map(|row| (row % repositories, row / repositories)), &at, &mut request);
                let status = exchange(server.address, &mut connection, &request).await.expect("an answer");
                assert_eq!(status, 200, "a notification of {EVENTS} events");
            }
        });
    }
    while let Some(filled) = fillers.join_next().await {
        filled.expect("it is filled");
    }
}

/// Asks until the time is over; tells how long each answer took.
async fn again_and_again(client: &reqwest::Client, server: &Program, path: &str, until: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < until || times.is_empty() {
        times.push(ask(client, server, path).await.0);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times
}

/// The time that half of them did not exceed, that all but a hundredth did not, and the longest.
fn of(mut times: Vec<Duration>) -> [Duration; 3] {
    times.sort_unstable();
    [50, 99, 100].map(|percent| times[(times.len() * percent / 100).min(times.len() - 1)])
}
