//! Tells how far long work is: in a terminal by a bar, else by a line now and then.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::{Duration, Instant},
};

use staticreg_sql::{OnUpgrade, UpgradeProgress};

use crate::say;

/// How often a bar changes.
const CHANGED_EVERY: Duration = Duration::from_millis(200);

/// How often a line is written elsewhere.
const WRITTEN_EVERY: Duration = Duration::from_secs(10);

/// The time is looked at once in so many rows.
const LOOKED_AT: u64 = 1_000;

/// How many rows are done.
pub(crate) struct Progress {
    /// What is done to a row.
    done: &'static str,
    rows: u64,
    /// How many there are, when that is known.
    of: Option<u64>,
    told: Instant,
    is_terminal: bool,
}

impl Progress {
    pub(crate) fn new(done: &'static str, of: Option<u64>) -> Self {
        Self { done, rows: 0, of, told: Instant::now(), is_terminal: stderr().is_terminal() }
    }

    pub(crate) fn one_more(&mut self) {
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
    pub(crate) fn end(&mut self) {
        self.of = None;
        self.tell();
        if self.is_terminal {
            // There is nobody else to tell.
            let _ = writeln!(stderr());
        }
    }

    fn tell(&self) {
        match (self.is_terminal, self.percent()) {
            (true, percent) => draw(percent, &self.words()),
            (false, Some(percent)) => say(&format!("{} ({percent} %)", self.words())),
            (false, None) => say(&self.words()),
        }
    }

    fn words(&self) -> String {
        let Self { done, rows, of, .. } = self;
        match of {
            Some(of) => format!("{rows} of {of} rows {done}"),
            None => format!("{rows} rows {done}"),
        }
    }

    /// How much is done; none when that cannot be told.
    fn percent(&self) -> Option<u64> {
        Some((self.rows * 100).checked_div(self.of?)?.min(100))
    }
}

/// Tells in a terminal how far a change of the schema is; elsewhere the log does.
pub(crate) fn of_upgrade() -> Option<OnUpgrade> {
    let draw_or_clear: OnUpgrade = |progress| match progress {
        Some(UpgradeProgress { words, percent }) => draw(percent.map(u64::from), words),
        None => draw(None, ""),
    };
    stderr().is_terminal().then_some(draw_or_clear)
}

/// Draws a line in the place of the one before.
fn draw(percent: Option<u64>, words: &str) {
    // Without wrapping: a line that became two could not be drawn over. There is nobody to tell that it failed.
    let _ = write!(stderr(), "\r\x1b[K\x1b[?7l{}\x1b[?7h", line(percent, words));
}

fn line(percent: Option<u64>, words: &str) -> String {
    match percent {
        Some(percent) => {
            let filled = usize::try_from(percent / 5).unwrap_or_default();
            format!("[{:<20}] {percent:>3} %  {words}", "#".repeat(filled.min(20)))
        }
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_how_many_of_how_many() {
        let mut progress = Progress { rows: 250, ..Progress::new("exported", Some(1_000)) };
        assert_eq!((progress.words().as_str(), progress.percent()), ("250 of 1000 rows exported", Some(25)));
        progress.of = None;
        assert_eq!((progress.words().as_str(), progress.percent()), ("250 rows exported", None));
    }

    #[test]
    fn more_rows_than_were_counted_are_no_more_than_all() {
        let progress = |of| Progress { rows: 7, ..Progress::new("exported", Some(of)) }.percent();
        assert_eq!((progress(5), progress(0)), (Some(100), None));
    }

    #[test]
    fn a_bar_is_as_long_as_what_is_done() {
        assert_eq!(line(Some(0), "a"), "[                    ]   0 %  a");
        assert_eq!(line(Some(25), "a"), "[#####               ]  25 %  a");
        assert_eq!(line(Some(100), "a"), "[####################] 100 %  a");
        assert_eq!(line(None, "a"), "a");
    }
}
