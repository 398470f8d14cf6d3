//! What all pages have in common: the frame, the notices, the figures, the headers.

use std::{fmt::Display, sync::Arc, time::Duration};

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use poem::{
    Endpoint, IntoResponse, Request, Response,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, uri::Scheme},
};
use staticreg_application::{
    browse::{Compared, Shown},
    catalog::CatalogSnapshot,
    recording::Balance,
};

use super::{
    assets::{Assets, hex},
    change::Change,
    chosen::Chosen,
    site::Site,
    text::{self, Moment},
};
use crate::{
    access::{Access, Refused},
    problem::Problem,
};

/// How long pages tell that something was refused.
const REFUSALS_SHOWN: Duration = Duration::from_hours(1);

/// What a page may do: no script and style but ours, no other host.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The sections of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Repositories,
    Insights,
    Status,
    Api,
    /// Error pages.
    None,
}

/// The frame of a page.
pub(crate) struct Layout<'a> {
    pub(crate) title: String,
    pub(crate) section: Section,
    pub(crate) assets: &'a Assets,
    pub(crate) version: &'static str,
    pub(crate) notices: Vec<Notice>,
    /// The parameters that links to other sections keep, with a question mark before.
    pub(crate) kept: String,
    /// After how many seconds the page is asked for anew while somebody looks; none for what stays as it is.
    pub(crate) renewed_after: Option<u32>,
}

/// While somebody looks at lists.
const RENEWED_AFTER: u32 = 30;
/// While what is looked at is about to be there, or changes with each pull.
pub(crate) const RENEWED_SOON: u32 = 1;

/// Something people should know about what they see.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) text: String,
    /// Whether something is wrong.
    pub(crate) warning: bool,
}

impl Notice {
    pub(crate) fn hint(text: impl Into<String>) -> Self {
        Self { text: text.into(), warning: false }
    }

    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self { text: text.into(), warning: true }
    }
}

/// A number that stands for itself.
pub(crate) struct Figure {
    pub(crate) label: &'static str,
    pub(crate) value: String,
    /// How it compares with the period before.
    pub(crate) change: Option<Change>,
    /// What else there is to say.
    pub(crate) note: String,
}

impl Figure {
    /// A number that is compared with nothing.
    pub(crate) fn new(label: &'static str, value: String, note: impl Into<String>) -> Self {
        Self { label, value, change: None, note: note.into() }
    }

    /// A count; none while it is not known.
    pub(crate) fn of_count(label: &'static str, counted: Option<Compared>, note: impl Into<String>) -> Self {
        let value = counted.map_or_else(|| "–".to_owned(), |counted| text::number(counted.count));
        Self { change: counted.and_then(Change::new), ..Self::new(label, value, note) }
    }
}

