//! Random choices that can be made again.

use std::{
    env,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

/// Names a seed to make the choices of another run again.
const VARIABLE: &str = "STATICREG_TEST_SEED";

/// Random numbers of a seed, which is printed, so that a test that failed tells it. (Numbers as in `SplitMix64`.)
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from the seed in the environment, else from a new one.
    #[must_use]
    pub fn new() -> Self {
        let seed = match env::var(VARIABLE) {
            Ok(seed) => seed.parse().unwrap_or_else(|error| panic!("{VARIABLE}={seed}: {error}")),
            Err(_) => RandomState::new().build_hasher().finish(),
        };
        println!("The random choices of this test are those of {VARIABLE}={seed}");
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A time between two numbers of milliseconds.
    pub fn time(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.number() % (to - from))
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
