//! TLS, with the real program, a real registry and curl.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use rustix::process::Signal;
use staticreg_e2e::{
    Staticreg,
    client::WEBHOOK,
    events::{next_number, notification, pull},
    eventually,
};
use staticreg_test_support::{
    authority::{Authority, Pair},
    registry::{Image, Registry, RegistryOptions},
};
use tempfile::TempDir;

/// How long what comes by itself may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// The files of a server, and of an authority that signed its certificate.
struct Files {
    folder: TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().expect("a folder"), authority: Authority::new("Tests") };
        fs::write(files.path("authority.crt"), files.authority.certificate()).expect("written");
        files.put(&files.sign("server"));
        files
    }

    fn sign(&self, name: &str) -> Pair {
        self.authority.sign(name, &["localhost", "127.0.0.1"])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, pair: &Pair) {
        self.put_file("tls.crt", &pair.certificate);
        self.put_file("tls.key", &pair.key);
    }

    /// Puts another file in the place of one, as Kubernetes and editors do.
    fn put_file(&self, name: &str, content: &str) {
        fs::write(self.path("next"), content).expect("written");
        fs::rename(self.path("next"), self.path(name)).expect("moved");
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let text = |name| self.path(name).display().to_string();
        vec![("STATICREG_HTTP_TLS_CERT", text("tls.crt")), ("STATICREG_HTTP_TLS_KEY", text("tls.key"))]
    }

    fn start(&self, more: &[(&'static str, &str)]) -> Staticreg {
        let own = self.environment();
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        Staticreg::start(&own.chain(more.iter().copied()).collect::<Vec<_>>())
    }

    /// What curl answers that knows the authority.
    fn curl(&self, arguments: &[&str]) -> Output {
        let authority = self.path("authority.crt");
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "120", "--cacert"]).arg(authority).args(arguments);
        command.output().unwrap_or_else(|error| panic!("curl cannot be started ({error}): run `make test-tools`"))
    }

    /// The HTTP version and the status of an answer.
    fn status(&self, arguments: &[&str]) -> String {
        let format = ["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"];
        let output = self.curl(&[&format, arguments].concat());
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "curl {}: {words}", arguments.join(" "));
        String::from_utf8(output.stdout).expect("text")
    }
}

fn url(port: u16, path: &str) -> String {
    format!("https://localhost:{port}{path}")
}

/// As README's recipe for a registry and a private authority has it.
#[test]
fn a_registry_that_knows_the_authority_is_counted_at_the_webhooks_own_listener() {
    let files = Files::new();
    let server = files.start(&[("STATICREG_WEBHOOK_BIND_ADDR", "127.0.0.1:0")]);
    let line = server.line("Listening for notifications on https://", LIMIT);
    let webhook: u16 = line.rsplit_once(':').expect("a port").1.trim().parse().expect("a port");
    let main = server.address().port();
    let authorities = Some(files.path("authority.crt"));
    let options = RegistryOptions { authorities, ..Default::default() };
    let registry = Registry::start(&url(webhook, WEBHOOK), &options);
    registry.push(&Image::single("one"), "library/app:v1");
    registry.pull("library/app:v1");
    eventually("the registry's pull is counted", LIMIT, || {
        let summary = files.curl(&[&url(main, "/api/v1/summary")]).stdout;
        let summary: serde_json::Value = serde_json::from_slice(&summary).expect("JSON");
        (summary["by_kind"]["pull_by_tag"]["total"] == 1).then_some(())
    });
    assert_eq!(files.status(&["--data", "{}", &url(main, WEBHOOK)]), "2 404");
    assert_eq!(files.status(&[&url(webhook, "/healthz")]), "2 200");
    assert_eq!(files.status(&["--head", &url(main, "/")]), "2 200");
    assert_eq!(files.status(&[&url(webhook, "/")]), "2 404");
    assert_eq!(files.status(&["--http1.1", &url(main, "/")]), "1.1 200");
}

#[test]
fn whether_it_is_well_is_told_over_tls_and_to_who_shows_no_certificate_too() {
    let files = Files::new();
    let client_ca = files.path("authority.crt").display().to_string();
    for (client_ca, words) in [(None, None), (Some(client_ca), Some("registries cannot"))] {
        let client_ca = client_ca.as_deref().map(|file| ("STATICREG_HTTP_TLS_CLIENT_CA", file));
        let client_ca: Vec<_> = client_ca.into_iter().collect();
        let server = files.start(&client_ca);
        if let Some(words) = words {
            server.wait_for_line(words, LIMIT);
        }
        let address = server.address().to_string();
        let own = files.environment();
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        let environment: Vec<_> =
            own.chain(client_ca).chain([("STATICREG_HTTP_BIND_ADDR", address.as_str())]).collect();
        let healthy = Staticreg::run(&["health"], &environment);
        assert!(healthy.status.success(), "{}", healthy.stderr);
        let told = Staticreg::run(&["doctor"], &environment);
        let words = if words.is_some() {
            ["look   127.0.0.1:", "WRONG  the webhook asks for a TLS certificate, which registries cannot show"]
        } else {
            ["ok     its TLS certificate is in force", "ok     it takes notifications"]
        };
        assert!(words.iter().all(|words| told.stdout.contains(words)), "{}", told.stdout);
        // Without TLS it is not the server that is configured.
        let plain = Staticreg::run(&["health"], &[("STATICREG_HTTP_BIND_ADDR", address.as_str())]);
        assert!(!plain.status.success(), "{}", plain.stdout);
    }
}

