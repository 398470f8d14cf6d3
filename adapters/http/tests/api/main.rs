//! The webhook, the query API and the errors, in process. Mostly the store is a mock: here it matters what is asked of it
//! and what becomes of its answers and failures.

mod compare;
mod errors;
mod operations;
mod questions;
mod referrers;
mod registry;
#[path = "../support/mod.rs"]
mod support;
mod webhook;

use poem::test::TestResponse;
use serde_json::Value;
use staticreg_domain::metrics::{MetricsError, MockMetricsRepository, Recording};

use support::text;

const WEBHOOK: &str = "/api/webhook/registry";

async fn body(response: TestResponse) -> Value {
    serde_json::from_str(&text(response).await).expect("JSON")
}

fn away() -> MetricsError {
    MetricsError::Unavailable("password=secret at 10.0.0.1".into())
}

/// A store that takes everything.
fn taking_store() -> MockMetricsRepository {
    let mut store = MockMetricsRepository::new();
    store.expect_record().returning(|batch, _| Ok(vec![Recording::Counted; batch.len()]));
    store
}
