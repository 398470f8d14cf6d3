//! The order of tags as people read versions: `1.9` before `1.10`, `1.10-rc1` before `1.10`.

use std::cmp::Ordering;

/// What stands before the release of its number (Semantic Versioning 2, 9). Other words, such as `alpine`, are variants of it.
const BEFORE_RELEASE: [&str; 8] = ["alpha", "beta", "dev", "nightly", "pre", "preview", "rc", "snapshot"];

/// A piece of a tag, in the order of their kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    /// A word for what is not released yet.
    BeforeRelease(&'a str),
    End,
    /// A number of any length: how many digits it has without leading zeros, and these.
    Number(usize, &'a str),
    Text(&'a str),
}

/// Compares two tags as versions; those that differ in a leading `v` or in zeros only, by their bytes.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (pieces(a), pieces(b));
    loop {
        let next = (left.next().unwrap_or(Piece::End), right.next().unwrap_or(Piece::End));
        match next.0.cmp(&next.1) {
            Ordering::Equal if next.0 == Piece::End => return a.cmp(b),
            Ordering::Equal => {}
            different => return different,
        }
    }
}

/// Whether a tag is a version and nothing else: `1`, `v2.10.3`.
#[must_use]
pub fn is_release(tag: &str) -> bool {
    let numbers = without_v(tag);
    numbers.split('.').all(|number| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()))
}

fn without_v(tag: &str) -> &str {
    tag.strip_prefix(['v', 'V']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(tag)
}

fn pieces(tag: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = without_v(tag);
    let mut is_first = true;
    std::iter::from_fn(move || {
        let is_number = rest.bytes().next()?.is_ascii_digit();
        let end = rest.bytes().position(|c| c.is_ascii_digit() != is_number).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        let word = piece.trim_matches(['-', '.', '_']);
        let piece = if is_number {
            let digits = piece.trim_start_matches('0');
            Piece::Number(digits.len(), digits)
        } else if !is_first && BEFORE_RELEASE.iter().any(|known| word.eq_ignore_ascii_case(known)) {
            Piece::BeforeRelease(word)
        } else {
            Piece::Text(piece)
        };
        is_first = false;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_follow_each_other_as_versions_do() {
        let ordered = [
            "1",
            "1.2.0-alpha",
            "1.2.0-beta1",
            "1.2.0-rc.1",
            "v1.2.0-rc.2",
            "1.2.0-rc.10",
            "1.2.0",
            "v1.2.0",
            "1.2.0-alpine",
            "1.2.3",
            "v1.2.10",
            "1.10",
            "2",
            "20261121",
            "20261121000000000000000000000000000000000000",
            "beta",
            "latest",
            "pr-9",
            "pr-10",
        ];
        let mut sorted = ordered;
        sorted.reverse();
        sorted.sort_by(|a, b| compare(a, b));
        assert_eq!(sorted, ordered);
    }

    #[test]
    fn a_release_is_numbers_alone() {
        for (tag, expected) in [
            ("1", true),
            ("v2.10.3", true),
            ("1.2.0-rc1", false),
            ("1.2-alpine", false),
            ("latest", false),
            ("v", false),
            ("1.", false),
        ] {
            assert_eq!(is_release(tag), expected, "{tag}");
        }
    }
}
