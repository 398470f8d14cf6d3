//! `GET /badge/NAME.svg` and `GET /badge/NAME.json`: the pulls of a repository, or of one tag.
//!
//! `show` is `total` (the default), `month` or `last`; `label`, `color` and `style` are as shields.io has them. The JSON is
//! its endpoint format.

use std::{borrow::Cow, sync::Arc};

use askama::Template;
use poem::{
    IntoResponse as _, Request, Response, handler,
    http::StatusCode,
    web::{Data, Path},
};
use serde::Serialize;
use staticreg_application::{
    ask_metrics::DEFAULT_DAYS,
    browse::{CountQuestion, SplitBy},
};
use staticreg_domain::metrics::DateRange;

use super::{About, Embedded, KEPT_SECONDS, KEPT_SECONDS_AWAY, SVG, chosen, given, not_found};
use crate::{
    pages::{parameters::Parameters, site::Site, text},
    problem::Problem,
};

/// What every badge begins with, unless it is asked to begin otherwise.
const LABEL: &str = "pulls";

/// The longest label that one may ask for, in characters.
const LABEL_MOST: usize = 64;

/// What a badge may show.
const CHOICES: [&str; 3] = ["total", "month", "last"];

const FORMS: &str = "Badges are /badge/REPOSITORY.svg and /badge/REPOSITORY.json, with ?tag=TAG for one tag.\n";

/// The colours that have a name.
const COLORS: [(&str, &str); 9] = [
    ("blue", "#1f6feb"),
    ("brightgreen", "#44cc11"),
    ("green", "#1a7f37"),
    ("yellowgreen", "#a4a61d"),
    ("yellow", "#dfb317"),
    ("orange", "#fe7d37"),
    ("red", "#b62324"),
    ("lightgrey", "#6b7280"),
    ("grey", "#555555"),
];

/// How a badge looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Flat,
    FlatSquare,
    ForTheBadge,
}

impl Style {
    const NAMES: [&str; 3] = ["flat", "flat-square", "for-the-badge"];

    fn named(name: &str) -> Self {
        match name {
            "flat-square" => Self::FlatSquare,
            "for-the-badge" => Self::ForTheBadge,
            _ => Self::Flat,
        }
    }

    fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// A text as it is drawn.
    fn text(self, text: &str) -> Cow<'_, str> {
        if self == Self::ForTheBadge { Cow::Owned(text.to_uppercase()) } else { Cow::Borrowed(text) }
    }

    /// The width of a text, in pixels: about what Verdana takes, to which the text is then fitted.
    fn width(self, text: &str) -> usize {
        let tenths: usize = text
            .chars()
            .map(|c| match c {
                'i' | 'l' | 'I' | '.' | ',' | ' ' | '/' => 38,
                'm' | 'w' | 'M' | 'W' => 100,
                _ if c.is_ascii() => 70,
                _ => 110,
            })
            .map(|width| if self == Self::ForTheBadge { width + 15 } else { width })
            .sum();
        tenths / 10
    }

    /// The space on each side of a text, in pixels.
    fn space(self) -> usize {
        if self == Self::ForTheBadge { 10 } else { 5 }
    }
}

#[derive(Template)]
#[template(path = "badge.svg", escape = "html")]
struct BadgeSvg<'a> {
    label: Cow<'a, str>,
    message: Cow<'a, str>,
    color: &'a str,
    text_color: &'a str,
    space: usize,
    label_width: usize,
    message_width: usize,
    height: usize,
    radius: usize,
    bold: bool,
}

/// The format of <https://shields.io/badges/endpoint-badge>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BadgeJson<'a> {
    schema_version: u8,
    label: &'a str,
    message: &'a str,
    color: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<&'a str>,
    cache_seconds: u32,
}

/// What is asked for, beside the repository and the tag.
struct Wanted {
    show: &'static str,
    label: Option<String>,
    color: Option<Color>,
    style: Style,
}

impl Wanted {
    fn from_request(request: &Request) -> Result<Self, Problem> {
        let given = given(&["show", "tag", "label", "color", "style"], request)?;
        let label = given.get("label").filter(|label| !label.is_empty());
        if label.is_some_and(|label| label.chars().count() > LABEL_MOST) {
            return Err(Problem::of_parameter("label", format!("at most {LABEL_MOST} characters")));
        }
        Ok(Self {
            show: chosen(&given, "show", &CHOICES)?,
            label: label.map(|label| text::visible(label)),
            color: given.get("color").map(|color| Color::parse(color)).transpose()?,
            style: Style::named(chosen(&given, "style", &Style::NAMES)?),
        })
    }
}

/// A colour, as it was asked for and as the SVG has it.
struct Color {
    name: String,
    hex: String,
}

impl Color {
    fn named(name: &str) -> Self {
        let hex = COLORS.iter().find(|(known, _)| *known == name).map_or("", |(_, hex)| hex);
        Self { name: name.to_owned(), hex: hex.to_owned() }
    }

    /// A name, or three or six hexadecimal digits, with `#` or without.
    fn parse(color: &str) -> Result<Self, Problem> {
        let color = color.to_ascii_lowercase();
        if COLORS.iter().any(|(name, _)| *name == color) {
            return Ok(Self::named(&color));
        }
        let digits = color.strip_prefix('#').unwrap_or(&color);
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let hex = match digits.len() {
            6 if is_hex => digits.to_owned(),
            3 if is_hex => digits.chars().flat_map(|digit| [digit, digit]).collect(),
            _ => {
                let names = COLORS.map(|(name, _)| name).join("`, `");
                return Err(Problem::of_parameter("color", format!("`RRGGBB`, `RGB` or one of `{names}`")));
            }
        };
        Ok(Self { name: hex.clone(), hex: format!("#{hex}") })
    }

