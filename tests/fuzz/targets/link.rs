//! `Link` headers: whatever a registry sends, the next page is on the registry.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| {
    const PAGE: &str = "https://registry.example:5000/v2/_catalog?n=100&last=a";
    if let Some(next) = staticreg_registry::fuzzing::next(header, PAGE) {
        assert!(next.starts_with("https://registry.example:5000/"), "{next}");
    }
});
