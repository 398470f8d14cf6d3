//! Which registry events may count, and why the others do not.

mod skip_reason;

pub use skip_reason::SkipReason;

use std::net::{IpAddr, SocketAddr};

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};

use crate::{
    Action, Architecture, Client, EventId, ManifestAccess, ManifestKind, Platform, RegistryEvent,
    manifest_access::IndexChild,
    media_type::{self, BUILDKIT_CACHE_CONFIG},
    registry_event::RegistryReference,
};

/// The product of staticreg's own user agent; its own requests are not counted.
pub const OWN_PRODUCT: &str = "staticreg/";

/// How those of the Go staticreg begin, which may run beside this one.
const GO_PRODUCT: &str = "seqera/staticreg";

/// How far a timestamp may be ahead of the clock; beyond that one of the two clocks is wrong.
const MAX_AHEAD: TimeDelta = TimeDelta::days(1);

/// The last nanosecond of a second; those of a leap second have higher numbers.
const LAST_NANOSECOND: u32 = 999_999_999;

/// An index with more children than this is taken as one whose children are not told.
pub const MAX_CHILDREN: usize = 1_000;

/// Which of the events that are no pull by tag go on to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Pulls with a tag only.
    TaggedPulls,
    /// Pulls with or without tag, and pushes.
    AllAccesses,
}

/// The rules every registry event must pass.
#[derive(Clone, Debug)]
pub struct Rules {
    scope: Scope,
    ignored_user_agents: Vec<String>,
    max_age: Option<TimeDelta>,
}

impl Rules {
    /// Rules for a scope. An event whose user agent holds one of `ignored_user_agents`, in any case, does not pass.
    #[must_use]
    pub fn new(scope: Scope, ignored_user_agents: Vec<String>) -> Self {
        let ignored_user_agents =
            ignored_user_agents.into_iter().filter(|word| !word.is_empty()).map(|word| word.to_lowercase()).collect();
        Self { scope, ignored_user_agents, max_age: None }
    }

    /// The same rules for events that are no older than this when they arrive, by the time at which they count.
    #[must_use]
    pub fn with_max_age(self, max_age: TimeDelta) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// The event as a manifest access, or the first reason why it is none that counts.
    pub fn admit(&self, event: &RegistryEvent, now: DateTime<Utc>) -> Result<ManifestAccess, SkipReason> {
        let action = self.action(event)?;
        let manifest =
            event.media_type.as_deref().and_then(ManifestKind::of_media_type).ok_or(SkipReason::NotAManifest)?;
        let user_agent = event.user_agent.as_deref().unwrap_or_default();
        if [OWN_PRODUCT, GO_PRODUCT].into_iter().any(|product| user_agent.starts_with(product)) {
            return Err(SkipReason::OwnRequest);
        }
        if self.ignores(user_agent) {
            return Err(SkipReason::IgnoredUserAgent);
        }
        let repository = parse(event.repository.as_ref()).ok_or(SkipReason::InvalidRepository)?;
        let tag = match event.tag.as_deref() {
            None | Some("") if self.scope == Scope::TaggedPulls => return Err(SkipReason::NoTag),
            None | Some("") => None,
            Some(tag) => Some(tag.parse().map_err(|_| SkipReason::InvalidTag)?),
        };
        let digest = parse(event.digest.as_ref()).ok_or(SkipReason::InvalidDigest)?;
        let at = timestamp(event.timestamp.as_deref()).ok_or(SkipReason::InvalidTimestamp)?;
        let arrived_at = (at - now > MAX_AHEAD).then_some(now);
        if self.max_age.is_some_and(|max_age| now - arrived_at.unwrap_or(at) > max_age) {
            return Err(SkipReason::TooOld);
        }
        let is_classified = self.scope == Scope::AllAccesses;
        if is_classified && action != Action::Push && is_build_cache(manifest, &event.references) {
            return Err(SkipReason::BuildCache);
        }
        Ok(ManifestAccess {
            id: EventId::from_event(event),
            at,
            arrived_at,
            action,
            manifest,
            repository,
            tag,
            digest,
            architecture: Architecture::of_user_agent(user_agent),
            client: Client::new(&host(event.client_address.as_deref().unwrap_or_default()), user_agent),
            children: if manifest == ManifestKind::Index { children(&event.references) } else { Vec::new() },
        })
    }

