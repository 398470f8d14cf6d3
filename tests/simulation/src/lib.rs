//! Histories of servers, a store and a registry, drawn from a seed: clock, network and store are the simulation's own, so
//! that a seed always gives the same history.
//!
//! Clients pull from a registry of several replicas, each of which posts for itself: late, to any server, again when an
//! answer is lost. Servers are killed and started anew, batches fail, or are stored though nobody learns of it, or are
//! stored later than everybody thinks; a fail-over takes the store back to an older state. Whatever happens, the counts
//! are those of reading what the store holds in order, and without a fail-over it holds every access once.

mod clients;
mod history;
mod server;
mod store;

pub use history::{Counts, Kills, Pace, Setting, play, play_accesses};
