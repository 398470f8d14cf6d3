//! A real registry: Debian's `docker-registry` (Distribution 2.8), and small images pushed to it with `skopeo`.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// The media type of an image's manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// How long the registry may take to listen on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(3);

/// How the registry is set up.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// Where to listen; `127.0.0.1:0` takes a free port.
    pub address: String,
    /// Whether events tell what an index or a manifest refers to.
    pub include_references: bool,
    /// Whether events of blobs are left out, as `compose/registry.yml` does.
    pub ignore_blobs: bool,
    /// The `Authorization` header of its notifications, when they have one.
    pub authorization: Option<String>,
    /// A file of authorities that it trusts beside the system's, when there is one.
    pub authorities: Option<PathBuf>,
}

impl Default for RegistryOptions {
    /// As the registry is when nobody sets anything.
    fn default() -> Self {
        let address = "127.0.0.1:0".to_owned();
        Self { address, include_references: false, ignore_blobs: false, authorization: None, authorities: None }
    }
}

/// A running registry; stopped when dropped, with everything it stored.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    address: String,
    dir: TempDir,
}

impl Registry {
    /// Starts a registry that notifies a webhook. Panics with the registry's own words when it does not start.
    #[must_use]
    pub fn start(webhook_url: &str, options: &RegistryOptions) -> Self {
        Self::serve(options.authorities.as_deref(), |dir| configure(dir, webhook_url, options))
    }

    /// Starts a registry with the configuration made for its folder.
    fn serve(authorities: Option<&Path>, configure: impl FnOnce(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the registry");
        let configuration = dir.path().join("config.yml");
        let log = dir.path().join("log");
        fs::write(&configuration, configure(dir.path())).expect("the registry's configuration");
        let output = File::create(&log).expect("the registry's log");
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(&configuration)
            .envs(authorities.map(|file| ("SSL_CERT_FILE", file)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle of the log"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry cannot be started ({error}): run `make test-tools`"));
        match listening_address(&mut process, &log) {
            Ok(address) => Self { process, address, dir },
            Err(reason) => {
                stop(&mut process);
                panic!("docker-registry did not start: {reason}\n{}", fs::read_to_string(&log).unwrap_or_default())
            }
        }
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What clients write: `docker://HOST:PORT/NAME`.
    #[must_use]
    pub fn reference(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.address)
    }

    /// What the registry logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).expect("the registry's log")
    }

    /// Pushes an image, an index with all its children, under a name such as `demo/app:v1`.
    pub fn push(&self, image: &Image, name: &str) {
        skopeo(&[
            "copy",
            "--all",
            "--preserve-digests",
            "--dest-tls-verify=false",
            &format!("oci:{}", image.path().display()),
            &self.reference(name),
        ]);
    }

