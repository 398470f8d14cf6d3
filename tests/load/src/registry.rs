//! How fast a large registry is read, and how much memory its picture takes.

use std::time::{Duration, Instant};

use crate::{
    fake_registry::{FakeRegistry, Size},
    program::Program,
};

const SIZE: Size = Size { repositories: 20_000, images: 3 };
const DELAY: Duration = Duration::from_millis(5);
const LIMIT: Duration = Duration::from_mins(10);

/// Reads a registry once and prints what it took.
pub(crate) async fn measure() {
    let registry = FakeRegistry::start(SIZE, DELAY).await.expect("a registry");
    let start = Instant::now();
    let server = Program::start("staticreg", &[("STATICREG_REGISTRY_HOSTNAME", &registry.hostname())]).await;
    server.wait_for_log("Registry read", LIMIT).await;
    println!(
        "## Reading a registry of {} repositories, {} tags each, that takes {} ms for an answer\n",
        SIZE.repositories,
        SIZE.images + 1,
        DELAY.as_millis()
    );
    println!("First full read: {:.0} s; peak memory {:.0} MiB\n", start.elapsed().as_secs_f64(), server.peak_memory());
}
