//! Ports to listen on.

use std::{
    fs,
    net::TcpListener,
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

/// Where the system says which ports it gives to connections and to listeners on port 0.
const GIVEN: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// How many ports are looked at.
const PORTS: u32 = 12_000;

/// A port that stays free until it is used, and while who used it is away: one that the system gives to nobody. Else
/// another test may be given it meanwhile, or a client that tries to connect to it while nobody listens, who then is
/// connected to itself and keeps it.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    // Each call looks at other ports than the one before, and each process begins elsewhere.
    static STEP: AtomicU32 = AtomicU32::new(0);
    let ports = not_given();
    let begin = std::process::id().wrapping_mul(97);
    let candidates = (0..PORTS).map(|_| {
        let step = STEP.fetch_add(31, Ordering::Relaxed);
        ports.start + begin.wrapping_add(step) % PORTS
    });
    let mut candidates = candidates.filter_map(|port| u16::try_from(port).ok());
    candidates.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// Ports below the ones that are given.
fn not_given() -> Range<u32> {
    /// As Linux has it when nobody sets anything.
    const USUAL: u32 = 32_768;
    let given = fs::read_to_string(GIVEN).unwrap_or_default();
    let first = given.split_whitespace().next().and_then(|first| first.parse().ok());
    // Where nearly all ports are given, none is better than another.
    let end = first.filter(|first| *first > PORTS + 1_024).unwrap_or(USUAL);
    end - PORTS..end
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, thread};

    use super::*;

    #[test]
    fn nobody_is_given_the_same_port_at_the_same_time() {
        let ports: Vec<u16> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| [(); 20].map(|()| free_port()))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
        assert!(ports.iter().all(|port| not_given().contains(&u32::from(*port))));
    }
}
