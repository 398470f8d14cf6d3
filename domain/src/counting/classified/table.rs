//! A small hash table from hashes to the numbers of entries.
//!
//! The standard map keeps keys and, where entries come and go all the time, twice the room. Here a place is eight
//! bytes, and taking one out leaves no mark: the places behind move up (linear probing with backward shift).

/// The number of an access, in order of arrival. It wraps around; by then the old ones are long gone.
pub(super) type Number = u32;

const SMALLEST: usize = 1_024;

/// Numbers found by hash. Equal hashes are told apart by the caller.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// None or a power of two.
    places: Vec<Slot>,
    taken: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The lower half of the hash; zero when the place is free.
    hash: u32,
    number: Number,
}

impl Table {
    /// The number with this hash that is the one.
    pub(super) fn get(&self, hash: u64, is_it: impl Fn(Number) -> bool) -> Option<Number> {
        self.find(short(hash), is_it).ok().map(|place| self.places[place].number)
    }

    /// Puts a number in the place of the one that is it, which it answers, or in a free one.
    pub(super) fn set(&mut self, hash: u64, number: Number, is_it: impl Fn(Number) -> bool) -> Option<Number> {
        if self.taken * 5 >= self.places.len() * 4 {
            self.grow();
        }
        let hash = short(hash);
        match self.find(hash, is_it) {
            Ok(place) => Some(std::mem::replace(&mut self.places[place].number, number)),
            Err(place) => {
                self.places[place] = Slot { hash, number };
                self.taken += 1;
                None
            }
        }
    }

    /// Takes a number out, when it is there.
    pub(super) fn remove(&mut self, hash: u64, number: Number) {
        let Ok(mut free) = self.find(short(hash), |other| other == number) else { return };
        let mask = self.places.len() - 1;
        let mut place = free;
        loop {
            place = (place + 1) & mask;
            let Slot { hash, .. } = self.places[place];
            if hash == 0 {
                break;
            }
            // It may move up unless that is before its own place.
            if place.wrapping_sub(hash as usize) & mask >= place.wrapping_sub(free) & mask {
                self.places[free] = self.places[place];
                free = place;
            }
        }
        self.places[free] = Slot::default();
        self.taken -= 1;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// The place of the number, or the free one where the search ended.
    fn find(&self, hash: u32, is_it: impl Fn(Number) -> bool) -> Result<usize, usize> {
        if self.places.is_empty() {
            return Err(0);
        }
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let Slot { hash: found, number } = self.places[place];
            if found == 0 {
                return Err(place);
            }
            if found == hash && is_it(number) {
                return Ok(place);
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let length = (self.places.len() * 2).max(SMALLEST);
        let old = std::mem::replace(&mut self.places, vec![Slot::default(); length]);
        for place in old.into_iter().filter(|place| place.hash != 0) {
            let free = self.find(place.hash, |_| false).unwrap_or_else(|free| free);
            self.places[free] = place;
        }
    }
}

/// The half of a hash that is kept, never zero.
pub(super) fn short(hash: u64) -> u32 {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d]).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::seed::cases;

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn a_table_holds_what_a_map_would(
            steps in prop::collection::vec((0_u64..40, any::<bool>()), 0..3_000),
            spread in prop::sample::select(vec![1_u64, 1 << 9, 1 << 10, 0x9e37_79b9]),
        ) {
            let mut table = Table::default();
            let mut map = BTreeMap::new();
            let mut hashes = Vec::new();
            for (key, put) in steps {
                let hash = key * spread;
                if put {
                    let number = Number::try_from(hashes.len()).expect("few");
                    hashes.push(hash);
                    let before = table.set(hash, number, |other| hashes[other as usize] == hash);
                    prop_assert_eq!(before, map.insert(hash, number));
                } else if let Some(number) = map.remove(&hash) {
                    table.remove(hash, number);
                }
                prop_assert_eq!(table.len(), map.len());
                for (hash, number) in &map {
                    prop_assert_eq!(table.get(*hash, |other| hashes[other as usize] == *hash), Some(*number));
                }
            }
        }
    }
}