    fn action(&self, event: &RegistryEvent) -> Result<Action, SkipReason> {
        match event.action.as_deref() {
            Some("pull") if event.method.as_deref().is_some_and(|method| method.eq_ignore_ascii_case("HEAD")) => {
                Ok(Action::Head)
            }
            Some("pull") => Ok(Action::Get),
            Some("push") if self.scope == Scope::AllAccesses => Ok(Action::Push),
            _ => Err(SkipReason::NotAPull),
        }
    }

    fn ignores(&self, user_agent: &str) -> bool {
        if self.ignored_user_agents.is_empty() {
            return false;
        }
        let user_agent = user_agent.to_lowercase();
        self.ignored_user_agents.iter().any(|word| user_agent.contains(word))
    }
}

fn parse<T: std::str::FromStr>(text: Option<&String>) -> Option<T> {
    text.and_then(|text| text.parse().ok())
}

fn timestamp(text: Option<&str>) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(text?).ok()?.to_utc();
    // Most clients cannot read a leap second, so its moments are the last of the second before.
    let at = if at.nanosecond() > LAST_NANOSECOND { at.with_nanosecond(LAST_NANOSECOND)? } else { at };
    // At or before the epoch lie the zero times of Go (year 1) and Unix.
    (at > DateTime::UNIX_EPOCH).then_some(at)
}

/// The host of `host:port`, `[v6]:port`, or an address without port.
fn host(address: &str) -> String {
    if let Ok(with_port) = address.parse::<SocketAddr>() {
        return with_port.ip().to_string();
    }
    if let Ok(ip) = address.parse::<IpAddr>() {
        return ip.to_string();
    }
    address.rsplit_once(':').map_or(address, |(host, _port)| host).to_owned()
}

/// Whether a manifest is a cache that `BuildKit` exported: an image or an index with a configuration of its own, or an
/// index of layers.
fn is_build_cache(manifest: ManifestKind, references: &[RegistryReference]) -> bool {
    let media_types = || references.iter().map(|reference| reference.media_type.as_deref().unwrap_or_default());
    media_types().any(|media_type| media_type::is(media_type, BUILDKIT_CACHE_CONFIG))
        || manifest == ManifestKind::Index && !references.is_empty() && media_types().all(media_type::is_layer)
}

