//! A real registry and real clients: what they do becomes the counts that people ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use serde_json::Value;
use staticreg_e2e::{
    Staticreg,
    client::{Connection, WEBHOOK},
    events::{next_number, pull, recording, table},
    eventually,
    sender::Sender,
    stores::Stores,
};
use staticreg_test_support::{
    ports::free_port,
    registry::{INDEX, Image, MANIFEST, Registry, RegistryOptions},
};
use tempfile::TempDir;

/// How long the registry may take to deliver what happened, on a machine that is busy with much else.
const DELIVERY: Duration = Duration::from_mins(3);

/// The kinds of access, in the order of the recordings' table.
const KINDS: [&str; 4] = ["pull_by_tag", "pull_by_digest", "version_check", "push"];

/// Servers that replay recordings at once.
const WORKERS: usize = 4;

/// What is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// One per kind.
    totals: [u64; 4],
    /// Repository and tag, and digest, of the pulls by tag.
    pulled: BTreeSet<(String, String)>,
    /// The architecture of each pull by tag.
    architectures: Vec<String>,
}

impl Counts {
    /// What a server counts; of one repository, or of all.
    fn of(server: &Staticreg, repository: Option<&str>) -> Self {
        let mut counts = Self::default();
        let filter = repository.map(|name| format!("&repository={name}")).unwrap_or_default();
        for (kind, total) in KINDS.iter().zip(&mut counts.totals) {
            let page = server.get_json(&format!("/api/v1/metrics?from=2020-01-01&limit=1000&kind={kind}{filter}"));
            assert!(page["next_cursor"].is_null(), "one page holds all: {page}");
            for row in page["items"].as_array().expect("items") {
                let text = |member: &str| row[member].as_str().unwrap_or_else(|| panic!("{row}")).to_owned();
                let count = row["count"].as_u64().expect("a count");
                *total += count;
                if *kind == "pull_by_tag" {
                    counts.pulled.insert((format!("{}:{}", text("repository"), text("tag")), text("digest")));
                    counts.architectures.extend((0..count).map(|_| text("architecture")));
                }
            }
        }
        counts.architectures.sort();
        counts
    }

    /// What a row of `classified.tsv` states.
    fn expected(row: &[String], platforms_known: bool) -> Self {
        let number = |column: usize| row[column].parse().expect("a number");
        let list = row[if platforms_known { 8 } else { 7 }].split(',').filter(|architecture| *architecture != "-");
        let mut architectures: Vec<_> = list.map(str::to_owned).collect();
        architectures.sort();
        let pulled = (row[5] != "-").then(|| (row[5].clone(), row[6].clone())).into_iter().collect();
        Self { totals: [number(1), number(2), number(3), number(4)], pulled, architectures }
    }
}

fn replay(server: &Staticreg, name: &str) {
    let mut connection = server.connect();
    for notification in recording(name) {
        let answer = connection.post(&notification).expect("an answer");
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let receipt = answer.json();
        let number = |member: &str| receipt[member].as_u64().expect("a number");
        let parts = number("events_processed") + number("events_skipped") + number("events_duplicate");
        assert_eq!(parts, number("total_events"), "{name}: {receipt}");
    }
}

/// Does something for each row of a table, a few at once, and gives what it complains of.
fn complaints(table: Vec<Vec<String>>, check: impl Fn(&[String]) -> Option<String> + Sync) -> Vec<String> {
    let rows = Mutex::new(table.into_iter());
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let row = rows.lock().expect("no check holds this").next();
                    let Some(row) = row else { break };
                    if let Some(complaint) = check(&row) {
                        found.lock().expect("no check holds this").push(complaint);
                    }
                }
            });
        }
    });
    found.into_inner().expect("no check holds this")
}

