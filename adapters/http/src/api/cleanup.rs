//! `GET /api/v1/cleanup`: which tags may go, as a list and as a script.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use poem::{IntoResponse, Request, Response, http::header};
use poem_openapi::{
    ApiResponse, Enum, Object, OpenApi,
    param::Query,
    payload::{Json, PlainText},
    registry::{MetaResponses, Registry},
    types::{Example, Type},
};
use serde::Serialize;
use staticreg_application::clean_up::{
    CleanUp, Cleanup, CleanupItem, CleanupQuestion, Freed, NotYet, Place, SourceHeard,
};
use staticreg_domain::{RepositoryName, metrics::InvalidFolder};

use super::{
    ApiTag,
    cursor::{self, Question},
    example_time,
    list::{Format, Item, NEXT_CURSOR, Paging, as_csv, page_meta},
    time::Time,
};
use crate::{
    access::SignedIn,
    cleanup::{PATIENCE, Tool, keep_tags, kept_by, listed, notes, reason, script},
    problem::{Problem, QuestionError, RETRY_AFTER_SECONDS},
};

pub(crate) struct CleanupApi {
    pub(crate) clean_up: CleanUp,
}

/// Which tags are listed.
#[derive(Clone, Copy, Debug, Default, Enum)]
#[oai(rename_all = "snake_case")]
pub(crate) enum Show {
    /// Tags that may go.
    #[default]
    Candidates,
    /// Tags that stay, with what keeps them.
    Kept,
}

#[OpenApi]
impl CleanupApi {
    /// Tags that may go.
    ///
    /// A tag may go when it was not used for long: not pulled, pushed, looked up, or pulled by its digest, by another tag
    /// or as part of an index; when it does not run, as far as was told; when it has no signature; and when no tag that
    /// stays points to the same or to an index of it. In doubt a tag stays. Nothing is deleted here. Those that were never
    /// pulled come first, then those whose last pull is the longest ago.
    #[oai(path = "/api/v1/cleanup", method = "get", operation_id = "list_cleanup", tag = "ApiTag::Cleanup")]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn list(
        &self,
        /// For how many days nobody used a tag that may go; 90 when not given. It was watched for as long at least.
        #[oai(validator(minimum(value = "1"), maximum(value = "3660")))]
        unused_days: Query<Option<u32>>,
        /// How many of the newest images of each repository stay; 10 when not given.
        #[oai(validator(maximum(value = "10000")))]
        keep_latest: Query<Option<u32>>,
        /// A regular expression: tags in which it is found stay.
        #[oai(validator(max_length = 256))]
        keep_tags: Query<Option<String>>,
        /// Only repositories in this folder, at any depth.
        #[oai(validator(max_length = 256))]
        folder: Query<Option<String>>,
        /// Which tags are listed; `candidates` when not given.
        show: Query<Option<Show>>,
        /// The most items of a page; 100 when not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
        limit: Query<Option<u32>>,
        /// Where to read on: the `next_cursor` of the page before.
        #[oai(validator(max_length = 2048))]
        cursor: Query<Option<String>>,
        format: Format,
        request: &Request,
        _signed_in: SignedIn,
    ) -> Result<CleanupAnswer, QuestionError> {
        let question = CleanupQuestion {
            listed: listed(matches!(show.0, Some(Show::Kept))),
            ..question(unused_days.0, keep_latest.0, keep_tags.0.as_deref(), folder.0.as_deref())?
        };
        let asked = Question::new(request.uri().path(), request.params().unwrap_or_default());
        let paging = Paging { limit: limit.0, cursor: cursor.as_deref(), question: asked };
        let after = paging.after(|cursor| place(asked, cursor))?;
        let cleanup = known(&self.clean_up, question).await?;
        let (items, more) = cleanup.page(after.as_ref(), usize::try_from(paging.limit()).unwrap_or(usize::MAX));
        let next_cursor = items.last().filter(|_| more).and_then(|item| cursor_after(asked, item));
        let heard_at = cleanup.heard_at();
        let items = items.iter().map(|item| TagItem::new(item, heard_at)).collect();
        Ok(CleanupAnswer { list: CleanupList::new(&cleanup, items, next_cursor, self.clean_up.now()), format })
    }
}