    /// Pulls the image for `linux/amd64` by `demo/app:v1` or `demo/app@sha256:...`, and throws it away.
    pub fn pull(&self, name: &str) {
        let target = tempfile::tempdir().expect("a folder for the image");
        let target = format!("dir:{}", target.path().join("image").display());
        let platform = ["--override-os=linux", "--override-arch=amd64"];
        skopeo(&[&platform[..], &["copy", "--src-tls-verify=false", &self.reference(name), &target]].concat());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

fn stop(process: &mut Child) {
    // It may have ended by itself; then there is nothing to stop.
    let _ = process.kill();
    let _ = process.wait();
}

/// Runs skopeo. Panics with its words when it fails.
pub fn skopeo(arguments: &[&str]) {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("skopeo cannot be started ({error}): run `make test-tools`"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {} failed: {words}", arguments.join(" "));
}

/// Waits for the log line that names the address, which is the only place where a free port is told.
fn listening_address(process: &mut Child, log: &Path) -> Result<String, String> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let logged = fs::read_to_string(log).map_err(|error| error.to_string())?;
        let address = logged.split_once("listening on ").map(|(_, rest)| {
            rest.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':' | '[' | ']')).collect::<String>()
        });
        if let Some(address) = address.filter(|_| logged.ends_with('\n')) {
            return Ok(address);
        }
        if let Some(status) = process.try_wait().map_err(|error| error.to_string())? {
            return Err(status.to_string());
        }
        if Instant::now() > deadline {
            return Err(format!("not listening after {START_LIMIT:?}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// JSON is YAML, and needs no care with quotes.
fn configure(dir: &Path, webhook_url: &str, options: &RegistryOptions) -> String {
    let ignored: &[&str] = if options.ignore_blobs { &["application/octet-stream"] } else { &[] };
    let headers = options.authorization.as_ref().map(|value| json!({"Authorization": [value]})).unwrap_or_default();
    json!({
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": true}},
        "storage": {"filesystem": {"rootdirectory": dir.join("storage")}, "delete": {"enabled": true}},
        "http": {"addr": options.address, "secret": "of a test"},
        "notifications": {
            "events": {"includereferences": options.include_references},
            "endpoints": [{
                "name": "staticreg",
                "url": webhook_url,
                "timeout": "5s",
                "threshold": 3,
                "backoff": "1s",
                "ignoredmediatypes": ignored,
                "headers": headers,
            }],
        },
    })
    .to_string()
}

/// A small image in an OCI layout of its own: one manifest, or an index of several.
#[derive(Debug)]
pub struct Image {
    layout: TempDir,
    digest: String,
    children: Vec<ImageChild>,
}

/// A manifest of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageChild {
    /// The platform, as `linux/arm64/v8`; `unknown/unknown` for an attestation.
    pub platform: String,
    /// The digest of its manifest.
    pub digest: String,
}

impl Image {
    /// An image for `linux/amd64`. The same words make the same digest.
    #[must_use]
    pub fn single(words: &str) -> Self {
        let layout = Layout::new();
        let manifest = layout.manifest(words, "linux/amd64");
        Self { digest: layout.finish(&manifest), layout: layout.0, children: Vec::new() }
    }

    /// An index of one image per platform, such as `linux/amd64` or `linux/arm64/v8`.
    #[must_use]
    pub fn multi(words: &str, platforms: &[&str]) -> Self {
        let layout = Layout::new();
        let manifests: Vec<Value> = platforms.iter().map(|platform| layout.manifest(words, platform)).collect();
        let children = platforms
            .iter()
            .zip(&manifests)
            .map(|(platform, manifest)| ImageChild { platform: (*platform).to_owned(), digest: digest_of(manifest) })
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let index = layout.blob(INDEX, index.to_string().as_bytes());
        Self { digest: layout.finish(&index), layout: layout.0, children }
    }

    /// The digest that a tag of this image points to.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The children of an index, in its order; none of a single image.
    #[must_use]
    pub fn children(&self) -> &[ImageChild] {
        &self.children
    }

    /// The digest of the child for a platform. Panics when there is none.
    #[must_use]
    pub fn child(&self, platform: &str) -> &str {
        let child = self.children.iter().find(|child| child.platform == platform);
        &child.unwrap_or_else(|| panic!("no child for {platform}")).digest
    }

    /// The folder of the layout.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.layout.path()
    }
}

/// An OCI image layout being written: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>.
struct Layout(TempDir);

impl Layout {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder for the image");
        fs::create_dir_all(Self::blobs(dir.path())).expect("a folder for its blobs");
        Self(dir)
    }

    fn blobs(dir: &Path) -> PathBuf {
        dir.join("blobs").join("sha256")
    }

    /// Writes a blob and gives its descriptor.
    fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        let hash = sha256(content);
        fs::write(Self::blobs(self.0.path()).join(&hash), content).expect("a blob");
        json!({"mediaType": media_type, "digest": format!("sha256:{hash}"), "size": content.len()})
    }

    /// Writes layer, configuration and manifest, and gives the manifest's descriptor.
    fn manifest(&self, words: &str, platform: &str) -> Value {
        let layer = layer(&format!("{words} for {platform}\n"));
        let diff_id = format!("sha256:{}", sha256(&layer));
        let platform = platform_members(platform);
        let mut config = platform.clone();
        config["config"] = json!({"Cmd": ["/hello"], "Labels": {"org.opencontainers.image.title": words}});
        config["rootfs"] = json!({"type": "layers", "diff_ids": [diff_id]});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(CONFIG, config.to_string().as_bytes()),
            "layers": [self.blob(LAYER, &layer)],
        });
        let mut descriptor = self.blob(MANIFEST, manifest.to_string().as_bytes());
        descriptor["platform"] = platform;
        descriptor
    }

    /// Makes a descriptor the layout's only entry, and gives its digest.
    fn finish(&self, root: &Value) -> String {
        let mut root = root.clone();
        root.as_object_mut().expect("a descriptor is an object").remove("platform");
        let index = json!({"schemaVersion": 2, "manifests": [root]});
        fs::write(self.0.path().join("index.json"), index.to_string()).expect("the layout's index");
        fs::write(self.0.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("the layout's mark");
        digest_of(&root)
    }
}

fn digest_of(descriptor: &Value) -> String {
    descriptor["digest"].as_str().expect("a descriptor has a digest").to_owned()
}

fn platform_members(platform: &str) -> Value {
    let mut parts = platform.split('/');
    let mut members = json!({"os": parts.next(), "architecture": parts.next()});
    if let Some(variant) = parts.next() {
        members["variant"] = variant.into();
    }
    members
}