#[test]
fn each_recording_gives_the_pulls_that_the_tagged_rule_counts() {
    // The rule looks at each event alone, so that recordings may come one after the other.
    let server = Staticreg::start(&[("STATICREG_METRICS_COUNTING", "tagged")]);
    let mut before = 0;
    let wrong = table("tagged.tsv").into_iter().filter_map(|row| {
        replay(&server, &row[0]);
        let pulls = (server.pulls() - before).to_string();
        before = server.pulls();
        (pulls != row[1]).then(|| format!("{}: expected {}, counted {pulls}", row[0], row[1]))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_recording_is_classified_as_written_down() {
    let stores = Stores::start();
    // In memory and in one of the others, by the recording's name; that all store alike is shown by the contract's suite.
    let wrong = complaints(table("classified.tsv"), |row| {
        let expected = Counts::expected(row, false);
        let mut each = stores.each();
        let memory = each.next();
        let others: Vec<_> = each.collect();
        let number: usize = row[0].bytes().map(usize::from).sum();
        let other = others[number % others.len()].clone();
        let wrong = memory.into_iter().chain([other]).find_map(|store| {
            let server = Staticreg::start(&store.environment());
            server.wait_for_store();
            replay(&server, &row[0]);
            let counts = Counts::of(&server, None);
            (counts != expected).then(|| format!("{} in {}: {counts:?}", row[0], store.name))
        });
        wrong.map(|wrong| format!("{wrong}\n  expected {expected:?}"))
    });
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_same_events_sent_twice_by_many_connections_count_once_in_every_store() {
    const EVENTS: u64 = 2_000;
    for store in Stores::start().each() {
        let server = Staticreg::start(&store.environment());
        server.wait_for_store();
        let sender = Sender { addresses: vec![server.address()], connections: 64, keep_alive: true };
        let events: Vec<_> = (0..EVENTS).map(|_| pull(next_number())).collect();
        let first = sender.send(events.clone().into_iter());
        assert_eq!((first.events, first.duplicates, first.refused, first.cut), (EVENTS, 0, 0, 0), "{}", store.name);
        let second = sender.send(events.into_iter());
        assert_eq!((second.events, second.duplicates), (EVENTS, EVENTS), "{}", store.name);
        assert_eq!(server.pulls(), EVENTS, "{}", store.name);
    }
}

#[test]
fn what_skopeo_pulls_from_a_registry_shows_at_once_in_every_store() {
    for store in Stores::start().each() {
        let mut server = Staticreg::start_restartable(&store.environment());
        let registry = Registry::start(&server.url(WEBHOOK), &RegistryOptions::default());
        let image = Image::single("one");
        registry.push(&image, "app:v1");
        registry.pull("app:v1");
        registry.pull("app:v1");

        let images = || server.get_json("/api/v1/images")["items"].clone();
        let pulls = |images: &Value| images[0]["count"].as_u64().unwrap_or_default();
        let shown = eventually("two pulls show", DELIVERY, || Some(images()).filter(|images| pulls(images) == 2));
        assert_eq!((&shown[0]["repository"], &shown[0]["tag"]), (&"app".into(), &"v1".into()), "{shown}");
        assert_eq!(shown.as_array().expect("items").len(), 1, "{shown}");
        let digests = server.get_json("/api/v1/digests?repository=app&tag=v1");
        assert_eq!(digests["items"][0]["digest"], image.digest(), "{digests}");
        assert_eq!(server.get_json("/healthz/db")["store"], store.kind);

        assert!(server.terminate().success());
        server.restart();
        server.wait_for_store();
        let kept = if store.kind == "memory" { 0 } else { 2 };
        assert_eq!(server.pulls(), kept, "{}", store.name);
    }
}

/// A registry told to notify a server, which asks the registry for platforms, and what clients do there.
struct World {
    server: Staticreg,
    registry: Registry,
    classified: BTreeMap<String, Vec<String>>,
    folder: TempDir,
    single: Image,
    multi: Image,
}

impl World {
    /// The repository whose pulls show that everything before was delivered: the registry notifies in order.
    const MARK: &str = "mark";

    /// With the images that a client asks for.
    fn start(client: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let server = Staticreg::start(&[("STATICREG_REGISTRY_HOSTNAME", &address)]);
        let registry = Registry::start(&server.url(WEBHOOK), &RegistryOptions { address, ..Default::default() });
        let world = Self {
            server,
            registry,
            classified: table("classified.tsv").into_iter().map(|row| (row[0].clone(), row)).collect(),
            folder: tempfile::tempdir().expect("a folder for the clients"),
            single: Image::single("one"),
            multi: Image::multi("many", &["linux/amd64", "linux/arm64"]),
        };
        world.registry.push(&Image::single("mark"), &format!("{}:v1", Self::MARK));
        world.registry.push(&world.single, &format!("{client}/app:v1"));
        world.registry.push(&world.multi, &format!("{client}/multi:v1"));
        world
    }

    /// Runs a client, and compares what is counted then with what the recording of the same operation counts.
    fn same_as(&self, recording: &str, repository: &str, operation: impl FnOnce()) {
        self.wait_for_delivery();
        let before = Counts::of(&self.server, Some(repository));
        operation();
        self.wait_for_delivery();
        let row = self.classified.get(recording).unwrap_or_else(|| panic!("no recording {recording}"));
        let expected = Counts::expected(row, true);
        let digest = if repository.ends_with("multi") { self.multi.digest() } else { self.single.digest() };
        // The platform is asked from the registry meanwhile.
        eventually(format_args!("{recording}: {expected:?}"), DELIVERY, || {
            let after = Counts::of(&self.server, Some(repository));
            let totals: Vec<_> = after.totals.iter().zip(before.totals).map(|(after, before)| after - before).collect();
            let mut architectures = before.architectures.clone();
            architectures.extend(expected.architectures.clone());
            architectures.sort();
            let pulled = if expected.pulled.is_empty() {
                before.pulled.clone()
            } else {
                [(format!("{repository}:v1"), digest.to_owned())].into()
            };
            let same = totals == expected.totals && after.architectures == architectures && after.pulled == pulled;
            same.then_some(())
        });
    }

    /// Ends the server, which asks the registry for platforms until then.
    fn stop(mut self) {
        assert!(self.server.terminate().success(), "a stop is no failure:\n{}", self.server.log());
    }

    fn wait_for_delivery(&self) {
        let pulls = || Counts::of(&self.server, Some(Self::MARK)).totals[0];
        let before = pulls();
        self.ask("GET", &format!("/v2/{}/manifests/v1", Self::MARK));
        eventually("the mark is delivered", DELIVERY, || (pulls() == before + 1).then_some(()));
    }

    /// Asks the registry for a manifest, whatever its type.
    fn ask(&self, method: &str, path: &str) {
        let address = self.registry.address().parse().expect("an address");
        let accept = format!("{MANIFEST}, {INDEX}");
        let mut connection = Connection::open(address).expect("a connection");
        let answer = connection.request(method, path, &[("accept", &accept), ("user-agent", "mark")], b"");
        assert_eq!(answer.expect("an answer").status, 200);
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.address())
    }

    fn by_digest(&self, repository: &str) -> String {
        format!("{repository}@{}", self.single.digest())
    }

    /// Runs a program that keeps its images in a folder of the test, without the kernel's overlays.
    fn container_tool(&self, program: &str, arguments: &[&str]) {
        let folder = |name: &str| self.folder.path().join(format!("{program}-{name}")).display().to_string();
        let (root, run_root, temporary) = (folder("root"), folder("run"), folder("tmp"));
        fs::create_dir_all(&temporary).expect("a folder");
        let mut command = Command::new(program);
        command.args(["--root", &root, "--runroot", &run_root, "--storage-driver", "vfs"]).args(arguments);
        run(command.env("TMPDIR", temporary));
    }
}

/// Runs a program. Panics with its words when it fails.
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} cannot be run ({error}): run `make test-tools`"));
    let words = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&words));
}

