//! `GET /status`: how the server does, for the person who runs it, and how to have a registry post to it.
//!
//! Who may read this need not be who runs the server: no address and no user agent is shown, and no error of a database.

use std::sync::Arc;

use askama::Template;
use chrono::{DateTime, Utc};
use poem::{Request, Response, handler, http::StatusCode, web::Data};
use staticreg_application::{
    catalog::ReadStatus,
    receive_notification::Receipt,
    recent::{About, Lately, RecentNotification, Verdict},
    recording::RecordError,
};
use staticreg_domain::metrics::AccessKind;

use super::{
    chosen::Chosen,
    layout::{Figure, Layout, Section, balance, next_read, page, refusals},
    parameters::Parameters,
    set_up,
    site::Site,
    text::{self, Moment},
};

/// As much of a digest as is shown: `sha256:` and twelve digits.
const SHORT_DIGEST: usize = 19;

#[derive(Template)]
#[template(path = "status.html")]
struct Status<'a> {
    layout: Layout<'a>,
    posted_at: Option<Moment>,
    started_at: Moment,
    figures: Vec<Figure>,
    facts: Vec<Fact>,
    rows: Vec<Row>,
    configuration: String,
}

/// What is so at one place.
struct Fact {
    name: &'static str,
    text: String,
    /// Whether somebody should do something.
    wrong: bool,
}

impl Fact {
    fn fine(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, text: text.into(), wrong: false }
    }

    fn wrong(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, text: text.into(), wrong: true }
    }
}

/// A notification.
struct Row {
    at: Moment,
    what: String,
    /// What else was in it.
    more: String,
    verdict: &'static str,
    class: &'static str,
    reason: String,
}

#[handler]
pub(super) fn show(Data(site): Data<&Arc<Site>>, request: &Request) -> Response {
    let now = site.now();
    let lately = site.receive.recent().read();
    let mut layout = Layout::new(site, Section::Status, "Status");
    layout.keep(&Chosen::passed_on(&Parameters::from_request(request)));
    let status = Status {
        layout,
        posted_at: lately.posted_at.map(|at| Moment::to_the_second(at, now)),
        started_at: Moment::new(site.started_at, now),
        figures: figures(site, &lately, now),
        facts: facts(site, now),
        rows: lately.notifications.iter().map(|notification| row(notification, now)).collect(),
        configuration: set_up::configuration_for(site, request),
    };
    page(&status, StatusCode::OK)
}

fn figures(site: &Site, lately: &Lately, now: DateTime<Utc>) -> Vec<Figure> {
    let figure = |label, value, note: &str| Figure::new(label, value, note);
    let last = lately.posted_at.map_or_else(|| "none yet".to_owned(), |at| Moment::to_the_second(at, now).ago);
    let balance = site.receive.balance();
    vec![
        figure("Last notification", last, ""),
        figure("Events", text::number(lately.events_in_a_minute), "in the last minute"),
        figure("Counted", text::number(balance.counted), "since the start"),
        figure("Waiting", text::number(balance.waiting), "to be stored"),
    ]
}

