//! Cursors: one that is taken names a place, and the place names it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|cursor: &str| staticreg_http::fuzzing::cursor(cursor));
