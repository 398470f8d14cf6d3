//! Log lines: to standard output, as text or JSON, written off the answering path.

use std::{
    fs::File,
    io::{BufWriter, IsTerminal, stdout},
    os::fd::AsFd,
};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::settings::{InvalidSettings, Log, LogFormat};

/// Lines that may wait to be written; past that a request waits rather than a line is lost.
const BUFFERED_LINES: usize = 8_192;

/// Starts logging; what was logged is written when the guard is dropped.
pub(crate) fn start(log: &Log) -> Result<WorkerGuard, InvalidSettings> {
    let filter = EnvFilter::try_new(&log.level).map_err(|_| {
        InvalidSettings(format!("STATICREG_LOG_LEVEL: `{}` is no level such as info or debug.", log.level))
    })?;
    // Written in large pieces while lines keep coming, and at once when none do; `stdout()` itself would write each
    // line by itself.
    let output = stdout()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| InvalidSettings(format!("Log lines cannot be written to standard output: {error}.")))?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(BUFFERED_LINES)
        .finish(BufWriter::new(File::from(output)));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(stdout().is_terminal())
        .with_writer(writer);
    match log.format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(guard)
}
