//! `POST /api/webhook/registry`: where the registry posts its notifications. Each sender's format has a file here.

mod body;
mod distribution;
mod format;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use poem::{
    IntoResponse as _, Request, RequestBody, Response, Result,
    http::{StatusCode, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, Object, OpenApi,
    payload::Json,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::{Example, Type},
};
use staticreg_application::{
    aside::aside,
    receive_notification::{Receipt, ReceiveNotification},
    recording::RecordError,
};
use staticreg_domain::RegistryEvent;

use crate::{
    access::Proof,
    api::ApiTag,
    problem::{Problem, RETRY_AFTER_SECONDS},
};
pub use body::BodyLimits;
use body::told_length;
pub(crate) use body::{Bodies, ReadError, Received, Unparsed};
use distribution::{Distribution, NotificationSchema};
use format::Format;

/// The webhook's path.
pub(crate) const PATH: &str = "/api/webhook/registry";

/// The largest body, in bytes, that is read on the thread that answers: a registry's is smaller.
const SOON_READ: usize = 64 << 10;

/// What people are told who open the webhook in a browser.
pub(crate) const WHAT_IT_IS: &str =
    "This is the webhook: the registry posts its notifications here, as its notifications.endpoints tell it.";

pub(crate) struct WebhookApi {
    pub(crate) receive: Arc<ReceiveNotification>,
    pub(crate) bodies: Arc<Bodies>,
}

#[OpenApi]
impl WebhookApi {
    /// Receive a notification of the registry.
    ///
    /// Distribution posts its events here. The answer comes when every event that counts is stored, and only then; an
    /// event that does not count is skipped with its reason, an event that was recorded before changes nothing. A member
    /// of an event that is not what it should be is as good as none. After any answer but 200 the registry sends the
    /// notification again.
    ///
    /// Who may post is the operator's to say: whoever shows a token, signs the body (Standard Webhooks,
    /// `X-Hub-Signature-256` or `X-Registry-Signature-256`), or is in some network; else everybody. A page of another
    /// site never may.
    #[oai(
        path = "/api/webhook/registry",
        method = "post",
        operation_id = "receive_notification",
        tag = "ApiTag::Webhook"
    )]
    async fn receive_notification(&self, notification: Notification, _proof: Proof) -> Result<Stored, WebhookError> {
        let events =
            notification.read(&self.bodies).await.inspect_err(|error| self.receive.unreadable(error.words()))?;
        Ok(Stored::Ok(Json(self.receive.receive(events).await?.into())))
    }
}

/// What became of the events: `events_processed` + `events_skipped` + `events_duplicate` = `total_events`.
#[derive(Object)]
#[oai(rename = "Receipt", example, read_only_all)]
struct ReceiptBody {
    /// All events of the notification.
    total_events: u64,
    /// Events that are stored.
    events_processed: u64,
    /// Events that do not count.
    events_skipped: u64,
    /// Events that were recorded before and changed nothing.
    events_duplicate: u64,
    /// Events that wait in the spool until the database is back; they are among the processed.
    events_spooled: u64,
    /// How many events were skipped, by reason: `not_a_pull`, `not_a_manifest`, `own_request`, `ignored_user_agent`,
    /// `invalid_repository`, `no_tag`, `invalid_tag`, `invalid_digest`, `invalid_timestamp`, `too_old`, `build_cache`,
    /// `too_many_names`, `referrer`, `digest_check` or `refused_by_store`. Later versions may add more.
    skipped: BTreeMap<String, u64>,
}

impl Example for ReceiptBody {
    fn example() -> Self {
        Self {
            total_events: 2,
            events_processed: 1,
            events_skipped: 1,
            events_duplicate: 0,
            events_spooled: 0,
            skipped: BTreeMap::from([("not_a_manifest".to_owned(), 1)]),
        }
    }
}

