//! How a count is written and read: a line of CSV with a head, or of JSON.

use std::{
    fmt,
    io::{self, BufRead, Write},
    mem,
    str::FromStr,
};

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use csv::StringRecord;
use csv_core::ReadRecordResult;
use serde::{Deserialize, Serialize};
use staticreg_domain::{
    Digest, RepositoryName,
    metrics::{AccessKind, MetricsRow, first_of_month},
};
use staticreg_sql::CarriedRow;

/// How counts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Comma-separated values, the first line the names of the columns.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

/// The most that a row can count.
pub(super) const MAX_COUNT: u64 = i32::MAX.unsigned_abs() as u64;

const DAY: &str = "day";
const MONTH: &str = "month";

impl Format {
    /// Their names, the usual one first.
    pub(super) const NAMES: [&str; 2] = ["csv", "jsonl"];

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Csv, Self::JsonLines].into_iter().zip(Self::NAMES).find(|(_, known)| *known == name).map(|(is, _)| is)
    }

    pub(super) fn writer<W: Write>(self, output: W) -> Writer<W> {
        match self {
            Self::Csv => Writer::Csv(Box::new(csv::Writer::from_writer(output))),
            Self::JsonLines => Writer::JsonLines(output),
        }
    }
}

/// A count as it is written. An access that named no tag has an empty one.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    date: String,
    span: String,
    kind: String,
    repository: String,
    tag: String,
    digest: String,
    architecture: String,
    count: u64,
    created_at: String,
    updated_at: String,
}

impl From<&CarriedRow> for Line {
    fn from(CarriedRow { row, of_month }: &CarriedRow) -> Self {
        let MetricsRow { date, repository, tag, digest, architecture, kind, count, created_at, updated_at } = row;
        let [created_at, updated_at] =
            [created_at, updated_at].map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true));
        Self {
            date: date.to_string(),
            span: if *of_month { MONTH } else { DAY }.to_owned(),
            kind: kind.to_string(),
            repository: repository.to_string(),
            tag: tag.as_ref().map(ToString::to_string).unwrap_or_default(),
            digest: digest.to_string(),
            architecture: architecture.to_string(),
            count: *count,
            created_at,
            updated_at,
        }
    }
}

impl TryFrom<Line> for CarriedRow {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        fn part<T: FromStr<Err: fmt::Display>>(name: &str, text: &str) -> Result<T, String> {
            text.parse().map_err(|error| format!("{name}: {error}"))
        }
        /// What both databases can keep.
        fn dated<T: FromStr<Err: fmt::Display> + Datelike>(name: &str, text: &str) -> Result<T, String> {
            let date: T = part(name, text)?;
            if (1..=9999).contains(&date.year()) {
                Ok(date)
            } else {
                Err(format!("{name}: the year is not from 1 to 9999"))
            }
        }
        let date: NaiveDate = dated("date", &line.date)?;
        let of_month = match &*line.span {
            DAY => false,
            MONTH if date == first_of_month(date) => true,
            MONTH => return Err("date: a month's is its first day".to_owned()),
            _ => return Err(format!("span: neither {DAY} nor {MONTH}")),
        };
        if !(1..=MAX_COUNT).contains(&line.count) {
            return Err(format!("count: not from 1 to {MAX_COUNT}"));
        }
        let tag = if line.tag.is_empty() { None } else { Some(part("tag", &line.tag)?) };
        let row = MetricsRow {
            date,
            repository: RepositoryName::as_stored(&line.repository).map_err(|error| format!("repository: {error}"))?,
            tag,
            digest: Digest::as_stored(&line.digest).map_err(|error| format!("digest: {error}"))?,
            architecture: part("architecture", &line.architecture)?,
            kind: AccessKind::named(&line.kind).ok_or("kind: no kind of access")?,
            count: line.count,
            created_at: dated::<DateTime<Utc>>("created_at", &line.created_at)?,
            updated_at: dated::<DateTime<Utc>>("updated_at", &line.updated_at)?,
        };
        Ok(Self { row, of_month })
    }
}

/// Writes counts.
pub(super) enum Writer<W: Write> {
    Csv(Box<csv::Writer<W>>),
    JsonLines(W),
}

impl<W: Write> Writer<W> {
    pub(super) fn write(&mut self, row: &CarriedRow) -> io::Result<()> {
        let line = Line::from(row);
        match self {
            Self::Csv(writer) => writer.serialize(line).map_err(io::Error::from),
            Self::JsonLines(output) => {
                serde_json::to_writer(&mut *output, &line)?;
                output.write_all(b"\n")
            }
        }
    }

    /// The output, when all is written to it.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Csv(writer) => writer.into_inner().map_err(|error| io::Error::other(error.to_string())),
            Self::JsonLines(output) => Ok(output),
        }
    }
}

/// What a head names.
const COLUMNS: [&str; 10] =
    ["date", "span", "kind", "repository", "tag", "digest", "architecture", "count", "created_at", "updated_at"];

