//! `X-Forwarded-For` and `Forwarded`: nobody but a trusted proxy is believed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|headers: &[u8]| {
    let (one, other) = headers.split_at(headers.iter().position(|byte| *byte == b'\n').unwrap_or(headers.len()));
    let (trusted, stranger) = ("10.0.0.1", "192.0.2.1");
    let sender = |peer| staticreg_http::fuzzing::sender(peer, one, other.trim_ascii(), "10.0.0.0/8");
    assert_eq!(sender(stranger), Some(stranger.to_owned()));
    // Whoever is told, it is an address.
    if let Some(told) = sender(trusted) {
        told.parse::<std::net::IpAddr>().expect("an address");
    }
});
