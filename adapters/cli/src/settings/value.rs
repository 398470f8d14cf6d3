//! The types of values: how each is written, read and explained.

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use figment::{error::Actual, value};
use staticreg_http::access::{Hosts, Networks, ProxyHeader, Readers};
use staticreg_sql::SchemaName;

/// Why a text is no value: a hint for people, where there is more to say than what is expected.
pub(super) type Hint = Option<String>;

/// How a value stands in a TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toml {
    Plain,
    Quoted,
    List,
}

/// The type of a setting's value.
pub(super) trait Value: Sized {
    /// What stands for a value in the help.
    const NAME: &'static str;
    /// What a value must be, as in "must be a whole number".
    const WHAT: &'static str;
    /// Whether `WHAT` says every value there is.
    const LISTED: bool = false;
    const TOML: Toml = Toml::Quoted;
    /// Whether a value never shows.
    const SECRET: bool = false;
    /// Whether a value is several, of which a file holds one a line.
    const MANY: bool = false;

    /// Reads a value as a flag or a variable has it, without the spaces around it.
    fn parse(text: &str) -> Result<Self, Hint>;

    /// Reads a value as any source has it.
    fn read(given: &value::Value) -> Result<Self, Hint> {
        Self::parse(text(given).ok_or(None)?.trim())
    }

    /// What it is when it is not given.
    fn absent() -> Option<Self> {
        None
    }

    /// The value, when a file of its own holds it.
    fn held_in(self, _file: &Path) -> Self {
        self
    }
}

