//! The use cases: receive notifications, record them, ask for statistics, browse the registry.
//!
//! Each is a file named by what it does. They know the domain's ports only.

pub mod activity_log;
pub mod api_tokens;
pub mod aside;
pub mod ask_metrics;
pub mod browse;
pub mod catalog;
pub mod check_store;
pub mod clean_up;
pub mod clock_skew;
pub mod compare;
pub mod hear_running;
pub mod intervals;
mod name_limit;
pub mod platforms;
pub mod receive_notification;
pub mod recent;
pub mod recording;
pub mod telemetry;

#[cfg(test)]
mod logged;
