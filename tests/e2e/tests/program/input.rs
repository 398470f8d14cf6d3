//! Bad input over a real socket.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use staticreg_e2e::{
    Staticreg,
    client::{Connection, NOTIFICATION, WEBHOOK, post, request},
    events::{self, next_number, notification, pull},
};

use crate::{SOON, one_pull};

#[test]
fn bad_input_is_told_apart() {
    let server = Staticreg::start(&[]);
    let mut connection = server.connect();
    for (content_type, body, status, detail) in [
        (NOTIFICATION, "", 400, "The body is no notification"),
        (NOTIFICATION, "{", 400, "line 1 column 1"),
        (NOTIFICATION, "[]", 400, "The body is no notification"),
        (NOTIFICATION, "{\"events\": {}}", 400, "The body is no notification"),
        (NOTIFICATION, "{\"event\": []}", 400, "events"),
        (NOTIFICATION, "null", 400, "The body is no notification"),
        (NOTIFICATION, "\u{0}\u{1}", 400, "The body is no notification"),
        ("text/plain", "{\"events\": []}", 415, "application/json"),
        ("", "{\"events\": []}", 415, "application/json"),
    ] {
        let answer = connection.request("POST", WEBHOOK, &[("content-type", content_type)], body.as_bytes());
        let answer = answer.expect("an answer, on the same connection");
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.problem().contains(detail), "{body}: {answer:?}");
    }
    for content_type in ["application/json", "application/json; charset=utf-8", "application/cloudevents+json"] {
        let answer = connection.request("POST", WEBHOOK, &[("content-type", content_type)], b"{\"events\": []}");
        assert_eq!(answer.expect("an answer").json()["total_events"], 0);
    }
    assert_eq!(server.pulls(), 0);
}

#[test]
fn one_odd_event_does_not_spoil_its_envelope() {
    let server = Staticreg::start(&[]);
    let mut with = Vec::new();
    let mut odd = |change: &dyn Fn(&mut Value)| {
        let mut event = pull(next_number());
        change(&mut event);
        with.push(event);
    };
    odd(&|_| ());
    odd(&|event| *event = Value::Null);
    odd(&|event| *event = json!("event"));
    odd(&|event| *event = json!({}));
    odd(&|event| event["action"] = json!("dance"));
    odd(&|event| event["target"] = Value::Null);
    odd(&|event| event["target"]["mediaType"] = json!(7));
    odd(&|event| event["target"]["repository"] = json!("a\u{0}b"));
    odd(&|event| event["target"]["repository"] = json!("a/".repeat(200) + "b"));
    odd(&|event| event["target"]["tag"] = json!("x".repeat(10_000)));
    odd(&|event| event["target"]["digest"] = json!("sha256:short"));
    odd(&|event| event["timestamp"] = json!("10000-01-01T00:00:00Z"));
    odd(&|event| event["timestamp"] = json!("0001-01-01T00:00:00Z"));
    odd(&|event| event["timestamp"] = json!(1_768_478_400));
    odd(&|event| event["request"]["useragent"] = json!("staticreg/0.1"));
    odd(&|event| event["request"] = json!([]));
    odd(&|event| event["id"] = json!("no uuid"));
    let answer = server.post(&notification(&with));
    let receipt = answer.json();
    assert_eq!(
        receipt,
        json!({
            "total_events": 17, "events_processed": 3, "events_skipped": 14, "events_duplicate": 0,
            "events_spooled": 0,
            "skipped": {
                "not_a_pull": 4, "not_a_manifest": 2, "invalid_repository": 2, "invalid_tag": 1,
                "invalid_digest": 1, "invalid_timestamp": 3, "own_request": 1,
            },
        })
    );
    assert_eq!(server.pulls(), 3);
}