    /// Black or white, whatever is read better on it (WCAG 2.2, relative luminance).
    fn text_color(&self) -> &'static str {
        /// Where both contrasts are the same.
        const MIDDLE: f64 = 0.179;
        let linear = |place: usize| {
            let part = self.hex.get(place..place + 2).and_then(|part| u8::from_str_radix(part, 16).ok());
            let part = f64::from(part.unwrap_or_default()) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = 0.2126 * linear(1) + 0.7152 * linear(3) + 0.0722 * linear(5);
        if luminance > MIDDLE { "#000" } else { "#fff" }
    }
}

struct Badge {
    label: String,
    message: String,
    color: Color,
    style: Style,
    kept_seconds: u32,
}

#[handler]
pub(in crate::pages) async fn show(
    Data(site): Data<&Arc<Site>>,
    Path(file): Path<String>,
    request: &Request,
) -> Response {
    let parameters = Parameters::from_request(request);
    let Some((name, extension @ ("svg" | "json"))) = file.rsplit_once('.') else {
        return not_found(FORMS);
    };
    let Some(about) = About::read(name, &parameters) else {
        return not_found(FORMS);
    };
    let (status, badge) = match Wanted::from_request(request) {
        Ok(wanted) => (StatusCode::OK, Badge::read(site, &about, wanted).await),
        Err(problem) if extension == "json" => return problem.into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, Badge::of(&problem)),
    };
    let (content_type, content) =
        if extension == "svg" { (SVG, badge.svg()) } else { ("application/json", badge.json()) };
    let kept_seconds = badge.kept_seconds;
    Embedded { status, content_type, content, kept_seconds, style_source: "'none'" }.answer()
}

impl Badge {
    async fn read(site: &Site, About { name, tag }: &About, wanted: Wanted) -> Self {
        let question = CountQuestion::of_dates(DateRange::days_until(site.browse.ask().today(), DEFAULT_DAYS));
        let shown = site.browse.repository(name, tag.as_ref(), &question, SplitBy::default()).await;
        let label = wanted.label.unwrap_or_else(|| if wanted.show == "last" { "last pull" } else { LABEL }.to_owned());
        let Some(statistics) = shown.value else {
            let (message, color) = ("unknown".to_owned(), Color::named("lightgrey"));
            return Self { label, message, color, style: wanted.style, kept_seconds: KEPT_SECONDS_AWAY };
        };
        let message = match wanted.show {
            "month" => format!("{}/month", text::short(statistics.daily.total())),
            "last" => statistics.last_pulled_at.map_or_else(|| "never".to_owned(), |at| text::date(at.date_naive())),
            _ => text::short(statistics.all),
        };
        let usual = || Color::named(if statistics.all > 0 { "blue" } else { "lightgrey" });
        let color = wanted.color.unwrap_or_else(usual);
        Self { label, message, color, style: wanted.style, kept_seconds: KEPT_SECONDS }
    }

    /// One that tells what is wrong.
    fn of(problem: &Problem) -> Self {
        Self {
            label: LABEL.to_owned(),
            message: text::visible(&problem.detail().replace('`', "")),
            color: Color::named("red"),
            style: Style::Flat,
            kept_seconds: KEPT_SECONDS_AWAY,
        }
    }

    fn svg(&self) -> String {
        let (label, message) = (self.style.text(&self.label), self.style.text(&self.message));
        let space = self.style.space();
        let (height, radius) = match self.style {
            Style::Flat => (20, 4),
            Style::FlatSquare => (20, 0),
            Style::ForTheBadge => (28, 0),
        };
        let template = BadgeSvg {
            label_width: self.style.width(&label) + 2 * space,
            message_width: self.style.width(&message) + 2 * space,
            label,
            message,
            color: &self.color.hex,
            text_color: self.color.text_color(),
            space,
            height,
            radius,
            bold: self.style == Style::ForTheBadge,
        };
        template.render().unwrap_or_default()
    }

    fn json(&self) -> String {
        let badge = BadgeJson {
            schema_version: 1,
            label: &self.label,
            message: &self.message,
            color: &self.color.name,
            style: (self.style != Style::Flat).then(|| self.style.name()),
            cache_seconds: self.kept_seconds,
        };
        serde_json::to_string(&badge).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_a_name_or_hexadecimal() {
        for (given, name, hex, text) in [
            ("green", "green", "#1a7f37", "#fff"),
            ("Yellow", "yellow", "#dfb317", "#000"),
            ("#FF8800", "ff8800", "#ff8800", "#000"),
            ("03f", "0033ff", "#0033ff", "#fff"),
        ] {
            let Ok(color) = Color::parse(given) else { panic!("{given}") };
            assert_eq!((&*color.name, &*color.hex, color.text_color()), (name, hex, text), "{given}");
        }
        for wrong in ["mauve", "ff", "ff88000", "\"/><script>", "#ggg", "€€"] {
            assert!(Color::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_colour_is_told_from_its_text() {
        assert!(COLORS.iter().all(|(name, _)| !Color::named(name).hex.is_empty()));
        assert_eq!(Color::named("lightgrey").text_color(), "#fff");
    }
}