/// An uncompressed layer with one file, the same for the same words.
fn layer(words: &str) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(words.len() as u64);
    header.set_mode(0o755);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "hello", words.as_bytes()).expect("a file in memory");
    archive.into_inner().expect("an archive in memory")
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes more text");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        sync::mpsc::{self, Receiver},
    };

    use super::*;

    /// Takes notifications and gives the events of each.
    fn webhook() -> (String, Receiver<Value>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (events, received) = mpsc::channel();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut request = Vec::new();
                let body = loop {
                    let mut part = [0; 4096];
                    let length = connection.read(&mut part).unwrap();
                    request.extend_from_slice(&part[..length]);
                    let text = String::from_utf8_lossy(&request);
                    let body = text.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str::<Value>(body));
                    if let Some(Ok(body)) = body {
                        break body;
                    }
                };
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
                for event in body["events"].as_array().unwrap() {
                    if events.send(event.clone()).is_err() {
                        return;
                    }
                }
            }
        });
        (url, received)
    }

    fn next(events: &Receiver<Value>) -> (String, String, Value) {
        let event = events.recv_timeout(START_LIMIT).expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["action"]), text(&event["target"]["digest"]), event["target"].clone())
    }

    #[test]
    fn the_registry_tells_of_a_push_and_of_pulls() {
        let (url, events) = webhook();
        let options = RegistryOptions { include_references: true, ignore_blobs: true, ..RegistryOptions::default() };
        let registry = Registry::start(&url, &options);
        let image = Image::multi("hello", &["linux/amd64", "linux/arm64/v8", "unknown/unknown"]);
        registry.push(&image, "demo/app:v1");

        let pushed: Vec<_> = (0..4).map(|_| next(&events)).collect();
        let mut expected: Vec<_> = image.children().iter().map(|child| child.digest.clone()).collect();
        expected.push(image.digest().to_owned());
        assert!(pushed.iter().all(|(action, ..)| action == "push"), "{pushed:?}");
        assert_eq!(pushed.iter().map(|(_, digest, _)| digest.clone()).collect::<Vec<_>>(), expected);
        assert_eq!(pushed[3].2["references"][1]["digest"], image.child("linux/arm64/v8"));

        registry.pull("demo/app:v1");
        let (action, digest, target) = next(&events);
        assert_eq!((action.as_str(), digest.as_str(), &target["tag"]), ("pull", image.digest(), &json!("v1")));
        let (action, digest, _) = next(&events);
        assert_eq!((action.as_str(), digest.as_str()), ("pull", image.child("linux/amd64")));

        let single = Image::single("alone");
        registry.push(&single, "demo/single:v2");
        registry.pull(&format!("demo/single@{}", single.digest()));
        assert_eq!(next(&events).1, single.digest());
        assert_eq!(next(&events).0, "pull");
        assert!(registry.log().contains("listening on"));
    }

    /// The configuration in `compose/`, at another address and with other folders.
    #[test]
    fn the_registry_of_compose_starts_and_tells_of_manifests_only() {
        let (url, events) = webhook();
        let registry = Registry::serve(None, |dir| {
            let compose = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose");
            let mut text = fs::read_to_string(compose.join("registry.yml")).unwrap();
            // The registry takes the variable for this part of its file.
            let services = fs::read_to_string(compose.join("compose.yaml")).unwrap();
            let (_, endpoints) = services.split_once("REGISTRY_NOTIFICATIONS_ENDPOINTS: |\n").unwrap();
            let endpoints = endpoints.lines().take_while(|line| line.starts_with("        "));
            text.push_str("  endpoints:\n");
            text.extend(endpoints.flat_map(|line| [line, "\n"]));
            let storage = dir.join("storage").display().to_string();
            for (there, here) in [
                ("http://${WEBHOOK_HOST:-staticreg:8093}/api/webhook/registry", url.as_str()),
                ("0.0.0.0:5000", "127.0.0.1:0"),
                ("/var/lib/registry", &storage),
            ] {
                assert!(text.contains(there), "{there}");
                text = text.replace(there, here);
            }
            text
        });
        let image = Image::multi("hello", &["linux/amd64", "linux/arm64"]);
        registry.push(&image, "demo/app:v1");
        let pushed: Vec<_> = (0..3).map(|_| next(&events)).collect();
        assert_eq!(pushed[2].2["tag"], "v1", "{pushed:?}");
        assert_eq!(pushed[2].2["references"][0]["digest"], image.child("linux/amd64"));
        registry.pull("demo/app:v1");
        assert_eq!(next(&events).1, image.digest());
        assert_eq!(next(&events).1, image.child("linux/amd64"));
    }

    #[test]
    fn the_same_words_make_the_same_digest() {
        assert_eq!(Image::single("a").digest(), Image::single("a").digest());
        assert_ne!(Image::single("a").digest(), Image::single("b").digest());
    }

    #[test]
    fn a_registry_that_cannot_start_says_why() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let options =
            RegistryOptions { address: taken.local_addr().unwrap().to_string(), ..RegistryOptions::default() };
        let refused = std::panic::catch_unwind(|| Registry::start("http://127.0.0.1:1/", &options)).unwrap_err();
        let words = refused.downcast_ref::<String>().unwrap();
        assert!(words.contains("address already in use"), "{words}");
    }
}
