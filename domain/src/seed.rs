//! The random choices of tests, which can be made again.

use std::{
    env,
    hash::{BuildHasher as _, Hasher as _, RandomState},
};

use proptest::test_runner::{Config, RngSeed};

/// Names a seed to make the choices of another run again.
const VARIABLE: &str = "STATICREG_TEST_SEED";

/// So many cases of the seed in the environment, else of a new one. It is printed, so that a test that failed tells it.
pub(crate) fn cases(number: u32) -> Config {
    let seed = match env::var(VARIABLE) {
        Ok(seed) => seed.parse().unwrap_or_else(|error| panic!("{VARIABLE}={seed}: {error}")),
        Err(_) => RandomState::new().build_hasher().finish(),
    };
    println!("The random choices of this test are those of {VARIABLE}={seed}");
    Config { failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::with_cases(number) }
}
