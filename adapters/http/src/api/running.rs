//! `POST /api/v1/running`: what runs somewhere.

use std::{fmt::Display, sync::Arc};

use poem::{
    Request, RequestBody, Result,
    http::{StatusCode, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, Object, OpenApi,
    param::Query,
    payload::Json,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::{Example, Type},
};
use serde::Deserialize;
use staticreg_application::hear_running::{HearError, HearRunning, Heard};
use staticreg_domain::running::SourceName;

use super::ApiTag;
use crate::{
    access::Proof,
    problem::{Problem, RETRY_AFTER_SECONDS},
    webhook::{self, Bodies, ReadError, Unparsed},
};

/// Its path.
pub(crate) const PATH: &str = "/api/v1/running";

/// The source of a list that names none.
const DEFAULT_SOURCE: &str = "default";

pub(crate) struct RunningApi {
    pub(crate) hear: HearRunning,
    pub(crate) bodies: Arc<Bodies>,
}

#[OpenApi]
impl RunningApi {
    /// Tell what runs.
    ///
    /// What runs is not told to be deleted. A list takes the place of the one that the same source told before: tell all
    /// that runs there, again and again. Beside JSON `text/plain` is welcome, with an image a line. An image is
    /// `host/repository:tag`, `repository@sha256:…` or an image's id with its digest, as Docker, containerd and Kubernetes
    /// write them. Who may post notifications may tell it, and who shows an API token with the scope `running`.
    #[oai(path = "/api/v1/running", method = "post", operation_id = "tell_running", tag = "ApiTag::Cleanup")]
    async fn tell(
        &self,
        /// Who tells it, such as a cluster: of 1 to 64 letters, digits and `.`, `_`, `-`; `default` when not given.
        #[oai(validator(max_length = 64))]
        source: Query<Option<String>>,
        list: PostedList,
        _proof: Proof,
    ) -> Result<Taken, RunningError> {
        let source: SourceName = source
            .0
            .as_deref()
            .unwrap_or(DEFAULT_SOURCE)
            .parse()
            .map_err(|error| RunningError::BadRequest(Json(wrong_source(error))))?;
        let images = list.read(&self.bodies).await?;
        let Heard { taken, not_understood } = self.hear.hear(source, images.iter().map(String::as_str)).await?;
        Ok(Taken::Ok(Json(TakenBody { taken: taken as u64, not_understood: not_understood as u64 })))
    }
}

/// What runs.
#[derive(Deserialize, Object)]
#[oai(example)]
struct RunningList {
    /// The images, as they are written where they run.
    images: Vec<String>,
}

impl Example for RunningList {
    fn example() -> Self {
        Self { images: vec!["registry.example/team-a/app:1.2".to_owned()] }
    }
}

/// What was made of the list.
#[derive(Object)]
#[oai(rename = "RunningTaken", example, read_only_all)]
struct TakenBody {
    /// How many images were understood.
    taken: u64,
    /// How many name no image, and are left out.
    not_understood: u64,
}

impl Example for TakenBody {
    fn example() -> Self {
        Self { taken: 1, not_understood: 0 }
    }
}

#[derive(ApiResponse)]
enum Taken {
    /// The list is kept.
    #[oai(status = 200)]
    Ok(Json<TakenBody>),
}

#[derive(ApiResponse)]
enum RunningError {
    /// The body is no list, or too long a one, or the source has no name; the detail says which.
    #[oai(status = 400, content_type = "application/problem+json")]
    BadRequest(Json<Problem>),
    /// The sender shows no token that lets it in, and the body has no signature that does.
    #[oai(status = 401, content_type = "application/problem+json")]
    #[expect(dead_code, reason = "for the document: the gate before the route answers so")]
    Unauthorized(
        Json<Problem>,
        /// What the sender may show.
        #[oai(header = "WWW-Authenticate")]
        String,
    ),
    /// The sender may not post.
    #[oai(status = 403, content_type = "application/problem+json")]
    #[expect(dead_code, reason = "for the document: the gate before the route answers so")]
    Forbidden(Json<Problem>),
    /// The body took too long to arrive.
    #[oai(status = 408, content_type = "application/problem+json")]
    TimedOut(Json<Problem>),
    /// Too many sources told what runs there; tell it as one of them.
    #[oai(status = 409, content_type = "application/problem+json")]
    TooManySources(Json<Problem>),
    /// The body is larger than the server accepts.
    #[oai(status = 413, content_type = "application/problem+json")]
    TooLarge(Json<Problem>),
    /// The body is neither JSON nor plain text.
    #[oai(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Json<Problem>),
    /// The list cannot be kept now; tell it again.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Json<Problem>,
        /// How long to wait before trying again, in seconds.
        #[oai(header = "Retry-After")]
        u32,
    ),
}

