//! Connections to a database, a few, each used by one call at a time.
//!
//! Not the driver's pool: that one keeps a place for ever when a connection is given back whose peer is gone without a
//! word, or whose call was given up half-way. Here a connection comes back only from a call that got its answer. Any
//! other is dropped where it is, and its place is free.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use staticreg_domain::{connection_pool::PoolStats, metrics::MetricsError};
use tokio::sync::Semaphore;

use crate::error::within;

/// A connection that nobody needed for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);

/// The connections of a store.
#[derive(Debug)]
pub(crate) struct Connections<C> {
    places: Semaphore,
    /// The last one used comes last.
    idle: Mutex<Vec<Idle<C>>>,
    /// How long a call may wait for its connection.
    patience: Duration,
    max: u32,
    used: Used,
}

/// How connections were used since the start.
#[derive(Debug, Default)]
struct Used {
    connecting: AtomicU64,
    opened: AtomicU64,
    closed_idle: AtomicU64,
    taken: AtomicU64,
    given_up: AtomicU64,
    waited_ns: AtomicU64,
}

/// Counts something that goes on, until it is dropped.
struct Going<'a>(&'a AtomicU64);

impl<'a> Going<'a> {
    fn on(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Idle<C> {
    connection: C,
    since: Instant,
}

impl<C> Connections<C> {
    pub(crate) fn new(most: u32, patience: Duration) -> Self {
        let places = Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS));
        Self { places, idle: Mutex::default(), patience, max: most, used: Used::default() }
    }

    /// How they are used, and were since the start.
    pub(crate) fn stats(&self) -> PoolStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Used { connecting, opened, closed_idle, taken, given_up, waited_ns } = &self.used;
        let (max, connecting) = (u64::from(self.max), read(connecting));
        let busy = max.saturating_sub(self.places.available_permits() as u64);
        PoolStats {
            max,
            in_use: busy.saturating_sub(connecting),
            idle: self.idle().len() as u64,
            connecting,
            opened: read(opened),
            closed_idle: read(closed_idle),
            taken: read(taken),
            given_up: read(given_up),
            waited: Duration::from_nanos(read(waited_ns)),
        }
    }

    /// Runs a call on a connection, an idle one that `is_alive` or a new one.
    pub(crate) async fn run<T>(
        &self,
        is_alive: impl AsyncFnOnce(&mut C) -> bool,
        connect: impl AsyncFnOnce() -> Result<C, MetricsError>,
        call: impl AsyncFnOnce(&mut C) -> Result<T, MetricsError>,
    ) -> Result<T, MetricsError> {
        let began = Instant::now();
        let taken = within(self.patience, async {
            let place = self.places.acquire().await.expect("it is never closed");
            if let Some(connection) = self.alive(is_alive).await {
                return Ok((place, connection));
            }
            let _connecting = Going::on(&self.used.connecting);
            let connection = connect().await?;
            self.used.opened.fetch_add(1, Ordering::Relaxed);
            Ok((place, connection))
        });
        // The place is free once the connection is back, or gone.
        let (_place, mut connection) = taken.await.inspect_err(|_| {
            self.used.given_up.fetch_add(1, Ordering::Relaxed);
        })?;
        let waited = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.used.waited_ns.fetch_add(waited, Ordering::Relaxed);
        self.used.taken.fetch_add(1, Ordering::Relaxed);
        let answer = call(&mut connection).await;
        if matches!(answer, Ok(_) | Err(MetricsError::Refused(_))) {
            self.put_back(connection);
        }
        answer
    }

    /// The connection used last, when it is alive. If it is not, the others were left before it and are not either.
    async fn alive(&self, is_alive: impl AsyncFnOnce(&mut C) -> bool) -> Option<C> {
        let Idle { mut connection, .. } = self.idle().pop()?;
        if is_alive(&mut connection).await {
            return Some(connection);
        }
        self.idle().clear();
        None
    }

    fn put_back(&self, connection: C) {
        let mut idle = self.idle();
        let before = idle.len();
        idle.retain(|left| left.since.elapsed() < IDLE_TIMEOUT);
        self.used.closed_idle.fetch_add((before - idle.len()) as u64, Ordering::Relaxed);
        idle.push(Idle { connection, since: Instant::now() });
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle<C>>> {
        self.idle.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(10);

    /// Answers which connection a call was given.
    async fn used(connections: &Connections<u32>, alive: bool, next: u32) -> Result<u32, MetricsError> {
        connections.run(async |_| alive, async || Ok(next), async |connection| Ok(*connection)).await
    }

    #[tokio::test]
    async fn a_connection_is_used_again_while_it_is_alive() {
        let connections = Connections::new(2, PATIENCE);
        assert_eq!(used(&connections, true, 1).await.unwrap(), 1);
        assert_eq!(used(&connections, true, 2).await.unwrap(), 1);
        assert_eq!(used(&connections, false, 3).await.unwrap(), 3);
        assert_eq!(used(&connections, true, 4).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn how_they_are_used_is_counted() {
        let connections = Connections::new(2, PATIENCE);
        assert_eq!(connections.stats(), PoolStats { max: 2, ..PoolStats::default() });
        used(&connections, true, 1).await.unwrap();
        let call = connections.run(async |_: &mut u32| true, async || Ok(2), async |_| Ok(connections.stats()));
        let during = call.await.unwrap();
        assert_eq!((during.in_use, during.idle, during.opened, during.taken), (1, 0, 1, 2));
        let fail = || connections.run(async |_: &mut u32| false, async || Err(gone()), async |_| Ok(()));
        fail().await.unwrap_err();
        let after = connections.stats();
        assert_eq!((after.in_use, after.idle, after.connecting, after.given_up, after.opened), (0, 0, 0, 1, 1));
    }

    fn gone() -> MetricsError {
        MetricsError::Unavailable("gone".into())
    }

    #[tokio::test]
    async fn what_failed_is_not_used_again_and_what_was_refused_is() {
        let connections = Connections::new(1, PATIENCE);
        let fail = |error: fn() -> MetricsError| {
            connections.run(async |_: &mut u32| true, async || Ok(1), async move |_| Err::<(), _>(error()))
        };
        fail(gone).await.unwrap_err();
        assert_eq!(used(&connections, true, 2).await.unwrap(), 2);
        fail(|| MetricsError::Refused("too large".into())).await.unwrap_err();
        assert_eq!(used(&connections, true, 3).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_leaves_its_place_and_takes_its_connection_along() {
        let connections = Connections::new(1, PATIENCE);
        let hanging =
            || connections.run(async |_: &mut u32| true, async || Ok(1), async |_| pending::<Result<(), _>>().await);
        for _ in 0..3 {
            assert!(timeout(Duration::ZERO, hanging()).await.is_err());
        }
        assert_eq!(used(&connections, true, 2).await.unwrap(), 2);
        // While the place is taken, others wait so long and no longer.
        tokio::select! {
            biased;
            _ = hanging() => unreachable!("it hangs"),
            waited = used(&connections, true, 3) => assert!(matches!(waited, Err(MetricsError::Unavailable(_)))),
        }
        assert_eq!(used(&connections, true, 4).await.unwrap(), 4);
    }
}