#[test]
fn who_posts_can_neither_fill_the_database_with_names_nor_change_what_is_long_ago() {
    let server = Staticreg::start(&[("STATICREG_METRICS_MAX_NEW_NAMES_PER_DAY", "5")]);
    let made_up = |from: u32| -> Vec<_> {
        let access = |tag| events::access(next_number(), "GET", "demo/app", Some(&format!("made-up-{tag}")));
        (from..from + 15).map(access).collect()
    };
    // On the day of the start four times as many.
    let receipts = [0, 15, 0].map(|from| server.post(&notification(&made_up(from))).json());
    let skipped = receipts.map(|receipt| receipt["skipped"]["too_many_names"].as_u64().unwrap_or_default());
    assert_eq!(skipped, [0, 10, 0], "names that were met pass");
    let told = "WARN Too many new names today: until tomorrow (UTC) events of further ones are skipped.";
    server.wait_for_line(told, SOON);
    assert_eq!(server.log().matches("Too many new names").count(), 1);

    let server = Staticreg::start(&[("STATICREG_METRICS_MAX_AGE", "1h")]);
    let mut old = pull(next_number());
    old["timestamp"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(server.post(&notification(&[old])).json()["skipped"], json!({ "too_old": 1 }));
}

#[test]
fn a_body_that_is_too_large_is_read_no_further() {
    const LIMIT: usize = 64 * 1024;
    let server = Staticreg::start(&[("STATICREG_WEBHOOK_MAX_BODY", "64KiB")]);
    let head =
        |how: &str| format!("POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\ncontent-type: {NOTIFICATION}\r\n{how}\r\n\r\n");

    // The length is told: nothing of the body is waited for.
    let mut connection = server.connect();
    connection.write(head(&format!("content-length: {}", LIMIT + 1)).as_bytes()).expect("sent");
    let answer = connection.answer().expect("an answer before the body");
    assert_eq!(answer.status, 413);
    assert!(answer.problem().contains("65536"), "{answer:?}");

    // In chunks: the answer comes once the limit is passed.
    let mut connection = server.connect();
    connection.write(head("transfer-encoding: chunked").as_bytes()).expect("sent");
    let chunk = [format!("{LIMIT:x}\r\n").as_bytes(), &vec![b' '; LIMIT], b"\r\n"].concat();
    connection.write(&chunk).expect("sent");
    connection.write(b"1\r\n \r\n").expect("sent");
    assert_eq!(connection.answer().expect("an answer without the end").status, 413);

    // And a body without end is not taken: what is written beyond fits the sockets' buffers.
    let mut connection = server.connect();
    connection.write(head("transfer-encoding: chunked").as_bytes()).expect("sent");
    let chunks = (0..1_000).take_while(|_| connection.write(&chunk).is_ok()).count();
    assert!(chunks * LIMIT < 16 * 1024 * 1024, "{chunks} chunks were taken");

    assert_eq!(server.post(&one_pull()).status, 200);
}

#[test]
fn a_notification_of_too_many_events_is_told_so() {
    let server = Staticreg::start(&[]);
    let body = format!("{{\"events\":[0{}]}}", ",0".repeat(8_000_000));
    let answer = server.connect().request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], body.as_bytes());
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.problem().contains("more than 32768 events"), "{answer:?}");
}

#[test]
fn large_bodies_are_held_only_so_many_at_once_and_small_ones_always_pass() {
    let server = Staticreg::start(&[("STATICREG_HTTP_BODY_TIMEOUT", "30m")]);
    let mut empty = b"{\"events\": []}".to_vec();
    empty.resize(16 << 20, b' ');
    let whole = request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], &empty);
    let (most, rest) = whole.split_at(whole.len() - 1);
    let mut large: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for connection in &mut large {
        connection.write(most).expect("sent");
    }
    large.iter().for_each(Connection::wait_until_read);

    // Only so much that it finds no room, the four having left 32 KiB and a byte each: who still writes when the answer
    // comes may not read it.
    let other = request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], &empty);
    let mut connection = server.connect();
    connection.write(&other[..other.len() - empty.len() + 5 * ((32 << 10) + 1)]).expect("sent");
    let refused = connection.answer().expect("an answer");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("1"), "{refused:?}");
    assert!(refused.problem().contains("send this again"), "{refused:?}");
    assert_eq!(server.post(&one_pull()).json()["events_processed"], 1);

    for connection in &mut large {
        connection.write(rest).expect("sent");
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
    let again = server.connect().request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], &empty);
    assert_eq!(again.expect("an answer").status, 200);
}

