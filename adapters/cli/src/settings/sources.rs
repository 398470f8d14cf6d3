//! Where values come from: defaults, then a TOML file, then the environment, then flags; the later wins.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Format as _, Serialized, Toml},
    value::{self, Dict},
};

use super::{
    Db, Setting, Settings,
    declare::PREFIX,
    go_staticreg::{self, Taken, Takeover},
    secret,
    service_link::is_service_link,
    value::{Hint, Value, text},
};

/// The variable that names the configuration file.
pub(crate) const CONFIG_VARIABLE: &str = "STATICREG_CONFIG";

/// The configuration cannot be read; the text is one sentence for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidSettings(pub(crate) String);

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A setting that cannot be used, and why. [`Given::sentence`] says it, naming what people gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    key: &'static str,
    reason: String,
}

impl Unusable {
    pub(crate) fn new(key: &'static str, reason: impl fmt::Display) -> Self {
        Self { key, reason: reason.to_string() }
    }
}

/// What the process was given.
#[derive(Default)]
pub(crate) struct Sources {
    /// The configuration file.
    pub(crate) file: Option<PathBuf>,
    /// The environment.
    pub(crate) variables: Vec<(String, OsString)>,
    /// Flags, as a setting's key and its value.
    pub(crate) flags: Vec<(&'static str, String)>,
    /// Flags of the Go staticreg, as their name and their value.
    pub(crate) go_flags: Vec<(&'static str, String)>,
}

/// What gave a value; the later wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// What is not said of staticreg alone.
    Fallback,
    File,
    /// A variable of the Go staticreg.
    GoVariable,
    Environment,
    /// A flag of the Go staticreg.
    GoFlag,
    Flag,
}

/// All values, and what gave each.
pub(crate) struct Given {
    values: Figment,
    /// The source of each key that was given, and the key's name there.
    origins: BTreeMap<&'static str, (Source, String)>,
    /// The file of each secret that one holds.
    files: BTreeMap<&'static str, PathBuf>,
    /// What the Go staticreg's names gave.
    takeover: Takeover,
}

impl Sources {
    /// Brings together what was given. No value is looked at yet.
    pub(crate) fn read(&self) -> Result<Given, InvalidSettings> {
        let takeover = go_staticreg::take_over(&self.go_flags, &self.variables)?;
        let mut given = Given {
            values: Figment::new(),
            origins: BTreeMap::new(),
            files: BTreeMap::new(),
            takeover: Takeover::default(),
        };
        for setting in Setting::all() {
            if let Some(default) = setting.default {
                given.put(setting.key, default);
            }
        }
        let taken = &takeover.taken;
        given.put_taken(taken.iter().filter(|taken| taken.source == Source::Fallback));
        if let Some(file) = &self.file {
            given.put_file(file)?;
        }
        for setting in Setting::all() {
            let of = |source| taken.iter().filter(move |taken| (taken.key, taken.source) == (setting.key, source));
            given.put_taken(of(Source::GoVariable));
            let variable = setting.variable();
            let value = self.variables.iter().find(|(name, _)| *name == variable).map(|(_, value)| value);
            // An empty variable is how container tools say "not set".
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                let value =
                    value.to_str().ok_or_else(|| InvalidSettings(format!("{variable}: must be UTF-8 text.")))?;
                given.put(setting.key, value);
                given.origins.insert(setting.key, (Source::Environment, variable));
            }
            given.put_taken(of(Source::GoFlag));
            if let Some((_, value)) = self.flags.iter().find(|(key, _)| *key == setting.key) {
                given.put(setting.key, value);
                given.origins.insert(setting.key, (Source::Flag, setting.flag()));
            }
        }
        given.put_secrets()?;
        given.takeover = takeover;
        match &given.takeover.incomplete_database {
            Some(sentence) if !given.is_given("db.url") => Err(InvalidSettings(sentence.clone())),
            _ => Ok(given),
        }
    }

