//! Debian's Prometheus reads what the server tells of itself.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use staticreg_e2e::{
    Staticreg,
    client::Connection,
    events::{next_number, notification, pull},
    eventually,
    sender::Sender,
};

/// How long what is waited for may take, however busy the machine is.
const LIMIT: Duration = Duration::from_mins(3);

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/prometheus").canonicalize().expect("ops/prometheus")
}

/// Runs promtool, which must be content; what it is given on its standard input.
fn promtool(arguments: &[&str], input: &str) {
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .current_dir(rules())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: run `make test-tools`");
    promtool.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
    let ended = promtool.wait_with_output().expect("an end");
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(ended.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn the_alerts_are_well_formed_and_fire_when_they_should_and_only_then() {
    promtool(&["check", "rules", "rules.yml"], "");
    promtool(&["test", "rules", "rules_test.yml"], "");
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let server = Staticreg::start(&[("STATICREG_TELEMETRY_REPOSITORIES", "5")]);
    for _ in 0..2 {
        assert_eq!(server.post(&notification(&[pull(next_number())])).status, 200);
        promtool(&["check", "metrics"], &server.get("/metrics").body);
    }
}

/// Prometheus at work; stopped when dropped.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Reads a server every second.
    fn start(server: &Staticreg) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
             scrape_configs: [{{job_name: staticreg, static_configs: [{{targets: ['{}']}}]}}]\n",
            rules().join("rules.yml").display(),
            server.address(),
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).expect("the configuration");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .spawn()
            .expect("prometheus is missing: run `make test-tools`");
        Self { process, address, _folder: folder }
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let answer = Connection::open(self.address).ok()?.request("GET", path, &[], b"").ok()?;
        (answer.status == 200).then(|| answer.json()["data"].clone())
    }

    /// The values that an expression has now.
    fn values(&self, expression: &str) -> Option<Vec<f64>> {
        let encoded = expression.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02X}"));
        let data = self.ask(&format!("/api/v1/query?query={encoded}"))?;
        let number = |result: &Value| result["value"][1].as_str()?.parse().ok();
        data["result"].as_array()?.iter().map(number).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The expressions of all panels, for all servers.
fn dashboard() -> Vec<String> {
    let file = fs::read_to_string(rules().join("../grafana/server.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&file).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets.map(|target| target["expr"].as_str().expect("text").replace("$instance", ".*")).collect()
}

#[test]
fn a_real_prometheus_reads_a_server_under_load_and_finds_its_balance_at_every_scrape() {
    let server = Staticreg::start(&[("STATICREG_TELEMETRY_REPOSITORIES", "5")]);
    let load = Sender { addresses: vec![server.address()], connections: 16, keep_alive: false }.start();
    let prometheus = Prometheus::start(&server);
    let received = r#"staticreg_balance_events{state="received"}"#;
    eventually("ten scrapes", LIMIT, || {
        let scrapes = prometheus.values(&format!("count_over_time({received}[5m])"))?;
        scrapes.first().filter(|scrapes| **scrapes >= 10.0).copied()
    });
    assert_eq!(prometheus.values("min_over_time(up[5m])"), Some(vec![1.0]), "it understood each answer");
    assert!(prometheus.values(received).expect("an answer")[0] > 0.0);
    let broken = format!(
        r#"count_over_time(({received} != ignoring(state) sum without (state) (staticreg_balance_events{{state!="received"}}))[5m:1s])"#
    );
    assert_eq!(prometheus.values(&broken), Some(Vec::new()));
    for (expression, what) in [
        (r#"rate(staticreg_webhook_requests_total{result="stored"}[1m])"#, "notifications"),
        (r#"rate(staticreg_pulls_total{kind="pull_by_tag"}[1m])"#, "pulls"),
        ("histogram_quantile(0.99, rate(staticreg_ack_duration_seconds_bucket[1m]))", "answers"),
        (r#"rate(staticreg_http_request_duration_seconds_count{route="/api/webhook/registry"}[1m])"#, "requests"),
        ("staticreg_store_up", "the store"),
        ("process_resident_memory_bytes", "memory"),
    ] {
        let values = prometheus.values(expression).expect("an answer");
        assert!(values.first().is_some_and(|value| *value > 0.0), "{what}: {values:?}");
    }
    for expression in dashboard() {
        let values = prometheus.values(&expression).unwrap_or_else(|| panic!("no answer to {expression}"));
        assert!(!values.is_empty(), "nothing to show: {expression}");
    }
    let rules = prometheus.ask("/api/v1/rules").expect("an answer");
    for rule in rules["groups"][0]["rules"].as_array().expect("rules") {
        assert_eq!((&rule["health"], &rule["state"]), (&"ok".into(), &"inactive".into()), "{rule}");
    }
    assert!(load.finish().events > 0);
}