#[test]
fn skopeo_counts_as_its_recordings() {
    let world = World::start("skopeo");
    let pull = |name: &str| world.registry.pull(name);
    world.same_as("skopeo-1.9.3__copy-to-dir-single-first.jsonl", "skopeo/app", || pull("skopeo/app:v1"));
    world.same_as("skopeo-1.9.3__copy-to-dir-single-again.jsonl", "skopeo/app", || pull("skopeo/app:v1"));
    world.same_as("skopeo-1.9.3__copy-to-dir-by-digest.jsonl", "skopeo/app", || pull(&world.by_digest("skopeo/app")));
    world.same_as("skopeo-1.9.3__copy-to-dir-multi-default.jsonl", "skopeo/multi", || pull("skopeo/multi:v1"));
    world.stop();
}

#[test]
fn podman_counts_as_its_recordings() {
    let world = World::start("podman");
    let pull = |name: &str| world.container_tool("podman", &["pull", "--tls-verify=false", &world.name(name)]);
    world.same_as("podman-4.3.1__pull-single-first.jsonl", "podman/app", || pull("podman/app:v1"));
    world.same_as("podman-4.3.1__pull-single-again.jsonl", "podman/app", || pull("podman/app:v1"));
    world.same_as("podman-4.3.1__pull-multi-first.jsonl", "podman/multi", || pull("podman/multi:v1"));
    world.same_as("podman-4.3.1__pull-multi-again.jsonl", "podman/multi", || pull("podman/multi:v1"));
    world.stop();
}

