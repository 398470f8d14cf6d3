//! What must hold when things break: every event counts exactly once, nobody waits for what is away, and staticreg recovers
//! by itself.

mod database;
mod disk;
mod kills;
mod senders;
mod servers;

use std::time::Duration;

use serde_json::Value;
use staticreg_e2e::{
    Staticreg, eventually,
    sender::{Load, Sender, Sent},
};
use staticreg_test_support::postgres::Release;

/// A notification that waits to be stored is soon given up: with it a test need not wait long for an answer 503.
const SHORT_PATIENCE: (&str, &str) = ("STATICREG_METRICS_PATIENCE", "3s");

/// How long what is waited for may take, however busy the machine is.
const LIMIT: Duration = Duration::from_mins(3);

/// Of the tests whose fault is the program's own or its spool's, where one release of PostgreSQL is as good as another:
/// the one that most set-ups start with.
const ANY: Release = Release::Eighteen;

fn load(server: &Staticreg, connections: usize) -> Load {
    Sender { addresses: vec![server.address()], connections, keep_alive: false }.start()
}

fn assert_counted_once(server: &Staticreg, sent: &Sent) {
    assert_eq!(server.pulls(), sent.events, "{sent:?}");
}

/// That what was received is the sum of what became of it; the balance.
fn assert_balanced(server: &Staticreg) -> Value {
    // The answer is 503 while the database is away and was never asked.
    let summary = eventually("the summary", LIMIT, || {
        let answer = server.get("/api/v1/summary");
        (answer.status == 200).then(|| answer.json())
    });
    let balance = &summary["balance"];
    let of = |state: &str| balance[state].as_u64().unwrap_or_else(|| panic!("no {state}: {balance}"));
    let ended: u64 = ["counted", "skipped", "duplicate", "refused", "waiting"].map(of).iter().sum();
    assert_eq!(of("received"), ended, "{balance}");
    balance.clone()
}

fn spooled(server: &Staticreg) -> Option<u64> {
    let answer = server.get("/healthz/db");
    (answer.status == 200).then(|| answer.json()["events_spooled"].as_u64().expect("a number"))
}

fn wait_until_replayed(server: &Staticreg) {
    eventually("the spool is empty", LIMIT, || spooled(server).filter(|waiting| *waiting == 0));
}

/// Sends an event again until it is stored.
fn until_stored(server: &Staticreg, event: &Value, events: &mut u64) {
    eventually("an event is stored", LIMIT, || (server.post(event).status == 200).then_some(()));
    *events += 1;
}