pub(crate) struct CleanupScriptApi {
    pub(crate) clean_up: CleanUp,
    /// What stands before a repository's name.
    pub(crate) host: Arc<str>,
}

/// What deletes tags.
#[derive(Clone, Copy, Debug, Default, Enum)]
#[oai(rename_all = "snake_case")]
pub(crate) enum ScriptTool {
    /// regclient's.
    #[default]
    Regctl,
    /// go-containerregistry's.
    Crane,
    /// skopeo.
    Skopeo,
}

#[OpenApi]
impl CleanupScriptApi {
    /// Tags that may go, as a script.
    ///
    /// A script for the shell with a line for each tag that may go. Every line is commented out: it deletes what somebody
    /// chooses, and only while a tag points to the same still. It deletes tags, never digests.
    #[oai(path = "/api/v1/cleanup.sh", method = "get", operation_id = "export_cleanup_script", tag = "ApiTag::Cleanup")]
    async fn script(
        &self,
        /// What deletes the tags; `regctl` when not given.
        tool: Query<Option<ScriptTool>>,
        /// For how many days nobody used a tag that may go; 90 when not given. It was watched for as long at least.
        #[oai(validator(minimum(value = "1"), maximum(value = "3660")))]
        unused_days: Query<Option<u32>>,
        /// How many of the newest images of each repository stay; 10 when not given.
        #[oai(validator(maximum(value = "10000")))]
        keep_latest: Query<Option<u32>>,
        /// A regular expression: tags in which it is found stay.
        #[oai(validator(max_length = 256))]
        keep_tags: Query<Option<String>>,
        /// Only repositories in this folder, at any depth.
        #[oai(validator(max_length = 256))]
        folder: Query<Option<String>>,
        _signed_in: SignedIn,
    ) -> Result<ScriptAnswer, QuestionError> {
        let tool = match tool.0.unwrap_or_default() {
            ScriptTool::Regctl => Tool::Regctl,
            ScriptTool::Crane => Tool::Crane,
            ScriptTool::Skopeo => Tool::Skopeo,
        };
        let question = question(unused_days.0, keep_latest.0, keep_tags.0.as_deref(), folder.0.as_deref())?;
        let cleanup = known(&self.clean_up, question).await?;
        let script = script(tool, &cleanup, &self.host, self.clean_up.now());
        let disposition = format!("attachment; filename=\"cleanup-{}.sh\"", tool.name());
        Ok(ScriptAnswer::Ok(PlainText(script), disposition))
    }
}

#[derive(ApiResponse)]
pub(crate) enum ScriptAnswer {
    /// The script.
    #[oai(status = 200)]
    Ok(
        PlainText<String>,
        /// The name of its file.
        #[oai(header = "Content-Disposition")]
        String,
    ),
}

fn question(
    unused_days: Option<u32>,
    keep_latest: Option<u32>,
    pattern: Option<&str>,
    folder: Option<&str>,
) -> Result<CleanupQuestion, QuestionError> {
    let keep_tags = pattern.map(keep_tags).transpose().map_err(|error| QuestionError::parameter("keep_tags", error))?;
    let folder =
        folder.map(str::parse).transpose().map_err(|error: InvalidFolder| QuestionError::parameter("folder", error))?;
    let usual = CleanupQuestion::default();
    Ok(CleanupQuestion {
        unused_days: unused_days.unwrap_or(usual.unused_days),
        keep_latest: keep_latest.unwrap_or(usual.keep_latest),
        keep_tags,
        folder,
        ..usual
    })
}

async fn known(clean_up: &CleanUp, question: CleanupQuestion) -> Result<Arc<Cleanup>, QuestionError> {
    clean_up.list(question, PATIENCE).await.map_err(|reason| {
        let detail = match reason {
            NotYet::InWork => "The list is being worked out; try again.",
            NotYet::StoreAway => "The store of pull metrics is unavailable; try again.",
        };
        let problem = Problem::new(poem::http::StatusCode::SERVICE_UNAVAILABLE, detail);
        QuestionError::Unavailable(Json(problem), RETRY_AFTER_SECONDS)
    })
}

