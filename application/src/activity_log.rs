//! The log lines of what was recorded: each by itself while there are few, summed up while there are many.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use staticreg_domain::metrics::{AccessKind, CountKey, PullEvent};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracing::Level;

use crate::receive_notification::Receipt;

/// Past so many lines in a [`SPAN`] the rest is summed up in one.
const MAX_LINES: u32 = 20;

/// How long what there is more of is summed up.
const SPAN: Duration = Duration::from_secs(1);

/// Tells of pulls, pushes and notifications.
#[derive(Debug)]
pub struct ActivityLog {
    state: Mutex<State>,
    summing: Notify,
}

#[derive(Debug)]
struct State {
    began: Instant,
    lines: u32,
    untold: Sums,
}

/// What was told by no line of its own.
#[derive(Debug, Default)]
struct Sums {
    pulls: u64,
    pushes: u64,
    notifications: u64,
    events: usize,
    processed: usize,
    skipped: usize,
}

impl Default for ActivityLog {
    fn default() -> Self {
        let state = State { began: Instant::now(), lines: 0, untold: Sums::default() };
        Self { state: Mutex::new(state), summing: Notify::new() }
    }
}

impl ActivityLog {
    /// Tells what was summed up when its time has come, until `stop`, and then the rest.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let telling = async {
            loop {
                self.summing.notified().await;
                let end = self.state().began + SPAN;
                sleep_until(end).await;
                self.state().tell_sums();
            }
        };
        tokio::select! {
            () = telling => {}
            () = stop => {}
        }
        self.state().tell_sums();
    }

    /// Tells of the pulls and pushes of an event that was just stored.
    pub(crate) fn stored(&self, event: &PullEvent) {
        for CountKey { repository, tag, digest, architecture, .. } in event.added(AccessKind::PullByTag) {
            let tag = tag.as_ref().map(tracing::field::display);
            self.tell(
                |untold| untold.pulls += 1,
                || tracing::info!(%repository, tag, %digest, %architecture, "Pull metrics updated"),
            );
        }
        for CountKey { repository, tag, digest, .. } in event.added(AccessKind::Push) {
            let tag = tag.as_ref().map(tracing::field::display);
            self.tell(|untold| untold.pushes += 1, || tracing::info!(%repository, tag, %digest, "Push recorded"));
        }
    }

    /// Tells the receipt of a notification.
    pub(crate) fn received(&self, receipt: &Receipt) {
        let (events, processed, skipped) = (receipt.total, receipt.processed, receipt.skipped_total());
        // Layers, configurations and staticreg's own requests: most of what a registry sends.
        if skipped == events {
            tracing::debug!(
                totalEvents = events,
                eventsProcessed = processed,
                eventsSkipped = skipped,
                "Webhook processing completed"
            );
            return;
        }
        self.tell(
            |untold| {
                untold.notifications += 1;
                untold.events += events;
                untold.processed += processed;
                untold.skipped += skipped;
            },
            || {
                tracing::info!(
                    totalEvents = events,
                    eventsProcessed = processed,
                    eventsSkipped = skipped,
                    "Webhook processing completed"
                );
            },
        );
    }

    /// Writes a line, or adds it to the sums when there were enough.
    fn tell(&self, sum: impl FnOnce(&mut Sums), line: impl FnOnce()) {
        if !tracing::enabled!(Level::INFO) {
            return;
        }
        let mut state = self.state();
        if state.began.elapsed() >= SPAN {
            state.tell_sums();
        }
        if state.lines < MAX_LINES {
            state.lines += 1;
            drop(state);
            line();
        } else {
            sum(&mut state.untold);
            drop(state);
            self.summing.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Tells what has no line of its own, and begins anew.
    fn tell_sums(&mut self) {
        let Sums { pulls, pushes, notifications, events, processed, skipped } = std::mem::take(&mut self.untold);
        self.began = Instant::now();
        self.lines = 0;
        if pulls + pushes + notifications > 0 {
            tracing::info!(
                notifications,
                pulls,
                pushes,
                totalEvents = events,
                eventsProcessed = processed,
                eventsSkipped = skipped,
                "Webhook processing completed: further notifications of this second, summed up"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use staticreg_domain::metrics::Change;
    use tokio::{sync::oneshot, time::sleep};
    use uuid::Uuid;

    use super::*;
    use crate::logged::Logged;

    fn change(kind: AccessKind, architecture: &str, delta: i32) -> Change {
        let key = CountKey {
            kind,
            date: "2026-11-21".parse().unwrap(),
            repository: "demo/app".parse().unwrap(),
            tag: Some("v1".parse().unwrap()),
            digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            architecture: architecture.parse().unwrap(),
        };
        Change { key: Arc::new(key), delta }
    }

    fn event(changes: &[Change]) -> PullEvent {
        PullEvent {
            id: Uuid::nil().into(),
            at: DateTime::UNIX_EPOCH,
            timestamp: DateTime::UNIX_EPOCH,
            changes: changes.to_vec(),
        }
    }

    fn receipt(total: usize, processed: usize) -> Receipt {
        let skipped = std::iter::once((staticreg_domain::rules::SkipReason::NotAManifest, total - processed)).collect();
        Receipt { total, processed, skipped, ..Receipt::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_has_one_line_and_one_that_moves_to_its_platform_no_other() {
        let logged = Logged::start();
        let log = ActivityLog::default();
        log.stored(&event(&[change(AccessKind::VersionCheck, "amd64", -1), change(AccessKind::PullByTag, "amd64", 1)]));
        log.stored(&event(&[change(AccessKind::PullByTag, "amd64", -1), change(AccessKind::PullByTag, "arm64", 1)]));
        log.stored(&event(&[change(AccessKind::VersionCheck, "amd64", 1)]));
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(
            logged.lines(),
            [format!("INFO Pull metrics updated repository=demo/app tag=v1 digest={digest} architecture=amd64")]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_names_its_repository() {
        let logged = Logged::start();
        ActivityLog::default().stored(&event(&[change(AccessKind::Push, "not-specified", 1)]));
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(logged.lines(), [format!("INFO Push recorded repository=demo/app tag=v1 digest={digest}")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_notification_of_nothing_that_counts_is_told_at_debug() {
        let logged = Logged::start();
        let log = ActivityLog::default();
        log.received(&receipt(3, 0));
        log.received(&receipt(0, 0));
        log.received(&receipt(3, 1));
        assert_eq!(
            logged.lines(),
            [
                "DEBUG Webhook processing completed totalEvents=3 eventsProcessed=0 eventsSkipped=3",
                "DEBUG Webhook processing completed totalEvents=0 eventsProcessed=0 eventsSkipped=0",
                "INFO Webhook processing completed totalEvents=3 eventsProcessed=1 eventsSkipped=2",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn past_twenty_lines_a_second_the_rest_is_summed_up_in_one() {
        let logged = Logged::start();
        let log = Arc::new(ActivityLog::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = Arc::clone(&log);
        let running = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
        let pull = event(&[change(AccessKind::PullByTag, "amd64", 1)]);
        for _ in 0..50 {
            log.stored(&pull);
            log.received(&receipt(2, 1));
        }
        assert_eq!(logged.lines().len(), 20);
        sleep(SPAN * 2).await;
        let sums = |number| {
            format!(
                "INFO Webhook processing completed: further notifications of this second, summed up \
                 notifications={number} pulls={number} pushes=0 totalEvents={} eventsProcessed={number} \
                 eventsSkipped={number}",
                number * 2
            )
        };
        assert_eq!(logged.lines()[20..], [sums(40)]);

        for _ in 0..11 {
            log.stored(&pull);
            log.received(&receipt(2, 1));
        }
        assert_eq!(logged.lines().len(), 21 + 20, "each by itself again");
        drop(stop);
        running.await.unwrap();
        assert_eq!(logged.lines()[41..], [sums(1)], "the rest is told at the end");
    }
}
