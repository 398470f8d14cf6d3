//! The paths of the Go staticreg that have another name here, or none: its counters and documents as they are there, its
//! pages by a redirect.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::{
    Endpoint, Request, Response,
    endpoint::{make, make_sync},
    get,
    http::{StatusCode, header},
};
use serde_json::{Value, json};
use staticreg_application::{
    aside::aside,
    browse::{ListingQuestion, Overview, Presence, Sort},
    receive_notification::ReceiveNotification,
};
use staticreg_domain::{
    RepositoryName,
    connection_pool::{ConnectionPool, PoolStats},
};

use crate::{
    BuildInfo, Resource,
    access::Rule,
    pages::{Site, folder_address, query_of, repository_address, search_address},
};

/// Repositories in one answer of the search.
const MAX_RESULTS: usize = 1_000;

/// All of them.
pub(crate) fn resources(
    receive: Arc<ReceiveNotification>,
    pool: Option<Arc<dyn ConnectionPool>>,
    build: BuildInfo,
    site: &Arc<Site>,
) -> [Resource; 8] {
    let BuildInfo { version, commit, time } = build;
    let build = json!({ "version": version, "commitId": commit, "buildTime": time });
    let site = Arc::clone(site);
    let found = make(move |request| {
        let site = Arc::clone(&site);
        async move { found(&site, query_of(&request)).await }
    });
    let connections = make_sync(move |_| match pool.as_ref().and_then(|pool| pool.stats()) {
        Some(stats) => json_of(StatusCode::OK, &connections(&stats)),
        None => json_of(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "there is no connection to a database" })),
    });
    [
        Resource::new("/metrics/webhook", get(make_sync(move |_| json_of(StatusCode::OK, &recording(&receive))))),
        Resource::new("/metrics/db", get(connections)),
        Resource::new("/service-info", get(make_sync(move |_| json_of(StatusCode::OK, &build)))),
        Resource::new("/robots.txt", get(make_sync(|_| "User-agent: *\nDisallow: /\n"))).behind(Rule::Open),
        Resource::new("/api/search", get(found)),
        Resource::new("/search", redirect(|request| search_address(&query_of(request)))),
        Resource::new("/browse", redirect(|_| "/".to_owned())),
        Resource::new(
            "/browse/*folder",
            redirect(|request| folder_address(request.raw_path_param("folder").unwrap_or_default())),
        ),
    ]
}

fn json_of(status: StatusCode, value: &Value) -> Response {
    let response = Response::builder().status(status).content_type("application/json");
    response.header(header::CACHE_CONTROL, "no-store").body(value.to_string())
}

fn redirect(address: impl Fn(&Request) -> String + Send + Sync + 'static) -> impl Endpoint<Output = Response> {
    get(make_sync(move |request| {
        Response::builder().status(StatusCode::MOVED_PERMANENTLY).header(header::LOCATION, address(&request)).finish()
    }))
}

fn recording(receive: &ReceiveNotification) -> Value {
    let totals = receive.totals();
    json!({
        "events_received": totals.received,
        "events_dropped": totals.turned_away,
        "events_flushed": totals.stored,
        "batches_flushed": totals.batches,
        "current_queue_size": totals.waiting,
    })
}

fn connections(stats: &PoolStats) -> Value {
    json!({
        "acquired_conns": stats.in_use,
        "constructing_conns": stats.connecting,
        "idle_conns": stats.idle,
        "max_conns": stats.max,
        "total_conns": stats.in_use + stats.idle + stats.connecting,
        "new_conns_count": stats.opened,
        "acquire_count": stats.taken,
        "acquire_duration_ns": u64::try_from(stats.waited.as_nanos()).unwrap_or(u64::MAX),
        "empty_acquire_count": stats.opened,
        "canceled_acquire_count": stats.given_up,
        "max_lifetime_destroy_count": 0,
        "max_idle_destroy_count": stats.closed_idle,
    })
}

/// The repositories whose names hold all words.
async fn found(site: &Site, search: String) -> Response {
    let overview = site.browse.overview().await;
    if overview.is_empty() && overview.pull_counts.value.is_none() {
        return json_of(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "the repositories are not known yet" }));
    }
    aside(move || {
        let question = ListingQuestion {
            search,
            presence: Presence::Any,
            sort: Sort::Name,
            page: 1,
            per_page: MAX_RESULTS,
            ..ListingQuestion::default()
        };
        let listing = overview.listing(&question);
        let results: Vec<_> = listing
            .rows
            .iter()
            .map(|row| {
                let name = row.name.as_str();
                let own_name = name.rsplit('/').next().unwrap_or(name);
                json!({
                    "name": own_name,
                    "path": repository_address(name),
                    "lastUpdatedAt": updated_at(&overview, &row.name),
                })
            })
            .collect();
        json_of(StatusCode::OK, &json!({ "results": results }))
    })
    .await
}

/// When the newest image of a repository was made, as far as that is known.
fn updated_at(overview: &Overview, name: &RepositoryName) -> Option<DateTime<Utc>> {
    let entry = overview.snapshot.as_ref()?.repository(name)?;
    entry.tags.iter().filter_map(|tag| tag.image()?.created).max()
}
