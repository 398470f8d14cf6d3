//! `GET /badge/NAME.svg` and `GET /badge/NAME.json`: the pulls of a repository, or of one tag, for its README.
//!
//! `show` is `total` (the default), `month` or `last`. The JSON is shields.io's endpoint format. What is asked for wrongly is
//! told in the badge: who looks at a README sees nothing else of an answer.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use poem::{
    IntoResponse as _, Request, Response, handler,
    http::{StatusCode, header},
    web::{Data, Path},
};
use serde::Serialize;
use staticreg_application::{
    ask_metrics::DEFAULT_DAYS,
    browse::{CountQuestion, SplitBy},
};
use staticreg_domain::{RepositoryName, Tag, metrics::DateRange};

use super::{parameters::Parameters, site::Site, text};
use crate::{
    api::known_parameters::{Known, check},
    problem::Problem,
};

/// How long others may keep a badge, in seconds.
const KEPT_SECONDS: u32 = 300;

/// A badge of what could not be asked is tried again soon.
const KEPT_SECONDS_AWAY: u32 = 30;

/// The name of every badge.
const LABEL: &str = "pulls";

/// What a badge may show.
const CHOICES: [&str; 3] = ["total", "month", "last"];

const BLUE: (&str, &str) = ("blue", "#1f6feb");
const GREY: (&str, &str) = ("lightgrey", "#6b7280");
const RED: (&str, &str) = ("red", "#b62324");

#[derive(Template)]
#[template(path = "badge.svg", escape = "html")]
struct BadgeSvg<'a> {
    label: &'a str,
    message: &'a str,
    color: &'a str,
    label_width: usize,
    message_width: usize,
}

/// The format of <https://shields.io/badges/endpoint-badge>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BadgeJson<'a> {
    schema_version: u8,
    label: &'a str,
    message: &'a str,
    color: &'a str,
    cache_seconds: u32,
}

struct Badge {
    label: &'static str,
    message: String,
    /// By name, and as the SVG has it.
    color: (&'static str, &'static str),
    kept_seconds: u32,
}

#[handler]
pub(super) async fn show(Data(site): Data<&Arc<Site>>, Path(file): Path<String>, request: &Request) -> Response {
    let parameters = Parameters::from_request(request);
    let Some((name, extension)) = file.rsplit_once('.') else {
        return not_found();
    };
    let (Ok(name), Ok(tag)) = (name.parse(), parameters.get("tag").map(str::parse).transpose()) else {
        return not_found();
    };
    let (status, badge) = match look_at(&parameters, request) {
        Ok(kind) => (StatusCode::OK, read(site, &name, tag.as_ref(), kind).await),
        Err(problem) if extension == "json" => return problem.into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, Badge::of(&problem)),
    };
    let (content_type, content) = match extension {
        "svg" => ("image/svg+xml", badge.svg()),
        "json" => ("application/json", badge.json()),
        _ => return not_found(),
    };
    Response::builder()
        .status(status)
        .content_type(content_type)
        .header(header::CACHE_CONTROL, format!("public, max-age={}", badge.kept_seconds))
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
        .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'")
        .body(content)
}

/// What the badge is to show.
fn look_at<'a>(parameters: &'a Parameters, request: &Request) -> Result<&'a str, Problem> {
    let known = ["show", "tag"].map(|name| (name.to_owned(), Known::default()));
    check(&BTreeMap::from(known), &request.params::<Vec<_>>().unwrap_or_default())?;
    let kind = parameters.get("show").unwrap_or(CHOICES[0]);
    if CHOICES.contains(&kind) {
        return Ok(kind);
    }
    Err(Problem::of_parameter("show", format!("one of `{}`", CHOICES.join("`, `"))))
}

fn not_found() -> Response {
    Response::builder()
        .status(StatusCode::NOT_FOUND)
        .content_type("text/plain; charset=utf-8")
        .body("Badges are /badge/REPOSITORY.svg and /badge/REPOSITORY.json, with ?tag=TAG for one tag.\n")
}

async fn read(site: &Site, name: &RepositoryName, tag: Option<&Tag>, kind: &str) -> Badge {
    let question = CountQuestion::of_dates(DateRange::days_until(site.browse.ask().today(), DEFAULT_DAYS));
    let shown = site.browse.repository(name, tag, &question, SplitBy::default()).await;
    let Some(statistics) = shown.value else {
        return Badge { label: LABEL, message: "unknown".to_owned(), color: GREY, kept_seconds: KEPT_SECONDS_AWAY };
    };
    let color = if statistics.all > 0 { BLUE } else { GREY };
    let (label, message) = match kind {
        "month" => (LABEL, format!("{}/month", text::short(statistics.daily.total()))),
        "last" => {
            let last = statistics.last_pulled_at.map_or_else(|| "never".to_owned(), |at| text::date(at.date_naive()));
            ("last pull", last)
        }
        _ => (LABEL, text::short(statistics.all)),
    };
    Badge { label, message, color, kept_seconds: KEPT_SECONDS }
}

impl Badge {
    /// One that tells what is wrong.
    fn of(problem: &Problem) -> Self {
        let message = text::visible(&problem.detail().replace('`', ""));
        Self { label: LABEL, message, color: RED, kept_seconds: KEPT_SECONDS_AWAY }
    }

    fn svg(&self) -> String {
        let template = BadgeSvg {
            label: self.label,
            message: &self.message,
            color: self.color.1,
            label_width: width(self.label),
            message_width: width(&self.message),
        };
        template.render().unwrap_or_default()
    }

    fn json(&self) -> String {
        let badge = BadgeJson {
            schema_version: 1,
            label: self.label,
            message: &self.message,
            color: self.color.0,
            cache_seconds: self.kept_seconds,
        };
        serde_json::to_string(&badge).unwrap_or_default()
    }
}

/// The width of a text with some space, in pixels: about what Verdana takes, to which the text is then fitted.
fn width(text: &str) -> usize {
    const SPACE: usize = 10;
    let tenths: usize = text
        .chars()
        .map(|c| match c {
            'i' | 'l' | '.' | ',' | ' ' | '/' => 38,
            'm' | 'w' | 'M' | 'W' => 100,
            _ => 70,
        })
        .sum();
    tenths / 10 + SPACE
}
