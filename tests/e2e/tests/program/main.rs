//! The program: its command line, its log, its start and stop, and what it answers to bad input over a real socket.

mod backup;
mod clocks;
mod command_line;
mod doctor;
mod go_staticreg;
mod input;
mod log;
mod migrate;
mod sd_notify;
mod start_and_stop;
mod status;
mod telemetry;
mod transfer;

use std::time::Duration;

use serde_json::Value;
use staticreg_e2e::{
    Staticreg,
    events::{next_number, notification, pull},
};

/// How long what happens at once may take on a busy machine.
const SOON: Duration = Duration::from_mins(2);

/// A notification that waits to be stored is soon given up: with it a test need not wait long for an answer 503.
const SHORT_PATIENCE: (&str, &str) = ("STATICREG_METRICS_PATIENCE", "3s");

fn one_pull() -> Value {
    notification(&[pull(next_number())])
}

/// A line of the text format without its time.
fn without_time(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').expect("a time comes first");
    assert!(time.len() == "2026-11-21T21:52:06.092311Z".len() && time.ends_with('Z'), "{line}");
    rest.trim_start()
}

fn has_line(server: &Staticreg, expected: &str) {
    server.wait_for_line(expected, SOON);
    let log = server.log();
    assert!(log.lines().any(|line| without_time(line) == expected), "no line is just `{expected}`:\n{log}");
}
