//! What the server tells of itself, at a listener of its own and of single repositories.

use std::{net::SocketAddr, time::Duration};

use staticreg_e2e::{
    Staticreg,
    client::{Answer, Connection},
};

use crate::one_pull;

/// Where the listener of those who watch is.
const WATCHED_AT: &str = "Listening for those who watch on http://";

/// More connections than they may have at once.
const CROWD: usize = 100;

fn get(address: SocketAddr, path: &str) -> Answer {
    Connection::open(address).and_then(|mut to| to.request("GET", path, &[], b"")).expect("an answer")
}

#[test]
fn metrics_have_a_listener_of_their_own_that_idle_connections_do_not_fill() {
    let environment = [("STATICREG_TELEMETRY_BIND_ADDR", "127.0.0.1:0"), ("STATICREG_TELEMETRY_REPOSITORIES", "1")];
    let mut server = Staticreg::start(&environment);
    let line = server.line(WATCHED_AT, Duration::from_mins(1));
    let (_, address) = line.split_once(WATCHED_AT).expect("an address");
    let watched: SocketAddr = address.trim_end_matches('"').parse().expect("an address");
    let notification = one_pull();
    let repository = notification["events"][0]["target"]["repository"].as_str().expect("a name").to_owned();
    assert_eq!(server.post(&notification).status, 200);

    let idle: Vec<_> = (0..CROWD).filter_map(|_| Connection::open(watched).ok()).collect();
    let told = get(watched, "/metrics");
    assert_eq!(told.status, 200);
    let series = format!("staticreg_repository_pulls_total{{repository=\"{repository}\"}} 1");
    assert!(told.body.lines().any(|line| line == series), "{series}\n{}", told.body);
    assert_eq!(get(watched, "/").status, 404);
    assert_eq!(server.get("/metrics").status, 404, "it is not here too");
    drop(idle);
    assert!(server.terminate().success(), "both listeners stop:\n{}", server.log());
}

#[test]
fn no_repository_is_told_unless_somebody_asks_for_some() {
    let server = Staticreg::start(&[]);
    assert_eq!(server.post(&one_pull()).status, 200);
    let told = server.get("/metrics").body;
    assert!(told.contains("staticreg_pulls_total") && !told.contains("repository="), "{told}");
}

#[test]
fn an_address_that_is_taken_is_told_with_its_setting() {
    let server = Staticreg::start(&[]);
    let taken = server.address().to_string();
    let environment = [("STATICREG_HTTP_BIND_ADDR", "127.0.0.1:0"), ("STATICREG_TELEMETRY_BIND_ADDR", &*taken)];
    let ended = Staticreg::run(&["serve"], &environment);
    assert!(!ended.status.success());
    let words = format!("STATICREG_TELEMETRY_BIND_ADDR: cannot listen on {taken}");
    assert!(ended.stderr.contains(&words), "{}", ended.stderr);
}
