//! Clocks that are wrong, and odd times.

use serde_json::{Value, json};
use staticreg_e2e::{
    Staticreg,
    events::{next_number, notification, pull},
};

use crate::SOON;

#[test]
fn a_registry_whose_clock_is_ahead_is_counted_on_the_servers_date_and_told() {
    for counting in ["classified", "tagged"] {
        let server = Staticreg::start(&[("STATICREG_METRICS_COUNTING", counting)]);
        assert_eq!(server.get_json("/api/v1/summary")["clock_skew_seconds"], Value::Null);
        assert_eq!(server.get_json("/healthz/db")["clock_skew_seconds"], Value::Null);
        let mut ahead = pull(next_number());
        ahead["timestamp"] = json!("2999-01-15T12:00:00Z");
        let notification = notification(&[ahead]);
        for member in ["events_processed", "events_duplicate"] {
            let receipt = server.post(&notification).json();
            assert_eq!(receipt[member], 1, "{receipt}");
        }
        let summary = server.get_json("/api/v1/summary");
        let pulls = &summary["by_kind"]["pull_by_tag"];
        assert_eq!((&pulls["today"], &pulls["total"]), (&json!(1), &json!(1)), "{summary}");
        assert!(summary["last_at"].as_str().expect("a time") < "2999", "{summary}");
        let century = 100 * 365 * 24 * 3600;
        assert!(summary["clock_skew_seconds"].as_i64().expect("a number") > century, "{summary}");
        let health = server.get_json("/healthz/db");
        assert!(health["clock_skew_seconds"].as_i64().expect("a number") > century, "{health}");

        let warning = server.line("WARN The registry's clock is more than a day ahead", SOON);
        let date = server.get_json("/api/v1/pulls")["items"][0]["date"].as_str().expect("a date").to_owned();
        assert!(warning.contains("registry=2999-01-15 12:00:00 UTC") && warning.contains(&format!("server={date} ")));
        assert_eq!(server.log().matches("clock is more than").count(), 1, "once a minute");
    }
}

#[test]
fn a_leap_second_is_told_as_a_time_that_every_client_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = format!("sqlite://{}", folder.path().join("counts.db").display());
    for environment in [&[][..], &[("STATICREG_DB_URL", &*sqlite)]] {
        let server = Staticreg::start(environment);
        let mut event = pull(next_number());
        event["timestamp"] = json!("2016-12-31T23:59:60.5Z");
        assert_eq!(server.post(&notification(&[event])).json()["events_processed"], 1);
        let last = server.get_json("/api/v1/summary")["last_at"].as_str().expect("a time").to_owned();
        assert!(last.starts_with("2016-12-31T23:59:59.999999"), "{last}");
        let csv = server.connect().request("GET", "/api/v1/metrics?from=2016-12-31", &[("accept", "text/csv")], b"");
        let csv = csv.expect("an answer").body;
        assert!(csv.contains("2016-12-31T23:59:59.999999") && !csv.contains(":60"), "{csv}");
    }
}
