//! `staticreg doctor`: looks at everything that must be right for pulls to be counted, changes nothing, and says in a
//! terminal what is not, and what to do.

mod database;
mod registry;
mod server;

use std::fmt::{self, Write as _};

use chrono::TimeDelta;

use crate::{
    Failure, print,
    settings::{Given, Settings},
};

/// Clocks that are further apart than this are told.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(30);

/// What was found at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// It may be meant so.
    Doubtful,
    /// Pulls are not counted, or not shown.
    Wrong,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fine => "ok",
            Self::Doubtful => "look",
            Self::Wrong => "WRONG",
        })
    }
}

/// What was found, in sections.
#[derive(Debug, Default)]
struct Report {
    text: String,
    wrong: usize,
}

impl Report {
    fn section(&mut self, name: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        self.line(format_args!("{gap}{name}"));
    }

    fn fine(&mut self, text: impl fmt::Display) {
        self.found(Verdict::Fine, text);
    }

    fn doubtful(&mut self, text: impl fmt::Display) {
        self.found(Verdict::Doubtful, text);
    }

    fn wrong(&mut self, text: impl fmt::Display) {
        self.found(Verdict::Wrong, text);
    }

    fn found(&mut self, verdict: Verdict, text: impl fmt::Display) {
        self.wrong += usize::from(verdict == Verdict::Wrong);
        self.line(format_args!("  {verdict:5}  {text}"));
    }

    /// Tells how far a clock is ahead of this machine's.
    fn clock(&mut self, whose: &str, ahead: TimeDelta) {
        let seconds = ahead.num_seconds();
        if ahead.abs() <= CLOCK_SKEW {
            self.fine(format_args!("{whose} clock is as this machine's"));
        } else {
            self.doubtful(format_args!("{whose} clock is {seconds} s ahead of this machine's: one of them is wrong"));
        }
    }

    fn line(&mut self, line: impl fmt::Display) {
        // Writing to a String never fails.
        let _ = writeln!(self.text, "{line}");
    }
}

/// Looks, and tells. What is wrong makes the command fail.
pub(crate) async fn run(given: &Given, settings: &Settings) -> Result<(), Failure> {
    let mut report = Report::default();
    report.section("Settings");
    for (name, value) in given.named_values() {
        report.line(format_args!("  {name} = {value}"));
    }
    report.line("  All others are as they are by default.");
    database::look(&mut report, given, &settings.db).await;
    registry::look(&mut report, given, &settings.registry).await;
    server::look(&mut report, settings);
    print(&report.text)?;
    match report.wrong {
        0 => Ok(()),
        1 => Err("one thing is wrong.".into()),
        wrong => Err(format!("{wrong} things are wrong.").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_section_by_section_and_counts_what_is_wrong() {
        let mut report = Report::default();
        report.section("Database");
        report.fine("it answers");
        report.clock("its", TimeDelta::seconds(-31));
        report.section("Server");
        report.wrong("no answer");
        let expected = "\
Database
  ok     it answers
  look   its clock is -31 s ahead of this machine's: one of them is wrong

Server
  WRONG  no answer
";
        assert_eq!((&*report.text, report.wrong), (expected, 1));
    }
}
