//! Inbound HTTP: the webhook, the query API, the operators' resources and the web pages, all under one port.
//!
//! The folders are the routes: `webhook` is `/api/webhook`, `api` is `/api/v1`, `operations` is `/healthz`, the
//! OpenAPI document and Swagger UI, `pages` is what people see. A handler takes its parameters, asks one use case and
//! gives the answer's item; a new question is a new file in `api/`, listed in `apis`.

mod accept;
pub mod access;
mod api;
mod cleanup;
mod connection;
mod csv;
mod delivery;
mod described;
mod errors;
mod operations;
mod pages;
mod problem;
mod quirks;
pub mod server;
mod webhook;

pub use webhook::BodyLimits;

use std::sync::Arc;

use poem::{
    Endpoint, EndpointExt, IntoEndpoint, Request, Response, Route,
    endpoint::BoxEndpoint,
    http::{HeaderValue, Uri, header},
    middleware::CatchPanic,
    post,
};
use poem_openapi::OpenApiService;
use staticreg_application::{
    ask_metrics::AskMetrics,
    catalog::{CatalogSnapshots, ReadImage},
    check_store::CheckStore,
    clean_up::CleanUp,
    hear_running::HearRunning,
    receive_notification::ReceiveNotification,
    recording::Spooling,
    telemetry::Exposition,
};

use staticreg_domain::connection_pool::ConnectionPool;

use access::{Access, Gate, Hosts, Rule};
use api::{csv_paths::WithCsvPaths, known_parameters::KnownParameters};
use delivery::Client;
use described::Described;
use operations::metrics::Durations;
use tokio::time::Instant;
use webhook::Bodies;

/// What the routes need.
#[derive(Clone)]
pub struct Services {
    /// Receives notifications.
    pub receive: Arc<ReceiveNotification>,
    /// Answers questions.
    pub ask: AskMetrics,
    /// Tells what may go.
    pub clean_up: CleanUp,
    /// Hears what runs.
    pub hear: HearRunning,
    /// Tells whether the store takes events.
    pub check: CheckStore,
    /// The spool, when there is one.
    pub spooling: Option<Arc<Spooling>>,
    /// The store's name: `postgresql`, `sqlite` or `memory`.
    pub store: &'static str,
    /// How large the body of a notification may be, and how long it may take.
    pub body_limits: BodyLimits,
    /// The registry that the pages show, when there is one.
    pub registry: Option<Registry>,
    /// Who may do what.
    pub access: Access,
    /// The connections to the database, when there is one.
    pub pool: Option<Arc<dyn ConnectionPool>>,
    /// Writes down what the server tells of itself; none answers `/metrics` without it.
    pub exposition: Option<Arc<dyn Exposition>>,
    /// What the program was built from.
    pub build: BuildInfo,
    /// How the registry's users call it, when that is another name than the one it is read by.
    pub public_name: Option<String>,
}

/// What the program was built from.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildInfo {
    /// Its version.
    pub version: &'static str,
    /// The commit, as seven hexadecimal digits; empty when it is not known.
    pub commit: &'static str,
    /// When it was built, as RFC 3339 has times; empty when it is not known.
    pub time: &'static str,
}

/// The registry that the pages show.
#[derive(Clone)]
pub struct Registry {
    /// The name it is read by, which clients write before a repository's: `registry.example.com`.
    pub host: String,
    /// What is in it.
    pub snapshots: CatalogSnapshots,
    /// Reads its images.
    pub images: ReadImage,
}

type Apis = (
    webhook::WebhookApi,
    api::summary::SummaryApi,
    WithCsvPaths<(
        api::pulls::PullsApi,
        api::folders::FoldersApi,
        api::repositories::RepositoriesApi,
        api::images::ImagesApi,
        api::architectures::ArchitecturesApi,
        api::tags::TagsApi,
        api::digests::DigestsApi,
        api::metrics::MetricsApi,
        api::registry::RegistryApi,
        api::cleanup::CleanupApi,
    )>,
    api::referrers::ReferrersApi,
    api::cleanup::CleanupScriptApi,
    api::running::RunningApi,
    operations::health::HealthApi,
);

