//! The real parts that tests need, each started on a free port and stopped when dropped.

pub mod authority;
pub mod pgbouncer;
pub mod ports;
pub mod postgres;
pub mod proxy;
pub mod registry;
pub mod sample;
pub mod tls;
