//! Tells how far long work is: in a terminal in one line that changes, else by a line now and then.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::{Duration, Instant},
};

use crate::say;

/// How often the line in a terminal changes.
const CHANGED_EVERY: Duration = Duration::from_millis(200);

/// How often a line is written elsewhere.
const WRITTEN_EVERY: Duration = Duration::from_secs(10);

/// The time is looked at once in so many rows.
const LOOKED_AT: u64 = 1_000;

/// How many rows are done.
pub(super) struct Progress {
    /// What is done to a row.
    done: &'static str,
    rows: u64,
    /// How many there are, when that is known.
    of: Option<u64>,
    told: Instant,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new(done: &'static str, of: Option<u64>) -> Self {
        Self { done, rows: 0, of, told: Instant::now(), is_terminal: stderr().is_terminal() }
    }

    pub(super) fn one_more(&mut self) {
        self.rows += 1;
        if self.rows.is_multiple_of(LOOKED_AT) {
            let every = if self.is_terminal { CHANGED_EVERY } else { WRITTEN_EVERY };
            if self.told.elapsed() >= every {
                self.told = Instant::now();
                self.tell();
            }
        }
    }

    /// All is done.
    pub(super) fn end(&mut self) {
        self.of = None;
        self.tell();
        if self.is_terminal {
            // There is nobody else to tell.
            let _ = writeln!(stderr());
        }
    }

    fn tell(&self) {
        let words = self.words();
        if self.is_terminal {
            // As above. What is longer than the new line is cleared.
            let _ = write!(stderr(), "\r{words}\x1b[K");
        } else {
            say(&words);
        }
    }

    fn words(&self) -> String {
        let Self { done, rows, of, .. } = self;
        match of.filter(|of| *of > 0) {
            Some(of) => format!("{rows} of {of} rows {done} ({} %)", (rows * 100 / of).min(100)),
            None => format!("{rows} rows {done}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_how_many_of_how_many() {
        let mut progress = Progress { rows: 250, ..Progress::new("exported", Some(1_000)) };
        assert_eq!(progress.words(), "250 of 1000 rows exported (25 %)");
        progress.of = None;
        assert_eq!(progress.words(), "250 rows exported");
    }
}
