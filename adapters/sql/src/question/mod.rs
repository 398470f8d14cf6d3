//! The questions: what is asked of the database, and what its rows say. The statement is the same on both databases but
//! for [`crate::query::Dialect`].
//!
//! Lists go on after a place by comparing with it, never by counting rows over, so that a page costs the same
//! wherever it is.

pub(crate) mod architectures;
pub(crate) mod breakdown;
pub(crate) mod rows;
pub(crate) mod summary;
