//! The balance of what was received: nothing enters or leaves it but through [`Ledger`] and [`Attempt`], and each of
//! their steps keeps it.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use staticreg_domain::{RepositoryName, metrics::AccessKind, rules::SkipReason};

use super::{batches::Recorded, busiest::Busiest};

/// What became of all events since the start. `received` is always the sum of the others.
///
/// An event that the registry sends again is received again. What an earlier run left in the spool is received at the
/// start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// All of them.
    pub received: u64,
    /// Their changes are stored.
    pub counted: u64,
    /// They do not count.
    pub skipped: u64,
    /// They were recorded before and changed nothing.
    pub duplicate: u64,
    /// They were not stored when their request ended, which the registry was told by a 503, or the store refuses them.
    pub refused: u64,
    /// It is not settled yet: they are being stored, or wait in the spool.
    pub waiting: u64,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Counted,
    Skipped(SkipReason),
    Duplicate,
    Refused,
}

/// The balance at one moment, and what it is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies {
    pub(crate) balance: Balance,
    /// The skipped, by reason.
    pub(crate) skipped: BTreeMap<SkipReason, u64>,
    /// What the counted added, by kind.
    pub(crate) added: BTreeMap<AccessKind, u64>,
}

/// Kinds that fetch an image.
const PULLS: [AccessKind; 2] = [AccessKind::PullByTag, AccessKind::PullByDigest];

impl Tallies {
    fn settle(&mut self, outcome: Outcome, events: u64) {
        self.balance.settle(outcome, events);
        if let Outcome::Skipped(reason) = outcome {
            *self.skipped.entry(reason).or_default() += events;
        }
    }

    /// What became of one event; nothing when it goes on waiting.
    fn settle_one(&mut self, recorded: &Recorded) {
        let Some(outcome) = recorded.outcome() else { return };
        self.settle(outcome, 1);
        if let Recorded::Counted(event) = recorded {
            for kind in AccessKind::ALL {
                let added = event.added(kind).count() as u64;
                if added > 0 {
                    *self.added.entry(kind).or_default() += added;
                }
            }
        }
    }
}

impl Balance {
    fn receive(&mut self, events: u64) {
        self.received += events;
        self.waiting += events;
    }

    fn settle(&mut self, outcome: Outcome, events: u64) {
        self.waiting -= events;
        *match outcome {
            Outcome::Counted => &mut self.counted,
            Outcome::Skipped(_) => &mut self.skipped,
            Outcome::Duplicate => &mut self.duplicate,
            Outcome::Refused => &mut self.refused,
        } += events;
    }
}

/// Keeps the balance. Clones keep the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    tallies: Tallies,
    /// How many of those that wait are in the spool.
    spooled: u64,
    /// Which repositories are pulled most, when somebody wants to know.
    busiest: Option<Busiest>,
}

impl State {
    /// What became of one event; nothing when it goes on waiting.
    fn settle_one(&mut self, recorded: &Recorded) {
        self.tallies.settle_one(recorded);
        if let (Recorded::Counted(event), Some(busiest)) = (recorded, &mut self.busiest) {
            for key in PULLS.into_iter().flat_map(|kind| event.added(kind)) {
                busiest.pulled(&key.repository);
            }
        }
    }
}

impl Ledger {
    /// The balance at one moment.
    pub(crate) fn read(&self) -> Balance {
        self.0.lock().tallies.balance
    }

    /// The same, with what it is made of.
    pub(crate) fn tallies(&self) -> Tallies {
        self.0.lock().tallies.clone()
    }

    /// Tells so many of the repositories that are pulled most, from now on.
    pub(super) fn tell_busiest(&self, repositories: usize) {
        self.0.lock().busiest = Some(Busiest::new(repositories));
    }

    /// The repositories that are pulled most; none when nobody wants to know.
    pub(crate) fn busiest(&self) -> Option<Vec<(RepositoryName, u64)>> {
        self.0.lock().busiest.as_ref().map(Busiest::read)
    }

    /// Takes events in.
    pub(crate) fn receive(&self, events: usize) -> Attempt {
        let open = events as u64;
        if open > 0 {
            self.0.lock().tallies.balance.receive(open);
        }
        Attempt { ledger: self.clone(), open }
    }

    /// Events were written into the spool, which their attempts will say of them too: they go on waiting.
    pub(super) fn spooled(&self, events: usize) {
        self.0.lock().spooled += events as u64;
    }

    /// Events of the spool were given to the store.
    pub(super) fn replayed(&self, recorded: &[Recorded]) {
        let mut state = self.0.lock();
        for recorded in recorded {
            // More are replayed than were known of when the spool could not be counted.
            if state.spooled == 0 {
                state.tallies.balance.receive(1);
            } else {
                state.spooled -= 1;
            }
            state.settle_one(recorded);
        }
    }

