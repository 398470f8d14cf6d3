//! Group commit: what is waiting, of all requests, is recorded in one batch.
//!
//! Requests hand their events over and wait for the answer, which comes when, and only when, the events are stored.
//! One writer takes all that is waiting; while it records, the next batch gathers. When idle, an event is recorded at
//! once.
//!
//! The parts, each of which knows those before it alone: `trouble` tells how the store does, `batches` gives it what it
//! takes, `spooling` keeps on disk what it does not take, `room` bounds what waits, `submission` is what waits, `writer` is the one that stores,
//! `recorder` what requests hand their events to.

mod batches;
mod forget_ids;
mod recorder;
mod room;
mod spooling;
mod submission;
#[cfg(test)]
mod tests;
mod trouble;
mod writer;

pub use batches::Recorded;
pub use forget_ids::ForgetIds;
pub use recorder::{RecordError, Recorder, RecorderOptions};
pub use spooling::Spooling;
pub use trouble::Trouble;
pub use writer::Writer;
