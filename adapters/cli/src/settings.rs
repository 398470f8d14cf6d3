//! The configuration: defaults, then a TOML file, then the environment, then flags; the later wins.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use figment::{
    Figment,
    error::{Actual, Kind},
    providers::{Format as _, Serialized, Toml},
    value::Value,
};
use serde::{Deserialize, Deserializer, de::Error as _};

/// The defaults, commented for people.
pub(crate) const DEFAULTS: &str = include_str!("defaults.toml");

/// How the names of environment variables begin.
pub(crate) const PREFIX: &str = "STATICREG_";

/// The variable that names the configuration file.
pub(crate) const CONFIG_VARIABLE: &str = "STATICREG_CONFIG";

/// A setting as people give it: by its key in the file, its variable or its flag.
pub(crate) struct Setting {
    /// `section.key`.
    pub(crate) key: &'static str,
    /// What it does, in one line.
    pub(crate) help: &'static str,
    /// Whether its value is a text, to be taken as it is, whatever it looks like.
    text: bool,
    /// Whether it is kept out of the command line, which every user of the machine can read.
    pub(crate) secret: bool,
}

const fn text(key: &'static str, help: &'static str) -> Setting {
    Setting { key, help, text: true, secret: false }
}

const fn typed(key: &'static str, help: &'static str) -> Setting {
    Setting { key, help, text: false, secret: false }
}

/// Every setting there is.
pub(crate) const SETTINGS: &[Setting] = &[
    text("http.bind_addr", "Where to listen"),
    typed("http.max_connections", "The most connections at once"),
    text("http.header_timeout", "How long a client may take to send the head of a request"),
    text("http.body_timeout", "How long a client may take to send a body"),
    text("http.stop_timeout", "How long a stop may take to finish what was accepted"),
    text("webhook.max_body", "The largest body of a notification"),
    text("db.url", "postgres://... or sqlite://FILE; counts are kept in memory without it"),
    text("db.schema", "The PostgreSQL schema; made if missing"),
    typed("db.max_conns", "The most connections to the database"),
    text("metrics.counting", "classified, or tagged for every manifest access by tag"),
    typed("metrics.correlation_entries", "How many of the latest accesses are remembered to tell pulls from look-ups"),
    text("metrics.ignored_user_agents", "Words, by comma: clients whose user agent holds one are left out"),
    typed("metrics.batch_size", "The most events stored in one transaction"),
    typed("metrics.buffer_size", "The most events that may wait to be stored"),
    text("metrics.flush_interval", "How long to gather events before they are stored"),
    text("metrics.patience", "How long a notification waits to be stored before the answer is 503"),
    text("metrics.dedupe_window", "How long event ids are remembered"),
    typed("metrics.memory_rows", "The most rows kept in memory when there is no database"),
    text("spool.file", "Where events wait while the database is away"),
    typed("spool.max_events", "The most events that may wait there"),
    text("registry.hostname", "The registry to browse, with port"),
    text("registry.public_name", "The name by which its users reach it, in the commands to pull"),
    text("registry.user", "The user to browse it as"),
    Setting { key: "registry.password", help: "The user's password", text: true, secret: true },
    text("registry.tls", "on, off, or auto: plain HTTP for loopback and private names only"),
    typed("registry.skip_tls_verify", "Accept any certificate"),
    typed("registry.concurrency", "How many requests are sent to it at once"),
    text("registry.refresh_interval", "How often it is read again"),
    text("log.format", "text or json"),
    text("log.level", "A level, or directives such as info,staticreg_sql=debug"),
];

impl Setting {
    /// The name of its environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The name of its flag.
    pub(crate) fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    fn value(&self, text: &str) -> Value {
        if self.text {
            return Value::from(text);
        }
        text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {})
    }
}

