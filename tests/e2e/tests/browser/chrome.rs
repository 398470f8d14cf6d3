//! A headless chromium of its own, gone with its profile when stopped or dropped.

use std::{path::Path, process::Stdio};

use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::LIMIT;

/// Whether the browser runs scripts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    On,
    Off,
}

/// A browser and what drives it.
pub(crate) struct Chrome {
    pub(crate) client: Client,
    driver: Child,
    base: String,
    /// The browser's own process, which outlives a driver that is killed.
    browser: Option<Pid>,
    _profile: TempDir,
}

impl Chrome {
    pub(crate) async fn start(scripts: Scripts) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let (driver, base) = start_driver().await;
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--force-prefers-reduced-motion",
            "--window-size=1280,900",
        ];
        let mut flags: Vec<String> = flags.into_iter().map(str::to_owned).collect();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let mut chrome_options = json!({ "args": flags });
        if scripts == Scripts::Off {
            chrome_options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".to_owned(), chrome_options);
        let limit = LIMIT.as_millis();
        capabilities.insert("timeouts".to_owned(), json!({ "script": limit, "pageLoad": limit }));
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        // The driver listens on this machine and speaks plain HTTP.
        // reqwest wants one, also where it speaks without TLS only. Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&base)
            .await
            .expect("chromium starts");
        let browser = client.capabilities().and_then(|capabilities| capabilities.get("goog:processID")?.as_i64());
        let browser = browser.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        assert!(browser.is_some(), "chromium tells its process");
        Self { client, driver, base, browser, _profile: profile }
    }

    /// The width of the screen, and the colours its owner prefers.
    pub(crate) async fn look(&self, width: u32, scheme: &str) {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Keeps a picture of the whole page as test output.
    pub(crate) async fn screenshot(&self, name: &str) {
        // Swagger UI's page has no end.
        self.screenshot_of(name, 6_000.0).await;
    }

    /// Keeps a picture of the upper part of the page as test output.
    pub(crate) async fn screenshot_of(&self, name: &str, most_height: f64) {
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await["cssContentSize"].clone();
        let height = size["height"].as_f64().unwrap_or_default().min(most_height);
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1 });
        let picture =
            self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": true, "clip": clip })).await;
        let data = picture["data"].as_str().expect("a picture");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../output/screenshots");
        std::fs::create_dir_all(&folder).expect("a folder for the pictures");
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data).expect("base64");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("the picture is written");
    }

    /// What the browser complained about: errors of scripts, breaches of the policy, files that are not there.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", json!({ "type": "browser" })).await;
        let entries = log.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG")
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    pub(crate) async fn stop(mut self) {
        self.client.clone().close().await.expect("chromium stops");
        self.browser = None;
        self.driver.kill().await.expect("the driver stops");
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.command("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// A command of chromium-driver that is none of `WebDriver`'s.
    async fn command(&self, path: &str, body: Value) -> Value {
        let session = self.client.session_id().await.expect("the session answers").expect("there is a session");
        let url = format!("{}/session/{session}/{path}", self.base);
        let answer = reqwest::Client::new().post(url).json(&body).send().await.expect("the driver answers");
        let answer: Value = answer.json().await.expect("the driver answers JSON");
        assert!(answer["value"]["error"].is_null(), "{path}: {answer}");
        answer["value"].clone()
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        // A test failed before it was stopped; it may have ended by itself.
        let _ = self.browser.map(|browser| kill_process(browser, Signal::KILL));
    }
}

/// Starts the driver on a free port, and answers its address.
async fn start_driver() -> (Child, String) {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("chromedriver is installed; `make test-tools` says how");
    let mut lines = BufReader::new(driver.stdout.take().expect("its output is piped")).lines();
    while let Some(line) = lines.next_line().await.expect("the driver talks") {
        // "ChromeDriver was started successfully on port 12345."
        if let Some((_, port)) = line.split_once("successfully on port ") {
            let port = port.trim_end_matches('.').to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (driver, format!("http://127.0.0.1:{port}"));
        }
    }
    panic!("the driver ended before it was ready");
}
