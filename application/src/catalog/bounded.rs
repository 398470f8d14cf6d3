//! Content that is remembered under its digest, up to some size.

use std::collections::{HashMap, VecDeque};

use staticreg_domain::Digest;

/// Remembers values, and forgets the oldest when they grow too large together.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    values: HashMap<Digest, (V, usize)>,
    oldest_first: VecDeque<Digest>,
    size: usize,
    most: usize,
}

impl<V: Clone> Bounded<V> {
    /// Remembers about so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { values: HashMap::new(), oldest_first: VecDeque::new(), size: 0, most }
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<V> {
        self.values.get(digest).map(|(value, _)| value.clone())
    }

    /// Remembers a value of about so many bytes, unless one is there, or it is too large for any other beside it.
    pub(super) fn insert(&mut self, digest: &Digest, value: V, size: usize) {
        if size > self.most || self.values.contains_key(digest) {
            return;
        }
        self.values.insert(digest.clone(), (value, size));
        self.oldest_first.push_back(digest.clone());
        self.size += size;
        while self.size > self.most
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.size -= self.values.remove(&oldest).map_or(0, |(_, size)| size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u8) -> Digest {
        format!("sha256:{}", format!("{n:02x}").repeat(32)).parse().unwrap()
    }

    #[test]
    fn the_oldest_go_when_they_grow_too_large() {
        let mut bounded = Bounded::new(10);
        for n in 0..4 {
            bounded.insert(&digest(n), n, 3);
        }
        assert_eq!([0, 1, 2, 3].map(|n| bounded.get(&digest(n))), [None, Some(1), Some(2), Some(3)]);
        bounded.insert(&digest(9), 9, 11);
        assert_eq!(bounded.get(&digest(9)), None);
        bounded.insert(&digest(8), 8, 10);
        assert_eq!([1, 2, 3, 8].map(|n| bounded.get(&digest(n))), [None, None, None, Some(8)]);
    }
}
