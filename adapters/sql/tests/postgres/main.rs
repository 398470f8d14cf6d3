//! What is PostgreSQL's own: the schema, faults, and two servers on one database.

mod counts;
mod faults;
mod go_staticreg;
mod others;
mod partitions;
mod rights;
mod schema;
mod together;

use std::time::{Duration, Instant};

use staticreg_contract::{
    events::{now, pull},
    lists,
};
use staticreg_domain::metrics::{DateRange, Filter, MetricsError, MetricsRepository, PullEvent};
use staticreg_sql::{Options, SqlMetrics};
use tokio::time::sleep;

/// Longer than a busy machine keeps anybody waiting. Those who wait for each other in a circle are told after a second.
const LONG: Duration = Duration::from_mins(2);

fn options(url: &str) -> Options {
    Options { answer_timeout: LONG, question_timeout: LONG, ..Options::new(url.parse().expect("a URL")) }
}

/// Opens with limits that may be too short for a busy machine.
async fn open_in_the_end(options: &Options) -> SqlMetrics {
    in_the_end(async || SqlMetrics::open(options).await).await
}

/// Tries what a busy machine may be too late for until it is done.
async fn in_the_end<T, E: std::fmt::Debug>(attempt: impl AsyncFn() -> Result<T, E>) -> T {
    let started = Instant::now();
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => assert!(started.elapsed() < LONG, "{error:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn open(url: &str) -> SqlMetrics {
    SqlMetrics::open(&options(url)).await.expect("opens")
}

fn events(count: usize) -> Vec<PullEvent> {
    (0..count).map(|number| pull(&format!("app{}:v1", number % 5), "2026-11-20T10:00:00Z").event()).collect()
}

/// Gives a batch again until it is stored, as the recorder does.
async fn record_in_the_end(store: &SqlMetrics, batch: &[PullEvent]) {
    loop {
        match store.record(batch, now()).await {
            Ok(_) => return,
            Err(MetricsError::Unavailable(_)) => sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("neither stored nor unavailable: {error:?}"),
        }
    }
}

async fn sum(store: &SqlMetrics) -> u64 {
    lists::sum(store, lists::REPOSITORIES, &Filter::of_dates(DateRange::EVER)).await
}
