//! Cursors: places in a list, in base64. Clients give them back as they are.
//!
//! A cursor is a JSON array: what the list is ordered by, then the parts of the key. One that does not fit the list, its
//! parameters or what any store can hold is refused.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use staticreg_domain::metrics::{Breakdown, Dimension, GroupKey, Order, Position};

/// The cursor of a place.
pub(crate) fn encode(place: &impl Serialize) -> Option<String> {
    serde_json::to_vec(place).ok().map(|json| URL_SAFE_NO_PAD.encode(json))
}

/// The place of a cursor.
pub(crate) fn decode<P: DeserializeOwned>(cursor: &str) -> Option<P> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

/// The cursor that reads on after a row.
pub(super) fn after(position: &Position, breakdown: &Breakdown) -> Option<String> {
    let Position { count, last_at, key } = position;
    let mut parts: Vec<Value> = match breakdown.order {
        Order::Key => Vec::new(),
        Order::MostFirst => vec![(*count).into()],
        Order::LatestFirst => vec![serde_json::to_value((*last_at)?).ok()?],
    };
    for dimension in breakdown.dimensions() {
        parts.push(match (dimension, key.date) {
            (Dimension::Date, date) => serde_json::to_value(date?).ok()?,
            (Dimension::Tag, _) if key.tag.is_none() => Value::Null,
            (_, _) => key.borrowed().text(dimension).into(),
        });
    }
    encode(&parts)
}

/// The place that a cursor of a breakdown names.
pub(super) fn position(cursor: &str, breakdown: &Breakdown) -> Option<Position> {
    let parts: Vec<Value> = decode(cursor)?;
    let mut parts = parts.into_iter();
    let mut position = Position::default();
    match breakdown.order {
        Order::Key => {}
        Order::MostFirst => position.count = count(parts.next()?.as_u64()?)?,
        Order::LatestFirst => position.last_at = Some(part::<DateTime<Utc>>(parts.next()?)?),
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
    use Dimension::{Architecture, Date, Digest, Repository, Tag};
    use staticreg_domain::metrics::{DateRange, Filter, Measures, Page};
    for by in [&[Date][..], &[Date, Architecture], &[Repository], &[Repository, Tag], &[Tag, Architecture], &[Digest]] {
        for order in [Order::Key, Order::MostFirst, Order::LatestFirst] {
            let filter = Filter::of_dates(DateRange::EVER);
            let list = Breakdown { by: by.to_vec(), measures: Measures::LAST, filter, order, page: Page::first(1) };
            let Some(place) = position(cursor, &list) else { continue };
            let written = after(&place, &list).expect("a place has a cursor");
            assert_eq!(position(&written, &list), Some(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::metrics::{DateRange, Filter, Measures, Page};

    use super::*;

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
            (by(&[Tag, Architecture], Order::MostFirst), r#"[7,null,"amd64"]"#.to_owned()),
            (by(&[Digest], Order::LatestFirst), format!(r#"["2026-11-20T10:00:00.500Z","{digest}"]"#)),
        ];
        for (list, json) in &lists {
            let cursor = URL_SAFE_NO_PAD.encode(json);
            let position = position(&cursor, list).expect(json);
            assert_eq!(after(&position, list), Some(cursor.clone()), "{json}");
            for (other, other_json) in lists.iter().filter(|(_, other)| other != json) {
                assert_eq!(super::position(&cursor, other), None, "{json} in place of {other_json}");
            }
        }
    }

    #[test]
    fn what_no_store_can_hold_is_refused() {
        let list = by(&[Dimension::Repository], Order::MostFirst);
        for json in [r#"[-1,"a"]"#, r#"[9223372036854775808,"a"]"#, r#"[1,""]"#, "[1,null]", r#"[1,"a b"]"#, "{}", "7"]
        {
            assert_eq!(position(&URL_SAFE_NO_PAD.encode(json), &list), None, "{json}");
        }
        assert_eq!(position("!", &list), None);
    }
}
