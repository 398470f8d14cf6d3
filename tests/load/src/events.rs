//! Events as a registry sends them: pulls of 2,000 images, a few of them very popular.

use std::fmt::Write as _;

use uuid::Uuid;

/// How many images are pulled.
const IMAGES: usize = 2_000;

/// Repositories of ten tags each.
const TAGS: usize = 10;

/// Who pulls, and so by which accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// One GET by tag, as podman, skopeo and crane send it.
    Podman,
    /// HEAD by tag, then GET by digest: a version check that is taken back by the pull.
    Docker,
}

/// Makes notifications of one event each. Every event has an id of its own.
pub(crate) struct Events {
    random: Random,
    timestamp: String,
    popularity: Vec<f64>,
    client: Client,
    /// The image and the client's number of a HEAD whose GET comes next.
    looked_up: Option<(usize, u64)>,
}

impl Events {
    /// Events that happened at `timestamp` (RFC 3339). Equal seeds make equal events.
    pub(crate) fn new(seed: u64, timestamp: &str, client: Client) -> Self {
        // Zipf's law: the image of rank k is pulled 1/k as often as the first.
        let mut popularity: Vec<f64> = (1..=IMAGES)
            .scan(0.0, |sum, rank| {
                #[expect(clippy::cast_precision_loss, reason = "a rank is small")]
                let share = 1.0 / rank as f64;
                *sum += share;
                Some(*sum)
            })
            .collect();
        let sum = popularity.last().copied().unwrap_or(1.0);
        for share in &mut popularity {
            *share /= sum;
        }
        Self { random: Random(seed), timestamp: timestamp.to_owned(), popularity, client, looked_up: None }
    }

    /// Writes the next POST of the registry, head and body.
    pub(crate) fn write_request(&mut self, keep_alive: bool, into: &mut Vec<u8>) {
        self.write_large_request(1, keep_alive, into);
    }

    /// The same with many events in one notification, as the registry never sends it.
    pub(crate) fn write_large_request(&mut self, events: usize, keep_alive: bool, into: &mut Vec<u8>) {
        let mut body = String::with_capacity(events * EVENT_SIZE);
        for number in 0..events {
            body.push_str(if number == 0 { r#"{"events":["# } else { "," });
            self.write_event(&mut body);
        }
        body.push_str("]}");
        write_post(&body, keep_alive, into);
    }

    fn write_event(&mut self, into: &mut String) {
        let follows = self.looked_up.take();
        let (image, client) = follows.unwrap_or_else(|| self.pull());
        let (method, by_tag, agent) = match (self.client, follows) {
            (Client::Podman, _) => ("GET", true, PODMAN),
            (Client::Docker, None) => ("HEAD", true, DOCKER),
            (Client::Docker, Some(_)) => ("GET", false, DOCKER),
        };
        if (self.client, follows) == (Client::Docker, None) {
            self.looked_up = Some((image, client));
        }
        let (repository, tag) = (image / TAGS, image % TAGS);
        let event = Event {
            id: self.random.uuid(),
            request_id: self.random.uuid(),
            timestamp: &self.timestamp,
            repository: &format!("team-{}/service-{repository}", repository % 20),
            tag: by_tag.then_some(tag),
            image,
            client,
            method,
            agent,
        };
        event.write(into);
    }

    /// The next image to pull, and a number of its client.
    fn pull(&mut self) -> (usize, u64) {
        let image = self.popularity.partition_point(|share| *share < self.random.unit()).min(IMAGES - 1);
        (image, self.random.next())
    }
}

const DOCKER: &str = "docker/28.2.2 go/go1.24.3 git-commit/45873be kernel/6.1.0 os/linux arch/amd64";
const PODMAN: &str = "containers/5.23.1 (github.com/containers/image)";

/// About as many bytes are an event.
const EVENT_SIZE: usize = 1_200;

/// An access of an image's manifest.
struct Event<'a> {
    id: Uuid,
    request_id: Uuid,
    timestamp: &'a str,
    repository: &'a str,
    tag: Option<usize>,
    image: usize,
    client: u64,
    method: &'a str,
    agent: &'a str,
}

impl Event<'_> {
    /// Writes it as the registry does.
    fn write(&self, into: &mut String) {
        let Self { id, request_id, timestamp, repository, image, client, method, agent, .. } = self;
        let tag = self.tag.map(|tag| format!(r#","tag":"v{tag}""#)).unwrap_or_default();
        let digest = format!("sha256:{image:064x}");
        let (a, b, port) = (client & 0xff, client >> 8 & 0xff, 32_768 + (client >> 16 & 0x3fff));
        let _ = write!(
            into,
            r#"{{"id":"{id}","timestamp":"{timestamp}","action":"pull","target":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":758,"digest":"{digest}","length":758,"repository":"{repository}","url":"http://registry.example:5000/v2/{repository}/manifests/{digest}"{tag}}},"request":{{"id":"{request_id}","addr":"10.1.{a}.{b}:{port}","host":"registry.example:5000","method":"{method}","useragent":"{agent}"}},"actor":{{}},"source":{{"addr":"registry-host:5000","instanceID":"f08cb177-4d5e-45af-ad6f-01ac97f0f772"}}}}"#,
        );
    }
}

/// Writes a notification that pulls each of these images, by number of the repository and of its tag, once.
pub(crate) fn write_pulls(images: impl Iterator<Item = (usize, usize)>, timestamp: &str, into: &mut Vec<u8>) {
    let mut body = String::new();
    for (repository, tag) in images {
        body.push_str(if body.is_empty() { r#"{"events":["# } else { "," });
        let image = repository << 32 | tag;
        let id = Uuid::from_u128(image as u128);
        let event = Event {
            id,
            request_id: id,
            timestamp,
            repository: &format!("team-{}/service-{repository}", repository % 50),
            tag: Some(tag),
            image,
            client: image as u64,
            method: "GET",
            agent: PODMAN,
        };
        event.write(&mut body);
    }
    body.push_str("]}");
    write_post(&body, true, into);
}

/// Writes a POST of the registry, head and body.
fn write_post(body: &str, keep_alive: bool, into: &mut Vec<u8>) {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let head = format!(
        "POST /api/webhook/registry HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Go-http-client/1.1\r\n\
         Content-Length: {}\r\nContent-Type: application/vnd.docker.distribution.events.v1+json\r\n\
         Connection: {connection}\r\nAccept-Encoding: gzip\r\n\r\n",
        body.len()
    );
    into.clear();
    into.extend_from_slice(head.as_bytes());
    into.extend_from_slice(body.as_bytes());
}

/// `SplitMix64`: small, fast and good enough for load.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In 0..1.
    fn unit(&mut self) -> f64 {
        const BITS: u32 = 53;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let unit = (self.next() >> (u64::BITS - BITS)) as f64 / (1_u64 << BITS) as f64;
        unit
    }

    /// Version 4.
    fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_u128(u128::from(self.next()) << 64 | u128::from(self.next()))
            .with_version(uuid::Version::Random)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid()
    }
}