#[test]
fn a_body_of_just_the_limit_is_taken_whole_and_in_chunks() {
    let server = Staticreg::start(&[("STATICREG_WEBHOOK_MAX_BODY", "4096")]);
    let mut body = one_pull().to_string().into_bytes();
    body.resize(4096, b' ');
    let mut connection = server.connect();
    let whole = connection.request("POST", WEBHOOK, &[("content-type", NOTIFICATION)], &body).expect("an answer");
    assert_eq!(whole.json()["events_processed"], 1, "{whole:?}");
    let head = format!(
        "POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\ncontent-type: {NOTIFICATION}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    connection.write(head.as_bytes()).expect("sent");
    for part in body.chunks(1000) {
        connection.write(format!("{:x}\r\n", part.len()).as_bytes()).expect("sent");
        connection.write(part).expect("sent");
        connection.write(b"\r\n").expect("sent");
    }
    connection.write(b"0\r\n\r\n").expect("sent");
    assert_eq!(connection.answer().expect("an answer").json()["events_duplicate"], 1);
}

#[test]
fn a_body_that_takes_too_long_is_given_up() {
    let server = Staticreg::start(&[("STATICREG_HTTP_BODY_TIMEOUT", "1s")]);
    let mut connection = server.connect();
    let whole = post(&one_pull());
    let began = Instant::now();
    connection.write(&whole[..whole.len() - 1]).expect("sent");
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(!answer.problem().is_empty());
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(connection.is_closed_within(SOON), "the rest of the body would be taken for a request");
    assert_eq!(server.pulls(), 0);
}

#[test]
fn a_head_that_takes_too_long_is_given_up() {
    let server = Staticreg::start(&[("STATICREG_HTTP_HEADER_TIMEOUT", "1s")]);
    let mut slow = server.connect();
    slow.write(b"POST /api/webhook/registry HTTP/1.1\r\nhost: ").expect("sent");
    let mut idle = server.connect();
    assert!(slow.is_closed_within(SOON) && idle.is_closed_within(SOON));
}

#[test]
fn a_connection_is_used_again_and_requests_may_follow_at_once() {
    let server = Staticreg::start(&[]);
    let mut connection = server.connect();
    for _ in 0..20 {
        assert_eq!(connection.post(&one_pull()).expect("an answer").status, 200);
    }
    let both = [post(&one_pull()), post(&one_pull()), request("GET", "/api/v1/summary", &[], b"")].concat();
    connection.write(&both).expect("sent");
    for _ in 0..2 {
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
    assert_eq!(connection.answer().expect("an answer").json()["by_kind"]["pull_by_tag"]["total"], 22);
}

#[test]
fn head_gives_the_headers_of_get_and_no_body() {
    let server = Staticreg::start(&[]);
    for path in ["/docs", "/openapi.json"] {
        let page = server.get(path);
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        write!(stream, "HEAD {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
        for name in ["etag", "content-length", "content-type"] {
            let header = format!("\r\n{name}: {}\r\n", page.header(name).expect(name));
            assert!(answer.contains(&header), "{header} {answer}");
        }
    }
}

#[test]
fn what_is_no_http_gets_no_more_than_an_error() {
    let server = Staticreg::start(&[]);
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut connection = server.connect();
        connection.write(garbage).expect("sent");
        if let Ok(answer) = connection.answer() {
            assert!((400..600).contains(&answer.status), "{answer:?}");
        }
        assert!(connection.is_closed_within(SOON));
    }
    let mut connection = server.connect();
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1024 * 1024));
    // The server may close before everything is written.
    let _ = connection.write(long.as_bytes());
    if let Ok(answer) = connection.answer() {
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    assert_eq!(server.post(&one_pull()).status, 200);
}

#[test]
fn wrong_questions_paths_and_methods_are_told_as_problems() {
    let server = Staticreg::start(&[]);
    for (question, parameter) in [
        ("pulls?from=2026-13-01", "from"),
        ("pulls?from=2026-02-02&to=2026-02-01", "from"),
        ("images?limit=0", "limit"),
        ("images?limit=10000", "limit"),
        ("images?kind=guess", "kind"),
        ("pulls?group_by=mood", "group_by"),
        ("images?cursor=%21", "cursor"),
    ] {
        let answer = server.get(&format!("/api/v1/{question}"));
        assert_eq!(answer.status, 400, "{question}: {answer:?}");
        assert!(answer.problem().contains(parameter), "{question}: {answer:?}");
    }
    for (method, path, status) in [
        ("GET", "/api/nothing", 404),
        ("GET", "/api/v1/", 404),
        ("POST", "/api/v1/images", 405),
        ("DELETE", WEBHOOK, 405),
        ("PUT", WEBHOOK, 405),
        ("GET", WEBHOOK, 405),
        ("GET", "/api/webhook/registry/", 405),
    ] {
        let answer = server.connect().request(method, path, &[], b"").expect("an answer");
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(!answer.problem().is_empty());
    }
    assert!(server.get(WEBHOOK).problem().contains("webhook"));
    let slash = server.connect().request(
        "POST",
        "/api/webhook/registry/",
        &[("content-type", NOTIFICATION)],
        one_pull().to_string().as_bytes(),
    );
    assert_eq!(slash.expect("an answer").json()["events_processed"], 1);
}