/// The whole configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) http: Http,
    pub(crate) webhook: Webhook,
    pub(crate) db: Db,
    pub(crate) metrics: Metrics,
    pub(crate) spool: Spool,
    pub(crate) registry: Registry,
    pub(crate) log: Log,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) bind_addr: String,
    pub(crate) max_connections: NonZeroUsize,
    #[serde(deserialize_with = "duration")]
    pub(crate) header_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub(crate) body_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub(crate) stop_timeout: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    #[serde(deserialize_with = "size")]
    pub(crate) max_body: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Db {
    pub(crate) url: Option<Secret>,
    pub(crate) schema: Option<String>,
    pub(crate) max_conns: NonZeroU32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metrics {
    pub(crate) counting: CountingMode,
    pub(crate) correlation_entries: NonZeroUsize,
    #[serde(deserialize_with = "words")]
    pub(crate) ignored_user_agents: Vec<String>,
    pub(crate) batch_size: NonZeroUsize,
    pub(crate) buffer_size: NonZeroUsize,
    #[serde(deserialize_with = "duration")]
    pub(crate) flush_interval: Duration,
    #[serde(deserialize_with = "duration")]
    pub(crate) patience: Duration,
    #[serde(deserialize_with = "duration")]
    pub(crate) dedupe_window: Duration,
    pub(crate) memory_rows: NonZeroUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CountingMode {
    Classified,
    Tagged,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spool {
    pub(crate) file: Option<PathBuf>,
    pub(crate) max_events: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    pub(crate) hostname: Option<String>,
    pub(crate) public_name: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) tls: TlsMode,
    pub(crate) skip_tls_verify: bool,
    pub(crate) concurrency: NonZeroUsize,
    #[serde(deserialize_with = "duration")]
    pub(crate) refresh_interval: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TlsMode {
    Auto,
    On,
    Off,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A text that never shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// In a file an all-digit password may stand without quotes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum TextOrNumber {
            Text(String),
            Number(i64),
        }
        // The error of an untagged enum quotes nothing of the value.
        match TextOrNumber::deserialize(deserializer).map_err(|_| D::Error::custom("expected a text"))? {
            TextOrNumber::Text(text) => Ok(Self(text)),
            TextOrNumber::Number(number) => Ok(Self(number.to_string())),
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(&text)
        .map_err(|_| D::Error::custom(format!("`{text}` is no duration such as 500ms, 3s, 15m or 24h")))
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<ByteSize>()
        .ok()
        .and_then(|size| usize::try_from(size.as_u64()).ok())
        .filter(|size| *size > 0)
        .ok_or_else(|| D::Error::custom(format!("`{text}` is no size such as 65536, 512KiB or 16MiB")))
}

/// A list, or a text with commas.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum ListOrText {
        List(Vec<String>),
        Text(String),
    }
    let words = match ListOrText::deserialize(deserializer)? {
        ListOrText::List(words) => words,
        ListOrText::Text(text) => text.split(',').map(|word| word.trim().to_owned()).collect(),
    };
    Ok(words.into_iter().filter(|word| !word.is_empty()).collect())
}

/// A setting is wrong; the text is one sentence for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidSettings(pub(crate) String);

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the values come from, the later over the earlier.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The configuration file.
    pub(crate) file: Option<PathBuf>,
    /// The environment.
    pub(crate) variables: Vec<(String, String)>,
    /// Flags, as a setting's key and its value.
    pub(crate) flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// Reads the configuration.
    pub(crate) fn read(&self) -> Result<Settings, InvalidSettings> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = &self.file {
            figment = figment.merge(Toml::string(&read(file)?));
        }
        for setting in SETTINGS {
            let variable = setting.variable();
            let given = self.variables.iter().find(|(name, _)| *name == variable).map(|(_, value)| value);
            let flag = self.flags.iter().find(|(key, _)| *key == setting.key).map(|(_, value)| value);
            // An empty variable is how container tools say "not set".
            if let Some(value) = flag.or(given.filter(|value| !value.is_empty())) {
                figment = figment.merge(Serialized::default(setting.key, setting.value(value)));
            }
        }
        let settings: Settings = figment.extract().map_err(|error| self.explain(&error))?;
        settings.check()
    }

    /// The variables that look like ours and are none: a typing mistake, or another program's.
    pub(crate) fn unknown_variables(&self) -> impl Iterator<Item = &str> {
        self.variables
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| name.starts_with(PREFIX) && *name != CONFIG_VARIABLE)
            .filter(|name| SETTINGS.iter().all(|setting| setting.variable() != *name))
    }

    fn explain(&self, error: &figment::Error) -> InvalidSettings {
        let key = error.path.join(".");
        let file = self.file.as_deref().unwrap_or(Path::new("the configuration file")).display();
        if let Kind::UnknownField(field, _) = &error.kind {
            let known = if key.is_empty() || key == *field {
                field.clone()
            } else {
                format!("{key}.{field}").replace(&format!("{field}.{field}"), field)
            };
            return InvalidSettings(format!("{file}: there is no setting `{known}`."));
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            return InvalidSettings(format!("{file}: {}.", in_one_line(&error.kind.to_string())));
        };
        let flag = self.flags.iter().any(|(flag, _)| *flag == key);
        let variable = self.variables.iter().any(|(name, _)| *name == setting.variable());
        let place = match (flag, variable) {
            (true, _) => format!("--{}", setting.flag()),
            (false, true) => setting.variable(),
            (false, false) => format!("{file}: {key} ({})", setting.variable()),
        };
        let reason = if setting.secret { "the value is no text".to_owned() } else { plainly(&error.kind) };
        InvalidSettings(format!("{place}: {reason}."))
    }
}