    /// What people should know, though it stops nothing.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let unknown = self
            .variables
            .iter()
            .filter(|(name, value)| name.starts_with(PREFIX) && !is_service_link(name, value))
            .map(|(name, _)| name)
            .filter(|name| *name != CONFIG_VARIABLE)
            .filter(|name| Setting::all().all(|setting| setting.variable() != **name))
            .filter(|name| !go_staticreg::is_variable(name))
            .map(|name| format!("{name} is no setting of staticreg and changes nothing."));
        let seen = Setting::all().filter(|setting| setting.secret).filter_map(|setting| {
            let is_secret = |(_, value): &&(_, String)| secret::is_secret(value);
            let ours = self.flags.iter().filter(|(key, _)| *key == setting.key).find(is_secret).map(|_| setting.flag());
            let theirs = go_staticreg::flag_of(setting.key);
            let theirs = self.go_flags.iter().filter(|(name, _)| Some(*name) == theirs).find(is_secret);
            let theirs = theirs.map(|(name, _)| format!("--{name}"));
            let (flag, variable) = (ours.or(theirs)?, setting.variable());
            let file = setting.in_file()?.variable();
            Some(format!(
                "{flag} tells a password to every user of this machine, in the list of processes. Set {variable}, or name a \
                 file that holds it with {file}."
            ))
        });
        let empty = Setting::all().filter(|setting| is_for_the_webhooks_door(setting.key)).filter_map(|setting| {
            let variable = setting.variable();
            self.variables.iter().any(|(name, value)| *name == variable && value.is_empty()).then(|| {
                format!("{variable} is set and empty, which is as if it were not set: it keeps nobody from posting.")
            })
        });
        unknown.chain(seen).chain(empty)
    }
}

/// Whether a setting says who may post.
fn is_for_the_webhooks_door(key: &str) -> bool {
    let key = key.strip_suffix("_file").unwrap_or(key);
    ["webhook.tokens", "webhook.signature_secrets", "webhook.allowed_networks"].contains(&key)
}

impl Given {
    /// Reads every setting.
    pub(crate) fn settings(&self) -> Result<Settings, Unusable> {
        let settings = Settings::read(self)?;
        settings.check()?;
        Ok(settings)
    }

    /// What is taken over from the Go staticreg, in a line; none when nothing is.
    pub(crate) fn taken_over(&self) -> Option<String> {
        self.takeover.told(|taken| {
            // How a registry is read matters where one is.
            let matters = taken.key != "registry.tls" || self.is_given("registry.hostname");
            matters && self.origins.get(taken.key).is_some_and(|(_, name)| *name == taken.name)
        })
    }

    /// Reads the settings of the database alone, whatever is wrong with others.
    pub(crate) fn db(&self) -> Result<Db, Unusable> {
        Db::read(self)
    }

    /// Every setting that was given, by the name it was given by, and its value; no secret's.
    pub(crate) fn named_values(&self) -> impl Iterator<Item = (&str, String)> {
        self.origins.iter().map(|(key, (_, name))| {
            let value = match self.values.find_value(key) {
                _ if Setting::with_key(key).secret => "(not shown)".to_owned(),
                // It may hold a password, which no start takes there.
                Ok(value) if *key == "registry.hostname" && text(&value).is_some_and(|host| host.contains('@')) => {
                    "(not shown)".to_owned()
                }
                Ok(value) => text(&value).unwrap_or_else(|| "(a list)".to_owned()),
                Err(_) => String::new(),
            };
            (&**name, value.escape_debug().to_string())
        })
    }

    /// What is wrong with a setting, in one sentence.
    pub(crate) fn sentence(&self, unusable: &Unusable) -> String {
        format!("{}: {}.", self.name(unusable.key), unusable.reason)
    }

    /// A setting's name where it was given; the variable's when nothing gave it.
    fn name(&self, key: &'static str) -> String {
        self.origins.get(key).map_or_else(|| Setting::with_key(key).variable(), |(_, name)| name.clone())
    }

    /// The value of a setting, when it is acceptable.
    pub(super) fn value<T: Value>(&self, key: &'static str, accepts: impl Fn(&T) -> bool) -> Result<T, Unusable> {
        let setting = Setting::with_key(key);
        let Ok(given) = self.values.find_value(key) else {
            return T::absent().ok_or_else(|| Unusable::new(key, "is missing"));
        };
        match T::read(&given) {
            Ok(value) if accepts(&value) => Ok(match self.files.get(key) {
                Some(file) => value.held_in(file),
                None => value,
            }),
            Ok(_) => Err(Unusable::new(key, expected::<T>(&setting, &given, None))),
            Err(hint) => Err(Unusable::new(key, expected::<T>(&setting, &given, hint))),
        }
    }

