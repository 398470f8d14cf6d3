//! `WWW-Authenticate` headers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    for (is_bearer, realm, scope) in staticreg_registry::fuzzing::challenges(header) {
        for value in [realm, scope].into_iter().flatten() {
            assert!(value.len() <= header.len(), "{is_bearer}: {value}");
        }
    }
});
