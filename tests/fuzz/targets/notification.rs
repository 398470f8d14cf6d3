//! The body of the webhook: whatever comes is an error or events, which pass the rules or are skipped.
#![no_main]

use chrono::DateTime;
use libfuzzer_sys::fuzz_target;
use staticreg_domain::rules::{MAX_CHILDREN, Rules, Scope};

fuzz_target!(|body: &[u8]| {
    let Ok(events) = staticreg_http::fuzzing::notification(body) else { return };
    assert!(body.trim_ascii_start().starts_with(b"{"), "an envelope is an object");
    let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
    for scope in [Scope::AllAccesses, Scope::TaggedPulls] {
        let rules = Rules::new(scope, vec!["scanner".to_owned()]);
        for event in &events {
            if let Ok(access) = rules.admit(event, now) {
                assert!(access.children.len() <= MAX_CHILDREN);
                assert!(access.at > DateTime::UNIX_EPOCH);
                assert!(access.tag.is_some() || scope == Scope::AllAccesses);
                assert_eq!(rules.admit(event, now), Ok(access), "the same again");
            }
        }
    }
});
