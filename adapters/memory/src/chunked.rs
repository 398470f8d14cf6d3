//! A list of which a copy costs next to nothing: both share its parts, and a part is copied once one of them changes it.

use std::sync::Arc;

/// How many items a part has: few enough that copying one is quick, enough that a million items are few parts.
const PART: usize = 1024;

/// A list in parts.
#[derive(Debug)]
pub(crate) struct Chunked<T> {
    /// All full but the last, and none empty.
    parts: Vec<Arc<Vec<T>>>,
}

impl<T> Clone for Chunked<T> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone() }
    }
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { parts: Vec::new() }
    }
}

impl<T: Clone> Chunked<T> {
    pub(crate) fn len(&self) -> usize {
        self.parts.last().map_or(0, |last| (self.parts.len() - 1) * PART + last.len())
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.parts.get(index / PART)?.get(index % PART)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        Arc::make_mut(self.parts.get_mut(index / PART)?).get_mut(index % PART)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    pub(crate) fn push(&mut self, item: T) {
        match self.parts.last_mut() {
            Some(last) if last.len() < PART => Arc::make_mut(last).push(item),
            _ => self.parts.push(Arc::new(vec![item])),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let last = Arc::make_mut(self.parts.last_mut()?);
        let item = last.pop();
        if last.is_empty() {
            self.parts.pop();
        }
        item
    }

    /// Takes an item out; the last one takes its place.
    pub(crate) fn swap_remove(&mut self, index: usize) -> Option<T> {
        if index >= self.len() {
            return None;
        }
        let last = self.pop()?;
        match self.get_mut(index) {
            Some(place) => Some(std::mem::replace(place, last)),
            None => Some(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(length: usize) -> Chunked<usize> {
        let mut list = Chunked::default();
        (0..length).for_each(|item| list.push(item));
        list
    }

    fn items(list: &Chunked<usize>) -> Vec<usize> {
        list.iter().copied().collect()
    }

    #[test]
    fn it_is_a_list_whatever_its_length() {
        for length in [0, 1, PART - 1, PART, PART + 1, 3 * PART] {
            let mut list = list(length);
            let mut plain: Vec<_> = (0..length).collect();
            assert_eq!((list.len(), items(&list)), (length, plain.clone()));
            assert_eq!(list.get(length), None);
            assert_eq!(list.swap_remove(length), None);
            while !plain.is_empty() {
                let index = plain.len() / 3;
                assert_eq!(list.get(index), plain.get(index));
                assert_eq!(list.swap_remove(index), Some(plain.swap_remove(index)));
                assert_eq!(list.len(), plain.len());
            }
            assert_eq!((list.pop(), list.parts.len()), (None, 0));
        }
    }

    #[test]
    fn a_copy_stays_as_it_was_and_shares_what_did_not_change() {
        let mut list = list(3 * PART);
        let copy = list.clone();
        *list.get_mut(PART).expect("an item") = 0;
        list.push(7);
        assert_eq!(items(&copy), (0..3 * PART).collect::<Vec<_>>());
        let shared: Vec<_> = list.parts.iter().zip(&copy.parts).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
        assert_eq!(shared, [true, false, true]);
    }
}