impl From<Receipt> for ReceiptBody {
    fn from(receipt: Receipt) -> Self {
        let events_skipped = receipt.skipped_total() as u64;
        let Receipt { total, processed, duplicate, spooled, skipped } = receipt;
        Self {
            total_events: total as u64,
            events_processed: processed as u64,
            events_skipped,
            events_duplicate: duplicate as u64,
            events_spooled: spooled as u64,
            skipped: skipped.into_iter().map(|(reason, count)| (reason.as_str().to_owned(), count as u64)).collect(),
        }
    }
}

#[derive(ApiResponse)]
enum Stored {
    /// Every event that counts is stored.
    #[oai(status = 200)]
    Ok(Json<ReceiptBody>),
}

#[derive(ApiResponse)]
enum WebhookError {
    /// The body is no notification; the detail says where.
    #[oai(status = 400, content_type = "application/problem+json")]
    BadRequest(Json<Problem>),
    /// The sender shows no token that lets it in, and the body has no signature that does.
    #[oai(status = 401, content_type = "application/problem+json")]
    Unauthorized(
        Json<Problem>,
        /// What the sender may show.
        #[oai(header = "WWW-Authenticate")]
        String,
    ),
    /// The sender may not post.
    #[oai(status = 403, content_type = "application/problem+json")]
    Forbidden(Json<Problem>),
    /// The body took too long to arrive.
    #[oai(status = 408, content_type = "application/problem+json")]
    TimedOut(Json<Problem>),
    /// The body is larger than the server accepts.
    #[oai(status = 413, content_type = "application/problem+json")]
    TooLarge(Json<Problem>),
    /// The body is no JSON.
    #[oai(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Json<Problem>),
    /// The events cannot be stored now; the registry will send them again.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Json<Problem>,
        /// How long to wait before trying again, in seconds.
        #[oai(header = "Retry-After")]
        u32,
    ),
}

impl WebhookError {
    /// Why a body is no notification, without a word of it.
    fn words(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "its body is no notification",
            Self::TimedOut(_) => "its body took too long to arrive",
            Self::TooLarge(_) => "its body is larger than STATICREG_WEBHOOK_MAX_BODY",
            Self::UnsupportedMediaType(_) => "its media type is none that a registry sends",
            Self::Unauthorized(..) | Self::Forbidden(_) => "its sender may not post",
            Self::Unavailable(..) => "there was no room for its body",
        }
    }

    fn unavailable(detail: &str) -> Self {
        Self::Unavailable(Json(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)), RETRY_AFTER_SECONDS)
    }

    fn of_read(error: &ReadError, limits: BodyLimits) -> Self {
        let problem = Json(error.problem(limits));
        match error {
            ReadError::TooLarge => Self::TooLarge(problem),
            ReadError::TimedOut => Self::TimedOut(problem),
            ReadError::NoRoom => Self::Unavailable(problem, RETRY_AFTER_SECONDS),
            ReadError::Failed(_) => Self::BadRequest(problem),
        }
    }
}

/// What a sender may show that is not let in (RFC 6750, RFC 7617).
const CHALLENGE: &str = "Bearer realm=\"staticreg\", Basic realm=\"staticreg\"";

/// What is told to who may not post: not why.
const REFUSED: &str = "This request may not post here.";

/// The answer to who shows nothing that lets it in.
pub(crate) fn unauthorized() -> Response {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, REFUSED);
    WebhookError::Unauthorized(Json(problem), CHALLENGE.to_owned()).into_response()
}

/// The answer to who may be let in later.
pub(crate) fn unavailable() -> Response {
    WebhookError::unavailable("It cannot be told yet who may post; send this again.").into_response()
}

/// The answer to who may not post.
pub(crate) fn forbidden() -> Response {
    WebhookError::Forbidden(Json(Problem::new(StatusCode::FORBIDDEN, REFUSED))).into_response()
}