impl RunningError {
    fn bad_request(detail: impl Into<String>) -> Self {
        Self::BadRequest(Json(Problem::new(StatusCode::BAD_REQUEST, detail)))
    }

    fn unavailable(detail: &str) -> Self {
        Self::Unavailable(Json(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)), RETRY_AFTER_SECONDS)
    }

    fn of_read(error: &ReadError, bodies: &Bodies) -> Self {
        let problem = Json(error.problem(bodies.limits));
        match error {
            ReadError::TooLarge => Self::TooLarge(problem),
            ReadError::TimedOut => Self::TimedOut(problem),
            ReadError::NoRoom => Self::Unavailable(problem, RETRY_AFTER_SECONDS),
            ReadError::Failed(_) => Self::BadRequest(problem),
        }
    }
}

impl From<HearError> for RunningError {
    fn from(error: HearError) -> Self {
        match error {
            HearError::TooManySources => Self::TooManySources(Json(too_many_sources())),
            HearError::TooManyReferences => Self::bad_request(format!("{error}.")),
            HearError::Store(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "What runs could not be kept");
                Self::unavailable(NOT_KEPT)
            }
        }
    }
}

const NOT_KEPT: &str = "What runs cannot be kept now; tell it again.";

fn too_many_sources() -> Problem {
    Problem::new(StatusCode::CONFLICT, format!("{}.", HearError::TooManySources))
}

fn wrong_source(error: impl Display) -> Problem {
    Problem::of_parameter("source", error)
}

fn unwelcome(content_type: &str) -> Problem {
    let detail = format!("Send application/json or text/plain, not `{content_type}`.");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

/// One of each error, as they are answered, for the document.
pub(crate) fn error_examples() -> Vec<Problem> {
    let own = "a b".parse::<SourceName>().err().map(wrong_source);
    let own = own.into_iter().chain([
        too_many_sources(),
        unwelcome("text/html"),
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, NOT_KEPT),
    ]);
    // Who may not tell it is told so as who may not post.
    own.chain(webhook::error_examples()).collect()
}

/// A list whose body is not parsed.
struct PostedList {
    content_type: String,
    body: Unparsed,
}

impl PostedList {
    async fn read(self, bodies: &Bodies) -> Result<Vec<String>, RunningError> {
        let essence = self.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_text = essence == "text/plain";
        if !is_text && essence != "application/json" {
            return Err(RunningError::UnsupportedMediaType(Json(unwelcome(&self.content_type))));
        }
        let received = self.body.read(bodies).await.map_err(|error| RunningError::of_read(&error, bodies))?;
        if is_text {
            let text = str::from_utf8(&received.bytes);
            let text = text.map_err(|error| RunningError::bad_request(format!("The body is no text: {error}.")))?;
            return Ok(text.lines().map(str::to_owned).collect());
        }
        let list: Result<RunningList, _> = serde_json::from_slice(&received.bytes);
        list.map(|list| list.images)
            .map_err(|error| RunningError::bad_request(format!("The body is no list: {error}.")))
    }
}

impl<'a> ApiExtractor<'a> for PostedList {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        RunningList::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        // One type only: generators of clients stumble over a choice of types.
        let content = vec![MetaMediaType { content_type: "application/json", schema: RunningList::schema_ref() }];
        let description = "All that runs there. As `text/plain` it is an image a line.";
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