    /// The spool was counted. What it does not hold was in it already when it came again; what it holds beyond was
    /// written by an earlier run, or when the spool said that it was not.
    pub(super) fn spool_holds(&self, events: u64) {
        let mut state = self.0.lock();
        let State { tallies, spooled, busiest: _ } = &mut *state;
        tallies.settle(Outcome::Duplicate, spooled.saturating_sub(events));
        tallies.balance.receive(events.saturating_sub(*spooled));
        *spooled = events;
    }
}

/// Events that were taken in and are not settled. Those that never are, because their request was given up or nobody
/// records any more, are refused when it is dropped.
#[derive(Debug)]
pub(crate) struct Attempt {
    ledger: Ledger,
    open: u64,
}

impl Attempt {
    /// All of them do not count, for these reasons.
    pub(crate) fn skip_all(mut self, reasons: &BTreeMap<SkipReason, usize>) {
        let mut state = self.ledger.0.lock();
        for (reason, events) in reasons {
            let events = *events as u64;
            self.open -= events;
            state.tallies.settle(Outcome::Skipped(*reason), events);
        }
    }

    /// What became of some of them.
    pub(super) fn settle(&mut self, recorded: &[Recorded]) {
        let mut state = self.ledger.0.lock();
        for recorded in recorded {
            self.open -= 1;
            // What is in the spool waits there, and is the replay's to settle.
            state.settle_one(recorded);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.open > 0 {
            self.ledger.0.lock().tallies.settle(Outcome::Refused, self.open);
        }
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::{PullEvent, rules::SkipReason};
    use uuid::Uuid;

    use super::{super::testing, *};

    fn balance(ledger: &Ledger) -> Balance {
        let balance = ledger.read();
        let Balance { received, counted, skipped, duplicate, refused, waiting } = balance;
        assert_eq!(received, counted + skipped + duplicate + refused + waiting, "{balance:?}");
        balance
    }

    #[test]
    fn what_is_never_settled_is_refused() {
        let ledger = Ledger::default();
        let mut attempt = ledger.receive(3);
        assert_eq!(balance(&ledger), Balance { received: 3, waiting: 3, ..Balance::default() });
        attempt.settle(&[Recorded::Duplicate, Recorded::Skipped(SkipReason::NoTag)]);
        drop(attempt);
        let expected = Balance { received: 3, skipped: 1, duplicate: 1, refused: 1, ..Balance::default() };
        assert_eq!(balance(&ledger), expected);
    }

    #[test]
    fn what_is_spooled_waits_until_it_is_replayed_however_its_request_ends() {
        let ledger = Ledger::default();
        let mut attempt = ledger.receive(2);
        ledger.spooled(2);
        ledger.spool_holds(2);
        // The replay may be faster than the writer.
        ledger.replayed(&[Recorded::Duplicate]);
        assert_eq!(balance(&ledger), Balance { received: 2, duplicate: 1, waiting: 1, ..Balance::default() });
        attempt.settle(&[Recorded::Spooled, Recorded::Spooled]);
        drop(attempt);
        assert_eq!(balance(&ledger), Balance { received: 2, duplicate: 1, waiting: 1, ..Balance::default() });
        ledger.replayed(&[Recorded::Refused]);
        ledger.spool_holds(0);
        assert_eq!(balance(&ledger), Balance { received: 2, duplicate: 1, refused: 1, ..Balance::default() });
    }

    #[test]
    fn the_spool_says_how_many_wait_in_it() {
        let ledger = Ledger::default();
        ledger.spool_holds(5);
        assert_eq!(balance(&ledger), Balance { received: 5, waiting: 5, ..Balance::default() }, "of an earlier run");
        let mut again = ledger.receive(1);
        ledger.spooled(1);
        ledger.spool_holds(5);
        again.settle(&[Recorded::Spooled]);
        drop(again);
        let expected = Balance { received: 6, duplicate: 1, waiting: 5, ..Balance::default() };
        assert_eq!(balance(&ledger), expected, "it was there already");
        ledger.replayed(&vec![Recorded::Duplicate; 7]);
        assert_eq!(balance(&ledger), Balance { received: 8, duplicate: 8, ..Balance::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn repositories_are_told_when_somebody_asks_for_them() {
        let access = |number| testing::access(Uuid::from_u128(number).into());
        let pull = |number| Recorded::Counted(PullEvent::by_tag(&access(number)).expect("a pull"));
        let ledger = Ledger::default();
        ledger.receive(1).settle(&[pull(1)]);
        assert_eq!(ledger.busiest(), None);
        ledger.tell_busiest(1);
        ledger.receive(2).settle(&[pull(2), Recorded::Duplicate]);
        assert_eq!(ledger.busiest(), Some(vec![(access(2).repository, 1)]));
    }
}