/// One of each error, as they are answered, for the document.
pub(crate) fn error_examples() -> Vec<Problem> {
    const LIMITS: BodyLimits = BodyLimits { size: 16 << 20, time: Duration::from_secs(30) };
    let error = parse("application/json", b"{").err();
    let unreadable = error.as_ref().map(unreadable);
    let others = [
        Problem::new(StatusCode::UNAUTHORIZED, REFUSED),
        Problem::new(StatusCode::FORBIDDEN, REFUSED),
        ReadError::TimedOut.problem(LIMITS),
        ReadError::TooLarge.problem(LIMITS),
        unwelcome("text/html"),
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, not_stored(RecordError::Unavailable)),
    ];
    unreadable.into_iter().chain(others).collect()
}

impl Bodies {
    /// Reads a request's body before its handler; an error is the answer.
    pub(crate) async fn receive(&self, request: &mut Request) -> Result<Received<'_>, Response> {
        let (length, body) = (told_length(request), request.take_body());
        self.read(body, length).await.map_err(|error| WebhookError::of_read(&error, self.limits).into_response())
    }
}

impl From<RecordError> for WebhookError {
    fn from(error: RecordError) -> Self {
        Self::unavailable(not_stored(error))
    }
}

fn not_stored(error: RecordError) -> &'static str {
    match error {
        RecordError::Busy => "Too many events are waiting to be stored; send this again.",
        RecordError::Unavailable => "The events cannot be stored now; send them again.",
    }
}

fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("The body is no notification: {error}."))
}

fn unwelcome(content_type: &str) -> Problem {
    let detail = format!("Send {}, not `{content_type}`.", welcome());
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

/// All formats; a further one is a file beside `distribution.rs` and a line here. The first that takes the media type
/// and understands the body is the one.
const FORMATS: [&dyn Format; 1] = [&Distribution];

/// Whether any format is sent as this media type.
fn is_welcome(content_type: &str) -> bool {
    FORMATS.into_iter().any(|format| format.takes(content_type))
}

/// The media types that are welcome, in words.
fn welcome() -> String {
    FORMATS.map(Format::media_types).join(", ")
}

/// The events of a body. When no format understands it, the error is that of the last one that takes its media type.
pub(crate) fn parse(content_type: &str, body: &[u8]) -> serde_json::Result<Vec<RegistryEvent>> {
    let mut refused = None;
    for format in FORMATS.into_iter().filter(|format| format.takes(content_type)) {
        match format.parse(body) {
            Ok(events) => return Ok(events),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| serde::de::Error::custom("nobody sends this media type")))
}

/// A notification whose body is not parsed.
struct Notification {
    content_type: String,
    body: Unparsed,
}

impl Notification {
    async fn read(self, bodies: &Bodies) -> Result<Vec<RegistryEvent>, WebhookError> {
        if !is_welcome(&self.content_type) {
            return Err(WebhookError::UnsupportedMediaType(Json(unwelcome(&self.content_type))));
        }
        // It keeps its room until it is parsed.
        let received = self.body.read(bodies).await.map_err(|error| WebhookError::of_read(&error, bodies.limits))?;
        let bytes = received.bytes.clone();
        let parsed = if bytes.len() > SOON_READ {
            aside(move || parse(&self.content_type, &bytes)).await
        } else {
            parse(&self.content_type, &bytes)
        };
        parsed.map_err(|error| WebhookError::BadRequest(Json(unreadable(&error))))
    }
}

impl<'a> ApiExtractor<'a> for Notification {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        NotificationSchema::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        // One type only: generators of clients stumble over a choice of types with one schema.
        let content =
            vec![MetaMediaType { content_type: "application/json", schema: NotificationSchema::schema_ref() }];
        let description = "An envelope of events. Every `application/*+json` is welcome too, such as the registry's \
                           `application/vnd.docker.distribution.events.v2+json`.";
        Some(MetaRequest { description: Some(description), content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        Ok(Self { content_type, body: Unparsed::of_request(request, body)? })
    }
}
