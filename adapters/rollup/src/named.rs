//! The sums of a day with their names, and how they are packed to be kept elsewhere.
//!
//! First stand the repositories, tags and architectures, in order, each as the length of what it begins with like the one
//! before, the length of the rest, and the rest. Then the sums, in order: how many repositories on from the one before, the
//! places of its tag and architecture, its count, and its last access in microseconds from that of the sum before. All
//! [`numbers`].

use std::{borrow::Cow, collections::HashSet};

use staticreg_domain::metrics::DayCount;

use crate::{day::Sum, numbers};

/// What the sums of another version of the program are not: what a name is may change with it.
pub(crate) const FORMAT: &str = concat!("staticreg ", env!("CARGO_PKG_VERSION"));

/// The sums of a day, of any digest. Each name is there once, so that it is looked up once, however many sums it has.
#[derive(Debug)]
pub(crate) struct NamedSums<'a> {
    /// In order, as the others.
    pub(crate) repositories: Vec<Cow<'a, str>>,
    /// Empty for accesses that named none.
    pub(crate) tags: Vec<Cow<'a, str>>,
    pub(crate) architectures: Vec<Cow<'a, str>>,
    /// In order too.
    pub(crate) sums: Vec<(Places, Sum)>,
}

/// Where the names of a sum are among those of its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Places {
    pub(crate) repository: usize,
    pub(crate) tag: usize,
    pub(crate) architecture: usize,
}

impl<'a> NamedSums<'a> {
    pub(crate) fn of(counts: &'a [DayCount]) -> Self {
        let repositories = distinct(counts.iter().map(|count| &*count.repository));
        let tags = distinct(counts.iter().map(|count| &*count.tag));
        let architectures = distinct(counts.iter().map(|count| &*count.architecture));
        let place = |names: &[Cow<'_, str>], name: &str| {
            names.binary_search_by(|known| (**known).cmp(name)).expect("all names are there")
        };
        let sum = |DayCount { repository, tag, architecture, count, updated_at }: &DayCount| {
            let places = Places {
                repository: place(&repositories, repository),
                tag: place(&tags, tag),
                architecture: place(&architectures, architecture),
            };
            (places, Sum::new(*count, *updated_at))
        };
        let mut sums: Vec<_> = counts.iter().map(sum).collect();
        sums.sort_unstable();
        Self { repositories, tags, architectures, sums }
    }

    pub(crate) fn packed(&self) -> Vec<u8> {
        let mut packed = Vec::new();
        for names in [&self.repositories, &self.tags, &self.architectures] {
            pack_names(&mut packed, names);
        }
        let (mut before, mut last) = (0, 0);
        for (Places { repository, tag, architecture }, sum) in &self.sums {
            for number in [repository - before, *tag, *architecture] {
                numbers::write(&mut packed, number as u64);
            }
            numbers::write(&mut packed, sum.count);
            numbers::write(&mut packed, numbers::zigzag(sum.last.wrapping_sub(last)));
            (before, last) = (*repository, sum.last);
        }
        packed
    }

    /// None when they were changed since they were packed.
    pub(crate) fn unpack(packed: &[u8]) -> Option<NamedSums<'static>> {
        let mut rest = packed;
        let [repositories, tags, architectures] = [(); 3].map(|()| unpack_names(&mut rest));
        let (repositories, tags, architectures) = (repositories?, tags?, architectures?);
        let mut sums = Vec::new();
        let (mut repository, mut last) = (0_usize, 0_i64);
        while !rest.is_empty() {
            let [on, tag, architecture, count, after] = [(); 5].map(|()| numbers::read(&mut rest));
            repository = repository.checked_add(usize::try_from(on?).ok()?)?;
            last = last.wrapping_add(numbers::unzigzag(after?));
            let [tag, architecture] = [usize::try_from(tag?).ok()?, usize::try_from(architecture?).ok()?];
            if repository >= repositories.len() || tag >= tags.len() || architecture >= architectures.len() {
                return None;
            }
            sums.push((Places { repository, tag, architecture }, Sum { count: count?, last }));
        }
        Some(NamedSums { repositories, tags, architectures, sums })
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Cow<'a, str>> {
    let mut names: Vec<_> = names.collect::<HashSet<_>>().into_iter().map(Cow::Borrowed).collect();
    names.sort_unstable();
    names
}