/// A line that is no count.
#[derive(Debug, thiserror::Error)]
#[error("line {number}: {why}")]
pub(super) struct Wrong {
    number: u64,
    why: String,
}

/// The counts of a text in either format, told apart by how it begins, each with the number of its line. A count is a line:
/// no name has a break in it.
pub(super) struct Lines<R: BufRead> {
    input: R,
    /// The line that was read last.
    text: String,
    number: u64,
    /// Whether it is still to be given.
    is_waiting: bool,
    columns: Columns,
    /// The names of the columns; none where lines are JSON.
    head: Option<StringRecord>,
    /// Only months before this day may be kept as such.
    months_before: NaiveDate,
}

impl<R: BufRead> Lines<R> {
    /// Reads no more than the beginning.
    pub(super) fn new(input: R, months_before: NaiveDate) -> io::Result<Self> {
        let mut lines = Self {
            input,
            text: String::new(),
            number: 0,
            is_waiting: false,
            columns: Columns::new(),
            head: None,
            months_before,
        };
        if !lines.read_line()? {
            return Ok(lines);
        }
        if lines.text.trim_start().starts_with('{') {
            lines.is_waiting = true;
            return Ok(lines);
        }
        let head = lines.columns.of(lines.text.trim_start_matches('\u{feff}'));
        if !COLUMNS.iter().all(|column| head.iter().any(|found| found == *column)) {
            let wrong = format!("line {} is not the head `{}`", lines.number, COLUMNS.join(","));
            return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
        }
        lines.head = Some(head);
        Ok(lines)
    }

    /// Reads the next line that is not empty, when there is one.
    fn read_line(&mut self) -> io::Result<bool> {
        loop {
            self.text.clear();
            self.number += 1;
            if self.input.read_line(&mut self.text)? == 0 {
                return Ok(false);
            }
            if !self.text.trim().is_empty() {
                return Ok(true);
            }
        }
    }

    /// The count of the line that was read last.
    fn row(&mut self) -> Result<CarriedRow, String> {
        let line: Line = match &self.head {
            Some(head) => {
                let record = self.columns.of(&self.text);
                if record.len() != head.len() {
                    return Err(format!("{} columns, where the head has {}", record.len(), head.len()));
                }
                record.deserialize(Some(head)).map_err(|error| csv_fault(&error))?
            }
            None => serde_json::from_str(&self.text).map_err(|error| json_fault(&error))?,
        };
        let carried = CarriedRow::try_from(line)?;
        if carried.of_month && carried.row.date >= self.months_before {
            return Err(format!("date: a month from {} on is kept by day", self.months_before));
        }
        Ok(carried)
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<(u64, CarriedRow), Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_read = if mem::take(&mut self.is_waiting) { Ok(true) } else { self.read_line() };
        let row = match is_read {
            Ok(true) => self.row(),
            Ok(false) => return None,
            Err(error) => Err(error.to_string()),
        };
        let number = self.number;
        Some(row.map(|row| (number, row)).map_err(|why| Wrong { number, why }))
    }
}

/// What stands in the columns of a line of CSV. The parser is made once: that takes longer than a line.
struct Columns {
    parser: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Columns {
    fn new() -> Self {
        // Its `default` is a parser without tables, which reads nothing.
        Self { parser: csv_core::Reader::new(), text: Vec::new(), ends: Vec::new() }
    }

    /// A quotation that does not end ends with its line.
    fn of(&mut self, line: &str) -> StringRecord {
        self.parser.reset();
        // There is room for all: no column is longer than the line, and a comma is between two.
        self.text.resize(line.len(), 0);
        self.ends.resize(line.len() + 1, 0);
        let (result, _, text, ends) = self.parser.read_record(line.as_bytes(), &mut self.text, &mut self.ends);
        let ends = match result {
            ReadRecordResult::InputEmpty => {
                ends + self.parser.read_record(b"", &mut self.text[text..], &mut self.ends[ends..]).3
            }
            _ => ends,
        };
        let mut begin = 0;
        self.ends[..ends]
            .iter()
            .map(|end| String::from_utf8_lossy(&self.text[mem::replace(&mut begin, *end)..*end]))
            .collect()
    }
}

/// Without the place, which is told already.
fn csv_fault(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => match err.field() {
            Some(field) => format!("column {}: {}", field + 1, err.kind()),
            None => err.kind().to_string(),
        },
        _ => error.to_string(),
    }
}

fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.clone(), |(text, _)| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<CarriedRow> {
        let row = MetricsRow {
            date: "2026-11-20".parse().expect("a date"),
            repository: "library/nginx".parse().expect("a name"),
            tag: "1.27".parse().ok(),
            digest: format!("sha256:{}", "0a".repeat(32)).parse().expect("a digest"),
            architecture: "amd64".parse().expect("never fails"),
            kind: AccessKind::PullByTag,
            count: 7,
            created_at: "2026-11-20T10:00:00.000001Z".parse().expect("a time"),
            updated_at: "2026-11-20T11:00:00Z".parse().expect("a time"),
        };
        let month = MetricsRow {
            date: "2025-01-01".parse().expect("a date"),
            tag: None,
            digest: Digest::unknown(),
            kind: AccessKind::Push,
            count: MAX_COUNT,
            ..row.clone()
        };
        vec![CarriedRow { row, of_month: false }, CarriedRow { row: month, of_month: true }]
    }

    fn lines<R: BufRead>(text: R) -> io::Result<Lines<R>> {
        Lines::new(text, "2026-09-01".parse().expect("a date"))
    }

    fn written(format: Format) -> String {
        let mut writer = format.writer(Vec::new());
        for row in &rows() {
            writer.write(row).expect("writes");
        }
        String::from_utf8(writer.finish().expect("writes")).expect("text")
    }

    #[test]
    fn what_was_written_is_read_again() {
        for name in Format::NAMES {
            let text = written(Format::named(name).expect("a format"));
            let read: Vec<_> = lines(text.as_bytes()).expect("reads").map(|row| row.expect("a row").1).collect();
            assert_eq!(read, rows(), "{text}");
        }
        assert!(lines(&b""[..]).expect("reads").next().is_none(), "nothing is nothing");
    }

    #[test]
    fn a_text_without_head_is_refused() {
        let without_head = written(Format::Csv).split_once('\n').expect("a head").1.to_owned();
        for text in [without_head.as_str(), "hello\n", "wrong,head\n", "[{}]\n", "\0\0\0"] {
            let refused = lines(text.as_bytes()).err().expect(text).to_string();
            assert!(refused.starts_with("line 1 is not the head `date,span,kind,"), "{refused}");
        }
    }

    #[test]
    fn a_wrong_line_is_told_with_its_number_and_why() {
        let csv = written(Format::Csv);
        let json = written(Format::JsonLines);
        for (text, from, to, told) in [
            (&csv, "library/nginx", "library nginx", "line 2: repository: "),
            (&csv, "2025-01-01,month", "2025-01-02,month", "line 3: date: a month's is its first day"),
            (&csv, "2025-01-01,month", "2026-09-01,month", "line 3: date: a month from 2026-09-01 on is kept by day"),
            (&csv, ",7,", ",0,", "line 2: count: not from 1 to 2147483647"),
            (&csv, ",7,", ",many,", "line 2: column 8: "),
            (&csv, "2026-11-20T11", "+10000-11-20T11", "line 2: updated_at: the year is not from 1 to 9999"),
            (&csv, "2026-11-20T10", "0000-11-20T10", "line 2: created_at: the year is not from 1 to 9999"),
            (&csv, "2026-11-20,", "+10000-01-01,", "line 2: date: the year is not from 1 to 9999"),
            (&json, "2026-11-20\"", "0000-01-01\"", "line 1: date: the year is not from 1 to 9999"),
            (&csv, ",push,", ",pushed,", "line 3: kind: no kind of access"),
            (&csv, "2025-01-01", "1,2025-01-01", "line 3: 11 columns, where the head has 10"),
            (&json, "\"count\":7", "\"count\":-7", "line 1: invalid value"),
            (&json, "\"month\"", "\"year\"", "line 2: span: neither day nor month"),
            (&json, "\"kind\":\"push\",", "", "line 2: missing field `kind`"),
        ] {
            let text = text.replacen(from, to, 1);
            let wrong = lines(text.as_bytes()).expect("reads").find_map(Result::err).expect("a wrong line");
            assert!(wrong.to_string().starts_with(told), "{wrong}");
        }
    }

    #[test]
    fn empty_lines_and_those_of_other_systems_are_lines_too() {
        for (format, number_of_last) in [(Format::Csv, 6), (Format::JsonLines, 4)] {
            let text = written(format);
            for text in [text.replace('\n', "\n\n"), format!("\u{feff}{}", text.replace('\n', "\r\n \r\n"))] {
                if format == Format::JsonLines && text.starts_with('\u{feff}') {
                    continue;
                }
                let text = format!("\n{}", text.trim_end());
                let read: Vec<_> = lines(text.as_bytes()).expect("reads").map(|row| row.expect("a row")).collect();
                assert_eq!(read.last().map(|(number, _)| *number), Some(number_of_last), "{text}");
                let broken = text.replace("push", "pushed");
                let wrong = lines(broken.as_bytes()).expect("reads").find_map(Result::err).expect("a wrong line");
                assert!(wrong.to_string().starts_with(&format!("line {number_of_last}: kind")), "{wrong}");
            }
        }
    }

    #[test]
    fn what_is_no_text_is_told_with_its_line() {
        let mut text = written(Format::Csv).into_bytes();
        text.extend_from_slice(b"\xff\xfe\n");
        let wrong = lines(&text[..]).expect("reads").find_map(Result::err).expect("a wrong line");
        assert!(wrong.to_string().starts_with("line 4: "), "{wrong}");
    }
}
