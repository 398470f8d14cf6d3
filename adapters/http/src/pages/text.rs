//! Numbers, sizes, times and addresses as people read them.

use std::fmt::Write;

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, TimeDelta, Utc};
use staticreg_domain::Digest;

/// `12,345`.
pub(crate) fn number(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12,345 pulls`, `1 pull`.
pub(crate) fn count(count: impl TryInto<u64>, one: &str, many: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// `999`, `1.2k`, `12k`, `3.4M`: rounded down, as no badge should promise more than there is.
pub(crate) fn short(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    match UNITS.iter().find(|(unit, _)| number >= *unit) {
        None => number.to_string(),
        Some((unit, name)) if number < unit * 10 && number % unit >= unit / 10 => {
            format!("{}.{}{name}", number / unit, number % unit / (unit / 10))
        }
        Some((unit, name)) => format!("{}{name}", number / unit),
    }
}

/// `12.3 MB`, in powers of 1000 as clients tell it.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} B"),
        Some((unit, name)) if bytes < unit * 100 => format!("{}.{} {name}", bytes / unit, bytes % unit / (unit / 10)),
        Some((unit, name)) => format!("{} {name}", bytes / unit),
    }
}

/// `21 Nov 2026`.
pub(crate) fn date(date: NaiveDate) -> String {
    date.format("%-d %b %Y").to_string()
}

/// `Sat 21 Nov 2026`.
pub(crate) fn day(date: NaiveDate) -> String {
    date.format("%a %-d %b %Y").to_string()
}

/// `21 Nov`, with the year where it is another than that of today.
pub(crate) fn short_date(date: NaiveDate, today: NaiveDate) -> String {
    if date.year() == today.year() { date.format("%-d %b").to_string() } else { date.format("%-d %b %Y").to_string() }
}

/// A moment, as a page shows it: how long ago, and exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// `5 min ago`.
    pub(crate) ago: String,
    /// RFC 3339, for machines.
    pub(crate) machine: String,
    /// `21 Nov 2026, 12:05 UTC`.
    pub(crate) exact: String,
}

impl Moment {
    pub(crate) fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            ago: ago(at, now),
            machine: at.to_rfc3339_opts(SecondsFormat::Secs, true),
            exact: at.format("%-d %b %Y, %H:%M UTC").to_string(),
        }
    }

    /// One whose seconds matter.
    pub(crate) fn to_the_second(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let moment = Self::new(at, now);
        let passed = (now - at).num_seconds();
        let ago = if (1..60).contains(&passed) { format!("{passed} s ago") } else { moment.ago };
        Self { ago, exact: at.format("%-d %b %Y, %H:%M:%S UTC").to_string(), ..moment }
    }
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let passed = now - at;
    let some = |count: i64, one: &str, many: &str| format!("{} ago", self::count(count, one, many));
    if passed < TimeDelta::zero() {
        // A clock that is a little ahead is no time machine.
        if passed > TimeDelta::minutes(-5) { "just now".to_owned() } else { date(at.date_naive()) }
    } else if passed < TimeDelta::minutes(1) {
        "just now".to_owned()
    } else if passed < TimeDelta::hours(1) {
        some(passed.num_minutes(), "min", "min")
    } else if passed < TimeDelta::days(1) {
        some(passed.num_hours(), "h", "h")
    } else if passed < TimeDelta::days(60) {
        some(passed.num_days(), "day", "days")
    } else if passed < TimeDelta::days(730) {
        some(passed.num_days() / 30, "month", "months")
    } else if at.timestamp() <= 0 {
        // Reproducible builds tell the epoch, which is no time to count from.
        date(at.date_naive())
    } else {
        some(passed.num_days() / 365, "year", "years")
    }
}

/// The beginning of a digest, enough to tell it from others: `sha256:6c3c624b58db`.
pub(crate) fn short_digest(digest: &Digest) -> String {
    const SHOWN: usize = 12;
    match digest.as_str().split_once(':') {
        Some((algorithm, encoded)) => {
            format!("{algorithm}:{}", encoded.get(..SHOWN).unwrap_or(encoded))
        }
        None => digest.to_string(),
    }
}

/// A text from outside with what is not seen itself, or turns round what stands beside it, as `\u{202e}`.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// A text of at most so many characters, the last of them `…` where it had more.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A text from outside in one line, [`visible`] and [`shortened`].
pub(crate) fn one_line(text: &str, most: usize) -> String {
    visible(&shortened(&text.split_whitespace().collect::<Vec<_>>().join(" "), most))
}

/// An address with the parameters that have a value.
pub(crate) fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    for (index, (name, value)) in parameters.iter().filter(|(_, value)| !value.is_empty()).enumerate() {
        address.push(if index == 0 { '?' } else { '&' });
        address.push_str(name);
        address.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                address.push(char::from(byte));
            } else {
                // Writing to a String never fails.
                let _ = write!(address, "%{byte:02X}");
            }
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_ends_with_an_ellipsis() {
        for (text, expected) in [("", ""), ("äöü", "äöü"), ("äöüß", "äö…")] {
            assert_eq!(shortened(text, 3), expected);
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (value, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(value), expected);
        }
        assert_eq!(count(1_u64, "pull", "pulls"), "1 pull");
        assert_eq!(count(0_u64, "pull", "pulls"), "0 pulls");
    }

    #[test]
    fn short_numbers_never_promise_more_than_there_is() {
        for (value, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1k"),
            (1_099, "1k"),
            (1_299, "1.2k"),
            (9_999, "9.9k"),
            (10_999, "10k"),
            (999_999, "999k"),
            (3_450_000, "3.4M"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn sizes_are_in_powers_of_a_thousand() {
        for (bytes, expected) in
            [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (12_345_678, "12.3 MB"), (123_456_789, "123 MB")]
        {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn times_tell_how_long_ago() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        for (at, expected) in [
            ("2026-11-21T12:00:30Z", "just now"),
            ("2026-11-21T11:59:30Z", "just now"),
            ("2026-11-21T11:58:30Z", "1 min ago"),
            ("2026-11-21T09:00:00Z", "3 h ago"),
            ("2026-11-20T11:00:00Z", "1 day ago"),
            ("2026-08-20T11:00:00Z", "3 months ago"),
            ("2023-08-20T11:00:00Z", "3 years ago"),
            ("1970-01-01T00:00:00Z", "1 Jan 1970"),
            ("2026-11-22T12:00:00Z", "22 Nov 2026"),
        ] {
            assert_eq!(Moment::new(at.parse().unwrap(), now).ago, expected, "{at}");
        }
    }

    #[test]
    fn what_is_not_seen_is_shown_by_its_number() {
        for (text, expected) in [
            ("pull demo/app:v1", "pull demo/app:v1"),
            ("\u{202e}ppa", "\\u{202e}ppa"),
            ("a\u{2066}b\u{200b}c\u{feff}", "a\\u{2066}b\\u{200b}c\\u{feff}"),
            ("\0\u{7}\u{9b}\n", "\\0\\u{7}\\u{9b}\\n"),
            ("\"it's\" C:\\ é 日本", "\"it's\" C:\\ é 日本"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        for (text, expected) in [("a\n  b", "a b"), ("éééé", "éééé"), ("ééééé", "ééé…"), ("\u{202e}x", "\\u{202e}x")]
        {
            assert_eq!(one_line(text, 4), expected);
        }
    }

    #[test]
    fn addresses_hold_any_text() {
        assert_eq!(address("/", &[("q", ""), ("sort", "")]), "/");
        assert_eq!(address("/", &[("q", "a&b=\"ü"), ("page", "2")]), "/?q=a%26b%3D%22%C3%BC&page=2");
    }
}