#[test]
fn buildah_counts_as_its_recordings() {
    let world = World::start("buildah");
    let from = |name: &str| world.container_tool("buildah", &["from", "--tls-verify=false", &world.name(name)]);
    world.same_as("buildah-1.28.2__from-first.jsonl", "buildah/app", || from("buildah/app:v1"));
    world.same_as("buildah-1.28.2__from-again.jsonl", "buildah/app", || from("buildah/app:v1"));
    world.same_as("buildah-1.28.2__pull-multi-first.jsonl", "buildah/multi", || from("buildah/multi:v1"));
}

#[test]
fn curl_counts_as_its_recordings() {
    let world = World::start("curl");
    // A look-up and a fetch of one image within a minute would be one pull, so each has its own.
    world.registry.push(&world.single, "curl/seen:v1");
    let curl = |arguments: &[&str], repository: &str, reference: &str| {
        let url = format!("http://{}/v2/{repository}/manifests/{reference}", world.registry.address());
        let accept = format!("accept: {MANIFEST}, {INDEX}");
        let common = ["--fail", "--silent", "--show-error", "--header", &accept, &url];
        run(Command::new("curl").args(arguments).args(common));
    };
    let digest = world.single.digest();
    world.same_as("curl__head-tag.jsonl", "curl/seen", || curl(&["--head"], "curl/seen", "v1"));
    world.same_as("curl__head-digest.jsonl", "curl/app", || curl(&["--head"], "curl/app", digest));
    world.same_as("curl__get-digest.jsonl", "curl/app", || curl(&[], "curl/app", digest));
    world.same_as("curl__get-tag.jsonl", "curl/app", || curl(&[], "curl/app", "v1"));
    world.same_as("curl__get-index-tag.jsonl", "curl/multi", || curl(&[], "curl/multi", "v1"));
}

/// A private containerd; stopped when dropped.
struct Containerd {
    process: Child,
    socket: String,
}

impl Containerd {
    fn start(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name).display().to_string();
        let (root, state, socket, ttrpc) = (path("root"), path("state"), path("socket"), path("ttrpc"));
        let configuration = format!(
            "version = 2\nroot = \"{root}\"\nstate = \"{state}\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{socket}\"\n[ttrpc]\naddress = \"{ttrpc}\"\n"
        );
        fs::write(path("config.toml"), configuration).expect("containerd's configuration");
        let log = fs::File::create(path("log")).expect("containerd's log");
        let process = Command::new("containerd")
            .args(["--config", &path("config.toml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("containerd cannot be started ({error}): run `make test-tools`"));
        let containerd = Self { process, socket };
        eventually("containerd listens", DELIVERY, || {
            let booted = fs::read_to_string(path("log")).is_ok_and(|log| log.contains("successfully booted"));
            booted.then_some(())
        });
        containerd
    }

    fn pull(&self, name: &str) {
        let arguments = ["images", "pull", "--plain-http", "--snapshotter", "native", name];
        run(Command::new("ctr").args(["--address", &self.socket]).args(arguments));
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn containerd_counts_as_its_recordings() {
    let world = World::start("ctr");
    let containerd = Containerd::start(world.folder.path());
    let pull = |name: &str| containerd.pull(&world.name(name));
    world.same_as("ctr-1.6.20__pull-single-first.jsonl", "ctr/app", || pull("ctr/app:v1"));
    world.same_as("ctr-1.6.20__pull-single-again.jsonl", "ctr/app", || pull("ctr/app:v1"));
    world.same_as("ctr-1.6.20__pull-multi-first.jsonl", "ctr/multi", || pull("ctr/multi:v1"));
    world.same_as("ctr-1.6.20__pull-multi-again.jsonl", "ctr/multi", || pull("ctr/multi:v1"));
}
