//! The sums of one day and kind, packed: about eight bytes for each repository, tag and architecture. Or its total alone.

use bit_vec::BitVec;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use crate::numbers;

/// Number of a key, see [`crate::keys::KeyTable`].
pub(crate) type KeyId = u32;

/// What was counted of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    /// The latest access, in microseconds since 1970.
    pub(crate) last: i64,
}

impl Sum {
    /// Of nothing.
    pub(crate) const NONE: Self = Self { count: 0, last: i64::MIN };

    pub(crate) fn new(count: u64, last: DateTime<Utc>) -> Self {
        Self { count, last: last.timestamp_micros() }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.last = self.last.max(other.last);
    }

    /// The latest access; none when there is none, or none that a date can be given to.
    pub(crate) fn last(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.last)
    }
}

/// How much is known of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// Its total, and which repositories were counted.
    Total,
    /// All its sums.
    Sums,
}

/// The sums of a day, each with its key's number; keys rise.
///
/// A sum is three [`numbers`]: how much its key is above the one before, its count, and its last access from the day's
/// start in microseconds, which may be before it.
#[derive(Debug)]
pub(crate) struct Day {
    /// The day's version when its counts were read, or an earlier one.
    pub(crate) version: i64,
    /// The sum of all.
    pub(crate) total: Sum,
    /// By its number, whether a repository was counted; as many as are needed.
    pub(crate) repositories: BitVec,
    start: i64,
    /// None when the total is all that is kept.
    packed: Option<Box<[u8]>>,
}

impl Day {
    /// A day of which the total is kept.
    pub(crate) fn of_total(version: i64, total: Sum, repositories: BitVec) -> Self {
        Self { version, total, repositories, start: 0, packed: None }
    }

    /// Packs sums whose keys rise.
    pub(crate) fn new(date: NaiveDate, version: i64, sums: &[(KeyId, Sum)], repositories: BitVec) -> Self {
        let start = date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
        let (mut packed, mut total, mut before) = (Vec::with_capacity(10 * sums.len()), Sum::NONE, 0);
        for (key, sum) in sums {
            numbers::write(&mut packed, u64::from(key - before));
            numbers::write(&mut packed, sum.count);
            numbers::write(&mut packed, numbers::zigzag(sum.last.wrapping_sub(start)));
            total.add(*sum);
            before = *key;
        }
        Self { version, total, repositories, start, packed: Some(packed.into()) }
    }

    pub(crate) fn detail(&self) -> Detail {
        if self.packed.is_some() { Detail::Sums } else { Detail::Total }
    }

    /// Goes through the sums.
    pub(crate) fn for_each(&self, mut each: impl FnMut(KeyId, Sum)) {
        let (mut rest, mut key) = (self.packed.as_deref().unwrap_or_default(), 0);
        while let Some(above) = numbers::read(&mut rest) {
            key += above;
            let [count, last] = [(); 2].map(|()| numbers::read(&mut rest).expect("was packed"));
            let last = numbers::unzigzag(last).wrapping_add(self.start);
            each(KeyId::try_from(key).expect("was packed from one"), Sum { count, last });
        }
    }

    /// The bytes it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.repositories.capacity() / 8 + self.packed.as_ref().map_or(0, |packed| packed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_read_again() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 21).expect("a date");
        let noon = date.and_hms_micro_opt(12, 0, 0, 123_456).expect("a time").and_utc();
        let sums = [
            (0, Sum::new(1, noon)),
            (1, Sum::new(127, noon)),
            (300, Sum::new(128, date.and_time(NaiveTime::MIN).and_utc())),
            (70_000, Sum::new(2_147_483_647, "1970-01-01T00:00:00Z".parse().expect("a time"))),
            (70_001, Sum { count: u64::MAX / 4, last: i64::MAX }),
            (u32::MAX, Sum { count: 1, last: i64::MIN }),
        ];
        let day = Day::new(date, 7, &sums, BitVec::new());
        let mut read = Vec::new();
        day.for_each(|key, sum| read.push((key, sum)));
        assert_eq!(read, sums);
        assert_eq!(read[0].1.last(), Some(noon));
        assert_eq!(day.total.last, i64::MAX);
        assert!(Day::new(date, 7, &[], BitVec::new()).packed.is_some_and(|packed| packed.is_empty()));
    }
}
