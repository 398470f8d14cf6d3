//! What the Go staticreg calls its settings, so that its users change the image's name and nothing else.
//!
//! Each of its flags and variables means a setting of ours, or nothing here. A flag wins over a variable, and of two
//! flags or variables our own name wins. What a start takes over is told in one line.

use std::{ffi::OsString, time::Duration};

use clap::{Arg, ArgAction, ArgMatches};

use super::{
    service_link::is_service_link,
    sources::{InvalidSettings, Source},
    value::Value as _,
};

/// What a flag or a variable of the Go program means here.
#[derive(Clone, Copy)]
enum Meaning {
    /// A setting, with the same value.
    Setting(&'static str),
    /// A setting, with one value for true and one for false; without one it changes nothing.
    Switch(&'static str, &'static str, Option<&'static str>),
    /// A part of the database's URL.
    DatabasePart,
    /// Nothing, and what there is instead.
    Nothing(Option<&'static str>),
}

use Meaning::{DatabasePart, Nothing, Setting as Means, Switch};

const FLAGS: [(&str, Meaning); 13] = [
    ("registry", Means("registry.hostname")),
    ("user", Means("registry.user")),
    ("password", Means("registry.password")),
    (TLS_ENABLE, Switch("registry.tls", "on", Some("off"))),
    ("skip-tls-verify", Switch("registry.skip_tls_verify", "true", Some("false"))),
    ("json-logging", Switch("log.format", "json", Some("text"))),
    ("verbose", Switch("log.level", "debug", None)),
    ("bind-addr", Means("http.bind_addr")),
    ("refresh-interval", Means("registry.refresh_interval")),
    ("requests-per-second", Means("registry.requests_per_second")),
    ("ignored-user-agent", Nothing(Some("STATICREG_METRICS_IGNORED_USER_AGENTS leaves clients out of the counts"))),
    ("cache-duration", Nothing(None)),
    ("wave-server-url", Nothing(None)),
];

const VARIABLES: [(&str, Meaning); 17] = [
    (HOST, DatabasePart),
    (PORT, DatabasePart),
    (USER, DatabasePart),
    (PASSWORD, DatabasePart),
    (NAME, DatabasePart),
    (SSL_MODE, DatabasePart),
    (OLD_HOSTNAME, Means("registry.hostname")),
    ("REGISTRY_USER", Means("registry.user")),
    ("REGISTRY_PASSWORD", Means("registry.password")),
    ("METRICS_BATCH_SIZE", Means("metrics.batch_size")),
    ("METRICS_FLUSH_INTERVAL", Means("metrics.flush_interval")),
    ("METRICS_BUFFER_SIZE", Means("metrics.buffer_size")),
    ("STATICREG_DB_MIN_CONNS", Nothing(None)),
    ("STATICREG_DB_MAX_CONN_LIFETIME", Nothing(None)),
    ("STATICREG_DB_MAX_CONN_IDLE_TIME", Nothing(None)),
    ("STATICREG_DB_HEALTHCHECK_PERIOD", Nothing(None)),
    ("WAVE_SERVER_URL", Nothing(None)),
];

/// Flags that people try who know no staticreg.
const OF_ANY_PROGRAM: [&str; 2] = ["verbose", "bind-addr"];

/// The registry that the Go program reads when none is named.
const DEFAULT_REGISTRY: &str = "localhost:5000";

const TLS_ENABLE: &str = "tls-enable";

/// Stands for the name of what was not given.
const WITHOUT_TLS: &str = "Without --tls-enable";

const OLD_HOSTNAME: &str = "REGISTRY_HOSTNAME";
const HOST: &str = "STATICREG_DB_HOST";
const PORT: &str = "STATICREG_DB_PORT";
const USER: &str = "STATICREG_DB_USER";
const PASSWORD: &str = "STATICREG_DB_PASSWORD";
const NAME: &str = "STATICREG_DB_NAME";
const SSL_MODE: &str = "STATICREG_DB_SSLMODE";

/// The name of all parts of a database together.
const DATABASE_PARTS: &str = "STATICREG_DB_HOST and its like";

/// Of other programs too: whatever names staticreg wins over it.
const DATABASE_URL: &str = "DATABASE_URL";
const COMMON_PORT: &str = "PORT";

/// A value of a setting of ours that the Go program's name gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) key: &'static str,
    /// What gave it.
    pub(super) name: String,
    pub(super) value: String,
    pub(super) source: Source,
}

/// What is taken over, and what has no meaning here.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    pub(super) taken: Vec<Taken>,
    /// Why the parts of a database are none, when no other is given.
    pub(super) incomplete_database: Option<String>,
    meaningless: Vec<String>,
}

/// The flags of the Go program, which the help does not show.
pub(crate) fn flags() -> impl Iterator<Item = Arg> {
    FLAGS.into_iter().map(|(name, meaning)| {
        let arg = Arg::new(name).long(name).global(true).hide(true).action(ArgAction::Append).value_name("VALUE");
        match meaning {
            // As Go's flags have it: a value stands behind an equals sign.
            Switch(..) => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
            _ => arg.allow_hyphen_values(true),
        }
    })
}

/// Those that were given, in the order of [`FLAGS`]; of one given again the last value.
pub(crate) fn flags_of(matches: &ArgMatches) -> Vec<(&'static str, String)> {
    let last = |name| matches.get_many::<String>(name)?.next_back().cloned();
    FLAGS.into_iter().filter_map(|(name, _)| Some((name, last(name)?))).collect()
}

/// The flag that means a setting.
pub(super) fn flag_of(key: &str) -> Option<&'static str> {
    FLAGS.into_iter().find(|(_, meaning)| matches!(meaning, Means(known) if *known == key)).map(|(name, _)| name)
}

