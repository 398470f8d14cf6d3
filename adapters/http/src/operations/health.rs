//! `GET /healthz` and `GET /healthz/db`.

use std::sync::Arc;

use poem::http::StatusCode;
use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json, types::Example};
use staticreg_application::{check_store::CheckStore, receive_notification::ReceiveNotification, recording::Spooling};
use staticreg_domain::error::describe;

use crate::{
    access,
    api::ApiTag,
    problem::{Problem, QuestionError, RETRY_AFTER_SECONDS},
};

/// Where it is asked whether all is well.
pub(crate) const PATH: &str = "/healthz";

/// What a store does that is away.
const NOT_NOW: &str = "does not take events now";

pub(crate) struct HealthApi {
    pub(crate) check: CheckStore,
    pub(crate) store: &'static str,
    pub(crate) receive: Arc<ReceiveNotification>,
    pub(crate) spooling: Option<Arc<Spooling>>,
}

#[OpenApi]
impl HealthApi {
    /// Whether the server is alive.
    #[oai(path = "/healthz", method = "get", operation_id = "get_health", tag = "ApiTag::Operations")]
    #[expect(clippy::unused_async, reason = "every operation is asynchronous")]
    async fn get_health(&self) -> Result<Alive, Misnamed> {
        Ok(Alive::Ok(Json(Health { status: "ok".to_owned() })))
    }

    /// Whether the server is able to store.
    ///
    /// It is not while the last events it was given could not be stored, whatever the store says of itself.
    #[oai(path = "/healthz/db", method = "get", operation_id = "get_store_health", tag = "ApiTag::Operations")]
    async fn get_store_health(&self) -> Result<Able, Unable> {
        let events_spooled = self.spooling.as_ref().map_or(0, |spooling| spooling.waiting());
        let what = match self.check.check().await {
            Ok(()) if self.receive.trouble().is_failing() => "did not take the last events; the log says why",
            Ok(()) => {
                return Ok(Able::Ok(Json(StoreHealth {
                    status: "ok".to_owned(),
                    store: self.store.to_owned(),
                    events_spooled,
                    clock_skew_seconds: self.receive.clock_skew().map(|skew| skew.num_seconds()),
                })));
            }
            Err(error) => {
                let reason = describe(&error);
                if self.receive.trouble().is_news(&reason) {
                    tracing::warn!(error = reason, "The store is not able to take events");
                }
                NOT_NOW
            }
        };
        Err(Unable::Unavailable(Json(not_able(self.store, what, events_spooled)), RETRY_AFTER_SECONDS))
    }
}

fn not_able(store: &str, what: &str, events_spooled: u64) -> Problem {
    let detail = format!("The store ({store}) {what}. {events_spooled} events are spooled.");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

/// One of each error, as they are answered, for the document.
pub(crate) fn error_examples() -> Vec<Problem> {
    let own = [not_able("postgresql", NOT_NOW, 12), access::no_name()];
    own.into_iter().chain(QuestionError::examples()).collect()
}

#[derive(ApiResponse)]
enum Alive {
    /// The server is alive.
    #[oai(status = 200)]
    Ok(Json<Health>),
}

#[derive(ApiResponse)]
enum Able {
    /// The server is able to store.
    #[oai(status = 200)]
    Ok(Json<StoreHealth>),
}

/// The server answers.
#[derive(Object)]
#[oai(example, read_only_all)]
struct Health {
    /// `ok`.
    status: String,
}

impl Example for Health {
    fn example() -> Self {
        Self { status: "ok".to_owned() }
    }
}

/// The server is able to store.
#[derive(Object)]
#[oai(example, read_only_all)]
struct StoreHealth {
    /// `ok`.
    status: String,
    /// `postgresql`, `sqlite` or `memory`.
    store: String,
    /// Events that wait in the spool.
    events_spooled: u64,
    /// How far the registry's clock is ahead of the server's, when it is more than a day: one of the two is wrong, and
    /// pulls count on the server's date. Null when not.
    #[oai(nullable)]
    clock_skew_seconds: Option<i64>,
}

impl Example for StoreHealth {
    fn example() -> Self {
        Self { status: "ok".to_owned(), store: "postgresql".to_owned(), events_spooled: 0, clock_skew_seconds: None }
    }
}

/// What the gate before the route answers, for the document.
#[derive(ApiResponse)]
#[expect(dead_code, reason = "the route itself never fails")]
enum Misnamed {
    /// There is no Host header, or several.
    #[oai(status = 400, content_type = "application/problem+json")]
    BadRequest(Json<Problem>),
    /// The server does not answer to the name that the request calls it by; the detail names the setting.
    #[oai(status = 421, content_type = "application/problem+json")]
    Misdirected(Json<Problem>),
}

#[derive(ApiResponse)]
enum Unable {
    /// There is no Host header, or several.
    #[oai(status = 400, content_type = "application/problem+json")]
    #[expect(dead_code, reason = "the gate before the route answers it")]
    BadRequest(Json<Problem>),
    /// The server does not answer to the name that the request calls it by; the detail names the setting.
    #[oai(status = 421, content_type = "application/problem+json")]
    #[expect(dead_code, reason = "the gate before the route answers it")]
    Misdirected(Json<Problem>),
    /// The store does not take events now.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Json<Problem>,
        /// How long to wait before trying again, in seconds.
        #[oai(header = "Retry-After")]
        u32,
    ),
}
