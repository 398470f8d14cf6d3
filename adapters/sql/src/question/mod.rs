//! The questions: one file each, its text and how a row becomes an item. The text is the same on both databases but
//! for [`crate::query::Dialect`].
//!
//! Lists go on after a place by comparing with it, never by counting rows over, so that a page costs the same
//! wherever it is.

pub(crate) mod architectures;
pub(crate) mod digests;
pub(crate) mod images;
pub(crate) mod pulls;
pub(crate) mod repositories;
pub(crate) mod rows;
pub(crate) mod summary;
pub(crate) mod tags;
