//! The log.

use std::{
    io::{BufRead as _, Write as _},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};
use staticreg_e2e::{
    Staticreg,
    client::{NOTIFICATION, WEBHOOK},
    events::{DIGEST, next_number, notification, pull},
    eventually, on_each_release,
};
use staticreg_test_support::postgres::{Durability, Postgres, Release, Stop};

use crate::{SHORT_PATIENCE, SOON, has_line, one_pull};

fn the_log_lines_people_look_for_are_written_to_the_letter(release: Release) {
    let memory = Staticreg::start(&[]);
    has_line(&memory, "WARN STATICREG_DB_URL environment variable is not set. Database functions will be disabled.");
    let number = next_number();
    assert_eq!(memory.post(&notification(&[pull(number)])).status, 200);
    has_line(&memory, "INFO Webhook processing completed totalEvents=1 eventsProcessed=1 eventsSkipped=0");
    let repository = pull(number)["target"]["repository"].as_str().expect("text").to_owned();
    has_line(
        &memory,
        &format!("INFO Pull metrics updated repository={repository} tag=v1 digest={DIGEST} architecture=arm64"),
    );
    assert_eq!(memory.post(&json!({"events": [{"action": "push"}]})).status, 200);
    let mut push = pull(next_number());
    push["action"] = json!("push");
    push["target"]["repository"] = json!("team/app");
    assert_eq!(memory.post(&notification(&[push])).status, 200);
    has_line(&memory, &format!("INFO Push recorded repository=team/app tag=v1 digest={DIGEST}"));
    assert!(!memory.log().contains("Skipping event"), "{}", memory.log());
    assert!(!memory.log().contains("eventsProcessed=0"), "what does not count has no line: {}", memory.log());

    let warning = Staticreg::start_at("127.0.0.1:0", &[("STATICREG_LOG_LEVEL", "warning,staticreg=info")]);
    has_line(&warning, "WARN STATICREG_DB_URL environment variable is not set. Database functions will be disabled.");

    let debugging = Staticreg::start(&[("STATICREG_LOG_LEVEL", "debug")]);
    let mut skipped = pull(number);
    skipped["target"]["tag"] = json!("new\nline");
    let long = json!({"action": "ä".repeat(10_000)});
    assert_eq!(debugging.post(&notification(&[skipped, json!({"action": "delete"}), long])).status, 200);
    has_line(
        &debugging,
        &format!(
            r#"DEBUG Skipping event: reason=invalid_tag action="pull" repository="{repository}" tag="new\nline" digest="{DIGEST}""#
        ),
    );
    has_line(&debugging, r#"DEBUG Skipping event: reason=not_a_pull action="delete""#);
    has_line(&debugging, "DEBUG Webhook processing completed totalEvents=3 eventsProcessed=0 eventsSkipped=3");
    assert!(!debugging.log().contains("Skipping pull event save"), "{}", debugging.log());
    assert_eq!(debugging.post(&notification(&[pull(number)])).status, 200);
    has_line(&debugging, "DEBUG Skipping pull event save: Database pool is not active.");
    assert_eq!(debugging.pulls(), 1, "counted all the same");
    has_line(&debugging, &format!("DEBUG Skipping event: reason=not_a_pull action=\"{}\"", "ä".repeat(128)));

    let postgres = Postgres::shared_of(release);
    let stored = Staticreg::start(&[("STATICREG_DB_URL", &postgres.new_database())]);
    has_line(&stored, "INFO PostgreSQL connection pool successfully initialized.");
    has_line(&stored, "INFO Database schema initialized successfully.");
}

#[test]
fn many_pulls_are_summed_up_in_one_line_a_second_and_none_is_left_out() {
    const PULLS: usize = 500;
    let mut server = Staticreg::start(&[]);
    for events in (0..PULLS).map(|_| pull(next_number())).collect::<Vec<_>>().chunks(50) {
        assert_eq!(server.post(&notification(events)).status, 200);
    }
    assert!(server.terminate().success());
    let log = server.log();
    let of_their_own = log.lines().filter(|line| line.contains("INFO Pull metrics updated")).count();
    let summed_up = |line: &str| {
        let (_, rest) = line.split_once("summed up notifications=")?;
        rest.split_once(" pulls=")?.1.split(' ').next()?.parse::<usize>().ok()
    };
    let summed_up: usize = log.lines().filter_map(summed_up).sum();
    assert_eq!(of_their_own + summed_up, PULLS, "{log}");
    assert!(summed_up > 0, "{log}");
}

/// Lines of the log that are far more than fit where they wait: each event that is no pull has one, at debug.
fn flood(server: &Staticreg) {
    let events = vec![json!({"action": "x".repeat(100)}); 10_000];
    let body = notification(&events).to_string();
    for _ in 0..3 {
        let answer = server.connect().request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], body.as_bytes());
        assert_eq!(answer.expect("an answer").status, 200);
    }
}