#[test]
fn the_doctor_tells_of_a_certificate_that_clients_refuse() {
    let files = Files::new();
    files.put(&files.authority.sign_expired("old", &["localhost"]));
    let server = files.start(&[]);
    let address = server.address().to_string();
    let own = files.environment();
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    let environment: Vec<_> = own.chain([("STATICREG_HTTP_BIND_ADDR", address.as_str())]).collect();
    let told = Staticreg::run(&["doctor"], &environment);
    assert!(
        told.stdout.contains("WRONG  The TLS certificate has expired") && !told.status.success(),
        "{}",
        told.stdout
    );
}

#[test]
fn curl_learns_that_its_post_is_refused_over_http2() {
    let files = Files::new();
    let server = files.start(&[("STATICREG_WEBHOOK_TOKENS", "geheim")]);
    let url = url(server.address().port(), WEBHOOK);
    let body = files.path("body");
    for length in [1, 1 << 10, 60 << 10] {
        fs::write(&body, "x".repeat(length)).expect("written");
        let data = format!("@{}", body.display());
        let post = ["--http2", "--header", "content-type: application/json", "--data-binary", &data, &url];
        assert_eq!(files.status(&post), "2 401", "{length}");
        let post = [&["--header", "authorization: Bearer geheim"], &post[..]].concat();
        assert_eq!(files.status(&post), "2 400", "{length}");
    }
    fs::write(&body, notification(&[pull(next_number())]).to_string()).expect("written");
    let data = format!("@{}", body.display());
    let post = ["--header", "content-type: application/json", "--data-binary", &data, &url];
    assert_eq!(files.status(&[&["--header", "authorization: Bearer geheim"], &post[..]].concat()), "2 200");
}

#[test]
fn a_client_that_does_not_shake_hands_is_told_of_with_the_cause() {
    let files = Files::new();
    let server = files.start(&[("STATICREG_LOG_LEVEL", "debug")]);
    let port = server.address().port();
    let plain = format!("http://localhost:{port}/healthz");
    assert!(!files.curl(&[&plain]).status.success());
    server.wait_for_line("A connection ended early peer=127.0.0.1:", LIMIT);
    server.wait_for_line("error=received corrupt message of type InvalidContentType", LIMIT);
    let distrusting = Command::new("curl").args(["--silent", "--max-time", "120", &url(port, "/healthz")]).status();
    assert!(!distrusting.expect("curl").success());
    server.wait_for_line("error=received fatal alert: ", LIMIT);
    assert_eq!(files.status(&[&url(port, "/healthz")]), "2 200");
}

#[test]
fn files_that_change_are_taken_and_those_that_cannot_be_used_are_told_once() {
    let files = Files::new();
    let server = files.start(&[]);
    let is_well = || files.status(&[&url(server.address().port(), "/healthz")]);
    let lines = |words: &str| server.log().matches(words).count();
    files.put(&files.sign("next"));
    server.wait_for_line("has changed and is in force", LIMIT);
    assert_eq!(is_well(), "2 200");

    files.put_file("tls.key", &files.sign("other").key);
    server.signal(Signal::HUP);
    let told = server.line("cannot be used: the file", LIMIT);
    assert!(told.contains("tls.key does not match the certificate") && told.contains("stays in force"), "{told}");
    assert_eq!(is_well(), "2 200");

    files.put(&files.authority.sign_expired("old", &["localhost"]));
    server.wait_for_line("The TLS certificate has expired", LIMIT);
    files.put(&files.sign("last"));
    eventually("the last one is in force", LIMIT, || (lines("has changed and is in force") == 3).then_some(()));
    assert_eq!((is_well().as_str(), lines("cannot be used"), lines("has expired")), ("2 200", 1, 1));
}

#[test]
fn what_cannot_be_used_ends_the_start_with_what_to_do() {
    let files = Files::new();
    let path = |name: &str| files.path(name).display().to_string();
    let pipe = Command::new("mkfifo").arg(files.path("pipe")).status().expect("mkfifo can be started");
    assert!(pipe.success());
    let encrypted = files.path("encrypted.key");
    let openssl = Command::new("openssl")
        .args(["pkey", "-aes256", "-passout", "pass:geheim", "-in"])
        .arg(files.path("tls.key"))
        .arg("-out")
        .arg(&encrypted)
        .status()
        .expect("openssl can be started");
    assert!(openssl.success());
    let (cert, key, ca) = ("STATICREG_HTTP_TLS_CERT", "STATICREG_HTTP_TLS_KEY", "STATICREG_HTTP_TLS_CLIENT_CA");
    for (environment, words) in [
        (vec![(cert, path("tls.crt"))], "STATICREG_HTTP_TLS_KEY"),
        (vec![(key, path("tls.key"))], "STATICREG_HTTP_TLS_CERT"),
        (vec![(ca, path("authority.crt"))], "STATICREG_HTTP_TLS_CERT"),
        (vec![(cert, path("pipe")), (key, path("tls.key"))], "pipe cannot be read: it is no regular file"),
        (
            vec![(cert, "/dev/zero".to_owned()), (key, path("tls.key"))],
            "/dev/zero cannot be read: it is no regular file",
        ),
        (vec![(cert, path("missing")), (key, path("tls.key"))], "missing cannot be read: No such file"),
        (
            vec![(cert, path("tls.crt")), (key, path("encrypted.key"))],
            "is encrypted; decrypt it first with `openssl pkey",
        ),
        (vec![(cert, path("authority.crt")), (key, path("tls.key"))], "does not match the certificate"),
        (vec![(cert, path("tls.key")), (key, path("tls.key"))], "holds no certificate"),
    ] {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ended = Staticreg::run(&["--http-bind-addr", "127.0.0.1:0"], &environment);
        assert!(!ended.status.success() && ended.stderr.contains(words), "{words}: {}", ended.stderr);
        let named = environment.iter().any(|(name, _)| ended.stderr.contains(name));
        assert!(named, "{}", ended.stderr);
    }
    assert!(Path::new(&encrypted).exists());
}
