//! Names, each kept once however many rows hold it.

use std::{collections::HashMap, hash::Hash, num::NonZeroU32, sync::Arc};

use crate::chunked::Chunked;

/// Stands for a name as long as a row holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(NonZeroU32);

impl Id {
    fn new(index: usize) -> Option<Self> {
        u32::try_from(index + 1).ok().and_then(NonZeroU32::new).map(Self)
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// The id as a number, above zero.
    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }
}

/// The names that rows hold.
#[derive(Debug)]
pub(crate) struct Names<T> {
    ids: HashMap<Arc<T>, Id>,
    listed: Listed<T>,
    /// How many rows hold each name.
    holders: Vec<u32>,
    free: Vec<Id>,
}

/// The names by id, as of a moment.
#[derive(Debug)]
pub(crate) struct Listed<T>(Chunked<Option<Arc<T>>>);

impl<T> Clone for Listed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Listed<T> {
    /// The name that an id of the same moment stands for.
    pub(crate) fn name(&self, id: Id) -> &T {
        self.0.get(id.index()).and_then(Option::as_deref).expect("a name stays as long as a row holds its id")
    }
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { ids: HashMap::new(), listed: Listed(Chunked::default()), holders: Vec::new(), free: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Names<T> {
    /// The id of a name that a row holds.
    pub(crate) fn find(&self, name: &T) -> Option<Id> {
        self.ids.get(name).copied()
    }

    /// Another row holds this name.
    pub(crate) fn hold(&mut self, name: &T) -> Id {
        if let Some(id) = self.find(name) {
            self.holders[id.index()] += 1;
            return id;
        }
        let name = Arc::new(name.clone());
        let id = if let Some(id) = self.free.pop() {
            *self.slot(id) = Some(Arc::clone(&name));
            self.holders[id.index()] = 1;
            id
        } else {
            let id = Id::new(self.holders.len()).expect("memory is full long before numbers end");
            self.listed.0.push(Some(Arc::clone(&name)));
            self.holders.push(1);
            id
        };
        self.ids.insert(name, id);
        id
    }

    /// Another row holds the name of an id.
    pub(crate) fn hold_again(&mut self, id: Id) -> Id {
        self.holders[id.index()] += 1;
        id
    }

    /// The name of an id that a row holds.
    pub(crate) fn name(&self, id: Id) -> &T {
        self.listed.name(id)
    }

    /// A row no longer holds this name.
    pub(crate) fn release(&mut self, id: Id) {
        let holders = &mut self.holders[id.index()];
        *holders -= 1;
        if *holders == 0
            && let Some(name) = self.slot(id).take()
        {
            self.ids.remove::<T>(&name);
            self.free.push(id);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn listed(&self) -> Listed<T> {
        self.listed.clone()
    }

    fn slot(&mut self, id: Id) -> &mut Option<Arc<T>> {
        self.listed.0.get_mut(id.index()).expect("an id is given out with its place")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_id_as_long_as_a_row_holds_it() {
        let mut names = Names::<String>::default();
        let (a, b) = (names.hold(&"a".to_owned()), names.hold(&"b".to_owned()));
        assert_eq!(names.hold(&"a".to_owned()), a);
        names.release(a);
        assert_eq!(names.find(&"a".to_owned()), Some(a));
        let before = names.listed();
        names.release(a);
        assert_eq!(names.find(&"a".to_owned()), None);
        // Its place is given to the next, which nobody sees who looked before.
        assert_eq!(names.hold(&"c".to_owned()), a);
        assert_eq!((before.name(a).as_str(), names.listed().name(a).as_str()), ("a", "c"));
        assert_eq!((names.listed().name(b).as_str(), names.holders.len(), names.ids.len()), ("b", 2, 2));
    }
}