#[test]
fn an_output_that_nobody_reads_holds_nothing_up_and_the_dropped_lines_are_told() {
    let (mut server, output) = Staticreg::start_into_pipe(&[("STATICREG_LOG_LEVEL", "debug")]);
    flood(&server);
    assert_eq!(server.post(&one_pull()).status, 200);
    assert_eq!(server.pulls(), 1);

    let (line, read) = mpsc::channel();
    thread::spawn(move || output.lines().for_each(|read| line.send(read.expect("text")).expect("somebody waits")));
    let mut lines = Vec::new();
    let told = loop {
        let next = read.recv_timeout(SOON).expect("the drop is told");
        lines.push(next.clone());
        if next.contains("WARN Log lines were dropped") {
            break next;
        }
    };
    assert!(server.terminate().success());
    lines.extend(read);
    let dropped: usize = told.rsplit_once("lines=").expect("a number").1.parse().expect("a number");
    let written = lines.iter().filter(|line| line.contains("DEBUG Skipping event:")).count();
    assert!(dropped > 0 && written > 0, "{told}");
    assert!((30_000..30_100).contains(&(written + dropped)), "{written} written, {dropped} dropped");
}

#[test]
fn a_stop_ends_though_nobody_reads_the_output() {
    let (mut server, _output) = Staticreg::start_into_pipe(&[("STATICREG_LOG_LEVEL", "debug")]);
    flood(&server);
    assert!(server.terminate().success());
}

#[test]
fn an_error_at_start_ends_the_program_though_nobody_reads_what_it_says() {
    let (_reader, mut writer) = std::io::pipe().expect("a pipe");
    // What fits into a pipe.
    writer.write_all(&vec![b'x'; 64 * 1024]).expect("room");
    let ended = Staticreg::run_into(writer, &[("STATICREG_LOG_FORMAT", "red")]);
    assert_eq!(ended.code(), Some(1));
}

#[test]
fn json_log_lines_hold_the_same_words() {
    let server = Staticreg::start(&[("STATICREG_LOG_FORMAT", "json")]);
    assert_eq!(server.post(&one_pull()).status, 200);
    server.wait_for_line("Webhook processing completed", SOON);
    server.wait_for_line("Pull metrics updated", SOON);
    let lines: Vec<Value> =
        server.log().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let line = |message: &str| {
        lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{message}: {lines:#?}"))
    };
    let completed = line("Webhook processing completed");
    assert_eq!(completed["level"], "INFO");
    assert_eq!(
        (&completed["totalEvents"], &completed["eventsProcessed"], &completed["eventsSkipped"]),
        (&json!(1), &json!(1), &json!(0))
    );
    let updated = line("Pull metrics updated");
    assert_eq!((&updated["tag"], &updated["digest"]), (&json!("v1"), &json!(DIGEST)));
    line("STATICREG_DB_URL environment variable is not set. Database functions will be disabled.");
}

fn no_secret_is_ever_in_the_log(release: Release) {
    let postgres = Postgres::start_of(release, Durability::Volatile);
    let url = postgres.new_database().replace("postgres@", "postgres:geheim@");
    let registry = TcpListener::bind("127.0.0.1:0").expect("a port");
    let registry = registry.local_addr().expect("its address").to_string();
    let mut server = Staticreg::start(&[
        ("STATICREG_DB_URL", &url),
        ("STATICREG_REGISTRY_HOSTNAME", &registry),
        ("STATICREG_REGISTRY_USER", "reader"),
        ("STATICREG_REGISTRY_PASSWORD", "verschwiegen"),
        ("STATICREG_LOG_LEVEL", "trace"),
        SHORT_PATIENCE,
    ]);
    server.wait_for_store();
    eventually("an event is stored", SOON, || (server.post(&one_pull()).status == 200).then_some(()));
    postgres.stop(Stop::Immediate);
    assert_eq!(server.post(&one_pull()).status, 503);
    assert_eq!(server.get("/healthz/db").status, 503);
    assert_eq!(server.get("/api/v1/summary").status, 503);
    server.terminate();
    let log = server.log();
    assert!(log.contains(" TRACE ") || log.contains(" DEBUG "), "{log}");
    // Also not as basic authentication has it: base64 of reader:verschwiegen.
    for secret in ["geheim", "verschwiegen", "cmVhZGVyOnZlcnNjaHdpZWdlbg"] {
        assert!(!log.contains(secret), "{log}");
    }
}

on_each_release![the_log_lines_people_look_for_are_written_to_the_letter, no_secret_is_ever_in_the_log,];
