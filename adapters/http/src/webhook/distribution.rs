//! The notifications of Distribution, the CNCF's registry: JSON, read leniently, so that one odd event never spoils its
//! envelope.

use std::fmt;

use poem_openapi::Object as Schema;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};
use serde_json::value::RawValue;
use staticreg_domain::{Digest, RegistryEvent, registry_event::RegistryReference, rules::MAX_CHILDREN};
use staticreg_lenient::{Lenient, Object};

use super::format::{Format, is_json};

/// The most events of one notification. The registry sends one; a real one has some 500 bytes, so the largest usual
/// body holds no more of them, while a body of nothing but commas would become gigabytes of events.
const MAX_EVENTS: usize = 32_768;

/// The notifications of Distribution.
pub(super) struct Distribution;

impl Format for Distribution {
    fn media_types(&self) -> &'static str {
        "application/json or application/*+json"
    }

    fn takes(&self, content_type: &str) -> bool {
        is_json(content_type)
    }

    fn parse(&self, body: &[u8]) -> serde_json::Result<Vec<RegistryEvent>> {
        parse(body)
    }
}

/// Reads an envelope. An event that is odd becomes one without the odd members, for the rules to judge.
fn parse(body: &[u8]) -> serde_json::Result<Vec<RegistryEvent>> {
    // A struct may be read from a list too.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Error::invalid_type(Unexpected::Seq, &"an object with a list of `events`"));
    }
    let envelope: Envelope<'_> = serde_json::from_slice(body)?;
    Ok(envelope
        .events
        .0
        .into_iter()
        .map(|event| {
            serde_json::from_str(event.get()).map(|Object(event): Object<Event>| event).unwrap_or_default().into()
        })
        .collect())
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    events: Events<'a>,
}

/// The events of an envelope, not yet read, and no more than may be.
struct Events<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Events<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EventsVisitor)
    }
}

struct EventsVisitor;