/// A place of this list inside a cursor.
type CursorParts = (Option<DateTime<Utc>>, String, String);

fn cursor_after(question: Question, item: &CleanupItem) -> Option<String> {
    let (last_pulled_at, repository, tag) = item.place();
    cursor::encode(question, &(last_pulled_at, repository.to_string(), tag.to_string()))
}

fn place(question: Question, cursor: &str) -> Option<Place> {
    let (last_pulled_at, repository, tag) = cursor::decode::<CursorParts>(question, cursor)?;
    Some((last_pulled_at, RepositoryName::as_stored(&repository).ok()?, tag.parse().ok()?))
}

/// A tag that may go, or stays.
#[derive(Debug, Object, Serialize)]
#[oai(rename = "CleanupItem", example)]
pub(crate) struct TagItem {
    /// The repository.
    repository: String,
    /// The tag.
    tag: String,
    /// What it points to; null where that is not known.
    #[oai(nullable)]
    digest: Option<String>,
    /// Why it may go: `never_pulled`, while it was watched, or `not_pulled_since`. Or what keeps it: `pulled`, `running`,
    /// `pushed`, `made`, `pulled_by_digest`, `pulled_by_another_tag`, `version_checks`, `keep_tags`, `keep_latest`,
    /// `signed`, `same_image`, `index`, `unread` or `not_watched`. Later versions may add more.
    reason: String,
    /// What keeps it by name: the tag, the digest, the source of what runs, the number of look-ups; null for others.
    #[oai(nullable)]
    kept_by: Option<String>,
    /// When its image was made; null where that is not told.
    #[oai(nullable)]
    created_at: Option<Time>,
    /// The last pull by this tag; null when there was none while watched.
    #[oai(nullable)]
    last_pulled_at: Option<Time>,
    /// Pulls by this tag in the days asked for.
    pulls: u64,
    /// Look-ups of this tag in the days asked for that fetched nothing.
    version_checks: u64,
    /// What one pull moves, in bytes; null where it is not known.
    #[oai(nullable)]
    size: Option<u64>,
    /// The size of the layers and configurations that no tag of the repository holds which stays, in bytes. Tags that may
    /// go and share one both count it.
    freed_bytes: u64,
    /// Whether `freed_bytes` is exact. It is not where something is an index: only its first image is known by its layers.
    freed_is_exact: bool,
    /// Since when its pulls are known; null when nothing was counted yet.
    #[oai(nullable)]
    watched_since: Option<NaiveDate>,
    /// When anybody told last what runs; null when nobody ever did.
    #[oai(nullable)]
    running_heard_at: Option<Time>,
}

impl TagItem {
    fn new(item: &CleanupItem, heard_at: Option<DateTime<Utc>>) -> Self {
        let CleanupItem {
            repository,
            tag,
            digest,
            verdict,
            created,
            last_pulled_at,
            pulls,
            version_checks,
            size,
            freed: Freed { bytes, is_exact },
            watched_since,
        } = item;
        Self {
            repository: repository.to_string(),
            tag: tag.to_string(),
            digest: digest.as_ref().map(ToString::to_string),
            reason: reason(verdict).to_owned(),
            kept_by: kept_by(verdict),
            created_at: created.map(Time::from),
            last_pulled_at: last_pulled_at.map(Time::from),
            pulls: *pulls,
            version_checks: *version_checks,
            size: *size,
            freed_bytes: *bytes,
            freed_is_exact: *is_exact,
            watched_since: *watched_since,
            running_heard_at: heard_at.map(Time::from),
        }
    }
}

