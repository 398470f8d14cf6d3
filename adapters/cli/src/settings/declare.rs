//! What a setting is, and the macro that declares all of them.

use super::value::Toml;

/// How the names of environment variables begin.
pub(super) const PREFIX: &str = "STATICREG_";

/// A setting as people give it: by its key in the file, its variable or its flag.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// `section.key`.
    pub(crate) key: &'static str,
    /// The key of a file that holds the value, for a secret.
    pub(super) file_key: &'static str,
    /// The section, as people read it.
    pub(crate) heading: &'static str,
    /// What it does: the first line alone, then more.
    pub(super) help: &'static [&'static str],
    /// What stands for a value in the help.
    pub(crate) value_name: &'static str,
    pub(crate) default: Option<&'static str>,
    /// A value to show when there is no default, or one that shows more.
    pub(super) example: Option<&'static str>,
    /// The least and the greatest value.
    pub(super) range: Option<(&'static str, &'static str)>,
    pub(super) toml: Toml,
    /// Whether its value never shows. A file may hold it.
    pub(crate) secret: bool,
    /// Whether it has several values, one a line of that file.
    pub(super) many: bool,
}

impl Setting {
    /// Every setting there is, in the order of the sections.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        super::SETTINGS.iter().flat_map(|setting| [Some(setting.clone()), setting.in_file()]).flatten()
    }

    /// The setting of a key that the program itself names.
    pub(super) fn with_key(key: &str) -> Self {
        Self::all().find(|setting| setting.key == key).expect("the program names settings that there are")
    }

    /// The setting that names the file of a secret.
    pub(super) fn in_file(&self) -> Option<Self> {
        self.secret.then(|| Self {
            key: self.file_key,
            file_key: "",
            help: if self.many {
                &[
                    "A file that holds them instead, one a line; not both at once.",
                    "It may change while staticreg runs: it is looked at every 2 seconds.",
                ]
            } else {
                &["A file that holds it instead.", "A newline at its end is no part of it."]
            },
            value_name: "FILE",
            default: None,
            example: Some("/run/secrets/staticreg"),
            toml: Toml::Quoted,
            secret: false,
            many: false,
            ..self.clone()
        })
    }

    /// The name of its environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.replace('.', "_").to_uppercase())
    }

    /// Its flag.
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.long_flag())
    }

    /// Its flag without the hyphens before it.
    pub(crate) fn long_flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// The section's name, and the key in it.
    pub(super) fn place(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').expect("a key is SECTION.KEY")
    }

    /// What it does, in one line.
    pub(crate) fn summary(&self) -> &'static str {
        self.help.first().copied().unwrap_or_default().trim()
    }

    /// All that is said of it.
    pub(crate) fn description(&self) -> String {
        self.help.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }

    /// A value to show.
    pub(super) fn sample(&self) -> Option<&'static str> {
        self.example.or(self.default)
    }
}

/// Breaks a text into lines that are no longer than this where a space allows it.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Declares settings, each once: the struct of each section, [`Settings`], which is read by [`Settings::read`], and
/// `SETTINGS`, from which command line, environment, template and README.md come.
///
/// [`Settings`]: super::Settings
/// [`Settings::read`]: super::Settings::read
macro_rules! settings {
    ($(
        $section:ident: $Section:ident $heading:literal {
            $(
                $(#[doc = $help:literal])+
                $key:ident: $type:ty $(as $name:literal)? $(= $default:literal)?
                $(, from $least:literal to $most:literal)? $(, such as $example:literal)?;
            )+
        }
    )+) => {
        /// The whole configuration.
        #[derive(Debug)]
        pub(crate) struct Settings {
            $( pub(crate) $section: $Section, )+
        }

        $(
            #[doc = concat!("The section `", stringify!($section), "`.")]
            #[derive(Debug)]
            pub(crate) struct $Section {
                $( $(#[doc = $help])+ pub(crate) $key: $type, )+
            }

            impl $Section {
                /// Takes its values out of what was given.
                pub(super) fn read(given: &$crate::settings::Given) -> Result<Self, $crate::settings::Unusable> {
                    Ok(Self {
                        $( $key: given.value(
                            concat!(stringify!($section), ".", stringify!($key)),
                            settings!(@within $($least, $most)?),
                        )?, )+
                    })
                }
            }
        )+

        /// What is declared of every setting.
        pub(super) const SETTINGS: &[$crate::settings::Setting] = &[$($(
            $crate::settings::Setting {
                key: concat!(stringify!($section), ".", stringify!($key)),
                file_key: concat!(stringify!($section), ".", stringify!($key), "_file"),
                heading: $heading,
                help: &[$($help),+],
                value_name: settings!(@either <$type as $crate::settings::value::Value>::NAME $(, $name)?),
                default: settings!(@maybe $($default)?),
                example: settings!(@maybe $($example)?),
                range: settings!(@maybe $(($least, $most))?),
                toml: <$type as $crate::settings::value::Value>::TOML,
                secret: <$type as $crate::settings::value::Value>::SECRET,
                many: <$type as $crate::settings::value::Value>::MANY,
            },
        )+)+];

        impl Settings {
            /// Takes every value out of what was given.
            pub(super) fn read(given: &$crate::settings::Given) -> Result<Self, $crate::settings::Unusable> {
                Ok(Self { $( $section: $Section::read(given)?, )+ })
            }
        }
    };
    (@maybe) => { None };
    (@maybe $value:expr) => { Some($value) };
    (@either $usual:expr) => { $usual };
    (@either $usual:expr, $own:expr) => { $own };
    (@within) => { |_| true };
    (@within $least:expr, $most:expr) => { |value| $crate::settings::value::is_within(value, $least, $most) };
}

pub(super) use settings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_at_spaces() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one-two-three four", 7), ["one-two-three", "four"]);
    }
}
