//! How often the registry is asked.

use std::{num::NonZeroU32, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Lets requests through one after the other, so many in a second.
pub(crate) struct Pace {
    interval: Duration,
    /// When the next one may go.
    next: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(requests_per_second: NonZeroU32) -> Self {
        Self { interval: Duration::from_secs(1) / requests_per_second.get(), next: Mutex::new(Instant::now()) }
    }

    /// Waits for a turn; a turn that is given up is lost.
    pub(crate) async fn turn(&self) {
        let turn = {
            let mut next = self.next.lock();
            let turn = (*next).max(Instant::now());
            *next = turn + self.interval;
            turn
        };
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_go_in_a_second_and_none_is_saved_up() {
        let pace = Pace::new(NonZeroU32::new(4).expect("four"));
        for _ in 0..2 {
            let began = Instant::now();
            for _ in 0..9 {
                pace.turn().await;
            }
            assert_eq!(began.elapsed().as_millis(), 2_000);
            tokio::time::advance(Duration::from_secs(10)).await;
        }
    }
}
