//! `GET /metrics`: what the server tells of itself, as Prometheus reads it.

use std::{
    array,
    sync::{Arc, OnceLock},
    time::Duration,
};

use poem::{
    Response,
    endpoint::make_sync,
    get,
    http::{HeaderMap, Method, StatusCode, header},
};
use staticreg_application::telemetry::{Family, Form, Histogram, SECONDS, Sample};

use crate::{Resource, Services, accept::quality, access::Rule};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The methods that are told apart; all others are one.
const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];

/// The statuses that are told apart; all others are one.
const STATUSES: [u16; 20] =
    [200, 301, 302, 304, 308, 400, 401, 403, 404, 405, 406, 408, 413, 415, 421, 422, 429, 500, 503, 504];

const OTHER: &str = "other";

/// How long requests took, by the route's template: what clients make up is all one.
pub(crate) struct Durations(Vec<Route>);

struct Route {
    /// The template, as the document and the routes write it.
    template: String,
    /// What every path of it begins with; all of the path when nothing in it varies.
    begins: String,
    varies: bool,
    /// By method and status; most never come.
    seen: Box<[[OnceLock<Histogram>; STATUSES.len() + 1]; METHODS.len() + 1]>,
}

impl Route {
    fn new(template: String) -> Self {
        let varying = template.find([':', '*', '{']);
        let begins = template[..varying.unwrap_or(template.len())].to_owned();
        let seen = Box::new(array::from_fn(|_| array::from_fn(|_| OnceLock::new())));
        Self { template, begins, varies: varying.is_some(), seen }
    }

    fn is_of(&self, path: &str) -> bool {
        if self.varies { path.starts_with(&self.begins) } else { path == self.begins }
    }
}

impl Durations {
    /// Of routes with these templates.
    pub(crate) fn new(templates: impl IntoIterator<Item = String>) -> Self {
        Self(templates.into_iter().chain([OTHER.to_owned()]).map(Route::new).collect())
    }

    pub(crate) fn observe(&self, path: &str, method: &Method, status: StatusCode, time: Duration) {
        // The last is all that is no route's.
        let Some(route) = self.0.iter().find(|route| route.is_of(path)).or(self.0.last()) else { return };
        let method = METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len());
        let status = STATUSES.iter().position(|known| *known == status.as_u16()).unwrap_or(STATUSES.len());
        route.seen[method][status].get_or_init(|| Histogram::new(SECONDS)).observe_time(time);
    }

    fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for Route { template, seen, .. } in &self.0 {
            for (method, of_method) in seen.iter().enumerate() {
                let method = METHODS.get(method).map_or(OTHER, Method::as_str);
                for (status, histogram) in of_method.iter().enumerate() {
                    let Some(histogram) = histogram.get() else { continue };
                    let status = STATUSES.get(status).map_or_else(|| OTHER.to_owned(), u16::to_string);
                    let labels = [("route", template.as_str()), ("method", method), ("status", &status)];
                    samples.push(Sample::labelled(labels, histogram));
                }
            }
        }
        samples
    }
}

/// The resource; there is none where nobody writes it down.
pub(crate) fn resource(services: Services, durations: Arc<Durations>) -> Option<Resource> {
    let exposition = services.exposition.clone()?;
    let answer = make_sync(move |request| {
        let form = form(request.headers());
        let content_type = if form == Form::Text { TEXT } else { OPEN_METRICS };
        let text = exposition.write(families(&services, &durations), form);
        let response = Response::builder().content_type(content_type);
        response.header(header::CACHE_CONTROL, "no-store").header(header::VARY, "accept").body(text)
    });
    Some(Resource::new("/metrics", get(answer)).behind(Rule::Metrics))
}

/// The older format, unless the other one is asked for and liked as much.
fn form(headers: &HeaderMap) -> Form {
    let liked = |names: &[&str]| quality(headers, &header::ACCEPT, names);
    let open_metrics = liked(&["application/openmetrics-text"]);
    if open_metrics > 0.0 && open_metrics >= liked(&["text/plain"]) { Form::OpenMetrics } else { Form::Text }
}

fn families(services: &Services, durations: &Durations) -> Vec<Family> {
    let Services { receive, spooling, registry, access, .. } = services;
    let mut families = receive.families();
    let spooled = spooling.as_ref().map_or(0, |spooling| spooling.waiting());
    let read_at = registry.as_ref().and_then(|registry| registry.snapshots.snapshot().status().read_at);
    let failure = |scheme, reason, count: u64| Sample::labelled([("scheme", scheme), ("reason", reason)], count);
    let posts =
        access.refused().by_reason.into_iter().map(|(reason, count)| failure("webhook", reason.as_str(), count));
    let sign_ins = access.refused_sign_ins().by_reason.into_iter();
    let sign_ins = sign_ins.map(|(reason, count)| failure("sign_in", reason.as_str(), count));
    families.extend([
        Family::gauge("staticreg_spool_events", "Events that wait in the spool.", vec![Sample::plain(spooled)]),
        Family::gauge(
            "staticreg_registry_last_read_timestamp_seconds",
            "When the registry was last read to its end; 0 when never.",
            vec![Sample::plain(read_at.map_or(0, |read_at| read_at.timestamp()))],
        ),
        Family::counter(
            "staticreg_auth_failures",
            "POSTs to the webhook and sign-ins that were refused, by reason.",
            posts.chain(sign_ins).collect(),
        ),
        Family::histogram(
            "staticreg_http_request_duration_seconds",
            "How long requests took, by route.",
            durations.samples(),
        ),
    ]);
    families
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    #[test]
    fn what_clients_make_up_is_one_route_one_method_and_one_status() {
        let durations = Durations::new(["/", "/repo/*name", "/insights"].map(str::to_owned));
        let get = |path| durations.observe(path, &Method::GET, StatusCode::OK, Duration::ZERO);
        ["/", "/repo/a", "/repo/b/c", "/insights", "/insights2", "/x"].into_iter().for_each(get);
        let made_up = Method::from_bytes(b"MADEUP").expect("a method");
        durations.observe("/", &made_up, StatusCode::IM_A_TEAPOT, Duration::ZERO);
        let told = durations.samples();
        let told: Vec<_> = told.iter().map(|sample| sample.labels.iter().map(|(_, value)| value.as_str())).collect();
        let told: Vec<Vec<_>> = told.into_iter().map(Iterator::collect).collect();
        let expected: [&[&str]; 5] = [
            &["/", "GET", "200"],
            &["/", "other", "other"],
            &["/repo/*name", "GET", "200"],
            &["/insights", "GET", "200"],
            &["other", "GET", "200"],
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn openmetrics_is_for_those_who_ask() {
        for (accept, expected) in [
            ("", Form::Text),
            ("*/*", Form::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Form::Text),
            (
                "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.2",
                Form::OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.3,text/plain;q=0.4", Form::Text),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(form(&headers), expected, "{accept}");
        }
    }
}
