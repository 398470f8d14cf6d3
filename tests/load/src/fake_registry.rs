//! A registry of many repositories that takes its time for every answer, as one beside a slow store does.

use std::{collections::HashMap, fmt::Write as _, io, net::SocketAddr, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
/// Repositories that Distribution lists at once.
const PAGE: usize = 1_000;
/// The longest head of a request.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A repository of the registry.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    pub(crate) name: String,
    /// How many images it holds, tagged `v1`, `v2`, ...
    pub(crate) images: usize,
    /// Whether the last is `latest` too.
    pub(crate) latest: bool,
}

/// The registry, on a free port of this machine; it ends when dropped.
pub(crate) struct FakeRegistry {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl FakeRegistry {
    /// Serves a registry that answers each request after `delay`. Every fourth repository holds multi-platform images.
    pub(crate) async fn start(repositories: impl IntoIterator<Item = Repository>, delay: Duration) -> io::Result<Self> {
        let contents = Arc::new(Contents::new(repositories));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let contents = contents.clone();
                // A client that goes away ends its connection: that is no failure.
                tokio::spawn(async move { serve(stream, &contents, delay).await.unwrap_or_default() });
            }
        });
        Ok(Self { address, serving })
    }

    /// `HOST:PORT`.
    pub(crate) fn hostname(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Contents {
    /// In byte order.
    repositories: Vec<String>,
    /// By repository and tag.
    tags: HashMap<String, Vec<(String, String)>>,
    /// By digest: media type and body.
    blobs: HashMap<String, (&'static str, String)>,
}

impl Contents {
    fn new(repositories: impl IntoIterator<Item = Repository>) -> Self {
        let mut contents = Self { repositories: Vec::new(), tags: HashMap::new(), blobs: HashMap::new() };
        for (number, Repository { name, images, latest }) in repositories.into_iter().enumerate() {
            let mut tags: Vec<(String, String)> = (1..=images)
                .map(|image| (format!("v{image}"), contents.add_image(&name, image, number % 4 == 0)))
                .collect();
            let last = tags.last().filter(|_| latest).map(|(_, digest)| ("latest".to_owned(), digest.clone()));
            tags.extend(last);
            contents.repositories.push(name.clone());
            contents.tags.insert(name, tags);
        }
        contents.repositories.sort_unstable();
        contents
    }

    /// Adds an image, or an index of three; answers its digest.
    fn add_image(&mut self, name: &str, image: usize, multi_platform: bool) -> String {
        if !multi_platform {
            return self.add_manifest(name, image, "amd64").0;
        }
        let entries: Vec<String> = ["amd64", "arm64", "s390x"]
            .map(|architecture| {
                let (digest, length) = self.add_manifest(name, image, architecture);
                format!(
                    r#"{{"mediaType":"{IMAGE}","digest":"{digest}","size":{length},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#
                )
            })
            .to_vec();
        let entries = entries.join(",");
        self.add_blob(INDEX, format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entries}]}}"#)).0
    }

    fn add_manifest(&mut self, name: &str, image: usize, architecture: &str) -> (String, usize) {
        let configuration = format!(
            r#"{{"architecture":"{architecture}","os":"linux","created":"2026-01-02T03:04:05Z","config":{{"Env":["PATH=/usr/local/bin:/usr/bin:/bin"],"Entrypoint":["/service"],"Labels":{{"org.opencontainers.image.title":"{name}","org.opencontainers.image.version":"{image}"}}}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        let (configuration, length) = self.add_blob(CONFIGURATION, configuration);
        let layers: Vec<String> = (0..8)
            .map(|layer| {
                let digest = digest_of(format!("{name}{layer}").as_bytes());
                format!(
                    r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":{}}}"#,
                    1_000_000 * (layer + 1)
                )
            })
            .collect();
        let layers = layers.join(",");
        self.add_blob(
            IMAGE,
            format!(
                r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{{"mediaType":"{CONFIGURATION}","digest":"{configuration}","size":{length}}},"layers":[{layers}]}}"#
            ),
        )
    }

    /// Adds content; answers its digest and length.
    fn add_blob(&mut self, media_type: &'static str, body: String) -> (String, usize) {
        let (digest, length) = (digest_of(body.as_bytes()), body.len());
        self.blobs.insert(digest.clone(), (media_type, body));
        (digest, length)
    }

    /// The answer to a request without its body's end: status, headers and body.
    fn answer(&self, target: &str) -> Option<(String, String)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path == "/v2/_catalog" {
            return Some(self.catalog(query));
        }
        let path = path.strip_prefix("/v2/")?;
        if let Some(name) = path.strip_suffix("/tags/list") {
            let tags: Vec<&str> = self.tags.get(name)?.iter().map(|(tag, _)| tag.as_str()).collect();
            return Some((String::new(), serde_json::json!({ "name": name, "tags": tags }).to_string()));
        }
        let digest = if let Some((_, digest)) = path.split_once("/blobs/") {
            digest
        } else {
            let (name, reference) = path.split_once("/manifests/")?;
            if reference.starts_with("sha256:") {
                reference
            } else {
                &self.tags.get(name)?.iter().find(|(tag, _)| tag == reference)?.1
            }
        };
        let (media_type, body) = self.blobs.get(digest)?;
        Some((format!("Content-Type: {media_type}\r\nDocker-Content-Digest: {digest}\r\n"), body.clone()))
    }

    fn catalog(&self, query: &str) -> (String, String) {
        let last = query.split('&').find_map(|parameter| parameter.strip_prefix("last="));
        let last = last.unwrap_or_default().replace("%2F", "/");
        let start = self.repositories.partition_point(|name| *name <= last);
        let page = &self.repositories[start..self.repositories.len().min(start + PAGE)];
        let mut headers = String::new();
        if let Some(last) = page.last().filter(|_| start + page.len() < self.repositories.len()) {
            let last = last.replace('/', "%2F");
            let _ = write!(headers, "Link: </v2/_catalog?last={last}&n={PAGE}>; rel=\"next\"\r\n");
        }
        (headers, serde_json::json!({ "repositories": page }).to_string())
    }
}

fn digest_of(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold("sha256:".to_owned(), |mut digest, byte| {
        let _ = write!(digest, "{byte:02x}");
        digest
    })
}

/// Answers the requests of one connection, one after the other.
async fn serve(mut stream: TcpStream, contents: &Contents, delay: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            if received.len() > MAX_HEAD_BYTES || stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&received[..end]).into_owned();
        received.drain(..end);
        let mut words = head.split_ascii_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        sleep(delay).await;
        let (status, headers, body) = match contents.answer(target) {
            Some((headers, body)) => ("200 OK", headers, body),
            None => ("404 Not Found", String::new(), "{}".to_owned()),
        };
        let length = body.len();
        let mut answer = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
        if method != "HEAD" {
            answer.push_str(&body);
        }
        stream.write_all(answer.as_bytes()).await?;
    }
}