impl Example for TagItem {
    fn example() -> Self {
        Self {
            repository: "team-a/app".to_owned(),
            tag: "1.0".to_owned(),
            digest: Some("sha256:d7733008a9eb1bdae2308ebe4cc9b17a327adfb2bfd492b92fef97f1aa83210d".to_owned()),
            reason: "never_pulled".to_owned(),
            kept_by: None,
            created_at: Some(example_time().into()),
            last_pulled_at: None,
            pulls: 0,
            version_checks: 0,
            size: Some(31_000_000),
            freed_bytes: 1_200_000,
            freed_is_exact: true,
            watched_since: Some(example_time().date_naive()),
            running_heard_at: Some(example_time().into()),
        }
    }
}

impl Item for TagItem {
    const COLUMNS: &'static [&'static str] = &[
        "repository",
        "tag",
        "digest",
        "reason",
        "kept_by",
        "created_at",
        "last_pulled_at",
        "pulls",
        "version_checks",
        "size",
        "freed_bytes",
        "freed_is_exact",
        "watched_since",
        "running_heard_at",
    ];
}

/// Who told what runs.
#[derive(Debug, Object)]
struct RunningSource {
    /// Its name.
    source: String,
    /// When it told it.
    heard_at: Time,
    /// How many references it told.
    images: u64,
}

/// What stands in the way of a good list.
#[derive(Debug, Object)]
struct CleanupNote {
    /// A word for programs: `no_registry`, `not_watched`, `unread_repositories`, `nothing_heard` or `source_silent`. Later
    /// versions may add more.
    code: String,
    /// A sentence for people.
    text: String,
}

/// A page of the list, and what there is to know of all of it.
#[derive(Debug, Object)]
struct CleanupList {
    /// The items: never pulled first, then those whose last pull is the longest ago.
    items: Vec<TagItem>,
    /// Give it as `cursor` to read on; null after the last item.
    #[oai(nullable)]
    next_cursor: Option<String>,
    /// How many tags may go.
    candidates: u64,
    /// How many tags stay.
    kept: u64,
    /// How much becomes free when all go that may, in bytes, each layer once.
    freed_bytes: u64,
    /// Whether that is exact.
    freed_is_exact: bool,
    /// The first of the days in which what is used stays.
    from: NaiveDate,
    /// The last of them.
    to: NaiveDate,
    /// Since when anything is counted; null when nothing was yet, and then nothing may go.
    #[oai(nullable)]
    watched_since: Option<NaiveDate>,
    /// When the counts were added up.
    counted_at: Time,
    /// Who told what runs.
    running: Vec<RunningSource>,
    /// What stands in the way of a good list.
    notes: Vec<CleanupNote>,
}

impl CleanupList {
    fn new(cleanup: &Cleanup, items: Vec<TagItem>, next_cursor: Option<String>, now: DateTime<Utc>) -> Self {
        let running = cleanup.sources.iter().map(|SourceHeard { source, heard_at, images }| RunningSource {
            source: source.to_string(),
            heard_at: (*heard_at).into(),
            images: *images as u64,
        });
        let notes = notes(cleanup, now).into_iter();
        Self {
            items,
            next_cursor,
            candidates: cleanup.candidates as u64,
            kept: cleanup.kept as u64,
            freed_bytes: cleanup.freed.bytes,
            freed_is_exact: cleanup.freed.is_exact,
            from: cleanup.window.from(),
            to: cleanup.window.to(),
            watched_since: cleanup.watched_since,
            counted_at: cleanup.at.into(),
            running: running.collect(),
            notes: notes.map(|note| CleanupNote { code: note.code.to_owned(), text: note.text }).collect(),
        }
    }
}

/// A page in the format the client asked for.
pub(crate) struct CleanupAnswer {
    list: CleanupList,
    format: Format,
}

impl IntoResponse for CleanupAnswer {
    fn into_response(self) -> Response {
        let Self { list, format } = self;
        match format {
            Format::Json => Json(list).into_response().with_header(header::VARY, "Accept").into_response(),
            Format::Csv => as_csv(&list.items, [(NEXT_CURSOR, list.next_cursor)]),
        }
    }
}

impl ApiResponse for CleanupAnswer {
    fn meta() -> MetaResponses {
        page_meta::<CleanupList>([])
    }

    fn register(registry: &mut Registry) {
        CleanupList::register(registry);
    }
}
