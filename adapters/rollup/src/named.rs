//! The sums of a day with their names, packed to be kept elsewhere.
//!
//! First stand the repositories, tags and architectures, in order, each as the length of what it begins with like the one before, the length of the rest, and the
//! rest. Then the sums, in order: how many repositories on from the one before, the places of its tag and architecture, its
//! count, and its last access in microseconds from that of the sum before. All [`numbers`].

use std::collections::BTreeSet;

use staticreg_domain::metrics::DayCount;

use crate::{day::Sum, numbers};

/// What the sums of another version of the program are not: what a name is may change with it.
pub(crate) const FORMAT: &str = concat!("staticreg ", env!("CARGO_PKG_VERSION"));

/// A sum with its names, of any digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamedSum<'a> {
    pub(crate) repository: &'a str,
    /// Empty for accesses that named none.
    pub(crate) tag: &'a str,
    pub(crate) architecture: &'a str,
    pub(crate) sum: Sum,
}

impl<'a> From<&'a DayCount> for NamedSum<'a> {
    fn from(count: &'a DayCount) -> Self {
        let DayCount { repository, tag, architecture, count, updated_at } = count;
        Self { repository, tag, architecture, sum: Sum::new(*count, *updated_at) }
    }
}

/// Packs the sums of a day.
pub(crate) fn pack(counts: &[DayCount]) -> Vec<u8> {
    let mut sums: Vec<NamedSum<'_>> = counts.iter().map(NamedSum::from).collect();
    sums.sort_unstable();
    let mut packed = Vec::new();
    let repositories = pack_names(&mut packed, sums.iter().map(|sum| sum.repository));
    let tags = pack_names(&mut packed, sums.iter().map(|sum| sum.tag));
    let architectures = pack_names(&mut packed, sums.iter().map(|sum| sum.architecture));
    let place = |names: &[&str], name| names.binary_search(&name).expect("all names are there");
    let (mut before, mut last) = (0, 0);
    for NamedSum { repository, tag, architecture, sum } in sums {
        let repository = place(&repositories, repository);
        for number in [repository - before, place(&tags, tag), place(&architectures, architecture)] {
            numbers::write(&mut packed, number as u64);
        }
        numbers::write(&mut packed, sum.count);
        numbers::write(&mut packed, numbers::zigzag(sum.last.wrapping_sub(last)));
        (before, last) = (repository, sum.last);
    }
    packed
}

fn pack_names<'a>(packed: &mut Vec<u8>, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let names: Vec<&str> = names.collect::<BTreeSet<_>>().into_iter().collect();
    numbers::write(packed, names.len() as u64);
    let mut before = "";
    for name in &names {
        let same = name.bytes().zip(before.bytes()).take_while(|(a, b)| a == b).count();
        numbers::write(packed, same as u64);
        numbers::write(packed, (name.len() - same) as u64);
        packed.extend_from_slice(&name.as_bytes()[same..]);
        before = name;
    }
    names
}

/// The sums of a day as they were packed.
#[derive(Debug)]
pub(crate) struct Unpacked {
    repositories: Vec<String>,
    tags: Vec<String>,
    architectures: Vec<String>,
    /// Places of the names, and the sum.
    sums: Vec<([usize; 3], Sum)>,
}

impl Unpacked {
    /// None when they were changed since.
    pub(crate) fn of(packed: &[u8]) -> Option<Self> {
        let mut rest = packed;
        let [repositories, tags, architectures] = [(); 3].map(|()| unpack_names(&mut rest));
        let mut unpacked =
            Self { repositories: repositories?, tags: tags?, architectures: architectures?, sums: Vec::new() };
        let (mut repository, mut last) = (0_usize, 0_i64);
        while !rest.is_empty() {
            let [on, tag, architecture, count, after] = [(); 5].map(|()| numbers::read(&mut rest));
            repository = repository.checked_add(usize::try_from(on?).ok()?)?;
            last = last.wrapping_add(numbers::unzigzag(after?));
            let [tag, architecture] = [usize::try_from(tag?).ok()?, usize::try_from(architecture?).ok()?];
            let is_named = repository < unpacked.repositories.len()
                && tag < unpacked.tags.len()
                && architecture < unpacked.architectures.len();
            if !is_named {
                return None;
            }
            unpacked.sums.push(([repository, tag, architecture], Sum { count: count?, last }));
        }
        Some(unpacked)
    }

    pub(crate) fn sums(&self) -> impl Iterator<Item = NamedSum<'_>> {
        self.sums.iter().map(|([repository, tag, architecture], sum)| NamedSum {
            repository: &self.repositories[*repository],
            tag: &self.tags[*tag],
            architecture: &self.architectures[*architecture],
            sum: *sum,
        })
    }
}

fn unpack_names(rest: &mut &[u8]) -> Option<Vec<String>> {
    let count = numbers::read(rest)?;
    let mut names: Vec<String> = Vec::new();
    for _ in 0..count {
        let [same, length] = [usize::try_from(numbers::read(rest)?).ok()?, usize::try_from(numbers::read(rest)?).ok()?];
        let (own, behind) = rest.split_at_checked(length)?;
        let mut name = match names.last() {
            Some(before) => before.as_bytes().get(..same)?.to_vec(),
            None => Vec::new(),
        };
        name.extend_from_slice(own);
        names.push(String::from_utf8(name).ok()?);
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
        let mut expected: Vec<_> = counts.iter().map(NamedSum::from).collect();
        expected.sort_unstable();
        let packed = pack(&counts);
        assert_eq!(Unpacked::of(&packed).expect("unpacks").sums().collect::<Vec<_>>(), expected);
        assert_eq!(Unpacked::of(&pack(&[])).expect("unpacks").sums().count(), 0);
    }

    /// What a database holds is not trusted.
    #[test]
    fn what_was_changed_is_left_out_or_is_other_sums() {
        let packed = pack(&counts());
        for length in 0..packed.len() {
            let _is_told = Unpacked::of(&packed[..length]).map(|unpacked| unpacked.sums().count());
        }
        for place in 0..packed.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = packed.clone();
                changed[place] = byte;
                let _is_told = Unpacked::of(&changed).map(|unpacked| unpacked.sums().count());
            }
        }
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(Unpacked::of(&huge).is_none(), "more names than there are");
    }
}
