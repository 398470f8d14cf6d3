//! What the end-to-end tests share: the real program as a process, a plain HTTP client, events, and a sender that
//! repeats what was not accepted, as the registry does.
//!
//! Everything listens on loopback, on free ports, and ends with the test.

pub mod client;
pub mod disk;
pub mod events;
pub mod network;
pub mod operations;
pub mod program;
pub mod random;
pub mod sender;
pub mod stores;

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

pub use program::Staticreg;
pub use staticreg_test_support::postgres::Release;

/// Makes each function a test with every release of PostgreSQL.
#[macro_export]
macro_rules! on_each_release {
    [$($test:ident),* $(,)?] => {
        $(
            mod $test {
                #[test]
                fn packaged() {
                    super::$test($crate::Release::Packaged);
                }

                #[test]
                fn eighteen() {
                    super::$test($crate::Release::Eighteen);
                }
            }
        )*
    };
}

/// How often [`eventually`] looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until there is something to see. Panics with what was waited for when the limit has passed.
pub fn eventually<T>(what: impl Display, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(LOOK_AGAIN);
    }
}
