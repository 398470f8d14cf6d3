//! The questions: what is asked of the database, and what its rows say. The statement is the same on both databases but
//! for [`crate::query::Dialect`].
//!
//! Lists go on after a place by comparing with it, never by counting rows over, so that a page costs the same
//! wherever it is.

use std::sync::Once;

use staticreg_domain::metrics::{Dimension, GroupKey};

pub(crate) mod architectures;
pub(crate) mod breakdown;
pub(crate) mod rows;
pub(crate) mod summary;

/// Sets a part of a row's key; whether its text is a name. What is none was written by somebody else, and is left out of
/// the answer, so that the rest of it is told.
pub(crate) fn is_set(key: &mut GroupKey, dimension: Dimension, text: &str) -> bool {
    static TOLD: Once = Once::new();
    let set = key.set(dimension, text);
    if let Err(error) = &set {
        TOLD.call_once(|| {
            let text: String = text.chars().take(100).collect();
            tracing::warn!("Counts of what has no name are left out of lists: {text:?} in the database is {error}");
        });
    }
    set.is_ok()
}
