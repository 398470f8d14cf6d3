//! Cursors: places in a list, in base64. Clients give them back as they are.
//!
//! A cursor is the mark of its question and a JSON array: what the list is ordered by, then the parts of the key. One of
//! another question, or that no store can hold, is refused.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use staticreg_domain::metrics::{Breakdown, Dimension, GroupKey, OrderedBy, Position};

/// What tells a question from others: all its parameters but which part of the list is asked for. The dates may be counted
/// from today, so it holds them as they are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question([u8; 4]);

impl Question {
    /// That of a path, as JSON or CSV, and its query parameters.
    pub(crate) fn new(path: &str, mut parameters: Vec<(String, String)>) -> Self {
        parameters.retain(|(name, _)| !matches!(name.as_str(), "limit" | "cursor"));
        parameters.sort_unstable();
        let mut hash = Sha256::new_with_prefix(path.strip_suffix(".csv").unwrap_or(path));
        for text in parameters.iter().flat_map(|(name, value)| [name, value]) {
            // No parameter holds this byte, which no UTF-8 has.
            hash.update([0xff]);
            hash.update(text);
        }
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        Self([a, b, c, d])
    }
}

/// The cursor of a place in the answer to a question.
pub(crate) fn encode(question: Question, place: &impl Serialize) -> Option<String> {
    let json = serde_json::to_vec(place).ok()?;
    Some(URL_SAFE_NO_PAD.encode([&question.0[..], &json].concat()))
}

/// The place of a cursor of a question.
pub(crate) fn decode<P: DeserializeOwned>(question: Question, cursor: &str) -> Option<P> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    serde_json::from_slice(bytes.strip_prefix(&question.0)?).ok()
}

/// The cursor that reads on after a row.
pub(super) fn after(question: Question, position: &Position, breakdown: &Breakdown) -> Option<String> {
    let Position { count, previous, last_at, key } = position;
    let mut parts: Vec<Value> = match breakdown.order.by() {
        OrderedBy::Key => Vec::new(),
        OrderedBy::Count => vec![(*count).into()],
        OrderedBy::Last => vec![serde_json::to_value((*last_at)?).ok()?],
        OrderedBy::Growth => vec![(*count).into(), (*previous).into()],
    };
    for dimension in breakdown.dimensions() {
        parts.push(match (dimension, key.date) {
            (Dimension::Date, date) => serde_json::to_value(date?).ok()?,
            (Dimension::Tag, _) if key.tag.is_none() => Value::Null,
            (_, _) => key.borrowed().text(dimension).into(),
        });
    }
    encode(question, &parts)
}

/// The place that a cursor of a breakdown names.
pub(super) fn position(question: Question, cursor: &str, breakdown: &Breakdown) -> Option<Position> {
    let parts: Vec<Value> = decode(question, cursor)?;
    let mut parts = parts.into_iter();
    let mut position = Position::default();
    match breakdown.order.by() {
        OrderedBy::Key => {}
        OrderedBy::Count => position.count = count(parts.next()?.as_u64()?)?,
        OrderedBy::Last => position.last_at = Some(part::<DateTime<Utc>>(parts.next()?)?),
        OrderedBy::Growth => {
            position.count = count(parts.next()?.as_u64()?)?;
            position.previous = count(parts.next()?.as_u64()?)?;
        }
    }
    for dimension in breakdown.dimensions() {
        set(&mut position.key, dimension, parts.next()?)?;
    }
    parts.next().is_none().then_some(position)
}

fn set(key: &mut GroupKey, dimension: Dimension, value: Value) -> Option<()> {
    match (dimension, value) {
        (Dimension::Date, value) => key.date = Some(part::<NaiveDate>(value)?),
        (Dimension::Tag, Value::Null) => {}
        (_, Value::String(text)) if !text.is_empty() => key.set(dimension, &text).ok()?,
        _ => return None,
    }
    Some(())
}

fn part<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

/// A count that a store can hold.
fn count(count: u64) -> Option<u64> {
    i64::try_from(count).is_ok().then_some(count)
}