fn facts(site: &Site, now: DateTime<Utc>) -> Vec<Fact> {
    let posts = refusals("POST to the webhook", "POSTs to the webhook", &site.access.refused(), now);
    [
        Some(store(site)),
        site.spooling.as_ref().map(|spooling| match spooling.waiting() {
            0 => Fact::fine("Spool", "Nothing waits in it."),
            events => Fact::wrong(
                "Spool",
                format!("{} in it for the store.", text::count(events, "event waits", "events wait")),
            ),
        }),
        Some(clock(site)),
        Some(other_servers(site, now)),
        Some(registry(site, now)),
        posts.map(|posts| Fact::wrong("Senders", posts)),
        balance(&site.receive.balance()).map(|balance| Fact::fine("Balance", balance)),
        Some(Fact::fine("Version", version(site))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn store(site: &Site) -> Fact {
    let product = match site.store {
        "postgresql" => "PostgreSQL",
        "sqlite" => "SQLite",
        other => other,
    };
    if site.receive.trouble().is_failing() {
        let kept = if site.spooling.is_some() { "The spool" } else { "The registry" };
        return Fact::wrong(
            "Store",
            format!("{product} did not take the last events; the log says why. {kept} keeps them."),
        );
    }
    if site.store == "memory" {
        return Fact::fine(
            "Store",
            "Counts are in memory, and gone when the server ends, until STATICREG_DB_URL is set.",
        );
    }
    Fact::fine("Store", format!("{product} takes events."))
}

fn clock(site: &Site) -> Fact {
    match site.receive.clock_skew() {
        None => Fact::fine("Clocks", "No event came from a time that cannot be."),
        Some(skew) => Fact::wrong(
            "Clocks",
            format!(
                "The registry's clock is {} h ahead of this server's: set the one that is wrong.",
                skew.num_hours()
            ),
        ),
    }
}

fn other_servers(site: &Site, now: DateTime<Utc>) -> Fact {
    let name = "Other servers";
    if site.store != "postgresql" {
        return Fact::fine(name, "There are none: they would share a PostgreSQL.");
    }
    Fact::fine(
        name,
        site.receive.others_stored_at().map_or_else(
            || "None stored events in this database since the start, as far as this one had to look.".to_owned(),
            |at| format!("Another one stored events in this database {}.", Moment::to_the_second(at, now).ago),
        ),
    )
}

fn registry(site: &Site, now: DateTime<Utc>) -> Fact {
    let name = "Registry";
    let Some(registry) = &site.registry else {
        return Fact::fine(name, "Pages show counts only, until STATICREG_REGISTRY_HOSTNAME is set.");
    };
    let snapshot = registry.snapshots.snapshot();
    let ReadStatus { read_at, progress, fault } = snapshot.status();
    let so_far = match (read_at, progress) {
        (Some(at), _) => format!("Read {}.", Moment::to_the_second(*at, now).ago),
        (None, Some(progress)) => {
            let read = text::count(progress.read as u64, "repository", "repositories");
            format!("Being read for the first time: {read} so far.")
        }
        (None, None) => "Not read yet.".to_owned(),
    };
    let next = next_read(site, now).map_or_else(String::new, |next| format!(" Read again {next}."));
    match fault {
        None => Fact::fine(name, so_far + &next),
        Some(fault) => Fact::wrong(name, format!("{} {so_far}{next}", fault.text)),
    }
}

fn version(site: &Site) -> String {
    let crate::BuildInfo { version: _, commit, time } = site.build;
    let of = |what: &str, value: &str| if value.is_empty() { String::new() } else { format!(", {what} {value}") };
    format!("{}{}{}", env!("CARGO_PKG_VERSION"), of("commit", commit), of("built", time))
}

fn row(notification: &RecentNotification, now: DateTime<Utc>) -> Row {
    let RecentNotification { at, events, first, verdict } = notification;
    let more = match events.saturating_sub(1) {
        0 => String::new(),
        more => format!("and {}", text::count(more as u64, "more event", "more events")),
    };
    let (verdict, class, reason) = told(verdict);
    let what = first.as_ref().map_or_else(|| "no event".to_owned(), about);
    Row { at: Moment::to_the_second(*at, now), what, more, verdict, class, reason }
}

/// `pull demo/app:v1`.
fn about(about: &About) -> String {
    let About { action, repository, tag, digest } = about;
    let or_odd = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let which = match (tag, digest) {
        (Some(tag), _) => format!(":{tag}"),
        (None, Some(digest)) => format!("@{}", digest.chars().take(SHORT_DIGEST).collect::<String>()),
        (None, None) => String::new(),
    };
    text::visible(&format!("{} {}{which}", or_odd(action), or_odd(repository)))
}

/// A verdict in a word, how it looks, and why.
fn told(verdict: &Verdict) -> (&'static str, &'static str, String) {
    match verdict {
        Verdict::Unreadable(why) => ("not understood", "", (*why).to_owned()),
        Verdict::TurnedAway(RecordError::Busy) => ("503", "", "too many events wait to be stored".to_owned()),
        Verdict::TurnedAway(RecordError::Unavailable) => ("503", "", "not stored in time".to_owned()),
        Verdict::Taken(receipt, added) => {
            let Receipt { total: _, processed, duplicate, spooled, skipped } = receipt;
            let kind = |(kind, times): (&AccessKind, &usize)| match times {
                1 => in_words(kind.as_str()),
                times => format!("{times} × {}", in_words(kind.as_str())),
            };
            let mut reasons: Vec<_> = added.iter().map(kind).collect();
            reasons.extend(skipped.keys().map(|reason| in_words(reason.as_str())));
            let (word, class) = if *spooled > 0 {
                reasons.push("waits for the store".to_owned());
                ("spooled", "")
            } else if *processed > 0 {
                ("counted", "good")
            } else if *duplicate > 0 {
                reasons.push("recorded before".to_owned());
                ("repeated", "plain")
            } else {
                ("skipped", "plain")
            };
            (word, class, reasons.join(", "))
        }
    }
}

/// A name of the API as words.
fn in_words(name: &str) -> String {
    name.replace('_', " ")
}