/// The text of a single value: TOML's numbers and truth values may be quoted or not.
pub(super) fn text(given: &value::Value) -> Option<String> {
    match given.to_actual() {
        Actual::Str(text) => Some(text),
        Actual::Bool(value) => Some(value.to_string()),
        Actual::Unsigned(number) => Some(number.to_string()),
        Actual::Signed(number) => Some(number.to_string()),
        Actual::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a value lies between two others, both included.
pub(super) fn is_within<T: Value + PartialOrd>(value: &T, least: &str, most: &str) -> bool {
    T::parse(least).is_ok_and(|least| least <= *value) && T::parse(most).is_ok_and(|most| *value <= most)
}

impl<T: Value> Value for Option<T> {
    const NAME: &'static str = T::NAME;
    const WHAT: &'static str = T::WHAT;
    const LISTED: bool = T::LISTED;
    const TOML: Toml = T::TOML;
    const SECRET: bool = T::SECRET;
    const MANY: bool = T::MANY;

    fn parse(text: &str) -> Result<Self, Hint> {
        T::parse(text).map(Some)
    }

    fn read(given: &value::Value) -> Result<Self, Hint> {
        T::read(given).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn held_in(self, file: &Path) -> Self {
        self.map(|value| value.held_in(file))
    }
}

macro_rules! whole_numbers {
    ($($type:ty),+) => { $(
        impl Value for $type {
            const NAME: &'static str = "N";
            const WHAT: &'static str = "a whole number";
            const TOML: Toml = Toml::Plain;

            fn parse(text: &str) -> Result<Self, Hint> {
                // As TOML has them: 1_000_000.
                text.replace('_', "").parse().map_err(|_| None)
            }
        }
    )+ };
}

whole_numbers!(NonZeroU32, NonZeroU64, NonZeroUsize, usize);

impl Value for Duration {
    const NAME: &'static str = "DURATION";
    const WHAT: &'static str = "a duration";

    fn parse(text: &str) -> Result<Self, Hint> {
        /// Longer texts only say what no duration needs; humantime panics at the very end of what it can count.
        const MAX_LENGTH: usize = 24;
        if text.parse() == Ok(0) {
            return Ok(Self::ZERO);
        }
        if text.len() > MAX_LENGTH {
            return Err(None);
        }
        humantime::parse_duration(text).ok().or_else(|| duration_of_go(text)).ok_or_else(|| {
            let number = text.parse::<f64>().is_ok_and(f64::is_sign_positive);
            number.then(|| format!("{text}s would be seconds"))
        })
    }
}

/// A duration as Go's `time.ParseDuration` reads it: decimal numbers, each with a unit, such as `1.5h` or `1h30m`.
fn duration_of_go(mut text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 8] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let mut seconds = 0.0;
    text = text.strip_prefix('+').unwrap_or(text);
    loop {
        let number = text.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let rest = &text[number.len()..];
        let name = rest.split(|c: char| c.is_ascii_digit() || c == '.').next()?;
        let (_, unit) = UNITS.into_iter().find(|(known, _)| *known == name)?;
        seconds += number.parse::<f64>().ok()? * unit;
        text = &rest[name.len()..];
        if text.is_empty() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(usize);

impl Size {
    pub(crate) fn bytes(self) -> usize {
        self.0
    }
}

impl Value for Size {
    const NAME: &'static str = "SIZE";
    const WHAT: &'static str = "a size";

    fn parse(text: &str) -> Result<Self, Hint> {
        let size: ByteSize = text.parse().map_err(|_| None)?;
        usize::try_from(size.as_u64()).map(Self).map_err(|_| None)
    }
}

impl Value for String {
    const NAME: &'static str = "TEXT";
    const WHAT: &'static str = "a text";

    fn parse(text: &str) -> Result<Self, Hint> {
        if text.is_empty() { Err(None) } else { Ok(text.to_owned()) }
    }
}

impl Value for PathBuf {
    const NAME: &'static str = "FILE";
    const WHAT: &'static str = "the path of a file";

    fn parse(text: &str) -> Result<Self, Hint> {
        if text.is_empty() || text.contains('\0') { Err(None) } else { Ok(text.into()) }
    }
}

impl Value for Vec<String> {
    const NAME: &'static str = "WORDS";
    const WHAT: &'static str = "a list of words";
    const TOML: Toml = Toml::List;

    fn parse(text: &str) -> Result<Self, Hint> {
        Ok(text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect())
    }

    fn read(given: &value::Value) -> Result<Self, Hint> {
        let Some(list) = given.as_array() else { return Self::parse(&text(given).ok_or(None)?) };
        let words: Option<Self> = list.iter().map(text).collect();
        Ok(words.ok_or(None)?.into_iter().filter(|word| !word.is_empty()).collect())
    }
}

/// Lists that are read as words, and then as what each word means.
macro_rules! lists {
    ($($type:ty as $name:literal, $what:literal, $of:expr;)+) => { $(
        impl Value for $type {
            const NAME: &'static str = $name;
            const WHAT: &'static str = $what;
            const TOML: Toml = Toml::List;

            fn parse(text: &str) -> Result<Self, Hint> {
                Vec::parse(text).and_then($of)
            }

            fn read(given: &value::Value) -> Result<Self, Hint> {
                Vec::read(given).and_then($of)
            }
        }
    )+ };
}

/// Names of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostNames(pub(crate) Vec<String>);

lists! {
    Networks as "NETWORKS", "a list of networks", |words: Vec<String>| {
        Networks::parse(words.iter().map(String::as_str)).map_err(|error| Some(error.to_string()))
    };
    HostNames as "NAMES", "a list of names", |words: Vec<String>| {
        match words.iter().find(|word| !Hosts::is_name(word)) {
            Some(word) => Err(Some(format!("`{}` is no name; leave out scheme and port", word.escape_debug()))),
            None => Ok(HostNames(words)),
        }
    };
}

impl Value for SchemaName {
    const NAME: &'static str = "NAME";
    const WHAT: &'static str = "a schema";

    fn parse(text: &str) -> Result<Self, Hint> {
        text.parse().map_err(|error: <Self as std::str::FromStr>::Err| Some(error.to_string()))
    }
}

impl Value for ProxyHeader {
    const NAME: &'static str = "HEADER";
    const WHAT: &'static str = "the name of a header";

    fn parse(text: &str) -> Result<Self, Hint> {
        Self::parse(text).map_err(|error| Some(error.to_string()))
    }
}

/// Declares what can be chosen; the first word of each choice is the one that is shown.
macro_rules! choice {
    ($type:ty as $toml:expr, {
        $first:literal $(| $first_other:literal)* => $first_value:expr
        $(, $word:literal $(| $other:literal)* => $value:expr)+ $(,)?
    }) => {
        impl Value for $type {
            const NAME: &'static str = concat!($first, $("|", $word),+);
            const WHAT: &'static str = concat!($first, $(" or ", $word),+);
            const LISTED: bool = true;
            const TOML: Toml = $toml;

            fn parse(text: &str) -> Result<Self, Hint> {
                match text.to_ascii_lowercase().as_str() {
                    $first $(| $first_other)* => Ok($first_value),
                    $( $word $(| $other)* => Ok($value), )+
                    _ => Err(None),
                }
            }
        }
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountingMode {
    Classified,
    Tagged,
}

choice!(CountingMode as Toml::Quoted, { "classified" => Self::Classified, "tagged" => Self::Tagged });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsMode {
    Auto,
    On,
    Off,
}

// YAML takes `off` without quotes for `false`.
choice!(TlsMode as Toml::Quoted, { "auto" => Self::Auto, "on" | "true" | "yes" => Self::On, "off" | "false" | "no" => Self::Off });

choice!(Readers as Toml::Quoted, { "anyone" => Self::Anyone, "signed_in" | "signed-in" => Self::SignedIn });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

choice!(LogFormat as Toml::Quoted, { "text" => Self::Text, "json" => Self::Json });

choice!(bool as Toml::Plain, { "true" | "yes" | "on" | "1" => true, "false" | "no" | "off" | "0" => false });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_never_panic() {
        for (text, expected) in [
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("1.5h", Duration::from_mins(90)),
            ("+1s", Duration::from_secs(1)),
            ("10 s", Duration::from_secs(10)),
            ("2m 30s", Duration::from_secs(150)),
            ("500ms", Duration::from_millis(500)),
        ] {
            assert_eq!(Duration::parse(text), Ok(expected), "{text}");
        }
        for (text, hint) in [
            ("3", Some("3s would be seconds")),
            ("1.5", Some("1.5s would be seconds")),
            ("-3", None),
            ("-3s", None),
            ("", None),
            ("soon", None),
            ("99999999999999999999h", None),
            ("18446744073709551615s 1000000000ns", None),
        ] {
            assert_eq!(Duration::parse(text), Err(hint.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn sizes_and_numbers_are_taken_as_people_write_them() {
        for (text, bytes) in
            [("65536", 65_536), ("64KiB", 65_536), ("1.5 KiB", 1_536), ("2mib", 2 << 20), ("1Mi", 1 << 20)]
        {
            assert_eq!(Size::parse(text).map(Size::bytes), Ok(bytes), "{text}");
        }
        for text in ["", "big", "-1", "16QiB", "MiB"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
        assert_eq!(NonZeroUsize::parse("1_000").map(NonZeroUsize::get), Ok(1_000));
        for text in ["", "0", "-1", "1.5", "many", "99999999999999999999"] {
            assert!(NonZeroUsize::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_choice_may_be_written_as_yaml_hands_it_on() {
        for (text, mode) in
            [("off", TlsMode::Off), ("FALSE", TlsMode::Off), ("true", TlsMode::On), ("Auto", TlsMode::Auto)]
        {
            assert_eq!(TlsMode::parse(text), Ok(mode), "{text}");
        }
        assert_eq!((bool::parse("Yes"), bool::parse("0")), (Ok(true), Ok(false)));
        assert!(bool::parse("perhaps").is_err());
    }
}
