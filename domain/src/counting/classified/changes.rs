//! What is counted otherwise than before.

use std::{mem, sync::Arc};

use crate::metrics::{Change, CountKey};

/// Changes of counts that add up as they come.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<Change>);

impl Changes {
    pub(super) fn add(&mut self, key: Option<&Arc<CountKey>>) {
        if let Some(key) = key {
            self.change(key, 1);
        }
    }

    pub(super) fn take_back(&mut self, key: Option<&Arc<CountKey>>) {
        if let Some(key) = key {
            self.change(key, -1);
        }
    }

    /// The changes that are left, at most one of each key, the negative ones first.
    pub(super) fn take(&mut self) -> Vec<Change> {
        let mut changes = mem::take(&mut self.0);
        changes.sort_by_key(|change| change.delta > 0);
        changes
    }

    /// A change of nothing is none.
    fn change(&mut self, key: &Arc<CountKey>, delta: i32) {
        let same = |change: &Change| Arc::ptr_eq(&change.key, key) || change.key == *key;
        if let Some(place) = self.0.iter().position(same) {
            self.0[place].delta += delta;
            if self.0[place].delta == 0 {
                self.0.swap_remove(place);
            }
        } else {
            self.0.push(Change { key: Arc::clone(key), delta });
        }
    }
}
