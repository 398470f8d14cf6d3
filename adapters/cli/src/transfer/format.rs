//! How a count is written and read: a line of CSV with a head, or of JSON.

use std::{
    fmt,
    io::{self, BufRead, Lines as TextLines, Write},
    str::FromStr,
};

use chrono::{DateTime, Datelike as _, NaiveDate, SecondsFormat, Utc};
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
const MAX_COUNT: u64 = i32::MAX.unsigned_abs() as u64;

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
        let date: NaiveDate = part("date", &line.date)?;
        if !(0..=9999).contains(&date.year()) {
            return Err("date: the year is not within 0 to 9999".to_owned());
        }
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
            created_at: part::<DateTime<Utc>>("created_at", &line.created_at)?,
            updated_at: part::<DateTime<Utc>>("updated_at", &line.updated_at)?,
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

/// The counts of a text in either format, told apart by how it begins.
pub(super) struct Lines<R: BufRead> {
    text: Text<R>,
    /// Only months before this day may be kept as such.
    months_before: NaiveDate,
}

enum Text<R: BufRead> {
    Csv(csv::DeserializeRecordsIntoIter<R, Line>),
    JsonLines(TextLines<R>, u64),
}

impl<R: BufRead> Lines<R> {
    /// Reads no more than the beginning.
    pub(super) fn new(mut input: R, months_before: NaiveDate) -> io::Result<Self> {
        let is_json = input.fill_buf()?.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if is_json {
            return Ok(Self { text: Text::JsonLines(input.lines(), 0), months_before });
        }
        let mut reader = csv::Reader::from_reader(input);
        let head = reader.headers()?;
        if !head.is_empty() && !COLUMNS.iter().all(|column| head.iter().any(|found| found == *column)) {
            let expected = COLUMNS.join(",");
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("line 1 is not the head `{expected}`")));
        }
        Ok(Self { text: Text::Csv(reader.into_deserialize()), months_before })
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<CarriedRow, Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, number) = match &mut self.text {
            Text::Csv(records) => {
                let number = records.reader().position().line();
                (records.next()?.map_err(|error| csv_fault(&error)), number)
            }
            Text::JsonLines(lines, number) => {
                let text = loop {
                    *number += 1;
                    match lines.next()? {
                        Ok(text) if text.trim().is_empty() => {}
                        text => break text,
                    }
                };
                let line = text.map_err(|error| error.to_string());
                (line.and_then(|text| serde_json::from_str(&text).map_err(|error| json_fault(&error))), *number)
            }
        };
        let row = line.and_then(|line: Line| CarriedRow::try_from(line)).and_then(|carried| {
            if carried.of_month && carried.row.date >= self.months_before {
                return Err(format!("date: a month from {} on is kept by day", self.months_before));
            }
            Ok(carried)
        });
        Some(row.map_err(|why| Wrong { number, why }))
    }
}

/// Without the place, which is told already.
fn csv_fault(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => match err.field() {
            Some(field) => format!("column {}: {}", field + 1, err.kind()),
            None => err.kind().to_string(),
        },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} columns, where the first line has {expected_len}")
        }
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
            let read: Vec<_> = lines(text.as_bytes()).expect("reads").map(|row| row.expect("a row")).collect();
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
            (&csv, ",push,", ",pushed,", "line 3: kind: no kind of access"),
            (&csv, "2025-01-01", "1,2025-01-01", "line 3: 11 columns, where the first line has 10"),
            (&json, "\"count\":7", "\"count\":-7", "line 1: invalid value"),
            (&json, "\"month\"", "\"year\"", "line 2: span: neither day nor month"),
            (&json, "\"kind\":\"push\",", "", "line 2: missing field `kind`"),
        ] {
            let text = text.replacen(from, to, 1);
            let wrong = lines(text.as_bytes()).expect("reads").find_map(Result::err).expect("a wrong line");
            assert!(wrong.to_string().starts_with(told), "{wrong}");
        }
    }
}
