//! The sums of one day and kind, packed: about eight bytes for each repository, tag and architecture.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// Number of a key, see [`crate::keys::KeyTable`].
pub(crate) type KeyId = u32;

/// What was counted of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The sums of a day, each with its key's number; keys rise.
///
/// A sum is three numbers: how much its key is above the one before, its count, and its last access from the day's
/// start in microseconds. Numbers are in base 128, the lowest digits first, all but the last digit with the high bit
/// set (LEB128); the last access, which may be before the day, has its sign in the lowest bit.
#[derive(Debug)]
pub(crate) struct Day {
    /// The day's version when its counts were read, or an earlier one.
    pub(crate) version: i64,
    /// The sum of all.
    pub(crate) total: Sum,
    start: i64,
    packed: Box<[u8]>,
}

impl Day {
    /// Packs sums whose keys rise.
    pub(crate) fn new(date: NaiveDate, version: i64, sums: &[(KeyId, Sum)]) -> Self {
        let start = date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
        let (mut packed, mut total, mut before) = (Vec::with_capacity(10 * sums.len()), Sum::NONE, 0);
        for (key, sum) in sums {
            write(&mut packed, u64::from(key - before));
            write(&mut packed, sum.count);
            write(&mut packed, zigzag(sum.last.wrapping_sub(start)));
            total.add(*sum);
            before = *key;
        }
        Self { version, total, start, packed: packed.into() }
    }

    /// Goes through the sums.
    pub(crate) fn for_each(&self, mut each: impl FnMut(KeyId, Sum)) {
        let (mut rest, mut key) = (&*self.packed, 0);
        while !rest.is_empty() {
            key += read(&mut rest);
            let count = read(&mut rest);
            let last = unzigzag(read(&mut rest)).wrapping_add(self.start);
            each(KeyId::try_from(key).expect("was packed from one"), Sum { count, last });
        }
    }

    /// The bytes it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.packed.len()
    }
}

const DIGIT: u32 = 7;
const MORE: u8 = 1 << DIGIT;

fn write(packed: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        packed.push(number.to_le_bytes()[0] | MORE);
        number >>= DIGIT;
    }
    packed.push(number.to_le_bytes()[0]);
}

fn read(packed: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let [byte, rest @ ..] = *packed {
        *packed = rest;
        number |= u64::from(byte & !MORE) << shift;
        if *byte < MORE {
            break;
        }
        shift += DIGIT;
    }
    number
}

fn zigzag(number: i64) -> u64 {
    number.wrapping_shl(1).cast_unsigned() ^ (number >> 63).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
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
        let day = Day::new(date, 7, &sums);
        let mut read = Vec::new();
        day.for_each(|key, sum| read.push((key, sum)));
        assert_eq!(read, sums);
        assert_eq!(read[0].1.last(), Some(noon));
        assert_eq!(day.total.last, i64::MAX);
        assert!(Day::new(date, 7, &[]).packed.is_empty());
    }
}
