//! Hosts that do what real clients do, and what a person would count of it.
//!
//! A host remembers what it has fetched, so that each operation makes the accesses that the real client would make. What
//! no events can tell apart is left out, by letting time pass: the limits in `docs/counting.md`.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use chrono::TimeDelta;
use staticreg_domain::{
    Action, Architecture, Digest, EventId, ManifestAccess, ManifestKind, manifest_access::IndexChild,
};
use uuid::Uuid;

use crate::support::{children, digest, start};

/// The accesses of one operation follow each other this fast, in milliseconds.
const PACE: i64 = 50;
const WINDOW: i64 = 60_000;

/// The indexes of each repository: `v1` and `latest` are the same, `v2` shares the image for amd64 with them.
pub(crate) const TAGS: [(&str, &str); 3] = [("v1", "I"), ("latest", "I"), ("v2", "J")];

/// What the manifests list.
fn list(manifest: &str) -> &'static [(&'static str, &'static str)] {
    match manifest {
        "I" => &[("A", "linux/amd64"), ("R", "linux/arm64"), ("P", "linux/s390x"), ("T", UNKNOWN), ("U", UNKNOWN)],
        "J" => &[("A", "linux/amd64"), ("S", "linux/arm64"), ("Q", "linux/s390x")],
        "X" => &[("B", UNKNOWN), ("C", UNKNOWN)],
        _ => &[],
    }
}

fn image_of(index: &str, architecture: &str) -> &'static str {
    let is_for = |(_, platform): &&(&str, &str)| platform.ends_with(&format!("/{architecture}"));
    list(index).iter().find(is_for).expect("there is an image for it").0
}

fn architecture_of(platform: &str) -> &str {
    platform.trim_start_matches("linux/")
}

/// What attestations carry.
const UNKNOWN: &str = "unknown/unknown";

pub(crate) const ARCHITECTURES: [&str; 3] = ["amd64", "arm64", "s390x"];

/// How clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// HEAD by tag; by digest nothing when it is there, else GET at once.
    Docker,
    /// HEAD in any case: docker 29, CRI, `ctr` 1.6, `BuildKit`.
    Containerd,
    /// The same, but it fetches the manifests of all platforms: `ctr` 2.3.
    AllManifests,
    /// Two look-ups for two platforms.
    BuildKit,
    /// GET by tag, every time: podman, skopeo.
    Podman,
    /// GET by tag; looks up with HEAD.
    Crane,
}

pub(crate) const CLIENTS: [Client; 6] =
    [Client::Docker, Client::Containerd, Client::AllManifests, Client::BuildKit, Client::Podman, Client::Crane];

impl Client {
    fn user_agent(self) -> &'static str {
        match self {
            Self::Docker => "docker/20.10.24 go/go1.19.8 os/linux arch/amd64",
            Self::Containerd => "containerd/1.6.20~ds1",
            Self::AllManifests => "containerd/v2.3.4",
            Self::BuildKit => "buildkit/v0.32",
            Self::Podman => "containers/5.39.2 (github.com/containers/image)",
            Self::Crane => "crane/v0.21.9 go-containerregistry/v0.21.9",
        }
    }

    /// Whether it fetches by tag, every time.
    fn fetches_by_tag(self) -> bool {
        matches!(self, Self::Podman | Self::Crane)
    }

    /// Whether it looks up by digest what it is told to pull by digest.
    fn looks_digests_up(self) -> bool {
        matches!(self, Self::Containerd | Self::AllManifests | Self::BuildKit)
    }

    /// What is counted when nobody tells the platform.
    fn architecture(self) -> &'static str {
        if self == Self::Docker { "amd64" } else { Architecture::NOT_SPECIFIED }
    }
}

/// What somebody at a host may do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// Pull the tag for a platform.
    Pull,
    /// Pull the index the tag points to by digest, for a platform.
    PullIndexByDigest,
    /// Pull a platform's image by its digest.
    PullImageByDigest,
    /// Pull a single image by its tag.
    PullSingle,
    /// Ask whether the tag is up to date.
    Check,
    /// Ask for all tags, as an image updater does.
    CheckAll,
    /// Fetch all platforms.
    PullAll,
    /// Look for signatures, and read them.
    Verify,
    /// Push images and an index.
    Push,
    /// Another host behind the address pulls the same tag at the same time, for a platform of its own.
    PullWithNeighbour,
    /// Another host behind the address asks whether the tag is up to date, in the middle of a pull.
    PullWhileNeighbourChecks,
}

