//! `GET /cleanup`: which tags may go. What the API answers, for people.

use std::{sync::Arc, time::Duration};

use askama::Template;
use chrono::{DateTime, Utc};
use poem::{Request, Response, handler, http::StatusCode, web::Data};
use staticreg_application::{
    aside::aside,
    clean_up::{Cleanup, CleanupItem, CleanupQuestion, Freed, NotYet, SourceHeard, Verdict},
};
use staticreg_domain::metrics::Folder;

use super::{
    addresses::tag_address,
    chosen::Chosen,
    layout::{Figure, Layout, Notice, RENEWED_SOON, Section, page},
    list::Pages,
    parameters::Parameters,
    site::Site,
    table::{NoTable, Table, time, with_head},
    text::{self, Moment},
};
use crate::cleanup::{PATIENCE, Tool, keep_tags, kept_by, listed, notes, reason, words};

/// Tags on a page.
const PER_PAGE: usize = 50;

/// How long a page waits for a list that is being worked out.
const PAGE_PATIENCE: Duration = Duration::from_millis(800);

#[derive(Template)]
#[template(path = "cleanup.html")]
struct CleanupPage<'a> {
    layout: Layout<'a>,
    asked: Asked,
    max_unused_days: u32,
    max_keep_latest: u32,
    /// Whether there is a list.
    known: bool,
    figures: Vec<Figure>,
    about: String,
    sources: Vec<SourceRow>,
    choices: Vec<Choice>,
    rows: Vec<Row>,
    pages: Pages,
    csv: String,
    scripts: Vec<Script>,
}

/// What was asked, as the form shows it.
struct Asked {
    unused_days: u32,
    keep_latest: u32,
    keep_tags: String,
    folder: String,
    kept: bool,
    /// What was chosen on the page before.
    passed_on: Vec<(&'static str, String)>,
}

struct Choice {
    label: String,
    address: String,
    chosen: bool,
}

struct Script {
    tool: &'static str,
    address: String,
}

struct SourceRow {
    name: String,
    images: String,
    heard: Moment,
}

struct Row {
    image: String,
    address: String,
    reason: String,
    freed: String,
    created: Option<Moment>,
    last_pull: Option<Moment>,
    watched_since: String,
}

impl Asked {
    fn from_parameters(parameters: &Parameters) -> Self {
        let within =
            |name: &str, least: u32, usual: u32, most: u32| parameters.parse(name).unwrap_or(usual).clamp(least, most);
        let text = |name: &str| parameters.get(name).unwrap_or_default().to_owned();
        Self {
            unused_days: within("unused_days", 1, CleanupQuestion::UNUSED_DAYS, CleanupQuestion::MAX_UNUSED_DAYS),
            keep_latest: within("keep_latest", 0, CleanupQuestion::KEEP_LATEST, CleanupQuestion::MAX_KEEP_LATEST),
            keep_tags: text("keep_tags"),
            folder: text("folder"),
            kept: parameters.get("show") == Some("kept"),
            passed_on: Chosen::passed_on(parameters),
        }
    }

    /// The question; or why there is none. One with another meaning would tell people to delete what they keep.
    fn question(&self) -> Result<CleanupQuestion, String> {
        let keep_tags = (!self.keep_tags.is_empty()).then(|| keep_tags(&self.keep_tags)).transpose();
        let folder = (!self.folder.is_empty()).then(|| self.folder.parse::<Folder>()).transpose();
        Ok(CleanupQuestion {
            unused_days: self.unused_days,
            keep_latest: self.keep_latest,
            keep_tags: keep_tags.map_err(|error| format!("Tags to keep: {error}."))?,
            folder: folder.map_err(|error| format!("Folder: {error}."))?,
            listed: listed(self.kept),
        })
    }

    /// The address of something that takes the same parameters, and some others.
    fn address(&self, path: &str, others: &[(&str, &str)]) -> String {
        let (days, latest) = (self.unused_days.to_string(), self.keep_latest.to_string());
        let mut all = vec![
            ("unused_days", days.as_str()),
            ("keep_latest", latest.as_str()),
            ("keep_tags", self.keep_tags.as_str()),
            ("folder", self.folder.as_str()),
        ];
        all.extend(others);
        text::address(path, &all)
    }

    /// The address of this page, as above.
    fn page_address(&self, others: &[(&str, &str)]) -> String {
        let passed_on = self.passed_on.iter().map(|(name, value)| (*name, value.as_str()));
        self.address("/cleanup", &others.iter().copied().chain(passed_on).collect::<Vec<_>>())
    }

    fn shown(&self) -> &'static str {
        if self.kept { "kept" } else { "" }
    }
}

