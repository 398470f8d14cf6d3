//! `GET /chart/NAME.svg`: the pulls of a repository, or of one tag, over time.
//!
//! `days` is how many (30 without it), `theme` is `auto` (the default: as whoever looks has it), `light` or `dark`.

use std::sync::Arc;

use askama::Template as _;
use poem::{
    Request, Response, handler,
    http::StatusCode,
    web::{Data, Path},
};
use staticreg_application::browse::{CountQuestion, SplitBy};

use super::{About, Embedded, KEPT_SECONDS, KEPT_SECONDS_AWAY, SVG, chosen, given, not_found};
use crate::{
    pages::{
        addresses::{repository_address, repository_address_with},
        chart::{Chart, ChartFile, ChartInput, Theme},
        chosen::{Chosen, MAX_DAYS},
        layout::origin,
        parameters::Parameters,
        site::Site,
        text,
    },
    problem::Problem,
};

const FORMS: &str = "Charts are /chart/REPOSITORY.svg, with ?tag=TAG for one tag.\n";

/// The most characters of a name that the title has room for, and the most of a note.
const TITLE_MOST: usize = 64;
const NOTE_MOST: usize = 96;

/// The colours asked for. The days are read where all pages read theirs, but a picture that shows others than were asked for
/// would mislead.
fn theme(request: &Request) -> Result<Theme, Problem> {
    let given = given(&["days", "tag", "theme"], request)?;
    if given.get("days").is_some_and(|days| !matches!(days.parse(), Ok(1..=MAX_DAYS))) {
        return Err(Problem::of_parameter("days", format!("a number from 1 to {MAX_DAYS}")));
    }
    Ok(match chosen(&given, "theme", &["auto", "light", "dark"])? {
        "light" => Theme::Light,
        "dark" => Theme::Dark,
        _ => Theme::Auto,
    })
}

#[handler]
pub(in crate::pages) async fn show(
    Data(site): Data<&Arc<Site>>,
    Path(file): Path<String>,
    request: &Request,
) -> Response {
    let parameters = Parameters::from_request(request);
    let Some(about) = file.strip_suffix(".svg").and_then(|name| About::read(name, &parameters)) else {
        return not_found(FORMS);
    };
    let theme = match theme(request) {
        Ok(theme) => theme,
        Err(problem) => {
            let note = text::visible(&problem.detail().replace('`', ""));
            let link = origin(request) + &repository_address(about.name.as_str());
            return answer(StatusCode::BAD_REQUEST, &about, &note, link, Theme::Auto, None);
        }
    };
    let chosen = Chosen::from_parameters(&parameters, &site.browse).await;
    let link = origin(request) + &repository_address_with(&about.name, about.tag.as_ref(), None, &chosen);
    let question = CountQuestion::of_dates(chosen.dates());
    let shown = site.browse.repository(&about.name, about.tag.as_ref(), &question, SplitBy::default()).await;
    let Some(statistics) = shown.value.as_deref() else {
        return answer(StatusCode::OK, &about, "The pulls are not known now.", link, theme, None);
    };
    let daily = &statistics.daily;
    let dates = format!("{} to {}", text::date(daily.range.from()), text::date(daily.range.to()));
    let note = format!("{}, {dates}", text::count(daily.total(), "pull", "pulls"));
    let chart = Chart::stacked(ChartInput {
        id: "pulls",
        title: String::new(),
        daily,
        before: None,
        interval: None,
        today: site.now().date_naive(),
        csv: String::new(),
    });
    answer(StatusCode::OK, &about, &note, link, theme, Some(chart))
}

fn answer(
    status: StatusCode,
    About { name, tag }: &About,
    note: &str,
    link: String,
    theme: Theme,
    chart: Option<Chart>,
) -> Response {
    let kept_seconds = if chart.is_some() { KEPT_SECONDS } else { KEPT_SECONDS_AWAY };
    let image = tag.as_ref().map_or_else(|| name.to_string(), |tag| format!("{name}:{tag}"));
    let title = text::shortened(&image, TITLE_MOST);
    let file = ChartFile { chart, title, note: text::shortened(note, NOTE_MOST), link, theme };
    let (content, style_source) = (file.render().unwrap_or_default(), file.style_source());
    Embedded { status, content_type: SVG, content, kept_seconds, style_source: &style_source }.answer()
}
