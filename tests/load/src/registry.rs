//! How fast a large registry is read, and how much memory its snapshot takes.

use std::time::{Duration, Instant};

use crate::{
    fake_registry::{FakeRegistry, Repository},
    program::Program,
};

const REPOSITORIES: usize = 20_000;
const IMAGES: usize = 3;
/// How long the registry takes for an answer.
pub(crate) const DELAY: Duration = Duration::from_millis(5);
/// How long a first full read may take at all.
pub(crate) const LIMIT: Duration = Duration::from_mins(10);

/// Reads a registry once and prints what it took.
pub(crate) async fn measure() {
    let repositories = (0..REPOSITORIES).map(|number| Repository {
        name: format!("team-{:02}/service-{number:05}", number % 50),
        images: IMAGES,
        latest: true,
    });
    let registry = FakeRegistry::start(repositories, DELAY).await.expect("a registry");
    let start = Instant::now();
    let server = Program::start("staticreg", &[("STATICREG_REGISTRY_HOSTNAME", &registry.hostname())]).await;
    server.wait_for_log("Registry read", LIMIT).await;
    println!(
        "## Reading a registry of {} repositories, {} tags each, that takes {} ms for an answer\n",
        REPOSITORIES,
        IMAGES + 1,
        DELAY.as_millis()
    );
    println!("First full read: {:.0} s; peak memory {:.0} MiB\n", start.elapsed().as_secs_f64(), server.peak_memory());
}
