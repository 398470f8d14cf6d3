//! Tells when the registry's clock cannot be believed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use staticreg_domain::ManifestAccess;
use tokio::time::Instant;

/// The pause between two warnings.
const WARN_PAUSE: Duration = Duration::from_mins(1);

/// How long after the last such event the clocks are taken to be wrong: even where hardly anything is pulled, somebody
/// should see it.
const MEMORY: TimeDelta = TimeDelta::days(1);

/// How far a registry's clock was seen ahead of this server's, when so far that its pulls count on the server's date.
#[derive(Debug, Default)]
pub struct ClockSkew(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The time of the latest such event, and of its arrival.
    latest: Option<(DateTime<Utc>, DateTime<Utc>)>,
    warned: Option<Instant>,
    /// Events since the last warning.
    events: u64,
}

impl ClockSkew {
    /// Takes note of an access; warns when its time cannot be believed, once a minute.
    pub(crate) fn note(&self, access: &ManifestAccess) {
        let Some(arrived_at) = access.arrived_at else { return };
        let mut state = self.0.lock();
        state.latest = Some((access.at, arrived_at));
        state.events += 1;
        if state.warned.is_none_or(|warned| warned.elapsed() >= WARN_PAUSE) {
            state.warned = Some(Instant::now());
            let events = std::mem::take(&mut state.events);
            drop(state);
            tracing::warn!(
                registry = %access.at, server = %arrived_at, events,
                "The registry's clock is more than a day ahead of this server's clock. Set the one that is wrong; until \
                 then pulls count on the server's date."
            );
        }
    }

    /// How far the registry's clock was ahead at the latest event whose time could not be believed, if that was within
    /// a day.
    #[must_use]
    pub fn ahead(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let (at, arrived_at) = self.0.lock().latest?;
        // A clock that has been set since is another clock.
        ((now - arrived_at).abs() < MEMORY).then(|| at - arrived_at)
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::{
        RegistryEvent,
        rules::{Rules, Scope},
    };
    use tokio::time::sleep;

    use super::*;
    use crate::logged::Logged;

    fn now() -> DateTime<Utc> {
        "2026-11-21T20:00:00Z".parse().unwrap()
    }

    fn access(timestamp: &str) -> ManifestAccess {
        let event = RegistryEvent {
            timestamp: Some(timestamp.to_owned()),
            action: Some("pull".to_owned()),
            media_type: Some("application/vnd.oci.image.manifest.v1+json".to_owned()),
            repository: Some("demo/app".to_owned()),
            digest: Some(format!("sha256:{}", "0".repeat(64))),
            ..RegistryEvent::default()
        };
        Rules::new(Scope::AllAccesses, Vec::new()).admit(&event, now()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_warning_a_minute_names_both_clocks() {
        let logged = Logged::start();
        let skew = ClockSkew::default();
        skew.note(&access("2026-11-22T19:00:00Z"));
        assert_eq!(skew.ahead(now()), None, "within a day");
        for _ in 0..3 {
            skew.note(&access("2026-11-23T20:00:00Z"));
        }
        sleep(WARN_PAUSE).await;
        skew.note(&access("2026-11-23T20:01:00Z"));
        let words = "The registry's clock is more than a day ahead of this server's clock. Set the one that is wrong; \
                     until then pulls count on the server's date.";
        assert_eq!(
            logged.lines(),
            [
                format!("WARN {words} registry=2026-11-23 20:00:00 UTC server=2026-11-21 20:00:00 UTC events=1"),
                format!("WARN {words} registry=2026-11-23 20:01:00 UTC server=2026-11-21 20:00:00 UTC events=3"),
            ]
        );
    }

    #[tokio::test]
    async fn it_is_told_for_a_day_and_no_longer_once_this_servers_clock_was_set() {
        // A line that is first met where nobody listens is told nobody, not even the test beside this one.
        let _logged = Logged::start();
        let skew = ClockSkew::default();
        skew.note(&access("2026-11-23T20:00:00Z"));
        for (now, expected) in [
            (now(), Some(TimeDelta::days(2))),
            (now() + TimeDelta::hours(23), Some(TimeDelta::days(2))),
            (now() + TimeDelta::days(2), None),
            (now() - TimeDelta::days(2), None),
        ] {
            assert_eq!(skew.ahead(now), expected, "{now}");
        }
    }
}