/// A reason in words that need no knowledge of programming.
fn plainly(kind: &Kind) -> String {
    let (found, expected) = match kind {
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => (found, expected.as_str()),
        Kind::UnknownVariant(found, known) => return format!("must be {}, not `{found}`", known.join(" or ")),
        kind => return kind.to_string(),
    };
    let found = match found {
        Actual::Bool(found) => found.to_string(),
        Actual::Unsigned(found) => found.to_string(),
        Actual::Signed(found) => found.to_string(),
        Actual::Float(found) => found.to_string(),
        Actual::Str(found) => found.clone(),
        found => return format!("must be {}, not {found}", wanted(expected)),
    };
    format!("must be {}, not `{found}`", wanted(expected))
}

fn wanted(expected: &str) -> &str {
    match expected {
        "a nonzero u32" => "a whole number from 1 to 4294967295",
        "a nonzero usize" => "a whole number of at least 1",
        "u64" => "a whole number",
        "a boolean" => "true or false",
        "a string" => "a text in quotes",
        expected => expected,
    }
}

/// A reason without the excerpt of the file, which takes several lines and may hold a secret.
fn in_one_line(reason: &str) -> String {
    let is_excerpt = |line: &str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    reason.lines().filter(|line| !is_excerpt(line)).collect::<Vec<_>>().join(": ")
}

fn read(file: &Path) -> Result<String, InvalidSettings> {
    std::fs::read_to_string(file)
        .map_err(|error| InvalidSettings(format!("The configuration file {} cannot be read: {error}.", file.display())))
}

impl Settings {
    fn check(self) -> Result<Self, InvalidSettings> {
        let wrong = |key: &str, reason: &str| {
            let variable = format!("{PREFIX}{}", key.replace('.', "_").to_uppercase());
            Err(InvalidSettings(format!("{variable} ({key}): {reason}.")))
        };
        if let Some(schema) = &self.db.schema
            && (schema.is_empty() || schema.len() > 63 || schema.contains('\0'))
        {
            return wrong("db.schema", "expected the name of a schema, at most 63 bytes");
        }
        if self.metrics.patience.is_zero() {
            return wrong("metrics.patience", "expected more than no time");
        }
        if self.metrics.flush_interval >= self.metrics.patience {
            return wrong("metrics.flush_interval", "expected less than metrics.patience");
        }
        if let Some(name) = &self.registry.public_name
            && !is_registry_name(name)
        {
            return wrong("registry.public_name", "expected HOST or HOST:PORT, without https://");
        }
        if self.registry.refresh_interval.is_zero() {
            return wrong("registry.refresh_interval", "expected more than no time");
        }
        if self.registry.password.is_some() && self.registry.user.is_none() {
            return wrong("registry.user", "missing, though registry.password is given");
        }
        Ok(self)
    }
}