/// A cursor that a list takes is the one that its place has, but for how it is written.
#[cfg(fuzzing)]
pub(crate) fn examine(cursor: &str) {
    use Dimension::{Architecture, Date, Digest, Folder, Repository, Tag};
    use staticreg_domain::metrics::{DateRange, Filter, Measures, Order, Page};
    let question = Question::default();
    for by in [
        &[Date][..],
        &[Date, Architecture],
        &[Repository],
        &[Repository, Tag],
        &[Tag, Architecture],
        &[Digest],
        &[Folder],
    ] {
        for order in [Order::Key, Order::MostFirst, Order::LatestFirst, Order::MostGrownFirst] {
            let filter = Filter::of_dates(DateRange::EVER);
            let list = Breakdown { by: by.to_vec(), measures: Measures::LAST, filter, order, page: Page::first(1) };
            let Some(place) = position(question, cursor, &list) else { continue };
            let written = after(question, &place, &list).expect("a place has a cursor");
            assert_eq!(position(question, &written, &list), Some(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::metrics::{DateRange, Filter, Measures, Order, Page};

    use super::*;

    const QUESTION: Question = Question(*b"mark");

    fn cursor(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("mark{json}"))
    }

    #[test]
    fn a_cursor_is_of_one_question() {
        let question = |path: &str, parameters: &[(&str, &str)]| {
            Question::new(
                path,
                parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            )
        };
        let [a, b] = [("tag", "a"), ("tag", "b")];
        let one = question("/api/v1/images", &[a, b]);
        assert_eq!(question("/api/v1/images.csv", &[b, ("limit", "2"), a, ("cursor", "x")]), one);
        for other in [
            question("/api/v1/images", &[a]),
            question("/api/v1/images", &[a, b, ("days", "30")]),
            question("/api/v1/images", &[("taga", ""), b]),
            question("/api/v1/folders", &[a, b]),
        ] {
            assert_ne!(other, one);
            let cursor = encode(one, &[1]).expect("a cursor");
            assert_eq!((decode(one, &cursor), decode::<[u32; 1]>(other, &cursor)), (Some([1]), None));
        }
    }

    fn by(by: &[Dimension], order: Order) -> Breakdown {
        let filter = Filter::of_dates(DateRange::EVER);
        Breakdown { by: by.to_vec(), measures: Measures::LAST, filter, order, page: Page::first(1) }
    }

    #[test]
    fn a_cursor_names_its_place_and_no_list_takes_parts_it_has_not() {
        use Dimension::{Architecture, Date, Digest, Repository, Tag};
        let digest = format!("sha256:{}", "0a".repeat(32));
        let lists = [
            (by(&[Date], Order::Key), r#"["2026-11-20"]"#.to_owned()),
            (by(&[Date, Architecture], Order::Key), r#"["2026-11-20","amd64"]"#.to_owned()),
            (by(&[Repository], Order::MostFirst), r#"[7,"a/b"]"#.to_owned()),
            (by(&[Repository, Tag], Order::MostFirst), r#"[7,"a/b",null]"#.to_owned()),
            (by(&[Repository], Order::MostGrownFirst), r#"[7,3,"a/b"]"#.to_owned()),
            (by(&[Tag, Architecture], Order::MostFirst), r#"[7,null,"amd64"]"#.to_owned()),
            (by(&[Digest], Order::LatestFirst), format!(r#"["2026-11-20T10:00:00.500Z","{digest}"]"#)),
        ];
        for (list, json) in &lists {
            let cursor = cursor(json);
            let position = position(QUESTION, &cursor, list).expect(json);
            assert_eq!(after(QUESTION, &position, list), Some(cursor.clone()), "{json}");
            for (other, other_json) in lists.iter().filter(|(_, other)| other != json) {
                assert_eq!(super::position(QUESTION, &cursor, other), None, "{json} in place of {other_json}");
            }
        }
    }

    #[test]
    fn what_no_store_can_hold_is_refused() {
        let list = by(&[Dimension::Repository], Order::MostFirst);
        for json in [r#"[-1,"a"]"#, r#"[9223372036854775808,"a"]"#, r#"[1,""]"#, "[1,null]", r#"[1,"a b"]"#, "{}", "7"]
        {
            assert_eq!(position(QUESTION, &cursor(json), &list), None, "{json}");
        }
        assert_eq!(position(QUESTION, "!", &list), None);
    }
}
