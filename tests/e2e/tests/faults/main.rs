//! What must hold when things break: every event counts exactly once, nobody waits for what is away, and staticreg recovers
//! by itself.

mod database;
mod disk;
mod kills;
mod senders;
mod servers;

use std::{collections::BTreeMap, time::Duration};

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
fn assert_balanced(server: &Staticreg) -> BTreeMap<String, u64> {
    let metrics = server.get("/metrics");
    let lines = metrics.body.lines().filter_map(|line| line.strip_prefix("staticreg_balance_events{state=\""));
    let states = lines.map(|line| line.split_once("\"} ").expect("a state and a number"));
    let mut balance: BTreeMap<_, u64> =
        states.map(|(state, events)| (state.to_owned(), events.parse().expect("a number"))).collect();
    let received = balance.remove("received").expect("received");
    assert_eq!(balance.len(), 5, "{metrics:?}");
    assert_eq!(received, balance.values().sum::<u64>(), "{balance:?}");
    balance
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