/// Whether it may stand before a repository's name in a command, which people copy into a shell.
fn is_registry_name(name: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-:[]".contains(&c));
    name.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Sources {
        let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sources { variables, ..Sources::default() }
    }

    fn error(sources: &Sources) -> String {
        sources.read().expect_err("an error").0
    }

    #[test]
    fn the_defaults_are_complete() {
        let settings = Sources::default().read().expect("settings");
        assert_eq!(settings.http.bind_addr, "127.0.0.1:8093");
        assert_eq!(settings.webhook.max_body, 16 * 1024 * 1024);
        assert_eq!(settings.metrics.patience, Duration::from_secs(3));
        assert_eq!(settings.metrics.flush_interval, Duration::ZERO);
        assert_eq!(settings.db.url, None);
    }

    #[test]
    fn every_setting_of_the_defaults_is_listed_and_the_other_way_round() {
        let mut section = "";
        let mut keys = Vec::new();
        for line in DEFAULTS.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ") {
                keys.push(format!("{section}.{key}"));
            }
        }
        keys.sort();
        let mut listed: Vec<_> = SETTINGS.iter().map(|setting| setting.key.to_owned()).collect();
        listed.sort();
        assert_eq!(keys, listed);
    }

    #[test]
    fn flags_win_over_variables_over_the_file_over_the_defaults() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        write!(file, "[metrics]\nbatch_size = 1\nbuffer_size = 2\npatience = \"1s\"").expect("written");
        let sources = Sources {
            file: Some(file.path().to_owned()),
            flags: vec![("metrics.batch_size", "30".to_owned())],
            ..variables(&[("STATICREG_METRICS_BATCH_SIZE", "10"), ("STATICREG_METRICS_BUFFER_SIZE", "20")])
        };
        let metrics = sources.read().expect("settings").metrics;
        assert_eq!((metrics.batch_size.get(), metrics.buffer_size.get()), (30, 20));
        assert_eq!(metrics.patience, Duration::from_secs(1));
        assert_eq!(metrics.memory_rows.get(), 1_000_000);
    }

    #[test]
    fn texts_are_taken_as_they_are() {
        let settings = variables(&[
            ("STATICREG_REGISTRY_USER", "true"),
            ("STATICREG_REGISTRY_PASSWORD", "0012345"),
            ("STATICREG_DB_URL", "postgres://u:[p]@h/d?x=1"),
            ("STATICREG_METRICS_IGNORED_USER_AGENTS", "trivy, Renovate,"),
        ])
        .read()
        .expect("settings");
        assert_eq!(settings.registry.user.as_deref(), Some("true"));
        assert_eq!(settings.registry.password.as_ref().map(Secret::expose), Some("0012345"));
        assert_eq!(settings.db.url.as_ref().map(Secret::expose), Some("postgres://u:[p]@h/d?x=1"));
        assert_eq!(settings.metrics.ignored_user_agents, ["trivy", "Renovate"]);
        let shown = format!("{settings:?}");
        assert!(!shown.contains("0012345") && !shown.contains("[p]"), "{shown}");
    }

    #[test]
    fn an_all_digit_password_may_stand_in_the_file_without_quotes() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        write!(file, "[registry]\nuser = \"u\"\npassword = 12345").expect("written");
        let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
        let settings = sources.read().expect("settings");
        assert_eq!(settings.registry.password.as_ref().map(Secret::expose), Some("12345"));
    }

    #[test]
    fn a_wrong_value_is_told_in_one_sentence_with_its_variable() {
        for (name, value, reason) in [
            ("STATICREG_METRICS_BATCH_SIZE", "0", ": must be a whole number of at least 1, not `0`."),
            ("STATICREG_METRICS_BATCH_SIZE", "-1", ": must be a whole number of at least 1, not `-1`."),
            ("STATICREG_METRICS_BATCH_SIZE", "1.5", ": must be a whole number of at least 1, not `1.5`."),
            ("STATICREG_METRICS_BATCH_SIZE", "many", ": must be a whole number of at least 1, not `many`."),
            ("STATICREG_METRICS_BATCH_SIZE", "[1]", ": must be a whole number of at least 1, not "),
            (
                "STATICREG_DB_MAX_CONNS",
                "5000000000",
                ": must be a whole number from 1 to 4294967295, not `5000000000`.",
            ),
            ("STATICREG_SPOOL_MAX_EVENTS", "-1", ": must be a whole number, not `-1`."),
            ("STATICREG_METRICS_PATIENCE", "soon", "`soon` is no duration such as 500ms, 3s, 15m or 24h"),
            ("STATICREG_METRICS_PATIENCE", "0", "more than no time"),
            ("STATICREG_METRICS_COUNTING", "all", ": must be classified or tagged, not `all`."),
            ("STATICREG_WEBHOOK_MAX_BODY", "big", "`big` is no size"),
            ("STATICREG_LOG_FORMAT", "xml", ": must be text or json, not `xml`."),
            ("STATICREG_REGISTRY_SKIP_TLS_VERIFY", "perhaps", ": must be true or false, not `perhaps`."),
            (
                "STATICREG_REGISTRY_PUBLIC_NAME",
                "https://registry.example",
                ": expected HOST or HOST:PORT, without https://.",
            ),
        ] {
            let told = error(&variables(&[(name, value)]));
            assert!(told.starts_with(name) && told.contains(reason) && told.ends_with('.'), "{told}");
            assert!(!told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn an_unknown_key_of_the_file_is_an_error() {
        for (text, name) in [("[metrics]\nbatchsize = 1", "metrics.batchsize"), ("[metric]\nx = 1", "metric")] {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            write!(file, "{text}").expect("written");
            let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
            let told = error(&sources);
            assert!(told.contains(&format!("there is no setting `{name}`")), "{told}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_or_parsed_is_an_error() {
        let missing = Sources { file: Some("/nowhere/staticreg.toml".into()), ..Sources::default() };
        assert!(error(&missing).starts_with("The configuration file /nowhere/staticreg.toml cannot be read"));
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        write!(file, "[registry]\npassword = \"verschwiegen").expect("written");
        let broken = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
        let told = error(&broken);
        assert!(told.contains(&file.path().display().to_string()) && told.contains("line 2"), "{told}");
        assert!(!told.contains('\n') && !told.contains("verschwiegen"), "{told}");
    }

    #[test]
    fn unknown_variables_are_told_and_do_no_harm() {
        let sources =
            variables(&[("STATICREG_PORT", "tcp://10.0.0.1:8093"), ("STATICREG_LOG_LEVEL", "debug"), ("PATH", "")]);
        assert_eq!(sources.unknown_variables().collect::<Vec<_>>(), ["STATICREG_PORT"]);
        assert_eq!(sources.read().expect("settings").log.level, "debug");
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        assert_eq!(variables(&[("STATICREG_DB_URL", "")]).read().expect("settings").db.url, None);
    }
}