pub(crate) const ALL_OPERATIONS: [Operation; 11] = [
    Operation::Pull,
    Operation::PullIndexByDigest,
    Operation::PullImageByDigest,
    Operation::PullSingle,
    Operation::Check,
    Operation::CheckAll,
    Operation::PullAll,
    Operation::Verify,
    Operation::Push,
    Operation::PullWithNeighbour,
    Operation::PullWhileNeighbourChecks,
];

pub(crate) type Counts = BTreeMap<String, i64>;

#[derive(Default)]
pub(crate) struct Day {
    pub(crate) accesses: Vec<ManifestAccess>,
    pub(crate) counts: Counts,
}

/// An access: what is done, the tag or `@`, the manifest.
type Step = (Action, &'static str, &'static str);

/// A host in one repository: what it has, and what it did lately.
#[derive(Default)]
pub(crate) struct Host {
    has: HashSet<&'static str>,
    /// When it last fetched each image, with the index.
    fetched: HashMap<&'static str, (i64, &'static str)>,
}

/// A host at work in a repository.
pub(crate) struct Work<'a> {
    pub(crate) day: &'a mut Day,
    pub(crate) host: &'a mut Host,
    pub(crate) client: Client,
    pub(crate) address: String,
    pub(crate) repository: String,
    /// In milliseconds.
    pub(crate) at: i64,
}

