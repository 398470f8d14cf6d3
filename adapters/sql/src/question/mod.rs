//! The questions: one file each, its text and how a row becomes an item, and where sums can answer it, how they do. The
//! text is the same on both databases but for [`crate::query::Dialect`].
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

use std::hash::Hash;

use chrono::{DateTime, Utc};
use indexmap::IndexSet;
use staticreg_domain::metrics::MetricsError;

use crate::{query::corrupt, sums::Sum};

/// The latest access of a sum.
fn last(sum: &Sum) -> Result<DateTime<Utc>, MetricsError> {
    sum.last().ok_or_else(|| corrupt("a time is beyond every calendar"))
}

/// The number of a value: how many others came first.
fn numbered<T: Eq + Hash>(values: &mut IndexSet<T>, value: T) -> u32 {
    u32::try_from(values.insert_full(value).0).expect("there are fewer than there are keys")
}
