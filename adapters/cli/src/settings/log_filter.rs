//! What is logged.

use tracing_subscriber::EnvFilter;

use super::value::{Hint, Value};

/// The crates that log: the targets that directives may name.
const TARGETS: &[&str] = &[
    "staticreg",
    "staticreg_application",
    "staticreg_domain",
    "staticreg_http",
    "staticreg_journal",
    "staticreg_lenient",
    "staticreg_memory",
    "staticreg_migration",
    "staticreg_registry",
    "staticreg_rollup",
    "staticreg_spool",
    "staticreg_sql",
    "staticreg_telemetry",
    "h2",
    "hyper_util",
    "poem",
    "reqwest",
    "rustls_platform_verifier",
    "sea_orm",
    "sea_orm_migration",
    "sqlx",
    "sqlx_core",
    "sqlx_postgres",
    "sqlx_sqlite",
];

/// The level of what no directive names, when only others are given.
const REST: &str = "info";

/// A level, or directives, which `EnvFilter` understands as they were meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// The filter of log lines. Unless they are named there are only errors of `h2`, which warns of what any client can do,
    /// and warnings of `sea_orm_migration`: what it does, `staticreg_sql` tells.
    pub(crate) fn filter(&self) -> EnvFilter {
        EnvFilter::new(format!("h2=error,sea_orm_migration=warn,{}", self.0))
    }
}

impl Value for LogFilter {
    const NAME: &'static str = "LEVEL";
    const WHAT: &'static str = "off, error, warn, info, debug, trace, or directives";

    /// `EnvFilter` itself takes a word that is no level for a target, and then logs nothing else.
    fn parse(text: &str) -> Result<Self, Hint> {
        let directives = checked(text)?;
        EnvFilter::try_new(&directives).map_err(|_| None)?;
        Ok(Self(directives))
    }
}

fn checked(text: &str) -> Result<String, Hint> {
    if text.contains('[') {
        // Such a directive would match nothing, and turn off all that it does not match.
        return Err(Some("there are no spans to choose by `[...]`".to_owned()));
    }
    let mut directives = Vec::new();
    let mut has_level = false;
    for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        directives.push(match directive.split_once('=') {
            Some((target, word)) => {
                let level = level(word.trim()).ok_or_else(|| Some(format!("`{word}` is no level")))?;
                format!("{}={level}", self::target(target.trim())?)
            }
            None => match level(directive) {
                Some(level) => {
                    has_level = true;
                    level.to_owned()
                }
                None => target(directive)?,
            },
        });
    }
    if directives.is_empty() {
        return Err(None);
    }
    if !has_level {
        directives.insert(0, REST.to_owned());
    }
    Ok(directives.join(","))
}

/// A level by any name that other programs have for it.
fn level(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "off" | "none" | "0" => "off",
        "error" | "err" | "1" => "error",
        "warn" | "warning" | "2" => "warn",
        "info" | "3" => "info",
        "debug" | "4" => "debug",
        "trace" | "5" => "trace",
        _ => return None,
    })
}

/// A target that something logs to: a crate, which Cargo may write with hyphens, or a module of one.
fn target(text: &str) -> Result<String, Hint> {
    let (name, module) = text.split_at(text.find("::").unwrap_or(text.len()));
    let name = name.replace('-', "_");
    if TARGETS.contains(&name.as_str()) {
        return Ok(name + module);
    }
    Err(Some(format!("`{text}` is neither a level nor a crate that logs, such as {}", TARGETS[..8].join(", "))))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, process::Command};

    use super::*;

    #[test]
    fn levels_and_directives_mean_what_people_mean() {
        for (text, directives) in [
            ("info", "info"),
            ("warning", "warn"),
            ("WARNING", "warn"),
            ("Err", "error"),
            ("none", "off"),
            ("3", "info"),
            ("info,staticreg_sql=debug", "info,staticreg_sql=debug"),
            (" info , staticreg-sql=Warning ,", "info,staticreg_sql=warn"),
            ("staticreg_http::webhook=trace", "info,staticreg_http::webhook=trace"),
            ("off,sqlx::query=debug", "off,sqlx::query=debug"),
            ("warn,staticreg_http", "warn,staticreg_http"),
        ] {
            assert_eq!(LogFilter::parse(text), Ok(LogFilter(directives.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_would_silence_all_is_refused() {
        for text in [
            "",
            ",",
            "inof",
            "verbose",
            "info;debug",
            "info debug",
            "staticreg=inof",
            "staticreg=",
            "=debug",
            "much=too=much",
            "info,inof",
            "inof=debug",
            "staticreg_sqll=debug",
            "info,[",
            "info,[span{name=a}]=debug",
            "[x]=info",
            "staticreg[x]",
        ] {
            let hint = LogFilter::parse(text).expect_err(text);
            let tells = hint.is_none_or(|hint| hint.contains('`'));
            assert!(tells, "{text}");
        }
    }

    #[test]
    fn what_clients_do_to_http2_is_no_warning_unless_it_is_asked_for() {
        let h2 = |text: &str| {
            let filter = LogFilter::parse(text).expect(text).filter().to_string();
            filter.split(',').filter(|directive| directive.starts_with("h2")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(h2("debug"), "h2=error");
        assert_eq!(h2("info,h2=trace"), "h2=trace");
    }

    /// What `cargo tree` says of the program, with the names that crates have in Rust.
    fn tree(arguments: &[&str]) -> BTreeSet<String> {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--package", "staticreg"])
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("Cargo can be started");
        let lines = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lines.lines().filter_map(|line| line.split(' ').next()).map(|name| name.replace('-', "_")).collect()
    }

    #[test]
    fn every_crate_that_logs_may_be_named_and_no_other() {
        let mut logging = tree(&["--invert", "tracing", "--depth", "1"]);
        logging.append(&mut tree(&["--invert", "log", "--depth", "1"]));
        // They pass on what others log; sqlx's crates log as `sqlx` too.
        logging.retain(|name| !["tracing", "tracing_log", "tracing_subscriber", "log"].contains(&name.as_str()));
        logging.insert("sqlx".to_owned());
        logging.extend(tree(&[]).into_iter().filter(|name| name.starts_with("staticreg")));
        assert_eq!(TARGETS.iter().copied().map(str::to_owned).collect::<BTreeSet<_>>(), logging);
    }
}