#[handler]
pub(super) async fn show(Data(site): Data<&Arc<Site>>, request: &Request) -> Response {
    let parameters = Parameters::from_request(request);
    let asked = Asked::from_parameters(&parameters);
    let now = site.now();
    let mut layout = Layout::new(site, Section::Insights, "Clean up");
    layout.renewed_after = None;
    layout.keep(&asked.passed_on);
    let cleanup = match asked.question() {
        Ok(question) => listed_for(site, question, &mut layout).await,
        Err(reason) => {
            layout.notices.push(Notice::warning(format!("{reason} Nothing is listed.")));
            None
        }
    };
    if let Some(cleanup) = &cleanup {
        layout.notices.extend(notes(cleanup, now).into_iter().map(|note| Notice::warning(note.text)));
    }
    let items = cleanup.as_deref().map(|cleanup| cleanup.items.as_slice()).unwrap_or_default();
    let pages = items.len().div_ceil(PER_PAGE).max(1);
    let number = parameters.parse("page").unwrap_or(1_usize).clamp(1, pages);
    let template = CleanupPage {
        max_unused_days: CleanupQuestion::MAX_UNUSED_DAYS,
        max_keep_latest: CleanupQuestion::MAX_KEEP_LATEST,
        known: cleanup.is_some(),
        figures: cleanup.as_deref().map(figures).unwrap_or_default(),
        about: cleanup.as_deref().map(|cleanup| about(cleanup, now)).unwrap_or_default(),
        sources: cleanup.as_deref().map(|cleanup| sources(cleanup, now)).unwrap_or_default(),
        choices: [("May go", ""), ("Stay", "kept")]
            .map(|(label, show)| Choice {
                label: label.to_owned(),
                address: asked.page_address(&[("show", show)]),
                chosen: asked.shown() == show,
            })
            .into(),
        rows: items.iter().skip((number - 1) * PER_PAGE).take(PER_PAGE).map(|item| row(item, now)).collect(),
        pages: Pages::new(number, pages, |page| {
            let page = if page > 1 { page.to_string() } else { String::new() };
            asked.page_address(&[("show", asked.shown()), ("page", &page)])
        }),
        csv: asked.address("/export/cleanup.csv", &[("show", asked.shown())]),
        scripts: Tool::ALL
            .map(|tool| Script {
                tool: tool.name(),
                address: asked.address("/api/v1/cleanup.sh", &[("tool", tool.name())]),
            })
            .into(),
        asked,
        layout,
    };
    page(&template, StatusCode::OK)
}

async fn listed_for(site: &Site, question: CleanupQuestion, layout: &mut Layout<'_>) -> Option<Arc<Cleanup>> {
    match site.clean_up.list(question, PAGE_PATIENCE).await {
        Ok(cleanup) => return Some(cleanup),
        Err(NotYet::InWork) => {
            layout.renewed_after = Some(RENEWED_SOON);
            layout.notices.push(Notice::hint("The list is being worked out. It shows here in a moment."));
        }
        Err(NotYet::StoreAway) => {
            layout.notices.push(Notice::warning(
                "The store of pull metrics is away: what may go cannot be told now. The log tells why.",
            ));
        }
    }
    None
}

fn figures(cleanup: &Cleanup) -> Vec<Figure> {
    let figure = |label, value, note: &str| Figure::new(label, value, note);
    let note = if cleanup.freed.is_exact { "each layer once" } else { "as far as layers are known" };
    vec![
        figure("May go", text::number(cleanup.candidates as u64), "tags"),
        figure("Stay", text::number(cleanup.kept as u64), "tags"),
        figure("Becomes free", text::size(cleanup.freed.bytes), note),
    ]
}

fn about(cleanup: &Cleanup, now: DateTime<Utc>) -> String {
    let watched = cleanup.watched_since.map(|since| format!("Watched since {}. ", text::date(since)));
    format!(
        "{}Used is what was pulled, pushed or looked up since {}. Counted {}.",
        watched.unwrap_or_default(),
        text::date(cleanup.window.from()),
        Moment::new(cleanup.at, now).ago,
    )
}

fn sources(cleanup: &Cleanup, now: DateTime<Utc>) -> Vec<SourceRow> {
    let source = |heard: &SourceHeard| SourceRow {
        name: heard.source.to_string(),
        images: text::count(heard.images as u64, "reference", "references"),
        heard: Moment::new(heard.heard_at, now),
    };
    cleanup.sources.iter().map(source).collect()
}

fn row(item: &CleanupItem, now: DateTime<Utc>) -> Row {
    let CleanupItem { repository, tag, verdict, created, last_pulled_at, freed: Freed { bytes, is_exact }, .. } = item;
    let about = if *is_exact { "" } else { "≈ " };
    Row {
        image: format!("{repository}:{tag}"),
        address: tag_address(repository, tag),
        reason: match (kept_by(verdict), verdict, last_pulled_at) {
            (Some(by), ..) => format!("{} {by}", words(verdict)),
            (None, Verdict::NotPulledSince, Some(at)) => format!("{} {}", words(verdict), text::date(at.date_naive())),
            (None, ..) => words(verdict).to_owned(),
        },
        freed: format!("{about}{}", text::size(*bytes)),
        created: created.map(|at| Moment::new(at, now)),
        last_pull: last_pulled_at.map(|at| Moment::new(at, now)),
        watched_since: item.watched_since.map_or_else(|| "–".to_owned(), text::date),
    }
}

/// The list as CSV, that of all pages.
pub(super) async fn table(site: &Site, parameters: &Parameters) -> Result<Table, NoTable> {
    let question = Asked::from_parameters(parameters).question().map_err(|_| NoTable::Unknown)?;
    let cleanup = site.clean_up.list(question, PATIENCE).await.map_err(|_| NoTable::StoreAway)?;
    Ok(aside(move || rows(&cleanup)).await)
}

fn rows(cleanup: &Cleanup) -> Table {
    let heard_at = time(cleanup.heard_at());
    let rows = cleanup.items.iter().map(|item| {
        let digest = item.digest.as_ref().map(ToString::to_string);
        vec![
            item.repository.to_string(),
            item.tag.to_string(),
            digest.unwrap_or_default(),
            reason(&item.verdict).to_owned(),
            kept_by(&item.verdict).unwrap_or_default(),
            time(item.created),
            time(item.last_pulled_at),
            item.pulls.to_string(),
            item.freed.bytes.to_string(),
            item.watched_since.map(|since| since.to_string()).unwrap_or_default(),
            heard_at.clone(),
        ]
    });
    let head = [
        "repository",
        "tag",
        "digest",
        "reason",
        "kept_by",
        "created_at",
        "last_pulled_at",
        "pulls",
        "freed_bytes",
        "watched_since",
        "running_heard_at",
    ];
    with_head(&head, rows)
}