fn apis(services: Services, bodies: &Arc<Bodies>) -> OpenApiService<Apis, ()> {
    let host = host(services.public_name.as_ref(), services.registry.as_ref()).into();
    let Services { receive, ask, clean_up, hear, check, spooling, store, access, registry, .. } = services;
    let apis = (
        webhook::WebhookApi { receive: Arc::clone(&receive), bodies: Arc::clone(bodies) },
        api::summary::SummaryApi {
            ask: ask.clone(),
            receive: Arc::clone(&receive),
            spooling: spooling.clone(),
            access,
        },
        WithCsvPaths((
            api::pulls::PullsApi { ask: ask.clone() },
            api::folders::FoldersApi { ask: ask.clone() },
            api::repositories::RepositoriesApi { ask: ask.clone() },
            api::images::ImagesApi { ask: ask.clone() },
            api::architectures::ArchitecturesApi { ask: ask.clone() },
            api::tags::TagsApi { ask: ask.clone() },
            api::digests::DigestsApi { ask: ask.clone() },
            api::metrics::MetricsApi { ask },
            api::registry::RegistryApi { snapshots: registry.as_ref().map(|registry| registry.snapshots.clone()) },
            api::cleanup::CleanupApi { clean_up: clean_up.clone() },
        )),
        api::referrers::ReferrersApi { registry },
        api::cleanup::CleanupScriptApi { clean_up, host },
        api::running::RunningApi { hear, bodies: Arc::clone(bodies) },
        operations::health::HealthApi { check, store, receive, spooling },
    );
    OpenApiService::new(apis, "staticreg", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(poem_openapi::LicenseObject::new("Apache-2.0").url("https://www.apache.org/licenses/LICENSE-2.0"))
        .server(poem_openapi::ServerObject::new("/").description("This server"))
}

/// What stands before a repository's name in a command: what its users call the registry, or the name it is read by.
fn host<'a>(public_name: Option<&'a String>, registry: Option<&'a Registry>) -> &'a str {
    public_name.or(registry.map(|registry| &registry.host)).map_or("REGISTRY", String::as_str)
}

const DESCRIPTION: &str = "\
staticreg counts the image pulls of a container registry. The registry posts its notifications to the webhook; the \
counts are kept per UTC day, repository, tag, digest and architecture. A pull is an image that was fetched, by its tag \
or by its digest; a look-up that fetched nothing is a version check. \"What is a pull here?\", \
the page docs/counting.md among staticreg's sources, tells the rule and its limits.

Lists come in pages: give `next_cursor` back as `cursor` to read on. Every list is also there as CSV, at its path with \
`.csv` behind it or to `Accept: text/csv`. A parameter that an operation does not have is refused. Errors are `application/problem+json` (RFC 9457). Repository names hold slashes and so are query \
parameters, never path segments.";

/// The OpenAPI document, as the framework writes it.
fn document(service: &OpenApiService<Apis, ()>) -> serde_json::Value {
    serde_json::from_str(&service.spec()).unwrap_or_default()
}

/// The OpenAPI document as JSON.
#[must_use]
pub fn openapi_json(services: Services) -> String {
    let bodies = Arc::new(Bodies::new(services.body_limits));
    Described::new(&apis(services, &bodies).spec()).json
}

/// What is answered at a path beside the API.
pub(crate) struct Resource {
    path: &'static str,
    rule: Rule,
    endpoint: BoxEndpoint<'static, Response>,
}

impl Resource {
    /// For those who may read.
    pub(crate) fn new(path: &'static str, endpoint: impl Endpoint<Output = Response> + 'static) -> Self {
        Self { path, rule: Rule::Read, endpoint: endpoint.boxed() }
    }

    /// For others.
    pub(crate) fn behind(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }
}

/// All of them.
fn resources(
    service: &OpenApiService<Apis, ()>,
    services: Services,
    site: &Arc<pages::Site>,
    metrics: Option<Resource>,
) -> impl Iterator<Item = Resource> + use<> {
    let (spec, described) = (service.spec(), Described::new(&service.spec()));
    // Swagger UI is given the framework's document, which stands in its page as it is.
    let docs = pages::docs::resource(site, &service.swagger_ui_html().replacen(&spec, &described.json, 1));
    let documents = operations::document::resources(described);
    let Services { receive, pool, build, .. } = services;
    let of_go = operations::go_staticreg::resources(receive, pool, build, site);
    documents.into_iter().chain([docs]).chain(of_go).chain(metrics).chain(pages::resources(site))
}

fn site(services: &Services, webhook_port: Option<u16>) -> Arc<pages::Site> {
    Arc::new(pages::Site::new(services, webhook_port))
}

/// The paths of all routes, as the document and the routes write them: so that what is said of every one can be tested.
#[must_use]
pub fn paths(services: &Services) -> Vec<String> {
    let bodies = Arc::new(Bodies::new(services.body_limits));
    templates(services, &site(services, None), &bodies)
}

fn templates(services: &Services, site: &Arc<pages::Site>, bodies: &Arc<Bodies>) -> Vec<String> {
    let service = apis(services.clone(), bodies);
    let document = document(&service);
    let of_api = document["paths"].as_object().into_iter().flatten().map(|(path, _)| path.clone());
    of_api
        .chain(
            resources(
                &service,
                services.clone(),
                site,
                operations::metrics::resource(services.clone(), Arc::new(Durations::new([]))),
            )
            .map(|resource| resource.path.to_owned()),
        )
        .collect()
}

/// All routes.
#[must_use]
pub fn endpoint(services: Services) -> impl Endpoint<Output = Response> {
    endpoints(services, None, None).main
}

/// A listener of the webhook's own.
#[derive(Clone, Debug)]
pub struct WebhookListener {
    /// Its port.
    pub port: u16,
    /// The names that the server answers to there.
    pub hosts: Hosts,
}

/// The routes of each listener. Those of a listener of their own are not at the main one.
pub struct Endpoints<M, W, T> {
    /// All else.
    pub main: M,
    /// The webhook, and whether all is well.
    pub webhook: Option<W>,
    /// What the server tells of itself, and whether all is well; for whoever reaches it.
    pub telemetry: Option<T>,
}

/// The routes of the main listener, of the webhook's own, and of telemetry's own, which answers to names.
#[must_use]
pub fn endpoints(
    services: Services,
    webhook: Option<WebhookListener>,
    telemetry: Option<Hosts>,
) -> Endpoints<impl Endpoint<Output = Response>, impl Endpoint<Output = Response>, impl Endpoint<Output = Response>> {
    let access = services.access.clone();
    let parts = Parts::new(services, webhook.as_ref().map(|webhook| webhook.port), telemetry.is_some());
    Endpoints {
        main: parts.main(),
        webhook: webhook.map(|webhook| parts.webhook(&access.under(webhook.hosts))),
        telemetry: telemetry.map(|hosts| parts.telemetry(&access.under(hosts))),
    }
}

/// What routes are made of.
struct Parts {
    services: Services,
    site: Arc<pages::Site>,
    bodies: Arc<Bodies>,
    durations: Arc<Durations>,
    has_webhook_listener: bool,
    has_telemetry_listener: bool,
}

impl Parts {
    fn new(services: Services, webhook_port: Option<u16>, has_telemetry_listener: bool) -> Self {
        let bodies = Arc::new(Bodies::new(services.body_limits));
        let site = site(&services, webhook_port);
        let durations = Arc::new(Durations::new(templates(&services, &site, &bodies)));
        let has_webhook_listener = webhook_port.is_some();
        Self { services, site, bodies, durations, has_webhook_listener, has_telemetry_listener }
    }

    fn gate(&self, rule: Rule, access: &Access) -> Gate {
        Gate::new(rule, access, &self.bodies)
    }

    fn main(&self) -> impl Endpoint<Output = Response> + use<> {
        let routes = self.routes(apis(self.services.clone(), &self.bodies));
        let routes = if self.has_webhook_listener {
            // Its path is no route here, whatever asks for it.
            let nothing = Route::new().map_to_response().with(self.gate(Rule::Read, &self.services.access));
            routes.at(webhook::PATH, nothing)
        } else {
            let webhook = apis(self.services.clone(), &self.bodies).into_endpoint();
            routes.at(webhook::PATH, post(webhook.with(self.gate(Rule::Post, &self.services.access))))
        };
        self.finished(routes, Some(Arc::clone(&self.site)))
    }

    fn webhook(&self, access: &Access) -> impl Endpoint<Output = Response> + use<> {
        let service = Arc::new(apis(self.services.clone(), &self.bodies).into_endpoint());
        let routes = Route::new()
            .at(webhook::PATH, post(Arc::clone(&service).with(self.gate(Rule::Post, access))))
            .nest_no_strip(operations::health::PATH, service.with(self.gate(Rule::Open, access)));
        self.finished(routes, None)
    }

    fn telemetry(&self, access: &Access) -> impl Endpoint<Output = Response> + use<> {
        let service = apis(self.services.clone(), &self.bodies).into_endpoint();
        let routes = Route::new().nest_no_strip(operations::health::PATH, service.with(self.gate(Rule::Open, access)));
        let routes = self.metrics().into_iter().fold(routes, |routes, metrics| {
            routes.at(metrics.path, metrics.endpoint.with(self.gate(Rule::Open, access)))
        });
        self.finished(routes, None)
    }

    fn metrics(&self) -> Option<Resource> {
        operations::metrics::resource(self.services.clone(), Arc::clone(&self.durations))
    }

    fn finished(&self, routes: Route, site: Option<Arc<pages::Site>>) -> impl Endpoint<Output = Response> + use<> {
        finished(routes, site, Arc::clone(&self.durations))
    }

    /// All but the webhook.
    fn routes(&self, service: OpenApiService<Apis, ()>) -> Route {
        let gate = |rule| self.gate(rule, &self.services.access);
        let metrics = self.metrics().filter(|_| !self.has_telemetry_listener);
        let (read, others): (Vec<_>, Vec<_>) = resources(&service, self.services.clone(), &self.site, metrics)
            .partition(|resource| resource.rule == Rule::Read);
        let known = Arc::new(KnownParameters::of_document(&document(&service)));
        let service = Arc::new(service.into_endpoint());
        let of_running = Arc::clone(&known);
        let running = post(Arc::clone(&service).around(move |endpoint, request| {
            let known = Arc::clone(&of_running);
            async move { known.ask(&*endpoint, request).await }
        }));
        let questions = Arc::clone(&service).around(move |endpoint, request| {
            let known = Arc::clone(&known);
            async move { Ok(revalidated(known.ask(&*endpoint, request).await?)) }
        });
        let read = read.into_iter().fold(Route::new(), |routes, resource| routes.at(resource.path, resource.endpoint));
        let read = read.nest_no_strip("/api", questions.around(pages::tagged));
        let others = others.into_iter().fold(Route::new(), |routes, resource| {
            routes.at(resource.path, resource.endpoint.with(gate(resource.rule)))
        });
        // The longest path that fits is taken, so what has no rule of its own is for those who may read.
        others
            .at(api::running::PATH, running.with(gate(Rule::Running)))
            .nest_no_strip(operations::health::PATH, service.with(gate(Rule::Open)))
            .nest_no_strip("/", read.with(gate(Rule::Read)))
    }
}

/// An answer that is asked for anew each time, by its entity tag: counts change with every pull.
fn revalidated(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// Routes as they answer: errors are problems, or pages of the site where there is one.
fn finished(
    routes: Route,
    site: Option<Arc<pages::Site>>,
    durations: Arc<Durations>,
) -> impl Endpoint<Output = Response> {
    routes
        .with(CatchPanic::new().with_handler(errors::OfPanic))
        .around(move |endpoint, mut request: Request| {
            let (site, durations, start) = (site.clone(), Arc::clone(&durations), Instant::now());
            async move {
                strip_trailing_slash(&mut request);
                let (method, uri) = (request.method().clone(), request.uri().clone());
                // The registry's way is the short one.
                let site = site.filter(|_| uri.path() != webhook::PATH);
                let client = site.map(|site| (Client::from_request(&request), site));
                let response = match endpoint.call(request).await {
                    Ok(response) => response,
                    Err(error) => errors::of_error(error, &method, &uri),
                };
                durations.observe(uri.path(), &method, response.status(), start.elapsed());
                Ok(match client {
                    Some((client, site)) => client.deliver(response, &site).await,
                    None => response,
                })
            }
        })
        .map_to_response()
}

/// A resource is the same with a slash behind it; the registry would follow a redirect without the body.
fn strip_trailing_slash(request: &mut Request) {
    let uri = request.uri();
    let path = uri.path().trim_end_matches('/');
    if !path.is_empty() && path.len() < uri.path().len() {
        let path_and_query = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        // The name that the server is called by stays, for it is looked at.
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = path_and_query.parse().ok();
        if let Ok(stripped) = Uri::from_parts(parts) {
            *request.uri_mut() = stripped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_goes_and_all_else_stays() {
        for (told, stripped) in [
            ("/", "/"),
            ("/insights", "/insights"),
            ("/insights/", "/insights"),
            ("/insights//?days=7/", "/insights?days=7/"),
            ("http://counts.example.com:80/insights/?days=7", "http://counts.example.com:80/insights?days=7"),
            ("https://counts.example.com/", "https://counts.example.com/"),
        ] {
            let mut request = Request::builder().uri(told.parse().expect(told)).finish();
            strip_trailing_slash(&mut request);
            assert_eq!(request.uri().to_string(), stripped);
        }
    }
}

/// Ways in for the fuzz targets of `tests/fuzz`.
#[cfg(fuzzing)]
#[expect(missing_docs, reason = "no part of the crate's interface")]
pub mod fuzzing {
    use std::net::IpAddr;

    use poem::http::{HeaderMap, HeaderName, HeaderValue};
    use staticreg_domain::RegistryEvent;

    pub fn notification(body: &[u8]) -> serde_json::Result<Vec<RegistryEvent>> {
        crate::webhook::parse("application/json", body)
    }

    pub fn cursor(cursor: &str) {
        crate::api::cursor::examine(cursor);
    }

    pub fn sender(peer: &str, x_forwarded_for: &[u8], forwarded: &[u8], proxies: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-forwarded-for", x_forwarded_for), ("forwarded", forwarded)] {
            let value = HeaderValue::from_bytes(value).ok().filter(|value| !value.is_empty());
            headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
        }
        let proxies = crate::access::Networks::parse([proxies]).ok()?;
        crate::access::sender_of(peer.parse::<IpAddr>().ok()?, &headers, &proxies).map(|sender| sender.to_string())
    }
}