    fn is_given(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    fn put(&mut self, key: &str, value: &str) {
        self.values = std::mem::take(&mut self.values).merge(Serialized::default(key, value));
    }

    fn put_taken<'a>(&mut self, taken: impl Iterator<Item = &'a Taken>) {
        for Taken { key, name, value, source } in taken {
            self.put(key, value);
            self.origins.insert(key, (*source, name.clone()));
        }
    }

    fn put_list(&mut self, key: &str, values: Vec<String>) {
        self.values = std::mem::take(&mut self.values).merge(Serialized::default(key, values));
    }

    fn put_file(&mut self, file: &Path) -> Result<(), InvalidSettings> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| InvalidSettings(format!("The configuration file {shown} cannot be read: {error}.")))?;
        let sections: Dict = Toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            // Not the error itself, which quotes the line, and so may tell a secret.
            InvalidSettings(format!("{shown}: line {line}: {}.", error.message().replace('\n', ", ")))
        })?;
        if let Some(unknown) = unknown_key(&sections) {
            return Err(InvalidSettings(format!("{shown}: there is no setting `{unknown}`.")));
        }
        let values = Figment::from(Serialized::defaults(sections));
        for setting in Setting::all().filter(|setting| values.contains(setting.key)) {
            self.origins.insert(setting.key, (Source::File, format!("{shown}: {}", setting.key)));
        }
        self.values = std::mem::take(&mut self.values).merge(values);
        Ok(())
    }

    /// Takes secrets from the files that hold them.
    fn put_secrets(&mut self) -> Result<(), InvalidSettings> {
        for setting in Setting::all() {
            let Some(in_file) = setting.in_file() else { continue };
            let Some((source, name)) = self.origins.get(in_file.key).cloned() else { continue };
            match self.origins.get(setting.key) {
                Some((other, _)) if *other > source => continue,
                Some((other, other_name)) if *other == source => {
                    return Err(InvalidSettings(format!("{other_name} and {name}: both are given, keep one.")));
                }
                _ => {}
            }
            let unusable = |unusable| InvalidSettings(self.sentence(&unusable));
            let path: PathBuf = self.value(in_file.key, |_| true).map_err(unusable)?;
            let unreadable = |error: io::Error| {
                InvalidSettings(format!("{name}: the file {} cannot be read: {error}.", path.display()))
            };
            if setting.many {
                self.put_list(setting.key, secret::lines_of_file(&path).map_err(unreadable)?);
            } else {
                self.put(setting.key, &secret::from_file(&path).map_err(unreadable)?);
            }
            self.origins.insert(setting.key, (source, name));
            self.files.insert(setting.key, path);
        }
        Ok(())
    }
}

/// What a value must be, and what it is; a secret's value does not show.
fn expected<T: Value>(setting: &Setting, given: &value::Value, hint: Hint) -> String {
    let range = setting.range.map(|(least, most)| format!(" from {least} to {most}")).unwrap_or_default();
    let example = setting.sample().filter(|_| !T::LISTED && !T::SECRET);
    let example = example.map(|example| format!(", such as {example}")).unwrap_or_default();
    let found = match text(given) {
        _ if T::SECRET => String::new(),
        Some(text) if text.trim().is_empty() => ", not empty".to_owned(),
        Some(text) => format!(", not `{}`", text.escape_debug()),
        None if given.as_array().is_some() => ", not a list".to_owned(),
        None => ", not a table".to_owned(),
    };
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("must be {}{range}{example}{found}{hint}", T::WHAT)
}

/// A key of the file that is no setting's.
fn unknown_key(sections: &Dict) -> Option<String> {
    sections.iter().find_map(|(section, keys)| {
        if Setting::all().all(|setting| setting.place().0 != section) {
            return Some(section.clone());
        }
        let Some(keys) = keys.as_dict() else { return Some(section.clone()) };
        let known = |key: &str| Setting::all().any(|setting| setting.place() == (section, key));
        keys.keys().find(|key| !known(key)).map(|key| format!("{section}.{key}"))
    })
}