/// Whether a variable is one of the Go program's.
pub(super) fn is_variable(name: &str) -> bool {
    VARIABLES.into_iter().any(|(known, _)| known == name)
}

/// What the Go program's flags and variables mean here.
pub(super) fn take_over(
    flags: &[(&'static str, String)],
    variables: &[(String, OsString)],
) -> Result<Takeover, InvalidSettings> {
    let variable = |name: &str| {
        variables.iter().find(|(known, value)| known == name && !value.is_empty() && !is_service_link(name, value))
    };
    let text = |name: &str| {
        let utf8 = |(_, value): &(_, OsString)| value.to_str().map(str::to_owned);
        let malformed = || InvalidSettings(format!("{name}: must be UTF-8 text."));
        variable(name).map(|given| utf8(given).ok_or_else(malformed)).transpose()
    };
    let mut takeover = Takeover::default();
    for (name, meaning) in VARIABLES {
        if let Some(value) = text(name)? {
            takeover.add(name.to_owned(), meaning, value, Source::GoVariable)?;
        }
    }
    let is_go_command = flags.iter().any(|(name, _)| !OF_ANY_PROGRAM.contains(name));
    let mut is_plain = is_go_command || VARIABLES.into_iter().any(|(name, _)| variable(name).is_some());
    for (name, value) in flags {
        let meaning = FLAGS.into_iter().find(|(known, _)| known == name).map_or(Nothing(None), |(_, meaning)| meaning);
        is_plain &= *name != TLS_ENABLE;
        if !value.is_empty() {
            takeover.add(format!("--{name}"), meaning, value.clone(), Source::GoFlag)?;
        }
    }
    if is_plain {
        takeover.put("registry.tls", WITHOUT_TLS.to_owned(), "off".to_owned(), Source::Fallback);
    }
    if is_go_command {
        takeover.put("registry.hostname", DEFAULT_REGISTRY.to_owned(), DEFAULT_REGISTRY.to_owned(), Source::Fallback);
    }
    if let Some(url) = text(DATABASE_URL)? {
        takeover.put("db.url", DATABASE_URL.to_owned(), url, Source::Fallback);
    }
    if let Some(port) = text(COMMON_PORT)? {
        let port = format!(":{}", port.trim_start_matches(':'));
        takeover.put("http.bind_addr", COMMON_PORT.to_owned(), port, Source::Fallback);
    }
    takeover.put_database(text)?;
    Ok(takeover)
}

impl Takeover {
    fn put(&mut self, key: &'static str, name: String, value: String, source: Source) {
        self.taken.push(Taken { key, name, value, source });
    }

    fn add(&mut self, name: String, meaning: Meaning, value: String, source: Source) -> Result<(), InvalidSettings> {
        match meaning {
            Means(key) => match in_our_range(key, value) {
                Some(value) => self.put(key, name, value, source),
                None => self.meaningless.push(format!("{name} of zero")),
            },
            Switch(key, on, off) => {
                let is_on = truth(&value).ok_or_else(|| InvalidSettings(format!("{name}: must be true or false.")))?;
                if let Some(value) = if is_on { Some(on) } else { off } {
                    self.put(key, name, value.to_owned(), source);
                }
            }
            DatabasePart => {}
            Nothing(instead) => {
                let instead = instead.map(|instead| format!(" ({instead})")).unwrap_or_default();
                self.meaningless.push(name + &instead);
            }
        }
        Ok(())
    }

    /// The database's URL from its parts. Some of them are a database that was meant: no reason to count in memory.
    fn put_database(
        &mut self,
        text: impl Fn(&str) -> Result<Option<String>, InvalidSettings>,
    ) -> Result<(), InvalidSettings> {
        let [host, port, user, password, name, ssl_mode] = [HOST, PORT, USER, PASSWORD, NAME, SSL_MODE].map(text);
        let (host, port, user, password, name, ssl_mode) = (host?, port?, user?, password?, name?, ssl_mode?);
        // A port alone names none.
        let given = [(HOST, &host), (USER, &user), (PASSWORD, &password), (NAME, &name), (SSL_MODE, &ssl_mode)];
        let Some((first, _)) = given.into_iter().find(|(_, value)| value.is_some()) else { return Ok(()) };
        let (Some(host), Some(user), Some(name)) = (&host, &user, &name) else {
            let missing: Vec<_> =
                [HOST, USER, NAME].into_iter().filter(|needed| given.contains(&(*needed, &None))).collect();
            let missing = missing.join(" and ");
            self.incomplete_database = Some(format!("{first} names a database, which needs {missing} too."));
            return Ok(());
        };
        let password = password.map(|password| format!(":{}", encoded(&password))).unwrap_or_default();
        let port = port.map(|port| format!("&port={}", encoded(&port))).unwrap_or_default();
        let ssl_mode = encoded(ssl_mode.as_deref().unwrap_or("require"));
        let url = format!(
            "postgres://{}{password}@/{}?host={}{port}&sslmode={ssl_mode}",
            encoded(user),
            encoded(name),
            encoded(host.trim_start_matches('[').trim_end_matches(']')),
        );
        self.put("db.url", DATABASE_PARTS.to_owned(), url, Source::GoVariable);
        Ok(())
    }

    /// What a start tells of what is in force; nothing when there is nothing to tell.
    pub(super) fn told(&self, is_in_force: impl Fn(&Taken) -> bool) -> Option<String> {
        let in_force: Vec<_> = self.taken.iter().filter(|taken| is_in_force(taken)).map(|taken| &*taken.name).collect();
        let is_own = |name: &&&str| ![WITHOUT_TLS, DEFAULT_REGISTRY, COMMON_PORT].contains(name);
        let names: Vec<_> = in_force.iter().filter(is_own).copied().collect();
        let mut told = Vec::new();
        if !names.is_empty() {
            told.push(format!("Taken over from the Go staticreg: {}.", names.join(", ")));
        }
        if in_force.contains(&DEFAULT_REGISTRY) {
            told.push(format!("The registry is {DEFAULT_REGISTRY}, for no other is named."));
        }
        if in_force.contains(&WITHOUT_TLS) {
            told.push(format!("{WITHOUT_TLS} the registry is read in plain HTTP."));
        }
        if !self.meaningless.is_empty() {
            told.push(format!("Without meaning here: {}.", self.meaningless.join(", ")));
        }
        (!told.is_empty()).then(|| told.join(" "))
    }
}

/// What its values of a setting mean that ours does not take; none where it then does without.
fn in_our_range(key: &str, value: String) -> Option<String> {
    const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
    let value = match key {
        "registry.refresh_interval" => match Duration::parse(value.trim()) {
            Ok(Duration::ZERO) => return None,
            Ok(interval) if interval < SHORTEST_INTERVAL => "1s".to_owned(),
            _ => value,
        },
        "registry.requests_per_second" | "metrics.batch_size" | "metrics.buffer_size" if value.trim() == "0" => {
            return None;
        }
        _ => value,
    };
    Some(value)
}

/// A truth value as Go's `strconv.ParseBool` reads it.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Percent-encoded, but for what never needs it (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests;