impl<'de> Visitor<'de> for EventsVisitor {
    type Value = Events<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    /// Go writes a list without entries as null.
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Events(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(event) = seq.next_element()? {
            if events.len() == MAX_EVENTS {
                return Err(Error::custom(format_args!("more than {MAX_EVENTS} events")));
            }
            events.push(event);
        }
        Ok(Events(events))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    id: Text,
    timestamp: Text,
    action: Text,
    target: Lenient<Object<Target>>,
    request: Lenient<Object<Request>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Target {
    media_type: Text,
    repository: Text,
    tag: Text,
    digest: Text,
    references: References,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    id: Text,
    addr: Text,
    method: Text,
    useragent: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reference {
    media_type: Text,
    digest: Text,
    platform: Lenient<Object<Platform>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Platform {
    os: Text,
    architecture: Text,
    variant: Text,
}

impl From<Event> for RegistryEvent {
    fn from(event: Event) -> Self {
        let Event { id, timestamp, action, target, request } = event;
        let Target { media_type, repository, tag, digest, references } = target.object();
        let Request { id: request_id, addr, method, useragent } = request.object();
        Self {
            id: id.0,
            timestamp: timestamp.0,
            action: action.0,
            media_type: media_type.0,
            repository: repository.0,
            tag: tag.0,
            digest: digest.0,
            references: references.0,
            request_id: request_id.0,
            client_address: addr.0,
            method: method.0,
            user_agent: useragent.0,
        }
    }
}

impl From<Reference> for RegistryReference {
    fn from(reference: Reference) -> Self {
        let Reference { media_type, digest, platform } = reference;
        let Platform { os, architecture, variant } = platform.object();
        Self { media_type: media_type.0, digest: digest.0, os: os.0, architecture: architecture.0, variant: variant.0 }
    }
}

/// A text; none when missing or null. A value of another type becomes a text in angle brackets, which the grammar of
/// no member accepts, so that the rules skip the event with that member's reason.
#[derive(Default)]
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl TextVisitor {
    fn not_a_text(what: &str) -> Text {
        Text(Some(format!("<{what}>")))
    }
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Text, E> {
        Ok(Self::not_a_text("boolean"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Text, E> {
        Ok(Self::not_a_text("number"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Text, E> {
        Ok(Self::not_a_text("number"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Text, E> {
        Ok(Self::not_a_text("number"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::not_a_text("array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::not_a_text("object"))
    }
}

/// The references that tell a child; none when the value is no list, or tells more than an index may have.
#[derive(Default)]
struct References(Vec<RegistryReference>);

impl<'de> Deserialize<'de> for References {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = <&RawValue>::deserialize(deserializer)?;
        Ok(serde_json::Deserializer::from_str(value.get()).deserialize_seq(ReferencesVisitor).unwrap_or_default())
    }
}

struct ReferencesVisitor;

impl<'de> Visitor<'de> for ReferencesVisitor {
    type Value = References;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of references")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<References, A::Error> {
        let mut references = Vec::new();
        let mut told = 0;
        while let Some(reference) = seq.next_element::<Lenient<Object<Reference>>>()? {
            told += 1;
            if told > MAX_CHILDREN {
                return Err(Error::custom("too many references"));
            }
            // The others tell nothing, and a list of nothing but commas would take sixty times its own size.
            let reference = reference.object();
            if reference.digest.0.as_deref().is_some_and(|digest| digest.parse::<Digest>().is_ok()) {
                references.push(reference.into());
            }
        }
        Ok(References(references))
    }
}

/// A notification as Distribution sends it. More members than these are welcome and ignored; an event that lacks some
/// is skipped with its reason.
#[derive(Schema)]
#[oai(rename = "Notification", write_only_all)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read as an Envelope")]
pub(crate) struct NotificationSchema {
    /// What happened, in order.
    events: Vec<EventSchema>,
}

/// Something that happened at the registry.
#[derive(Schema)]
#[oai(rename = "RegistryEvent", write_only_all)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct EventSchema {
    /// The event's id, usually a UUID. The registry repeats an event with the same id; it counts once.
    id: Option<String>,
    /// When it happened, RFC 3339, by the registry's clock.
    timestamp: Option<String>,
    /// `pull`, `push`, `mount` or `delete`.
    action: Option<String>,
    /// What was accessed.
    target: Option<TargetSchema>,
    /// Who asked.
    request: Option<RequestSchema>,
}

/// What was accessed.
#[derive(Schema)]
#[oai(rename = "EventTarget", rename_all = "camelCase", write_only_all)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct TargetSchema {
    /// The media type; only the four of manifests and indexes count.
    media_type: Option<String>,
    /// The repository's name.
    repository: Option<String>,
    /// The tag; only there when the client named one.
    tag: Option<String>,
    /// The digest.
    digest: Option<String>,
}

/// Who asked.
#[derive(Schema)]
#[oai(rename = "EventRequest", write_only_all)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct RequestSchema {
    /// The request's id.
    id: Option<String>,
    /// The client's address, with or without port.
    addr: Option<String>,
    /// The HTTP method.
    method: Option<String>,
    /// The client's user agent.
    useragent: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(event: &str) -> RegistryEvent {
        let mut events = parse(format!(r#"{{"events":[{event}]}}"#).as_bytes()).expect("an envelope");
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    #[test]
    fn a_recorded_event_is_read_whole() {
        let text = |text: &str| Some(text.to_owned());
        let event = one(
            r#"{"id":"i","timestamp":"t","action":"pull","target":{"mediaType":"m","size":491,"digest":"d",
            "length":491,"repository":"demo/multi","url":"http://x","tag":"v1","references":[{"mediaType":"c",
            "size":758,"digest":"sha256:8bfa990430b3f57834ed6b54c3786189eb0ff2233cbe8fd0ddd0ca5423d04924","platform":{"architecture":"arm","os":"linux","variant":"v7"}}]},
            "request":{"id":"r","addr":"127.0.0.1:57610","host":"h","method":"HEAD","useragent":"docker/20"},
            "actor":{},"source":{"addr":"registry-host:5000","instanceID":"f"}}"#,
        );
        let reference = RegistryReference {
            media_type: text("c"),
            digest: text("sha256:8bfa990430b3f57834ed6b54c3786189eb0ff2233cbe8fd0ddd0ca5423d04924"),
            os: text("linux"),
            architecture: text("arm"),
            variant: text("v7"),
        };
        assert_eq!(
            event,
            RegistryEvent {
                id: text("i"),
                timestamp: text("t"),
                action: text("pull"),
                media_type: text("m"),
                repository: text("demo/multi"),
                tag: text("v1"),
                digest: text("d"),
                references: vec![reference],
                request_id: text("r"),
                client_address: text("127.0.0.1:57610"),
                method: text("HEAD"),
                user_agent: text("docker/20"),
            }
        );
    }

    #[test]
    fn an_odd_event_keeps_what_is_well() {
        for odd in ["42", "null", r#""pull""#, "[]", "true", r#"{"action":"a","action":"b"}"#, r#"{"id":"\ud800"}"#] {
            assert_eq!(one(odd), RegistryEvent::default(), "{odd}");
        }
        let event = one(r#"{"action":"pull","target":7,"request":{"method":"GET","addr":[1,{"a":2}]}}"#);
        assert_eq!(event.action.as_deref(), Some("pull"));
        assert_eq!(event.method.as_deref(), Some("GET"));
        assert_eq!(event.client_address.as_deref(), Some("<array>"));
    }

    #[test]
    fn a_value_that_is_no_text_is_never_taken_for_one() {
        for value in ["17", "-1.5", "true", "[]", "{}"] {
            let tag = one(&format!(r#"{{"target":{{"tag":{value}}}}}"#)).tag.expect("some text");
            assert!(tag.parse::<staticreg_domain::Tag>().is_err(), "{value} became {tag}");
        }
        assert_eq!(one(r#"{"target":{"tag":null}}"#).tag, None);
    }

    #[test]
    fn references_that_are_no_list_are_none() {
        for odd in ["null", "{}", "3", r#""x""#] {
            assert_eq!(one(&format!(r#"{{"target":{{"references":{odd}}}}}"#)).references, [], "{odd}");
        }
    }

    #[test]
    fn references_that_tell_no_child_are_left_out() {
        let child = format!(r#"{{"digest":"sha256:{}"}}"#, "0".repeat(64));
        let of = |list: &str| one(&format!(r#"{{"target":{{"references":[{list}]}}}}"#)).references.len();
        for (list, expected) in [("3", 0), ("{}", 0), (r#"{"digest":7}"#, 0), (r#"{"digest":"x"}"#, 0), (&child, 1)] {
            assert_eq!(of(list), expected, "{list}");
        }
        assert_eq!(of(&format!("3,{child},null,{child}")), 2);
        assert_eq!(of(&vec![&*child; MAX_CHILDREN].join(",")), MAX_CHILDREN);
        assert_eq!(of(&vec![&*child; MAX_CHILDREN + 1].join(",")), 0, "too many to be told");
        assert_eq!(of(&format!("{child}{}", ",0".repeat(MAX_CHILDREN))), 0, "too many to be told");
    }

    #[test]
    fn an_envelope_holds_no_more_events_than_may_be() {
        let envelope = |length: usize| format!(r#"{{"events":[0{}]}}"#, ",0".repeat(length - 1));
        assert_eq!(parse(envelope(MAX_EVENTS).as_bytes()).expect("an envelope").len(), MAX_EVENTS);
        let error = parse(envelope(MAX_EVENTS + 1).as_bytes()).expect_err("too many").to_string();
        assert!(error.starts_with("more than 32768 events at line 1 column "), "{error}");
        // What follows is not even looked at.
        let error = parse(format!("{}no JSON", envelope(MAX_EVENTS + 1).trim_end_matches("]}")).as_bytes());
        assert!(error.expect_err("too many").to_string().starts_with("more than 32768 events at line 1 column "));
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for body in [
            "",
            "null",
            "[]",
            "[[]]",
            " [[[]]]",
            "{}",
            r#"{"events":{}}"#,
            r#"{"events":[}"#,
            "{\"events\":[]",
            "\u{1}",
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(parse(b"{\"events\":[\"\xff\"]}").is_err(), "not UTF-8");
    }

    #[test]
    fn an_envelope_may_be_empty() {
        for body in [r#"{"events":[]}"#, r#"{"events":null}"#] {
            assert_eq!(parse(body.as_bytes()).expect(body), []);
        }
    }
}
