//! How a count compares with that of the period before.

use askama::Template;
use staticreg_application::browse::Compared;

use super::text;

/// A growth or fall, as an arrow with a percentage.
#[derive(Template)]
#[template(
    source = r#"<span class="change {{ class }}" title="{{ before }} before">{% if !sign.is_empty() %}<span aria-hidden="true">{{ sign }} </span>{% endif %}{{ share }}<span class="visually-hidden"> {{ words }} {{ before }} before</span></span>"#,
    ext = "html"
)]
pub(crate) struct Change {
    class: &'static str,
    sign: &'static str,
    /// `12%`, or `new`.
    share: String,
    /// What stands between share and number.
    words: &'static str,
    before: String,
    /// `+1,234`.
    pub(crate) difference: String,
}

impl Change {
    /// None when there is nothing to compare.
    pub(crate) fn new(compared: Compared) -> Option<Self> {
        let Compared { count, before } = compared;
        let before = before?;
        let (class, sign, words) = match count.cmp(&before) {
            std::cmp::Ordering::Greater if before == 0 => ("up", "", "with"),
            std::cmp::Ordering::Greater => ("up", "▲", "more than"),
            std::cmp::Ordering::Less => ("down", "▼", "less than"),
            std::cmp::Ordering::Equal if count == 0 => return None,
            std::cmp::Ordering::Equal => ("same", "", "as"),
        };
        let apart = count.abs_diff(before);
        let difference = match class {
            "up" => format!("+{}", text::number(apart)),
            "down" => format!("−{}", text::number(apart)),
            _ => "0".to_owned(),
        };
        Some(Self { class, sign, share: share(apart, before), words, before: text::number(before), difference })
    }
}

/// In per cent, rounded; what is less than a half stands as that.
fn share(apart: u64, before: u64) -> String {
    if before == 0 {
        return "new".to_owned();
    }
    let percent = (u128::from(apart) * 100 + u128::from(before) / 2) / u128::from(before);
    match u64::try_from(percent).unwrap_or(u64::MAX) {
        0 if apart > 0 => "<1%".to_owned(),
        percent => format!("{}%", text::number(percent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(count: u64, before: u64) -> Option<(&'static str, String, String)> {
        let change = Change::new(Compared { count, before: Some(before) })?;
        Some((change.class, change.share, change.difference))
    }

    #[test]
    fn a_count_is_compared_in_per_cent() {
        for (count, before, class, share, difference) in [
            (112, 100, "up", "12%", "+12"),
            (100, 100, "same", "0%", "0"),
            (1, 3, "down", "67%", "−2"),
            (0, 5, "down", "100%", "−5"),
            (7, 0, "up", "new", "+7"),
            (1_001, 1_000, "up", "<1%", "+1"),
            (30_000, 2, "up", "1,499,900%", "+29,998"),
            (u64::MAX, 1, "up", "18,446,744,073,709,551,615%", "+18,446,744,073,709,551,614"),
        ] {
            let expected = (class, share.to_owned(), difference.to_owned());
            assert_eq!(shown(count, before), Some(expected), "{count} {before}");
        }
    }

    #[test]
    fn nothing_is_said_where_there_is_nothing_to_compare() {
        assert!(shown(0, 0).is_none());
        assert!(Change::new(Compared { count: 5, before: None }).is_none());
    }

    #[test]
    fn the_number_before_is_there_for_who_hears_the_page() {
        let change = Change::new(Compared { count: 1_500, before: Some(1_000) }).expect("a change");
        let html = change.render().expect("HTML");
        assert!(html.contains(r#"title="1,000 before""#), "{html}");
        assert!(html.contains(r#"50%<span class="visually-hidden"> more than 1,000 before</span>"#), "{html}");
    }
}