impl Work<'_> {
    fn does(&mut self, action: Action, reference: &str, manifest: &'static str) {
        let id = Uuid::from_u128((self.day.accesses.len() as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060));
        self.day.accesses.push(ManifestAccess {
            id: EventId::from(id),
            at: start() + TimeDelta::milliseconds(self.at),
            arrived_at: None,
            action,
            manifest: if list(manifest).is_empty() { ManifestKind::Image } else { ManifestKind::Index },
            repository: self.repository.parse().expect("a name"),
            tag: (reference != "@").then(|| reference.parse().expect("a tag")),
            digest: self.digest_of(manifest),
            architecture: Architecture::of_user_agent(self.client.user_agent()),
            client: staticreg_domain::Client::new(&self.address, self.client.user_agent()),
            children: self.children_of(manifest),
        });
        self.at += PACE;
    }

    fn digest_of(&self, manifest: &str) -> Digest {
        digest(&format!("{manifest} {}", self.repository))
    }

    fn children_of(&self, manifest: &str) -> Vec<IndexChild> {
        list(manifest)
            .iter()
            .flat_map(|(name, platform)| children(&[(&format!("{name} {}", self.repository), platform)]))
            .collect()
    }

    fn head(&mut self, reference: &str, manifest: &'static str) {
        self.does(Action::Head, reference, manifest);
    }

    fn get(&mut self, reference: &str, manifest: &'static str) {
        self.does(Action::Get, reference, manifest);
        self.host.has.insert(manifest);
    }

    /// Fetches an image of an index.
    fn get_image(&mut self, index: &'static str, image: &'static str) {
        self.host.fetched.insert(image, (self.at, index));
        self.get("@", image);
    }

    fn has(&self, manifest: &str) -> bool {
        self.host.has.contains(manifest)
    }

    fn counts(&mut self, kind: &str, tag: &str, architecture: &str) {
        let line = format!("{kind} {}:{tag} {architecture}", self.repository);
        *self.day.counts.entry(line).or_default() += 1;
    }

    /// Lets so much time pass that nothing before has to do with what follows.
    fn rest(&mut self) {
        self.at += WINDOW + 1_000;
    }

    /// The architecture of a pull of an index that fetched some of its images: theirs when they are of one platform. When
    /// all were there, that of those which another tag brought just before.
    fn architecture(&self, index: &'static str, fetched: &[&str]) -> &'static str {
        let began = self.at - PACE;
        let is_shared =
            |image: &&str| (self.host.fetched.get(image)).is_some_and(|(at, of)| began - at <= WINDOW && *of != index);
        let platforms = |is_one: &dyn Fn(&&str) -> bool| -> Vec<&str> {
            let images = list(index).iter().filter(|(image, platform)| is_one(image) && *platform != UNKNOWN);
            images.map(|(_, platform)| architecture_of(platform)).collect()
        };
        let told = platforms(&|image| fetched.contains(image));
        let told = if told.is_empty() { platforms(&is_shared) } else { told };
        if let [one] = told[..] { one } else { self.client.architecture() }
    }

    /// A pull with HEAD, of what the host lacks of an index and of some of its images.
    fn pull_what_is_missing(
        &mut self,
        kind: &str,
        tag: &'static str,
        index: &'static str,
        images: impl IntoIterator<Item = &'static str>,
    ) {
        let by_tag = kind == "pull_by_tag";
        if by_tag || self.client != Client::Docker {
            self.head(if by_tag { tag } else { "@" }, index);
        }
        let had_index = self.has(index);
        if !had_index {
            self.get("@", index);
        }
        let missing: Vec<_> = images.into_iter().filter(|image| !self.has(image)).collect();
        let architecture = self.architecture(index, &missing);
        for image in &missing {
            self.get_image(index, image);
        }
        if !had_index || !missing.is_empty() {
            self.counts(kind, tag, architecture);
            if missing.is_empty() && architecture == self.client.architecture() {
                // Another platform in the next minute would be taken for that of this pull.
                self.rest();
            }
        } else if by_tag {
            self.counts("version_check", tag, self.client.architecture());
        }
    }

    /// The images that a client fetches with an index.
    fn images(&self, index: &'static str, platform: &str) -> Vec<&'static str> {
        if self.client == Client::AllManifests && !self.has(index) {
            list(index).iter().map(|(image, _)| *image).collect()
        } else {
            vec![image_of(index, platform)]
        }
    }

    /// A pull with GET by tag, which fetches all again.
    fn pull_all_again(&mut self, tag: &'static str, index: &'static str, platform: &'static str) {
        self.get(tag, index);
        self.get_image(index, image_of(index, platform));
        self.counts("pull_by_tag", tag, platform);
    }

    /// Does an operation; `choice` is a number for what else is to be chosen.
    pub(crate) fn work(&mut self, operation: Operation, tag: usize, platform: usize, choice: usize) {
        let (tag, index) = TAGS[tag];
        let platform = ARCHITECTURES[platform];
        match operation {
            Operation::Pull if self.client.fetches_by_tag() => self.pull_all_again(tag, index, platform),
            Operation::Pull if self.client == Client::BuildKit && !self.has(index) && choice.is_multiple_of(2) => {
                self.build_for_two_platforms(tag, index);
            }
            Operation::Pull => {
                let images = self.images(index, platform);
                self.pull_what_is_missing("pull_by_tag", tag, index, images);
            }
            Operation::PullIndexByDigest => self.pull_index_by_digest(index, platform),
            Operation::PullImageByDigest => self.pull_image_by_digest(image_of(index, platform), platform),
            Operation::PullSingle => self.pull_single(),
            Operation::Check => {
                // Only who has the image, or only asks, fetches nothing.
                let has_all = self.has(index) && self.has(image_of(index, platform));
                if self.client == Client::Crane || has_all && self.client != Client::Podman {
                    self.check(tag, index);
                }
            }
            Operation::CheckAll if self.client == Client::Crane => {
                for (tag, index) in TAGS {
                    self.check(tag, index);
                }
            }
            Operation::CheckAll => {}
            Operation::PullAll => self.pull_all(tag, index, choice),
            Operation::Verify => self.verify(tag, index, choice),
            Operation::Push => self.push(tag, index),
            Operation::PullWithNeighbour => {
                self.rest();
                let neighbours = ARCHITECTURES[choice % ARCHITECTURES.len()];
                self.counts("pull_by_tag", tag, platform);
                self.counts("pull_by_tag", tag, neighbours);
                self.interleave(self.steps(tag, index, platform), self.steps(tag, index, neighbours), choice);
            }
            Operation::PullWhileNeighbourChecks if self.client == Client::Podman => {}
            Operation::PullWhileNeighbourChecks => {
                self.rest();
                let mut own = self.steps(tag, index, platform);
                if self.client.fetches_by_tag() {
                    // A look-up shortly before a fetch by tag would be part of it.
                    let (action, reference, manifest) = own.remove(0);
                    self.does(action, reference, manifest);
                }
                self.counts("pull_by_tag", tag, platform);
                self.counts("version_check", tag, self.client.architecture());
                self.interleave(own, vec![(Action::Head, tag, index)], choice);
            }
        }
    }

    fn build_for_two_platforms(&mut self, tag: &'static str, index: &'static str) {
        self.rest();
        self.head(tag, index);
        self.head(tag, index);
        self.get("@", index);
        for image in ["arm64", "amd64"].map(|platform| image_of(index, platform)) {
            self.get_image(index, image);
        }
        self.counts("pull_by_tag", tag, Architecture::NOT_SPECIFIED);
        self.counts("version_check", tag, Architecture::NOT_SPECIFIED);
    }

    fn pull_index_by_digest(&mut self, index: &'static str, platform: &'static str) {
        if self.client.looks_digests_up() {
            let images = self.images(index, platform);
            return self.pull_what_is_missing("pull_by_digest", "-", index, images);
        }
        // A look-up before would be taken for its own.
        self.rest();
        if self.client == Client::Docker {
            if !self.has(index) {
                self.pull_what_is_missing("pull_by_digest", "-", index, [image_of(index, platform)]);
            }
        } else {
            self.get("@", index);
            self.get_image(index, image_of(index, platform));
            self.counts("pull_by_digest", "-", platform);
        }
    }

    fn pull_image_by_digest(&mut self, image: &'static str, platform: &str) {
        if self.client.looks_digests_up() {
            self.head("@", image);
        } else {
            // What comes without a look-up soon after its index is taken for part of that.
            self.rest();
        }
        if self.client.fetches_by_tag() || !self.has(image) {
            self.get_image(image, image);
            self.counts("pull_by_digest", "-", platform);
        }
    }

    fn pull_single(&mut self) {
        const IMAGE: &str = "O";
        let had = self.has(IMAGE);
        let kind = if self.client.fetches_by_tag() {
            self.get("single", IMAGE);
            "pull_by_tag"
        } else {
            self.head("single", IMAGE);
            if had { "version_check" } else { "pull_by_tag" }
        };
        if !had && !self.client.fetches_by_tag() {
            self.get("@", IMAGE);
        }
        self.counts(kind, "single", self.client.architecture());
    }

    fn check(&mut self, tag: &str, index: &'static str) {
        self.head(tag, index);
        self.counts("version_check", tag, self.client.architecture());
    }

    fn pull_all(&mut self, tag: &'static str, index: &'static str, first: usize) {
        self.rest();
        let mut all: Vec<_> = list(index).iter().map(|(image, _)| *image).collect();
        all.rotate_left(first % list(index).len());
        if self.client.fetches_by_tag() {
            self.get(tag, index);
            for image in all {
                self.get_image(index, image);
            }
            self.counts("pull_by_tag", tag, self.client.architecture());
        } else if !self.has(index) {
            self.pull_what_is_missing("pull_by_tag", tag, index, all);
        }
        self.rest();
    }

    /// Looks for signatures of a tag, and reads them.
    fn verify(&mut self, tag: &str, index: &'static str, choice: usize) {
        let referrers = format!("sha256-{}", "ab".repeat(32));
        self.check(tag, index);
        if choice.is_multiple_of(3) {
            self.does(Action::Head, &referrers, "X");
            self.does(Action::Get, "@", "X");
        } else {
            self.does(Action::Get, &referrers, "X");
        }
        for attachment in ["B", "C"] {
            if choice.is_multiple_of(2) {
                self.does(Action::Head, "@", attachment);
            }
            self.does(Action::Get, "@", attachment);
        }
        self.does(Action::Get, &format!("{referrers}.sig"), "Z");
        // A fetch by digest would make a pull of the look-up.
        self.rest();
    }

    fn push(&mut self, tag: &str, index: &'static str) {
        for (image, platform) in list(index) {
            self.does(Action::Push, "@", image);
            let told = if *platform == UNKNOWN { self.client.architecture() } else { architecture_of(platform) };
            self.counts("push", "-", told);
        }
        self.does(Action::Push, tag, index);
        self.counts("push", tag, self.client.architecture());
    }

    /// The accesses of a pull that has nothing yet.
    fn steps(&self, tag: &'static str, index: &'static str, platform: &str) -> Vec<Step> {
        let image = (Action::Get, "@", image_of(index, platform));
        if self.client.fetches_by_tag() {
            vec![(Action::Get, tag, index), image]
        } else {
            vec![(Action::Head, tag, index), (Action::Get, "@", index), image]
        }
    }

    /// What two hosts behind the address do at once; the bits of `choice` say who is next.
    fn interleave(&mut self, one: Vec<Step>, other: Vec<Step>, mut choice: usize) {
        let (mut one, mut other) = (VecDeque::from(one), VecDeque::from(other));
        while !(one.is_empty() && other.is_empty()) {
            let (first, second) =
                if choice.is_multiple_of(2) { (&mut one, &mut other) } else { (&mut other, &mut one) };
            if let Some((action, reference, manifest)) = first.pop_front().or_else(|| second.pop_front()) {
                self.does(action, reference, manifest);
            }
            choice /= 2;
        }
        self.rest();
    }
}
