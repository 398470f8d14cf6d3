//! Group commit: one writer records what is waiting, of all requests, in one batch; a request waits until its events
//! are stored. Why, and what was tried: `docs/adr/0001-answer-after-commit.md`.
//!
//! The parts, each of which knows those before it alone: `trouble` tells how the store does, `totals` how much there was,
//! `busiest` which repositories are pulled most, `ledger` what became of it all, `counter` counts and stores,
//! in step with the journal, `batches` gives it what it takes, `spooling` keeps on disk what it does not take, `room`
//! bounds what waits, `submission` is what waits, `writer` is the one that stores, `recorder` what requests hand their
//! events to.

mod batches;
mod busiest;
mod counter;
mod forget_old;
mod ledger;
mod recorder;
mod replay;
mod retain;
mod room;
mod spooling;
mod submission;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod totals;
mod trouble;
mod writer;

pub use batches::Recorded;
pub use counter::AskForIndex;
pub use forget_old::ForgetOld;
pub use ledger::Balance;
pub(crate) use ledger::Tallies;
pub use recorder::{RecordError, Recorder, RecorderOptions};
pub use replay::Replay;
pub use retain::{Retain, Retention};
pub use spooling::Spooling;
pub use totals::RecordingTotals;
pub use trouble::Trouble;
pub use writer::Writer;
