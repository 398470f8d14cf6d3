//! Connections to a database, a few, each used by one call at a time.
//!
//! Not the driver's pool: that one keeps a place for ever when a connection is given back whose peer is gone without a
//! word, or whose call was given up half-way. Here a connection comes back only from a call that got its answer. Any
//! other is dropped where it is, and its place is free.

use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use staticreg_domain::metrics::MetricsError;
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
}

#[derive(Debug)]
struct Idle<C> {
    connection: C,
    since: Instant,
}

impl<C> Connections<C> {
    pub(crate) fn new(most: u32, patience: Duration) -> Self {
        let places = Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS));
        Self { places, idle: Mutex::default(), patience }
    }

    /// Runs a call on a connection, an idle one that `is_alive` or a new one.
    pub(crate) async fn run<T>(
        &self,
        is_alive: impl AsyncFnOnce(&mut C) -> bool,
        connect: impl AsyncFnOnce() -> Result<C, MetricsError>,
        call: impl AsyncFnOnce(&mut C) -> Result<T, MetricsError>,
    ) -> Result<T, MetricsError> {
        let taken = within(self.patience, async {
            let place = self.places.acquire().await.expect("it is never closed");
            let connection = match self.alive(is_alive).await {
                Some(connection) => connection,
                None => connect().await?,
            };
            Ok((place, connection))
        });
        // The place is free once the connection is back, or gone.
        let (_place, mut connection) = taken.await?;
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
        idle.retain(|left| left.since.elapsed() < IDLE_TIMEOUT);
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
    async fn what_failed_is_not_used_again_and_what_was_refused_is() {
        let connections = Connections::new(1, PATIENCE);
        let fail = |error: fn() -> MetricsError| {
            connections.run(async |_: &mut u32| true, async || Ok(1), async move |_| Err::<(), _>(error()))
        };
        fail(|| MetricsError::Unavailable("gone".into())).await.unwrap_err();
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
