//! Log lines: to standard output, as text or JSON, written off the answering path.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{IsTerminal, stdout},
    os::fd::AsFd,
    panic,
};

use crate::{
    line_writer::{self, Written},
    settings::{InvalidSettings, Log, LogFormat},
};

/// Starts logging, panics too; what was logged is written when the guard is dropped.
pub(crate) fn start(log: &Log) -> Result<Written, InvalidSettings> {
    // Written in large pieces while lines keep coming, and at once when none do; `stdout()` itself would write each
    // line by itself.
    let (writer, written) = stdout()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|output| {
            line_writer::start(File::from(output), |lines| {
                tracing::warn!(lines, "Log lines were dropped, as nobody took them in time.");
            })
        })
        .map_err(|error| InvalidSettings(format!("Log lines cannot be written to standard output: {error}.")))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(log.level.filter())
        .with_target(false)
        .with_ansi(is_colored(stdout().is_terminal(), env::var_os("NO_COLOR").as_deref()))
        .with_writer(writer);
    match log.format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    panic::set_hook(Box::new(|panic| {
        let words = panic.payload_as_str().unwrap_or("no words");
        let place = panic.location().map(tracing::field::display);
        tracing::error!(place, "A panic: {words}");
    }));
    Ok(written)
}

/// Whether lines are coloured: on a terminal, unless its user asks for none (<https://no-color.org>).
fn is_colored(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_whose_user_asks_for_colours_gets_them() {
        let no_color = |value: &'static str| Some(OsStr::new(value));
        assert!(is_colored(true, None));
        assert!(is_colored(true, no_color("")), "empty is not set");
        assert!(!is_colored(true, no_color("1")));
        assert!(!is_colored(true, no_color("0")), "whatever the value");
        assert!(!is_colored(false, None));
        assert!(!is_colored(false, no_color("")));
    }
}
