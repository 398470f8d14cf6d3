//! Work that takes long, beside the threads that answer.

use std::{
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::{Arc, LazyLock},
    thread::available_parallelism,
};

use tokio::{sync::Semaphore, task::spawn_blocking};

/// As much is done at once as there are processors; more would only keep those who answer from these.
static TURNS: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get))));

/// Does what may take longer than a notification should wait, on a thread of its own. It must not do this itself.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let turn = Arc::clone(&TURNS).acquire_owned().await;
    let working = spawn_blocking(move || {
        // Kept to the end, also when nobody waits for it any more.
        let _turn = turn;
        work()
    });
    working.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