fn children(references: &[RegistryReference]) -> Vec<IndexChild> {
    if references.len() > MAX_CHILDREN {
        return Vec::new();
    }
    references
        .iter()
        .filter_map(|reference| {
            let platform = Platform::new(
                reference.os.as_deref().unwrap_or_default(),
                reference.architecture.as_deref().unwrap_or_default(),
                reference.variant.as_deref(),
            );
            Some(IndexChild { digest: parse(reference.digest.as_ref())?, platform })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:8bfa990430b3f57834ed6b54c3786189eb0ff2233cbe8fd0ddd0ca5423d04924";

    fn now() -> DateTime<Utc> {
        "2026-11-21T20:00:00Z".parse().expect("a time")
    }

    fn pull() -> RegistryEvent {
        let text = |text: &str| Some(text.to_owned());
        RegistryEvent {
            id: text("cfad55b0-11a6-4883-94b1-0880c16ae39e"),
            timestamp: text("2026-11-21T19:59:59.69956828Z"),
            action: text("pull"),
            media_type: text("application/vnd.oci.image.manifest.v1+json"),
            repository: text("demo/app"),
            tag: text("v1"),
            digest: text(DIGEST),
            client_address: text("127.0.0.1:57610"),
            method: text("GET"),
            user_agent: text("docker/20.10.24 arch/amd64"),
            ..RegistryEvent::default()
        }
    }

    fn tagged(event: &RegistryEvent) -> Result<ManifestAccess, SkipReason> {
        Rules::new(Scope::TaggedPulls, Vec::new()).admit(event, now())
    }

    fn all(event: &RegistryEvent) -> Result<ManifestAccess, SkipReason> {
        Rules::new(Scope::AllAccesses, Vec::new()).admit(event, now())
    }

    #[test]
    fn a_well_formed_pull_passes_whole() {
        let access = tagged(&pull()).expect("admitted");
        assert_eq!(access.id.to_string(), "cfad55b0-11a6-4883-94b1-0880c16ae39e");
        assert_eq!(access.at.to_rfc3339(), "2026-11-21T19:59:59.699568280+00:00");
        assert_eq!(access.action, Action::Get);
        assert_eq!(access.manifest, ManifestKind::Image);
        assert_eq!(access.repository.as_str(), "demo/app");
        assert_eq!(access.tag.as_ref().map(crate::Tag::as_str), Some("v1"));
        assert_eq!(access.digest.as_str(), DIGEST);
        assert_eq!(access.architecture.as_str(), "amd64");
        assert_eq!(access.client, Client::new("127.0.0.1", "docker/20.10.24 arch/amd64"));
    }

    fn at(event: &mut RegistryEvent, timestamp: &str) {
        event.timestamp = Some(timestamp.to_owned());
    }

    /// Changes one member of a good event.
    type Spoil = fn(&mut RegistryEvent);

    #[test]
    fn an_odd_event_is_skipped_with_its_reason() {
        let cases: &[(&str, Spoil, SkipReason)] = &[
            ("no action", |e| e.action = None, SkipReason::NotAPull),
            ("push", |e| e.action = Some("push".into()), SkipReason::NotAPull),
            ("delete", |e| e.action = Some("delete".into()), SkipReason::NotAPull),
            ("no media type", |e| e.media_type = None, SkipReason::NotAManifest),
            ("blob", |e| e.media_type = Some("application/octet-stream".into()), SkipReason::NotAManifest),
            ("own", |e| e.user_agent = Some("staticreg/0.1.0".into()), SkipReason::OwnRequest),
            ("the Go program's", |e| e.user_agent = Some("seqera/staticreg/0.8".into()), SkipReason::OwnRequest),
            ("its bare name", |e| e.user_agent = Some("seqera/staticreg".into()), SkipReason::OwnRequest),
            ("no repository", |e| e.repository = None, SkipReason::InvalidRepository),
            ("NUL in repository", |e| e.repository = Some("a\0b".into()), SkipReason::InvalidRepository),
            ("no tag", |e| e.tag = None, SkipReason::NoTag),
            ("empty tag", |e| e.tag = Some(String::new()), SkipReason::NoTag),
            ("long tag", |e| e.tag = Some("a".repeat(10_240)), SkipReason::InvalidTag),
            ("no digest", |e| e.digest = None, SkipReason::InvalidDigest),
            ("cut digest", |e| e.digest = Some("sha256:8bfa".into()), SkipReason::InvalidDigest),
            ("no timestamp", |e| e.timestamp = None, SkipReason::InvalidTimestamp),
            ("not RFC 3339", |e| e.timestamp = Some("yesterday".into()), SkipReason::InvalidTimestamp),
            ("Go's zero", |e| e.timestamp = Some("0001-01-01T00:00:00Z".into()), SkipReason::InvalidTimestamp),
            ("Unix's zero", |e| e.timestamp = Some("1970-01-01T00:00:00Z".into()), SkipReason::InvalidTimestamp),
            ("Unix's zero, by offset", |e| at(e, "1970-01-01T00:59:59+01:00"), SkipReason::InvalidTimestamp),
            ("five digits", |e| at(e, "10000-01-01T00:00:00Z"), SkipReason::InvalidTimestamp),
            ("no such day", |e| at(e, "2026-11-31T19:59:59Z"), SkipReason::InvalidTimestamp),
            ("no such second", |e| at(e, "2026-11-21T19:59:61Z"), SkipReason::InvalidTimestamp),
            ("no offset", |e| at(e, "2026-11-21T19:59:59"), SkipReason::InvalidTimestamp),
        ];
        for (name, spoil, reason) in cases {
            let mut event = pull();
            spoil(&mut event);
            assert_eq!(tagged(&event), Err(*reason), "{name}");
        }
    }

    #[test]
    fn the_first_reason_that_fits_is_told() {
        assert_eq!(tagged(&RegistryEvent::default()), Err(SkipReason::NotAPull));
        let event = RegistryEvent { tag: None, digest: None, timestamp: None, ..pull() };
        assert_eq!(tagged(&event), Err(SkipReason::NoTag));
    }

    #[test]
    fn timestamps_of_any_offset_are_read_as_utc() {
        for (text, expected) in [
            ("2026-11-22T01:00:00+02:00", "2026-11-21T23:00:00+00:00"),
            ("2026-11-21T23:30:00-05:00", "2026-11-22T04:30:00+00:00"),
            ("2026-11-22T20:00:00Z", "2026-11-22T20:00:00+00:00"),
            ("2026-11-21t19:59:59z", "2026-11-21T19:59:59+00:00"),
            ("2026-11-21T19:59:59.123456789999Z", "2026-11-21T19:59:59.123456789+00:00"),
        ] {
            let event = RegistryEvent { timestamp: Some(text.into()), ..pull() };
            let access = tagged(&event).expect(text);
            assert_eq!(access.at.to_rfc3339(), expected);
            assert_eq!(access.counted_at(), access.at, "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_end_of_the_second_before_and_stays_on_its_date() {
        for (text, expected) in [
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999999+00:00"),
            ("2016-12-31T23:59:60.25Z", "2016-12-31T23:59:59.999999999+00:00"),
            ("2017-01-01T01:59:60+02:00", "2016-12-31T23:59:59.999999999+00:00"),
            ("2026-11-21t12:34:60z", "2026-11-21T12:34:59.999999999+00:00"),
        ] {
            let event = RegistryEvent { timestamp: Some(text.into()), ..pull() };
            let access = tagged(&event).expect(text);
            assert_eq!(access.at.to_rfc3339(), expected, "{text}");
            assert_eq!(access.counted_at(), access.at, "{text}");
        }
    }

    #[test]
    fn a_timestamp_over_a_day_ahead_counts_when_it_arrives_and_keeps_its_own_time() {
        for (text, at) in [
            ("2026-11-22T20:00:00.000000001Z", "2026-11-22T20:00:00.000000001+00:00"),
            ("2026-11-23T20:00:00Z", "2026-11-23T20:00:00+00:00"),
            ("2026-12-31T23:59:60Z", "2026-12-31T23:59:59.999999999+00:00"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
            ("9999-12-31T23:59:59-01:00", "+10000-01-01T00:59:59+00:00"),
        ] {
            let event = RegistryEvent { timestamp: Some(text.into()), ..pull() };
            let access = tagged(&event).expect(text);
            assert_eq!(access.at.to_rfc3339(), at);
            assert_eq!(access.counted_at(), now(), "{text}");
        }
    }

    #[test]
    fn a_timestamp_of_long_ago_counts_on_its_own_date() {
        let event = RegistryEvent { timestamp: Some("2025-01-02T03:04:05Z".into()), ..pull() };
        assert_eq!(tagged(&event).expect("late, not wrong").counted_at().to_rfc3339(), "2025-01-02T03:04:05+00:00");
    }

    #[test]
    fn what_is_older_than_the_greatest_age_is_skipped_and_what_counts_on_the_servers_date_is_not() {
        let rules = Rules::new(Scope::TaggedPulls, Vec::new()).with_max_age(TimeDelta::hours(1));
        for (timestamp, is_admitted) in [
            ("2026-11-21T19:00:00Z", true),
            ("2026-11-21T18:59:59.999Z", false),
            ("2026-11-21T20:00:00+01:00", true),
            ("1970-01-02T00:00:00Z", false),
            ("2026-11-22T20:00:00Z", true),
            ("2030-01-01T00:00:00Z", true),
        ] {
            let event = RegistryEvent { timestamp: Some(timestamp.into()), ..pull() };
            let admitted = rules.admit(&event, now());
            assert_eq!(admitted.is_ok(), is_admitted, "{timestamp}");
            assert!(is_admitted || admitted == Err(SkipReason::TooOld), "{timestamp}");
        }
    }

    #[test]
    fn pushes_and_pulls_without_tag_pass_when_all_accesses_do() {
        let event = RegistryEvent { tag: None, ..pull() };
        assert_eq!(all(&event).expect("admitted").tag, None);
        let event = RegistryEvent { action: Some("push".into()), ..pull() };
        assert_eq!(all(&event).expect("admitted").action, Action::Push);
    }

    #[test]
    fn a_missing_method_counts_as_get() {
        for (method, expected) in [(None, Action::Get), (Some("HEAD"), Action::Head), (Some("GET"), Action::Get)] {
            let event = RegistryEvent { method: method.map(str::to_owned), ..pull() };
            assert_eq!(tagged(&event).expect("admitted").action, expected, "{method:?}");
        }
    }

    #[test]
    fn ignored_user_agents_are_left_out_in_any_case() {
        let rules = Rules::new(Scope::TaggedPulls, vec!["Trivy".into(), String::new()]);
        let scan = RegistryEvent { user_agent: Some("aquasecurity/trivy 0.5".into()), ..pull() };
        assert_eq!(rules.admit(&scan, now()), Err(SkipReason::IgnoredUserAgent));
        assert!(rules.admit(&pull(), now()).is_ok());
    }

    #[test]
    fn the_clients_host_has_no_port() {
        for (address, expected) in [
            ("10.0.0.7:34512", "10.0.0.7"),
            ("10.0.0.7", "10.0.0.7"),
            ("[2001:db8::7]:34512", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("client.example:34512", "client.example"),
            ("", ""),
        ] {
            assert_eq!(host(address), expected);
        }
    }

    #[test]
    fn the_children_of_an_index_carry_their_platforms() {
        let child = |architecture: &str| RegistryReference {
            digest: Some(DIGEST.into()),
            os: Some("linux".into()),
            architecture: Some(architecture.into()),
            ..RegistryReference::default()
        };
        let references = vec![child("arm64"), child("unknown"), RegistryReference::default()];
        let index = Some("application/vnd.oci.image.index.v1+json".into());
        let event = RegistryEvent { media_type: index, references: references.clone(), ..pull() };
        let children = tagged(&event).expect("admitted").children;
        let platforms: Vec<_> = children.iter().map(|child| child.platform.as_ref().map(Platform::to_string)).collect();
        assert_eq!(platforms, [Some("linux/arm64".to_owned()), None]);

        let image = RegistryEvent { references, ..pull() };
        assert_eq!(tagged(&image).expect("admitted").children, [], "an image's references are no children");
    }

    #[test]
    fn what_a_build_caches_is_no_image() {
        const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
        const INDEX: &str = "application/vnd.oci.image.index.v1+json";
        const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
        const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
        const CACHE: &str = "application/vnd.buildkit.cacheconfig.v0";
        const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
        const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
        const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        const FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        for (manifest, references, is_cache) in [
            (IMAGE, &[CACHE, LAYER, LAYER][..], true),
            (IMAGE, &["Application/VND.buildkit.cacheconfig.v0; q=1"], true),
            (IMAGE, &[CONFIG, LAYER], false),
            (IMAGE, &[LAYER], false),
            (IMAGE, &[], false),
            (INDEX, &[LAYER, ZSTD, CACHE], true),
            (LIST, &[DOCKER_LAYER, FOREIGN_LAYER], true),
            (INDEX, &[IMAGE, LAYER], false),
            (INDEX, &[IMAGE, IMAGE], false),
            (INDEX, &[""], false),
            (INDEX, &[], false),
        ] {
            let references = references.iter().map(|media_type| RegistryReference {
                media_type: Some((*media_type).to_owned()),
                digest: Some(DIGEST.into()),
                ..RegistryReference::default()
            });
            let references: Vec<_> = references.collect();
            let event = RegistryEvent { media_type: Some(manifest.into()), references, ..pull() };
            for method in ["HEAD", "GET"] {
                let event = RegistryEvent { method: Some(method.into()), ..event.clone() };
                assert!(tagged(&event).is_ok(), "every access by tag counts");
                for tag in [None, Some("main")] {
                    let event = RegistryEvent { tag: tag.map(str::to_owned), ..event.clone() };
                    let skipped = all(&event).err();
                    assert_eq!(
                        skipped,
                        is_cache.then_some(SkipReason::BuildCache),
                        "{manifest} {:?}",
                        event.references
                    );
                }
            }
            let push = RegistryEvent { action: Some("push".into()), ..event };
            assert!(all(&push).is_ok(), "the push of a cache is a push");
        }
    }
}