fn pack_names(packed: &mut Vec<u8>, names: &[Cow<'_, str>]) {
    numbers::write(packed, names.len() as u64);
    let mut before = "";
    for name in names {
        let same = name.bytes().zip(before.bytes()).take_while(|(a, b)| a == b).count();
        numbers::write(packed, same as u64);
        numbers::write(packed, (name.len() - same) as u64);
        packed.extend_from_slice(&name.as_bytes()[same..]);
        before = name;
    }
}

fn unpack_names(rest: &mut &[u8]) -> Option<Vec<Cow<'static, str>>> {
    let count = numbers::read(rest)?;
    let mut names: Vec<Cow<'static, str>> = Vec::new();
    for _ in 0..count {
        let [same, length] = [usize::try_from(numbers::read(rest)?).ok()?, usize::try_from(numbers::read(rest)?).ok()?];
        let (own, behind) = rest.split_at_checked(length)?;
        let mut name = match names.last() {
            Some(before) => before.as_bytes().get(..same)?.to_vec(),
            None => Vec::new(),
        };
        name.extend_from_slice(own);
        names.push(String::from_utf8(name).ok()?.into());
        *rest = behind;
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn count(repository: &str, tag: &str, architecture: &str, count: u64, at: &str) -> DayCount {
        let updated_at: DateTime<Utc> = at.parse().expect("a time");
        DayCount {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            architecture: architecture.to_owned(),
            count,
            updated_at,
        }
    }

    fn counts() -> Vec<DayCount> {
        vec![
            count("team/web", "v1", "amd64", 3, "2026-11-20T10:00:00.000001Z"),
            count("team/we\u{308}b", "", "arm64/v8", 1, "2026-11-20T23:59:59Z"),
            count("team/we\u{309}b", "v1", "arm64/v8", 1, "1970-01-01T00:00:00Z"),
            count("app", "v1", "amd64", u64::from(u32::MAX), "9999-12-31T23:59:59.999999Z"),
            count("app", "v1", "amd64", 7, "0001-01-01T00:00:00Z"),
        ]
    }

    #[test]
    fn sums_are_unpacked_as_they_were_packed() {
        let counts = counts();
        let packed = NamedSums::of(&counts).packed();
        let unpacked = NamedSums::unpack(&packed).expect("unpacks");
        let spelled_out = |(Places { repository, tag, architecture }, sum): &(Places, Sum)| {
            let names =
                [&unpacked.repositories[*repository], &unpacked.tags[*tag], &unpacked.architectures[*architecture]];
            (names.map(ToString::to_string), *sum)
        };
        let mut expected: Vec<_> = counts
            .iter()
            .map(|count| {
                let names = [&count.repository, &count.tag, &count.architecture].map(ToString::to_string);
                (names, Sum::new(count.count, count.updated_at))
            })
            .collect();
        expected.sort_unstable();
        assert_eq!(unpacked.sums.iter().map(spelled_out).collect::<Vec<_>>(), expected);
        assert!(NamedSums::unpack(&NamedSums::of(&[]).packed()).expect("unpacks").sums.is_empty());
    }

    /// What a database holds is not trusted.
    #[test]
    fn what_was_changed_is_left_out_or_is_other_sums() {
        let packed = NamedSums::of(&counts()).packed();
        for length in 0..packed.len() {
            let _is_told = NamedSums::unpack(&packed[..length]);
        }
        for place in 0..packed.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = packed.clone();
                changed[place] = byte;
                let _is_told = NamedSums::unpack(&changed);
            }
        }
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(NamedSums::unpack(&huge).is_none(), "more names than there are");
    }
}
