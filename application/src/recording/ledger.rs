//! The balance of what was received: nothing enters or leaves it but through [`Ledger`] and [`Attempt`], and each of
//! their steps keeps it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::batches::Recorded;

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
    Skipped,
    Duplicate,
    Refused,
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
            Outcome::Skipped => &mut self.skipped,
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
    balance: Balance,
    /// How many of those that wait are in the spool.
    spooled: u64,
}

impl Ledger {
    /// The balance at one moment.
    pub(crate) fn read(&self) -> Balance {
        self.0.lock().balance
    }

    /// Takes events in.
    pub(crate) fn receive(&self, events: usize) -> Attempt {
        let open = events as u64;
        if open > 0 {
            self.0.lock().balance.receive(open);
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
        for outcome in recorded.iter().filter_map(Recorded::outcome) {
            // More are replayed than were known of when the spool could not be counted.
            if state.spooled == 0 {
                state.balance.receive(1);
            } else {
                state.spooled -= 1;
            }
            state.balance.settle(outcome, 1);
        }
    }

    /// The spool was counted. What it does not hold was in it already when it came again; what it holds beyond was
    /// written by an earlier run, or when the spool said that it was not.
    pub(super) fn spool_holds(&self, events: u64) {
        let mut state = self.0.lock();
        let State { balance, spooled } = &mut *state;
        balance.settle(Outcome::Duplicate, spooled.saturating_sub(events));
        balance.receive(events.saturating_sub(*spooled));
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
    /// All of them end in the same way.
    pub(crate) fn settle_all(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    /// What became of some of them.
    pub(super) fn settle(&mut self, recorded: &[Recorded]) {
        let mut state = self.ledger.0.lock();
        for recorded in recorded {
            self.open -= 1;
            // What is in the spool waits there, and is the replay's to settle.
            if let Some(outcome) = recorded.outcome() {
                state.balance.settle(outcome, 1);
            }
        }
    }

    fn end(&mut self, outcome: Outcome) {
        let open = std::mem::take(&mut self.open);
        if open > 0 {
            self.ledger.0.lock().balance.settle(outcome, open);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end(Outcome::Refused);
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::rules::SkipReason;

    use super::*;

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
}