impl<'a> Layout<'a> {
    pub(crate) fn new(site: &'a Site, section: Section, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            section,
            assets: &site.assets,
            version: env!("CARGO_PKG_VERSION"),
            notices: Vec::new(),
            kept: String::new(),
            renewed_after: matches!(section, Section::Repositories | Section::Insights).then_some(RENEWED_AFTER),
        }
    }

    pub(super) fn is_repositories(&self) -> bool {
        self.section == Section::Repositories
    }

    pub(super) fn is_insights(&self) -> bool {
        self.section == Section::Insights
    }

    pub(super) fn is_status(&self) -> bool {
        self.section == Section::Status
    }

    pub(super) fn is_api(&self) -> bool {
        self.section == Section::Api
    }

    /// Keeps what was chosen on the way to other sections, and tells what people should know about it.
    pub(crate) fn about(&mut self, chosen: &Chosen) {
        self.keep(&chosen.kept());
        self.notices.extend(chosen.notices.iter().cloned());
        if !chosen.is_settled {
            self.renewed_after = Some(RENEWED_SOON);
        }
    }

    /// Keeps these parameters on the way to other sections.
    pub(crate) fn keep(&mut self, parameters: &[(&'static str, String)]) {
        let kept: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.kept = text::address("", &kept);
    }

    /// Tells when the counts could not be asked for.
    pub(crate) fn about_counts<V>(&mut self, shown: &Shown<V>, now: DateTime<Utc>) {
        match (&shown.value, shown.away) {
            (Some(_), false) => {}
            (Some(_), true) => self.notices.push(Notice::warning(format!(
                "The store of pull metrics is away. You see the pulls as they were {}.",
                Moment::new(shown.at, now).ago
            ))),
            (None, true) => self.notices.push(Notice::warning(
                "The store of pull metrics is away: pulls cannot be shown now. The log tells why; they show here once it \
                 is back.",
            )),
            (None, false) => {
                self.renewed_after = Some(RENEWED_SOON);
                self.notices.push(Notice::hint("The pulls are still being added up. They show here in a moment."));
            }
        }
    }

    /// Tells of a registry that may not post, whose pulls are missing, and of people who do not get in. Not who they are:
    /// this page is for many.
    pub(crate) fn about_refusals(&mut self, access: &Access, now: DateTime<Utc>) {
        let posts = refusals("POST to the webhook", "POSTs to the webhook", &access.refused(), now);
        self.notices.extend(posts.map(Notice::warning));
        let sign_ins = refusals("sign-in", "sign-ins", &access.refused_sign_ins(), now);
        self.notices.extend(sign_ins.map(Notice::hint));
    }

    /// Tells what stands in the way of a newer snapshot of the registry, and when it is tried again.
    pub(crate) fn about_registry(&mut self, site: &Site, snapshot: Option<&CatalogSnapshot>, now: DateTime<Utc>) {
        let Some(status) = snapshot.map(CatalogSnapshot::status) else {
            return;
        };
        if let Some(progress) = &status.progress {
            let found = text::count(progress.found as u64, "repository", "repositories");
            let so_far = if progress.found_all { "" } else { " found so far" };
            let read = text::number(progress.read as u64);
            self.notices.push(Notice::hint(format!("The registry is being read: {read} of {found}{so_far}.")));
        }
        if let Some(fault) = &status.fault {
            let age = status.read_at.map_or_else(String::new, |read_at| {
                format!(" You see it as it was {}.", Moment::new(read_at, now).ago)
            });
            let tried = Moment::to_the_second(fault.at, now).ago;
            let next = next_read(site, now).map_or_else(String::new, |next| format!(", and tried again {next}"));
            self.notices.push(Notice::warning(format!("{} This was {tried}{next}.{age}", fault.text)));
        }
    }
}

/// In how long the whole registry is read again; none while that goes on.
pub(super) fn next_read(site: &Site, now: DateTime<Utc>) -> Option<String> {
    let at = site.registry.as_ref()?.snapshots.next_read_at()?;
    Some(match (at - now).num_minutes() {
        ..1 => "within a minute".to_owned(),
        minutes => format!("in {minutes} min"),
    })
}

/// What is told of things that were refused, while the last one is not long ago.
pub(super) fn refusals<R: Display>(one: &str, many: &str, refused: &Refused<R>, now: DateTime<Utc>) -> Option<String> {
    let last = refused.last.as_ref().filter(|last| last.ago < REFUSALS_SHOWN)?;
    let at = TimeDelta::from_std(last.ago).map_or(now, |ago| now - ago);
    Some(format!(
        "Refused since the start: {}. The last one {}: {}. The log names its address.",
        text::count(refused.total, one, many),
        Moment::new(at, now).ago,
        last.reason
    ))
}

/// The balance in words, once something was received.
pub(super) fn balance(balance: &Balance) -> Option<String> {
    let Balance { received, counted, skipped, duplicate, refused, waiting } = *balance;
    let ended = [
        (counted, "counted"),
        (skipped, "skipped"),
        (duplicate, "repeated"),
        (refused, "refused"),
        (waiting, "waiting"),
    ];
    let ended: Vec<_> = ended
        .into_iter()
        .filter(|(events, _)| *events > 0)
        .map(|(events, what)| format!("{} {what}", text::number(events)))
        .collect();
    (received > 0).then(|| {
        let events = text::count(received, "event", "events");
        format!("{events} received since the start of this server: {}.", ended.join(", "))
    })
}

/// Where this server is, as far as the browser, and a proxy that ends TLS, tell: to be shown and copied, not trusted.
pub(crate) fn origin(request: &Request) -> String {
    let told = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let host = told("host")
        .filter(|host| host.bytes().all(|c| c.is_ascii_alphanumeric() || b".:-[]_".contains(&c)))
        .unwrap_or("localhost:8093");
    let is_secure = *request.scheme() == Scheme::HTTPS || told("x-forwarded-proto") == Some("https");
    let scheme = if is_secure { "https" } else { "http" };
    format!("{scheme}://{host}")
}

/// Renders a page.
pub(crate) fn page(template: &impl Template, status: StatusCode) -> Response {
    match template.render() {
        Ok(html) => Response::builder()
            .status(status)
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
            .header(header::CACHE_CONTROL, "no-cache")
            .body(html),
        Err(error) => {
            tracing::error!(%error, "A page could not be made");
            Problem::internal().into_response()
        }
    }
}

/// Calls an endpoint, and gives its answer an entity tag. HEAD is answered as GET would be; the server sends no body.
pub(crate) async fn tagged<E: Endpoint<Output = Response>>(
    endpoint: Arc<E>,
    mut request: Request,
) -> poem::Result<Response> {
    if request.method() == Method::HEAD {
        request.set_method(Method::GET);
    }
    let headers = request.headers().clone();
    Ok(with_entity_tag(&headers, endpoint.call(request).await?).await)
}

/// Adds an entity tag, and answers 304 to whoever has the content already (RFC 9110, 13.1.2).
async fn with_entity_tag(request: &HeaderMap, mut response: Response) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    let Ok(body) = response.take_body().into_bytes().await else {
        return Problem::internal().into_response();
    };
    // Weak: the content may be compressed on its way.
    let tag = format!("W/\"{}\"", hex(&body));
    let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|tags| {
        tags.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == &tag[2..])
    });
    if known {
        response.set_status(StatusCode::NOT_MODIFIED);
        response.headers_mut().remove(header::CONTENT_TYPE);
    } else {
        response.set_body(body);
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
